// Streams: what a merge costs for an item that comes at once.
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

bench::add const first("agen: merge of 10, item", &merged);

}  // namespace
