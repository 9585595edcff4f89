// agen/asio.hpp: operations awaited inside, generators driven from outside, cancellation, the finalizer, channels.
#include <agen/asio.hpp>
#include <agen/channel.hpp>

#include <gtest/gtest.h>

#ifdef AGEN_USE_BOOST_ASIO
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#else
#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read_until.hpp>
#include <asio/steady_timer.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>
#include <asio/write.hpp>
#endif
#include <chrono>
#include <stdexcept>

#include "support.hpp"

using namespace agen;
using namespace agen_test;
using namespace std::chrono_literals;

#ifdef AGEN_USE_BOOST_ASIO
namespace asio = boost::asio;
using boost::system::system_error;
#else
using asio::system_error;
#endif

namespace {

auto ticks(asio::io_context& context, int n) -> async_generator<int> {
  asio::steady_timer timer(context);
  for (int i = 0; i < n; ++i) {
    timer.expires_after(1ms);
    co_await timer.async_wait(use_agen);
    co_yield i;
  }
}

auto consume(asio::io_context& context, int n) -> asio::awaitable<int> {
  auto gen = ticks(context, n);
  int sum = 0;
  while (auto item = co_await async_anext(gen, asio::use_awaitable)) sum += *item;
  co_await async_aclose(gen, asio::use_awaitable);
  co_return sum;
}

TEST(Asio, AnAwaitableConsumesAGeneratorThatAwaitsTimers) {
  asio::io_context context;
  auto result = asio::co_spawn(context, consume(context, 5), asio::use_future);
  context.run();
  EXPECT_EQ(result.get(), 10);
}

auto echo(asio::io_context& context) -> async_generator<int, int> {
  int sent = 0;
  for (;;) {
    co_await asio::post(context, use_agen);
    int const next = co_yield sent + 1;
    sent = next;
  }
}

auto sends(asio::io_context& context) -> asio::awaitable<int> {
  auto gen = echo(context);
  co_await async_anext(gen, asio::use_awaitable);
  auto item = co_await async_asend(gen, 41, asio::use_awaitable);
  int const got = *item;
  bool thrown = false;
  try {
    co_await async_athrow(gen, std::make_exception_ptr(std::runtime_error("in")), asio::use_awaitable);
  } catch (std::runtime_error const&) {
    thrown = true;
  }
  EXPECT_TRUE(thrown);
  EXPECT_TRUE(gen.closed());
  co_return got;
}

TEST(Asio, SendAndThrowAreAsioOperationsToo) {
  asio::io_context context;
  auto result = asio::co_spawn(context, sends(context), asio::use_future);
  context.run();
  EXPECT_EQ(result.get(), 42);
}

using asio::ip::tcp;

auto lines(tcp::socket socket) -> async_generator<std::string> {
  std::string buffer;
  for (;;) {
    std::size_t n = 0;
    try {
      n = co_await asio::async_read_until(socket, asio::dynamic_buffer(buffer), '\n', use_agen);
    } catch (system_error const& error) {
      if (error.code() != asio::error::eof) throw;
    }
    if (n == 0) co_return;
    std::string line = buffer.substr(0, n - 1);
    co_yield line;
    buffer.erase(0, n);
  }
}

TEST(Asio, AGeneratorReadsLinesFromASocket) {
  asio::io_context context;
  tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
  journal got;
  auto server = [](tcp::acceptor& from, journal& into) -> task<> {
    auto gen = lines(co_await from.async_accept(use_agen));
    while (auto line = co_await gen.anext()) into.push_back(*line);
  };
  auto client = [](asio::io_context& io, tcp::endpoint to) -> task<> {
    tcp::socket socket(io);
    co_await socket.async_connect(to, use_agen);
    std::string const text = "one\ntwo\nthree\n";
    std::size_t const n = co_await asio::async_write(socket, asio::buffer(text), use_agen);
    EXPECT_EQ(n, text.size());
  };
  auto first = spawn(context.get_executor(), server(acceptor, got), asio::use_future);
  auto second = spawn(context.get_executor(), client(context, acceptor.local_endpoint()), asio::use_future);
  context.run();
  first.get();
  second.get();
  EXPECT_EQ(got, (journal{"one", "two", "three"}));
}

auto waits_long(asio::io_context& context, journal& log) -> async_generator<int> {
  asio::steady_timer timer(context, 1h);
  try {
    co_await timer.async_wait(use_agen);
  } catch (system_error const& error) {
    log.push_back(error.code() == asio::error::operation_aborted ? "aborted" : "other");
    throw;
  }
  co_yield 1;
}
auto delegates(asio::io_context& context, journal& log) -> async_generator<int> {
  co_await yield_from(waits_long(context, log));
}
auto iterates(asio::io_context& context, journal& log) -> async_generator<int> {
  auto inner = waits_long(context, log);
  while (auto item = co_await inner.anext()) co_yield *item;
}

TEST(Asio, ACancellationSlotReachesWhatTheBodyAwaitsDirectlyDelegatedOrIterated) {
  journal log;
  for (auto* make : {&waits_long, &delegates, &iterates}) {
    asio::io_context context;
    asio::cancellation_signal signal;
    auto gen = make(context, log);
    std::exception_ptr error;
    async_anext(gen, asio::bind_cancellation_slot(
                         signal.slot(), asio::bind_executor(context, [&](std::exception_ptr e, item<int, void> got) {
                           EXPECT_FALSE(got);
                           error = e;
                         })));
    asio::post(context, [&] { signal.emit(asio::cancellation_type::terminal); });
    context.run();
    EXPECT_THROW(std::rethrow_exception(error), system_error);
  }
  EXPECT_EQ(log, (journal{"aborted", "aborted", "aborted"}));
}

auto cleans_up(asio::io_context& context, journal& log) -> async_generator<int> {
  asio::steady_timer timer(context);
  std::exception_ptr error;
  try {
    co_yield 1;
  } catch (...) {
    error = std::current_exception();
  }
  timer.expires_after(1ms);
  co_await timer.async_wait(use_agen);
  log.push_back("cleaned");
  std::rethrow_exception(error);
}

TEST(Asio, TheFinalizerClosesDroppedGeneratorsOnTheExecutor) {
  asio::io_context context;
  journal log;
  set_asyncgen_hooks(asio_hooks(context.get_executor()));
  {
    auto gen = cleans_up(context, log);
    sync_wait(gen.anext());
  }
  set_asyncgen_hooks({});
  EXPECT_TRUE(log.empty());
  context.run();
  EXPECT_EQ(log, journal{"cleaned"});
}

TEST(Asio, DestroyingTheContextDestroysWhatWaitsInIt) {
  journal log;
  {
    asio::io_context context;
    asio::co_spawn(
        context,
        [](asio::io_context& io, journal& into) -> asio::awaitable<void> {
          leaves const here(into, "awaitable");
          auto gen = delegates(io, into);
          co_await async_anext(gen, asio::use_awaitable);
        }(context, log),
        asio::detached);
    context.poll();
    EXPECT_TRUE(log.empty());
  }
  EXPECT_EQ(log, journal{"awaitable"});
}

/// An Asio operation whose start fails after it was given its handler.
auto fails_to_start() {
  return asio::async_initiate<use_agen_t const, void()>(
      [](auto handler) {
        auto const kept = std::move(handler);
        throw std::runtime_error("no start");
      },
      use_agen);
}

TEST(Asio, AnOperationThatFailsToStartRaisesInTheBody) {
  asio::io_context context;
  std::exception_ptr error;
  bool caught = false;
  auto gen = [](bool& seen) -> async_generator<int> {
    try {
      co_await fails_to_start();
    } catch (std::runtime_error const&) {
      seen = true;
      throw;
    }
    co_yield 1;
  }(caught);
  async_anext(gen, asio::bind_executor(context, [&error](std::exception_ptr e, auto) { error = std::move(e); }));
  context.run();
  EXPECT_TRUE(caught);
  ASSERT_TRUE(error);
  EXPECT_THROW(std::rethrow_exception(error), std::runtime_error);
}

TEST(Asio, ASlotOutlivesTheOperationThatItsContextDestroyed) {
  asio::cancellation_signal signal;
  std::optional<asio::io_context> context(std::in_place);
  auto gen = [](asio::io_context& io) -> async_generator<int> {
    co_await asio::post(io, use_agen);
    co_yield 1;
  }(*context);
  async_anext(gen, asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(*context, [](auto&&...) {})));
  context.reset();
  signal.emit(asio::cancellation_type::all);
  EXPECT_TRUE(gen.running()) << "what it awaits never comes";
}

auto in_tasks(asio::io_context& context, journal& log) -> task<> {
  auto inner = [](asio::io_context& io, journal& into) -> task<> {
    co_await for_each(delegates(io, into), [](int) {});
  };
  co_await inner(context, log);
}

TEST(Asio, ACancellationSlotReachesThroughTasks) {
  asio::io_context context;
  asio::cancellation_signal signal;
  journal log;
  std::exception_ptr error;
  spawn(context.get_executor(), in_tasks(context, log),
        asio::bind_cancellation_slot(
            signal.slot(), asio::bind_executor(context, [&error](std::exception_ptr e) { error = std::move(e); })));
  context.poll();
  signal.emit(asio::cancellation_type::terminal);
  context.run();
  EXPECT_EQ(log, journal{"aborted"});
  EXPECT_TRUE(error);
}

/// Releases what it holds in two steps that both wait: the first is given up when it is cancelled, the second is not.
auto releases_slowly(asio::io_context& context, journal& log) -> async_generator<int> {
  std::exception_ptr error;
  try {
    co_yield 1;
  } catch (...) {
    error = std::current_exception();
  }
  asio::steady_timer timer(context, 1h);
  try {
    co_await timer.async_wait(use_agen);
  } catch (system_error const&) {
    log.emplace_back("given up");
  }
  timer.expires_after(1ms);
  co_await timer.async_wait(asio::bind_cancellation_slot(asio::cancellation_slot(), use_agen));
  log.emplace_back("released");
  if (error) std::rethrow_exception(error);
}

TEST(Asio, AclosingClosesWhenItIsCancelledAndACleanupMayHaveASlotOfItsOwn) {
  asio::io_context context;
  asio::cancellation_signal signal;
  journal log;
  std::exception_ptr error;
  auto body = [&](auto& gen) -> task<> {
    co_await gen.anext();
    asio::steady_timer timer(context, 1h);
    co_await timer.async_wait(use_agen);
  };
  spawn(context.get_executor(), aclosing(releases_slowly(context, log), body),
        asio::bind_cancellation_slot(
            signal.slot(), asio::bind_executor(context, [&error](std::exception_ptr e) { error = std::move(e); })));
  context.poll();
  signal.emit(asio::cancellation_type::terminal);
  context.run();
  EXPECT_EQ(log, (journal{"given up", "released"}));
  ASSERT_TRUE(error);
  EXPECT_THROW(std::rethrow_exception(error), system_error);
}

TEST(Asio, DroppingAGeneratorCancelsWhatItsBodyAwaits) {
  asio::io_context context;
  journal log;
  {
    auto gen = waits_long(context, log);
    auto const consumer = [](async_generator<int>& g) -> detached { co_await g.anext(); }(gen);
    {
      auto const dropped = std::move(gen);
    }
  }
  auto const begun = std::chrono::steady_clock::now();
  context.run();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 1min);
  EXPECT_TRUE(log.empty()) << "the body is gone: nothing in it runs any more";
}

auto asio_value() -> asio::awaitable<int> { co_return 6; }
auto awaits_awaitable(asio::io_context& context) -> async_generator<int> {
  int const value = co_await asio::co_spawn(context, asio_value(), use_agen);
  co_yield value + 0;
}

TEST(Asio, AGeneratorAwaitsAnAsioAwaitableByCoSpawn) {
  asio::io_context context;
  auto result = spawn(
      context.get_executor(),
      [](asio::io_context& io) -> task<int> {
        auto gen = awaits_awaitable(io);
        auto item = co_await gen.anext();
        co_return *item;
      }(context),
      asio::use_future);
  context.run();
  EXPECT_EQ(result.get(), 6);
}

TEST(Asio, AThreadPoolMayResumeTheBodyOnAnyThread) {
  asio::thread_pool pool(2);
  auto hops = [](asio::thread_pool& p) -> async_generator<int> {
    for (int i = 0; i < 5'000; ++i) {
      co_await asio::post(p, use_agen);
      co_yield i;
    }
  };
  auto sum = spawn(
      pool.get_executor(),
      [](async_generator<int> gen) -> task<long> {
        long total = 0;
        while (auto item = co_await gen.anext()) total += *item;
        co_return total;
      }(hops(pool)),
      asio::use_future);
  EXPECT_EQ(sum.get(), 4'999L * 2'500);
  pool.join();
}

auto from_thread(asio::io_context& context, int n, std::thread& thread) -> async_generator<int> {
  channel<int> c(4);
  thread = std::thread([out = c.producer(), n] {
    for (int i = 0; i < n; ++i) {
      if (i % 16 == 0) std::this_thread::sleep_for(1ms);
      if (!out.push(i)) return;
    }
  });
  return std::move(c).items(readable_on(context.get_executor()));
}

TEST(Asio, AChannelIsWaitedForOnTheExecutor) {
  asio::io_context context;
  std::thread thread;
  int ticks_meanwhile = 0;
  asio::co_spawn(
      context,
      [](asio::io_context& io, int& n) -> asio::awaitable<void> {
        auto gen = ticks(io, 3);
        while (auto item = co_await async_anext(gen, asio::use_awaitable)) ++n;
      }(context, ticks_meanwhile),
      asio::detached);
  auto result = asio::co_spawn(
      context,
      [](asio::io_context& io, std::thread& t) -> asio::awaitable<int> {
        auto gen = from_thread(io, 100, t);
        int sum = 0;
        while (auto item = co_await async_anext(gen, asio::use_awaitable)) sum += *item;
        co_return sum;
      }(context, thread),
      asio::use_future);
  context.run();
  EXPECT_EQ(result.get(), 4950);
  EXPECT_EQ(ticks_meanwhile, 3);
  thread.join();
}

TEST(Asio, ClosingAChannelAwaitsItsProducersOnTheExecutor) {
  asio::io_context context;
  std::thread thread;
  asio::co_spawn(
      context,
      [](asio::io_context& io, std::thread& t) -> asio::awaitable<void> {
        auto gen = from_thread(io, 1'000'000, t);
        co_await async_anext(gen, asio::use_awaitable);
        co_await async_aclose(gen, asio::use_awaitable);
        t.join();
      }(context, thread),
      asio::detached);
  context.run();
  EXPECT_FALSE(thread.joinable());
}

TEST(Asio, AGeneratorDroppedWhileItsChannelIsEmptyLeavesTheExecutorIdle) {
  asio::io_context context;
  channel<int> c(1);
  auto const out = c.producer();
  {
    auto gen = std::move(c).items(readable_on(context.get_executor()));
    auto const consumer = [](async_generator<int>& g) -> detached { co_await g.anext(); }(gen);
    {
      auto const dropped = std::move(gen);
    }
  }
  context.run();
  EXPECT_FALSE(out.push(1));
}

}  // namespace
