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

/// A member that keeps its object where it was made. Without one, an object that is small and trivial enough is
/// returned in registers, which is a copy, and what refers into itself then refers to the original.
struct stays_in_place {
  stays_in_place() noexcept = default;
  stays_in_place(stays_in_place const&) = delete;
  auto operator=(stays_in_place const&) -> stays_in_place& = delete;
};

/// What an await_adapter returned, together with its awaiter, which may refer to it.
template <class Awaitable>
struct adapted_awaiter {
  Awaitable awaitable;
  awaiter_of<Awaitable> inner = detail::get_awaiter(static_cast<Awaitable&&>(awaitable));
  [[no_unique_address]] stays_in_place here = {};

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
/// awaiters which look at the promise find it. Two members are for the library's own awaiters.
///   - is_resumed_by_owner(frame): true if the owner of the body's driver resumes the body (resuming_driver::resume).
///     Then no handshake is needed.
///   - await_suspend_in(frame, handle): in place of await_suspend; leaves the mark itself, and only if it has to wait.
template <class Awaiter>
struct foreign_awaiter {
  Awaiter inner;  // a reference where the awaitable is its own awaiter

  auto await_ready() noexcept(noexcept(inner.await_ready())) -> bool { return inner.await_ready() ? true : false; }
  template <class Promise>
  AGEN_AWAIT_SUSPEND auto await_suspend(std::coroutine_handle<Promise> h) -> decltype(inner.await_suspend(h)) {
    using result = decltype(inner.await_suspend(h));
    frame& body = h.promise();
    if constexpr (requires(cancellation_scope* to) { inner.propagate_cancellation(to); }) {
      pending const& operation = *body.of->link;
      if (operation.cancellable) [[unlikely]]
        inner.propagate_cancellation(operation.cancellation);
    }
    if constexpr (requires { inner.is_resumed_by_owner(body); }) {
      if (inner.is_resumed_by_owner(body)) return inner.await_suspend(h);
    }
    if constexpr (requires { inner.await_suspend_in(body, h); }) {
      return inner.await_suspend_in(body, h);
    } else {
      return suspend_marked<result>(body, h);
    }
  }
  auto await_resume() noexcept(noexcept(inner.await_resume())) -> decltype(auto) { return inner.await_resume(); }

 private:
  template <class result, class Promise>
  AGEN_ALWAYS_INLINE auto suspend_marked(frame& body, std::coroutine_handle<Promise> h) -> result {
    leave_mark mark(body);
    AGEN_TRY {
      if constexpr (std::is_same_v<result, bool>) {
        bool const suspends = inner.await_suspend(h);
        if (!suspends) mark.take_back();
        return suspends;
      } else {
        return inner.await_suspend(h);
      }
    }
    AGEN_CATCH(...) {  // the body has not suspended: it gets the exception
      mark.take_back();
      AGEN_RETHROW;
    }
  }
};

/// For the library's own awaitables: await_in(scope, beside) is called before the rest, with what a request to stop
/// goes to, which may be null, and whether a stream asks the body as one of its sources.
template <class T>
concept asks_place = requires(T& a, cancellation_scope* scope) { a.await_in(scope, false); };

// What follows is for code that does not compile: one sentence that says what to write, and then something that causes
// no further error.

/// Converts to whatever is wanted of it. Never made.
struct whatever {
  template <class T>
  operator T() const;  // NOLINT(google-explicit-constructor)
};
struct await_of_whatever : std::suspend_never {
  static auto await_resume() -> whatever;
};

template <class T>
concept iterated = requires(T& generator) { generator.anext(); };
/// Can be awaited only as an rvalue, as a task is, and is none.
template <class T>
concept awaited_by_name = !natively_awaitable<T> && natively_awaitable<std::remove_reference_t<T>>;
/// Whether a coroutine of this promise can be suspended by the awaiter: some take only those of their own library.
template <class T, class Promise>
concept suspends =
    requires(std::remove_reference_t<awaiter_of<T>>& a, std::coroutine_handle<Promise> h) { a.await_suspend(h); };

/// What await_transform says to something that is not awaitable.
template <class T>
auto refuse_await() -> await_of_whatever {
  static_assert(
      !iterated<T>,
      "co_await of an async generator: a generator is iterated, not awaited; write co_await generator.anext()");
  static_assert(!awaited_by_name<T>,
                "co_await of a task that has a name: a task is awaited once; write co_await std::move(t)");
  static_assert(iterated<T> || awaited_by_name<T>,
                "co_await: this type is not awaitable; give it an operator co_await, the three await_ members, or "
                "specialise agen::await_adapter for it");
  return {};
}

/// What await_transform returns for everything but yield_from.
template <class Promise, class T>
auto await_foreign(T&& awaited) -> decltype(auto) {
  if constexpr (adapted<T>) {
    using held = adapted_awaiter<adapted_t<T>>;
    return foreign_awaiter<held>{held{await_adapter<std::remove_cvref_t<T>>::adapt(static_cast<T&&>(awaited))}};
  } else if constexpr (!natively_awaitable<T>) {
    return refuse_await<T>();
  } else if constexpr (!suspends<T, Promise>) {
    static_assert(
        suspends<T, Promise>,
        "co_await in a generator: what is awaited accepts only coroutines of its own library; an asio::awaitable "
        "needs #include <agen/asio_awaitable.hpp>");
    return await_of_whatever();
  } else {
    return foreign_awaiter<awaiter_of<T>>{detail::get_awaiter(static_cast<T&&>(awaited))};
  }
}

}  // namespace detail
}  // namespace agen

#endif  // AGEN_DETAIL_AWAIT_HPP
