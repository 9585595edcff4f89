// expects: this generator takes no values
#include <agen/async_generator.hpp>
auto body() -> agen::async_generator<int> { co_yield 1; }
void consumer() {
  auto gen = body();
  auto operation = gen.asend(5);
}
