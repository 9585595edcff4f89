// A program that imports the library: `co_yield`, `yield_from`, errors, adaptors, all by `import agen;`.
#include <coroutine>
#include <exception>
#include <stdexcept>

import agen;

auto count(int n) -> agen::async_generator<int, int, int> {
  int sum = 0;
  for (int i = 0; i < n; ++i) sum += co_yield i;
  co_return sum;
}
auto outer() -> agen::async_generator<int, int> {
  int const sum = co_await agen::yield_from(count(2));
  co_yield sum + 100;
  co_yield agen::error(std::runtime_error("end"));
}
auto body() -> agen::task<int> {
  auto gen = outer();
  int total = 0;
  while (auto got = co_await gen.try_anext()) total += *got;
  co_await agen::for_each(count(9), [&total](int item) {
    total += item;
    return item < 2;
  });
  agen::async_generator<int> empty;
  auto piped = std::move(empty) | agen::filter([](int i) { return i > 0; }) | agen::take(2);
  while (auto item = co_await piped.anext()) total += *item;
  co_return total;
}
auto main() -> int { return agen::sync_wait(body()) == 104 ? 0 : 1; }
