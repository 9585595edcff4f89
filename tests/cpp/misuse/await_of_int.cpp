// expects: this type is not awaitable
#include <agen/async_generator.hpp>
auto body() -> agen::async_generator<int> {
  co_await 5;
  co_yield 1;
}
