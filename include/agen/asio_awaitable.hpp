// asio::awaitable awaited in the bodies of generators and tasks: `co_await f()`. A header of its own, because co_spawn
// takes long to compile.
#ifndef AGEN_ASIO_AWAITABLE_HPP
#define AGEN_ASIO_AWAITABLE_HPP

#include "detail/compiler.hpp"  // first: see there

#include "asio.hpp"

#ifdef AGEN_USE_BOOST_ASIO
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#else
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#endif

#if defined(ASIO_HAS_CO_AWAIT) || defined(BOOST_ASIO_HAS_CO_AWAIT)
namespace agen {

namespace detail {

/// Spawns the awaitable on the executor that drives the body, and waits for it.
template <class T, class Executor>
class awaitable_awaiter {
  using awaited = net::awaitable<T, Executor>;
  using operation = decltype(net::co_spawn(std::declval<Executor>(), std::declval<awaited>(), use_agen));

 public:
  explicit awaitable_awaiter(awaited&& coroutine) noexcept : coroutine_(std::move(coroutine)) {}

  static auto await_ready() noexcept -> bool { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> h) {
    spawned_.emplace(net::co_spawn(Executor(executor_of(h)), std::move(coroutine_), use_agen));
    spawned_->await_suspend(h);
  }
  auto await_resume() -> decltype(auto) { return spawned_->await_resume(); }

 private:
  awaited coroutine_;
  std::optional<operation> spawned_;
};

}  // namespace detail

/// `co_await f()`, where f is a coroutine of Asio's: it runs on the executor of the Asio operation that drives the body
/// (see this_executor), and a cancellation of that operation cancels it. Throws no_executor where there is none, and
/// what leaves the coroutine.
template <class T, class Executor>
struct await_adapter<net::awaitable<T, Executor>> {
  static auto adapt(net::awaitable<T, Executor> coroutine) {
    return detail::awaitable_awaiter<T, Executor>(std::move(coroutine));
  }
};

}  // namespace agen
#endif

#endif  // AGEN_ASIO_AWAITABLE_HPP
