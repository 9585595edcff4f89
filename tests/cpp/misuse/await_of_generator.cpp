// expects: a generator is iterated, not awaited; write co_await generator.anext()
#include <agen/agen.hpp>
auto numbers() -> agen::async_generator<int> { co_yield 1; }
auto body() -> agen::task<> {
  auto gen = numbers();
  int const first = co_await gen;
  (void)first;
}
