// broadcast: what each reader gets, the three ways with slow ones, closing, every order of events, threads.
#include <agen/broadcast.hpp>
#include <agen/event.hpp>
#include <agen/std_stop.hpp>

#include "streams_support.hpp"
#include "support.hpp"

#include <gtest/gtest.h>

#include <algorithm>
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

auto read(async_generator<int const&>& reader, ints& into) -> detached {
  while (auto item = co_await reader.anext()) into.push_back(*item);
}
/// Counts what it has given; says when it was closed.
struct watched {
  int asked = 0;
  int closed = 0;
  auto items(int n) -> async_generator<int> {
    std::exception_ptr error;
    try {
      for (int i = 0; i < n; ++i) {
        ++asked;
        co_yield i;
      }
    } catch (...) {
      error = std::current_exception();
    }
    ++closed;
    if (error) std::rethrow_exception(error);
  }
};

TEST(Broadcast, GivesEachReaderAllItemsFromOnePuller) {
  watched source;
  streams::broadcast shared(source.items(50), 4);
  std::vector<async_generator<int const&>> readers;
  std::vector<ints> got(3);
  for (int i = 0; i < 3; ++i) readers.push_back(shared.reader());
  std::vector<detached> running;
  for (std::size_t i = 0; i < 3; ++i) running.push_back(read(readers[i], got[i]));
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(running[i].done());
  for (auto const& each : got) EXPECT_EQ(each, all_of(count(50)));
  EXPECT_EQ(source.asked, 50);
  EXPECT_EQ(source.closed, 1);
}
TEST(Broadcast, OneReaderIsNeverAhead) {
  watched source;
  streams::broadcast shared(source.items(9));
  auto reader = shared.reader();
  EXPECT_EQ(source.asked, 0);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(*sync_wait(reader.anext()), i);
    EXPECT_EQ(source.asked, i + 1);
  }
}
TEST(Broadcast, ReadersShareOneObject) {
  auto items = []() -> async_generator<std::unique_ptr<int>> { co_yield std::make_unique<int>(7); };
  streams::broadcast shared(items());
  auto one = shared.reader();
  auto other = shared.reader();
  auto const first = sync_wait(one.anext());
  auto const second = sync_wait(other.anext());
  EXPECT_EQ(&*first, &*second);
  EXPECT_EQ(**first, 7);
}
TEST(Broadcast, AReaderGetsWhatComesFromWhenItWasMade) {
  streams::broadcast<long> shared(count(4));
  auto one = shared.reader();
  sync_wait(one.anext());
  auto late = shared.reader();
  sync_wait(one.anext());
  EXPECT_EQ(all_of(std::move(late)), (std::vector<long>{1, 2, 3}));
}
TEST(Broadcast, ThatKeepsNothingIsRefused) { EXPECT_THROW(streams::broadcast(count(1), 0), std::invalid_argument); }

TEST(Broadcast, ASlowReaderKeepsTheOthersWaiting) {
  watched source;
  streams::broadcast shared(source.items(9), 2);
  auto slow = shared.reader();
  auto fast = shared.reader();
  ints got;
  auto const reads = read(fast, got);
  EXPECT_EQ(got, (ints{0, 1}));
  EXPECT_FALSE(reads.done());
  EXPECT_EQ(*sync_wait(slow.anext()), 0);
  EXPECT_EQ(got, (ints{0, 1, 2}));
  EXPECT_EQ(all_of(std::move(slow)), (ints{1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_TRUE(reads.done());
  EXPECT_EQ(got, all_of(count(9)));
}
TEST(Broadcast, ASlowReaderLosesTheOldestItems) {
  streams::broadcast shared(count(9), 2, streams::slow::drop);
  auto slow = shared.reader();
  EXPECT_EQ(all_of(shared.reader()), all_of(count(9)));
  EXPECT_EQ(all_of(std::move(slow)), (ints{7, 8}));
}
TEST(Broadcast, ASlowReaderGetsAnErrorAfterWhatIsKept) {
  streams::broadcast shared(count(9), 2, streams::slow::error);
  auto slow = shared.reader();
  auto fast = shared.reader();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(*sync_wait(fast.anext()), i);
  EXPECT_EQ(*sync_wait(slow.anext()), 0);  // by now it has lost the third
  EXPECT_EQ(*sync_wait(fast.anext()), 3);
  EXPECT_EQ(*sync_wait(slow.anext()), 1);
  EXPECT_THROW(sync_wait(slow.anext()), agen::slow_reader);
  EXPECT_EQ(all_of(std::move(fast)), (ints{4, 5, 6, 7, 8}));
}

TEST(Broadcast, TheLastReaderClosesTheSourceAndADroppedOneKeepsNobody) {
  watched source;
  streams::broadcast shared(source.items(9), 2);
  auto one = shared.reader();
  {
    auto other = shared.reader();
    sync_wait(other.anext());
  }
  for (int i = 0; i < 5; ++i) EXPECT_EQ(*sync_wait(one.anext()), i);
  EXPECT_EQ(source.closed, 0);
  sync_wait(one.aclose());
  EXPECT_EQ(source.closed, 1);
  EXPECT_TRUE(all_of(shared.reader()).empty());
}
TEST(Broadcast, ADroppedReaderLetsTheOthersGoOn) {
  streams::broadcast shared(count(5), 1);
  auto fast = shared.reader();
  ints got;
  std::optional<async_generator<int const&>> slow(shared.reader());
  auto const reads = read(fast, got);
  EXPECT_EQ(got, ints{0});
  slow.reset();
  EXPECT_EQ(got, all_of(count(5)));
}
auto fails_after(int items) -> async_generator<int> {
  for (int i = 0; i < items; ++i) co_yield i;
  throw std::runtime_error("failed");
}
TEST(Broadcast, EachReaderGetsTheError) {
  streams::broadcast shared(fails_after(2));
  auto one = shared.reader();
  auto other = shared.reader();
  for (auto* reader : {&one, &other}) {
    EXPECT_EQ(*sync_wait(reader->anext()), 0);
    EXPECT_EQ(*sync_wait(reader->anext()), 1);
    EXPECT_THROW(sync_wait(reader->anext()), std::runtime_error);
  }
  auto late = shared.reader();
  EXPECT_THROW(sync_wait(late.anext()), std::runtime_error);
  sync_wait(shared.aclose());  // it was raised already
}
TEST(Broadcast, AnErrorThatNobodyGotIsRaisedAtTheEnd) {
  for (bool by_reader : {true, false}) {
    scripted source;
    streams::broadcast shared(source.generator(0));
    auto one = shared.reader();
    auto other = shared.reader();
    ints got;
    auto const reads = read(one, got);
    source.go(scripted::item);
    EXPECT_EQ(*sync_wait(other.anext()), 0);
    std::stop_source stop;
    auto gives_up = [](auto& reader, std::stop_token token) -> detached {
      co_await agen::with_stop(token, reader.anext());
    };
    auto third = shared.reader();
    auto const gave_up = gives_up(third, stop.get_token());
    stop.request_stop();
    EXPECT_TRUE(gave_up.done());
    std::optional<async_generator<int const&>> dropped(std::move(one));
    dropped.reset();  // it waited: by now nobody does
    source.go(scripted::error);
    if (by_reader) {
      EXPECT_THROW(sync_wait(other.aclose()), std::runtime_error);
      sync_wait(shared.aclose());
    } else {
      EXPECT_THROW(sync_wait(shared.aclose()), std::runtime_error);
      sync_wait(other.aclose());
    }
  }
}
TEST(Broadcast, AReaderThatNeverBeganKeepsTheSourceOpen) {
  watched source;
  streams::broadcast shared(source.items(9));
  auto one = shared.reader();
  auto other = shared.reader();
  sync_wait(one.anext());
  sync_wait(other.aclose());
  sync_wait(one.aclose());
  EXPECT_EQ(source.closed, 0);
  sync_wait(shared.aclose());
  EXPECT_EQ(source.closed, 1);
}
TEST(Broadcast, ClosingItClosesTheSourceAndLetsReadersReadWhatIsKept) {
  scripted source;
  streams::broadcast shared(source.generator(0), 4);
  auto one = shared.reader();
  auto other = shared.reader();
  ints got;
  auto const reads = read(one, got);
  source.go(scripted::item);
  source.go(scripted::item);
  EXPECT_EQ(got, (ints{0, 1}));
  sync_wait(shared.aclose());
  EXPECT_TRUE(reads.done());
  EXPECT_FALSE(source.open);
  EXPECT_EQ(all_of(std::move(other)), (ints{0, 1}));
}
TEST(Broadcast, WhatClosingRaisesComesOutOfTheLastReader) {
  auto source = []() -> async_generator<int> {
    bool closed = false;
    try {
      for (;;) co_yield 1;
    } catch (agen::generator_exit const&) {
      closed = true;
    }
    if (closed) throw std::logic_error("cleanup");
  };
  streams::broadcast shared(source());
  auto one = shared.reader();
  sync_wait(one.anext());
  EXPECT_THROW(sync_wait(one.aclose()), std::logic_error);
}
TEST(Broadcast, AnLvalueIsOnlyIterated) {
  auto source = count(9);
  {
    streams::broadcast shared(source);
    auto one = shared.reader();
    sync_wait(one.anext());
    sync_wait(one.aclose());
  }
  EXPECT_EQ(*sync_wait(source.anext()), 1);
}
TEST(Broadcast, AStopEndsOneReaderAndTheOthersGoOn) {
  scripted source;
  streams::broadcast shared(source.generator(0));
  auto one = shared.reader();
  auto other = shared.reader();
  ints got;
  std::stop_source stop;
  auto const stopped = [](auto& reader, std::stop_token token) -> detached {
    co_await agen::with_stop(token, reader.anext());
  }(one, stop.get_token());
  auto const reads = read(other, got);
  stop.request_stop();
  EXPECT_THROW(stopped.rethrow(), agen::stopped);
  EXPECT_TRUE(source.open);
  source.go(scripted::item);
  EXPECT_EQ(got, ints{0});
  source.go(scripted::end);
  EXPECT_TRUE(reads.done());
}
TEST(Broadcast, IsDroppedAtAnyPoint) {
  scripted source;
  agen::event never;
  {
    streams::broadcast shared(source.generator(0));
    auto one = shared.reader();
    auto other = shared.reader();
    auto const reads = [](auto& reader) -> detached { co_await reader.anext(); }(one);
    auto const reads_too = [](auto& reader) -> detached { co_await reader.anext(); }(other);
  }
  streams::broadcast shared(count(9));
  auto one = shared.reader();
  auto other = shared.reader();
  sync_wait(one.anext());
}
TEST(Broadcast, OneReaderMayDropAnotherWhenBothAreWoken) {
  scripted source;
  streams::broadcast shared(source.generator(0));
  auto one = shared.reader();
  auto other = shared.reader();
  std::optional<detached> second;
  auto const first = [](auto& reader, std::optional<detached>& drops) -> detached {
    co_await reader.anext();
    drops.reset();
  }(one, second);
  second.emplace([](auto& reader) -> detached { co_await reader.anext(); }(other));
  source.go(scripted::item);
  EXPECT_TRUE(first.done());
  EXPECT_EQ(*sync_wait(other.anext()), 0);
}

// ----------------------------------------------------------------------------------------------- threads, the model

TEST(BroadcastThreads, ReadersOnThreadsGetAll) {
  constexpr int items = 1000;
  for (std::size_t n : {std::size_t{1}, std::size_t{8}}) {
    agen_test::worker works;
    auto source = [](agen_test::worker& on) -> async_generator<int> {
      for (int i = 0; i < items; ++i) {
        if (i % 3 == 0) co_await on.hop();
        co_yield i;
      }
    };
    streams::broadcast shared(source(works), n);
    std::vector<async_generator<int const&>> readers;
    for (int i = 0; i < 3; ++i) readers.push_back(shared.reader());
    std::vector<std::thread> threads;
    for (auto& reader : readers) {
      threads.emplace_back([&reader] { EXPECT_EQ(all_of(std::move(reader)), all_of(count(items))); });
    }
    for (auto& each : threads) each.join();
  }
}
TEST(BroadcastThreads, ReadersOnThreadsLeaveAtAnyTime) {
  for (int round = 0; round < 200; ++round) {
    agen_test::worker works;
    bool open = false;
    auto source = [](agen_test::worker& on, bool& is_open) -> async_generator<int> {
      is_open = true;
      std::exception_ptr error;
      try {
        for (int i = 0;; ++i) {
          co_await on.hop();
          co_yield i;
        }
      } catch (...) {
        error = std::current_exception();
      }
      is_open = false;
      std::rethrow_exception(error);
    };
    auto const then = static_cast<streams::slow>(round % 3);
    streams::broadcast shared(source(works, open), 2, then);
    auto take = [](auto reader, int takes) -> agen::task<> {
      int last = -1;
      try {
        for (int i = 0; i < takes; ++i) {
          auto item = co_await reader.anext();
          EXPECT_GT(*item, last);
          last = *item;
        }
      } catch (agen::slow_reader const&) {
      }
      co_await reader.aclose();
    };
    auto one = shared.reader();
    auto other = shared.reader();
    std::thread reads([&] { sync_wait(take(std::move(one), 1 + round % 7)); });
    sync_wait(take(std::move(other), 1 + round % 5));
    reads.join();
    EXPECT_FALSE(open);
  }
}

/// One run: a source and two readers, one of which waits for items when it is told to. An event that cannot happen now
/// is ignored.
class world {
 public:
  enum event { item, end, error, ask, ask_2, cancel, close, close_2, events };

  explicit world(std::size_t n, streams::slow then)
      : most_(static_cast<int>(n)), then_(then), shared_(source_.generator(0), n, then) {
    for (auto& each : readers_) each.stream = shared_.reader();
  }
  auto happens(event what) -> bool {
    switch (what) {
      case ask:
      case ask_2: return readers_[what - ask].asks();
      case close:
      case close_2: return readers_[what - close].closes();
      case cancel: return readers_[0].running.busy() && readers_[0].stop.request_stop();
      default: break;
    }
    if (!source_.waits()) return false;
    failed_ = failed_ || what == error;
    source_.go(static_cast<scripted::step>(what));
    return true;
  }
  auto complaint() -> std::string {
    if (then_ == streams::slow::wait) {
      if (auto const wrong = waiting(); !wrong.empty()) return wrong;
    }
    for (auto& each : readers_) {
      if (each.running.busy()) each.stop.request_stop();
      if (each.running.busy()) return "an operation that was stopped did not end: a wake was lost";
    }
    for (auto& each : readers_) {
      each.closes();
      if (each.running.busy()) return "closing did not end";
      if (!each.stream.closed()) return "a reader is not closed";
      if (auto const wrong = order_of(each.got); !wrong.empty()) return wrong;
      if (each.raised && !failed_) return "an error from nowhere";
    }
    closing_.start([this] { return closes_all(); });
    if (closing_.busy()) return "closing all did not end";
    if (source_.open) return "the source is open";
    if (raised_ && !failed_) return "an error from nowhere";
    return failed_ && !raised_ && !readers_[0].raised && !readers_[1].raised ? "an error was lost" : "";
  }

 private:
  struct one {
    async_generator<int const&> stream;
    agen_test::operation running;
    std::stop_source stop;
    ints got;
    bool began = false;
    bool raised = false;

    auto asks() -> bool {
      return running.start([this] { return ask_once(); });
    }
    auto closes() -> bool {
      return running.start([this] { return close_once(); });
    }
    auto ask_once() -> detached {
      stop = std::stop_source();
      began = began || !stream.closed();
      try {
        if (auto answer = co_await agen::with_stop(stop.get_token(), stream.anext())) got.push_back(*answer);
      } catch (agen::stopped const&) {
      } catch (agen::slow_reader const&) {
      } catch (std::runtime_error const&) {
        raised = true;
      }
    }
    auto close_once() -> detached {
      try {
        co_await stream.aclose();
      } catch (std::runtime_error const&) {
        raised = true;
      }
    }
  };
  /// Where the others wait for a slow reader: what is wrong with who waits.
  auto waiting() const -> std::string {
    int most_kept = 0;
    for (auto const& each : readers_) {
      int const kept = source_.given - static_cast<int>(each.got.size());
      if (each.began && each.stream.closed()) continue;  // it has left
      if (kept > most_) return "too far ahead";
      if (each.running.busy() && kept != 0) return "a reader waits beside an item";
      most_kept = std::max(most_kept, kept);
    }
    for (auto const& each : readers_) {
      if (each.running.busy() && most_kept < most_ && !source_.waits())
        return "a reader waits, and nobody asks the source";
    }
    return "";
  }
  auto closes_all() -> detached {
    try {
      co_await shared_.aclose();
    } catch (std::runtime_error const&) {
      raised_ = true;
    }
  }
  auto order_of(ints const& got) const -> std::string {
    for (std::size_t i = 0; i < got.size(); ++i) {
      bool const next = i == 0 ? got[0] == 0 : got[i] == got[i - 1] + 1;
      bool const later = i == 0 ? got[0] > 0 : got[i] > got[i - 1];
      if (!next && !(then_ == streams::slow::drop && later)) return "an item was lost, doubled, or out of order";
    }
    return "";
  }

  int most_;
  streams::slow then_;
  scripted source_;
  streams::broadcast<int> shared_;
  one readers_[2];
  agen_test::operation closing_;
  bool failed_ = false;
  bool raised_ = false;
};

TEST(BroadcastModel, EveryOrderOfEvents) {
  for (auto then : {streams::slow::wait, streams::slow::drop, streams::slow::error}) {
    EXPECT_GT(agen_test::check_all_orders<world>(6, std::size_t{1}, then), 300);
    EXPECT_GT(agen_test::check_all_orders<world>(5, std::size_t{2}, then), 300);
  }
}

}  // namespace
