// docs/cpp/asio.md: generators over Asio, from both sides.
#include <agen/asio.hpp>
#include <agen/asio_awaitable.hpp>

#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>
#include <chrono>
#include <cstdio>

using namespace std::chrono_literals;

// [inside]
auto ticks(asio::io_context& context, int n) -> agen::async_generator<int> {
  asio::steady_timer timer(context);
  for (int i = 0; i < n; ++i) {
    timer.expires_after(1ms);
    co_await timer.async_wait(agen::use_agen);
    co_yield i;
  }
}
// [/inside]

// [outside]
auto from_awaitable(asio::io_context& context) -> asio::awaitable<void> {
  auto gen = ticks(context, 2);
  while (auto item = co_await agen::async_anext(gen, asio::use_awaitable))
    std::printf("awaitable %d\n", *item);
}

auto from_task(asio::io_context& context) -> agen::task<> {
  auto gen = ticks(context, 2);
  while (auto item = co_await gen.anext()) std::printf("task %d\n", *item);
}
// [/outside]

// [cancel]
auto cancelled(asio::io_context& context) {
  asio::cancellation_signal signal;
  auto gen = [](asio::io_context& io) -> agen::async_generator<int> {
    asio::steady_timer timer(io, 1h);
    co_await timer.async_wait(agen::use_agen);  // ends early, with operation_aborted
    co_yield 1;
  }(context);
  agen::async_anext(
      gen, asio::bind_cancellation_slot(
               signal.slot(), asio::bind_executor(context, [](auto error, auto) {
                 std::printf("cancelled: %d\n", static_cast<bool>(error));
               })));
  signal.emit(asio::cancellation_type::terminal);
  context.run();
}
// [/cancel]

// [finalizer]
auto forgetful(asio::io_context& context) -> agen::task<> {
  auto gen = [](asio::io_context& io) -> agen::async_generator<int> {
    std::exception_ptr error;
    try {
      co_yield 1;
    } catch (...) {
      error = std::current_exception();
    }
    asio::steady_timer timer(io, 1ms);
    co_await timer.async_wait(agen::use_agen);
    std::printf("cleaned up\n");
    if (error) std::rethrow_exception(error);
  }(context);
  co_await gen.anext();
}

void dropped(asio::io_context& context) {
  agen::set_asyncgen_hooks(agen::asio_hooks(context.get_executor()));
  agen::spawn(context.get_executor(), forgetful(context), asio::detached);
  context.run();  // returns when the dropped generator has been closed, too
  agen::set_asyncgen_hooks({});
}
// [/finalizer]

// [awaitable]
auto squared(int i) -> asio::awaitable<int> {
  co_await asio::post(asio::use_awaitable);
  int const square = i * i;
  co_return square;
}
auto squares(int n) -> agen::async_generator<int> {
  asio::steady_timer timer(co_await agen::this_executor, 1ms);
  co_await timer.async_wait(agen::use_agen);
  for (int i = 0; i < n; ++i) {
    int square = co_await squared(i);
    co_yield square;
  }
}
// [/awaitable]
auto prints_squares() -> asio::awaitable<void> {
  auto gen = squares(3);
  while (auto item = co_await agen::async_anext(gen, asio::use_awaitable))
    std::printf("square %d\n", *item);
}

auto main() -> int {
  asio::io_context context;
  asio::co_spawn(context, from_awaitable(context), asio::detached);
  context.run();
  context.restart();
  agen::spawn(context.get_executor(), from_task(context), asio::detached);
  context.run();
  context.restart();
  cancelled(context);
  context.restart();
  dropped(context);
  context.restart();
  asio::co_spawn(context, prints_squares(), asio::detached);
  context.run();
}
