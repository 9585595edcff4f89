// prefetch: how far ahead it is, what becomes of what nobody takes, every order of events, threads.
#include <agen/event.hpp>
#include <agen/std_stop.hpp>
#include <agen/streams.hpp>

#include "streams_support.hpp"
#include "support.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>

namespace {

using agen::async_generator;
using agen::sync_wait;
using agen_test::all_of;
using agen_test::count;
using agen_test::detached;
using agen_test::ints;
using agen_test::scripted;
namespace streams = agen::streams;

/// Counts how often it was asked.
auto counted(int& asked, int items) -> async_generator<int> {
  for (int i = 0; i < items; ++i) {
    ++asked;
    co_yield i;
  }
}

class Prefetch : public testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Of, Prefetch, testing::Values(1, 2, 3, 8));

TEST_P(Prefetch, IsNeverMoreThanNAheadAndWorksWhileItsConsumerDoes) {
  int asked = 0;
  int taken = 0;
  auto stream = streams::prefetch(counted(asked, 10), GetParam());
  EXPECT_EQ(asked, 0);
  while (auto item = sync_wait(stream.anext())) {
    EXPECT_EQ(*item, taken);
    ++taken;
    EXPECT_LE(asked - taken, static_cast<int>(GetParam()));
    EXPECT_TRUE(asked == 10 || asked > taken);
  }
  EXPECT_EQ(taken, 10);
}
TEST(Prefetch, ASourceThatWaitsGoesOnWithoutItsConsumer) {
  scripted source;
  auto stream = streams::prefetch(source.generator(0), 3);
  auto const consumer = [](auto& s) -> detached { EXPECT_EQ(*co_await s.anext(), 0); }(stream);
  source.go(scripted::item);
  EXPECT_TRUE(consumer.done());
  for (int i = 0; i < 3; ++i) source.go(scripted::item);
  EXPECT_FALSE(source.waits());  // three ahead: it is not asked any more
  for (int i = 1; i < 4; ++i) EXPECT_EQ(*sync_wait(stream.anext()), i);
  EXPECT_TRUE(source.waits());
  sync_wait(stream.aclose());
  EXPECT_FALSE(source.open);
}
TEST(Prefetch, AllItemsOfShortSources) {
  EXPECT_TRUE(all_of(streams::prefetch(count(0), 2)).empty());
  EXPECT_EQ(all_of(streams::prefetch(count(1), 2)), ints{0});
  EXPECT_EQ(all_of(streams::prefetch(streams::merge(count(2), count(2)), 1)), (ints{0, 0, 1, 1}));
  EXPECT_EQ(all_of(count(3) | streams::prefetch(2)), (ints{0, 1, 2}));
}
TEST(Prefetch, OfNothingIsRefused) {
  EXPECT_THROW(static_cast<void>(streams::prefetch(count(1), 0)), std::invalid_argument);
}

TEST(Prefetch, HandsBackWhatWasFetchedAndNotTaken) {
  int asked = 0;
  ints left;
  auto const take = [&left](ints items) { left = std::move(items); };
  {
    auto stream = streams::prefetch(counted(asked, 10), 3, take);
    EXPECT_EQ(*sync_wait(stream.anext()), 0);
    sync_wait(stream.aclose());
    EXPECT_EQ(left, (ints{1, 2}));
    EXPECT_EQ(asked, 3);
  }
  left.clear();
  EXPECT_EQ(all_of(streams::prefetch(counted(asked, 2), 3, take)), (ints{0, 1}));
  EXPECT_TRUE(left.empty());
  auto stream = counted(asked, 9) | streams::prefetch(2, take);
  sync_wait(stream.anext());
  sync_wait(stream.aclose());
  EXPECT_EQ(left, (ints{1, 2}));
}
TEST(Prefetch, HandsBackWhatASourceGivesWhenItIsStopped) {
  agen::event never;
  auto yields_once_more = [](agen::event& e) -> async_generator<int> {
    co_yield 0;
    try {
      co_await e;
    } catch (agen::stopped const&) {
    }
    co_yield 1;
  };
  ints left;
  auto stream = streams::prefetch(yields_once_more(never), 2, [&left](ints items) { left = std::move(items); });
  EXPECT_EQ(*sync_wait(stream.anext()), 0);
  sync_wait(stream.aclose());
  EXPECT_EQ(left, ints{1});
}
TEST(Prefetch, ItemsOfAnLvalueThatNobodyTookAreHandedBackToo) {
  auto source = count(9);
  ints left;
  {
    auto stream = streams::prefetch(source, 2, [&left](ints items) { left = std::move(items); });
    EXPECT_EQ(*sync_wait(stream.anext()), 0);
    sync_wait(stream.aclose());
  }
  EXPECT_EQ(left, (ints{1, 2}));
  EXPECT_EQ(*sync_wait(source.anext()), 3);
}
TEST(Prefetch, AnLvalueThatWaitsGoesOn) {
  scripted of;
  auto source = of.generator(0);
  {
    auto stream = streams::prefetch(source, 2);
    auto const consumer = [](auto& s) -> detached { co_await s.anext(); }(stream);
    of.go(scripted::item);
    sync_wait(stream.aclose());
  }
  EXPECT_TRUE(source.running());
  of.go(scripted::item);
  EXPECT_EQ(*sync_wait(source.anext()), 1);
}

auto fails_after(int items, char const* text) -> async_generator<int> {
  for (int i = 0; i < items; ++i) co_yield i;
  throw std::runtime_error(text);
}
TEST(Prefetch, WhatCameBeforeAnErrorIsGivenBeforeIt) {
  auto stream = streams::prefetch(fails_after(2, "late"), 5);
  EXPECT_EQ(*sync_wait(stream.anext()), 0);
  EXPECT_EQ(*sync_wait(stream.anext()), 1);
  EXPECT_THROW(sync_wait(stream.anext()), std::runtime_error);
  EXPECT_TRUE(stream.closed());
}
TEST(Prefetch, AnErrorThatWasFetchedIsRaisedAtTheLatestWhenTheStreamIsClosed) {
  ints left;
  auto stream = streams::prefetch(fails_after(2, "ahead"), 5, [&left](ints items) { left = std::move(items); });
  EXPECT_EQ(*sync_wait(stream.anext()), 0);
  EXPECT_THROW(sync_wait(stream.aclose()), std::runtime_error);
  EXPECT_EQ(left, ints{1});
}
TEST(Prefetch, WhatClosingRaisesComesOut) {
  auto source = []() -> async_generator<int> {
    bool closed = false;
    try {
      for (;;) co_yield 1;
    } catch (agen::generator_exit const&) {
      closed = true;
    }
    if (closed) throw std::logic_error("cleanup");
  };
  auto stream = streams::prefetch(source(), 2);
  sync_wait(stream.anext());
  EXPECT_THROW(sync_wait(stream.aclose()), std::logic_error);
}
TEST(Prefetch, AnItemThatCannotBeCopiedFailsTheStreamAndStaysWithAnLvalue) {
  struct once {
    explicit once(int& n) : left(&n) {}
    once(once const& other) : left(other.left) {
      if (--*left < 0) throw std::runtime_error("copy");
    }
    int* left;
  };
  auto items = [](int& n) -> async_generator<once> {
    for (;;) co_yield once(n);
  };
  int copies = 1;
  auto source = items(copies);
  {
    auto stream = streams::prefetch(source, 3);
    EXPECT_TRUE(sync_wait(stream.anext()));
    EXPECT_THROW(sync_wait(stream.anext()), std::runtime_error);
  }
  EXPECT_EQ(source.state(), agen::state::suspended);
  EXPECT_TRUE(sync_wait(source.anext()));
}
TEST(Prefetch, MovesWhatCannotBeCopied) {
  auto items = []() -> async_generator<std::unique_ptr<int>> {
    for (int i = 0; i < 3; ++i) co_yield std::make_unique<int>(i);
  };
  auto stream = streams::prefetch(items(), 2);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(**sync_wait(stream.anext()), i);
}
TEST(Prefetch, AStopArrivesInTheConsumerAndClosesTheSource) {
  scripted of;
  std::stop_source stop;
  auto stream = streams::prefetch(of.generator(0), 2);
  bool stopped = false;
  auto const consumer = [](auto& s, std::stop_token token, bool& at_end) -> detached {
    try {
      co_await agen::with_stop(token, s.anext());
    } catch (agen::stopped const&) {
      at_end = true;
    }
  }(stream, stop.get_token(), stopped);
  stop.request_stop();
  EXPECT_TRUE(stopped);
  EXPECT_FALSE(of.open);
}
TEST(Prefetch, AStopThatComesBeforeAnItemDoesNotStopTheCleanup) {
  agen_test::gate item;
  agen::event cleaned;
  agen_test::journal log;
  agen_test::expect_cleanup_after_stop(streams::prefetch(agen_test::hears_late(item, cleaned, log), 1), item, cleaned,
                                       log);
}
TEST(Prefetch, IsDroppedAtAnyPoint) {
  scripted of, other;
  {
    auto stream = streams::prefetch(count(9), 3);
    sync_wait(stream.anext());
  }
  {
    auto stream = streams::prefetch(of.generator(0), 3);
    auto const consumer = [](auto& s) -> detached { co_await s.anext(); }(stream);
    of.go(scripted::item);  // and waits for the second
  }
  {
    auto const consumer = [](auto s) -> detached { co_await s.anext(); }(streams::prefetch(other.generator(0), 3));
  }
}
TEST(Prefetch, IsDroppedByAConsumerThatTheSourceHasResumed) {
  scripted of;
  std::optional<async_generator<int>> stream(streams::prefetch(of.generator(0), 3));
  // The answer resumes the first consumer, which hands on to a second one that drops the stream.
  agen_test::gate gate;
  auto const first = [](auto& s, agen_test::gate& g) -> detached {
    co_await s->anext();
    g.open();
  }(stream, gate);
  auto const second = [](auto& s, agen_test::gate& g) -> detached {
    co_await g;
    s.reset();
  }(stream, gate);
  of.go(scripted::item);
  EXPECT_TRUE(first.done() && second.done());
}

// ----------------------------------------------------------------------------------------------- threads, the model

TEST(PrefetchThreads, ASourceOnAThreadLosesNothing) {
  constexpr int items = 2000;
  for (std::size_t n : {std::size_t{1}, std::size_t{4}, std::size_t{64}}) {
    agen_test::worker worker;
    std::atomic<int> asked = 0;
    auto source = [](agen_test::worker& on, std::atomic<int>& count) -> async_generator<int> {
      for (int i = 0; i < items; ++i) {
        if (i % 3 == 0) co_await on.hop();
        ++count;
        co_yield i;
      }
    };
    auto consume = [](auto stream, std::atomic<int>& count, int most) -> agen::task<int> {
      int next = 0;
      while (auto item = co_await stream.anext()) {
        EXPECT_EQ(*item, next++);
        EXPECT_LE(count - next, most);
      }
      co_return next;
    };
    EXPECT_EQ(sync_wait(consume(streams::prefetch(source(worker, asked), n), asked, static_cast<int>(n))), items);
  }
}
TEST(PrefetchThreads, IsClosedWhileASourceWorksOnAThread) {
  for (int round = 0; round < 200; ++round) {
    agen_test::worker works, consumes;
    std::atomic<int> made = 0;
    ints left;
    auto source = [](agen_test::worker& on, std::atomic<int>& count) -> async_generator<int> {
      for (int i = 0;; ++i) {
        co_await on.hop();
        ++count;
        co_yield i;
      }
    };
    auto consume = [](auto stream, agen_test::worker& on, int takes) -> agen::task<> {
      for (int i = 0; i < takes; ++i) {
        EXPECT_EQ(*co_await stream.anext(), i);
        co_await on.hop();
      }
      co_await stream.aclose();
    };
    int const takes = 1 + round % 5;
    sync_wait(consume(streams::prefetch(source(works, made), 3, [&left](ints items) { left = std::move(items); }),
                      consumes, takes));
    EXPECT_EQ(made, takes + static_cast<int>(left.size()));
    for (std::size_t i = 0; i < left.size(); ++i) EXPECT_EQ(left[i], takes + static_cast<int>(i));
  }
}

/// One run: a source and a consumer. An event that cannot happen now is ignored.
class world {
 public:
  enum event { item, end, error, ask, cancel, close, events };

  explicit world(std::size_t n) : most_(static_cast<int>(n)) {
    stream_ = streams::prefetch(source_.generator(0), n, [this](ints items) { left_ = std::move(items); });
  }
  auto happens(event what) -> bool {
    switch (what) {
      case ask: return operation_.start([this] { return asks(); });
      case close: return operation_.start([this] { return closes(); });
      case cancel: return operation_.busy() && stop_.request_stop();
      default: break;
    }
    if (!source_.waits()) return false;
    failed_ = failed_ || what == error;
    source_.go(static_cast<scripted::step>(what));
    return true;
  }
  auto complaint() -> std::string {
    int const ahead = source_.given - static_cast<int>(got_.size()) - static_cast<int>(left_.size());
    if (ahead > most_) return "too far ahead";
    if (operation_.busy() && ahead != 0) return "a consumer waits beside an item";
    if (operation_.busy() && !source_.waits()) return "a consumer waits, and nobody asks the source";
    if (operation_.busy()) stop_.request_stop();
    if (operation_.busy()) return "an operation that was stopped did not end: a wake was lost";
    operation_.start([this] { return closes(); });
    if (operation_.busy()) return "closing did not end";
    if (!stream_.closed()) return "the stream is not closed";
    if (source_.open) return "the source is open";
    ints all = got_;
    all.insert(all.end(), left_.begin(), left_.end());
    if (static_cast<int>(all.size()) != source_.given) return "an item was lost";
    for (int i = 0; i < source_.given; ++i) {
      if (all[static_cast<std::size_t>(i)] != i) return "an item was doubled, or out of order";
    }
    if (raised_ != failed_) return failed_ ? "an error was lost" : "an error from nowhere";
    return "";
  }

 private:
  auto asks() -> detached {
    stop_ = std::stop_source();
    try {
      if (auto answer = co_await agen::with_stop(stop_.get_token(), stream_.anext())) got_.push_back(*answer);
    } catch (agen::stopped const&) {
    } catch (std::runtime_error const&) {
      raised_ = true;
    }
  }
  auto closes() -> detached {
    try {
      co_await stream_.aclose();
    } catch (std::runtime_error const&) {
      raised_ = true;
    }
  }

  int most_;
  scripted source_;
  async_generator<int> stream_;
  ints left_;
  std::stop_source stop_;
  ints got_;
  bool failed_ = false;
  bool raised_ = false;
  agen_test::operation operation_;
};

TEST(PrefetchModel, EveryOrderOfEvents) {
  for (std::size_t n : {std::size_t{1}, std::size_t{2}, std::size_t{3}}) {
    EXPECT_GT(agen_test::check_all_orders<world>(6, n), 250);
  }
}

}  // namespace
