// agen/fairness.hpp: checkpoints of generators that never wait.
#include <agen/fairness.hpp>

#include <gtest/gtest.h>

#include <stdexcept>

#include "support.hpp"

using namespace agen;
using namespace agen_test;
using namespace std::chrono_literals;

namespace {

/// A checkpoint that counts.
struct counting {
  int* checkpoints;
  auto operator()() const -> std::suspend_never {
    ++*checkpoints;
    return {};
  }
};

TEST(Fairness, ASliceOfNothingGivesACheckpointBeforeEveryItem) {
  int checkpoints = 0;
  auto const got = sync_wait(collect(fair(count(10), counting{&checkpoints}, 0ns)));
  EXPECT_EQ(got.size(), 10U);
  EXPECT_EQ(checkpoints, 11);  // the last before the end was known
}

TEST(Fairness, AGeneratorThatAlwaysHasAnItemGivesOthersATurnOnceASlice) {
  int checkpoints = 0;
  auto const begun = std::chrono::steady_clock::now();
  auto const endless = [](std::chrono::steady_clock::time_point from) -> async_generator<int> {
    for (int i = 0; std::chrono::steady_clock::now() - from < 20ms; ++i) co_yield i;
  };
  auto const got = sync_wait(collect(fair(endless(begun), counting{&checkpoints}, 1ms)));
  EXPECT_GE(checkpoints, 1);
  EXPECT_LE(checkpoints, 20);
  EXPECT_GT(got.size(), 100U);
}

TEST(Fairness, AGeneratorThatSuspendsByItselfNeedsNoCheckpoint) {
  gate at;
  int checkpoints = 0;
  int received = 0;
  auto gen = fair(
      [](gate& g) -> async_generator<int> {
        for (int i = 0; i < 5; ++i) {
          co_await g;
          co_yield i;
        }
      }(at),
      counting{&checkpoints}, 50ms);
  auto const consumer = [](auto& g, int& n) -> detached {
    while (auto item = co_await g.anext()) ++n;
  }(gen, received);
  while (at.waited_for()) {
    std::this_thread::sleep_for(15ms);
    at.open();
  }
  EXPECT_EQ(received, 5);
  EXPECT_LE(checkpoints, 1);  // of 75 ms; one may be due to a slow machine
}

TEST(Fairness, WhatACheckpointThrowsClosesTheSourceAndLosesNoItem) {
  journal log;
  auto source = [](journal& j) -> async_generator<int> {
    leaves const at_end(j, "closed");
    for (int i = 0;; ++i) co_yield i;
  }(log);
  int left = 2;
  auto const refuses = [&left]() -> std::suspend_never {
    if (left-- == 0) throw std::runtime_error("cancelled");
    return {};
  };
  auto gen = fair(source, refuses, 0ns);
  EXPECT_EQ(*sync_wait(gen.anext()), 0);
  EXPECT_EQ(*sync_wait(gen.anext()), 1);
  EXPECT_THROW(sync_wait(gen.anext()), std::runtime_error);
  EXPECT_TRUE(log.empty());  // an lvalue stays the caller's
  EXPECT_EQ(*sync_wait(source.anext()), 2);
  left = 1;
  auto owning = fair(std::move(source), refuses, 0ns);
  EXPECT_EQ(*sync_wait(owning.anext()), 3);
  EXPECT_THROW(sync_wait(owning.anext()), std::runtime_error);
  EXPECT_EQ(log, journal{"closed"});
}

TEST(Fairness, TheItemsKeepTheirType) {
  static_assert(std::is_same_v<decltype(fair(count(1), counting{nullptr})), async_generator<int>>);
  SUCCEED();
}

}  // namespace
