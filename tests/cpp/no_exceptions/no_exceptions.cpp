// The library compiled with -fno-exceptions: everything that raises no error behaves as with them, and an error ends
// the program. Called with an argument this program makes such an error.
#include <agen/agen.hpp>
#include <agen/channel.hpp>
#include <agen/fairness.hpp>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

int living = 0;
struct local {
  local() { ++living; }
  local(local const&) = delete;
  auto operator=(local const&) -> local& = delete;
  ~local() { --living; }
};

void check(bool right, char const* what) {
  if (right) return;
  std::printf("wrong: %s\n", what);
  std::exit(1);
}

auto count(int n) -> agen::async_generator<int> {
  local const here;
  for (int i = 0; i < n; ++i) co_yield i;
}
auto delegates(int n) -> agen::async_generator<int> {
  local const here;
  co_await agen::yield_from(count(n));
}
auto echo() -> agen::async_generator<int, int, int> {
  int got = 0;
  while (got < 100) got = co_yield got + 1;
  co_return got;
}

template <class Source>
auto sum(Source source) -> agen::task<int> {
  int total = 0;
  co_await agen::for_each(std::move(source), [&total](int item) { total += item; });
  co_return total;
}

auto sends() -> agen::task<> {
  auto gen = echo();
  check(*co_await gen.anext() == 1, "first item");
  check(*co_await gen.asend(5) == 6, "asend");
  auto const end = co_await gen.asend(100);
  check(!end && end.returned() == 100, "return value");
}

/// Closed at a yield, at any depth: what is delegated to goes at once, the body's locals with the generator.
auto closes() -> agen::task<> {
  {
    auto gen = delegates(10);
    co_await gen.anext();
    check(living == 2, "two bodies have begun");
    co_await gen.aclose();
    check(gen.closed(), "closed");
    check(living == 1, "the inner body is gone");
    check(!co_await gen.anext(), "an end after aclose");
    co_await gen.aclose();
  }
  check(living == 0, "all locals are gone");
  auto inner = count(3);
  {
    auto outer = [](auto& source) -> agen::async_generator<int> { co_await agen::yield_from(source); }(inner);
    co_await outer.anext();
    co_await outer.aclose();
  }
  check(*co_await inner.anext() == 1, "what is delegated to by reference survives");
}

auto iterates() -> agen::task<> {
  std::vector<int> seen;
  auto gen = count(2);
  for (auto it = co_await agen::begin(gen); it != agen::end(gen); co_await ++it) seen.push_back(*it);
  check(seen == std::vector{0, 1}, "iterators");
}

auto raises() -> agen::task<> {
  auto gen = echo();
  co_await gen.asend(1);  // just_started
}

}  // namespace

auto main(int arguments, char** /*values*/) -> int {
  if (arguments > 1) {
    std::set_terminate([] {
      std::puts("terminated");
      std::fflush(stdout);
      std::_Exit(1);
    });
    agen::sync_wait(raises());
    return 0;
  }
  check(agen::sync_wait(sum(count(5))) == 10, "for_each");
  check(agen::sync_wait(sum(delegates(5))) == 10, "yield_from");
  check(agen::sync_wait(sum(count(9) | agen::filter([](int i) { return i % 2 == 0; }) | agen::take(3))) == 6, "pipe");
  agen::sync_wait(sends());
  agen::sync_wait(closes());
  agen::sync_wait(iterates());
  check(living == 0, "all locals are gone");
  std::puts("ok");
  return 0;
}
