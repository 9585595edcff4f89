// expects: use of deleted function.*async_generator|call to deleted constructor of.*async_generator
#include <agen/agen.hpp>
auto numbers() -> agen::async_generator<int> { co_yield 1; }
auto body() -> agen::task<> {
  auto gen = numbers();
  auto copy = gen;
  co_await copy.anext();
}
