// A channel between coroutines: bounds, order, ending, closing, every order of events, threads.
#include <agen/coroutine_channel.hpp>
#include <agen/event.hpp>
#include <agen/std_stop.hpp>
#include <agen/when.hpp>

#include "streams_support.hpp"
#include "support.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>

namespace {

using agen::async_generator;
using agen::sync_wait;
using agen::task;
using agen::streams::channel;
using agen::streams::producer;
using agen_test::all_of;
using agen_test::detached;
using agen_test::ints;
using agen_test::journal;

/// Pushes numbers from `first`, and counts those that are in the channel.
auto pushes(producer<int> from, int first, int n, int& pushed) -> detached {
  auto const out = std::move(from);  // a parameter would live until the coroutine is destroyed
  for (int i = 0; i < n; ++i) {
    if (!co_await out.push(first + i)) co_return;
    ++pushed;
  }
}

TEST(CoroutineChannel, GivesWhatIsPushedInOrder) {
  channel<int> of(2);
  int pushed = 0;
  auto const producing = pushes(of.producer(), 0, 5, pushed);
  EXPECT_EQ(pushed, 2);
  auto items = std::move(of).items();
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(*sync_wait(items.anext()), i);
    EXPECT_LE(pushed - i - 1, 2);
  }
  EXPECT_TRUE(producing.done());
  EXPECT_FALSE(sync_wait(items.anext()));
}
TEST(CoroutineChannel, AConsumerWaits) {
  channel<int> of(1);
  auto out = std::make_optional(of.producer());
  auto items = std::move(of).items();
  ints got;
  auto const consumer = [](auto& g, ints& into) -> detached {
    while (auto item = co_await g.anext()) into.push_back(*item);
  }(items, got);
  int pushed = 0;
  auto const producing = pushes(*out, 0, 3, pushed);
  EXPECT_EQ(got, (ints{0, 1, 2}));
  EXPECT_TRUE(producing.done());
  EXPECT_FALSE(consumer.done());
  out.reset();  // the last producer
  EXPECT_TRUE(consumer.done());
}
TEST(CoroutineChannel, RoomIsGivenInTheOrderOfWaiting) {
  channel<int> of(1);
  int pushed[4] = {};
  std::vector<detached> producing;
  for (int p = 0; p < 4; ++p) producing.push_back(pushes(of.producer(), 10 * p, 2, pushed[p]));
  EXPECT_EQ(all_of(std::move(of).items()), (ints{0, 1, 10, 20, 30, 11, 21, 31}));
}
TEST(CoroutineChannel, NobodyTakesThePlaceOfOneWhoWaits) {
  channel<int> of(1);
  int pushed = 0;
  auto const producing = pushes(of.producer(), 0, 3, pushed);
  auto out = of.producer();
  EXPECT_TRUE(out.try_push(9).is_full());
  auto items = std::move(of).items();
  EXPECT_EQ(*sync_wait(items.anext()), 0);  // its place is that of 1
  EXPECT_TRUE(out.try_push(9).is_full());
  EXPECT_EQ(*sync_wait(items.anext()), 1);
  EXPECT_EQ(*sync_wait(items.anext()), 2);
  EXPECT_TRUE(out.try_push(9));
  EXPECT_EQ(*sync_wait(items.anext()), 9);
}
TEST(CoroutineChannel, OfNothingIsRefused) { EXPECT_THROW(channel<int>(0), std::invalid_argument); }
TEST(CoroutineChannel, WithoutProducersIsEmpty) { EXPECT_TRUE(all_of(channel<int>(1).items()).empty()); }
TEST(CoroutineChannel, CarriesWhatCannotBeCopied) {
  channel<std::unique_ptr<int>> of(2);
  auto const producing = [](auto from) -> detached {
    auto const out = std::move(from);
    auto one = std::make_unique<int>(1);
    EXPECT_TRUE(co_await out.push(std::move(one)));
    EXPECT_EQ(one, nullptr);
    EXPECT_TRUE(co_await out.push(std::make_unique<int>(2)));
    EXPECT_TRUE(co_await out.push(nullptr));
  }(of.producer());
  auto items = std::move(of).items();
  EXPECT_EQ(**sync_wait(items.anext()), 1);
  EXPECT_EQ(**sync_wait(items.anext()), 2);
  EXPECT_EQ(*sync_wait(items.anext()), nullptr);
}
TEST(CoroutineChannel, AProducerInAGenerator) {
  channel<int> of(1);
  auto const body = [](auto out) -> async_generator<int> {
    for (int i = 0;; ++i) {
      if (!co_await out.push(i)) co_return;
      co_yield i;
    }
  };
  auto both = body(of.producer());
  EXPECT_EQ(*sync_wait(both.anext()), 0);
  auto const asks = [](auto& g) -> detached { EXPECT_EQ(*co_await g.anext(), 1); }(both);
  auto items = std::move(of).items();
  EXPECT_EQ(*sync_wait(items.anext()), 0);
  EXPECT_TRUE(asks.done());
}

TEST(CoroutineChannel, CloseEndsAfterWhatIsThere) {
  channel<int> of(2);
  auto out = of.producer();
  int pushed = 0;
  auto const producing = pushes(of.producer(), 0, 9, pushed);
  out.close();
  EXPECT_TRUE(producing.done());  // it waited for room
  EXPECT_TRUE(out.try_push(1).is_unwanted());
  EXPECT_EQ(all_of(std::move(of).items()), (ints{0, 1}));
}
TEST(CoroutineChannel, FailRaisesAfterWhatIsThere) {
  channel<int> of(2);
  auto const producing = [](auto out) -> detached {
    try {
      co_await out.push(1);
      throw std::runtime_error("failed");
    } catch (...) {
      out.fail();
    }
    out.fail(std::make_exception_ptr(std::logic_error("too late")));
  }(of.producer());
  auto items = std::move(of).items();
  EXPECT_EQ(*sync_wait(items.anext()), 1);
  EXPECT_THROW(sync_wait(items.anext()), std::runtime_error);
}
TEST(CoroutineChannel, AnItemThatCannotBeMadeFailsThePushOnly) {
  struct picky {
    explicit picky(int n) : number(n) {
      if (n == 13) throw std::runtime_error("13");
    }
    int number;
  };
  channel<picky> of(1);
  auto const producing = [](auto out) -> detached {
    for (int n : {13, 1, 13, 2}) {
      try {
        EXPECT_TRUE(co_await out.push(n));
      } catch (std::runtime_error const&) {
        EXPECT_EQ(n, 13);
      }
    }
  }(of.producer());
  auto items = std::move(of).items();
  EXPECT_EQ((*sync_wait(items.anext())).number, 1);
  EXPECT_EQ((*sync_wait(items.anext())).number, 2);
  EXPECT_TRUE(producing.done());
}

TEST(CoroutineChannel, ClosingStopsTheProducersAndAwaitsThem) {
  channel<int> of(1);
  agen::event cleaned;
  journal log;
  auto const producing = [](auto from, agen::event& e, journal& l) -> detached {
    auto const out = std::move(from);
    std::string const text(3, 'x');
    while (co_await out.push(static_cast<int>(text.size()))) continue;
    l.emplace_back(out.stop_requested() ? "stopped" : "?");
    co_await e;
    l.emplace_back("cleaned");
  }(of.producer(), cleaned, log);
  auto const other = [](auto from, journal& l) -> detached {
    auto const out = std::move(from);
    agen::event never;
    try {
      co_await agen::with_stop(out.stop_token(), never);
    } catch (agen::stopped const&) {
      l.emplace_back("stopped by token");
    }
  }(of.producer(), log);
  auto items = std::move(of).items();
  EXPECT_EQ(*sync_wait(items.anext()), 3);
  auto const closing = [](auto& g, journal& l) -> detached {
    co_await g.aclose();
    l.emplace_back("closed");
  }(items, log);
  EXPECT_EQ(log, (journal{"stopped", "stopped by token"}));
  EXPECT_FALSE(closing.done());
  cleaned.set();
  EXPECT_TRUE(closing.done());
}
TEST(CoroutineChannel, DroppingStopsTheProducers) {
  int pushed = 0;
  {
    channel<int> of(1);
    auto const producing = pushes(of.producer(), 0, 9, pushed);
    {
      auto items = std::move(of).items();
      EXPECT_FALSE(producing.done());
    }
    EXPECT_TRUE(producing.done());
  }
  std::optional<channel<int>> of(std::in_place, 1);
  auto const producing = pushes(of->producer(), 0, 9, pushed);
  of.reset();
  EXPECT_TRUE(producing.done());
  EXPECT_EQ(pushed, 2);
}
TEST(CoroutineChannel, AStopEndsAPushThatWaits) {
  channel<int> of(1);
  std::stop_source stop;
  auto const producing = [](auto out, std::stop_token token) -> detached {
    EXPECT_TRUE(co_await agen::with_stop(token, out.push(1)));
    co_await agen::with_stop(token, out.push(2));
  }(of.producer(), stop.get_token());
  EXPECT_FALSE(producing.done());
  stop.request_stop();
  EXPECT_THROW(producing.rethrow(), agen::stopped);
}
TEST(CoroutineChannel, AProducerIsDestroyedWhileItWaits) {
  channel<int> of(1);
  int pushed = 0;
  int others = 0;
  std::optional<detached> waits(pushes(of.producer(), 0, 9, pushed));
  auto const after = pushes(of.producer(), 10, 1, others);
  waits.reset();
  EXPECT_EQ(all_of(std::move(of).items()), (ints{0, 10}));
}
TEST(CoroutineChannel, ProducerAndConsumerByWhenAll) {
  channel<int> of(3);
  auto produce = [](producer<int> from) -> task<> {
    auto const out = std::move(from);
    for (int i = 0; i < 10; ++i) co_await out.push(i);
  };
  auto consume = [](async_generator<int> items) -> task<int> {
    int sum = 0;
    while (auto item = co_await items.anext()) sum += *item;
    co_return sum;
  };
  auto producing = produce(of.producer());
  auto const [nothing, sum] = sync_wait(agen::when_all(std::move(producing), consume(std::move(of).items())));
  EXPECT_EQ(sum, 45);
}

// ----------------------------------------------------------------------------------------------- threads, the model

TEST(CoroutineChannelThreads, ProducersOnThreadsLoseNothing) {
  constexpr int each = 1000;
  channel<int> of(3);
  std::vector<std::thread> threads;
  for (int p = 0; p < 3; ++p) {
    threads.emplace_back([p, out = of.producer()]() mutable {
      sync_wait([](producer<int> to, int first) -> task<> {
        for (int i = 0; i < each; ++i) EXPECT_TRUE(co_await to.push(first + i));
      }(std::move(out), p * each));
    });
  }
  ints next{0, each, 2 * each};
  auto const items = all_of(std::move(of).items());
  for (auto& thread : threads) thread.join();
  for (int item : items) EXPECT_EQ(item, next[static_cast<std::size_t>(item / each)]++);
  EXPECT_EQ(items.size(), 3U * each);
}
TEST(CoroutineChannelThreads, IsClosedAtAnyTime) {
  for (int round = 0; round < 200; ++round) {
    channel<int> of(2);
    std::vector<std::thread> threads;
    for (int p = 0; p < 2; ++p) {
      threads.emplace_back([out = of.producer()]() mutable {
        sync_wait([](producer<int> to) -> task<> {
          for (int i = 0; co_await to.push(i); ++i) continue;
        }(std::move(out)));
      });
    }
    sync_wait([](async_generator<int> items, int takes) -> task<> {
      for (int i = 0; i < takes; ++i) EXPECT_TRUE(co_await items.anext());
      co_await items.aclose();
    }(std::move(of).items(), 1 + round % 5));
    for (auto& thread : threads) thread.join();
  }
}

/// One run: two producers and a consumer. An event that cannot happen now is ignored.
class world {
 public:
  enum event { push, push_2, ask, cancel, cancel_push, leave, leave_2, fail, close, events };

  explicit world(std::size_t capacity) : capacity_(capacity), of_(std::in_place, capacity) {
    for (auto& each : producers_) each.out.emplace(of_->producer());
    items_ = std::move(*of_).items();
  }
  auto happens(event what) -> bool {
    switch (what) {
      case push:
      case push_2: {
        one& by = producers_[what - push];
        return by.out && by.running.start([&] { return push_once(by, what == push ? 0 : 100); });
      }
      case ask: return consuming_.start([this] { return ask_once(); });
      case cancel: return consuming_.busy() && stop_.request_stop();
      case cancel_push: return producers_[0].running.busy() && producers_[0].stop.request_stop();
      case leave:
      case leave_2: {
        one& by = producers_[what - leave];
        if (!by.out || by.running.busy()) return false;
        by.out.reset();
        return true;
      }
      case fail:
        if (!producers_[0].out) return false;
        producers_[0].out->fail(std::make_exception_ptr(std::runtime_error("failed")));
        failed_ = true;
        return true;
      case close: return consuming_.start([this] { return close_once(); });
      case events: break;
    }
    return false;
  }
  auto complaint() -> std::string {
    auto const in_channel = [this] {
      return producers_[0].pushed + producers_[1].pushed - static_cast<int>(got_.size());
    };
    if (in_channel() > static_cast<int>(capacity_)) return "more in the channel than its capacity";
    if (in_channel() > 0 && consuming_.busy() && !closing_) return "a consumer waits beside an item";
    for (auto& each : producers_) {
      if (each.running.busy() && in_channel() < static_cast<int>(capacity_)) return "a push waits beside room";
    }
    stop_.request_stop();
    consuming_.start([this] { return close_once(); });
    if (!began_) items_ = {};  // closing it has done nothing
    for (auto& each : producers_) {
      if (each.running.busy()) return "a push was not told that nothing is wanted";
      each.out.reset();
    }
    if (consuming_.busy()) return "a wake was lost, or closing did not end";
    consuming_.start([this] { return close_once(); });
    if (consuming_.busy() || !items_.closed()) return "the generator is not closed";
    int expected[2] = {0, 100};
    for (int n : got_) {
      if (n != expected[n / 100]++) return "an item was lost, doubled, or out of order";
    }
    return raised_ && !failed_ ? "an error from nowhere" : "";
  }

 private:
  struct one {
    std::optional<producer<int>> out;
    agen_test::operation running;
    std::stop_source stop;
    int pushed = 0;
  };
  auto push_once(one& by, int first) -> detached {
    by.stop = std::stop_source();
    try {
      if (co_await agen::with_stop(by.stop.get_token(), by.out->push(first + by.pushed))) ++by.pushed;
    } catch (agen::stopped const&) {
    }
  }
  auto ask_once() -> detached {
    stop_ = std::stop_source();
    began_ = began_ || !items_.closed();
    try {
      if (auto answer = co_await agen::with_stop(stop_.get_token(), items_.anext())) got_.push_back(*answer);
    } catch (agen::stopped const&) {
    } catch (std::runtime_error const&) {
      raised_ = true;
    }
  }
  auto close_once() -> detached {
    closing_ = true;
    try {
      co_await items_.aclose();
    } catch (std::runtime_error const&) {
      raised_ = true;
    }
  }

  std::size_t capacity_;
  std::optional<channel<int>> of_;
  one producers_[2];
  async_generator<int> items_;
  agen_test::operation consuming_;
  std::stop_source stop_;
  ints got_;
  bool began_ = false;
  bool closing_ = false;
  bool failed_ = false;
  bool raised_ = false;
};

TEST(CoroutineChannelModel, EveryOrderOfEvents) {
  EXPECT_GT(agen_test::check_all_orders<world>(6, std::size_t{1}), 300);
  EXPECT_GT(agen_test::check_all_orders<world>(5, std::size_t{2}), 300);
}

}  // namespace
