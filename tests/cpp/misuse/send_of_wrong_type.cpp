// expects: the value does not convert to the generator's Send type
#include <agen/async_generator.hpp>
auto body() -> agen::async_generator<int, int> { co_yield 1; }
void consumer() {
  auto gen = body();
  auto operation = gen.asend("five");
}
