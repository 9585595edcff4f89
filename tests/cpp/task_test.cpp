// agen/task.hpp and agen/sync_wait.hpp.
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>

#include "support.hpp"

using namespace agen;
using namespace agen_test;

namespace {

auto value(int i) -> task<int> { co_return i; }

TEST(Task, GivesItsValueReferenceOrException) {
  EXPECT_EQ(sync_wait(value(3)), 3);
  int x = 0;
  auto ref = [](int& to) -> task<int&> { co_return to; };
  EXPECT_EQ(&sync_wait(ref(x)), &x);
  auto move_only = []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(5); };
  EXPECT_EQ(*sync_wait(move_only()), 5);
  auto raises = []() -> task<> {
    throw std::runtime_error("task");
    co_return;
  };
  EXPECT_THROW(sync_wait(raises()), std::runtime_error);
}

// clang warns that these bodies lack a co_return, g++ 12 does not.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wreturn-type"
auto forgets_to_return(bool returns) -> task<std::string> {
  co_await value(1);
  if (returns) co_return "text";
}
auto forgets_to_return_reference(int& x, bool returns) -> task<int&> {
  if (returns) co_return x;
}
#pragma GCC diagnostic pop

TEST(Task, ThatEndsWithoutItsValueRaises) {
  EXPECT_EQ(sync_wait(forgets_to_return(true)), "text");
  EXPECT_THROW(sync_wait(forgets_to_return(false)), no_return_value);
  int x = 0;
  EXPECT_THROW(sync_wait(forgets_to_return_reference(x, false)), no_return_value);
}

TEST(Task, AwaitedAgainRaisesAgain) {
  auto t = []() -> task<std::string> {
    throw std::runtime_error("task");
    co_return "";
  }();
  sync_wait([](task<std::string>& twice) -> task<> {
    EXPECT_THROW(co_await std::move(twice), std::runtime_error);
    EXPECT_THROW(co_await std::move(twice), std::runtime_error);
  }(t));
}

TEST(Task, DoesNotBeginBeforeItIsAwaited) {
  bool begun = false;
  {
    auto t = [](bool& flag) -> task<> {
      flag = true;
      co_return;
    }(begun);
    EXPECT_FALSE(begun);
  }
  EXPECT_FALSE(begun);
}

TEST(Task, MoveAssignmentDestroysTheFormerBody) {
  auto t = value(1);
  t = value(2);
  EXPECT_EQ(sync_wait(std::move(t)), 2);
}

TEST(Task, AMillionTasksThatFinishAtOnceDoNotGrowTheStack) {
  auto const sum = sync_wait([]() -> task<long> {
    long total = 0;
    for (int i = 0; i < 1'000'000; ++i) {
      int const one = co_await value(1);
      total += one;
    }
    co_return total;
  }());
  EXPECT_EQ(sum, 1'000'000);
}

TEST(Task, GoesOnWhereItsAwaitedGateOpens) {
  gate at;
  int got = 0;
  auto const consumer = [](gate& g, int& into) -> detached {
    auto inner = [](gate& inside) -> task<int> {
      co_await inside;
      co_return 8;
    };
    into = co_await inner(g);
  }(at, got);
  EXPECT_EQ(got, 0);
  at.open();
  EXPECT_EQ(got, 8);
}

TEST(Task, DestroyingItWhileItAwaitsDestroysItsLocals) {
  journal log;
  gate at;
  {
    auto const consumer = [](gate& g, journal& into) -> detached {
      auto inner = [](gate& inside, journal& log_) -> task<> {
        leaves const here(log_, "destroyed");
        co_await inside;
      };
      co_await inner(g, into);
    }(at, log);
  }
  EXPECT_EQ(log, journal{"destroyed"});
}

}  // namespace
