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

// Spelt out for each executor, because g++ 12 crashes on function templates that are coros. By pointer, because clang
// may otherwise take the executor from a coro among the parameters.
AGEN_BENCH_NOINLINE auto numbers(any /*where*/, int n) -> coro<int, void, any> {
  for (int i = 0; i < n; ++i) co_yield i;
}
AGEN_BENCH_NOINLINE auto sum_up(any /*where*/, coro<int, void, any>* gen, long* sum) -> coro<void, void, any> {
  while (auto item = co_await *gen) *sum += *item;
}
AGEN_BENCH_NOINLINE auto numbers_there(concrete /*where*/, int n) -> coro<int, void, concrete> {
  for (int i = 0; i < n; ++i) co_yield i;
}
AGEN_BENCH_NOINLINE auto sum_up_there(concrete /*where*/, coro<int, void, concrete>* gen, long* sum)
    -> coro<void, void, concrete> {
  while (auto item = co_await *gen) *sum += *item;
}

struct ignore {
  template <class... Args>
  void operator()(Args&&... /*args*/) const noexcept {}
};

auto with_any(long items) -> long {
  net::io_context context(1);
  long sum = 0;
  auto gen = numbers(context.get_executor(), static_cast<int>(items));
  auto all = sum_up(context.get_executor(), &gen, &sum);
  all.async_resume(ignore());
  context.run();
  return sum;
}
auto with_concrete(long items) -> long {
  net::io_context context(1);
  long sum = 0;
  auto gen = numbers_there(context.get_executor(), static_cast<int>(items));
  auto all = sum_up_there(context.get_executor(), &gen, &sum);
  all.async_resume(ignore());
  context.run();
  return sum;
}

bench::add const first(AGEN_BENCH_NAME ", any executor", &with_any);
bench::add const second(AGEN_BENCH_NAME ", concrete executor", &with_concrete);

}  // namespace
