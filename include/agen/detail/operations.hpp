// The awaitables of the four operations: they ask the lifecycle what is legal, drive the body, and read its answer.
#ifndef AGEN_DETAIL_OPERATIONS_HPP
#define AGEN_DETAIL_OPERATIONS_HPP

#include "../errors.hpp"
#include "../item.hpp"
#include "await.hpp"
#include "drop.hpp"
#include "frame.hpp"
#include "hooks.hpp"
#include "sender_hooks.hpp"

namespace agen::detail {

[[noreturn]] AGEN_NOINLINE inline void raise_running(operation op) {
  switch (op) {
    case operation::anext: AGEN_THROW(already_running("anext(): asynchronous generator is already running"));
    case operation::asend: AGEN_THROW(already_running("asend(): asynchronous generator is already running"));
    case operation::athrow: AGEN_THROW(already_running("athrow(): asynchronous generator is already running"));
    case operation::aclose: break;
  }
  AGEN_THROW(already_running("aclose(): asynchronous generator is already running"));
}

inline auto state_of(control const& c) noexcept -> state {
  if (c.now == phase::unclaimed) return state::suspended;
  return c.now == phase::elsewhere ? state::running : static_cast<state>(c.now);
}

// Below, anext and asend test `now == suspended` before they ask the lifecycle: admit() answers `resume` to both of
// them there, whatever else is the case, and to anext in `created`. Three tests in tests/cpp/lifecycle_test.cpp hold
// that: Lifecycle.ASuspendedGeneratorIsResumedByEverything, Lifecycle.AfterAnIgnoredExitOnlyIterationGoesOn, and
// Lifecycle.AGeneratorThatHasNotBegunTakesNoValueAndRunsForNoException.

/// What the lifecycle answers to an operation. Everything but a plain resumption or a plain end is done here already.
AGEN_NOINLINE inline auto admitted(operation op, frame& f, bool carries_value) -> admission {
  control& c = f.own;
  if (!c.hooked && c.now == phase::created) ask_hooks(f);
  admission const answer = admit(op, state_of(c), carries_value, (c.closing & control::exit_ignored) != 0);
  switch (answer) {
    case admission::already_running: raise_running(op);
    case admission::just_started:
      AGEN_THROW(just_started("can't send a value into an async generator that has not begun: await anext() first"));
    case admission::close_unstarted:
    case admission::throw_unstarted:
      c.now = phase::closed;
      c.handed.end();
      c.finalizer.reset();
      break;
    case admission::end:
    case admission::nothing:
      if (c.handed.item() != nullptr) c.handed.end();  // never writes to no_generator, which all threads share
      break;
    case admission::resume: break;
  }
  return answer;
}

/// The slow path of await_ready of anext and asend: true if the answer is there already.
AGEN_OUT_OF_LINE inline auto iteration_is_ready(operation op, frame& f, bool carries_value) -> bool {
  if (f.own.now == phase::created && !carries_value && !has_hooks) {
    f.own.hooked = true;
    return false;
  }
  if (admitted(op, f, carries_value) != admission::resume) return true;
  if (f.own.now != phase::unclaimed) return false;
  f.own.now = phase::suspended;
  return op == operation::anext;  // the item is there: an earlier consumer was destroyed before it could take it
}

/// Whether anext() can resume a suspended generator: whether co_yield has a value to give back when nothing was sent.
template <class Send>
inline constexpr bool sends_nothing = std::is_void_v<Send> || std::is_default_constructible_v<Send>;

[[noreturn]] AGEN_NOINLINE inline void raise_nothing_sent() {
  AGEN_THROW(nothing_sent("anext() has nothing to send: the Send type has no default value, use asend(value)"));
}

/// Raises the exception that left the body, if there is one. For operations that end without an item. Inlined into the
/// consumer: a function in between would have to release its exception_ptr, and such a stop on the way to the handler
/// costs a third of a throw.
AGEN_ALWAYS_INLINE void raise_outcome(control& c) {
  if (c.has_raised) std::rethrow_exception(c.take());
}

/// Called where the body is resumed with an exception. Raises it if it is no plain exit; that, which closes almost
/// every generator, it makes for throw_made(). Not inlined: that would cost each item a tenth.
AGEN_NOINLINE inline auto exit_or_rethrow(frame& body) -> void* {
  body.own.throwing = false;
  std::exception_ptr const& error = body.of->handed.thrown();
  if (error == nullptr) return make_thrown<generator_exit>();
  std::rethrow_exception(error);
}
/// The same, thrown from the body: at its yield, or at its yield_from.
[[noreturn]] AGEN_ALWAYS_INLINE void rethrow_thrown(frame& body) { throw_made<generator_exit>(exit_or_rethrow(body)); }

/// The rest of drive() for an operation that is awaited in the body of another generator: until settle() nobody resumes
/// that body, so it is marked only now, and not at all for an item that comes at once.
AGEN_OUT_OF_LINE inline auto drive_on_in(frame& body, control& c, pending& operation,
                                         std::coroutine_handle<> consumer) noexcept -> bool {
  if (load(operation.at) != foreign && !run_passed(c, operation)) return false;
  leave_mark mark(body);
  if (settle(operation, consumer)) return true;
  mark.take_back();
  return false;
}
template <class Promise>
AGEN_ALWAYS_INLINE auto drive_in(frame& body, control& c, pending& operation,
                                 std::coroutine_handle<Promise> const& consumer) noexcept -> bool {
  resume_leaf(c, operation);
  if (has_arrived(operation)) [[likely]]
    return false;
  return drive_on_in(body, c, operation, consumer);
}

/// The base of every operation's awaitable. It may be moved until it is awaited; from then on the body knows its
/// address.
template <class Pending = pending>
class operation_base : protected Pending {
 public:
  explicit operation_base(frame& f) noexcept : frame_(&f) {}
  operation_base(operation_base&& other) noexcept = default;
  auto operator=(operation_base&&) -> operation_base& = delete;
  ~operation_base() {
    if (this->at == waiting) [[unlikely]]
      forget_consumer(frame_->own);
  }

  /// For partners: what the body awaits through the partner finds `to`, also inside tasks and generators that the body
  /// awaits.
  void propagate_cancellation(cancellation_scope* to) noexcept {
    this->cancellable = true;
    this->cancellation = to;
  }
  /// The same for the partner that awaits this operation: `to` is called, too, when the generator is destroyed
  /// meanwhile. It must live as long as the operation.
  void observe(cancellation_scope* to) noexcept {
    propagate_cancellation(to);
    this->observed = true;
  }

 protected:
  template <class Yield, class Return>
  AGEN_ALWAYS_INLINE auto answer() -> item<Yield, Return> {
    this->at = arrived;  // it is so already; told so, the compiler drops the destructor's test
    void* const at_item = frame_->own.handed.item();
    if (at_item == nullptr) [[unlikely]]
      raise_outcome(frame_->own);
    return item<Yield, Return>(at_item, *frame_);
  }

  frame* frame_;
};

template <class Yield, class Send, class Return>
class [[nodiscard("an operation does nothing until it is awaited")]] anext_awaitable
    : public operation_base<>,
      public sender_hooks<anext_awaitable<Yield, Send, Return>> {
 public:
  using operation_base::operation_base;

  auto await_ready() -> bool {
    if (frame_->own.now == phase::suspended) [[likely]] {
      if constexpr (!sends_nothing<Send>) raise_nothing_sent();
      return false;
    }
    return iteration_is_ready(operation::anext, *frame_, false);
  }
  template <class Promise>
  AGEN_AWAIT_SUSPEND auto await_suspend(std::coroutine_handle<Promise> const& h) noexcept -> bool {
    if constexpr (!std::is_void_v<Send>) frame_->own.handed.send_nothing();
    return drive(frame_->own, *this, h);
  }
  template <class Promise>
  AGEN_ALWAYS_INLINE auto await_suspend_in(frame& body, std::coroutine_handle<Promise> const& h) noexcept -> bool {
    if constexpr (!std::is_void_v<Send>) frame_->own.handed.send_nothing();
    return drive_in(body, frame_->own, *this, h);
  }
  auto await_resume() -> item<Yield, Return> { return this->template answer<Yield, Return>(); }

  /// \internal For coroutines that take an operation as a callable of a completion token: see asio.hpp.
  template <class Token>
    requires requires(anext_awaitable& self, Token&& token) {
      start_with(std::move(self), static_cast<Token&&>(token));
    }
  auto operator()(Token&& token) {
    return start_with(std::move(*this), static_cast<Token&&>(token));
  }

  /// \internal For `while (auto item = gen.anext())`, which lacks a co_await.
  template <class Answer>
    requires std::is_same_v<Answer, bool>
  explicit operator Answer() const {
    static_assert(!std::is_same_v<Answer, bool>, "an operation is awaited for its answer: write co_await gen.anext()");
    return false;
  }
  template <class Answer = whatever>
  auto operator*() const -> Answer;
};

/// anext, whose answer holds an exception that it would otherwise throw.
template <class Yield, class Send, class Return>
class [[nodiscard("an operation does nothing until it is awaited")]] try_anext_awaitable
    : public anext_awaitable<Yield, Send, Return>,
      public sender_hooks<try_anext_awaitable<Yield, Send, Return>> {
 public:
  using anext_awaitable<Yield, Send, Return>::anext_awaitable;
  using sender_hooks<try_anext_awaitable>::connect;
  using sender_hooks<try_anext_awaitable>::as_awaitable;

  auto await_resume() -> attempt<Yield, Return> {
    this->at = arrived;
    control& c = this->frame_->own;
    void* const at_item = c.handed.item();
    std::exception_ptr error;
    if (at_item == nullptr && c.has_raised) error = c.take();
    return attempt<Yield, Return>(at_item, *this->frame_, std::move(error));
  }

  /// \internal For coroutines that take an operation as a callable of a completion token: see asio.hpp.
  template <class Token>
    requires requires(try_anext_awaitable& self, Token&& token) {
      start_with(std::move(self), static_cast<Token&&>(token));
    }
  auto operator()(Token&& token) {
    return start_with(std::move(*this), static_cast<Token&&>(token));
  }
};

template <class Yield, class Send, class Return>
class asend_awaitable;
/// Send is void, so there is no asend(). The type exists so that a wrong asend() gives one error, not several.
template <class Yield, class Return>
class asend_awaitable<Yield, void, Return> {};
template <class Yield, class Send, class Return>
class [[nodiscard("an operation does nothing until it is awaited")]] asend_awaitable
    : public operation_base<>,
      public sender_hooks<asend_awaitable<Yield, Send, Return>> {
 public:
  template <class Value>
  asend_awaitable(frame& f, Value&& value) : operation_base(f), value_(static_cast<Value&&>(value)) {}

  auto await_ready() -> bool {
    if (frame_->own.now == phase::suspended) [[likely]]
      return false;
    return iteration_is_ready(operation::asend, *frame_, true);
  }
  template <class Promise>
  AGEN_AWAIT_SUSPEND auto await_suspend(std::coroutine_handle<Promise> const& h) noexcept -> bool {
    frame_->own.handed.send(const_cast<void*>(static_cast<void const*>(detail::address_of(value_))));
    return drive(frame_->own, *this, h);
  }
  template <class Promise>
  AGEN_ALWAYS_INLINE auto await_suspend_in(frame& body, std::coroutine_handle<Promise> const& h) noexcept -> bool {
    frame_->own.handed.send(const_cast<void*>(static_cast<void const*>(detail::address_of(value_))));
    return drive_in(body, frame_->own, *this, h);
  }
  auto await_resume() -> item<Yield, Return> { return this->template answer<Yield, Return>(); }

  /// \internal For coroutines that take an operation as a callable of a completion token: see asio.hpp.
  template <class Token>
    requires requires(asend_awaitable& self, Token&& token) {
      start_with(std::move(self), static_cast<Token&&>(token));
    }
  auto operator()(Token&& token) {
    return start_with(std::move(*this), static_cast<Token&&>(token));
  }

  /// \internal For `while (auto item = gen.anext())`, which lacks a co_await.
  template <class Answer>
    requires std::is_same_v<Answer, bool>
  explicit operator Answer() const {
    static_assert(!std::is_same_v<Answer, bool>, "an operation is awaited for its answer: write co_await gen.anext()");
    return false;
  }
  template <class Answer = whatever>
  auto operator*() const -> Answer;

 private:
  Send value_;
};

/// await_ready of athrow: true if the answer is there already.
AGEN_NOINLINE inline auto throw_is_ready(frame& f, std::exception_ptr const& error) -> bool {
  if (error == nullptr) AGEN_THROW(nothing_thrown("athrow(): the exception_ptr is null"));
  admission const answer = admitted(operation::athrow, f, true);
  if (answer == admission::throw_unstarted) std::rethrow_exception(error);
  return answer != admission::resume;
}

/// The common part of athrow and aclose, which resume the body with an exception. In a chain of delegation an exit
/// climbs level by level, from the leaf to the root (PEP 380; PEP 828, "raise ge").
class throwing_operation : public operation_base<exit_pending> {
 public:
  AGEN_AWAIT_SUSPEND auto await_suspend(std::coroutine_handle<> h) noexcept -> bool {
    control& c = frame_->own;
    this->loop = nullptr;
    store(this->at, foreign);
    frame& leaf = c.leaf.promise();
    c.exiting = this->closes_root || (&leaf != frame_ && is_exit(this->exit));
    this->target = &leaf;
    bool const below = c.exiting && &leaf != frame_;
    c.handed.throw_in(below ? &fresh_exit_ : &this->exit);
    leaf.own.throwing = !this->climbed;
    c.link = this;
    c.now = phase::elsewhere;
    transfer(c);
    return settle(*this, h);
  }

 protected:
  throwing_operation(frame& f, std::exception_ptr error, bool close) noexcept : operation_base(f) {
    this->exit = std::move(error);
    this->closes_root = close;
  }
  void finished() noexcept {
    if (frame_->own.exiting) frame_->own.exiting = false;  // never writes to no_generator
  }

 private:
  std::exception_ptr fresh_exit_;  ///< always null
};

template <class Yield, class Return>
class [[nodiscard("an operation does nothing until it is awaited")]] athrow_awaitable
    : public throwing_operation,
      public sender_hooks<athrow_awaitable<Yield, Return>> {
 public:
  athrow_awaitable(frame& f, std::exception_ptr error) noexcept : throwing_operation(f, std::move(error), false) {}

  auto await_ready() -> bool { return throw_is_ready(*frame_, this->exit); }
  auto await_resume() -> item<Yield, Return> {
    finished();
    return this->template answer<Yield, Return>();
  }

  /// \internal For coroutines that take an operation as a callable of a completion token: see asio.hpp.
  template <class Token>
    requires requires(athrow_awaitable& self, Token&& token) {
      start_with(std::move(self), static_cast<Token&&>(token));
    }
  auto operator()(Token&& token) {
    return start_with(std::move(*this), static_cast<Token&&>(token));
  }
};

class [[nodiscard("an operation does nothing until it is awaited")]] aclose_awaitable
    : public throwing_operation,
      public sender_hooks<aclose_awaitable> {
 public:
  explicit aclose_awaitable(frame& f) noexcept : throwing_operation(f, nullptr, true) {}

  auto await_ready() -> bool {
    resumes_ = admitted(operation::aclose, *frame_, false) == admission::resume && destroy_leaves(*frame_, *this);
#if !AGEN_HAS_EXCEPTIONS
    if (std::exchange(resumes_, false)) end_at_yield(*frame_);
#endif
    return !resumes_;
  }
  void await_resume() {
    finished();
    control& c = frame_->own;
    bool const yielded = c.now == phase::suspended && resumes_;
    bool const raised = c.now == phase::closed && c.has_raised;
    step const answer = yielded ? step::yielded : raised ? step::raised : step::returned;
    if (raised && !resumes_) raise_outcome(c);
    std::exception_ptr error = raised ? c.take() : nullptr;
    switch (after_exit(answer, raised && is_exit(error))) {
      case close_outcome::ignored_exit:
        c.closing |= control::exit_ignored;
        AGEN_THROW(ignored_generator_exit("async generator ignored generator_exit: it yielded while it was closed"));
      case close_outcome::raises: std::rethrow_exception(std::move(error));
      case close_outcome::done:
      case close_outcome::pending: return;
    }
  }

  /// \internal For coroutines that take an operation as a callable of a completion token: see asio.hpp.
  template <class Token>
    requires requires(aclose_awaitable& self, Token&& token) {
      start_with(std::move(self), static_cast<Token&&>(token));
    }
  auto operator()(Token&& token) {
    return start_with(std::move(*this), static_cast<Token&&>(token));
  }

 private:
  bool resumes_ = false;
};

}  // namespace agen::detail

#endif  // AGEN_DETAIL_OPERATIONS_HPP
