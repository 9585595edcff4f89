// agen/channel.hpp: many threads push, one generator gives. Everything here is meant for TSan, too.
#include <agen/channel.hpp>

#include <gtest/gtest.h>
#ifndef _WIN32
#include <sys/wait.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <memory>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "support.hpp"

using namespace agen;
using namespace agen_test;
using namespace std::chrono_literals;

namespace {

/// Whether `descriptor` becomes readable within `time`.
auto becomes_readable(int descriptor, std::chrono::milliseconds time) -> bool {
#ifdef _WIN32
  WSAPOLLFD watched{static_cast<SOCKET>(descriptor), POLLRDNORM, 0};
  return ::WSAPoll(&watched, 1, static_cast<int>(time.count())) == 1;
#else
  pollfd watched{descriptor, POLLIN, 0};
  return ::poll(&watched, 1, static_cast<int>(time.count())) == 1;
#endif
}

/// A way to wait that suspends: the loop is the test, which calls run_once().
class hand_made_loop {
 public:
  auto wait() {
    return [this](int descriptor) {
      struct awaiter {
        hand_made_loop* loop;
        int descriptor;
        static auto await_ready() noexcept -> bool { return false; }
        void await_suspend(std::coroutine_handle<> h) const {
          loop->descriptor_ = descriptor;
          loop->waiting_ = h;
          ++loop->waits;
        }
        void await_resume() const {
          if (auto const error = std::exchange(loop->cancelled_, nullptr)) std::rethrow_exception(error);
        }
      };
      return awaiter{this, descriptor};
    };
  }
  [[nodiscard]] auto waited_for() const -> bool { return static_cast<bool>(waiting_); }
  [[nodiscard]] auto readable(std::chrono::milliseconds time = 0ms) const -> bool {
    return becomes_readable(descriptor_, time);
  }
  /// Resumes the one that waits, its descriptor being readable or not.
  void wake() { std::exchange(waiting_, nullptr).resume(); }
  void run_once() {
    ASSERT_TRUE(readable(10s));
    wake();
  }
  void cancel(std::exception_ptr error) {
    cancelled_ = std::move(error);
    wake();
  }
  void forget() { waiting_ = nullptr; }

  int waits = 0;

 private:
  int descriptor_ = -1;
  std::coroutine_handle<> waiting_;
  std::exception_ptr cancelled_;
};

auto into(async_generator<int>& gen, std::vector<int>& got) -> detached {
  while (auto item = co_await gen.anext()) got.push_back(*item);
}
auto one(async_generator<int>& gen, int& got) -> detached {
  if (auto item = co_await gen.anext()) got = *item;
}
auto close(async_generator<int>& gen) -> detached { co_await gen.aclose(); }

auto numbers(int n, std::size_t capacity = 8) -> async_generator<int> {
  channel<int> c(capacity);
  std::thread([out = c.producer(), n] {
    for (int i = 0; i < n && out.push(i); ++i) continue;
  }).detach();
  return std::move(c).items();
}

/// Waits until a thread that is not asked about it has done something.
template <class Condition>
void until(Condition done) {
  for (auto const end = std::chrono::steady_clock::now() + 20s; !done();) {
    ASSERT_LT(std::chrono::steady_clock::now(), end) << "it never came";
    std::this_thread::sleep_for(1ms);
  }
}

TEST(Channel, GivesWhatAThreadPushesInOrder) {
  auto const got = sync_wait(collect(numbers(10'000)));
  ASSERT_EQ(got.size(), 10'000U);
  EXPECT_TRUE(std::is_sorted(got.begin(), got.end()));
}

TEST(Channel, LosesAndDoublesNothingOfManyProducers) {
  constexpr int producers = 8;
  constexpr int each = 5'000;
  channel<std::pair<int, int>> c(16);
  std::vector<std::thread> threads;
  for (int p = 0; p < producers; ++p) {
    threads.emplace_back([out = c.producer(), p] {
      for (int i = 0; i < each; ++i) {
        if (i % 3 == 0 && out.try_push(std::pair(p, i))) continue;
        EXPECT_TRUE(out.push(std::pair(p, i)));
      }
    });
  }
  std::vector<int> next(producers);
  auto const got = sync_wait(collect(std::move(c).items()));
  for (auto const& [p, i] : got) EXPECT_EQ(next[static_cast<std::size_t>(p)]++, i);
  EXPECT_EQ(std::accumulate(next.begin(), next.end(), 0), producers * each);
  for (auto& thread : threads) thread.join();
}

#ifdef _WIN32
// A signal that is lost shows only if those sent at the same time were drained before it: here all are counted instead.
TEST(Channel, SendsEverySignalOfThreadsThatSignalAtOnce) {
  constexpr int each = 1'000;
  detail::wakeup const wakeup;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < each; ++n) wakeup.signal();
    });
  }
  for (auto& thread : threads) thread.join();
  unsigned long sent = 0;
  until([&] {
    EXPECT_EQ(::ioctlsocket(static_cast<SOCKET>(wakeup.descriptor()), FIONREAD, &sent), 0);
    return sent >= threads.size() * each;
  });
}
#endif

TEST(Channel, HoldsAtMostItsCapacity) {
  channel<int> c(3);
  auto const out = c.producer();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(out.try_push(i));
  EXPECT_FALSE(out.try_push(3));
  std::atomic<bool> pushed = false;
  std::thread blocked([&pushed, o = c.producer()] {
    EXPECT_TRUE(o.push(3));
    pushed = true;
  });
  std::this_thread::sleep_for(20ms);
  EXPECT_FALSE(pushed);
  auto gen = std::move(c).items();
  EXPECT_EQ(*sync_wait(gen.anext()), 0);
  blocked.join();
  EXPECT_TRUE(pushed);
}

TEST(Channel, ACapacityOfNothingIsRefused) { EXPECT_THROW(channel<int>(0), std::invalid_argument); }

TEST(Channel, OneWakeupServesAllThatIsPushedWhileTheConsumerWaits) {
  hand_made_loop loop;
  channel<int> c(100);
  auto const out = c.producer();
  auto gen = std::move(c).items(loop.wait());
  std::vector<int> got;
  auto const consumer = into(gen, got);
  ASSERT_TRUE(loop.waited_for());
  EXPECT_FALSE(loop.readable());
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(out.push(i));
  loop.run_once();
  EXPECT_EQ(got.size(), 50U);
  EXPECT_EQ(loop.waits, 2);
  EXPECT_FALSE(loop.readable());  // drained
}

TEST(Channel, AnEarlyWakeupIsNoItem) {
  hand_made_loop loop;
  channel<int> c(4);
  auto const out = c.producer();
  auto gen = std::move(c).items(loop.wait());
  std::vector<int> got;
  auto const consumer = into(gen, got);
  loop.wake();
  EXPECT_TRUE(got.empty());
  ASSERT_TRUE(loop.waited_for());
  EXPECT_TRUE(out.push(7));
  loop.run_once();
  EXPECT_EQ(got, std::vector{7});
}

TEST(Channel, EndsWhenTheLastProducerIsGone) {
  hand_made_loop loop;
  channel<int> c(4);
  std::optional<producer<int>> first(c.producer());
  std::optional<producer<int>> second(*first);
  auto gen = std::move(c).items(loop.wait());
  std::vector<int> got;
  auto const consumer = into(gen, got);
  first.reset();
  EXPECT_FALSE(loop.readable());
  EXPECT_TRUE(second->push(1));
  second.reset();
  loop.run_once();
  EXPECT_TRUE(consumer.done());
  EXPECT_EQ(got, std::vector{1});
}

TEST(Channel, ProducersThatCameAndWentBeforeItemsDoNotCloseIt) {
  channel<int> c(4);
  {
    EXPECT_TRUE(c.producer().push(1));
  }
  {
    EXPECT_TRUE(c.producer().push(2));
  }
  EXPECT_EQ(sync_wait(collect(std::move(c).items())), (std::vector{1, 2}));
}

TEST(Channel, WithoutAProducerItIsEmpty) {
  channel<int> c(4);
  EXPECT_TRUE(sync_wait(collect(std::move(c).items())).empty());
}

TEST(Channel, CloseGivesWhatIsThereAndEndsWithTheProducersAlive) {
  channel<int> c(4);
  auto const out = c.producer();
  EXPECT_TRUE(out.push(1));
  out.close();
  EXPECT_FALSE(out.push(2));
  EXPECT_FALSE(out.stop_requested());
  auto gen = std::move(c).items();
  EXPECT_EQ(*sync_wait(gen.anext()), 1);
  EXPECT_FALSE(sync_wait(gen.anext()));
  EXPECT_TRUE(out.stop_requested());
}

TEST(Channel, CloseReleasesAProducerThatWaitsForSpace) {
  channel<int> c(1);
  auto const out = c.producer();
  EXPECT_TRUE(out.push(1));
  std::thread blocked([o = c.producer()] { EXPECT_FALSE(o.push(2)); });
  std::this_thread::sleep_for(5ms);
  out.close();
  blocked.join();
}

TEST(Channel, FailThrowsAfterTheItemsThatCameBefore) {
  channel<int> c(4);
  std::thread thread([out = c.producer()] {
    try {
      EXPECT_TRUE(out.push(1));
      throw std::runtime_error("broker gone");
    } catch (...) {
      out.fail();
    }
    out.fail(std::make_exception_ptr(std::logic_error("too late")));
  });
  auto gen = std::move(c).items();
  EXPECT_EQ(*sync_wait(gen.anext()), 1);
  // The exception's count of owners is inside libstdc++, where TSan does not see that it orders its release.
  thread.join();
  try {
    sync_wait(gen.anext());
    ADD_FAILURE() << "nothing was thrown";
  } catch (std::runtime_error const& error) {
    EXPECT_STREQ(error.what(), "broker gone");
  }
  EXPECT_FALSE(sync_wait(gen.anext()));
}

TEST(Channel, AcloseStopsTheProducersAndAwaitsThatTheyAreGone) {
  hand_made_loop loop;
  channel<int> c(1);
  std::atomic<bool> done = false;
  agen::detail::binary_semaphore may_end(0);
  std::thread thread([&, out = c.producer()]() mutable {
    auto const mine = std::move(out);
    while (mine.push(1)) continue;
    EXPECT_TRUE(mine.stop_requested());
    may_end.acquire();
    done = true;
  });
  auto gen = std::move(c).items(loop.wait());
  int got = 0;
  auto consumer = one(gen, got);
  if (loop.waited_for()) loop.run_once();
  EXPECT_EQ(got, 1);
  auto closing = close(gen);
  EXPECT_FALSE(closing.done());
  EXPECT_FALSE(loop.readable(20ms));
  may_end.release();
  while (!closing.done()) loop.run_once();
  EXPECT_TRUE(done);
  closing.rethrow();
  EXPECT_TRUE(gen.closed());
  thread.join();
}

TEST(Channel, AnExceptionAtAWaitStopsTheProducersAndLeaves) {
  hand_made_loop loop;
  channel<int> c(1);
  auto out = std::optional(c.producer());
  auto gen = std::move(c).items(loop.wait());
  int got = 0;
  auto const consumer = one(gen, got);
  loop.cancel(std::make_exception_ptr(std::runtime_error("cancelled")));
  EXPECT_TRUE(out->stop_requested());
  EXPECT_FALSE(consumer.done());  // a producer is left
  out.reset();
  loop.run_once();
  ASSERT_TRUE(consumer.done());
  EXPECT_THROW(consumer.rethrow(), std::runtime_error);
}

TEST(Channel, ASecondExceptionEndsTheWaitForProducers) {
  hand_made_loop loop;
  channel<int> c(1);
  auto const out = c.producer();
  auto gen = std::move(c).items(loop.wait());
  int got = 0;
  auto const consumer = one(gen, got);
  loop.cancel(std::make_exception_ptr(std::runtime_error("first")));
  ASSERT_TRUE(loop.waited_for());
  loop.cancel(std::make_exception_ptr(std::logic_error("second")));
  ASSERT_TRUE(consumer.done());
  EXPECT_THROW(consumer.rethrow(), std::logic_error);
  EXPECT_FALSE(out.push(1));
}

TEST(Channel, WhereNothingCanBeWaitedWithNobodyWaitsForProducers) {
  channel<int> c(4);
  auto const out = c.producer();
  EXPECT_TRUE(out.push(1));
  auto gen = std::move(c).items([](int) -> std::suspend_always { throw std::logic_error("no event loop"); });
  EXPECT_EQ(*sync_wait(gen.anext()), 1);
  sync_wait(gen.aclose());
  EXPECT_TRUE(gen.closed());
  EXPECT_FALSE(out.push(2));
}

TEST(Channel, ADroppedGeneratorStopsTheProducersAndWaitsForNothing) {
  agen::detail::binary_semaphore may_end(0);
  std::thread thread;
  {
    channel<int> c(1);
    thread = std::thread([&, out = c.producer()] {
      while (out.push(1)) continue;
      may_end.acquire();
    });
    auto gen = std::move(c).items();
    EXPECT_EQ(*sync_wait(gen.anext()), 1);
  }  // the producer is alive, and this returned
  may_end.release();
  thread.join();
}

TEST(Channel, AGeneratorDroppedWhileItWaitsIsNotWoken) {
  hand_made_loop loop;
  channel<int> c(4);
  auto const out = c.producer();
  {
    auto gen = std::move(c).items(loop.wait());
    int got = 0;
    auto const consumer = one(gen, got);
    ASSERT_TRUE(loop.waited_for());
  }
  loop.forget();
  EXPECT_FALSE(out.push(1));
  EXPECT_FALSE(loop.readable());
}

TEST(Channel, AChannelThatIsNeverIteratedStopsItsProducers) {
  auto c = std::optional<channel<int>>(std::in_place, 1U);
  auto const out = c->producer();
  EXPECT_TRUE(out.push(1));
  std::thread blocked([o = out] { EXPECT_FALSE(o.push(2)); });
  std::this_thread::sleep_for(5ms);
  c.reset();
  blocked.join();
  EXPECT_TRUE(out.stop_requested());
}

TEST(Channel, AGeneratorThatNeverBeganStopsItsProducersWhenItIsDropped) {
  channel<int> c(1);
  auto const out = c.producer();
  {
    auto const gen = std::move(c).items();
  }
  EXPECT_TRUE(out.stop_requested());
}

TEST(Channel, DroppingInTheMiddleRacesWithNoProducer) {
  for (int round = 0; round < 200; ++round) {
    auto gen = numbers(1'000'000, 4);
    for (int i = 0; i < round % 7; ++i) EXPECT_EQ(*sync_wait(gen.anext()), i);
  }
}

#ifdef __cpp_lib_jthread
TEST(Channel, StopCallbacksRunWhenTheGeneratorCloses) {
  channel<int> c(1);
  std::thread thread([out = c.producer()] {
    agen::detail::binary_semaphore interrupted(0);
    std::stop_callback const interrupt(out.stop_token(), [&] { interrupted.release(); });
    EXPECT_TRUE(out.push(1));
    interrupted.acquire();  // an engine that is busy until it is told
  });
  auto gen = std::move(c).items();
  EXPECT_EQ(*sync_wait(gen.anext()), 1);
  sync_wait(gen.aclose());
  thread.join();
}
#endif

TEST(Channel, MoveOnlyItemsPassThrough) {
  channel<std::unique_ptr<int>> c(2);
  std::thread thread([out = c.producer()] {
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(out.push(std::make_unique<int>(i)));
  });
  auto const sum = sync_wait([](channel<std::unique_ptr<int>> from) -> task<int> {
    int total = 0;
    auto gen = std::move(from).items();
    while (auto item = co_await gen.anext()) {
      std::unique_ptr<int> const mine = std::move(*item);
      total += *mine;
    }
    co_return total;
  }(std::move(c)));
  EXPECT_EQ(sum, 4950);
  thread.join();
}

TEST(Channel, ARefusedItemStaysTheProducers) {
  channel<std::unique_ptr<int>> c(1);
  auto const out = c.producer();
  EXPECT_TRUE(out.push(std::make_unique<int>(1)));
  auto second = std::make_unique<int>(2);
  EXPECT_FALSE(out.try_push(std::move(second)));
  ASSERT_NE(second, nullptr);
  out.close();
  EXPECT_FALSE(out.push(std::move(second)));
  EXPECT_NE(second, nullptr);
}

struct fragile {
  explicit fragile(int n) : value(n) {}
  fragile(fragile&& other) : value(other.value) {  // NOLINT: what it is for
    if (value == 13) throw std::runtime_error("thirteen");
  }
  auto operator=(fragile&&) -> fragile& = default;
  int value;
};

TEST(Channel, AnItemWhoseMoveThrowsIsNotPushedAndHarmsNone) {
  channel<fragile> c(100);
  std::thread thread([out = c.producer()] {
    for (int i = 0; i < 50; ++i) {
      if (i == 13) {
        EXPECT_THROW(out.push(fragile(i)), std::runtime_error);
      } else {
        EXPECT_TRUE(out.push(fragile(i)));
      }
    }
  });
  auto const got = sync_wait([](channel<fragile> from) -> task<std::vector<int>> {
    std::vector<int> all;
    auto gen = std::move(from).items();
    while (auto item = co_await gen.anext()) all.push_back(item->value);
    co_return all;
  }(std::move(c)));
  ASSERT_EQ(got.size(), 49U);
  EXPECT_EQ(got[12], 12);
  EXPECT_EQ(got[13], 14);
  thread.join();
}

TEST(Channel, ItemsThatNobodyTookAreDestroyed) {
  auto const counted = std::make_shared<int>(1);
  {
    channel<std::shared_ptr<int>> c(10);
    auto const out = c.producer();
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(out.push(counted));
    auto gen = std::move(c).items();
    EXPECT_EQ(**sync_wait(gen.anext()), 1);
    EXPECT_EQ(counted.use_count(), 11);
  }
  EXPECT_EQ(counted.use_count(), 1);
}

#ifndef _WIN32  // which has no fork()
TEST(Channel, AForkedChildMayDropTheGeneratorAndNotIterateIt) {
  // The child has none of the producers' threads, perhaps one of their locks: what it does must end.
  auto gen = numbers(1'000'000, 2);
  EXPECT_EQ(*sync_wait(gen.anext()), 0);
  EXPECT_EQ(*sync_wait(gen.anext()), 1);
  for (int round = 0; round < 20; ++round) {
    auto const child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::alarm(20);
      bool refused = false;
      try {
        for (;;) sync_wait(gen.anext());
      } catch (forked_channel const&) {
        refused = true;
      }
      {
        auto const dropped = std::move(gen);
      }
      ::_exit(refused ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(*sync_wait(gen.anext()), round + 2);  // the parent has lost nothing
  }
}
#endif

#ifndef _WIN32  // which does not list descriptors
TEST(Channel, NoDescriptorIsLeftOpen) {
  auto const open = [] { return std::distance(std::filesystem::directory_iterator("/dev/fd"), {}); };
  auto const before = open();  // a thread of an earlier test may still have one, and let go of it later
  for (int i = 0; i < 100; ++i) EXPECT_EQ(sync_wait(collect(numbers(3))).size(), 3U);
  until([&] { return open() <= before; });  // the last threads are about to let go
}
#endif

TEST(Channel, TryPushTellsFullFromStopped) {
  channel<int> channel(1);
  auto const out = channel.producer();
  auto const first = out.try_push(1);
  EXPECT_TRUE(first);
  EXPECT_FALSE(first.is_full());
  EXPECT_FALSE(first.is_unwanted());
  auto const second = out.try_push(2);
  EXPECT_FALSE(second);
  EXPECT_TRUE(second.is_full());
  EXPECT_FALSE(second.is_unwanted());
  out.close();
  EXPECT_TRUE(out.try_push(3).is_unwanted());
  EXPECT_FALSE(out.try_push(3).is_full());
}

TEST(Channel, TryPushIntoAStoppedChannelIsUnwanted) {
  auto channel = std::make_unique<agen::channel<int>>(1);
  auto const out = channel->producer();
  EXPECT_TRUE(out.try_push(1));
  channel.reset();
  EXPECT_TRUE(out.try_push(2).is_unwanted());
}

// For the page on back-pressure: a producer that may not block.
void offer(agen::producer<std::string> const& out, std::string row, std::vector<std::string>& later) {
  // [offer]
  auto const tried = out.try_push(std::move(row));
  if (tried.is_full()) later.push_back(std::move(row));  // untouched: try again later
  if (tried.is_unwanted()) return;                       // closed or stopped
  // [/offer]
}

TEST(Channel, GivesBatchesOfWhatIsThere) {
  channel<std::unique_ptr<int>> c(10);
  auto const out = c.producer();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(out.push(std::make_unique<int>(i)));
  auto gen = std::move(c).batches(3);
  std::vector<int> got;
  for (std::size_t const expected : {3U, 2U}) {
    auto batch = sync_wait(gen.anext());
    EXPECT_EQ((*batch).size(), expected);
    for (auto const& each : *batch) got.push_back(*each);
  }
  EXPECT_EQ(got, (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_TRUE(out.push(std::make_unique<int>(5)));
  try {
    throw std::runtime_error("the end");
  } catch (...) {
    out.fail();
  }
  EXPECT_EQ((*sync_wait(gen.anext())).size(), 1U);
  EXPECT_THROW(sync_wait(gen.anext()), std::runtime_error);
  EXPECT_THROW(static_cast<void>(channel<int>(1).batches(0)), std::invalid_argument);
}

// [space]
/// An engine that answers on one thread and must not block there.
class pump : public std::enable_shared_from_this<pump> {
 public:
  pump(agen::producer<int> out, int n) : out_(std::move(out)), n_(n) {}
  /// Pushes until the channel is full, and goes on when there is space again.
  void run() {
    for (; next_ != n_; ++next_) {
      auto tried = out_->try_push(next_);
      while (tried.is_full()) {
        if (out_->when_space([self = shared_from_this()] { self->run(); })) return;
        tried = out_->try_push(next_);
      }
      if (tried.is_unwanted()) break;
    }
    out_.reset();  // no more items
  }

 private:
  std::optional<agen::producer<int>> out_;
  int n_;
  int next_ = 0;
};
// [/space]

TEST(Channel, CallsBackAProducerThatMayNotBlock) {
  channel<int> c(3);
  std::make_shared<pump>(c.producer(), 1000)->run();
  auto const got = sync_wait(collect(std::move(c).items()));
  ASSERT_EQ(got.size(), 1000U);
  EXPECT_TRUE(std::is_sorted(got.begin(), got.end()));
}

TEST(Channel, CallsBackOnceWhenThereIsSpace) {
  channel<int> c(2);
  auto const out = c.producer();
  int calls = 0;
  int replaced = 0;
  EXPECT_FALSE(out.when_space([&] { ++calls; })) << "there is space";
  EXPECT_TRUE(out.push(1));
  EXPECT_TRUE(out.push(2));
  EXPECT_TRUE(out.when_space([&] { ++replaced; }));
  EXPECT_TRUE(out.when_space([&] { ++calls; }));
  EXPECT_EQ(calls, 0);
  auto gen = std::move(c).items();
  EXPECT_EQ(*sync_wait(gen.anext()), 1);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(*sync_wait(gen.anext()), 2);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(replaced, 0);
}

TEST(Channel, CallsBackWhenNoItemIsWanted) {
  for (bool const closed : {true, false}) {
    std::optional<channel<int>> c(1);
    auto const out = c->producer();
    auto const other = out;
    EXPECT_TRUE(out.push(1));
    int calls = 0;
    EXPECT_TRUE(out.when_space([&] { calls += out.try_push(2).is_unwanted() ? 1 : 100; }));
    EXPECT_TRUE(other.when_space([&] { calls += other.when_space({}) ? 100 : 1; }));
    if (closed) {
      other.close();
    } else {
      c.reset();
    }
    EXPECT_EQ(calls, 2);
    EXPECT_FALSE(out.when_space([] {}));
  }
}

TEST(Channel, DropsTheCallbackOfAProducerThatIsGone) {
  channel<int> c(1);
  auto const held = std::make_shared<int>(0);
  auto const other = c.producer();
  {
    auto const out = c.producer();
    EXPECT_TRUE(out.push(1));
    EXPECT_TRUE(out.when_space([held] { ++*held; }));
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_TRUE(other.when_space([held, other] { ++*held; })) << "it may keep a producer";
  auto gen = std::move(c).items();
  EXPECT_EQ(*sync_wait(gen.anext()), 1);
  EXPECT_EQ(*held, 1);
  EXPECT_EQ(held.use_count(), 1);
}

TEST(Channel, CallsBackManyProducersWhileTheyComeAndGo) {
  for (int round = 0; round < 20; ++round) {
    channel<int> c(2);
    std::vector<std::thread> threads;
    for (int p = 0; p < 4; ++p) {
      threads.emplace_back([out = c.producer()]() mutable {
        for (int i = 0; i < 50; ++i) {
          std::atomic<int> calls = 0;
          auto const mine = out;  // destroyed first, and with it the callback
          auto const full = mine.try_push(i).is_full();
          if (full && mine.when_space([&calls] { ++calls; })) std::this_thread::yield();
          EXPECT_LE(calls.load(), 1);
        }
        std::make_shared<pump>(std::move(out), 100)->run();
      });
    }
    auto const got = sync_wait(collect(std::move(c).items()));
    EXPECT_GE(got.size(), 400U);
    for (auto& thread : threads) thread.join();
  }
}

TEST(Channel, WhatDidNotFitIsKept) {
  channel<std::string> channel(1);
  std::vector<std::string> later;
  for (auto const* row : {"first", "second"}) offer(channel.producer(), row, later);
  EXPECT_EQ(later, std::vector<std::string>{"second"});
}

}  // namespace
