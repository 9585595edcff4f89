// The code that docs/cpp/execution.md shows.
#include <agen/execution.hpp>
#include <agen/sync_wait.hpp>

#include <cstdio>
#include <stdexcept>
#include <thread>
#include <utility>

namespace ex = agen::ex;
using scheduler = decltype(std::declval<ex::run_loop&>().get_scheduler());

// [inside]
auto squares(scheduler pool, int n) -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) {
    int square = co_await (ex::schedule(pool) | ex::then([i] { return i * i; }));
    co_yield square;
  }
}
// [/inside]

// [outside]
void from_senders(scheduler pool) {
  auto gen = squares(pool, 3);
  auto [first] = *ex::sync_wait(gen.anext());
  std::printf("first %d\n", *first);
  auto next = gen.anext() | ex::then([](auto item) { return *item + 100; });
  auto [second] = *ex::sync_wait(std::move(next));
  std::printf("then %d\n", second);
}
// [/outside]

// [task]
auto sum(scheduler pool) -> agen::task<int> {
  int total = 0;
  auto gen = squares(pool, 4);
  while (auto item = co_await gen.anext()) total += *item;
  co_return total;
}
void two_at_once(scheduler pool) {
  auto [a, b] = *ex::sync_wait(ex::when_all(sum(pool), sum(pool)));
  std::printf("sums %d %d\n", a, b);
}
// [/task]

// [ends]
auto ends() -> agen::task<> {
  try {
    co_await ex::just_error(std::make_exception_ptr(std::runtime_error("no")));
  } catch (std::runtime_error const& error) {
    std::printf("error %s\n", error.what());
  }
  co_await ex::just_stopped();  // raises agen::stopped here, which leaves the body
}
void stopped() {
  bool done = ex::sync_wait(ends()).has_value();  // stopped again, outside
  std::printf("done %d\n", done);
}
// [/ends]

// [affinity]
template <class Scheduler>
auto stays(agen::stay_on<Scheduler> home, scheduler elsewhere) -> agen::task<bool> {
  co_await ex::schedule(home.scheduler);
  auto const before = std::this_thread::get_id();
  auto gen = squares(elsewhere, 2);  // its items come from another thread
  while (auto item = co_await gen.anext()) {
    if (std::this_thread::get_id() != before) co_return false;
  }
  co_return true;
}
// [/affinity]

int main() {
  ex::run_loop work;
  ex::run_loop home;
  std::thread worker([&work] { work.run(); });
  std::thread host([&home] { home.run(); });
  from_senders(work.get_scheduler());
  two_at_once(work.get_scheduler());
  stopped();
  bool const stayed =
      agen::sync_wait(stays(agen::stay_on(home.get_scheduler()), work.get_scheduler()));
  std::printf("stayed %d\n", stayed);
  work.finish();
  home.finish();
  worker.join();
  host.join();
}
