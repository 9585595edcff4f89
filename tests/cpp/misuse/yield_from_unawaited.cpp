// expects: yield_from does nothing until it is awaited: write co_await yield_from
#include <agen/agen.hpp>
auto numbers() -> agen::async_generator<int> { co_yield 1; }
auto body() -> agen::async_generator<int> {
  agen::yield_from(numbers());
  co_yield 2;
}
