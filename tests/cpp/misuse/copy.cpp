// expects: a generator is moved: write std::move(g)
#include <agen/agen.hpp>
auto numbers() -> agen::async_generator<int> { co_yield 1; }
auto body() -> agen::task<> {
  auto gen = numbers();
  auto copy = gen;
  co_await copy.anext();
}
