// What a program that found the library does with it: succeeds if three items come.
#include <agen/agen.hpp>

auto count(int n) -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) co_yield i;
}
auto all(agen::async_generator<int> gen) -> agen::task<int> {
  int items = 0;
  while (auto item = co_await gen.anext()) ++items;
  co_return items;
}
auto main() -> int { return agen::sync_wait(all(count(3))) == 3 ? 0 : 1; }
