// The code that docs/cpp/other_runtimes.md shows of Boost.Cobalt.
#define AGEN_USE_BOOST_ASIO
#include <agen/asio.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/cobalt.hpp>
#include <chrono>
#include <cstdio>
#include <exception>

namespace cobalt = boost::cobalt;
using namespace std::chrono_literals;

// [inside]
auto answer(int n) -> cobalt::promise<int> {
  boost::asio::steady_timer timer(co_await cobalt::this_coro::executor, 1ms);
  co_await timer.async_wait(cobalt::use_op);
  co_return 10 * n;
}
auto answers() -> agen::async_generator<int> {
  for (int i = 1; i <= 3; ++i) {
    int n = co_await answer(i);  // Cobalt's, awaited in a body of agen's
    co_yield n;
  }
}
// [/inside]

// [outside]
auto consume() -> cobalt::task<void> {
  auto gen = answers();
  while (auto item = co_await gen.anext()) std::printf("item %d\n", *item);
}
auto wrapped() -> cobalt::generator<int> {  // as a generator of Cobalt's
  auto gen = answers();
  while (auto item = co_await gen.anext()) co_yield *item;
  co_return 0;  // Cobalt's generators end with a value
}
// [/outside]

// [cancel]
auto slow(boost::asio::any_io_executor executor) -> agen::async_generator<int> {
  boost::asio::steady_timer timer(executor, 1h);
  try {
    co_await timer.async_wait(agen::use_agen);
  } catch (boost::system::system_error const&) {
    std::printf("cancelled\n");
  }
  co_yield 1;
}
auto with_timeout() -> cobalt::task<void> {
  auto const executor = co_await cobalt::this_coro::executor;
  auto gen = slow(executor);
  boost::asio::steady_timer timeout(executor, 1ms);
  auto const first = co_await cobalt::race(agen::async_anext(gen, cobalt::use_op),
                                           timeout.async_wait(cobalt::use_op));
  std::printf("first %zu\n", first.index());
}
// [/cancel]

auto both() -> cobalt::task<void> {
  co_await consume();
  auto gen = wrapped();
  while (gen) std::printf("wrapped %d\n", co_await gen);
  co_await with_timeout();
}

int main() { cobalt::run(both()); }
