// asio::experimental::coro, the one coroutine type of a widely installed library that yields and awaits: its own way of
// iterating, with the default executor and with a concrete one. Compiled once for Asio and once for Boost.Asio.
#ifdef AGEN_BENCH_BOOST
#include <boost/asio/experimental/co_spawn.hpp>
#include <boost/asio/experimental/coro.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/version.hpp>
namespace net = boost::asio;
#define AGEN_BENCH_NAME "Boost.Asio coro"
#else
#include <asio/experimental/co_spawn.hpp>
#include <asio/experimental/coro.hpp>
#include <asio/io_context.hpp>
namespace net = asio;
#define AGEN_BENCH_NAME "Asio coro"
#endif

#include "cases.hpp"

namespace {

using any = net::any_io_executor;
using concrete = net::io_context::executor_type;
template <class Yield, class Return, class Executor>
using coro = net::experimental::coro<Yield, Return, Executor>;

// Spelt out for each executor: g++ 12 dies of function templates that are coros.
AGEN_BENCH_NOINLINE auto numbers(any /*where*/, int n) -> coro<int, void, any> {
  for (int i = 0; i < n; ++i) co_yield i;
}
AGEN_BENCH_NOINLINE auto sum_up(any /*where*/, coro<int, void, any> gen, long* sum) -> coro<void, void, any> {
  while (auto item = co_await gen) *sum += *item;
}
// clang 19 finds no constructor of the promise for a concrete executor, neither in Asio 1.22 nor in Boost 1.81.
#ifndef __clang__
#define AGEN_BENCH_CONCRETE
AGEN_BENCH_NOINLINE auto numbers_there(concrete /*where*/, int n) -> coro<int, void, concrete> {
  for (int i = 0; i < n; ++i) co_yield i;
}
AGEN_BENCH_NOINLINE auto sum_up_there(concrete /*where*/, coro<int, void, concrete> gen, long* sum)
    -> coro<void, void, concrete> {
  while (auto item = co_await gen) *sum += *item;
}

#endif

struct ignore {
  template <class... Args>
  void operator()(Args&&... /*args*/) const noexcept {}
};

auto with_any(long items) -> long {
  net::io_context context(1);
  long sum = 0;
  auto all = sum_up(context.get_executor(), numbers(context.get_executor(), static_cast<int>(items)), &sum);
  all.async_resume(ignore());
  context.run();
  return sum;
}
#ifdef AGEN_BENCH_CONCRETE
auto with_concrete(long items) -> long {
  net::io_context context(1);
  long sum = 0;
  auto all = sum_up_there(context.get_executor(), numbers_there(context.get_executor(), static_cast<int>(items)), &sum);
  all.async_resume(ignore());
  context.run();
  return sum;
}

#endif

bench::add const first(AGEN_BENCH_NAME ", any executor", &with_any);
#ifdef AGEN_BENCH_CONCRETE
bench::add const second(AGEN_BENCH_NAME ", concrete executor", &with_concrete);
#endif

}  // namespace
