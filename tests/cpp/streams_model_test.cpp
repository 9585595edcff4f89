// Streams: every order of events of zip, timeout and chunks. Those of merge and race are in streams_test.cpp, those of
// the streams that work ahead in their own tests.
#include <agen/std_stop.hpp>
#include <agen/streams.hpp>

#include "streams_support.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

namespace {

using agen::async_generator;
using agen::task;
using agen_test::check_all_orders;
using agen_test::detached;
using agen_test::ints;
using agen_test::scripted;
namespace streams = agen::streams;
using namespace std::chrono_literals;

/// A stream of `Item`, and one operation of its consumer at a time. What the worlds below have in common.
template <class Item, class Kept = Item>
class consumed {
 public:
  [[nodiscard]] auto busy() const -> bool { return operation_.busy(); }
  auto ask() -> bool {
    return operation_.start([this] { return run(false); });
  }
  auto close() -> bool {
    return operation_.start([this] { return run(true); });
  }
  auto cancel() -> bool { return busy() && stop_.request_stop(); }
  /// Stops what is under way and closes the stream. Says what does not come to its end.
  auto finish() -> std::string {
    if (busy()) stop_.request_stop();
    if (busy()) return "an operation that was stopped did not end: a wake was lost";
    close();
    if (busy()) return "closing did not end";
    return stream.closed() ? "" : "the stream is not closed";
  }

  async_generator<Item> stream;
  std::vector<Kept> got;
  bool ended = false;    ///< the consumer saw the end
  bool raised = false;   ///< or a source's error
  bool refused = false;  ///< or the stream's own: timed_out, uneven_zip

 private:
  auto run(bool closes) -> detached {
    stop_ = std::stop_source();
    try {
      if (closes) {
        co_await stream.aclose();
      } else {
        auto answer = co_await agen::with_stop(stop_.get_token(), stream.anext());
        if (answer) {
          got.emplace_back(*answer);
        } else {
          ended = true;
        }
      }
    } catch (agen::stopped const&) {
    } catch (agen::generator_error const&) {
      refused = true;
    } catch (std::runtime_error const&) {
      raised = true;
    }
  }

  std::stop_source stop_;
  agen_test::operation operation_;
};

/// Two sources, zipped.
class zip_world {
 public:
  enum event { item, end, error, item_2, end_2, error_2, ask, cancel, close, events };

  explicit zip_world(bool strict) : strict_(strict) {
    if (strict) {
      all_.stream = streams::zip(streams::strict, sources_[0].generator(0), sources_[1].generator(100));
    } else {
      all_.stream = streams::zip(sources_[0].generator(0), sources_[1].generator(100));
    }
  }
  auto happens(event what) -> bool {
    switch (what) {
      case ask: return all_.ask();
      case cancel: return all_.cancel();
      case close: return all_.close();
      default: break;
    }
    auto const which = static_cast<std::size_t>(what / item_2);
    int const step = what % item_2;
    if (!sources_[which].waits()) return false;
    failed_ = failed_ || step == error;
    over_[which] = over_[which] || step == end;
    sources_[which].go(static_cast<scripted::step>(step));
    return true;
  }
  auto complaint() -> std::string {
    int const rows = static_cast<int>(all_.got.size());
    bool const answered[] = {over_[0] || sources_[0].given > rows, over_[1] || sources_[1].given > rows};
    bool const decided = failed_ || (answered[0] && answered[1]) || (!strict_ && (over_[0] || over_[1]));
    if (all_.busy() && decided) return "the answer is known, and the consumer waits";
    if (auto wrong = all_.finish(); !wrong.empty()) return wrong;
    if (sources_[0].open || sources_[1].open) return "a source is open";
    for (int i = 0; i < rows; ++i) {
      if (all_.got[static_cast<std::size_t>(i)] != std::tuple(i, 100 + i))
        return "a row is not of items that belong together";
    }
    for (scripted const& source : sources_) {
      if (source.given < rows || source.given > rows + 1) return "a source was asked ahead";
    }
    if (all_.raised && !failed_) return "an error from nowhere";
    if (all_.refused && !(strict_ && (over_[0] || over_[1]))) return "lengths were refused that do not differ";
    return "";
  }

 private:
  bool strict_;
  scripted sources_[2];
  consumed<std::tuple<int&, int&>, std::tuple<int, int>> all_;
  bool over_[2] = {false, false};
  bool failed_ = false;
};

/// Time that goes on when the schedule says so.
class alarm {
 public:
  auto sleep() {
    return [this](std::chrono::nanoseconds) -> task<> {
      struct counted {
        int& n;
        explicit counted(int& sleeping) : n(sleeping) { ++n; }
        ~counted() { --n; }
      } const now(sleeping);
      ring_.reset();
      co_await ring_;
    };
  }
  void ring() { ring_.set(); }
  int sleeping = 0;

 private:
  agen::event ring_;
};

/// One source and a clock, for timeout (int) and for chunks of two (ints).
template <class Item>
class timed_world {
  static constexpr bool in_chunks = std::is_same_v<Item, ints>;
  static constexpr int most = in_chunks ? 2 : 1;

 public:
  enum event { item, end, error, ring, ask, cancel, close, events };

  timed_world() {
    if constexpr (in_chunks) {
      all_.stream = streams::chunks(source_.generator(0), 2, 1s, clock_.sleep());
    } else {
      all_.stream = streams::timeout(source_.generator(0), 1s, clock_.sleep());
    }
  }
  auto happens(event what) -> bool {
    switch (what) {
      case ask: return all_.ask();
      case cancel: return gives_up(all_.cancel());
      case close: return gives_up(all_.close());
      case ring:
        if (clock_.sleeping == 0) return false;
        rang_ = true;
        clock_.ring();
        return true;
      default: break;
    }
    if (!source_.waits()) return false;
    failed_ = failed_ || what == error;
    over_ = over_ || what == end;
    source_.go(static_cast<scripted::step>(what));
    return true;
  }
  auto complaint() -> std::string {
    ints const before = flat();
    int const left = source_.given - static_cast<int>(before.size());
    if (all_.busy() && (failed_ || over_ || left >= most)) return "the answer is known, and the consumer waits";
    bool const waits_in_time = all_.busy() && left == most - 1;
    if (clock_.sleeping != (waits_in_time ? 1 : 0)) return "the clock runs for nothing, or not at all";
    if (all_.ended && left != 0 && !gave_up_) return "an item was lost at the end";
    if (auto wrong = all_.finish(); !wrong.empty()) return wrong;
    if (source_.open) return "the source is open";
    if (clock_.sleeping != 0) return "the clock still runs";
    for (std::size_t i = 0; i < before.size(); ++i) {
      if (before[i] != static_cast<int>(i)) return "an item was doubled, or out of order";
    }
    if (left < 0 || left > most) return "the source was asked ahead";
    if (all_.refused && !rang_) return "late before its time";
    if (all_.raised && !failed_) return "an error from nowhere";
    return "";
  }

 private:
  auto gives_up(bool happened) -> bool {
    gave_up_ = gave_up_ || happened;
    return happened;
  }
  auto flat() const -> ints {
    if constexpr (in_chunks) {
      ints all;
      for (ints const& chunk : all_.got) all.insert(all.end(), chunk.begin(), chunk.end());
      return all;
    } else {
      return all_.got;
    }
  }

  scripted source_;
  alarm clock_;
  consumed<Item> all_;
  bool over_ = false;
  bool failed_ = false;
  bool rang_ = false;
  bool gave_up_ = false;
};

TEST(StreamsModel, EveryOrderOfEventsOfAZip) { EXPECT_GT(check_all_orders<zip_world>(6, false), 300); }
TEST(StreamsModel, EveryOrderOfEventsOfAStrictZip) { EXPECT_GT(check_all_orders<zip_world>(6, true), 300); }
TEST(StreamsModel, EveryOrderOfEventsOfATimeout) { EXPECT_GT(check_all_orders<timed_world<int>>(6), 100); }
TEST(StreamsModel, EveryOrderOfEventsOfChunks) { EXPECT_GT(check_all_orders<timed_world<ints>>(6), 100); }

}  // namespace
