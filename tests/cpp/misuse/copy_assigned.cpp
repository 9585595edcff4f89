// expects: a generator is moved: write std::move(g)
#include <agen/agen.hpp>
auto numbers() -> agen::async_generator<int> { co_yield 1; }
void program() {
  auto gen = numbers();
  auto other = numbers();
  other = gen;
}
