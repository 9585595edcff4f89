// docs/cpp/loops.md: ways to write a loop, and the adaptors.
#include <agen/agen.hpp>
#include <cstdio>
#include <string>
#include <utility>

auto count(int n) -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) co_yield i;
}

// [loops]
auto loops() -> agen::task<> {
  auto gen = count(2);
  while (auto item = co_await gen.anext()) std::printf("while %d\n", *item);

  AGEN_FOR_CO_AWAIT(int const& item, count(2)) std::printf("macro %d\n", item);

  auto other = count(2);
  for (auto it = co_await agen::begin(other); it != agen::end(other); co_await ++it)
    std::printf("iterator %d\n", *it);

  co_await agen::for_each(count(9), [](int item) {
    std::printf("for_each %d\n", item);
    return item < 1;  // false ends the loop; the generator is closed
  });
}
// [/loops]

// [adaptors]
auto adapted() -> agen::task<> {
  auto gen = count(100) | agen::filter([](int i) { return i % 2 == 1; }) |
             agen::transform([](int i) { return "<" + std::to_string(i) + ">"; }) |
             agen::take(3) | agen::enumerate();
  while (auto item = co_await gen.anext()) {
    auto const& [number, text] = *item;
    std::printf("%zu %s\n", number, text.c_str());
  }
}

auto more() -> agen::task<> {
  auto chunks = count(5) | agen::chunk(2);
  while (auto block = co_await chunks.anext()) std::printf("%zu ", block->size());
  auto pairs = agen::zip(count(2), agen::chain(count(1), count(3)));
  while (auto pair = co_await pairs.anext())
    std::printf("(%d, %d) ", std::get<0>(*pair), std::get<1>(*pair));
  auto small = count(100) | agen::take_while([](int i) { return i < 2; });
  while (auto item = co_await small.anext()) std::printf("%d ", *item);
  std::printf("\n");
}
// [/adaptors]

// [stage]
/// The items until they have come to a sum, each with that sum.
auto up_to(int most) {
  return agen::stage(
      [most](auto& source) -> agen::async_generator<std::pair<int, int>> {
        int sum = 0;
        while (auto item = co_await source.anext()) {
          sum += *item;
          if (sum > most) co_return;  // the source is closed
          co_yield std::pair(*item, sum);
        }
      });
}

auto staged() -> agen::task<> {
  auto const odd_up_to =
      agen::filter([](int i) { return i % 2 == 1; }) | up_to(20);  // a stage, too
  auto gen = count(100) | odd_up_to;
  while (auto item = co_await gen.anext())
    std::printf("%d: %d\n", item->first, item->second);
}
// [/stage]

auto main() -> int {
  agen::sync_wait(loops());
  agen::sync_wait(adapted());
  agen::sync_wait(more());
  agen::sync_wait(staged());
}
