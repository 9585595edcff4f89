// expects: unable to find the promise type|this function cannot be a coroutine
#include <agen/agen.hpp>
auto numbers() -> agen::async_generator<int> { co_yield 1; }
void body() {
  auto gen = numbers();
  auto item = co_await gen.anext();
  (void)*item;
}
