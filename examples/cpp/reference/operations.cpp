// docs/cpp/generator.md: the generator and its four operations.
#include <agen/agen.hpp>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>

// [count]
auto count(int n) -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) co_yield i;
}

auto consume() -> agen::task<> {
  auto gen = count(3);
  while (auto item = co_await gen.anext()) std::printf("%d\n", *item);
}
// [/count]

// [send]
auto average() -> agen::async_generator<double, std::optional<double>, std::string> {
  double sum = 0;
  int n = 0;
  for (;;) {
    std::optional<double> const given = co_yield n == 0 ? 0.0 : sum / n;
    if (!given) co_return std::to_string(n) + " values";
    sum += *given;
    ++n;
  }
}

auto send() -> agen::task<> {
  auto gen = average();
  // Runs the body to its first co_yield, which can then receive a value.
  co_await gen.anext();
  for (double value : {1.0, 2.0, 6.0}) {
    auto item = co_await gen.asend(value);
    std::printf("%g\n", *item);
  }
  auto end = co_await gen.anext();  // sends Send(), an empty optional
  std::printf("%s\n", end ? "an item" : end.returned().c_str());
}
// [/send]

// [throw]
auto patient() -> agen::async_generator<int> {
  for (int i = 0;; ++i) {
    bool asked = false;
    try {
      co_yield i;
    } catch (std::runtime_error const& error) {
      std::printf("thrown in: %s\n", error.what());
      asked = true;
    }
    if (asked) i = 99;
  }
}

auto throw_in() -> agen::task<> {
  auto gen = patient();
  co_await gen.anext();
  auto item = co_await gen.athrow(std::make_exception_ptr(std::runtime_error("hurry")));
  std::printf("%d\n", *item);
  co_await gen.aclose();
  std::printf("closed: %d\n", gen.closed());
}
// [/throw]

// [reference]
auto words(std::string& store) -> agen::async_generator<std::string&> {
  for (char const* word : {"one", "two"}) {
    store = word;
    co_yield store;  // the consumer gets a reference to `store` itself
  }
}

auto by_reference() -> agen::task<> {
  std::string store;
  auto gen = words(store);
  while (auto item = co_await gen.anext())
    std::printf("%s %s\n", item->c_str(), &*item == &store ? "same" : "copy");
}
// [/reference]

auto main() -> int {
  agen::sync_wait(consume());
  agen::sync_wait(send());
  agen::sync_wait(throw_in());
  agen::sync_wait(by_reference());
}
