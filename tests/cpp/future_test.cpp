// agen/future.hpp: a thread sets one result, a coroutine awaits it. Everything here is meant for TSan, too.
#include <agen/future.hpp>
#include <agen/sync_wait.hpp>

#include <gtest/gtest.h>
#ifndef _WIN32
#include <sys/wait.h>
#endif

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace agen;
using namespace std::chrono_literals;

namespace {

template <class Promise, class Work>
auto later(Promise promise, Work work) {
  return std::thread([promise = std::move(promise), work]() mutable {
    std::this_thread::sleep_for(2ms);
    work(promise);
  });
}

/// Throws when it is copied.
struct uncopyable {
  uncopyable() = default;
  uncopyable(uncopyable const& /*other*/) { throw std::bad_alloc(); }
  uncopyable(uncopyable&&) noexcept = default;
};

}  // namespace

TEST(Future, GivesTheValueThatAThreadSets) {
  promise<std::unique_ptr<int>> promise;
  auto future = promise.get_future();
  EXPECT_FALSE(future.ready());
  auto thread = later(promise, [](auto& out) { EXPECT_TRUE(out.set_value(std::make_unique<int>(7))); });
  EXPECT_EQ(*sync_wait(std::move(future).get()), 7);
  thread.join();
  EXPECT_FALSE(promise.set_value(nullptr));
  EXPECT_FALSE(promise.stop_requested());
}

TEST(Future, GivesAValueThatIsThereAlready) {
  agen::promise<> const promise;
  auto future = promise.get_future();
  EXPECT_TRUE(promise.set_value());
  EXPECT_TRUE(future.ready());
  sync_wait(std::move(future).get());
}

TEST(Future, ThrowsTheExceptionThatAThreadSets) {
  promise<int> promise;
  auto future = promise.get_future();
  auto thread = later(std::move(promise), [](auto& out) {
    EXPECT_TRUE(out.set_exception(std::make_exception_ptr(std::out_of_range("gone"))));
    EXPECT_FALSE(out.set_value(1));
  });
  EXPECT_THROW(sync_wait(std::move(future).get()), std::out_of_range);
  thread.join();
}

TEST(Future, ThrowsBrokenPromiseWhenTheLastCopyIsGone) {
  promise<int> promise;
  auto future = promise.get_future();
  auto copy = std::make_unique<std::function<void(int)>>([promise](int value) { promise.set_value(value); });
  promise = {};
  EXPECT_FALSE(future.ready());
  auto thread = std::thread([&] { copy.reset(); });
  EXPECT_THROW(sync_wait(std::move(future).get()), broken_promise);
  thread.join();
}

TEST(Future, StopsItsPromiseWhenItIsDestroyed) {
  promise<int> const promise;
  auto future = std::make_unique<agen::future<int>>(promise.get_future());
#ifdef __cpp_lib_jthread
  bool called = false;
  std::stop_callback const tell(promise.stop_token(), [&] { called = true; });
#endif
  EXPECT_FALSE(promise.stop_requested());
  future.reset();
  EXPECT_TRUE(promise.stop_requested());
#ifdef __cpp_lib_jthread
  EXPECT_TRUE(called);
#endif
  EXPECT_FALSE(promise.set_value(1));
}

TEST(Future, DestroysAResultThatNobodyAwaits) {
  auto const value = std::make_shared<int>(1);
  promise<std::shared_ptr<int>> const promise;
  {
    auto const future = promise.get_future();
    EXPECT_TRUE(promise.set_value(value));
    EXPECT_EQ(value.use_count(), 2);
  }
  EXPECT_EQ(value.use_count(), 1);
  EXPECT_FALSE(promise.stop_requested());
}

TEST(Future, IsMadeOnceAndAwaitedOnce) {
  promise<int> const promise;
  auto future = promise.get_future();
  EXPECT_THROW((void)promise.get_future(), std::logic_error);
  EXPECT_TRUE(future);
  promise.set_value(1);
  EXPECT_EQ(sync_wait(std::move(future).get()), 1);
  EXPECT_FALSE(future);  // NOLINT(bugprone-use-after-move)
  EXPECT_THROW(sync_wait(std::move(future).get()), std::logic_error);
}

TEST(Future, IsUnchangedIfMakingTheValueThrows) {
  promise<uncopyable> const promise;
  auto future = promise.get_future();
  uncopyable const one;
  EXPECT_THROW(promise.set_value(one), std::bad_alloc);
  EXPECT_FALSE(future.ready());
  EXPECT_TRUE(promise.set_value(uncopyable()));
  EXPECT_TRUE(future.ready());
}

TEST(Future, RefusesAnExceptionThatIsNone) {
  promise<int> const promise;
  auto future = promise.get_future();
  promise.set_exception(nullptr);
  EXPECT_THROW(sync_wait(std::move(future).get()), nothing_thrown);
}

TEST(Future, IsSetByTheFirstOfManyThreads) {
  for (int round = 0; round < 100; ++round) {
    promise<int> const promise;
    auto future = promise.get_future();
    std::atomic<int> first = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&, i] {
        if (promise.set_value(i)) ++first;
      });
    }
    EXPECT_GE(sync_wait(std::move(future).get()), 0);
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(first, 1);
  }
}

#ifndef _WIN32  // which has no fork()
TEST(Future, IsRefusedInAForkedProcess) {
  promise<int> promise;
  auto future = promise.get_future();
  auto const child = ::fork();
  if (child == 0) {
    promise = {};
    try {
      (void)future.ready();
    } catch (forked_future const&) {
      ::_exit(0);
    }
    ::_exit(1);
  }
  int status = 1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(promise.set_value(1));
}
#endif
