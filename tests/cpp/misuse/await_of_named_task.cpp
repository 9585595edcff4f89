// expects: a task is awaited once; write co_await std::move(t)
#include <agen/agen.hpp>
auto five() -> agen::task<int> { co_return 5; }
auto body() -> agen::task<int> {
  auto t = five();
  co_return co_await t;
}
