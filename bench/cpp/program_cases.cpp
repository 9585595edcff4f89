// Ours, as programs use it: bodies that wait, short lives, a generator inside a generator, errors, loops that end
// early.
#include <agen/adaptors.hpp>
#include <agen/destroyed_on_close.hpp>
#include <agen/loops.hpp>
#include <agen/recycling_allocator.hpp>
#include <exception>
#include <memory>

#include "cases.hpp"
#include "consumer.hpp"

namespace {

using bench::consumer;

AGEN_BENCH_NOINLINE auto numbers(int n) -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) co_yield i;
}
AGEN_BENCH_NOINLINE auto waiting_numbers(int n) -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) {
    co_await bench::later();
    co_yield i;
  }
}
AGEN_BENCH_NOINLINE auto ready_numbers(int n) -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) {
    co_await std::suspend_never();
    co_yield i;
  }
}
AGEN_BENCH_NOINLINE auto doubled(agen::async_generator<int> source) -> agen::async_generator<int> {
  while (auto item = co_await source.anext()) co_yield *item * 2;
}
AGEN_BENCH_NOINLINE auto raising(int /*n*/) -> agen::async_generator<int> {
  co_yield 1;
  throw 1;
}
AGEN_BENCH_NOINLINE auto plain_numbers(int n, agen::destroyed_on_close /*how*/) -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) co_yield i;
}
AGEN_BENCH_NOINLINE auto plainly_delegating(int n, agen::destroyed_on_close /*how*/) -> agen::async_generator<int> {
  co_await agen::yield_from(plain_numbers(n, {}));
}
AGEN_BENCH_NOINLINE auto recycled_numbers(std::allocator_arg_t /*tag*/, agen::recycling_allocator<> /*from*/, int n)
    -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) co_yield i;
}
auto recycled(int n) -> agen::async_generator<int> { return recycled_numbers(std::allocator_arg, {}, n); }
auto destroyed(int n) -> agen::async_generator<int> { return plain_numbers(n, {}); }
auto destroyed_chain(int n) -> agen::async_generator<int> { return plainly_delegating(n, {}); }
AGEN_BENCH_NOINLINE auto delegating(int n) -> agen::async_generator<int> { co_await agen::yield_from(numbers(n)); }

template <class Yield>
AGEN_BENCH_NOINLINE auto sum_up(agen::async_generator<Yield> gen, long& sum) -> consumer {
  while (auto item = co_await gen.anext()) sum += *item;
}

// The rest makes a generator again and again, within one consumer.
using make = agen::async_generator<int> (*)(int n);

AGEN_BENCH_NOINLINE auto sum_up_each(make numbers, long times, long& sum) -> consumer {
  for (; times != 0; --times) {
    auto gen = numbers(3);
    while (auto item = co_await gen.anext()) sum += *item;
  }
}
AGEN_BENCH_NOINLINE auto catch_each(make numbers, long times, long& sum) -> consumer {
  for (; times != 0; --times) {
    auto gen = numbers(3);
    try {
      while (auto item = co_await gen.anext()) sum += *item;
    } catch (int error) {
      sum += error;
    }
  }
}
AGEN_BENCH_NOINLINE auto drop_each(make numbers, long times, long& sum) -> consumer {
  for (; times != 0; --times) {
    auto gen = numbers(3);
    auto item = co_await gen.anext();
    sum += *item;
  }
}
AGEN_BENCH_NOINLINE auto close_each(make numbers, long times, long& sum) -> consumer {
  for (; times != 0; --times) {
    auto gen = numbers(3);
    auto item = co_await gen.anext();
    sum += *item;
    co_await gen.aclose();
  }
}
AGEN_BENCH_NOINLINE auto close_each_unstarted(make numbers, long times, long& sum) -> consumer {
  for (; times != 0; --times) {
    auto gen = numbers(3);
    co_await gen.aclose();
    ++sum;
  }
}
AGEN_BENCH_NOINLINE auto take_one_of_each(make numbers, long times, long& sum) -> consumer {
  for (; times != 0; --times) {
    auto gen = numbers(3) | agen::take(1);
    while (auto item = co_await gen.anext()) sum += *item;
  }
}
AGEN_BENCH_NOINLINE auto leave_for_each(make numbers, long times, long& sum) -> consumer {
  for (; times != 0; --times) {
    co_await agen::for_each(numbers(3), [&sum](int item) {
      sum += item;
      return false;
    });
  }
}

auto suspended(long items) -> long {
  long sum = 0;
  sum_up(waiting_numbers(static_cast<int>(items)), sum);
  bench::run_loop();
  return sum;
}
auto ready(long items) -> long {
  long sum = 0;
  sum_up(ready_numbers(static_cast<int>(items)), sum);
  return sum;
}
auto nested(long items) -> long {
  long sum = 0;
  sum_up(doubled(numbers(static_cast<int>(items))), sum);
  return sum;
}
auto nested_suspended(long items) -> long {
  long sum = 0;
  sum_up(doubled(waiting_numbers(static_cast<int>(items))), sum);
  bench::run_loop();
  return sum;
}
auto transformed(long items) -> long {
  long sum = 0;
  sum_up(numbers(static_cast<int>(items)) | agen::transform([](int i) { return i * 2; }), sum);
  return sum;
}
template <auto Use, make Numbers>
auto each(long times) -> long {
  long sum = 0;
  Use(Numbers, times, sum);
  return sum;
}

bench::add const cases[] = {
    {"agen: await that suspends, item", &suspended},
    {"agen: await that is ready, item", &ready},
    {"agen: create, three items, end", &each<&sum_up_each, &numbers>},
    {"agen: create, three items, end, recycling_allocator", &each<&sum_up_each, &recycled>},
    {"agen: generator in a generator", &nested},
    {"agen: generator in a generator, suspended", &nested_suspended},
    {"agen: transform", &transformed},
    {"agen: exception out of the body", &each<&catch_each, &raising>},
    {"agen: one item, drop", &each<&drop_each, &numbers>},
    {"agen: one item, drop, recycling_allocator", &each<&drop_each, &recycled>},
    {"agen: one item, aclose", &each<&close_each, &numbers>},
    {"agen: one item, aclose, destroyed_on_close", &each<&close_each, &destroyed>},
    {"agen: one item through yield_from, aclose", &each<&close_each, &delegating>},
    {"agen: one item through yield_from, aclose, destroyed_on_close", &each<&close_each, &destroyed_chain>},
    {"agen: aclose before the first item", &each<&close_each_unstarted, &numbers>},
    {"agen: take(1)", &each<&take_one_of_each, &numbers>},
    {"agen: take(1), destroyed_on_close", &each<&take_one_of_each, &destroyed>},
    {"agen: for_each that ends at once", &each<&leave_for_each, &numbers>},
    {"agen: for_each that ends at once, destroyed_on_close", &each<&leave_for_each, &destroyed>},
};

}  // namespace
