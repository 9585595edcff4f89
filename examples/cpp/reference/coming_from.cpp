// docs/cpp/coming_from.md: what is written elsewhere, and here.
#include <agen/agen.hpp>
#include <cstdio>
#include <stdexcept>

// [generator]
auto numbers(int n) -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) co_yield i;
}
auto sum() -> agen::task<int> {
  int total = 0;
  auto gen = numbers(4);
  for (auto it = co_await agen::begin(gen); it != agen::end(gen); co_await ++it)
    total += *it;
  while (auto item = co_await gen.anext()) total += *item;  // at its end already
  co_return total;
}
auto doubled() {
  return numbers(4) | agen::transform([](int i) { return 2 * i; });
}
// [/generator]

// [errors]
auto fails() -> agen::async_generator<int> {
  co_yield 1;
  co_yield agen::error(std::runtime_error("no more"));
}
auto without_a_throw() -> agen::task<> {
  auto gen = fails();
  for (;;) {
    auto got = co_await gen.try_anext();
    if (got) {
      std::printf("item %d\n", *got);
    } else {
      std::printf("%s\n", got.error() ? "an error" : "the end");
      co_return;
    }
  }
}
// [/errors]

// [both_ways]
auto echo() -> agen::async_generator<int, int, int> {
  int sent = 0;
  while (sent < 10) sent = co_yield sent + 1;
  co_return sent;
}
auto both_ways() -> agen::task<> {
  auto gen = echo();
  co_await gen.anext();
  auto item = co_await gen.asend(5);
  std::printf("sent 5, got %d\n", *item);
  auto end = co_await gen.asend(12);
  std::printf("returned %d\n", end.returned());
}
// [/both_ways]

auto main() -> int {
  std::printf("sum %d\n", agen::sync_wait(sum()));
  agen::sync_wait(
      agen::for_each(doubled(), [](int i) { std::printf("doubled %d\n", i); }));
  agen::sync_wait(without_a_throw());
  agen::sync_wait(both_ways());
}
