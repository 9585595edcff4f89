// Ours: plain items, items through delegation, values sent, and the same done by a loop that yields again at each
// level.
#include <agen/async_generator.hpp>

#include "cases.hpp"
#include "consumer.hpp"

namespace {

using bench::consumer;

AGEN_BENCH_NOINLINE auto numbers(int n) -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) co_yield i;
}
AGEN_BENCH_NOINLINE auto delegating(int depth, int n) -> agen::async_generator<int> {
  if (depth == 1) {
    co_await agen::yield_from(numbers(n));
  } else {
    co_await agen::yield_from(delegating(depth - 1, n));
  }
}
AGEN_BENCH_NOINLINE auto yielding_again(int depth, int n) -> agen::async_generator<int> {
  auto inner = depth == 1 ? numbers(n) : yielding_again(depth - 1, n);
  while (auto item = co_await inner.anext()) co_yield *item;
}
AGEN_BENCH_NOINLINE auto echo(int n) -> agen::async_generator<int, int> {
  int sent = 0;
  for (int i = 0; i < n; ++i) {
    int const given = co_yield sent;
    sent = given;
  }
}
AGEN_BENCH_NOINLINE auto sent_through(int depth, int n) -> agen::async_generator<int, int> {
  if (depth == 1) {
    co_await agen::yield_from(echo(n));
  } else {
    co_await agen::yield_from(sent_through(depth - 1, n));
  }
}

AGEN_BENCH_NOINLINE auto sum_up(agen::async_generator<int> gen, long& sum) -> consumer {
  while (auto item = co_await gen.anext()) sum += *item;
}
AGEN_BENCH_NOINLINE auto send_to(agen::async_generator<int, int> gen, long& sum) -> consumer {
  co_await gen.anext();
  while (auto item = co_await gen.asend(1)) sum += *item;
}
AGEN_BENCH_NOINLINE auto take_one(agen::async_generator<int> gen, long& sum) -> consumer {
  auto item = co_await gen.anext();
  sum += *item;
}

template <int Depth>
auto delegated(long items) -> long {
  long sum = 0;
  sum_up(delegating(Depth, static_cast<int>(items)), sum);
  return sum;
}
template <int Depth>
auto again(long items) -> long {
  long sum = 0;
  sum_up(yielding_again(Depth, static_cast<int>(items)), sum);
  return sum;
}
template <int Depth>
auto sent(long items) -> long {
  long sum = 0;
  send_to(sent_through(Depth, static_cast<int>(items)), sum);
  return sum;
}
auto plain(long items) -> long {
  long sum = 0;
  sum_up(numbers(static_cast<int>(items)), sum);
  return sum;
}
auto sent_directly(long items) -> long {
  long sum = 0;
  send_to(echo(static_cast<int>(items)), sum);
  return sum;
}
auto created(long generators) -> long {
  long sum = 0;
  for (long i = 0; i < generators; ++i) take_one(numbers(2), sum);
  return sum;
}

bench::add const cases[] = {
    {"agen: plain", &plain},
    {"agen: yield_from, depth 1", &delegated<1>},
    {"agen: yield_from, depth 10", &delegated<10>},
    {"agen: yield_from, depth 100", &delegated<100>},
    {"agen: yield_from, depth 1000", &delegated<1000>},
    {"agen: asend, depth 0", &sent_directly},
    {"agen: asend, depth 100", &sent<100>},
    {"agen: create, first item, destroy", &created},
    {"loop that yields again, depth 1", &again<1>},
    {"loop that yields again, depth 10", &again<10>},
    {"loop that yields again, depth 100", &again<100>},
};

}  // namespace
