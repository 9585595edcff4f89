// expects: an operation is awaited for its answer: write co_await gen.anext()
#include <agen/agen.hpp>
auto numbers() -> agen::async_generator<int> { co_yield 1; }
auto body() -> agen::task<> {
  auto gen = numbers();
  while (auto item = gen.anext()) (void)*item;
  co_return;
}
