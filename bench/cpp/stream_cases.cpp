// Streams: what an item costs that comes at once.
#include <agen/streams.hpp>

#include "cases.hpp"
#include "consumer.hpp"

namespace {

using bench::consumer;

AGEN_BENCH_NOINLINE auto numbers(int n) -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) co_yield i;
}
AGEN_BENCH_NOINLINE auto sum_up(agen::async_generator<int> gen, long& sum) -> consumer {
  while (auto item = co_await gen.anext()) sum += *item;
}

auto merged(long items) -> long {
  std::vector<agen::async_generator<int>> sources;
  for (int i = 0; i < 10; ++i) sources.push_back(numbers(static_cast<int>(items) / 10));
  long sum = 0;
  sum_up(agen::streams::merge(std::move(sources)), sum);
  return sum;
}

auto prefetched(long items) -> long {
  long sum = 0;
  sum_up(agen::streams::prefetch(numbers(static_cast<int>(items)), 64), sum);
  return sum;
}
AGEN_BENCH_NOINLINE auto sum_up_shared(agen::async_generator<int const&> gen, long& sum) -> consumer {
  while (auto item = co_await gen.anext()) sum += *item;
}
auto broadcast(long items) -> long {
  long sum = 0;
  agen::streams::broadcast shared(numbers(static_cast<int>(items)), 64);
  sum_up_shared(shared.reader(), sum);
  return sum;
}
AGEN_BENCH_NOINLINE auto produce(agen::streams::producer<int> out, int n) -> consumer {
  for (int i = 0; i < n; ++i) co_await out.push(i);
}
auto channelled(long items) -> long {
  long sum = 0;
  agen::streams::channel<int> channel(64);
  produce(channel.producer(), static_cast<int>(items));
  sum_up(std::move(channel).items(), sum);
  return sum;
}

bench::add const first("agen: merge of 10, item", &merged);
bench::add const second("agen: prefetch of 64, item", &prefetched);
bench::add const third("agen: broadcast to one reader, item", &broadcast);
bench::add const fourth("agen: channel between coroutines, item", &channelled);

}  // namespace
