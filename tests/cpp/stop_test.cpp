#include <agen/event.hpp>
#include <agen/std_stop.hpp>

#include "support.hpp"

#include <gtest/gtest.h>

namespace {

using agen::async_generator;
using agen::task;
using agen::with_stop;
using agen::yield_from;
using agen_test::detached;
using agen_test::journal;

/// Items while `go` is set; cleanup that waits for `cleaned`.
auto careful(agen::event& go, agen::event& cleaned, journal& log) -> async_generator<int> {
  std::exception_ptr error;
  try {
    for (int i = 0;; ++i) {
      co_await go;
      co_yield i;
    }
  } catch (agen::stopped const&) {
    log.emplace_back("stopped");
    error = std::current_exception();
  }
  co_await cleaned;  // the request has arrived: it is not raised here once more
  log.emplace_back("cleaned");
  std::rethrow_exception(error);
}

template <class Operation>
auto one(std::stop_token token, Operation operation, journal& log) -> detached {
  try {
    auto item = co_await with_stop(token, std::move(operation));
    log.push_back(item ? std::to_string(*item) : "end");
  } catch (agen::stopped const&) {
    log.emplace_back("raised");
  }
}

struct stopping : testing::Test {
  std::stop_source source;
  agen::event go, cleaned;
  journal log;

  template <class Generator>
  void stop_and_clean(Generator& gen) {
    auto const consumer = one(source.get_token(), gen.anext(), log);
    EXPECT_TRUE(log.empty());
    source.request_stop();
    EXPECT_EQ(log, journal{"stopped"});
    EXPECT_FALSE(consumer.done());
    cleaned.set();
    EXPECT_EQ(log, (journal{"stopped", "cleaned", "raised"}));
    EXPECT_TRUE(gen.closed());
  }
};

using Stop = stopping;

TEST_F(Stop, ARequestIsRaisedWhereTheBodyWaitsAndItsCleanupIsAwaited) {
  auto gen = careful(go, cleaned, log);
  stop_and_clean(gen);
}
TEST_F(Stop, TravelsThroughYieldFrom) {
  auto gen = [](async_generator<int> inner) -> async_generator<int> {
    co_await yield_from(std::move(inner));
  }(careful(go, cleaned, log));
  stop_and_clean(gen);
}
TEST_F(Stop, TravelsThroughAdaptorsAndTasks) {
  auto gen = [](async_generator<int> inner) -> async_generator<int> {
    auto next = [](async_generator<int>& g) -> task<int> {
      auto item = co_await g.anext();
      co_return *item;
    };
    for (;;) co_yield co_await next(inner);
  }(careful(go, cleaned, log) | agen::transform([](int n) { return n; }));
  stop_and_clean(gen);
}
TEST_F(Stop, ARequestBeforeTheWaitIsRaisedAtTheFirstOne) {
  source.request_stop();
  cleaned.set();
  auto gen = careful(go, cleaned, log);
  auto const consumer = one(source.get_token(), gen.anext(), log);
  EXPECT_EQ(log, (journal{"stopped", "cleaned", "raised"}));
}
TEST_F(Stop, WhatIsThereComesAllTheSame) {
  go.set();
  source.request_stop();
  auto gen = careful(go, cleaned, log);
  auto const consumer = one(source.get_token(), gen.anext(), log);
  EXPECT_EQ(log, journal{"0"});
}
TEST_F(Stop, AnotherOperationHasAnotherToken) {
  go.set();
  auto gen = careful(go, cleaned, log);
  auto const first = one(source.get_token(), gen.anext(), log);
  source.request_stop();
  auto const second = one(std::stop_token(), gen.anext(), log);
  EXPECT_EQ(log, (journal{"0", "1"}));
}
TEST_F(Stop, ABodyAsks) {
  auto gen = []() -> async_generator<int> {
    for (;;) {
      auto const token = co_await agen::stop_token();
      co_yield (token.stop_possible() ? 1 : 0) + (token.stop_requested() ? 2 : 0);
    }
  }();
  EXPECT_EQ(*agen::sync_wait(gen.anext()), 0);
  auto const possible = one(source.get_token(), gen.anext(), log);
  source.request_stop();
  auto const requested = one(source.get_token(), gen.anext(), log);
  EXPECT_EQ(log, (journal{"1", "3"}));
}
TEST_F(Stop, ACallbackIsCalledOnce) {
  int calls = 0;
  auto program = [](agen::event& e, int& n) -> task<> {
    agen::stop_callback const callback(co_await agen::stop_token(), [&n] { ++n; });
    try {
      co_await e;
    } catch (agen::stopped const&) {
    }
    agen::stop_callback const late(co_await agen::stop_token(), [&n] { n += 10; });
  };
  auto const body = [](task<> t, std::stop_token token) -> detached { co_await with_stop(token, std::move(t)); }(
                                                            program(go, calls), source.get_token());
  EXPECT_EQ(calls, 0);
  source.request_stop();
  EXPECT_EQ(calls, 11);
  EXPECT_TRUE(body.done());
}
TEST_F(Stop, ShieldedIsNotReached) {
  auto const body = [](agen::event& e, std::stop_token token, journal& l) -> detached {
    co_await with_stop(token, agen::shielded([](agen::event& g, journal& m) -> task<> {
                         m.push_back((co_await agen::stop_token()).stop_possible() ? "seen" : "unseen");
                         co_await g;
                       }(e, l)));
    l.emplace_back("done");
  }(go, source.get_token(), log);
  source.request_stop();
  EXPECT_EQ(log, journal{"unseen"});
  go.set();
  EXPECT_EQ(log.back(), "done");
}
TEST_F(Stop, WithCleanupShieldsTheCleanup) {
  auto const body = [](agen::event& g, agen::event& c, std::stop_token token, journal& l) -> detached {
    try {
      co_await with_stop(token, agen::with_cleanup([&]() -> task<> { co_await g; },
                                                   [&]() -> task<> {
                                                     co_await c;
                                                     l.emplace_back("cleaned");
                                                   }));
    } catch (agen::stopped const&) {
      l.emplace_back("raised");
    }
  }(go, cleaned, source.get_token(), log);
  source.request_stop();
  EXPECT_TRUE(log.empty());
  cleaned.set();
  EXPECT_EQ(log, (journal{"cleaned", "raised"}));
}
TEST_F(Stop, ATokenInsideATokenHearsOfBoth) {
  std::stop_source inner;
  for (auto* which : {&source, &inner}) {
    journal words;
    auto const body = [](agen::event& e, std::stop_token outer, std::stop_token in, journal& l) -> detached {
      auto wait = [](agen::event& g) -> task<> { co_await g; };
      try {
        co_await with_stop(outer, with_stop(in, wait(e)));
      } catch (agen::stopped const&) {
        l.emplace_back("raised");
      }
    }(go, source.get_token(), inner.get_token(), words);
    which->request_stop();
    EXPECT_EQ(words, journal{"raised"});
    source = std::stop_source();
  }
}
TEST_F(Stop, AnyTokenWithACallbackType) {
  auto body = [](agen::event& e, journal& l) -> task<> {
    agen::stop_token const mine = co_await agen::stop_token();
    try {
      co_await with_stop(mine, [](agen::event& g) -> task<> { co_await g; }(e));
    } catch (agen::stopped const&) {
      l.emplace_back("raised");
    }
  };
  auto const run = [](task<> t, std::stop_token token) -> detached { co_await with_stop(token, std::move(t)); }(
                                                           body(go, log), source.get_token());
  source.request_stop();
  EXPECT_EQ(log, journal{"raised"});
}
TEST(StopThreads, RequestsRaceWithWhatIsAwaited) {
  int stopped = 0, set = 0;
  for (int round = 0; round < 300; ++round) {
    agen::event event;
    std::stop_source source;
    std::thread setter([&] { event.set(); });
    std::thread stopper([&] { source.request_stop(); });
    try {
      agen::sync_wait(with_stop(source.get_token(), [](agen::event& e) -> task<> { co_await e; }(event)));
      ++set;
    } catch (agen::stopped const&) {
      ++stopped;
    }
    setter.join();
    stopper.join();
  }
  EXPECT_EQ(stopped + set, 300);
}

}  // namespace
