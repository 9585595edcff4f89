// agen/asio.hpp: operations awaited inside, generators driven from outside, cancellation, the finalizer, channels.
#include <agen/asio.hpp>
#include <agen/asio_awaitable.hpp>
#include <agen/channel.hpp>
#include <agen/std_stop.hpp>

#include <gtest/gtest.h>

#ifdef AGEN_USE_BOOST_ASIO
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
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
#include <asio/read.hpp>
#include <asio/steady_timer.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>
#include <asio/write.hpp>
#endif
#include <array>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "support.hpp"

using namespace agen;
using namespace agen_test;
using namespace std::chrono_literals;

#ifdef AGEN_USE_BOOST_ASIO
namespace asio = boost::asio;
using boost::system::system_error;
#define AGEN_TEST_ASIO_VERSION BOOST_ASIO_VERSION
#else
using asio::system_error;
#define AGEN_TEST_ASIO_VERSION ASIO_VERSION
#endif
#if AGEN_TEST_ASIO_VERSION >= 103100  // Asio 1.31, Boost 1.86: the first with cancel_after
#ifdef AGEN_USE_BOOST_ASIO
#include <boost/asio/cancel_after.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#else
#include <asio/cancel_after.hpp>
#include <asio/deferred.hpp>
#include <asio/experimental/parallel_group.hpp>
#endif
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

/// As in docs/cpp/asio.md.
auto lines(tcp::socket socket) -> async_generator<std::string> {
  std::array<char, 1024> received;
  std::string text;
  for (;;) {
    std::size_t size = 0;
    try {
      size = co_await socket.async_read_some(asio::buffer(received), use_agen);
    } catch (system_error const& error) {
      if (error.code() != asio::error::eof) throw;
      co_return;
    }
    text.append(received.data(), size);
    for (std::size_t end = 0; (end = text.find('\n')) != std::string::npos;) {
      std::string line = text.substr(0, end);
      text.erase(0, end + 1);
      co_yield line;
    }
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

#ifndef _WIN32  // there the kernel may still write into a buffer of the frame
/// Two sockets that are connected.
auto connected(asio::io_context& context) -> std::pair<tcp::socket, tcp::socket> {
  tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
  tcp::socket one(context);
  one.connect(acceptor.local_endpoint());
  return {std::move(one), acceptor.accept()};
}

TEST(Asio, AGeneratorThatReadsLinesCanBeDroppedWhileItWaits) {
  asio::io_context context;
  auto [near, far] = connected(context);
  asio::write(far, asio::buffer("one\nhalf", 8));
  std::optional gen(lines(std::move(near)));
  journal got;
  for (int i = 0; i < 2; ++i) {
    async_anext(*gen, asio::bind_executor(context, [&got](std::exception_ptr error, item<std::string, void> line) {
      got.push_back(error ? "error" : *line);
    }));
    context.run_for(i == 0 ? 10'000ms : 10ms);  // returns when the first line has come; nothing comes after that
    context.restart();
  }
  EXPECT_TRUE(gen->running());
  gen.reset();
  context.run();  // calls the cancelled operation, which may touch nothing of the frame
  EXPECT_EQ(got, (journal{"one", "error"}));
}

TEST(Asio, AReadOrWriteOfAFixedBufferCanBeDroppedWhileItWaits) {
  asio::io_context context;
  auto const reads = [](tcp::socket from) -> async_generator<char> {
    std::array<char, 64> all;
    co_await asio::async_read(from, asio::buffer(all), use_agen);
    co_yield all[0];
  };
  auto const writes = [](tcp::socket to) -> async_generator<char> {
    std::vector<char> const much(64 << 20);
    co_await asio::async_write(to, asio::buffer(much), use_agen);
    co_yield much[0];
  };
  auto one = connected(context), other = connected(context);
  asio::write(one.second, asio::buffer("part", 4));
  std::optional reader(reads(std::move(one.first))), writer(writes(std::move(other.first)));
  int aborted = 0;
  for (auto* gen : {&*reader, &*writer})
    async_anext(*gen, asio::bind_executor(context, [&aborted](std::exception_ptr error, auto&&) {
      aborted += error != nullptr ? 1 : 0;
    }));
  context.run_for(10ms);
  context.restart();
  EXPECT_TRUE(reader->running());
  EXPECT_TRUE(writer->running());
  reader.reset();
  writer.reset();
  context.run();
  EXPECT_EQ(aborted, 2);
}
#endif

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

/// Waits for an hour; when it is stopped, waits for a moment more.
auto stopped_and_cleaned(asio::io_context& context, journal& log) -> async_generator<int> {
  asio::steady_timer timer(context, 1h);
  try {
    co_await timer.async_wait(use_agen);
  } catch (stopped const&) {
    log.emplace_back("stopped");
  }
  timer.expires_after(1ms);
  co_await timer.async_wait(use_agen);
  log.emplace_back("cleaned");
  co_yield (co_await stop_token()).stop_requested() ? 1 : 0;
}

TEST(Asio, AStopTokenStopsWhatIsAwaitedAndItsCleanupCanWait) {
  asio::io_context context;
  std::stop_source source;
  journal log;
  auto gen = stopped_and_cleaned(context, log);
  auto const consumer = [](auto& g, std::stop_token token, journal& l) -> detached {
    auto item = co_await with_stop(token, g.anext());
    l.push_back(std::to_string(*item));
  }(gen, source.get_token(), log);
  asio::post(context, [&] { source.request_stop(); });
  context.run();
  EXPECT_EQ(log, (journal{"stopped", "cleaned", "1"}));
}

TEST(Asio, ASlotIsAStopToken) {
  asio::io_context context;
  asio::cancellation_signal signal;
  event never;
  journal log;
  auto gen = [](event& e) -> async_generator<int> {
    co_await e;
    co_yield 1;
  }(never);
  async_anext(gen, asio::bind_cancellation_slot(signal.slot(),
                                                asio::bind_executor(context, [&](std::exception_ptr error, auto) {
                                                  try {
                                                    std::rethrow_exception(error);
                                                  } catch (stopped const&) {
                                                    log.emplace_back("stopped");
                                                  }
                                                })));
  asio::post(context, [&] { signal.emit(asio::cancellation_type::terminal); });
  context.run();
  EXPECT_EQ(log, journal{"stopped"});
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

// Handlers without an executor of their own.

auto at_once() -> task<int> { co_return 1; }
auto later(asio::io_context& context) -> task<int> {
  asio::steady_timer timer(context, 1ms);
  co_await timer.async_wait(use_agen);
  co_return 1;
}
auto raises(asio::io_context& context) -> task<int> {
  co_await asio::post(context, use_agen);
  throw std::runtime_error("raised");
}

TEST(Asio, AHandlerWithoutAnExecutorIsCalledOnTheOneThatItsTaskWasSpawnedOn) {
  for (int which = 0; which < 3; ++which) {
    asio::io_context context;
    std::thread::id called;
    bool raised = false;
    spawn(context.get_executor(),
          which == 0   ? at_once()
          : which == 1 ? later(context)
                       : raises(context),
          [&](std::exception_ptr const& error, int value) {
            called = std::this_thread::get_id();
            raised = error != nullptr;
            EXPECT_EQ(value, error ? 0 : 1);
          });
    EXPECT_EQ(called, std::thread::id()) << "not before run()";
    context.run();
    EXPECT_EQ(called, std::this_thread::get_id()) << which << ": run() had returned, or another thread called it";
    EXPECT_EQ(raised, which == 2);
  }
}

TEST(Asio, AHandlersOwnExecutorComesBeforeTheOneThatItsTaskWasSpawnedOn) {
  asio::io_context context;
  asio::io_context other;
  bool called = false;
  spawn(context.get_executor(), later(context),
        asio::bind_executor(other, [&](std::exception_ptr, int) { called = true; }));
  context.run();
  EXPECT_FALSE(called);
  other.run();
  EXPECT_TRUE(called);
}

TEST(Asio, ASpawnedTaskKeepsItsExecutorAtWorkWhateverItAwaits) {
  asio::io_context context;
  worker elsewhere;
  bool done = false;
  spawn(
      context.get_executor(),
      [](asio::io_context& io, worker& w) -> task<> {
        co_await w.hop();
        std::this_thread::sleep_for(5ms);
        co_await asio::post(io, use_agen);
      }(context, elsewhere),
      [&](std::exception_ptr) { done = true; });
  context.run();
  EXPECT_TRUE(done);
}

/// Says that it was called, on whatever thread.
template <class... Args>
auto tells(std::promise<bool>& raised) {
  return [&raised](std::exception_ptr const& error, Args... /*answer*/) { raised.set_value(error != nullptr); };
}

TEST(Asio, EveryOperationTakesHandlersWithoutAnExecutor) {
  auto const run = [](auto&& start) {
    asio::io_context context;
    auto gen = echo(context);
    async_anext(gen, asio::bind_executor(context, [](auto&&...) {}));
    context.run();
    context.restart();
    std::promise<bool> raised;
    start(gen, raised);
    context.run();
    return raised.get_future().get();
  };
  using answer = item<int, void>;
  EXPECT_FALSE(run([](auto& gen, auto& told) { async_anext(gen, tells<answer>(told)); }));
  EXPECT_FALSE(run([](auto& gen, auto& told) { async_asend(gen, 1, tells<answer>(told)); }));
  EXPECT_TRUE(run([](auto& gen, auto& told) {
    async_athrow(gen, std::make_exception_ptr(std::runtime_error("in")), tells<answer>(told));
  }));
  EXPECT_FALSE(run([](auto& gen, auto& told) { async_aclose(gen, tells<>(told)); }));
}

TEST(Asio, ATokenWithoutAnExecutorMayBeBoundToOne) {
  asio::io_context context;
  auto result = spawn(
      context.get_executor(),
      [](asio::io_context& io) -> task<bool> {
        auto gen = ticks(io, 1);
        auto const thread = std::this_thread::get_id();
        auto item = co_await async_anext(gen, asio::bind_executor(io, use_agen));
        EXPECT_TRUE(item);
        co_return thread == std::this_thread::get_id();
      }(context),
      asio::use_future);
  context.run();
  EXPECT_TRUE(result.get());
}

}  // namespace

/// A token that looks for the executor of the operation, as Asio's own adaptors do.
struct looks_for_executor {
  bool* found;
};
template <class... Args>
class asio::async_result<looks_for_executor, void(Args...)> {
 public:
  template <class Initiation, class Operation>
  static void initiate(Initiation&& initiation, looks_for_executor token, Operation&& operation) {
    typename std::decay_t<Initiation>::executor_type const executor = initiation.get_executor();
    bool* const found = token.found;
    asio::dispatch(executor, [found] { *found = true; });
    static_cast<Initiation&&>(initiation)([](Args... /*answer*/) {}, static_cast<Operation&&>(operation));
  }
};

namespace {

TEST(Asio, AdaptorsOfTokensFindTheExecutorOfEveryOperation) {
  asio::io_context context;
  bool found = false;
  spawn(context.get_executor(), at_once(), looks_for_executor{&found});
  EXPECT_FALSE(found) << "the executor that it was spawned on";
  context.run();
  EXPECT_TRUE(found);
  auto gen = count(1);
  found = false;
  async_anext(gen, looks_for_executor{&found});
  EXPECT_TRUE(found) << "Asio's own, which runs things at once";
}

#if AGEN_TEST_ASIO_VERSION >= 103100
TEST(Asio, CancelAfterEndsTasksAndOperations) {
  asio::io_context context;
  journal log;
  int cancelled = 0;
  auto const on_end = [&cancelled](std::exception_ptr const& error, auto&&... /*answer*/) {
    cancelled += error ? 1 : 0;
  };
  spawn(context.get_executor(), in_tasks(context, log), asio::cancel_after(1ms, on_end));
  auto gen = waits_long(context, log);
  async_anext(gen, asio::cancel_after(1ms, asio::bind_executor(context, on_end)));
  auto other = waits_long(context, log);
  spawn(
      context.get_executor(),
      [](asio::io_context& io, async_generator<int>& from) -> task<> {
        co_await async_anext(from, asio::cancel_after(1ms, asio::bind_executor(io, use_agen)));
      }(context, other),
      on_end);
  context.run();
  EXPECT_EQ(cancelled, 3);
  EXPECT_EQ(log, (journal{"aborted", "aborted", "aborted"}));
}

TEST(Asio, OperationsAreMembersOfAParallelGroup) {
  asio::io_context context;
  journal log;
  auto quick = ticks(context, 1);
  auto slow = waits_long(context, log);
  std::promise<std::size_t> first;
  asio::experimental::make_parallel_group(async_anext(quick, asio::bind_executor(context, asio::deferred)),
                                          async_anext(slow, asio::bind_executor(context, asio::deferred)))
      .async_wait(asio::experimental::wait_for_one(),
                  [&first](std::array<std::size_t, 2> order, auto&&...) { first.set_value(order[0]); });
  context.run();
  EXPECT_EQ(first.get_future().get(), 0);
  EXPECT_EQ(log, journal{"aborted"});
  // Without an executor anywhere: of the group, and of its members.
  auto one = count(1);
  auto two = count(1);
  std::promise<bool> both;
  asio::experimental::make_parallel_group(async_anext(one, asio::deferred), async_anext(two, asio::deferred))
      .async_wait(asio::experimental::wait_for_all(), [&both](auto&&...) { both.set_value(true); });
  EXPECT_TRUE(both.get_future().get());
}
#endif

// Generators that are dropped under an operation.

/// A handler that owns something, and writes down how it was called.
struct ending {
  std::shared_ptr<std::vector<std::exception_ptr>> calls;
  void operator()(std::exception_ptr error) const { calls->push_back(std::move(error)); }
  template <class Answer>
  void operator()(std::exception_ptr error, Answer const& answer) const {
    EXPECT_FALSE(answer);
    calls->push_back(std::move(error));
  }
};

/// Begins an operation on each of some generators that then waits for an hour, and drops them. Each has to end.
template <class Start, class Drop>
void ends_by_drop(Start start, Drop drop) {
  asio::io_context context;
  auto const calls = std::make_shared<std::vector<std::exception_ptr>>();
  start(context, ending{calls});
  context.poll();
  EXPECT_TRUE(calls->empty());
  drop();
  EXPECT_TRUE(calls->empty()) << "no handler is called within what destroys the generator";
  auto const begun = std::chrono::steady_clock::now();
  context.run();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 1min);
  ASSERT_EQ(calls->size(), 1U);
  EXPECT_EQ(calls.use_count(), 1) << "the handler is gone";
  try {
    std::rethrow_exception(calls->front());
  } catch (system_error const& error) {
    EXPECT_EQ(error.code(), asio::error::operation_aborted);
  }
}

auto waits_when_resumed(asio::io_context& context) -> async_generator<int, int> {
  asio::steady_timer timer(context, 1h);
  try {
    co_yield 1;
  } catch (...) {
    // What follows is the answer to athrow, and the cleanup that aclose waits for.
  }
  co_await timer.async_wait(use_agen);
}

TEST(Asio, DroppingAGeneratorEndsTheOperationUnderWay) {
  journal log;
  async_generator<int> gen;
  for (auto* make : {&waits_long, &delegates, &iterates}) {
    ends_by_drop(
        [&](asio::io_context& context, ending handler) {
          gen = make(context, log);
          async_anext(gen, asio::bind_executor(context, handler));
        },
        [&] { gen = {}; });
  }
  EXPECT_TRUE(log.empty());
  async_generator<int, int> other;
  auto const begun = [&](auto operation) {
    ends_by_drop(
        [&](asio::io_context& context, ending handler) {
          other = waits_when_resumed(context);
          sync_wait(other.anext());
          operation(asio::bind_executor(context, handler));
        },
        [&] { other = {}; });
  };
  begun([&](auto handler) { async_anext(other, handler); });
  begun([&](auto handler) { async_asend(other, 1, handler); });
  begun([&](auto handler) { async_athrow(other, std::make_exception_ptr(std::runtime_error("in")), handler); });
  begun([&](auto handler) { async_aclose(other, handler); });
}

auto iterates_another(async_generator<int>& source) -> async_generator<int> {
  while (auto item = co_await source.anext()) co_yield *item;
}

TEST(Asio, AGeneratorWhoseSourceWasDroppedWaitsUntilItIsDroppedItself) {
  journal log;
  async_generator<int> gen;
  async_generator<int> middle;
  async_generator<int> outer;
  ends_by_drop(
      [&](asio::io_context& context, ending handler) {
        gen = waits_long(context, log);
        middle = iterates_another(gen);
        outer = iterates_another(middle);
        async_anext(outer, asio::bind_executor(context, handler));
      },
      [&] {
        gen = {};
        EXPECT_TRUE(outer.running()) << "what it awaits never comes";
        outer = {};
        middle = {};
      });
  EXPECT_TRUE(log.empty());
}

TEST(Asio, AnAwaitableGoesOnWhenTheGeneratorItAwaitsIsDropped) {
  asio::io_context context;
  journal log;
  auto gen = waits_long(context, log);
  auto result = asio::co_spawn(
      context,
      [](async_generator<int>& from) -> asio::awaitable<void> { co_await async_anext(from, asio::use_awaitable); }(gen),
      asio::use_future);
  context.poll();
  gen = {};
  context.run();
  EXPECT_THROW(result.get(), system_error);
}

/// Drops the generator whose body awaits it, before the one who asked for an item has even gone to sleep.
struct drops_its_awaiter {
  async_generator<int>* victim;
  static auto await_ready() noexcept -> bool { return false; }
  void await_suspend(std::coroutine_handle<> /*body*/) const { *victim = {}; }
  static void await_resume() noexcept {}
};

TEST(Asio, AGeneratorDroppedByWhatItAwaitsEndsTheOperation) {
  async_generator<int> gen;
  asio::io_context context;
  std::exception_ptr ended;
  gen = [](async_generator<int>& self) -> async_generator<int> {
    co_await drops_its_awaiter{&self};
    co_yield 1;
  }(gen);
  async_anext(gen, asio::bind_executor(context, [&](std::exception_ptr error, auto) { ended = std::move(error); }));
  EXPECT_FALSE(gen);
  EXPECT_FALSE(ended);
  context.run();
  ASSERT_TRUE(ended);
  EXPECT_THROW(std::rethrow_exception(ended), system_error);
}

TEST(Asio, ADroppedGeneratorsSlotIsFreeAgain) {
  asio::io_context context;
  asio::cancellation_signal signal;
  journal log;
  auto gen = waits_long(context, log);
  bool ended = false;
  async_anext(
      gen, asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(context, [&](auto&&...) { ended = true; })));
  context.poll();
  gen = {};
  signal.emit(asio::cancellation_type::all);
  context.run();
  EXPECT_TRUE(ended);
  EXPECT_TRUE(log.empty());
}

auto doubled(int value) -> asio::awaitable<int> {
  asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::milliseconds(1));
  co_await timer.async_wait(asio::use_awaitable);
  if (value < 0) throw std::runtime_error("negative");
  co_return 2 * value;
}
auto doubles(int n) -> async_generator<int> {
  for (int i = 0; i < n; ++i) {
    int const item = co_await doubled(i);
    co_yield item + 0;
  }
  co_await doubled(-1);
}

TEST(Asio, ABodyAwaitsAnAwaitable) {
  asio::io_context context;
  auto result = asio::co_spawn(
      context,
      []() -> asio::awaitable<int> {
        auto gen = doubles(3);
        int sum = 0;
        for (int i = 0; i < 3; ++i) {
          auto item = co_await async_anext(gen, asio::use_awaitable);
          sum += *item;
        }
        bool thrown = false;
        try {
          co_await async_anext(gen, asio::use_awaitable);
        } catch (std::runtime_error const&) {
          thrown = true;
        }
        EXPECT_TRUE(thrown);
        co_return sum;
      },
      asio::use_future);
  context.run();
  EXPECT_EQ(result.get(), 6);
}

TEST(Asio, ATaskAwaitsAnAwaitable) {
  asio::io_context context;
  auto result =
      agen::spawn(context.get_executor(), []() -> task<int> { co_return co_await doubled(21); }(), asio::use_future);
  context.run();
  EXPECT_EQ(result.get(), 42);
}

TEST(Asio, ABodyKnowsItsExecutor) {
  asio::io_context context;
  auto gen = []() -> async_generator<bool> {
    auto const executor = co_await agen::this_executor;
    asio::steady_timer timer(executor, std::chrono::milliseconds(1));
    co_await timer.async_wait(use_agen);
    co_yield executor == co_await agen::this_executor;
  }();
  auto result = asio::co_spawn(
      context,
      [&]() -> asio::awaitable<bool> {
        auto item = co_await async_anext(gen, asio::use_awaitable);
        co_return *item;
      },
      asio::use_future);
  context.run();
  EXPECT_TRUE(result.get());
}

TEST(Asio, WithoutAnAsioOperationThereIsNoExecutor) {
  EXPECT_THROW(agen::sync_wait([]() -> task<> { co_await agen::this_executor; }()), agen::no_executor);
  EXPECT_THROW(agen::sync_wait([]() -> task<> { co_await doubled(1); }()), agen::no_executor);
  auto gen = doubles(1);
  EXPECT_THROW(agen::sync_wait(gen.anext()), agen::no_executor);
}

TEST(Asio, ACancellationReachesTheAwaitable) {
  asio::io_context context;
  asio::cancellation_signal signal;
  auto gen = []() -> async_generator<int> {
    co_await []() -> asio::awaitable<void> {
      asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::hours(1));
      co_await timer.async_wait(asio::use_awaitable);
    }();
    co_yield 1;
  }();
  std::exception_ptr error;
  async_anext(gen, asio::bind_cancellation_slot(
                       signal.slot(),
                       asio::bind_executor(context, [&](std::exception_ptr e, agen::item<int, void>) { error = e; })));
  asio::post(context, [&] { asio::post(context, [&] { signal.emit(asio::cancellation_type::terminal); }); });
  context.run_for(std::chrono::seconds(20));
  EXPECT_TRUE(error);
}

// Asio before 1.24 takes no such operations, and Boost 1.81 does not compile one with an exception and a value.
#if AGEN_TEST_ASIO_VERSION >= 103000
TEST(Asio, AnAwaitableAwaitsTheOperationsThemselves) {
  asio::io_context context;
  auto result = asio::co_spawn(
      context,
      [&]() -> asio::awaitable<int> {
        auto gen = echo(context);
        auto first = co_await gen.anext();
        int sum = *first;
        auto second = co_await gen.asend(5);
        sum += *second;
        co_await gen.aclose();
        while (auto item = co_await gen.anext()) sum += *item;
        asio::steady_timer timer(context, std::chrono::milliseconds(1));
        co_await timer.async_wait(use_agen);
        co_return sum;
      },
      asio::use_future);
  context.run();
  EXPECT_EQ(result.get(), 7);
}
#endif

}  // namespace
