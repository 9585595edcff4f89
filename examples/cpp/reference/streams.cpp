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
    entry const here{wakes_, wakes_.emplace(now_ + time, &rings)};
    co_await rings;
  }
  auto sleeper() {
    return [this](std::chrono::nanoseconds time) { return sleep(time); };
  }
  void run() {
    while (!wakes_.empty()) {
      auto const [at, rings] = *wakes_.begin();
      now_ = at;
      rings->set();  // the sleep goes on, and takes its entry out
    }
  }
  auto column() const -> std::size_t {
    return static_cast<std::size_t>((now_ + 5ms) / 10ms);
  }

 private:
  using wakes = std::multimap<std::chrono::nanoseconds, agen::event*>;
  struct entry {  // goes when the sleep ends, is stopped or is dropped
    ~entry() { all.erase(at); }
    wakes& all;
    wakes::iterator at;
  };

  std::chrono::nanoseconds now_{};
  wakes wakes_;
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

/// Draws what a stream yields to a consumer that works for so long on each item.
template <class Stream>
auto draw(Stream stream, std::string name = "yields",
          std::chrono::nanoseconds work = {}) -> agen::task<> {
  std::string line;
  auto const fill = [&line] {
    if (line.size() < time_.column()) line.resize(time_.column(), '-');
  };
  try {
    while (auto item = co_await stream.anext()) {
      fill();
      line += text(*item);
      if (work.count() != 0) co_await time_.sleep(work);
    }
    fill();
    line += '|';
  } catch (std::runtime_error const&) {
    fill();
    line += '!';
  } catch (agen::timed_out const&) {
    fill();
    line += "timed_out";
  } catch (agen::slow_reader const&) {
    fill();
    line += "slow_reader";
  }
  std::printf("%-8s %s\n", name.c_str(), line.c_str());
}
// [/source]

/// Starts a task and runs the clock until nobody waits.
void run(agen::task<> drawn) {
  bool done = false;
  auto draws = [](agen::task<> drawing, bool& at_end) -> agen::task<> {
    co_await std::move(drawing);
    at_end = true;
  };
  auto runs = [](bool& at_end) -> agen::task<> {
    time_.run();
    if (!at_end) std::printf("it hangs\n");
    co_return;
  };
  agen::sync_wait(agen::when_all(draws(std::move(drawn), done), runs(done)));
  time_ = virtual_clock();
}
template <class Stream>
void show(std::vector<std::string> marbles, Stream stream,
          std::chrono::nanoseconds work = {}) {
  for (auto const& each : marbles) std::printf("source   %s\n", each.c_str());
  run(draw(std::move(stream), "yields", work));
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
// [prefetch]
auto plain() { return source("--a--b--c|"); }
auto ahead() { return source("--a--b--c|") | streams::prefetch(2); }

auto left_over() -> agen::task<> {
  auto letters = streams::from_iterable(std::vector<char>{'a', 'b', 'c', 'd', 'e'});
  auto stream = std::move(letters) | streams::prefetch(3, [](std::vector<char> left) {
                  std::printf("left over: %s\n", text(left).c_str());
                });
  co_await stream.anext();
  co_await stream.aclose();
}
// [/prefetch]

// [broadcast]
auto two_readers(streams::slow then, std::string name) -> agen::task<> {
  streams::broadcast shared(source("a-b-c-d-e|"), 2, then);
  auto fast = draw(shared.reader(), std::move(name));
  co_await agen::when_all(std::move(fast), draw(shared.reader(), "  slow", 50ms));
}
// [/broadcast]

// [channel]
auto produce(streams::producer<int> from, int first) -> agen::task<> {
  auto const out = std::move(from);  // a parameter would live as long as the task
  for (int n = first; n < first + 3; ++n) {
    if (!co_await out.push(n)) co_return;  // no more are wanted
  }
}
auto consume(agen::async_generator<int> items) -> agen::task<> {
  while (auto item = co_await items.anext()) std::printf("%d ", *item);
  std::printf("\n");
}
auto channelled() -> agen::task<> {
  streams::channel<int> channel(2);
  auto one = produce(channel.producer(), 0);
  auto other = produce(channel.producer(), 10);
  auto consuming = consume(std::move(channel).items());
  co_await agen::when_all(std::move(one), std::move(other), std::move(consuming));
}
// [/channel]

// [simple]
auto simple() -> agen::task<> {
  auto numbers = streams::from_iterable(std::vector<int>{3, 1, 2});
  auto sorted = co_await (std::move(numbers) | streams::flat_map([](int n) {
                            return streams::from_iterable(
                                std::vector<int>(static_cast<std::size_t>(n), n));
                          }) |
                          streams::to<std::multiset<int>>());
  for (int n : sorted) std::printf("%d ", n);
  auto sums = streams::from_iterable(std::vector<int>{1, 2, 3}) |
              streams::scan(0, [](int sum, int n) { return sum + n; });
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
  show({"--a--b--c|"}, plain(), 30ms);
  show({"--a--b--c|"}, ahead(), 30ms);
  agen::sync_wait(left_over());
  std::printf("\n");
  run(two_readers(streams::slow::wait, "wait"));
  run(two_readers(streams::slow::drop, "drop"));
  run(two_readers(streams::slow::error, "error"));
  std::printf("\n");
  agen::sync_wait(channelled());
  agen::sync_wait(simple());
  agen::sync_wait(when());
}
