// How far the stack grows while items come at once: `stack N` takes N items by each way and fails if the place where a
// body runs moved by more than a few frames. No test framework: it is built with every set of flags.
#include <agen/agen.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

/// The lowest and the highest address that a local of any body was seen at.
struct extent {
  std::uintptr_t low = UINTPTR_MAX;
  std::uintptr_t high = 0;
  __attribute__((noinline)) void see() {
    auto const here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    low = here < low ? here : low;
    high = here > high ? here : high;
  }
};

auto plain(extent& seen, int n) -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) {
    if (i % 1024 == 0) seen.see();
    co_yield i;
  }
}
auto delegating(extent& seen, int depth, int n) -> agen::async_generator<int> {
  if (depth == 0) {
    co_await agen::yield_from(plain(seen, n));
  } else {
    co_await agen::yield_from(delegating(seen, depth - 1, n));
  }
}
auto at_once(int i) -> agen::task<int> { co_return i; }
auto awaiting_tasks(extent& seen, int n) -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) {
    if (i % 1024 == 0) seen.see();
    int const value = co_await at_once(i);
    co_yield value + 0;
  }
}
auto delegating_to_nothing(extent& seen, int n) -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) {
    if (i % 1024 == 0) seen.see();
    co_await agen::yield_from(plain(seen, i % 2));
  }
}
auto echo(extent& seen, int n) -> agen::async_generator<int, int> {
  int sent = 0;
  for (int i = 0; i < n; ++i) {
    if (i % 1024 == 0) seen.see();
    int const given = co_yield sent;
    sent = given;
  }
}

auto take_all(agen::async_generator<int> gen) -> agen::task<long> {
  long items = 0;
  while (auto item = co_await gen.anext()) ++items;
  co_return items;
}
auto send_all(agen::async_generator<int, int> gen) -> agen::task<long> {
  long items = 1;
  co_await gen.anext();
  while (auto item = co_await gen.asend(1)) ++items;
  co_return items;
}

auto check(char const* name, extent const& seen, long items, long expected) -> bool {
  auto const moved = static_cast<long>(seen.high - seen.low);
  bool const good = items == expected && moved < 4096;
  std::printf("%-24s %ld items, stack moved by %ld bytes%s\n", name, items, moved, good ? "" : "  FAILED");
  return good;
}

}  // namespace

auto main(int count, char** words) -> int {
  int const n = count > 1 ? std::atoi(words[1]) : 1'000'000;
  bool good = true;
  {
    extent seen;
    good &= check("plain", seen, agen::sync_wait(take_all(plain(seen, n))), n);
  }
  {
    extent seen;
    good &= check("delegated, depth 100", seen, agen::sync_wait(take_all(delegating(seen, 100, n))), n);
  }
  {
    extent seen;
    good &= check("sent", seen, agen::sync_wait(send_all(echo(seen, n))), n);
  }
  {
    extent seen;
    good &= check("awaiting tasks", seen, agen::sync_wait(take_all(awaiting_tasks(seen, n / 10))), n / 10);
  }
  {
    extent seen;
    good &=
        check("delegating to nothing", seen, agen::sync_wait(take_all(delegating_to_nothing(seen, n / 10))), n / 20);
  }
  return good ? 0 : 1;
}
