// How a body awaits: how the awaiter of an expression is found, where other runtimes plug in their own, and the wrapper
// that tells the protocol (frame.hpp) that the body suspends in something foreign.
#ifndef AGEN_DETAIL_AWAIT_HPP
#define AGEN_DETAIL_AWAIT_HPP

#include <type_traits>
#include <utility>

#include "frame.hpp"

namespace agen {

/// The customisation point for what is not awaitable by itself: specialise it with a static `adapt(value)` that returns
/// an awaitable, and `co_await value` works in every generator and task.
///
///     template <> struct agen::await_adapter<ticket> {
///       static auto adapt(ticket t) { return ticket_awaiter(std::move(t)); }
///     };
template <class Awaited>
struct await_adapter;

namespace detail {

template <class T>
concept awaiter = requires(T& a, std::coroutine_handle<> h) {
  a.await_ready() ? 0 : 1;
  a.await_resume();
};
template <class T>
concept has_member_co_await = requires(T&& a) { static_cast<T&&>(a).operator co_await(); };
template <class T>
concept has_free_co_await = requires(T&& a) { operator co_await(static_cast<T&&>(a)); };
template <class T>
concept adapted = requires(T&& a) { await_adapter<std::remove_cvref_t<T>>::adapt(static_cast<T&&>(a)); };
template <adapted T>
using adapted_t = decltype(await_adapter<std::remove_cvref_t<T>>::adapt(std::declval<T>()));
template <class T>
concept natively_awaitable = has_member_co_await<T> || has_free_co_await<T> || awaiter<std::remove_reference_t<T>>;

/// The awaiter of an awaitable: what its operator co_await gives, or a reference to the awaitable itself.
template <natively_awaitable T>
auto get_awaiter(T&& a) -> decltype(auto) {
  if constexpr (has_member_co_await<T>) {
    return static_cast<T&&>(a).operator co_await();
  } else if constexpr (has_free_co_await<T>) {
    return operator co_await(static_cast<T&&>(a));
  } else {
    return static_cast<T&&>(a);
  }
}

template <class T>
using awaiter_of = decltype(detail::get_awaiter(std::declval<T>()));

/// What an await_adapter returned, together with its awaiter, which may refer to it.
template <class Awaitable>
struct adapted_awaiter {
  Awaitable awaitable;
  awaiter_of<Awaitable> inner = detail::get_awaiter(static_cast<Awaitable&&>(awaitable));

  auto await_ready() -> bool { return inner.await_ready() ? true : false; }
  template <class Promise>
  auto await_suspend(std::coroutine_handle<Promise> h) -> decltype(inner.await_suspend(h)) {
    return inner.await_suspend(h);
  }
  auto await_resume() -> decltype(auto) { return inner.await_resume(); }
  void propagate_cancellation(cancellation_scope* to) noexcept
    requires requires { inner.propagate_cancellation(to); }
  {
    inner.propagate_cancellation(to);
  }
};

template <class T>
using await_result = decltype(std::declval<std::remove_reference_t<awaiter_of<T>>&>().await_resume());

/// What yield_from returns: a request to delegate to `source`. It lives no longer than its full expression.
template <class Source>
struct delegated {
  Source&& source;
};
template <class T>
inline constexpr bool is_delegated = false;
template <class Source>
inline constexpr bool is_delegated<delegated<Source>> = true;

/// Marks the body as suspended in something foreign before it suspends, and takes that back if it does not. After a
/// true suspension nothing may be written: the body may already run on another thread, or be destroyed.
class leave_mark {
 public:
  explicit leave_mark(frame& f) noexcept : control_(f.of), before_(control_->now) {
    pending& operation = *control_->link;
    if (before_ == phase::running) {
      operation.loop = nullptr;
      control_->now = phase::elsewhere;
      store(operation.at, foreign);
    } else if (load(operation.at) != severed) {
      loop_ = std::exchange(operation.loop, nullptr);
    } else {
      stand_in_ = std::exchange(control_->link, const_cast<pending*>(&no_consumer));
    }
  }
  void take_back() noexcept {
    pending& operation = *control_->link;
    if (before_ == phase::running) {
      control_->now = phase::running;
      store(operation.at, arrived);
    } else if (stand_in_ != nullptr) {
      control_->link = stand_in_;
    } else if (load(operation.at) != severed) {
      operation.loop = loop_;
    }
  }

 private:
  control* control_;
  resume_loop* loop_ = nullptr;
  pending* stand_in_ = nullptr;  ///< takes the place of a destroyed consumer: see transfer()
  phase before_;
};

/// Wraps the awaiter of everything that a body awaits. The inner await_suspend gets the body's own handle, so that
/// awaiters which look at the promise find it. An awaiter may have a member is_resumed_by_owner(frame): if that gives
/// true, the owner of the body's driver resumes the body (resuming_driver::resume), and no handshake is needed.
template <class Awaiter>
struct foreign_awaiter {
  Awaiter inner;  // a reference where the awaitable is its own awaiter
  frame* body;

  auto await_ready() noexcept(noexcept(inner.await_ready())) -> bool { return inner.await_ready() ? true : false; }
  template <class Promise>
  AGEN_AWAIT_SUSPEND auto await_suspend(std::coroutine_handle<Promise> h) -> decltype(inner.await_suspend(h)) {
    using result = decltype(inner.await_suspend(h));
    if constexpr (requires(cancellation_scope* to) { inner.propagate_cancellation(to); }) {
      pending const& operation = *body->of->link;
      if (operation.cancellable) [[unlikely]]
        inner.propagate_cancellation(operation.cancellation);
    }
    if constexpr (requires { inner.is_resumed_by_owner(*body); }) {
      if (inner.is_resumed_by_owner(*body)) return inner.await_suspend(h);
    }
    leave_mark mark(*body);
    try {
      if constexpr (std::is_same_v<result, bool>) {
        bool const suspends = inner.await_suspend(h);
        if (!suspends) mark.take_back();
        return suspends;
      } else {
        return inner.await_suspend(h);
      }
    } catch (...) {  // the body has not suspended: it gets the exception
      mark.take_back();
      throw;
    }
  }
  auto await_resume() noexcept(noexcept(inner.await_resume())) -> decltype(auto) { return inner.await_resume(); }
};

/// What await_transform returns for everything but yield_from.
template <class T>
auto await_foreign(frame& body, T&& awaited) -> decltype(auto) {
  if constexpr (adapted<T>) {
    using held = adapted_awaiter<adapted_t<T>>;
    return foreign_awaiter<held>{held{await_adapter<std::remove_cvref_t<T>>::adapt(static_cast<T&&>(awaited))}, &body};
  } else {
    static_assert(natively_awaitable<T>,
                  "co_await in a generator: this type is not awaitable; give it an operator co_await, the three await_ "
                  "members, or specialise agen::await_adapter for it");
    if constexpr (natively_awaitable<T>) {
      return foreign_awaiter<awaiter_of<T>>{detail::get_awaiter(static_cast<T&&>(awaited)), &body};
    } else {
      return std::suspend_never();
    }
  }
}

}  // namespace detail
}  // namespace agen

#endif  // AGEN_DETAIL_AWAIT_HPP
