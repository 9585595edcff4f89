// task<T>: a lazily started coroutine that gives one value to the coroutine that awaits it. Enough to run generators
// without any other library; sync_wait.hpp runs one to its end. Not a runtime: no scheduler.
#ifndef AGEN_TASK_HPP
#define AGEN_TASK_HPP

#include "detail/compiler.hpp"  // first: see there

#include <coroutine>
#include <exception>
#include <new>
#include <utility>

#include "detail/await.hpp"
#include "detail/outcome.hpp"
#include "detail/sender_hooks.hpp"
#include "errors.hpp"

namespace agen {

template <class T = void>
class task;

namespace detail {

/// Where a task keeps its result. The task and its awaiter agree by one atomic exchange which of them continues the
/// consumer, as a generator's body does after it has suspended in something foreign. There is no symmetric transfer, so
/// a loop over tasks that finish at once does not grow the stack.
struct task_state {
  std::coroutine_handle<> continuation;
  std::exception_ptr raised;
  cancellation_scope* cancellation = nullptr;  ///< see operation_base::propagate_cancellation
  unsigned char at = passed;                   ///< neither side has done its exchange

  void unhandled_exception() noexcept { raised = current_error(); }
};

[[noreturn]] AGEN_NOINLINE inline void raise_nothing_returned() {
  AGEN_THROW(no_return_value("the task has no value: its body ended without a co_return"));
}

template <class T>
struct task_result : task_state {
  using stored = std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>;
  union {
    stored value;
  };
  bool has_value = false;

  task_result() noexcept {
    static_assert(
        fits_in_frame<stored>,
        "task: a result aligned more strictly than memory from operator new cannot be kept in a frame; return "
        "a pointer to it");
  }
  task_result(task_result const&) = delete;
  auto operator=(task_result const&) -> task_result& = delete;
  ~task_result() {
    if (has_value) value.~stored();
  }
  template <class Value = T>
    requires std::is_convertible_v<Value&&, T>
  void return_value(Value&& returned) {
    if constexpr (std::is_reference_v<T>) {
      value = address_of(returned);
    } else {
      ::new (static_cast<void*>(address_of(value))) stored(static_cast<Value&&>(returned));
    }
    has_value = true;
  }
  auto take() -> T {
    if (raised) std::rethrow_exception(raised);
    if (!has_value) [[unlikely]]
      raise_nothing_returned();
    if constexpr (std::is_reference_v<T>) {
      return static_cast<T>(*value);
    } else {
      return static_cast<T&&>(value);
    }
  }
};

template <>
struct task_result<void> : task_state {
  void return_void() noexcept {}
  void take() {
    if (raised) std::rethrow_exception(raised);
  }
};

struct task_final_awaiter {
  static constexpr auto await_ready() noexcept -> bool { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> h) const noexcept {
    task_state& state = h.promise();
    if (exchange(state.at, arrived) == waiting) state.continuation.resume();
  }
  void await_resume() const noexcept {}
};

/// Passes everything on to `inner`, which may be a reference: g++ copies what await_transform returns by reference.
template <class Awaiter>
struct task_awaits {
  Awaiter inner;

  auto await_ready() -> bool { return inner.await_ready() ? true : false; }
  template <class Promise>
  auto await_suspend(std::coroutine_handle<Promise> h) -> decltype(inner.await_suspend(h)) {
    if constexpr (requires(cancellation_scope* to) { inner.propagate_cancellation(to); }) {
      if (h.promise().cancellation != nullptr) [[unlikely]]
        inner.propagate_cancellation(h.promise().cancellation);
    }
    return inner.await_suspend(h);
  }
  auto await_resume() -> decltype(auto) { return inner.await_resume(); }
};

template <class T>
class task_promise : public task_result<T> {
 public:
  auto get_return_object() noexcept -> task<T>;
  static auto initial_suspend() noexcept -> std::suspend_always { return {}; }
  static auto final_suspend() noexcept -> task_final_awaiter { return {}; }

  template <class Awaited>
  auto await_transform(Awaited&& awaited) -> decltype(auto) {
    if constexpr (asks_place<Awaited>) awaited.await_in(this->cancellation, false);
    if constexpr (adapted<Awaited>) {
      return task_awaits<adapted_awaiter<adapted_t<Awaited>>>{
          {await_adapter<std::remove_cvref_t<Awaited>>::adapt(static_cast<Awaited&&>(awaited))}};
    } else {
      constexpr bool delegates = is_delegated<std::remove_cvref_t<Awaited>>;
      static_assert(!delegates,
                    "yield_from belongs in the body of an async generator; a task has no consumer to give items to");
      if constexpr (delegates) {
        return await_of_whatever();
      } else if constexpr (!natively_awaitable<Awaited>) {
        return refuse_await<Awaited>();
      } else if constexpr (!suspends<Awaited, task_promise>) {
        static_assert(suspends<Awaited, task_promise>,
                      "co_await in a task: what is awaited accepts only coroutines of its own library; an "
                      "asio::awaitable needs #include <agen/asio_awaitable.hpp>");
        return await_of_whatever();
      } else {
        return task_awaits<awaiter_of<Awaited>>{get_awaiter(static_cast<Awaited&&>(awaited))};
      }
    }
  }
};

template <class T>
class task_awaiter {
 public:
  explicit task_awaiter(std::coroutine_handle<task_promise<T>> body) noexcept : body_(body) {}

  [[nodiscard]] auto await_ready() const noexcept -> bool { return body_.done(); }
  AGEN_AWAIT_SUSPEND auto await_suspend(std::coroutine_handle<> consumer) const noexcept -> bool {
    task_state& state = body_.promise();
    state.continuation = consumer;
    body_.resume();
    return exchange(state.at, waiting) != arrived;
  }
  /// In the body of a generator, which nobody resumes before the exchange: see foreign_awaiter.
  auto await_suspend_in(frame& generator, std::coroutine_handle<> consumer) const noexcept -> bool {
    task_state& state = body_.promise();
    state.continuation = consumer;
    body_.resume();
    if (load(state.at) == arrived) return false;
    leave_mark mark(generator);
    if (exchange(state.at, waiting) != arrived) return true;
    mark.take_back();
    return false;
  }
  auto await_resume() const -> T { return body_.promise().take(); }
  void propagate_cancellation(cancellation_scope* to) const noexcept { body_.promise().cancellation = to; }

 private:
  std::coroutine_handle<task_promise<T>> body_;
};

}  // namespace detail

/// A coroutine that begins when it is awaited, once. Move-only; destroying it destroys its body, wherever that is
/// suspended.
///
/// `co_await std::move(t)` or `co_await f()`: gives what the body returned (T, or a reference), or throws what left it;
/// no_return_value if the body came to its end without a co_return.
/// A body may be resumed on other threads; the awaiting coroutine then continues there.
///
/// \tparam T  what the body returns, which may be a reference; void, the default: nothing
template <class T>
class [[nodiscard("a task does nothing until it is awaited")]] task : public detail::sender_hooks<task<T>> {
 public:
  using promise_type = detail::task_promise<T>;

  task() noexcept = default;
  task(task&& other) noexcept : body_(std::exchange(other.body_, nullptr)) {}
  auto operator=(task&& other) noexcept -> task& {
    task former(std::move(other));
    std::swap(body_, former.body_);
    return *this;
  }
  ~task() {
    if (body_) body_.destroy();
  }

  /// Awaitable once: starts the body; gives what it returns, or throws what leaves it.
  auto operator co_await() && noexcept -> detail::task_awaiter<T> { return detail::task_awaiter<T>(body_); }

  /// False after having been moved from.
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(body_); }
  /// The body has ended. Not for a task that was moved from.
  [[nodiscard]] auto done() const noexcept -> bool { return body_.done(); }

  /// \internal For partners: what the body awaits through the partner finds `to`; see asio.hpp.
  void propagate_cancellation(detail::cancellation_scope* to) noexcept { body_.promise().cancellation = to; }

 private:
  friend promise_type;
  explicit task(std::coroutine_handle<promise_type> body) noexcept : body_(body) {}

  std::coroutine_handle<promise_type> body_;
};

template <class T>
auto detail::task_promise<T>::get_return_object() noexcept -> task<T> {
  return task<T>(std::coroutine_handle<task_promise>::from_promise(*this));
}

}  // namespace agen

#endif  // AGEN_TASK_HPP
