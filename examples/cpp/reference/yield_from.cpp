// docs/cpp/yield_from.md: delegation to generators, to other things with anext(), to
// ranges.
#include <agen/agen.hpp>
#include <array>
#include <cstdio>
#include <stdexcept>
#include <string>

// [inner]
auto inner() -> agen::async_generator<int, int, std::string> {
  int sum = 0;
  for (int i = 0; i < 2; ++i) {
    int const given = co_yield sum;
    sum += given;
  }
  co_return "sum " + std::to_string(sum);
}

auto outer() -> agen::async_generator<int, int> {
  // Items, sends and throws pass through.
  std::string const result = co_await agen::yield_from(inner());
  std::printf("%s\n", result.c_str());
}

auto send_through() -> agen::task<> {
  auto gen = outer();
  co_await gen.anext();
  for (int value : {10, 20}) co_await gen.asend(value);
}
// [/inner]

// [catch]
auto failing() -> agen::async_generator<int> {
  co_yield 1;
  throw std::runtime_error("inner failed");
}

auto careful() -> agen::async_generator<int> {
  try {
    co_await agen::yield_from(failing());
  } catch (std::runtime_error const& error) {
    std::printf("caught: %s\n", error.what());
  }
  co_yield 2;
}
// [/catch]

// [range]
auto from_range() -> agen::async_generator<int> {
  std::array<int, 2> const some{7, 8};
  co_await agen::yield_from(some);
}
// [/range]

// [lvalue]
auto numbers() -> agen::async_generator<int> {
  for (int i = 1;; ++i) co_yield i;
}

auto borrows(agen::async_generator<int>& source) -> agen::async_generator<int> {
  co_await agen::yield_from(source);  // an lvalue stays its owner's
}

auto borrow() -> agen::task<> {
  auto source = numbers();
  {
    auto gen = borrows(source);
    co_await gen.anext();
    std::printf("running meanwhile: %d\n", source.running());
  }
  auto item = co_await source.anext();  // goes on where the borrower left it
  std::printf("%d\n", *item);
}
// [/lvalue]

auto show(agen::async_generator<int> gen) -> agen::task<> {
  while (auto item = co_await gen.anext()) std::printf("%d\n", *item);
}

auto main() -> int {
  agen::sync_wait(send_through());
  agen::sync_wait(show(careful()));
  agen::sync_wait(show(from_range()));
  agen::sync_wait(borrow());
}
