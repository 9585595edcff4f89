// docs/cpp/tutorial.md: ten minutes with the C++ library.
// [include]
#include <agen/agen.hpp>
// [/include]
#include <cstdio>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

// [countdown]
auto countdown(int start) -> agen::async_generator<int> {
  for (int number = start; number > 0; --number) co_yield number;
}

auto print_countdown() -> agen::task<> {
  auto numbers = countdown(3);
  while (auto number = co_await numbers.anext()) std::printf("%d\n", *number);
}
// [/countdown]

// [await]
auto twice(int n) -> agen::task<int> { co_return 2 * n; }

auto doubled(int count) -> agen::async_generator<int> {
  for (int i = 1; i <= count; ++i) {
    int const value = co_await twice(i);  // anything may be awaited here
    co_yield value;
  }
}

auto sum_of(agen::async_generator<int> numbers) -> agen::task<int> {
  int sum = 0;
  while (auto number = co_await numbers.anext()) sum += *number;
  co_return sum;
}
// [/await]

// [delegate]
auto read_numbers(std::vector<std::string> lines)
    -> agen::async_generator<int, void, int> {
  int skipped = 0;
  for (auto const& line : lines) {
    if (line.find_first_not_of("0123456789") == std::string::npos) {
      co_yield std::stoi(line);
    } else {
      ++skipped;
    }
  }
  co_return skipped;
}

auto read_files() -> agen::async_generator<int> {
  std::vector<std::string> const first{"1", "two", "3"};
  std::vector<std::string> const second{"four", "5"};
  int skipped = co_await agen::yield_from(read_numbers(first));
  skipped += co_await agen::yield_from(read_numbers(second));
  std::printf("skipped %d\n", skipped);
}
// [/delegate]

// [send]
auto running_average() -> agen::async_generator<double, std::optional<double>> {
  double total = 0;
  int count = 0;
  for (;;) {
    std::optional<double> const value = co_yield count == 0 ? 0.0 : total / count;
    if (!value) co_return;  // plain anext(): no value, so we stop
    total += *value;
    ++count;
  }
}

auto print_averages() -> agen::task<> {
  auto averages = running_average();
  // Runs to the first co_yield, which can then receive a value.
  co_await averages.anext();
  for (double value : {10.0, 20.0, 60.0}) {
    auto average = co_await averages.asend(value);
    std::printf("%g\n", *average);
  }
}
// [/send]

// [close]
auto disconnect() -> agen::task<> {
  std::printf("disconnected\n");
  co_return;
}

auto rows() -> agen::async_generator<std::string> {
  std::printf("connected\n");
  std::exception_ptr ended;
  try {
    for (int number = 0; number < 1000; ++number)
      co_yield "row " + std::to_string(number);
  } catch (...) {
    ended = std::current_exception();  // C++ cannot await in a catch block
  }
  co_await agen::shielded(disconnect());  // no request to stop ends the cleanup
  if (ended) std::rethrow_exception(ended);
}

auto read_some() -> agen::task<> {
  co_await agen::aclosing(rows(), [](auto& every_row) -> agen::task<> {
    while (auto row = co_await every_row.anext()) {
      std::printf("%s\n", row->c_str());
      if (*row == "row 1") co_return;
    }
  });
  std::printf("and now something else\n");
}
// [/close]

// [adaptors]
auto chosen() -> agen::task<> {
  auto numbers =
      countdown(9) | agen::filter([](int n) { return n % 2 == 0; }) | agen::take(3);
  while (auto number = co_await numbers.anext()) std::printf("%d\n", *number);
}
// [/adaptors]

// [main]
auto main() -> int {
  agen::sync_wait(print_countdown());
  std::printf("%d\n", agen::sync_wait(sum_of(doubled(3))));
  std::printf("sum %d\n", agen::sync_wait(sum_of(read_files())));
  agen::sync_wait(print_averages());
  agen::sync_wait(read_some());
  agen::sync_wait(chosen());
}
// [/main]
