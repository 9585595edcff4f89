// sync_wait: blocks the calling thread until something awaitable is done. For main(), tests and benchmarks. It
// deadlocks on a thread that has to run what is awaited.
#ifndef AGEN_SYNC_WAIT_HPP
#define AGEN_SYNC_WAIT_HPP

#include "detail/semaphore.hpp"
#include "task.hpp"

namespace agen {

namespace detail {

/// Runs a task and releases a semaphore at its end.
struct waiting_coroutine {
  struct promise_type {
    binary_semaphore* done = nullptr;

    auto get_return_object() noexcept -> waiting_coroutine {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    static auto initial_suspend() noexcept -> std::suspend_always { return {}; }
    static auto final_suspend() noexcept {
      struct releases {
        static auto await_ready() noexcept -> bool { return false; }
        // The waiting thread destroys the frame as soon as it is released: release() is the last thing done.
        static void await_suspend(std::coroutine_handle<promise_type> h) noexcept { h.promise().done->release(); }
        static void await_resume() noexcept {}
      };
      return releases();
    }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }  // the task below keeps what its body throws
  };
  std::coroutine_handle<promise_type> body;
};

template <class T>
auto hold(task<T>& t) -> waiting_coroutine {
  struct without_taking {
    task_awaiter<T> inner;
    [[nodiscard]] auto await_ready() const noexcept -> bool { return inner.await_ready(); }
    auto await_suspend(std::coroutine_handle<> h) const noexcept -> bool { return inner.await_suspend(h); }
    void await_resume() const noexcept {}
  };
  co_await without_taking{std::move(t).operator co_await()};
}

template <class Awaitable>
auto as_task(Awaitable&& awaitable) -> task<await_result<Awaitable>> {
  co_return co_await static_cast<Awaitable&&>(awaitable);
}

}  // namespace detail

/// Awaits `t` and blocks until it is done: returns what it returns, throws what leaves it.
template <class T>
auto sync_wait(task<T> t) -> T {
  detail::binary_semaphore done(0);
  auto const waiter = detail::hold(t);
  waiter.body.promise().done = &done;
  waiter.body.resume();
  done.acquire();
  waiter.body.destroy();
  return std::move(t).operator co_await().await_resume();
}

/// The same for any awaitable, such as an operation of a generator: `sync_wait(gen.anext())`.
template <class Awaitable>
  requires detail::natively_awaitable<Awaitable>
auto sync_wait(Awaitable&& awaitable) -> detail::await_result<Awaitable> {
  return sync_wait(detail::as_task(static_cast<Awaitable&&>(awaitable)));
}

/// Does not compile: a generator is no awaitable.
template <detail::iterated Generator>
  requires(!detail::natively_awaitable<Generator>)
auto sync_wait(Generator&& /*generator*/) -> detail::whatever {
  static_assert(
      !detail::iterated<Generator>,
      "sync_wait(generator): iterate the generator in a task, and wait for that: sync_wait(f()), where f is an "
      "agen::task<> with the loop");
  return {};
}

}  // namespace agen

#endif  // AGEN_SYNC_WAIT_HPP
