#include <agen/event.hpp>
#include <agen/std_stop.hpp>
#include <agen/when.hpp>

#include "support.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace {

using agen::task;
using agen_test::detached;
using agen_test::journal;

auto after(agen::event& e, int value) -> task<int> {
  co_await e;
  co_return value;
}
auto fails_after(agen::event& e, char const* text) -> task<> {
  co_await e;
  throw std::runtime_error(text);
}
/// Waits for `cleaned` when it is stopped.
auto careful(agen::event& e, agen::event& cleaned, journal& log) -> task<> {
  bool was_stopped = false;
  try {
    co_await e;
  } catch (agen::stopped const&) {
    was_stopped = true;
  }
  co_await cleaned;
  log.emplace_back("cleaned");
  if (was_stopped) throw agen::stopped("again");
}

TEST(WhenAll, GivesWhatEachGives) {
  agen::event first, second;
  int which = 0;
  auto reference = [](int& n) -> task<int&> { co_return n; };
  auto const body = [](auto all, int& n) -> detached {
    auto [one, nothing, same, two] = co_await std::move(all);
    (void)nothing;
    EXPECT_EQ(&same.get(), &n);
    n = one * 10 + two;
  }(agen::when_all(after(first, 1), []() -> task<> { co_return; }(), reference(which), after(second, 2)), which);
  second.set();
  EXPECT_EQ(which, 0);
  first.set();
  EXPECT_EQ(which, 12);
}
TEST(WhenAll, TheFirstErrorStopsTheOthersAndAwaitsThem) {
  agen::event never, fail, cleaned;
  journal log;
  auto const body = [](auto all, journal& l) -> detached {
    try {
      co_await std::move(all);
    } catch (std::runtime_error const& e) {
      l.emplace_back(e.what());
    }
  }(agen::when_all(careful(never, cleaned, log), fails_after(fail, "first")), log);
  fail.set();
  EXPECT_TRUE(log.empty());
  cleaned.set();
  EXPECT_EQ(log, (journal{"cleaned", "first"}));
}
TEST(WhenAll, SeveralErrorsAreAGroup) {
  agen::event fail;
  std::size_t errors = 0;
  auto stubborn = [](agen::event& e) -> task<> {
    try {
      co_await e;
    } catch (agen::stopped const&) {
    }
    throw std::runtime_error("second");
  };
  agen::event never;
  auto const body = [](auto all, std::size_t& n) -> detached {
    try {
      co_await std::move(all);
    } catch (agen::exception_group const& group) {
      n = group.errors().size();
    }
  }(agen::when_all(stubborn(never), fails_after(fail, "first")), errors);
  fail.set();
  EXPECT_EQ(errors, 2U);
}
TEST(WhenAll, AStopIsPassedOnAndAwaited) {
  agen::event never, cleaned;
  journal log;
  std::stop_source source;
  auto const body = [](auto all, std::stop_token token, journal& l) -> detached {
    try {
      co_await agen::with_stop(token, std::move(all));
    } catch (agen::stopped const&) {
      l.emplace_back("stopped");
    }
  }(agen::when_all(careful(never, cleaned, log), after(never, 1)), source.get_token(), log);
  source.request_stop();
  EXPECT_TRUE(log.empty());
  cleaned.set();
  EXPECT_EQ(log, (journal{"cleaned", "stopped"}));
}
TEST(WhenAny, GivesTheFirstAndStopsTheOthersAwaited) {
  agen::event never, soon, cleaned;
  journal log;
  auto const body = [](auto any, journal& l) -> detached {
    auto const result = co_await std::move(any);
    l.push_back(std::to_string(result.index()) + " " + std::to_string(std::get<1>(result)));
  }(agen::when_any(careful(never, cleaned, log), after(soon, 5)), log);
  soon.set();
  EXPECT_TRUE(log.empty());
  cleaned.set();
  EXPECT_EQ(log, (journal{"cleaned", "1 5"}));
}
TEST(WhenAny, AnErrorCanBeTheFirst) {
  agen::event never, fail;
  bool raised = false;
  auto const body = [](auto any, bool& r) -> detached {
    try {
      co_await std::move(any);
    } catch (std::runtime_error const&) {
      r = true;
    }
  }(agen::when_any(after(never, 1), fails_after(fail, "first")), raised);
  fail.set();
  EXPECT_TRUE(raised);
}
TEST(WhenAny, AnOperationOfAGeneratorCanBeOne) {
  auto gen = agen_test::count(3);
  agen::event never;
  auto const result = agen::sync_wait(agen::when_any(gen.anext(), after(never, 1)));
  EXPECT_EQ(*std::get<0>(result), 0);
}
TEST(WhenThreads, BranchesOnThreads) {
  agen_test::worker left, right;
  auto on = [](agen_test::worker& w, int n) -> task<int> {
    for (int i = 0; i < n; ++i) co_await w.hop();
    co_return n;
  };
  for (int round = 0; round < 100; ++round) {
    auto const [one, two] = agen::sync_wait(agen::when_all(on(left, 3), on(right, 2)));
    EXPECT_EQ(one + two, 5);
    auto const first = agen::sync_wait(agen::when_any(on(left, 1), on(right, 1)));
    EXPECT_EQ(first.index() == 0 ? std::get<0>(first) : std::get<1>(first), 1);
  }
}

}  // namespace
