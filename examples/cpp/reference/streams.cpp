// docs/cpp/streams.md: several generators at once, drawn on a clock that goes on when
// all wait for it.
#include <agen/agen.hpp>
#include <agen/streams.hpp>
#include <cctype>
#include <cstdio>
#include <map>
#include <set>
#include <string>

using namespace std::chrono_literals;
namespace streams = agen::streams;

// [clock]
/// Time for tests: run() goes from one wake to the next without waiting.
class virtual_clock {
 public:
  auto sleep(std::chrono::nanoseconds time) -> agen::task<> {
    agen::event rings;
    auto const at = wakes_.emplace(now_ + time, &rings);
    try {
      co_await rings;
    } catch (agen::stopped const&) {
      wakes_.erase(at);
      throw;
    }
  }
  auto sleeper() {
    return [this](std::chrono::nanoseconds time) { return sleep(time); };
  }
  void run() {
    while (!wakes_.empty()) {
      auto const next = wakes_.extract(wakes_.begin());
      now_ = next.key();
      next.mapped()->set();
    }
  }
  auto column() const -> std::size_t {
    return static_cast<std::size_t>((now_ + 5ms) / 10ms);
  }

 private:
  std::chrono::nanoseconds now_{};
  std::multimap<std::chrono::nanoseconds, agen::event*> wakes_;
};
// [/clock]

virtual_clock time_;

// [source]
/// A letter is an item, a column 10 ms, `!` an error.
auto source(std::string marbles) -> agen::async_generator<char> {
  for (char c : marbles) {
    if (c == '!') throw std::runtime_error("!");
    if (std::isalpha(c) != 0) co_yield c;
    if (c != '|') co_await time_.sleep(10ms);
  }
}

auto text(char item) { return std::string(1, item); }
auto text(std::vector<char> const& items) {
  return "(" + std::string(items.begin(), items.end()) + ")";
}
template <class... T>
auto text(std::tuple<T...> const& items) {
  return std::apply([](auto... each) { return "(" + std::string{each...} + ")"; },
                    items);
}

template <class Stream>
auto draw(Stream stream) -> agen::task<> {
  std::string line;
  auto const fill = [&line] {
    if (line.size() < time_.column()) line.resize(time_.column(), '-');
  };
  try {
    while (auto item = co_await stream.anext()) {
      fill();
      line += text(*item);
    }
    fill();
    line += '|';
  } catch (std::runtime_error const&) {
    fill();
    line += '!';
  } catch (agen::timed_out const&) {
    fill();
    line += "timed_out";
  }
  std::printf("yields   %s\n", line.c_str());
}
// [/source]

/// Starts a task and runs the clock until nobody waits.
template <class Stream>
void show(std::vector<std::string> marbles, Stream stream) {
  for (auto const& each : marbles) std::printf("source   %s\n", each.c_str());
  bool done = false;
  auto run = [](auto drawn, bool& at_end) -> agen::task<> {
    co_await std::move(drawn);
    at_end = true;
  };
  agen::sync_wait(agen::when_all(run(draw(std::move(stream)), done),
                                 [](bool& at_end) -> agen::task<> {
                                   time_.run();
                                   if (!at_end) std::printf("it hangs\n");
                                   co_return;
                                 }(done)));
  time_ = virtual_clock();
  std::printf("\n");
}

// [merge]
auto merged() { return streams::merge(source("a---b---c|"), source("-x-y-z|")); }
auto merged_error() { return streams::merge(source("a---b---c|"), source("-x-y-!")); }
// [/merge]
// [race]
auto raced() {
  return streams::race(source("---a-b|"), source("-x--y-z|"), source("-----q|"));
}
// [/race]
// [zip]
auto zipped() {
  return streams::zip(source("a-----b-----c-----d|"), source("---x-------y|"));
}
auto latest() {
  return streams::zip_latest(source("a-------b---------c|"), source("---x---------y|"));
}
// [/zip]
// [timed]
auto chunked() {
  return streams::chunks(source("a-b-c------d-------e|"), 3, 50ms, time_.sleeper());
}
auto late() { return streams::timeout(source("a--b------c|"), 40ms, time_.sleeper()); }
auto until() { return streams::take_until(source("a-b-c-d-e-f|"), time_.sleep(55ms)); }
// [/timed]
// [simple]
auto simple() -> agen::task<> {
  auto numbers = streams::from_iterable(std::vector<int>{3, 1, 2});
  auto sorted = co_await (std::move(numbers) | streams::flat_map([](int n) {
                            return streams::from_iterable(
                                std::vector<int>(static_cast<std::size_t>(n), n));
                          }) |
                          streams::to<std::multiset<int>>());
  for (int n : sorted) std::printf("%d ", n);
  auto sums = streams::scan(streams::from_iterable(std::vector<int>{1, 2, 3}), 0,
                            [](int sum, int n) { return sum + n; });
  for (int n : co_await streams::collect(std::move(sums))) std::printf("%d ", n);
  std::printf("\n");
}
// [/simple]
// [when]
auto when() -> agen::task<> {
  auto const [first, second] =
      co_await agen::when_all([]() -> agen::task<int> { co_return 1; }(),
                              []() -> agen::task<int> { co_return 2; }());
  std::printf("%d %d\n", first, second);
}
// [/when]

auto main() -> int {
  show({"a---b---c|", "-x-y-z|"}, merged());
  show({"a---b---c|", "-x-y-!"}, merged_error());
  show({"---a-b|", "-x--y-z|", "-----q|"}, raced());
  show({"a-----b-----c-----d|", "---x-------y|"}, zipped());
  show({"a-------b---------c|", "---x---------y|"}, latest());
  show({"a-b-c------d-------e|"}, chunked());
  show({"a--b------c|"}, late());
  show({"a-b-c-d-e-f|"}, until());
  agen::sync_wait(simple());
  agen::sync_wait(when());
}
