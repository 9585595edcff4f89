// The sender model as partner (P2300, std::execution of C++26): senders awaited in generators and tasks, the operations
// of a generator and tasks as senders, bodies that stay on a scheduler. Over the standard library's own where that has
// it, else over stdexec or Beman.Execution, whichever can be included; define AGEN_USE_STDEXEC or AGEN_USE_BEMAN to
// choose.
//
//     agen::async_generator<int> results(auto scheduler) {
//       for (int i = 0; i < 3; ++i) {
//         int n = co_await (ex::schedule(scheduler) | ex::then([i] { return work(i); }));
//         co_yield n;
//       }
//     }
//
//     auto [item] = *ex::sync_wait(gen.anext());   // an operation is a sender
//
// Nothing needs to be written for either: this header only has to be included.
#ifndef AGEN_EXECUTION_HPP
#define AGEN_EXECUTION_HPP

#include "detail/compiler.hpp"  // first: see there

#include <version>
#if !defined(AGEN_USE_STDEXEC) && !defined(AGEN_USE_BEMAN) && !defined(__cpp_lib_senders)
#if __has_include(<stdexec/execution.hpp>)
#define AGEN_USE_STDEXEC
#elif __has_include(<beman/execution/execution.hpp>)
#define AGEN_USE_BEMAN
#else
#error "agen/execution.hpp needs std::execution (C++26), stdexec or Beman.Execution on the include path"
#define AGEN_NO_SENDERS  // one error is enough
#endif
#endif

#if !defined(AGEN_NO_SENDERS)
#if defined(AGEN_USE_STDEXEC)
#include <stdexec/execution.hpp>
#elif defined(AGEN_USE_BEMAN)
#include <beman/execution/execution.hpp>
#else
#include <execution>
#endif

#include <exception>
#include <memory>
#include <optional>
#include <system_error>
#include <tuple>
#include <variant>

#include "closing.hpp"
#include "detail/callback_coroutine.hpp"
#include "detail/destroyed_promise.hpp"
#include "recycling_allocator.hpp"
#include "stop.hpp"

namespace agen {

#if defined(AGEN_USE_STDEXEC)
namespace ex = ::stdexec;
#elif defined(AGEN_USE_BEMAN)
namespace ex = ::beman::execution;
#else
namespace ex = ::std::execution;
#endif

namespace detail {
#if defined(AGEN_USE_STDEXEC) || defined(AGEN_USE_BEMAN)
using ex::get_stop_token;
using ex::get_stop_token_t;
#else  // the standard has the two one namespace higher
using std::get_stop_token;
using std::get_stop_token_t;
#endif

// ------------------------------------------------------------------------------------------------ senders, awaited

/// What a body's sender can ask of its receiver.
struct waiting_env {
  stop_token token;
  [[nodiscard]] auto query(get_stop_token_t /*asks*/) const noexcept -> stop_token { return token; }
};

/// What co_await gives for the values of one completion.
template <class... Values>
struct sent {
  using type = std::tuple<std::decay_t<Values>...>;
};
template <class Value>
struct sent<Value> {
  using type = std::decay_t<Value>;
};
template <>
struct sent<> {
  using type = void;
};
template <class... Values>
using sent_t = typename sent<Values...>::type;

/// A sender that never sends values gives nothing.
template <class... Completions>
struct only {
  static_assert(sizeof...(Completions) == 0,
                "co_await of a sender that completes with values of several kinds: await into_variant(sender)");
  using type = void;
};
template <class Completion>
struct only<Completion> {
  using type = Completion;
};
template <class Sender>
using sent_by = typename ex::value_types_of_t<Sender, waiting_env, sent_t, only>::type;

template <class Error>
auto as_exception(Error&& error) noexcept -> std::exception_ptr {
  if constexpr (std::is_same_v<std::decay_t<Error>, std::exception_ptr>) {
    return static_cast<Error&&>(error);
  } else if constexpr (std::is_same_v<std::decay_t<Error>, std::error_code>) {
    return std::make_exception_ptr(std::system_error(error));
  } else {
    return std::make_exception_ptr(static_cast<Error&&>(error));
  }
}

/// A sender's operation, started for a body that waits for it. A body may be destroyed while it waits, an operation may
/// not: it is then asked to stop, and destroys itself when it completes.
template <class Sender>
class sender_wait : stop_listener {
 public:
  using value = sent_by<Sender>;

  sender_wait(Sender&& sender, cancellation_scope* outer, std::coroutine_handle<> body)
      : stop_listener(&pass_on),
        outer_(outer),
        body_(body),
        operation_(ex::connect(static_cast<Sender&&>(sender), receiver{this})) {}

  /// False: it has completed already, on this thread.
  auto start() noexcept -> bool {
    starts_on_ = this_thread();
    if (outer_ != nullptr && !outer_->add(*this)) scope_.request();
    ex::start(operation_);
    return replace(at_, starting, suspended);
  }
  auto take() -> value {
    stop_listening();
    if (std::holds_alternative<nothing>(result_)) {
      if (outer_ != nullptr && outer_->requested()) outer_->deliver();
      AGEN_THROW(stopped("stopped while a sender was awaited"));
    }
    if (auto* const error = std::get_if<std::exception_ptr>(&result_)) std::rethrow_exception(std::move(*error));
    if constexpr (!std::is_void_v<value>) return std::get<1>(std::move(result_));
  }

  /// Lets go of it.
  struct leave {
    void operator()(sender_wait* wait) const noexcept {
      wait->stop_listening();
      if (replace(wait->at_, suspended, leaving)) {
        wait->scope_.request();
        if (replace(wait->at_, leaving, abandoned)) return;
      }
      end(wait);
    }
  };
  template <class... Args>
  static auto make(Args&&... args) -> std::unique_ptr<sender_wait, leave> {
    recycling_allocator<sender_wait> memory;
    sender_wait* const at = memory.allocate(1);
    AGEN_TRY {
      return std::unique_ptr<sender_wait, leave>(::new (static_cast<void*>(at))
                                                     sender_wait(static_cast<Args&&>(args)...));
    }
    AGEN_CATCH(...) {
      memory.deallocate(at, 1);
      AGEN_RETHROW;
    }
  }

 private:
  enum : unsigned char { starting, suspended, completed, leaving, abandoned };
  using nothing = std::monostate;
  using stored = std::conditional_t<std::is_void_v<value>, std::tuple<>, value>;

  struct receiver {
    using receiver_concept = ex::receiver_tag;
    sender_wait* wait;

    template <class... Values>
    void set_value(Values&&... values) noexcept {
      AGEN_TRY { wait->result_.template emplace<1>(static_cast<Values&&>(values)...); }
      AGEN_CATCH(...) { wait->result_.template emplace<2>(std::current_exception()); }
      wait->complete();
    }
    template <class Error>
    void set_error(Error&& error) noexcept {
      wait->result_.template emplace<2>(as_exception(static_cast<Error&&>(error)));
      wait->complete();
    }
    void set_stopped() noexcept { wait->complete(); }
    // A request that has become an exception in the body arrives at no operation any more.
    [[nodiscard]] auto get_env() const noexcept -> waiting_env { return {stop_token(&wait->scope_)}; }
  };

  void complete() noexcept {
    // The body has to continue on this thread. start() is about to return on the other one.
    while (load(at_) == starting && starts_on_ != this_thread()) {
    }
    switch (exchange(at_, completed)) {
      case suspended: return body_.resume();
      case abandoned: return end(this);
      default: return;  // the other side sees it
    }
  }
  void stop_listening() noexcept {
    if (outer_ != nullptr) outer_->remove(*this);
  }
  static void pass_on(stop_listener& self, unsigned kind) noexcept {
    static_cast<sender_wait&>(self).scope_.request(kind);
  }
  static void end(sender_wait* wait) noexcept {
    wait->~sender_wait();
    recycling_allocator<sender_wait>::deallocate(wait, 1);
  }

  cancellation_scope scope_;  ///< of the operation alone
  cancellation_scope* outer_;
  std::coroutine_handle<> body_;
  unsigned char at_ = starting;
  void const* starts_on_ = nullptr;
  std::variant<nothing, stored, std::exception_ptr> result_;
  ex::connect_result_t<Sender, receiver> operation_;
};

/// Connects and starts the sender when it is awaited.
template <class Sender>
class [[nodiscard("a sender does nothing until it is awaited")]] sender_awaiter {
  using wait = sender_wait<Sender>;

 public:
  explicit sender_awaiter(Sender&& sender) : sender_(static_cast<Sender&&>(sender)) {}

  void propagate_cancellation(cancellation_scope* to) noexcept { scope_ = to; }
  static auto await_ready() noexcept -> bool { return false; }
  AGEN_AWAIT_SUSPEND auto await_suspend(std::coroutine_handle<> body) -> bool {
    wait_ = wait::make(static_cast<Sender&&>(sender_), scope_, body);
    return wait_->start();
  }
  auto await_resume() -> typename wait::value { return std::exchange(wait_, nullptr)->take(); }

 private:
  Sender sender_;
  cancellation_scope* scope_ = nullptr;
  std::unique_ptr<wait, typename wait::leave> wait_;
};

/// A sender that says so itself, or is no awaitable: an awaitable, such as an operation of a generator, is one as well,
/// and is awaited as it is.
template <class T>
concept awaited_as_sender = (requires { typename T::sender_concept; } || !natively_awaitable<T>) && ex::sender<T>;

}  // namespace detail

/// `co_await sender` in a generator or a task: starts the sender and gives what it sends: one value as it is, several
/// as a tuple. An error is thrown: an exception_ptr's exception, a std::error_code as std::system_error, any other as
/// it is. A sender that is stopped ends the wait by agen::stopped. The body continues where the sender completes.
///
/// The sender's stop token is that of the operation that the body runs for (stop.hpp). A body that is destroyed while
/// it waits asks the sender to stop and does not wait for it: what the sender refers to must live until it completes.
template <detail::awaited_as_sender Sender>
struct await_adapter<Sender> {
  static auto adapt(Sender sender) { return detail::sender_awaiter<Sender>(std::move(sender)); }
};

namespace detail {

// ------------------------------------------------------------------------------------------- operations, as senders

/// An operation of a generator, or a task, connected with a receiver. An agen::stopped that leaves it becomes
/// set_stopped, and so does the end of a generator that is destroyed meanwhile.
template <class Operation, class Receiver>
class connected_operation {
 public:
  using operation_state_concept = ex::operation_state_tag;

  connected_operation(Operation&& operation, Receiver&& receiver)
      : scope_(static_cast<Receiver&&>(receiver)),
        consumer_(this),
        operation_(static_cast<Operation&&>(operation)),
        awaiter_(get_awaiter(static_cast<Operation&&>(operation_))) {}
  connected_operation(connected_operation const&) = delete;
  auto operator=(connected_operation const&) -> connected_operation& = delete;
  ~connected_operation() = default;

  void start() & noexcept {
    if constexpr (requires { operation_.observe(&scope_); }) {
      operation_.observe(&scope_);
    } else {
      operation_.propagate_cancellation(&scope_);
    }
    scope_.on_stop.emplace(get_stop_token(ex::get_env(scope_.receiver)), requests_stop{&scope_});
    AGEN_TRY {
      if (!awaiter_.await_ready() && awaiter_.await_suspend(consumer_.handle())) return;
    }
    AGEN_CATCH(...) {
      return scope_.finish([](auto& to) { ex::set_error(std::move(to), std::current_exception()); });
    }
    complete();
  }

 private:
  using result = await_result<Operation>;
  using env = ex::env_of_t<Receiver>;
  using token = decltype(get_stop_token(std::declval<env>()));

  struct receiver_scope : cancellation_scope {
    explicit receiver_scope(Receiver&& to) : cancellation_scope(&drop, false), receiver(static_cast<Receiver&&>(to)) {}
    Receiver receiver;
    std::optional<typename token::template callback_type<requests_stop>> on_stop;

    template <class Completion>
    void finish(Completion completion) noexcept {
      on_stop.reset();
      completion(receiver);
    }
    /// The generator was destroyed, and no answer will come.
    static void drop(cancellation_scope& self) noexcept {
      static_cast<receiver_scope&>(self).finish([](auto& to) { ex::set_stopped(std::move(to)); });
    }
  };

  static void answered(void* self) noexcept { static_cast<connected_operation*>(self)->complete(); }
  /// The receiver may destroy this object, so nothing may be touched afterwards.
  void complete() noexcept {
    scope_.on_stop.reset();
    AGEN_TRY {
      if constexpr (std::is_void_v<result>) {
        awaiter_.await_resume();
        ex::set_value(std::move(scope_.receiver));
      } else {
        ex::set_value(std::move(scope_.receiver), awaiter_.await_resume());
      }
    }
    AGEN_CATCH_FIRST(stopped const&) { ex::set_stopped(std::move(scope_.receiver)); }
    AGEN_CATCH(...) { ex::set_error(std::move(scope_.receiver), std::current_exception()); }
  }

  receiver_scope scope_;
  callback_coroutine<&connected_operation::answered> consumer_;
  Operation operation_;
  awaiter_of<Operation> awaiter_;
};

template <class Result>
struct value_completion {
  using type = ex::set_value_t(Result);
};
template <>
struct value_completion<void> {
  using type = ex::set_value_t();
};

/// An operation that is a sender and nothing else, so that it is awaited as one.
template <class Operation>
struct operation_sender {
  using sender_concept = ex::sender_tag;
  using completion_signatures = ex::completion_signatures<typename value_completion<await_result<Operation>>::type,
                                                          ex::set_error_t(std::exception_ptr), ex::set_stopped_t()>;
  template <class Self, class... Env>
  static consteval auto get_completion_signatures() -> completion_signatures {
    return {};
  }

  Operation operation;

  template <class Receiver>
  auto connect(Receiver receiver) && {
    return connected_operation<Operation, Receiver>(static_cast<Operation&&>(operation),
                                                    static_cast<Receiver&&>(receiver));
  }
};

/// \internal As detail::sender_hooks, which says where from.
template <class Operation, ex::receiver Receiver>
auto connect_operation(Operation&& operation, Receiver&& receiver) -> connected_operation<Operation, Receiver> {
  return {static_cast<Operation&&>(operation), static_cast<Receiver&&>(receiver)};
}
/// In a coroutine that awaits senders an operation is awaited as one: it is stopped with that coroutine, and ends it
/// when it is stopped.
template <class Operation, class Promise>
  requires(!std::is_reference_v<await_result<Operation>>) && requires(Promise& promise) { promise.unhandled_stopped(); }
auto await_operation(Operation&& operation, Promise& promise) {
  return ex::as_awaitable(operation_sender<Operation>{static_cast<Operation&&>(operation)}, promise);
}

}  // namespace detail

// ---------------------------------------------------------------------------------------------- bodies with affinity

/// As the first parameter of a generator or a task, or of a lambda or member function that is one: the body stays on
/// the scheduler. After each co_await that has suspended it, it continues there, whether that gave a value or threw.
///
///     agen::task<> serve(agen::stay_on<Scheduler> where, connection peer);
///     co_await serve(agen::stay_on(scheduler), std::move(peer));
///
/// The body begins where it is first awaited, and a co_yield comes back where the next item is asked for; `co_await
/// ex::schedule(scheduler)` brings it to the scheduler. What it delegates to has an affinity of its own, or none. Each
/// co_await in such a body costs an allocation.
template <class Scheduler>
struct stay_on {
  explicit stay_on(Scheduler where) : scheduler(std::move(where)) {}
  Scheduler scheduler;
};

namespace detail {

/// Says in `waited` whether it has suspended.
template <class Awaiter>
struct notes_wait {
  Awaiter inner;
  bool& waited;

  auto await_ready() -> bool { return inner.await_ready() ? true : false; }
  template <class Promise>
  auto await_suspend(std::coroutine_handle<Promise> h) -> decltype(inner.await_suspend(h)) {
    waited = true;
    if constexpr (std::is_same_v<decltype(inner.await_suspend(h)), bool>) {
      bool const suspends = inner.await_suspend(h);
      if (!suspends) waited = false;  // otherwise the body may be gone already
      return suspends;
    } else {
      return inner.await_suspend(h);
    }
  }
  auto await_resume() -> decltype(auto) { return inner.await_resume(); }
  void propagate_cancellation(cancellation_scope* to) noexcept
    requires requires { inner.propagate_cancellation(to); }
  {
    inner.propagate_cancellation(to);
  }
};
template <class Awaited>
auto note_wait(Awaited&& awaited, bool& waited) {
  if constexpr (adapted<Awaited>) {
    return notes_wait<adapted_awaiter<adapted_t<Awaited>>>{
        {await_adapter<std::remove_cvref_t<Awaited>>::adapt(static_cast<Awaited&&>(awaited))}, waited};
  } else {
    return notes_wait<awaiter_of<Awaited>>{get_awaiter(static_cast<Awaited&&>(awaited)), waited};
  }
}

template <class Awaited>
using noted_result = decltype(note_wait(std::declval<Awaited>(), std::declval<bool&>()).await_resume());
template <class Awaited>
auto await_noting(Awaited&& awaited, bool& waited) -> task<noted_result<Awaited>> {
  co_return co_await note_wait(static_cast<Awaited&&>(awaited), waited);
}

/// Awaits, and then, if that has suspended, schedules the body on its scheduler. It is the scheduler that resumes it,
/// so that no other thread does in between.
template <class Awaited, class Scheduler>
class returning_awaiter {
  using home = sender_wait<decltype(ex::schedule(std::declval<Scheduler&>()))>;

 public:
  returning_awaiter(Awaited&& awaited, Scheduler& scheduler)
      : scheduler_(&scheduler),
        consumer_(this),
        waits_(await_noting<Awaited>(static_cast<Awaited&&>(awaited), waited_)),
        awaiter_(std::move(waits_).operator co_await()) {}
  returning_awaiter(returning_awaiter const&) = delete;
  auto operator=(returning_awaiter const&) -> returning_awaiter& = delete;
  ~returning_awaiter() = default;

  void propagate_cancellation(cancellation_scope* to) noexcept { awaiter_.propagate_cancellation(to); }
  static auto await_ready() noexcept -> bool { return false; }
  AGEN_AWAIT_SUSPEND auto await_suspend(std::coroutine_handle<> body) noexcept -> bool {
    body_ = body;
    return awaiter_.await_suspend(consumer_.handle()) || (waited_ && go_home());
  }
  auto await_resume() -> noted_result<Awaited> {
    if (refused_) std::rethrow_exception(refused_);
    if (home_) home_->take();
    return awaiter_.await_resume();
  }

 private:
  static void arrived(void* of) noexcept {
    auto& self = *static_cast<returning_awaiter*>(of);
    auto const body = self.body_;
    if (!self.waited_ || !self.go_home()) body.resume();
  }
  /// False: the body continues here. True: nothing may be touched.
  auto go_home() noexcept -> bool {
    AGEN_TRY {
      home_ = home::make(ex::schedule(*scheduler_), nullptr, body_);
      return home_->start();
    }
    AGEN_CATCH(...) { refused_ = std::current_exception(); }
    return false;
  }

  Scheduler* scheduler_;
  std::coroutine_handle<> body_;
  callback_coroutine<&returning_awaiter::arrived> consumer_;
  bool waited_ = false;
  task<noted_result<Awaited>> waits_;
  task_awaiter<noted_result<Awaited>> awaiter_;
  std::unique_ptr<home, typename home::leave> home_;
  std::exception_ptr refused_;
};

/// What is awaited, and the scheduler that the body continues on.
template <class Awaited, class Scheduler>
struct returning {
  Awaited&& awaited;
  Scheduler& scheduler;
};

template <class Promise, class Scheduler>
class staying_promise : public Promise {
  static_assert(alignof(Scheduler) <= alignof(Promise),
                "stay_on: this scheduler cannot be kept in a coroutine's frame");

 public:
  template <class... Others>
  explicit staying_promise(stay_on<Scheduler> const& where, Others const&... /*unused*/)
      : scheduler_(where.scheduler) {}
  template <class Object, class... Others>
  staying_promise(Object const& /*unused*/, stay_on<Scheduler> const& where, Others const&... /*unused*/)
      : scheduler_(where.scheduler) {}

  template <class Awaited>
  auto await_transform(Awaited&& awaited) -> decltype(auto) {
    if constexpr (is_delegated<std::remove_cvref_t<Awaited>> || !(adapted<Awaited> || natively_awaitable<Awaited>)) {
      return Promise::await_transform(static_cast<Awaited&&>(awaited));
    } else {
      return Promise::await_transform(returning<Awaited, Scheduler>{static_cast<Awaited&&>(awaited), scheduler_});
    }
  }

 private:
  Scheduler scheduler_;
};

template <class Scheduler>
inline constexpr bool stays_on<stay_on<Scheduler>> = true;
template <class Coroutine>
concept may_stay = is_async_generator_v<Coroutine> || is_task<Coroutine>;

}  // namespace detail

template <class Awaited, class Scheduler>
struct await_adapter<detail::returning<Awaited, Scheduler>> {
  static auto adapt(detail::returning<Awaited, Scheduler> request) {
    return detail::returning_awaiter<Awaited, Scheduler>(static_cast<Awaited&&>(request.awaited), request.scheduler);
  }
};

}  // namespace agen

template <agen::detail::may_stay Coroutine, class Scheduler, class... Args>
struct std::coroutine_traits<Coroutine, agen::stay_on<Scheduler>, Args...> {
  using promise_type =
      agen::detail::staying_promise<typename std::coroutine_traits<Coroutine, Args...>::promise_type, Scheduler>;
};
template <agen::detail::may_stay Coroutine, class Object, class Scheduler, class... Args>
struct std::coroutine_traits<Coroutine, Object, agen::stay_on<Scheduler>, Args...> {
  using promise_type =
      agen::detail::staying_promise<typename std::coroutine_traits<Coroutine, Object, Args...>::promise_type,
                                    Scheduler>;
};

#endif  // AGEN_NO_SENDERS
#endif  // AGEN_EXECUTION_HPP
