// Asio as partner: its operations awaited inside generators and tasks, a generator's operations started as Asio
// operations, a finalizer that closes dropped generators on an executor. Standalone Asio; define AGEN_USE_BOOST_ASIO
// for Boost.Asio.
//
//     agen::async_generator<std::string> pieces(asio::ip::tcp::socket socket) {
//       std::array<char, 1024> received;
//       for (;;) {
//         std::size_t const n = co_await socket.async_read_some(asio::buffer(received), agen::use_agen);
//         co_yield std::string(received.data(), n);
//       }
//     }
//
//     asio::awaitable<void> consume(agen::async_generator<std::string>& gen) {
//       while (auto item = co_await agen::async_anext(gen, asio::use_awaitable)) use(*item);
//     }
//
// A generator that is dropped while its body awaits an operation cancels it. Asio calls the operation once more, when
// the frame is gone. So only drop it if the cancelled operation touches nothing of the frame: a timer, async_read_some.
// One with a dynamic buffer (async_read_until) or a stream over another (ssl::stream) does: stop the consumer and wait
// until it has ended. docs/cpp/asio.md has the list.
//
// An asio::awaitable is awaited in a generator by `co_await f()` with agen/asio_awaitable.hpp, or on an executor of
// one's choice by `co_await asio::co_spawn(executor, f(), agen::use_agen)`.
#ifndef AGEN_ASIO_HPP
#define AGEN_ASIO_HPP

#include "detail/compiler.hpp"  // first: see there

#ifdef AGEN_USE_BOOST_ASIO
#include <boost/asio/version.hpp>
#if BOOST_ASIO_VERSION < 102000
#error "agen/asio.hpp needs Boost 1.77 (Asio 1.20) or newer: older ones have no cancellation slots"
#endif
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/executor_work_guard.hpp>
#ifdef _WIN32
#include <boost/asio/ip/tcp.hpp>
#else
#include <boost/asio/posix/stream_descriptor.hpp>
#endif
#include <boost/asio/post.hpp>
#include <boost/asio/require.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/system/system_error.hpp>
#else
#include <asio/version.hpp>
#if ASIO_VERSION < 102000
#error "agen/asio.hpp needs Asio 1.20 (Boost 1.77) or newer: older ones have no cancellation slots"
#endif
#include <asio/any_io_executor.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/dispatch.hpp>
#include <asio/error.hpp>
#include <asio/execution.hpp>
#include <asio/executor_work_guard.hpp>
#ifdef _WIN32
#include <asio/ip/tcp.hpp>
#else
#include <asio/posix/stream_descriptor.hpp>
#endif
#include <asio/post.hpp>
#include <asio/require.hpp>
#include <asio/steady_timer.hpp>
#include <asio/system_error.hpp>
#include <asio/system_executor.hpp>
#endif

#include <chrono>
#include <memory>
#include <optional>
#include <tuple>

#include "agen.hpp"
#include "recycling_allocator.hpp"
#ifdef _WIN32
#include "detail/wakeup_windows.hpp"
#endif

namespace agen {

#ifdef AGEN_USE_BOOST_ASIO
namespace net = ::boost::asio;
namespace detail {
using asio_error_code = ::boost::system::error_code;
using asio_system_error = ::boost::system::system_error;
}  // namespace detail
#else
namespace net = ::asio;
namespace detail {
using asio_error_code = ::asio::error_code;
using asio_system_error = ::asio::system_error;
}  // namespace detail
#endif

/// Completion token: the operation becomes an awaitable for a generator, a task, or any coroutine that takes a plain
/// awaiter.
///
/// The result is what the completion handler would get: an error code, or a non-null exception_ptr, in front is thrown
/// (system_error), one value is given as it is, several as a tuple. The operation starts when it is awaited. The
/// coroutine continues on the executor that the operation completes on.
///
/// Cancelling the Asio operation that drives the generator (async_anext and the others, below) cancels what its body
/// awaits by this token, and what it awaits afterwards until that operation ends: once cancelled, it stays cancelled,
/// as an asio::awaitable does. Cleanup that has to wait all the same gives a slot of its own, which may be empty:
/// `co_await async_shutdown(asio::bind_cancellation_slot(asio::cancellation_slot(), agen::use_agen))`.
struct use_agen_t {
  /// An executor whose I/O objects take use_agen when no token is given: `use_agen_t::as_default_on(socket)`.
  template <class Inner>
  struct executor_with_default : Inner {
    using default_completion_token_type = use_agen_t;
    template <class From>
      requires(!std::is_same_v<std::remove_cvref_t<From>, executor_with_default> &&
               std::is_convertible_v<From const&, Inner>)
    executor_with_default(From const& from) noexcept : Inner(from) {}  // NOLINT(google-explicit-constructor)
  };
  /// `object`, an I/O object, with an executor whose default token is use_agen.
  template <class Object>
  static auto as_default_on(Object&& object) {
    using bare = std::remove_cvref_t<Object>;
    return typename bare::template rebind_executor<executor_with_default<typename bare::executor_type>>::other(
        static_cast<Object&&>(object));
  }
};
inline constexpr use_agen_t use_agen{};

namespace detail {

/// Passes a request to cancel one operation of a generator on to what its body awaits now. Both happen on one strand,
/// as Asio demands of every cancellation slot.
struct asio_cancellation : cancellation_scope {
  /// \param owner  the coroutine that owns itself and this scope
  explicit asio_cancellation(std::coroutine_handle<> owner,
                             void (*on_destroyed)(cancellation_scope&) noexcept = &end) noexcept
      : cancellation_scope(on_destroyed, true), runner(owner) {}

  std::coroutine_handle<> runner;
  net::any_io_executor (*executor_here)(asio_cancellation const& self) = nullptr;  ///< see this_executor

  void request(net::cancellation_type type) { cancellation_scope::request(static_cast<unsigned>(type)); }
  /// Destroys the runner, whose answer will never come, with all that it owns.
  static void end(cancellation_scope& self) noexcept {
    if (auto const ends = std::exchange(static_cast<asio_cancellation&>(self).runner, nullptr)) ends.destroy();
  }
};

/// The cancellation scope of the operation that a body or a task runs for, if there is one.
template <class Promise>
auto cancellation_of(std::coroutine_handle<Promise> h) noexcept -> cancellation_scope* {
  if constexpr (std::is_base_of_v<frame, Promise>) {
    pending* const operation = static_cast<frame&>(h.promise()).of->link;
    if (operation->cancellable) return operation->cancellation;
  } else if constexpr (std::is_base_of_v<task_state, Promise>) {
    return h.promise().cancellation;
  }
  return nullptr;
}

/// The values of a completion, without the error in front of them.
template <class... Values>
struct completed_with {
  using type = std::tuple<Values...>;
  static auto give(type&& values) -> type { return std::move(values); }
};
template <class Value>
struct completed_with<Value> {
  using type = Value;
  static auto give(std::tuple<Value>&& values) -> Value { return std::get<0>(std::move(values)); }
};
template <>
struct completed_with<> {
  using type = void;
  static void give(std::tuple<>&& /*values*/) noexcept {}
};

/// What a completion handler got, until the coroutine takes it.
template <class... Args>
class completion {
 public:
  void put(Args... args) { values_.emplace(std::move(args)...); }
  [[nodiscard]] static auto failed() noexcept -> bool { return false; }
  auto take() { return completed_with<Args...>::give(std::move(*values_)); }

 private:
  std::optional<std::tuple<Args...>> values_;
};
template <class... Args>
class completion<asio_error_code, Args...> {
 public:
  void put(asio_error_code error, Args... args) {
    error_ = error;
    values_.emplace(std::move(args)...);
  }
  [[nodiscard]] auto failed() const noexcept -> bool { return error_ == net::error::operation_aborted; }
  auto take() {
    if (error_) AGEN_THROW(asio_system_error(error_));
    return completed_with<Args...>::give(std::move(*values_));
  }

 private:
  asio_error_code error_;
  std::optional<std::tuple<Args...>> values_;
};
template <class... Args>
class completion<std::exception_ptr, Args...> {
 public:
  void put(std::exception_ptr error, Args... args) {
    error_ = std::move(error);
    values_.emplace(std::move(args)...);
  }
  [[nodiscard]] static auto failed() noexcept -> bool { return false; }
  auto take() {
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    return completed_with<Args...>::give(std::move(*values_));
  }

 private:
  std::exception_ptr error_;
  std::optional<std::tuple<Args...>> values_;
};

/// Shared by an awaiter and the handler that resumes its coroutine: either may be destroyed first. While the coroutine
/// waits, it hears of requests to stop and emits them to the operation's slot.
template <class... Args>
struct asio_awaiter_state : stop_listener {
  completion<std::decay_t<Args>...> result;
  std::coroutine_handle<> waiting;
  net::cancellation_signal signal;
  cancellation_scope* cancellation = nullptr;  ///< that it listens to
  bool started = false;  ///< the initiation has returned: destroying the handler ends the operation
  bool gone = false;     ///< the coroutine was destroyed while it waited
  bool stopped = false;  ///< a token's request has come, which becomes agen::stopped

  void listen(cancellation_scope* to) noexcept {
    cancellation = to;
    on_stop = &emit;
    to->always_add(*this);
  }
  void stop_listening() noexcept {
    if (cancellation != nullptr) [[unlikely]]
      cancellation->remove(*this);
  }
  void request(unsigned kinds) {
    if (!cancellation->stays()) {
      cancellation->deliver();
      stopped = true;
    }
    signal.emit(static_cast<net::cancellation_type>(kinds));
  }

 private:
  static void emit(stop_listener& self, unsigned kind) noexcept {
    static_cast<asio_awaiter_state&>(self).request(kind);
  }
};

template <class... Args>
class asio_resume_handler {
 public:
  using cancellation_slot_type = net::cancellation_slot;

  explicit asio_resume_handler(std::shared_ptr<asio_awaiter_state<Args...>> state) noexcept
      : state_(std::move(state)) {}
  asio_resume_handler(asio_resume_handler&&) noexcept = default;
  auto operator=(asio_resume_handler&&) -> asio_resume_handler& = delete;
  /// The destructor of an execution context destroys handlers that it has not called; then the body would wait for
  /// ever. If an Asio operation waits for the body, that operation is destroyed with all it owns. Any other coroutine
  /// has an owner of its own.
  ~asio_resume_handler() {
    if (!state_ || !state_->waiting || !state_->started || state_->gone) return;
    state_->waiting = nullptr;
    state_->stop_listening();
    if (auto* const scope = state_->cancellation; scope != nullptr && scope->on_generator_destroyed != nullptr) {
      asio_cancellation::end(*scope);
    }
  }

  [[nodiscard]] auto get_cancellation_slot() const noexcept -> cancellation_slot_type { return state_->signal.slot(); }

  void operator()(Args... args) {
    auto const state = std::move(state_);
    if (state->gone) return;
    state->stop_listening();
    state->result.put(std::move(args)...);
    std::exchange(state->waiting, nullptr).resume();
  }

 private:
  std::shared_ptr<asio_awaiter_state<Args...>> state_;
};

/// Starts the operation when it is awaited. Destroyed while it waits, it cancels the operation and forgets the
/// coroutine.
template <class Initiation, class Signature, class InitArgs>
class asio_awaiter;
template <class Initiation, class... Args, class... InitArgs>
class [[nodiscard("an operation does nothing until it is awaited")]]
asio_awaiter<Initiation, void(Args...), std::tuple<InitArgs...>> {
  using state = asio_awaiter_state<Args...>;

 public:
  template <class From, class... Given>
    requires(sizeof...(Given) == sizeof...(InitArgs) && std::is_constructible_v<Initiation, From&&>)
  explicit asio_awaiter(From&& initiation, Given&&... args)
      : initiation_(static_cast<From&&>(initiation)), args_(static_cast<Given&&>(args)...) {}
  asio_awaiter(asio_awaiter&&) noexcept = default;
  auto operator=(asio_awaiter&&) -> asio_awaiter& = delete;
  ~asio_awaiter() {
    if (!state_ || !state_->waiting) return;
    state_->stop_listening();
    state_->gone = true;
    state_->signal.emit(net::cancellation_type::terminal);
  }

  static auto await_ready() noexcept -> bool { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> h) {
    state_ = std::allocate_shared<state>(recycling_allocator<state>());
    // Before the initiation returns, the body may run on another thread and this awaiter be destroyed.
    auto const kept = state_;
    kept->waiting = h;
    cancellation_scope* const scope = cancellation_of(h);
    unsigned requested = 0;
    if (scope != nullptr) [[unlikely]] {
      if (scope->must_stop()) requested = scope->kinds();
      kept->listen(scope);
    }
    AGEN_TRY {
      std::apply(
          [&](auto&&... args) {
            std::move(initiation_)(asio_resume_handler<Args...>(kept), static_cast<decltype(args)&&>(args)...);
          },
          std::move(args_));
    }
    AGEN_CATCH(...) {
      kept->stop_listening();
      state_.reset();
      AGEN_RETHROW;
    }
    kept->started = true;
    // After a cancellation everything that is awaited ends early, also in cleanup, as in an asio::awaitable.
    if (requested != 0) [[unlikely]]
      kept->request(requested);
  }
  auto await_resume() -> decltype(auto) {
    auto const done = std::exchange(state_, nullptr);
    if (done->stopped && done->result.failed()) AGEN_THROW(stopped("stopped while an Asio operation was awaited"));
    return done->result.take();
  }
  /// \internal As detail::start_with.
  template <class Token>
    requires(!std::is_pointer_v<std::decay_t<Token>>)
  auto operator()(Token&& token) {
    return std::apply(
        [&](auto&&... args) {
          return net::async_initiate<Token, void(Args...)>(std::move(initiation_), token,
                                                           static_cast<decltype(args)&&>(args)...);
        },
        std::move(args_));
  }

 private:
  Initiation initiation_;
  std::tuple<InitArgs...> args_;
  std::shared_ptr<state> state_;
};

}  // namespace detail
}  // namespace agen

#ifdef AGEN_USE_BOOST_ASIO
namespace boost::asio {
#else
namespace asio {
#endif

template <class R, class... Args>
class async_result<::agen::use_agen_t, R(Args...)> {
 public:
  using return_type = void;  // unused, but bind_cancellation_slot of Asio 1.22 needs it
  template <class Initiation, class... InitArgs>
  static auto initiate(Initiation&& initiation, ::agen::use_agen_t /*token*/, InitArgs&&... args) {
    return ::agen::detail::asio_awaiter<std::decay_t<Initiation>, void(Args...), std::tuple<std::decay_t<InitArgs>...>>(
        static_cast<Initiation&&>(initiation), static_cast<InitArgs&&>(args)...);
  }
};

#ifdef AGEN_USE_BOOST_ASIO
}  // namespace boost::asio
#else
}  // namespace asio
#endif

namespace agen {

/// A body asked for its executor, or awaited an asio::awaitable, and no Asio operation drives it.
class no_executor : public generator_error {
 public:
  using generator_error::generator_error;
};

/// `co_await agen::this_executor` in a body or a task: the executor that the Asio operation which drives it
/// (async_anext and the others, spawn) completes on, as an any_io_executor. Throws no_executor where there is none.
struct this_executor_t {};
inline constexpr this_executor_t this_executor{};

namespace detail {

template <class Promise>
auto executor_of(std::coroutine_handle<Promise> h) -> net::any_io_executor {
  cancellation_scope const* const scope = cancellation_of(h);
  net::any_io_executor found;
  if (scope != nullptr && scope->stays()) {  // Asio's
    auto const& own = static_cast<asio_cancellation const&>(*scope);
    if (own.executor_here != nullptr) found = own.executor_here(own);
  }
  if (!found)
    AGEN_THROW(
        no_executor("this generator is not driven by Asio: use agen::async_anext, agen::spawn or an asio::awaitable"));
  return found;
}
struct executor_awaiter {
  net::any_io_executor found;
  static auto await_ready() noexcept -> bool { return false; }
  template <class Promise>
  auto await_suspend(std::coroutine_handle<Promise> h) -> bool {
    found = executor_of(h);
    return false;
  }
  auto await_resume() noexcept -> net::any_io_executor { return std::move(found); }
};
}  // namespace detail

template <>
struct await_adapter<this_executor_t> {
  static auto adapt(this_executor_t /*asks*/) { return detail::executor_awaiter(); }
};

namespace detail {

/// A coroutine that owns itself: the body of what is started through Asio.
struct asio_runner {
  struct promise_type {
    static auto operator new(std::size_t size) -> void* { return recycler::allocate(size); }
    static void operator delete(void* frame, std::size_t size) noexcept { recycler::free(frame, size); }
    static auto get_return_object() noexcept -> asio_runner { return {}; }
    static auto initial_suspend() noexcept -> std::suspend_never { return {}; }
    static auto final_suspend() noexcept -> std::suspend_never { return {}; }
    void return_void() noexcept {}
    // The body catches every exception, except where there is no memory to post the completion.
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

struct own_handle {
  std::coroutine_handle<> handle;
  static auto await_ready() noexcept -> bool { return false; }
  auto await_suspend(std::coroutine_handle<> h) noexcept -> bool {
    handle = h;
    return false;
  }
  [[nodiscard]] auto await_resume() const noexcept -> std::coroutine_handle<> { return handle; }
};

/// What a runner hands to its completion handler. The value is default constructed beside an error.
template <class T>
struct completed {
  std::exception_ptr error;
  T value{};
  template <class Handler>
  void give(Handler& handler) {
    std::move(handler)(std::move(error), std::move(value));
  }
};
template <>
struct completed<void> {
  std::exception_ptr error;
  template <class Handler>
  void give(Handler& handler) {
    std::move(handler)(std::move(error));
  }
};

/// Connects a cancellation slot with a cancellation scope for as long as this object lives.
template <class Slot>
class connected_slot {
 public:
  connected_slot(Slot slot, asio_cancellation& cancellation) : slot_(slot) {
    if (slot_.is_connected())
      slot_.assign([&cancellation](net::cancellation_type type) { cancellation.request(type); });
  }
  connected_slot(connected_slot const&) = delete;
  auto operator=(connected_slot const&) -> connected_slot& = delete;
  ~connected_slot() { clear(); }
  void clear() noexcept {
    if (std::exchange(connected_, false)) slot_.clear();
  }

 private:
  Slot slot_;
  bool connected_ = slot_.is_connected();
};

/// A handler and where it is called: on its associated executor, or on `executor` if it has none. Both executors are
/// kept running until then.
template <class Handler, class Executor>
class called_back {
  using own_executor = net::associated_executor_t<Handler, Executor>;
  // An executor that runs everything inline, such as Asio's own, cannot be given work for later.
  static constexpr bool posts = !net::execution::is_executor<own_executor>::value ||
                                requires(own_executor const& e) { net::require(e, net::execution::blocking.never); };

 public:
  called_back(Handler&& handler, Executor const& executor)
      : own_(net::get_associated_executor(handler, executor)), other_(executor), handler_(std::move(handler)) {}
  [[nodiscard]] auto handler() const noexcept -> Handler const& { return handler_; }
  /// Where the handler is called; an empty one if its type cannot be erased.
  [[nodiscard]] auto executor() const -> net::any_io_executor {
    if constexpr (posts && std::is_constructible_v<net::any_io_executor, own_executor>) {
      return own_.get_executor();
    } else if constexpr (std::is_constructible_v<net::any_io_executor, Executor>) {
      return other_.get_executor();
    } else {
      return {};
    }
  }

  template <class Result>
  void post(completed<Result> outcome) {
    auto call = [h = std::move(handler_), o = std::move(outcome)]() mutable { o.give(h); };
    if constexpr (posts) {
      net::post(own_.get_executor(), std::move(call));
    } else {
      net::post(other_.get_executor(), std::move(call));
    }
  }

 private:
  net::executor_work_guard<own_executor> own_;
  net::executor_work_guard<Executor> other_;
  Handler handler_;
};

/// The cancellation scope of an operation that ends in a call of a handler.
template <class Result, class Handler, class Executor>
struct handler_cancellation : asio_cancellation {
  called_back<Handler, Executor> callback;

  handler_cancellation(std::coroutine_handle<> owner, Handler&& handler, Executor const& executor)
      : asio_cancellation(owner, &abort), callback(std::move(handler), executor) {
    this->executor_here = [](asio_cancellation const& self) {
      return static_cast<handler_cancellation const&>(self).callback.executor();
    };
  }
  /// The generator was dropped, and with it the answer that the runner waits for: the handler gets an error.
  static void abort(cancellation_scope& self) noexcept {
    auto kept = std::move(static_cast<handler_cancellation&>(self).callback);
    asio_cancellation::end(self);
    asio_error_code const aborted = net::error::operation_aborted;
    kept.post(completed<Result>{std::make_exception_ptr(asio_system_error(aborted))});
  }
};

/// Awaits `operation` with a cancellation scope in reach of the body, then posts the result to the handler's executor.
template <class Operation, class Handler, class Executor>
auto run_operation(Operation operation, Handler handler, Executor executor) -> asio_runner {
  using result = std::remove_cvref_t<await_result<Operation>>;
  handler_cancellation<result, Handler, Executor> cancellation(co_await own_handle(), std::move(handler), executor);
  connected_slot slot(net::get_associated_cancellation_slot(cancellation.callback.handler()), cancellation);
  completed<result> outcome;
  AGEN_TRY {
    if constexpr (requires { operation.observe(&cancellation); }) {
      operation.observe(&cancellation);
    } else {
      operation.propagate_cancellation(&cancellation);
    }
    if constexpr (std::is_void_v<result>) {
      co_await std::move(operation);
    } else {
      outcome.value = co_await std::move(operation);
    }
  }
  AGEN_CATCH(...) { outcome.error = std::current_exception(); }
  slot.clear();
  cancellation.callback.post(std::move(outcome));
}

template <class T>
struct completion_signature {
  using type = void(std::exception_ptr, T);
};
template <>
struct completion_signature<void> {
  using type = void(std::exception_ptr);
};

/// Starts an operation. Its executor is for handlers without one, and for the timers of adaptors such as cancel_after.
template <class Executor>
class initiation {
 public:
  using executor_type = Executor;
  explicit initiation(Executor executor) noexcept : executor_(std::move(executor)) {}
  [[nodiscard]] auto get_executor() const noexcept -> executor_type { return executor_; }

  template <class Handler, class Operation>
  void operator()(Handler&& handler, Operation begun) const {
    run_operation<Operation, std::decay_t<Handler>>(std::move(begun), static_cast<Handler&&>(handler), executor_);
  }

 private:
  Executor executor_;
};

template <class Executor, class Operation, class Token>
auto initiate_operation(Executor executor, Operation operation, Token&& token) {
  using result = std::remove_cvref_t<await_result<Operation>>;
  return net::async_initiate<Token, typename completion_signature<result>::type>(
      initiation<Executor>(std::move(executor)), token, std::move(operation));
}
/// A generator belongs to no executor, so this takes the one that Asio uses in that case.
template <class Operation, class Token>
auto initiate_operation(Operation operation, Token&& token) {
  return initiate_operation(net::system_executor(), std::move(operation), static_cast<Token&&>(token));
}

/// `co_await gen.anext()` in an asio::awaitable, which takes an operation as a callable of a completion token (Asio
/// 1.30 and newer). Older ones call it with a pointer.
template <class Operation, class Token>
  requires(!std::is_pointer_v<std::decay_t<Token>>)
auto start_with(Operation&& operation, Token&& token) {
  return initiate_operation(static_cast<Operation&&>(operation), static_cast<Token&&>(token));
}

/// Runs a task on an executor from its first step on.
template <class T, class Executor>
auto on_executor(Executor executor, task<T> body) -> task<T> {
  co_await net::post(executor, use_agen);
  co_return co_await std::move(body);
}

inline auto close_abandoned(abandoned_generator gen) -> asio_runner {
  asio_cancellation cancellation{co_await own_handle()};
  AGEN_TRY {
    auto operation = gen.aclose();
    operation.propagate_cancellation(&cancellation);
    co_await std::move(operation);
  }
  AGEN_CATCH(...) { report_unraisable(std::current_exception()); }
}

}  // namespace detail

/// The operations of a generator as Asio operations, for any completion token: with asio::use_awaitable they can be
/// awaited in an asio::awaitable. Completion signatures: void(std::exception_ptr, item), for async_aclose
/// void(std::exception_ptr).
///
/// The handler is posted to its associated executor; one that has none, as a plain lambda, to Asio's system_executor,
/// which has threads of its own: asio::bind_executor(context, handler) keeps it where everything else is. Its
/// cancellation slot, if it has one, cancels what the body awaits with use_agen at that time, directly or in tasks and
/// generators that it awaits, iterates or delegates to; the body gets operation_aborted there and decides what becomes
/// of it. A generator that is dropped while the operation waits ends it: the handler gets operation_aborted. What the
/// body awaits has to allow that: see the head of this file.
template <class Yield, class Send, class Return, class Token>
auto async_anext(async_generator<Yield, Send, Return>& gen, Token&& token) {
  return detail::initiate_operation(gen.anext(), static_cast<Token&&>(token));
}
/// See async_anext().
template <class Yield, class Send, class Return, class Token>
auto async_asend(async_generator<Yield, Send, Return>& gen, std::type_identity_t<Send> value, Token&& token) {
  return detail::initiate_operation(gen.asend(std::move(value)), static_cast<Token&&>(token));
}
/// See async_anext().
template <class Yield, class Send, class Return, class Token>
auto async_athrow(async_generator<Yield, Send, Return>& gen, std::exception_ptr error, Token&& token) {
  return detail::initiate_operation(gen.athrow(std::move(error)), static_cast<Token&&>(token));
}
/// See async_anext().
template <class Yield, class Send, class Return, class Token>
auto async_aclose(async_generator<Yield, Send, Return>& gen, Token&& token) {
  return detail::initiate_operation(gen.aclose(), static_cast<Token&&>(token));
}

/// Runs a task on `executor`, as asio::co_spawn does an asio::awaitable. Completion signature: void(std::exception_ptr,
/// T), or void(std::exception_ptr) for a task<>. A handler without an associated executor is called on `executor`. Its
/// cancellation slot cancels what the task awaits, as above.
template <class Executor, class T, class Token>
auto spawn(Executor executor, task<T> body, Token&& token) {
  auto begun = detail::on_executor<T>(executor, std::move(body));
  return detail::initiate_operation(std::move(executor), std::move(begun), static_cast<Token&&>(token));
}

/// Hooks whose finalizer closes dropped generators on `executor`, their cleanup awaited there. What a cleanup raises
/// goes to the unraisable handler (unraisable.hpp). Install them by set_asyncgen_hooks on the threads that iterate.
template <class Executor>
auto asio_hooks(Executor executor) -> asyncgen_hooks {
  return {nullptr, [executor](abandoned_generator gen) {
            net::post(executor, [g = std::move(gen)]() mutable { detail::close_abandoned(std::move(g)); });
          }};
}

/// Time for streams (streams.hpp): `asio_sleep(executor)(duration)` waits on a timer of that executor.
///
///     auto items = agen::streams::timeout(source(), 5s, agen::asio_sleep(context.get_executor()));
template <class Executor>
class asio_sleep {
 public:
  /// \param executor  where what waits goes on
  explicit asio_sleep(Executor executor) noexcept : executor_(std::move(executor)) {}
  /// Awaitable: completes after `duration`. Throws stopped.
  auto operator()(std::chrono::nanoseconds duration) const -> task<> { return wait(executor_, duration); }

 private:
  static auto wait(Executor executor, std::chrono::nanoseconds duration) -> task<> {
    net::basic_waitable_timer<std::chrono::steady_clock, net::wait_traits<std::chrono::steady_clock>, Executor> timer(
        executor, std::chrono::duration_cast<std::chrono::steady_clock::duration>(duration));
    co_await timer.async_wait(use_agen);
  }
  Executor executor_;
};

#if defined(_WIN32) || defined(ASIO_HAS_POSIX_STREAM_DESCRIPTOR) || defined(BOOST_ASIO_HAS_POSIX_STREAM_DESCRIPTOR)
/// A way to wait for channel::items() (channel.hpp): on an executor, until the channel's descriptor is readable. The
/// generator continues there. Not available where Asio has no posix::stream_descriptor, except on Windows.
///
///     auto gen = std::move(channel).items(agen::readable_on(context.get_executor()));
template <class Executor>
class readable_on {
 public:
  /// \param executor  where the generator goes on after each wait
  explicit readable_on(Executor const& executor) : descriptor_(executor) {}
  readable_on(readable_on&&) noexcept = default;
  auto operator=(readable_on&&) -> readable_on& = delete;
#ifdef _WIN32
  ~readable_on() = default;
  /// Awaitable: completes when `fd`, the same in every call, is readable.
  auto operator()(int fd) {
    if (!descriptor_.is_open()) descriptor_.assign(net::ip::tcp::v4(), detail::duplicated(fd).release());
    return descriptor_.async_wait(net::socket_base::wait_read, use_agen);
  }

 private:
  net::basic_stream_socket<net::ip::tcp, Executor> descriptor_;  ///< its own: Asio cannot let go of one everywhere
#else
  ~readable_on() {
    if (descriptor_.is_open()) descriptor_.release();  // it is the channel's
  }
  /// Awaitable: completes when `fd`, the same in every call, is readable.
  auto operator()(int fd) {
    if (!descriptor_.is_open()) descriptor_.assign(fd);
    return descriptor_.async_wait(net::posix::descriptor_base::wait_read, use_agen);
  }

 private:
  net::posix::basic_stream_descriptor<Executor> descriptor_;
#endif
};
#endif

}  // namespace agen

#endif  // AGEN_ASIO_HPP
