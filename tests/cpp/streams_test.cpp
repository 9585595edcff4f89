// Streams: what they answer, a model checker over the orders of events, threads, and closing.
#include <agen/event.hpp>
#include <agen/std_stop.hpp>
#include <agen/streams.hpp>

#include "streams_support.hpp"
#include "support.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <stdexcept>

namespace {

using agen::async_generator;
using agen::sync_wait;
using agen::task;
using agen_test::all_of;
using agen_test::count;
using agen_test::detached;
using agen_test::ints;
using agen_test::journal;
using agen_test::scripted;
namespace streams = agen::streams;

auto numbers(int from, int to) -> async_generator<int> {
  for (int i = from; i < to; ++i) co_yield i;
}

TEST(Merge, TakesTheSourcesInTurn) {
  EXPECT_EQ(all_of(streams::merge(numbers(0, 3), numbers(10, 12), numbers(20, 21))), (ints{0, 10, 20, 1, 11, 2}));
}
TEST(Merge, OfOneAndOfEmptyOnes) {
  EXPECT_EQ(all_of(streams::merge(count(2))), (ints{0, 1}));
  EXPECT_EQ(all_of(streams::merge(count(0), async_generator<int>(), count(1))), ints{0});
  EXPECT_TRUE(all_of(streams::merge(std::vector<async_generator<int>>())).empty());
}
TEST(Merge, OfAnyNumber) {
  std::vector<async_generator<int>> sources;
  for (int i = 0; i < 1000; ++i) sources.push_back(numbers(i, i + 1));
  auto const items = all_of(streams::merge(std::move(sources)));
  ASSERT_EQ(items.size(), 1000U);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(items[static_cast<std::size_t>(i)], i);
}
TEST(Merge, PassesItemsByReference) {
  int one = 1;
  auto source = [](int& n) -> async_generator<int&> { co_yield n; };
  auto stream = streams::merge(source(one), source(one));
  auto item = sync_wait(stream.anext());
  EXPECT_EQ(&*item, &one);
}
TEST(Merge, ConvertsDifferentItems) {
  auto longs = []() -> async_generator<long> { co_yield 7L; };
  auto const items = all_of(streams::merge(numbers(1, 2), longs()));
  EXPECT_EQ(items, (std::vector<long>{1, 7}));
}
TEST(Merge, IsNeverAheadOfItsConsumer) {
  int asked = 0;
  auto source = [](int& n) -> async_generator<int> {
    for (;;) co_yield ++n;
  };
  auto stream = streams::merge(source(asked), source(asked));
  for (int i = 1; i < 4; ++i) {
    EXPECT_EQ(*sync_wait(stream.anext()), i);
    EXPECT_EQ(asked, i);
  }
}
TEST(Merge, AnLvalueIsOnlyIteratedAndLosesNothing) {
  auto first = count(5);
  agen::event go;
  auto second = [](agen::event& e) -> async_generator<int> {
    for (int i = 10;; ++i) {
      co_await e;
      co_yield i;
    }
  }(go);
  {
    auto stream = streams::merge(first, second);
    EXPECT_EQ(*sync_wait(stream.anext()), 0);
    EXPECT_EQ(*sync_wait(stream.anext()), 1);  // by now the second waits
    go.set();                                  // and has an item that nobody takes
    sync_wait(stream.aclose());
  }
  EXPECT_EQ(*sync_wait(first.anext()), 2);
  EXPECT_EQ(*sync_wait(second.anext()), 10);
  EXPECT_EQ(*sync_wait(second.anext()), 11);
}

struct tally {
  int open = 0;
};
/// Fails as told, in the body or while it is closed.
auto failing(tally& sources, int items, char const* body, char const* cleanup) -> async_generator<int> {
  ++sources.open;
  std::exception_ptr error;
  try {
    for (int i = 0; i < items; ++i) co_yield i;
    if (body != nullptr) throw std::runtime_error(body);
  } catch (...) {
    error = std::current_exception();
  }
  --sources.open;
  if (cleanup != nullptr) throw std::logic_error(cleanup);
  if (error) std::rethrow_exception(error);
}
auto text_of(std::exception_ptr const& error) -> std::string {
  try {
    std::rethrow_exception(error);
  } catch (std::exception const& e) {
    return e.what();
  }
}

TEST(Merge, TheFirstErrorClosesTheOthersAndIsRaised) {
  tally sources;
  auto stream = streams::merge(failing(sources, 9, nullptr, nullptr), failing(sources, 1, "first", nullptr));
  EXPECT_THROW(all_of(std::move(stream)), std::runtime_error);
  EXPECT_EQ(sources.open, 0);
}
TEST(Merge, WhatClosingRaisesComesBesideTheFirstError) {
  tally sources;
  try {
    all_of(streams::merge(failing(sources, 9, nullptr, "second"), failing(sources, 1, "first", nullptr),
                          failing(sources, 9, nullptr, "third")));
    FAIL();
  } catch (agen::exception_group const& group) {
    ASSERT_EQ(group.errors().size(), 3U);
    EXPECT_EQ(text_of(group.errors()[0]), "first");
    EXPECT_EQ(text_of(group.errors()[1]), "second");
    EXPECT_EQ(text_of(group.errors()[2]), "third");
  }
  EXPECT_EQ(sources.open, 0);
}
TEST(Merge, ClosingRaisesWhatTheSourcesRaise) {
  tally sources;
  auto stream = streams::merge(failing(sources, 9, nullptr, nullptr), failing(sources, 9, nullptr, "cleanup"));
  sync_wait(stream.anext());
  sync_wait(stream.anext());
  EXPECT_THROW(sync_wait(stream.aclose()), std::logic_error);
  EXPECT_EQ(sources.open, 0);
  EXPECT_TRUE(stream.closed());
}
TEST(Merge, ThatNeverBeganBeginsNothing) {
  tally sources;
  auto stream = streams::merge(failing(sources, 1, nullptr, "never"));
  sync_wait(stream.aclose());
  EXPECT_EQ(sources.open, 0);
}
TEST(Merge, CanBeMergedAndDelegatedTo) {
  auto outer = []() -> async_generator<int> {
    co_await agen::yield_from(streams::merge(streams::merge(numbers(0, 2), numbers(10, 12)), numbers(20, 21)));
  };
  EXPECT_EQ(all_of(outer()), (ints{0, 20, 10, 1, 11}));
}

TEST(Race, TheFirstAnswerWinsAndTheOthersAreClosed) {
  agen::event never, soon;
  tally sources;
  auto waits = [](agen::event& e, tally& t, int n) -> async_generator<int> {
    return [](agen::event& e2, tally& t2, int m) -> async_generator<int> {
      ++t2.open;
      std::exception_ptr error;
      try {
        co_await e2;
        co_yield m;
        co_yield m + 1;
      } catch (...) {
        error = std::current_exception();
      }
      --t2.open;
      if (error) std::rethrow_exception(error);
    }(e, t, n);
  };
  ints got;
  auto const consumer = [](auto stream, ints& into, tally& t) -> detached {
    while (auto item = co_await stream.anext()) {
      into.push_back(*item);
      EXPECT_EQ(t.open, 1);
    }
  }(streams::race(waits(never, sources, 1), waits(soon, sources, 5)), got, sources);
  EXPECT_EQ(sources.open, 2);
  soon.set();
  EXPECT_TRUE(consumer.done());
  EXPECT_EQ(got, (ints{5, 6}));
  EXPECT_EQ(sources.open, 0);
}
TEST(Race, AnEndIsAnAnswer) {
  tally sources;
  EXPECT_TRUE(all_of(streams::race(count(0), failing(sources, 3, nullptr, nullptr))).empty());
  EXPECT_EQ(sources.open, 0);
}
TEST(Race, AnErrorIsAnAnswer) {
  tally sources;
  EXPECT_THROW(all_of(streams::race(failing(sources, 0, "first", nullptr), count(3))), std::runtime_error);
}
TEST(Race, WhatClosingTheOthersRaisesIsRaisedOnce) {
  auto fails_late = []() -> async_generator<int> {
    std::exception_ptr error;
    try {
      co_yield 1;
    } catch (...) {
      error = std::make_exception_ptr(std::runtime_error("late"));
    }
    if (error) std::rethrow_exception(error);
  };
  auto last = fails_late();
  auto begun = fails_late();
  EXPECT_EQ(*sync_wait(begun.anext()), 1);
  EXPECT_THROW(all_of(streams::race(count(3), std::move(begun))), std::runtime_error);
  EXPECT_EQ(*sync_wait(last.anext()), 1);
  begun = fails_late();
  EXPECT_EQ(*sync_wait(begun.anext()), 1);
  EXPECT_THROW(all_of(streams::race(count(3), std::move(begun), std::move(last))), agen::exception_group);
}

TEST(Race, ClosesSourcesThatComeBackFromThreadsOfTheirOwn) {
  agen_test::worker one;
  agen_test::worker other;
  auto const hops = [](agen_test::worker& on) -> async_generator<int> {
    for (int i = 0; i < 3; ++i) {
      co_await on.hop();
      co_yield i;
    }
  };
  for (int i = 0; i < 500; ++i) EXPECT_EQ(all_of(streams::race(hops(one), hops(other))), (ints{0, 1, 2}));
}

TEST(Streams, FromIterableIsOverARange) {
  std::vector<std::string> words{"a", "b"};
  auto stream = streams::from_iterable(words);
  auto item = sync_wait(stream.anext());
  EXPECT_EQ(&*item, words.data());
  EXPECT_EQ(all_of(streams::from_iterable(ints{1, 2})), (ints{1, 2}));
}
TEST(Streams, CollectGivesAContainer) {
  EXPECT_EQ(sync_wait(streams::collect(count(3))), (ints{0, 1, 2}));
  EXPECT_EQ(sync_wait(numbers(0, 3) | streams::to<std::set<int>>()), (std::set<int>{0, 1, 2}));
  tally sources;
  EXPECT_THROW(sync_wait(streams::collect(failing(sources, 1, "x", nullptr))), std::runtime_error);
}
TEST(Streams, FlatMapGivesTheItemsOfWhatAFunctionMakes) {
  EXPECT_EQ(all_of(numbers(1, 4) | streams::flat_map([](int n) { return count(n); })), (ints{0, 0, 1, 0, 1, 2}));
}
TEST(Streams, ScanGivesWhatHasComeSoFar) {
  EXPECT_EQ(all_of(streams::scan(numbers(1, 5), 0, [](int sum, int n) { return sum + n; })), (ints{1, 3, 6, 10}));
}

TEST(Zip, GivesReferencesOfEach) {
  EXPECT_EQ(all_of(streams::zip(numbers(0, 2), numbers(5, 9))).size(), 2U);
  int one = 1;
  auto source = [](int& n) -> async_generator<int&> { co_yield n; };
  auto stream = streams::zip(source(one), count(1));
  auto item = sync_wait(stream.anext());
  EXPECT_EQ(&std::get<0>(*item), &one);
  EXPECT_EQ(std::get<1>(*item), 0);
}
TEST(Zip, AsksAllAtOnceAndEndsWithTheFirst) {
  agen::event never;
  auto waits = [](agen::event& e) -> async_generator<int> {
    co_await e;
    co_yield 1;
  };
  EXPECT_TRUE(all_of(streams::zip(waits(never), count(0))).empty());
}
TEST(Zip, StrictRefusesDifferentLengths) {
  EXPECT_EQ(all_of(streams::zip(streams::strict, count(2), count(2))).size(), 2U);
  EXPECT_THROW(all_of(streams::zip(streams::strict, count(2), count(3))), agen::uneven_zip);
  EXPECT_THROW(all_of(streams::zip(streams::strict, count(3), count(2))), agen::uneven_zip);
}
TEST(ZipLatest, GivesATupleForEachItem) {
  using pairs = std::vector<std::tuple<int, int>>;
  EXPECT_EQ(all_of(streams::zip_latest(numbers(0, 3), numbers(10, 11))), (pairs{{0, 10}, {1, 10}, {2, 10}}));
}

/// Time that goes on when the test says so.
class virtual_clock {
 public:
  auto sleep() {
    return [this](std::chrono::nanoseconds) -> task<> {
      ++sleeping;
      now_.reset();
      try {
        co_await now_;
      } catch (agen::stopped const&) {
        --sleeping;
        throw;
      }
      --sleeping;
    };
  }
  void ring() { now_.set(); }
  int sleeping = 0;

 private:
  agen::event now_;
};
/// Gives what is posted.
class post_box {
 public:
  void post(int n) {
    next_ = n;
    event_.set();
  }
  void end() { post(-1); }
  auto items() -> async_generator<int> {
    for (;;) {
      co_await event_;
      event_.reset();
      if (next_ < 0) co_return;
      int const now = next_;
      co_yield now;
    }
  }

 private:
  agen::event event_;
  int next_ = 0;
};
template <class Stream>
auto writes(Stream stream, journal& log) -> detached {
  try {
    while (auto answer = co_await stream.anext()) {
      std::string text;
      if constexpr (requires { (*answer).size(); }) {
        for (int n : *answer) text += std::to_string(n);
      } else {
        text = std::to_string(*answer);
      }
      log.push_back(text);
    }
    log.emplace_back("end");
  } catch (agen::timed_out const&) {
    log.emplace_back("late");
  } catch (std::runtime_error const& e) {
    log.emplace_back(e.what());
  }
}
using namespace std::chrono_literals;

TEST(Timeout, RaisesWhenAnItemTakesTooLong) {
  virtual_clock clock;
  post_box box;
  journal log;
  auto const consumer = writes(streams::timeout(box.items(), 1s, clock.sleep()), log);
  box.post(1);
  EXPECT_EQ(clock.sleeping, 1);
  clock.ring();
  EXPECT_EQ(log, (journal{"1", "late"}));
  EXPECT_EQ(clock.sleeping, 0);
}
TEST(Timeout, EndsIfToldSo) {
  virtual_clock clock;
  post_box box;
  journal log;
  auto const consumer = writes(streams::timeout(box.items(), 1s, clock.sleep(), streams::when_late::ends), log);
  clock.ring();
  EXPECT_EQ(log, journal{"end"});
}
TEST(Timeout, AnLvalueGoesOn) {
  virtual_clock clock;
  post_box box;
  journal log;
  auto source = box.items();
  {
    auto const consumer = writes(streams::timeout(source, 1s, clock.sleep()), log);
    clock.ring();
  }
  EXPECT_TRUE(source.running());
  EXPECT_THROW(all_of(streams::timeout(source, 1s, clock.sleep())), agen::already_running);
  box.post(7);
  auto const consumer = writes(streams::timeout(source, 1s, clock.sleep()), log);
  EXPECT_EQ(log, (journal{"late", "7"}));
  box.end();
  EXPECT_EQ(log.back(), "end");
}
TEST(Chunks, AreFullOrInTime) {
  virtual_clock clock;
  post_box box;
  journal log;
  auto const consumer = writes(streams::chunks(box.items(), 2, 1s, clock.sleep()), log);
  EXPECT_EQ(clock.sleeping, 0);  // nothing has come that could be late
  box.post(1);
  EXPECT_EQ(clock.sleeping, 1);
  box.post(2);
  EXPECT_EQ(log, journal{"12"});
  EXPECT_EQ(clock.sleeping, 0);
  box.post(3);
  clock.ring();
  EXPECT_EQ(log, (journal{"12", "3"}));
  box.post(4);
  box.end();
  EXPECT_EQ(log, (journal{"12", "3", "4", "end"}));
  EXPECT_EQ(clock.sleeping, 0);
}
TEST(Chunks, WhatCameBeforeAnErrorIsGiven) {
  virtual_clock clock;
  tally sources;
  journal log;
  auto const consumer = writes(streams::chunks(failing(sources, 3, "failed", nullptr), 2, 1s, clock.sleep()), log);
  EXPECT_EQ(log, (journal{"01", "2", "failed"}));
}
TEST(Chunks, ClosedBeforeAnErrorThatHasComeRaiseThatAlone) {
  virtual_clock clock;
  tally sources;
  auto stream = streams::chunks(failing(sources, 3, "failed", nullptr), 2, 1s, clock.sleep());
  sync_wait(stream.anext());
  EXPECT_EQ(sync_wait(stream.anext()) ? "an item" : "none", std::string("an item"));
  EXPECT_THROW(sync_wait(stream.aclose()), std::runtime_error);
}
TEST(TakeUntil, EndsWhenTheAwaitableIsDone) {
  agen::event until;
  post_box box;
  journal log;
  auto const consumer = writes(streams::take_until(box.items(), until), log);
  box.post(1);
  box.post(2);
  until.set();
  EXPECT_EQ(log, (journal{"1", "2", "end"}));
}
TEST(TakeUntil, StopsTheAwaitableWhenTheSourceEnds) {
  virtual_clock clock;
  EXPECT_EQ(all_of(streams::take_until(count(2), clock.sleep()(1s))), (ints{0, 1}));
  EXPECT_EQ(clock.sleeping, 0);
}
TEST(TakeUntil, RaisesWhatTheAwaitableRaises) {
  post_box box;
  auto fails = []() -> task<> {
    throw std::runtime_error("until");
    co_return;
  };
  EXPECT_THROW(all_of(streams::take_until(box.items(), fails())), std::runtime_error);
}

TEST(Streams, ThatTakeOneSourceArePartsOfPipes) {
  virtual_clock clock;
  EXPECT_EQ(all_of(numbers(1, 5) | streams::scan(0, [](int sum, int n) { return sum + n; })), (ints{1, 3, 6, 10}));
  EXPECT_EQ(all_of(count(5) | streams::chunks(2, 1s, clock.sleep())), (std::vector<ints>{{0, 1}, {2, 3}, {4}}));
  EXPECT_EQ(all_of(count(3) | streams::timeout(1s, clock.sleep()) | streams::prefetch(1)), (ints{0, 1, 2}));
  agen::event until;
  EXPECT_EQ(all_of(count(2) | streams::take_until(until)), (ints{0, 1}));
  EXPECT_EQ(all_of(count(2) | streams::take_until(clock.sleep()(1s))), (ints{0, 1}));
}

// ------------------------------------------------------------------------------------------- cancellation, threads

TEST(Merge, AStopClosesTheSourcesAwaited) {
  std::stop_source source;
  agen::event never, cleaned;
  journal log;
  auto waits = [](agen::event& e, agen::event& c, journal& l) -> async_generator<int> {
    std::exception_ptr error;
    try {
      co_await e;
      co_yield 1;
    } catch (...) {
      error = std::current_exception();
    }
    co_await c;
    l.emplace_back("cleaned");
    std::rethrow_exception(error);
  };
  auto stream = streams::merge(waits(never, cleaned, log), waits(never, cleaned, log));
  auto const consumer = agen_test::asks_once(stream, source.get_token(), log);
  source.request_stop();
  EXPECT_TRUE(log.empty());
  cleaned.set();
  EXPECT_EQ(log, (journal{"cleaned", "cleaned", "stopped"}));
  EXPECT_TRUE(stream.closed());
}
TEST(Merge, AStopThatComesBeforeAnItemDoesNotStopTheCleanup) {
  agen_test::gate item;
  agen::event cleaned;
  journal log;
  expect_cleanup_after_stop(streams::merge(hears_late(item, cleaned, log)), item, cleaned, log);
}
TEST(Merge, DestroyedWhileItsSourcesWait) {
  agen::event never;
  auto waits = [](agen::event& e) -> async_generator<int> {
    co_await e;
    co_yield 1;
  };
  auto outlives = waits(never);
  auto consume = [](auto stream) -> detached { co_await stream.anext(); };
  {
    auto const consumer = consume(streams::merge(waits(never), outlives, waits(never)));
  }
  {
    auto const consumer = consume(streams::race(waits(never), waits(never)));
  }
  {
    auto const consumer = consume(streams::take_until(waits(never), never));
  }
  auto const consumer = [](auto& g) -> detached { EXPECT_EQ(*co_await g.anext(), 1); }(outlives);
  never.set();
  EXPECT_TRUE(consumer.done());
}
TEST(Merge, AStopBetweenItemsArrivesAtTheNext) {
  std::stop_source source;
  source.request_stop();
  tally sources;
  auto stream = streams::merge(failing(sources, 5, nullptr, nullptr));
  EXPECT_EQ(*sync_wait(stream.anext()), 0);
  EXPECT_THROW(sync_wait(agen::with_stop(source.get_token(), stream.anext())), agen::stopped);
  EXPECT_EQ(sources.open, 0);
}

TEST(MergeThreads, SourcesOnThreadsLoseNothing) {
  constexpr int each = 500;
  std::vector<std::unique_ptr<agen_test::worker>> workers;
  std::vector<async_generator<int>> sources;
  for (int w = 0; w < 3; ++w) {
    workers.push_back(std::make_unique<agen_test::worker>());
    sources.push_back([](agen_test::worker& on, int first) -> async_generator<int> {
      for (int i = 0; i < each; ++i) {
        co_await on.hop();
        co_yield first + i;
      }
    }(*workers.back(), w * each));
  }
  auto const items = all_of(streams::merge(std::move(sources)));
  ints next{0, each, 2 * each};
  for (int item : items) EXPECT_EQ(item, next[static_cast<std::size_t>(item / each)]++);  // each in its order
  EXPECT_EQ(items.size(), 3U * each);
}

// ----------------------------------------------------------------------------------------------- the model checker

/// One run: two sources, a consumer, and a schedule. Each event is a number; it is ignored where it cannot happen.
class world {
 public:
  enum event { item, end, error, item_2, end_2, error_2, ask, cancel, close, events };

  explicit world(bool race) : race_(race) {
    if (race_) {
      stream_ = streams::race(sources_[0].generator(0), sources_[1].generator(100));
    } else {
      stream_ = streams::merge(sources_[0].generator(0), sources_[1].generator(100));
    }
  }
  /// False if the event could not happen.
  auto happens(event what) -> bool {
    switch (what) {
      case ask: return !busy() && start(false);
      case close: return !busy() && start(true);
      case cancel: return busy() && stop_.request_stop();
      default: break;
    }
    scripted& source = sources_[what / item_2];
    if (!source.waits()) return false;
    failed_ = failed_ || what % item_2 == error;
    source.go(static_cast<scripted::step>(what % item_2));
    return true;
  }
  /// Ends everything and says what is wrong.
  auto complaint() -> std::string {
    if (busy()) stop_.request_stop();
    if (busy()) return "an operation that was stopped did not end: a wake was lost";
    start(true);
    if (busy()) return "closing did not end";
    if (!stream_.closed()) return "the stream is not closed";
    if (sources_[0].open || sources_[1].open) return "a source is open";
    int expected[2] = {0, 100};
    for (int n : got_) {
      if (n != expected[n / 100]++) return "an item was lost, doubled, or out of order";
    }
    int const left = sources_[0].given + sources_[1].given - static_cast<int>(got_.size());
    if (left < 0 || left > 1) return "an item was made up, or more than one not taken";
    if (race_ && expected[0] != 0 && expected[1] != 100) return "a race gave items of two";
    if (raised_ && !failed_) return "an error from nowhere";
    return "";
  }

 private:
  [[nodiscard]] auto busy() const -> bool { return operation_ && !operation_->done(); }
  auto start(bool closes) -> bool {
    stop_ = std::stop_source();
    operation_.reset();
    operation_.emplace(run(closes));
    return true;
  }
  auto run(bool closes) -> detached {
    try {
      if (closes) {
        co_await stream_.aclose();
      } else {
        auto answer = co_await agen::with_stop(stop_.get_token(), stream_.anext());
        if (answer) got_.push_back(*answer);
      }
    } catch (agen::stopped const&) {
    } catch (std::runtime_error const&) {
      raised_ = true;
    }
  }

  bool race_;
  scripted sources_[2];
  async_generator<int> stream_;
  std::stop_source stop_;
  std::optional<detached> operation_;
  ints got_;
  bool failed_ = false;
  bool raised_ = false;
};

TEST(Model, EveryOrderOfEventsOfAMerge) { EXPECT_GT(agen_test::check_all_orders<world>(6, false), 300); }
TEST(Model, EveryOrderOfEventsOfARace) { EXPECT_GT(agen_test::check_all_orders<world>(6, true), 300); }

}  // namespace
