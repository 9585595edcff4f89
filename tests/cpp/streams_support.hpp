// What the tests of streams share: a source whose every step the test says, and the model checker.
#ifndef AGEN_TESTS_STREAMS_SUPPORT_HPP
#define AGEN_TESTS_STREAMS_SUPPORT_HPP

#include <agen/event.hpp>
#include <agen/std_stop.hpp>

#include "support.hpp"

#include <gtest/gtest.h>

#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace agen_test {

using ints = std::vector<int>;

template <class Stream>
auto all_of(Stream stream) {
  return agen::sync_wait(collect(std::move(stream)));
}

/// A source whose every step is an event of the schedule.
class scripted {
 public:
  enum step { item, end, error };
  /// The body waits for the next step; resumes it inside.
  [[nodiscard]] auto waits() const noexcept -> bool { return waiting_; }
  void go(step next) {
    next_ = next;
    go_.set();
  }
  auto generator(int first) -> agen::async_generator<int> {
    open = true;
    std::exception_ptr leaving;
    try {
      for (int i = first;;) {
        waiting_ = true;
        co_await go_;
        waiting_ = false;
        go_.reset();
        if (next_ == end) break;
        if (next_ == error) throw std::runtime_error("scripted");
        ++given;
        co_yield i++;
      }
    } catch (...) {
      leaving = std::current_exception();
    }
    waiting_ = false;
    open = false;
    if (leaving) std::rethrow_exception(leaving);
  }

  int given = 0;
  bool open = false;

 private:
  agen::event go_;
  step next_ = item;
  bool waiting_ = false;
};

/// Waits for its item where no request stops it, and then for its cleanup where one would.
inline auto hears_late(gate& item, agen::event& cleaned, journal& log) -> agen::async_generator<int> {
  std::exception_ptr leaving;
  try {
    co_await item;
    co_yield 1;
  } catch (...) {
    leaving = std::current_exception();
  }
  try {
    co_await cleaned;
    log.emplace_back("cleaned");
  } catch (agen::stopped const&) {
    log.emplace_back("stopped in its cleanup");
  }
  if (leaving) std::rethrow_exception(leaving);
}
/// Asks `stream` for one item, and says when that was stopped.
template <class Stream>
auto asks_once(Stream& stream, std::stop_token token, journal& log) -> detached {
  try {
    co_await agen::with_stop(token, stream.anext());
  } catch (agen::stopped const&) {
    log.emplace_back("stopped");
  }
}
/// A stop that finds the source of `stream` on its way to an item closes it, and lets it clean up.
template <class Stream>
void expect_cleanup_after_stop(Stream stream, gate& item, agen::event& cleaned, journal& log) {
  std::stop_source source;
  auto const consumer = asks_once(stream, source.get_token(), log);
  source.request_stop();
  item.open();
  EXPECT_TRUE(log.empty());
  cleaned.set();
  EXPECT_EQ(log, (journal{"cleaned", "stopped"}));
  EXPECT_TRUE(stream.closed());
}

/// One operation at a time.
class operation {
 public:
  [[nodiscard]] auto busy() const -> bool { return running_ && !running_->done(); }
  /// False if one is under way.
  template <class Begin>
  auto start(Begin begin) -> bool {
    if (busy()) return false;
    running_.reset();
    running_.emplace(begin());
    return true;
  }

 private:
  std::optional<detached> running_;
};

/// Runs every schedule of up to `depth` events that can happen, each in a new World(args...), and asks for its
/// complaint. A schedule with an event that cannot happen (happens() is false) is not extended. Gives how many there
/// were.
template <class World, class... Args>
auto check_all_orders(int depth, Args... args) -> long {
  long checked = 0;
  std::vector<int> schedule;
  auto const extend = [&](auto const& self) -> void {
    for (int next = 0; next < World::events; ++next) {
      schedule.push_back(next);
      World world(args...);
      bool possible = true;
      std::string text;
      for (int what : schedule) {
        possible = possible && world.happens(static_cast<typename World::event>(what));
        text += std::to_string(what) + " ";
      }
      auto const wrong = world.complaint();
      EXPECT_EQ(wrong, "") << "events " << text;
      if (!wrong.empty()) throw std::runtime_error("stop at the first one");
      if (possible) {
        ++checked;
        if (static_cast<int>(schedule.size()) < depth) self(self);
      }
      schedule.pop_back();
    }
  };
  extend(extend);
  return checked;
}

}  // namespace agen_test

#endif  // AGEN_TESTS_STREAMS_SUPPORT_HPP
