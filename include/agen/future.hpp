// One result from a thread: any C++ thread, without the GIL, gives a value or an exception to a coroutine that awaits
// it.
//
//     auto answer(engine& e, std::string question) -> agen::future<std::string> {
//       agen::promise<std::string> promise;
//       auto future = promise.get_future();
//       e.ask(question, [promise](std::string text) { promise.set_value(std::move(text)); });
//       return future;
//     }
//
// Ending
//   The first set_value() or set_exception() counts. If the last copy of the promise goes without one, what awaits the
//   future throws broken_promise.
//
// Stopping
//   A future that is destroyed before its result is there, by a cancellation for example, asks the promise to stop:
//   set_value() gives false, stop_requested() true, stop callbacks run. It does not wait for the promise's threads.
//
// Processes
//   After fork() the child may destroy both ends; awaiting the future there throws forked_future.
#ifndef AGEN_FUTURE_HPP
#define AGEN_FUTURE_HPP

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <variant>
#include <version>
#ifdef __cpp_lib_jthread
#include <stop_token>
#endif

#include "detail/process.hpp"
#include "detail/wakeup.hpp"
#include "errors.hpp"
#include "task.hpp"

namespace agen {

/// The last copy of a promise was destroyed without a result.
class broken_promise : public generator_error {
 public:
  using generator_error::generator_error;
};

/// A future was awaited in a process forked after its promise was made.
class forked_future : public generator_error {
 public:
  using generator_error::generator_error;
};

template <class T>
class future;

namespace detail {

/// What the two ends share. Every member but the constant is guarded by the mutex.
template <class T>
class future_state {
  using stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

 public:
  // The promise's side.

  /// False if there is a result already, or none is wanted; the arguments are untouched then.
  template <class... Values>
  auto set_value(Values&&... values) -> bool {
    return finish([&] { value_.emplace(static_cast<Values&&>(values)...); });
  }
  auto set_exception(std::exception_ptr error) noexcept -> bool {
    if (!error) error = std::make_exception_ptr(nothing_thrown("set_exception(): there is no exception"));
    return finish([&] { error_ = std::move(error); });
  }
  void abandon() noexcept {
    if (forked()) return;
    set_exception(
        std::make_exception_ptr(broken_promise("the promise of this result was destroyed without setting it")));
  }
  [[nodiscard]] auto stopped() const noexcept -> bool { return stopped_.load(std::memory_order_acquire); }
#ifdef __cpp_lib_jthread
  [[nodiscard]] auto stop_token() const noexcept -> std::stop_token { return stop_.get_token(); }
#endif
  /// Whether this is the first call.
  auto take_future() noexcept -> bool {
    std::lock_guard const lock(mutex_);
    return !std::exchange(taken_, true);
  }

  // The future's side.

  [[nodiscard]] auto ready() -> bool {
    if (forked()) {
      throw forked_future("await: this result belongs to the process that this one was forked from");
    }
    std::lock_guard const lock(mutex_);
    return done_;
  }
  /// True: the result will ring `heard`. False: it is there.
  auto waits(std::shared_ptr<bell> const& heard) noexcept -> bool {
    std::lock_guard const lock(mutex_);
    waiting_ = !done_;
    if (waiting_) bell_ = heard;
    return waiting_;
  }
  /// Once, after ready().
  auto take() -> T {
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    if constexpr (!std::is_void_v<T>) return std::move(*value_);
  }
  /// No result is wanted; one that is there is destroyed on this thread.
  void stop() noexcept {
    if (forked()) return;  // the lock may be held by a thread that this process does not have
    bool wanted = false;
    {
      std::lock_guard const lock(mutex_);
      wanted = !done_;
      done_ = true;
      waiting_ = false;
      if (wanted) stopped_.store(true, std::memory_order_release);
    }
    value_.reset();  // once done_ is set, only this side uses them
    error_ = nullptr;
#ifdef __cpp_lib_jthread
    if (wanted) stop_.request_stop();
#endif
  }

 private:
  [[nodiscard]] auto forked() const noexcept -> bool { return process::id() != process_; }

  template <class Fill>
  auto finish(Fill fill) -> bool {
    std::shared_ptr<bell> rung;
    {
      std::lock_guard const lock(mutex_);
      if (done_) return false;
      fill();
      done_ = true;
      if (!std::exchange(waiting_, false)) return true;
      rung = std::move(bell_);
    }
    rung->ring();  // outside the lock, which the woken consumer wants
    return true;
  }

  process::id_type const process_ = process::id();
  std::mutex mutex_;
  std::optional<stored> value_;
  std::exception_ptr error_;
  bool taken_ = false;                 ///< the future was made
  bool done_ = false;                  ///< there is a result, or none is wanted
  bool waiting_ = false;               ///< the consumer waits, and was not woken yet
  std::shared_ptr<bell> bell_;         ///< the bell that wakes the waiting consumer
  std::atomic<bool> stopped_ = false;  ///< no result is wanted; read without the lock, too
#ifdef __cpp_lib_jthread
  std::stop_source stop_;
#endif
};

/// What the copies of a promise share.
template <class T>
class promise_end {
 public:
  promise_end() = default;
  promise_end(promise_end const&) = delete;
  auto operator=(promise_end const&) -> promise_end& = delete;
  ~promise_end() { state->abandon(); }

  std::shared_ptr<future_state<T>> const state = std::make_shared<future_state<T>>();
};

/// The result of `from`, awaited by one of the classes in detail/wakeup.hpp.
template <class T, class Waits>
auto future_result(future<T> from, Waits waits) -> task<T>;

}  // namespace detail

/// The receiving end of one result. Move-only. Destroying it before the result is there asks the promise to stop.
///
/// In a body that Python drives, `co_await std::move(future)`, by agen/python/future.hpp.
template <class T>
class [[nodiscard("a future that is destroyed stops its promise")]] future {
 public:
  future() noexcept = default;
  future(future&&) noexcept = default;
  auto operator=(future other) noexcept -> future& {
    state_.swap(other.state_);
    return *this;
  }
  ~future() {
    if (state_) state_->stop();
  }

  /// False after having been moved from, or made without a promise.
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(state_); }
  /// Whether the result is there. Only if the future is one of a promise. Throws forked_future.
  [[nodiscard]] auto ready() const -> bool { return state_->ready(); }

  /// Awaitable once: gives the result, or throws what set_exception() was given, broken_promise or
  /// forked_future; std::logic_error if it is false. `wait(fd)` gives an awaitable that completes when the file
  /// descriptor is readable, or earlier; what it throws leaves the task. Without an argument the thread blocks. Throws
  /// std::system_error if the process has no file descriptor left.
  template <class Wait = blocking_wait>
  auto get(Wait wait = Wait()) && -> task<T> {
    return detail::future_result(std::move(*this), detail::waits_by_descriptor<Wait>(std::move(wait)));
  }

 private:
  template <class>
  friend class promise;
  template <class Result, class Waits>
  friend auto detail::future_result(future<Result> from, Waits waits) -> task<Result>;

  explicit future(std::shared_ptr<detail::future_state<T>> state) noexcept : state_(std::move(state)) {}

  template <class Waits>
  static auto result(future from, Waits how) -> task<T> {
    // Locals end with the body, parameters with the task.
    future const self = std::move(from);
    Waits wait = std::move(how);
    if (!self.state_) throw std::logic_error("agen::future: it has no promise, or was awaited before");
    auto& state = *self.state_;
    while (!state.ready()) {
      if (!wait.begin([&](auto const& heard) { return state.waits(heard); })) continue;
      co_await wait();
      wait.woken();
    }
    co_return state.take();
  }

  std::shared_ptr<detail::future_state<T>> state_;
};

template <class T, class Waits>
auto detail::future_result(future<T> from, Waits waits) -> task<T> {
  return future<T>::result(std::move(from), std::move(waits));
}

/// The right to set one result. Copies share it, so that it fits into a std::function. Its members may be called from
/// any thread, also at the same time, and none of them blocks. A moved-from promise may be assigned to or destroyed.
///
/// \tparam T  what the result is; void: only that it is there
template <class T = void>
class promise {
  static_assert(!std::is_reference_v<T>, "agen::promise: a result is a value; use a pointer");

 public:
  promise() : end_(std::make_shared<detail::promise_end<T>>()) {}

  /// The future of this promise and its copies. Throws std::logic_error at the second call.
  auto get_future() const -> future<T> {
    if (!end_->state->take_future()) throw std::logic_error("agen::promise: get_future() was called before");
    return future<T>(end_->state);
  }

  /// Sets the result, made of `value`, of which there is none if T is void. False if there is a result already, or it
  /// is no longer wanted: `value` is then untouched. Throws what making it throws; nothing has happened then.
  template <class Value = T>
    requires(!std::is_void_v<T>)
  auto set_value(Value&& value) const -> bool {
    return end_->state->set_value(static_cast<Value&&>(value));
  }
  auto set_value() const -> bool
    requires std::is_void_v<T>
  {
    return end_->state->set_value();
  }
  /// What awaits the future throws `error`; without an argument, what the catch block around has caught. False as
  /// set_value().
  auto set_exception(std::exception_ptr error = std::current_exception()) const noexcept -> bool {
    return end_->state->set_exception(std::move(error));
  }
  /// The result is no longer wanted: its future was destroyed, or what awaited it was cancelled.
  [[nodiscard]] auto stop_requested() const noexcept -> bool { return end_->state->stopped(); }
#ifdef __cpp_lib_jthread
  /// The same as a token, for std::stop_callback: the callback runs on the thread that destroys the future, and must
  /// neither block nor throw. The token does not keep the promise.
  [[nodiscard]] auto stop_token() const noexcept -> std::stop_token { return end_->state->stop_token(); }
#endif

 private:
  std::shared_ptr<detail::promise_end<T>> end_;
};

}  // namespace agen

#endif  // AGEN_FUTURE_HPP
