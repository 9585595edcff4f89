// agen/sync_wait.hpp: what can be waited for, and on which thread it ends.
#include <gtest/gtest.h>

#include <stdexcept>

#include "support.hpp"

using namespace agen;
using namespace agen_test;

namespace {

TEST(SyncWait, TakesTasksAndOtherAwaitablesAndWaitsForOtherThreads) {
  worker other;
  auto const id = sync_wait([](worker& w) -> task<std::thread::id> {
    co_await w.hop();
    co_return std::this_thread::get_id();
  }(other));
  EXPECT_NE(id, std::this_thread::get_id());
  auto gen = count(1);
  EXPECT_EQ(*sync_wait(gen.anext()), 0);
  sync_wait([]() -> task<> { co_return; }());
}

TEST(SyncWait, ThrowsWhatLeavesTheTaskWhereverThatEnded) {
  worker other;
  auto const raises = [](worker& w) -> task<int> {
    co_await w.hop();
    throw std::runtime_error("there");
    co_return 1;
  };
  EXPECT_THROW(sync_wait(raises(other)), std::runtime_error);
}

}  // namespace
