// Ours over Asio: an operation in a body, and a generator that an asio::awaitable iterates. Beside them an awaitable
// that does nothing but the same operation.
#include <agen/asio.hpp>
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/use_awaitable.hpp>

#include "cases.hpp"
#include "consumer.hpp"

namespace {

AGEN_BENCH_NOINLINE auto numbers(int n) -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) co_yield i;
}
AGEN_BENCH_NOINLINE auto posted_numbers(asio::io_context& context, int n) -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) {
    co_await asio::post(context, agen::use_agen);
    co_yield i;
  }
}
AGEN_BENCH_NOINLINE auto sum_up(agen::async_generator<int> gen, long& sum) -> bench::consumer {
  while (auto item = co_await gen.anext()) sum += *item;
}
AGEN_BENCH_NOINLINE auto sum_up_there(agen::async_generator<int> gen, long& sum) -> asio::awaitable<void> {
  while (auto item = co_await agen::async_anext(gen, asio::use_awaitable)) sum += *item;
}
AGEN_BENCH_NOINLINE auto count_posts(asio::io_context& context, int n, long& sum) -> asio::awaitable<void> {
  for (int i = 0; i < n; ++i) {
    co_await asio::post(context, asio::use_awaitable);
    sum += i;
  }
}

auto operation_in_body(long items) -> long {
  asio::io_context context(1);
  long sum = 0;
  sum_up(posted_numbers(context, static_cast<int>(items)), sum);
  context.run();
  return sum;
}
auto from_awaitable(long items) -> long {
  asio::io_context context(1);
  long sum = 0;
  asio::co_spawn(context, sum_up_there(numbers(static_cast<int>(items)), sum), asio::detached);
  context.run();
  return sum;
}
auto awaitable_only(long items) -> long {
  asio::io_context context(1);
  long sum = 0;
  asio::co_spawn(context, count_posts(context, static_cast<int>(items), sum), asio::detached);
  context.run();
  return sum;
}

bench::add const cases[] = {
    {"agen over Asio: post in a body, item", &operation_in_body},
    {"agen over Asio: async_anext in an awaitable", &from_awaitable},
    {"Asio awaitable: post", &awaitable_only},
};

}  // namespace
