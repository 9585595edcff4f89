// An event that coroutines await: one sets it, all that wait go on. Beside it what awaits cleanup: with_cleanup; and
// co_invoke, which keeps a closure alive as long as its coroutine.
#ifndef AGEN_EVENT_HPP
#define AGEN_EVENT_HPP

#include "detail/cancellation.hpp"  // first: see there

#include "closing.hpp"
#include "stop.hpp"

namespace agen {

/// `co_await e` waits until the event is set, and not at all if it is. Any number of coroutines may wait. set() may be
/// called on any thread: each waiter goes on there, in the order in which they came, inside set(). A wait can be
/// stopped (stop.hpp). The event must outlive set(), unless what set() resumes destroys it after the last waiter.
class event {
  class awaiter;

 public:
  event() noexcept = default;
  event(event const&) = delete;
  auto operator=(event const&) -> event& = delete;
  ~event() {
    if (gone_ != nullptr) *gone_ = true;
  }

  /// Sets the event and resumes all that wait, even if one of them resets it.
  void set() noexcept {
    lock_.lock();
    set_ = true;
    awaiter* due = std::exchange(first_, nullptr);
    if (due != nullptr) due->at_ = &due;
    last_ = &first_;
    bool gone = false;
    bool* const outer = std::exchange(gone_, &gone);
    while (due != nullptr) {
      awaiter& one = *due;
      one.unlink();
      auto const consumer = one.fire();
      lock_.unlock();
      if (consumer) consumer.resume();
      if (gone) {
        if (outer != nullptr) *outer = true;
        return;
      }
      lock_.lock();
    }
    gone_ = outer;
    lock_.unlock();
  }
  /// What awaits it from now on waits.
  void reset() noexcept {
    detail::locked const guard(lock_);
    set_ = false;
  }
  /// Whether it is set.
  [[nodiscard]] auto is_set() noexcept -> bool {
    detail::locked const guard(lock_);
    return set_;
  }
  /// Awaitable: completes when the event is set. Throws stopped.
  auto operator co_await() noexcept -> awaiter { return awaiter(*this); }

 private:
  class [[nodiscard]] awaiter : public detail::parked {
   public:
    explicit awaiter(event& of) noexcept : event_(&of) {}
    ~awaiter() { leave(); }
    auto await_ready() noexcept -> bool { return false; }
    AGEN_AWAIT_SUSPEND auto await_suspend(std::coroutine_handle<> h) noexcept -> bool {
      this->prepare(h);
      if (!event_->enter(*this)) return false;
      return this->settle();
    }
    void await_resume() {
      if (!leave()) return;
      this->stopped_waiting();
      AGEN_THROW(stopped("stopped while an event was awaited"));
    }

   private:
    friend event;
    void unlink() noexcept {
      *at_ = next_;
      if (next_ != nullptr) next_->at_ = at_;
      if (event_->last_ == &next_) event_->last_ = at_;
      at_ = nullptr;
    }
    /// True if it was still in the list: nobody has set the event.
    auto leave() noexcept -> bool {
      if (!std::exchange(entered_, false)) return false;
      this->stop_listening();
      detail::locked const guard(event_->lock_);
      if (at_ == nullptr) return false;
      unlink();
      return true;
    }

    event* event_;
    awaiter* next_ = nullptr;
    awaiter** at_ = nullptr;
    bool entered_ = false;
  };

  auto enter(awaiter& one) noexcept -> bool {
    detail::locked const guard(lock_);
    if (set_) return false;
    one.entered_ = true;
    one.at_ = last_;
    *last_ = &one;
    last_ = &one.next_;
    return true;
  }

  detail::spin_lock lock_;
  bool set_ = false;
  awaiter* first_ = nullptr;
  awaiter** last_ = &first_;
  bool* gone_ = nullptr;
};

namespace detail {

template <class Body, class Cleanup>
auto cleaned_up(Body body, Cleanup cleanup) -> task<awaited_t<Body&>> {
  using result = awaited_t<Body&>;
  task_result<result> kept;
  AGEN_TRY {
    if constexpr (std::is_void_v<result>) {
      if constexpr (natively_awaitable<std::invoke_result_t<Body&>>) {
        co_await body();
      } else {
        body();
      }
    } else if constexpr (natively_awaitable<std::invoke_result_t<Body&>>) {
      kept.return_value(co_await body());
    } else {
      kept.return_value(body());
    }
  }
  AGEN_CATCH(...) { kept.raised = current_error(); }
  co_await enter_scope{nullptr};
  if constexpr (natively_awaitable<std::invoke_result_t<Cleanup&>>) {
    co_await cleanup();
  } else {
    cleanup();
  }
  co_return kept.take();
}

template <class Function, class... Args>
auto invoked(Function function, Args... args) -> task<awaited_t<Function&, Args...>> {
  co_return co_await function(static_cast<Args&&>(args)...);
}
template <class Generator, class Function, class... Args>
auto invoked_generator(Function function, Args... args)
    -> async_generator<typename Generator::yield_type, typename Generator::send_type, typename Generator::return_type> {
  co_return co_await yield_from(function(static_cast<Args&&>(args)...));
}

}  // namespace detail

/// `co_await with_cleanup(body, cleanup)`: calls and awaits `body()`, then in every case `cleanup()`: when the body
/// returns, throws, or is stopped. No request to stop reaches the cleanup. Gives what the body gave, or throws what it
/// threw, or what the cleanup throws, which takes the place of the former as an exception in a `finally` does. Either
/// function may return an awaitable or not.
template <class Body, class Cleanup>
auto with_cleanup(Body body, Cleanup cleanup) -> task<detail::awaited_t<Body&>> {
  return detail::cleaned_up<Body, Cleanup>(std::move(body), std::move(cleanup));
}

/// Calls `function`, a lambda with captures that is a coroutine, and keeps it and the arguments until that has ended:
/// the captures of a lambda that is a temporary would be destroyed before. The call happens when the result is awaited
/// or first iterated.
///
///     auto gen = agen::co_invoke([name]() -> agen::async_generator<char> { for (char c : name) co_yield c; });
template <class Function, class... Args>
auto co_invoke(Function function, Args... args) {
  using made = std::invoke_result_t<Function&, Args...>;
  if constexpr (is_async_generator_v<made>) {
    return detail::invoked_generator<made, Function, Args...>(std::move(function), std::move(args)...);
  } else {
    return detail::invoked<Function, Args...>(std::move(function), std::move(args)...);
  }
}

}  // namespace agen

#endif  // AGEN_EVENT_HPP
