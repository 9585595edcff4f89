// Requests to stop. A token given to one operation, or to one task, is seen by everything that it awaits: generators,
// tasks, yield_from, adaptors, Asio's operations.
//
//     std::stop_source source;
//     auto item = co_await agen::with_stop(source.get_token(), gen.anext());   // agen/std_stop.hpp for std::stop_token
//
// A request ends the wait of the innermost body, at its suspension point, by agen::stopped. It arrives once: what the
// body then awaits as cleanup can wait. A body that does not wait, or waits for something that cannot be stopped, gets
// it at its next wait that can; or it asks: `(co_await agen::stop_token()).stop_requested()`.
//
// What can be stopped: event, when_all, when_any, streams, and Asio's operations. Awaiters of your own await a
// stop_token first, and register a stop_callback.
//
// A request may come from any thread, unless an operation of Asio is awaited: that is stopped on its strand only, as
// Asio demands for its own slots. The body goes on on the thread of the request.
#ifndef AGEN_STOP_HPP
#define AGEN_STOP_HPP

#include "detail/cancellation.hpp"  // first: see there

#include "errors.hpp"
#include "task.hpp"

namespace agen {

namespace detail {
struct stop_token_awaiter;
}
template <class Function>
class stop_callback;

/// What a body sees of the token that its operation was given, with the interface of std::stop_token.
///
/// `co_await agen::stop_token()` gives it. It is valid until the body's next co_yield, in a task until its end; ask
/// again afterwards, as the next operation may have another one.
class stop_token {
 public:
  /// How a callback is registered, as with std::stop_token.
  template <class Function>
  using callback_type = stop_callback<Function>;

  /// No stop is possible.
  stop_token() noexcept = default;
  /// \internal What a body gets.
  explicit stop_token(detail::cancellation_scope* of) noexcept : scope_(of) {}

  /// A stop was requested.
  [[nodiscard]] auto stop_requested() const noexcept -> bool { return scope_ != nullptr && scope_->requested(); }
  /// The operation has a token.
  [[nodiscard]] auto stop_possible() const noexcept -> bool { return scope_ != nullptr; }
  /// Awaitable: the token of the operation for which the awaiting body runs.
  auto operator co_await() const noexcept -> detail::stop_token_awaiter;
  friend auto operator==(stop_token const& left, stop_token const& right) noexcept -> bool = default;

  /// \internal For stop_callback.
  [[nodiscard]] auto scope() const noexcept -> detail::cancellation_scope* { return scope_; }

 private:
  detail::cancellation_scope* scope_ = nullptr;
};

/// Calls a function at the request to stop, as std::stop_callback: on the thread of the request, or in the constructor
/// if a stop was requested already. The destructor waits for a call that another thread is in. The function must not
/// throw.
template <class Function>
class stop_callback : detail::stop_listener {
 public:
  template <class From>
  stop_callback(stop_token token, From&& function)
      : stop_listener(&call), function_(static_cast<From&&>(function)), scope_(token.scope()) {
    if (scope_ == nullptr) return;
    scope_->always_add(*this);
    if (scope_->requested()) call(*this, 0);
  }
  stop_callback(stop_callback const&) = delete;
  auto operator=(stop_callback const&) -> stop_callback& = delete;
  ~stop_callback() {
    if (scope_ != nullptr) scope_->remove(*this);
  }

 private:
  static void call(stop_listener& self, unsigned /*kind*/) noexcept {
    auto& me = static_cast<stop_callback&>(self);
    if (detail::exchange(me.called_, 1) == 0) me.function_();
  }

  Function function_;
  detail::cancellation_scope* scope_;
  unsigned char called_ = 0;
};
/// \cond  a second function of that name, to Doxygen
template <class Function>
stop_callback(stop_token, Function) -> stop_callback<Function>;
/// \endcond

/// How a callback is registered with another type of token: the type of the callback. The default is
/// `Token::callback_type<Function>`; agen/std_stop.hpp has that of std::stop_token.
template <class Token, class Function>
struct stop_callback_for {
  using type = typename Token::template callback_type<Function>;
};

namespace detail {

struct stop_token_awaiter {
  cancellation_scope* scope = nullptr;

  void propagate_cancellation(cancellation_scope* to) noexcept { scope = to; }
  static auto await_ready() noexcept -> bool { return false; }
  static auto await_suspend(std::coroutine_handle<> /*body*/) noexcept -> bool { return false; }
  [[nodiscard]] auto await_resume() const noexcept -> stop_token { return stop_token(scope); }
};

/// In a task: what it awaits afterwards gets `to`. Gives the scope that it had.
struct enter_scope {
  cancellation_scope* to;

  static auto await_ready() noexcept -> bool { return false; }
  template <class Promise>
  auto await_suspend(std::coroutine_handle<Promise> h) noexcept -> bool {
    to = std::exchange(h.promise().cancellation, to);
    return false;
  }
  [[nodiscard]] auto await_resume() const noexcept -> cancellation_scope* { return to; }
};

struct requests_stop {
  cancellation_scope* scope;
  void operator()() const noexcept { scope->request(); }
};

template <class Awaitable>
auto shielding(Awaitable awaited) -> task<await_result<Awaitable>> {
  co_await enter_scope{nullptr};
  co_return co_await static_cast<Awaitable&&>(awaited);
}

template <class Token, class Awaitable>
auto stopping_with(Token token, Awaitable awaited) -> task<await_result<Awaitable>> {
  inner_scope scope(co_await enter_scope{nullptr});
  co_await enter_scope{&scope};
  typename stop_callback_for<Token, requests_stop>::type const callback(std::move(token), requests_stop{&scope});
  co_return co_await static_cast<Awaitable&&>(awaited);
}

}  // namespace detail

inline auto stop_token::operator co_await() const noexcept -> detail::stop_token_awaiter { return {}; }

/// `co_await with_stop(token, operation)`: awaits the operation of a generator, a task, or anything else awaitable, and
/// lets everything below it be stopped by `token`; also by the token around it, if there is one.
///
/// Gives what `operation` gives, and throws what it throws: agen::stopped if a request ended a wait and no body caught
/// that. The generator must not be used again if the coroutine that awaits this is destroyed meanwhile.
template <class Token, class Awaitable>
auto with_stop(Token token, Awaitable&& operation) {
  return detail::stopping_with<Token, Awaitable>(std::move(token), static_cast<Awaitable&&>(operation));
}

/// `co_await shielded(operation)`: no request to stop reaches what is below it. For cleanup that has to wait although
/// a stop may be requested only then.
template <class Awaitable>
auto shielded(Awaitable&& operation) {
  return detail::shielding<Awaitable>(static_cast<Awaitable&&>(operation));
}

}  // namespace agen

#endif  // AGEN_STOP_HPP
