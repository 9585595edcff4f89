// expects: did you mean to call it|unresolved overloaded function
#include <agen/agen.hpp>
auto numbers() -> agen::async_generator<int> { co_yield 1; }
auto body() -> agen::task<> {
  auto gen = numbers() | agen::transform;
  co_await gen.anext();
}
