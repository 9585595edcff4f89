// agen/thread_event.hpp: threads signal, coroutines await. Everything here is meant for TSan, too.
#include <agen/sync_wait.hpp>
#include <agen/thread_event.hpp>

#include <gtest/gtest.h>
#ifndef _WIN32
#include <sys/wait.h>
#endif

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>
#include <vector>

using namespace agen;
using namespace std::chrono_literals;

namespace {

/// Suspends; the test resumes it.
class by_hand {
 public:
  auto wait() {
    return [this](int) {
      struct awaiter {
        by_hand* of;
        static auto await_ready() noexcept -> bool { return false; }
        void await_suspend(std::coroutine_handle<> h) const { of->waiting_.push_back(h); }
        void await_resume() const {}
      };
      return awaiter{this};
    };
  }
  void wake(std::size_t which) { waiting_[which].resume(); }

 private:
  std::vector<std::coroutine_handle<>> waiting_;
};

auto counting(task<> wait, int& ended) -> task<> {
  co_await std::move(wait);
  ++ended;
}

/// A task that has begun, and is destroyed with this.
class begun {
 public:
  explicit begun(task<> work) : work_(std::move(work)) {
    auto awaiter = std::move(work_).operator co_await();
    waits_ = awaiter.await_suspend(std::noop_coroutine());
  }
  [[nodiscard]] auto waits() const { return waits_; }

 private:
  task<> work_;
  bool waits_ = false;
};

}  // namespace

TEST(ThreadEvent, IsSetByAThread) {
  thread_event const event;
  EXPECT_FALSE(event.is_set());
  std::thread sets([event] {
    std::this_thread::sleep_for(2ms);
    event.set();
  });
  sync_wait(event.wait());
  EXPECT_TRUE(event.is_set());
  sync_wait(event.wait());
  sets.join();
  event.reset();
  EXPECT_FALSE(event.is_set());
}

TEST(ThreadEvent, EndsEveryWaitEvenIfItIsResetAtOnce) {
  thread_event const event;
  by_hand loop;
  int ended = 0;
  begun const first(counting(event.wait(loop.wait()), ended));
  begun const second(counting(event.wait(loop.wait()), ended));
  event.set();
  event.reset();
  EXPECT_EQ(ended, 0);
  loop.wake(0);
  loop.wake(1);
  EXPECT_EQ(ended, 2);
  begun const third(counting(event.wait(loop.wait()), ended));
  EXPECT_TRUE(third.waits());
}

TEST(ThreadEvent, AWakeupWithoutASignalWaitsOn) {
  thread_event const event;
  by_hand loop;
  int ended = 0;
  begun const waits(counting(event.wait(loop.wait()), ended));
  loop.wake(0);
  EXPECT_EQ(ended, 0);
  event.set();
  loop.wake(1);
  EXPECT_EQ(ended, 1);
}

TEST(Notifier, EndsOneWaitAndIsKeptOnce) {
  notifier const ready;
  by_hand loop;
  int ended = 0;
  begun const first(counting(ready.wait(loop.wait()), ended));
  begun const second(counting(ready.wait(loop.wait()), ended));
  ready.notify();
  loop.wake(1);  // a wakeup that was not for it
  EXPECT_EQ(ended, 0);
  loop.wake(0);
  EXPECT_EQ(ended, 1);
  ready.notify();
  loop.wake(2);
  EXPECT_EQ(ended, 2);
  ready.notify();
  ready.notify();
  EXPECT_FALSE(begun(counting(ready.wait(loop.wait()), ended)).waits());
  EXPECT_EQ(ended, 3);
  EXPECT_TRUE(begun(counting(ready.wait(loop.wait()), ended)).waits());
}

TEST(Notifier, AWaitThatIsGivenUpPassesItsNotificationOn) {
  notifier const ready;
  by_hand loop;
  int ended = 0;
  std::optional<begun> first(counting(ready.wait(loop.wait()), ended));
  begun const second(counting(ready.wait(loop.wait()), ended));
  ready.notify();
  first.reset();
  loop.wake(1);
  EXPECT_EQ(ended, 1);
  first.emplace(counting(ready.wait(loop.wait()), ended));
  ready.notify();
  first.reset();
  EXPECT_FALSE(begun(counting(ready.wait(loop.wait()), ended)).waits()) << "it is kept";
}

TEST(Notifier, NothingIsLostBetweenThreads) {
  constexpr int threads = 4;
  constexpr int each = 500;
  notifier const ready;
  std::atomic<int> left = 0;
  std::vector<std::thread> working;
  for (int i = 0; i < threads; ++i) {
    working.emplace_back([ready, &left] {
      for (int j = 0; j < each; ++j) {
        ++left;
        ready.notify();
      }
    });
  }
  for (int taken = 0; taken != threads * each;) {
    sync_wait(ready.wait());
    taken += left.exchange(0);
  }
  for (auto& thread : working) thread.join();
}

TEST(Notifier, ManyThreadsWaitForOneSignalEach) {
  notifier const ready;
  std::atomic<int> ended = 0;
  std::vector<std::thread> waiting;
  for (int i = 0; i < 4; ++i) {
    waiting.emplace_back([ready, &ended] {
      sync_wait(ready.wait());
      ++ended;
    });
  }
  auto const end = std::chrono::steady_clock::now() + 20s;
  while (ended != 4 && std::chrono::steady_clock::now() < end) {
    ready.notify();
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_EQ(ended, 4);
  for (auto& thread : waiting) thread.join();
}

#ifndef _WIN32  // which has no fork()
TEST(ThreadEvent, AForkedChildIsRefused) {
  thread_event const event;
  ::pid_t const child = ::fork();
  if (child == 0) {
    event.set();
    bool refused = false;
    try {
      sync_wait(event.wait());
    } catch (forked_event const&) {
      refused = true;
    }
    ::_exit(refused && !event.is_set() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}
#endif
