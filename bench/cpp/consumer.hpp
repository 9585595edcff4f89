// What the cases share: a consumer that is nothing but its loop, and an awaitable that suspends for true.
#ifndef AGEN_BENCH_CONSUMER_HPP
#define AGEN_BENCH_CONSUMER_HPP

#include <coroutine>
#include <exception>
#include <utility>

namespace bench {

/// A coroutine that runs at once and owns itself.
struct consumer {
  struct promise_type {
    static auto get_return_object() noexcept -> consumer { return {}; }
    static auto initial_suspend() noexcept -> std::suspend_never { return {}; }
    static auto final_suspend() noexcept -> std::suspend_never { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

/// The event loop: the one coroutine that waits.
inline std::coroutine_handle<> waiting;
/// Suspends whoever awaits it until run_loop() resumes it.
struct later {
  static auto await_ready() noexcept -> bool { return false; }
  static void await_suspend(std::coroutine_handle<> h) noexcept { waiting = h; }
  static void await_resume() noexcept {}
};
inline void run_loop() {
  while (waiting) std::exchange(waiting, nullptr).resume();
}

}  // namespace bench

#endif  // AGEN_BENCH_CONSUMER_HPP
