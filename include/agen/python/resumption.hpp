// How a C++ body awaits Python. The resumption of the body that Python resumes passes the awaitable to the event loop,
// and the answer back to the coroutine that waits.
#ifndef AGEN_PYTHON_RESUMPTION_HPP
#define AGEN_PYTHON_RESUMPTION_HPP

#include <coroutine>
#include <memory>

#include "../detail/resuming_driver.hpp"
#include "beside.hpp"
#include "engine.hpp"
#include "under_way.hpp"

namespace agen::python {

class visible;

namespace detail {

class awaiting;

/// What one body that Python resumes shares with everything that runs inside it: tasks and inner generators. Each body
/// that Python sees has one, as long as it lives.
class resumption {
 public:
  /// \param drive      drives the body
  /// \param delegates  the body is a generator's, so it can delegate
  resumption(agen::detail::resuming_driver& drive, bool delegates) noexcept : drive_(drive), delegates_(delegates) {}
  resumption(resumption const&) = delete;
  auto operator=(resumption const&) -> resumption& = delete;
  inline ~resumption();

  /// The resumption that runs on this thread now; null outside of all.
  static auto current() noexcept -> resumption* { return under_way::current(); }

  /// A generator that has begun moves from this body to another. From now on the collector sees nothing of this body,
  /// because it would count what the other body owns as owned by this one.
  inline void forget_visible() noexcept;

  /// Its generator gives batches, so its body cannot delegate to Python, whose items would not be in one.
  [[nodiscard]] auto collects() const noexcept -> bool { return collects_; }

  /// Makes the resumption the current one, until leave(). It is not entered again meanwhile.
  AGEN_ALWAYS_INLINE void enter() noexcept { under_way_.begin(); }
  AGEN_ALWAYS_INLINE void leave() noexcept { under_way_.end(); }
  /// The same for a scope.
  class scope {
   public:
    explicit scope(resumption& entered) noexcept : entered_(entered) { entered.enter(); }
    scope(scope const&) = delete;
    auto operator=(scope const&) -> scope& = delete;
    ~scope() { entered_.leave(); }

   private:
    resumption& entered_;
  };
  /// A scope in which none is the current one: what runs there is not driven by Python. Needs the GIL.
  class outside {
   public:
    outside() noexcept {
      if (!under_way::any()) return;
      none_ = std::make_unique<under_way>(nullptr);
      none_->begin();
    }
    outside(outside const&) = delete;
    auto operator=(outside const&) -> outside& = delete;
    ~outside() {
      if (none_) none_->end();
    }

   private:
    std::unique_ptr<under_way> none_;
  };

 protected:
  [[nodiscard]] auto is_waiting() const noexcept -> bool { return waiting_ != nullptr; }
  /// What the body that waits has for the event loop, once.
  inline void take_request(PyObject** out, PyObject** iterator) noexcept;
  /// Gives the coroutine that waits a result or an exception, to be resumed with.
  inline auto wake(PyObject* result, PyObject* exception) -> std::coroutine_handle<>;

  /// The C++ exception to throw for a Python one. It is remembered: if it leaves the body again, Python gets the same
  /// object.
  auto arriving(PyObject* exception) -> std::exception_ptr {
    thrown_ = to_cpp(exception);
    thrown_object_ = object::borrow(exception);
    return thrown_;
  }
  /// Raises in Python what left the body.
  void raise(std::exception_ptr const& exception) noexcept {
    if (beside_ && beside_->interruption() && is_stopped(exception)) [[unlikely]] {
      restore_exception(beside_->interruption());
    } else if (exception == thrown_ && thrown_object_) {
      restore_exception(std::move(thrown_object_));
    } else {
      raise_in_python(exception);
    }
    forget_thrown();
  }
  AGEN_ALWAYS_INLINE void forget_thrown() noexcept {
    if (thrown_) [[unlikely]]
      drop_thrown();
  }

  inline auto traverse_visible(visitproc visit, void* arg) const -> int;

  // For a body whose sources wait beside it (beside.hpp).

  [[nodiscard]] auto has_beside() const noexcept -> bool { return beside_ != nullptr && beside_->any(); }
  /// The body is suspended until one of them has ended; wake_beside() comes next.
  [[nodiscard]] auto waits_beside() const noexcept -> bool { return waiting_ == ringing(); }
  void wait_beside() noexcept { waiting_ = ringing(); }
  /// Begins to wait for that. False: the bell has rung already.
  inline auto begin_bell() -> bool;
  /// What the loop has answered.
  inline void wake_beside(PyObject* exception);
  /// Resumes one of them that has ended. False: there is none.
  inline auto resume_one_beside() -> bool;
  /// All end by an exception, without being awaited.
  inline void abandon_beside(std::exception_ptr const& exception) noexcept;
  auto interruption_at_yield() -> object { return beside_ ? beside_->interruption_at_yield() : object(); }
  void calm_beside() {
    if (beside_) [[unlikely]]
      beside_->calm();
  }
  /// It waits, and was left: its source was only referred to, and is no source any more. It gets an error. False: now
  /// it waits for something else, and is never resumed.
  inline auto refuse_left_behind() noexcept -> bool;
  static auto left_behind() noexcept -> std::exception_ptr {
    return std::make_exception_ptr(
        error(PyExc_RuntimeError,
              "a source that its stream only refers to waited for Python when the body went on: give it to the stream "
              "by std::move()"));
  }

  // For a body that collects items: what it awaits waits until they are given.

  /// A scope in which a Python awaitable that the body awaits is not begun: the body is suspended there.
  class holding_back {
   public:
    explicit holding_back(resumption& held) noexcept : held_(held) { held_.waiting_ = held_.holding(); }
    holding_back(holding_back const&) = delete;
    auto operator=(holding_back const&) -> holding_back& = delete;
    ~holding_back() {
      if (held_.waiting_ == held_.holding()) held_.waiting_ = nullptr;
    }

   private:
    resumption& held_;
  };
  /// The body is suspended at an awaitable that was not begun.
  [[nodiscard]] auto holds_await() const noexcept -> bool { return held_; }
  /// Begins that; gives the coroutine that waits, to be resumed, or null if it waits for the event loop now.
  inline auto begin_held() -> std::coroutine_handle<>;
  /// It will never be begun.
  inline void drop_held() noexcept;
  void begin_collecting() noexcept { collects_ = true; }

 private:
  friend awaiting;
  friend visible;

  static auto is_stopped(std::exception_ptr const& exception) noexcept -> bool try {
    std::rethrow_exception(exception);
  } catch (stopped const&) {
    return true;
  } catch (...) {
    return false;
  }
  AGEN_NOINLINE void drop_thrown() noexcept {
    thrown_ = nullptr;
    thrown_object_ = object();
  }

  /// Stands in waiting_ for no awaiting, so that those who hold nothing back are not asked.
  auto holding() noexcept -> awaiting* { return reinterpret_cast<awaiting*>(this); }
  /// For an awaiting that finds another one in its place: true if it is to wait without having begun.
  auto holds_back(awaiting& one) noexcept -> bool {
    if (waiting_ != holding()) return false;
    waiting_ = &one;
    return held_ = true;
  }

  /// The same for a body that waits for what is beside.
  [[nodiscard]] auto ringing() const noexcept -> awaiting* {
    return reinterpret_cast<awaiting*>(const_cast<visible**>(&visible_));
  }
  auto beside_waits() -> beside& {
    if (!beside_) beside_ = std::make_unique<beside>();
    return *beside_;
  }

  under_way under_way_{this};  // first: it then has the body's address, which an item's path holds anyway
  awaiting* waiting_ = nullptr;
  visible* visible_ = nullptr;
  agen::detail::resuming_driver& drive_;
  bool delegates_;
  bool collects_ = false;
  bool held_ = false;
  bool bell_awaited_ = false;
  std::exception_ptr thrown_;
  object thrown_object_;
  std::unique_ptr<beside> beside_;
  object bell_request_;   ///< while the body waits for what is beside: for the event loop
  object bell_iterator_;  ///< the same, for the engine
};

/// The awaiter of a Python awaitable.
class [[nodiscard("a Python awaitable does nothing until it is awaited")]] awaiting {
 public:
  explicit awaiting(object awaitable) noexcept : awaitable_(std::move(awaitable)) {}
  /// May be moved until it is awaited.
  awaiting(awaiting&& other) noexcept : awaitable_(std::move(other.awaitable_)) {}
  auto operator=(awaiting&&) -> awaiting& = delete;
  ~awaiting() {
    if (resumption_ != nullptr && resumption_->waiting_ == this) resumption_->waiting_ = nullptr;
  }

  /// See agen::detail::asks_place: a source of a stream waits beside others.
  void await_in(agen::detail::cancellation_scope* scope, bool beside) { await_in(scope, beside, nullptr); }

  /// The first step is done here, so that an awaitable which answers at once costs no suspension.
  AGEN_OUT_OF_LINE auto await_ready() -> bool {
    resumption* const now = resumption::current();
    if (now == nullptr) {
      throw error(PyExc_RuntimeError,
                  "a Python awaitable was awaited in C++ where no Python event loop drives the coroutine: return the "
                  "async_generator or task to Python, and await it there");
    }
    if (beside_) [[unlikely]] {
      now->beside_waits().begin(*beside_, std::move(awaitable_));
      return false;
    }
    if (now->waiting_ != nullptr) {
      if (now->holds_back(*this)) {
        resumption_ = now;
        return false;
      }
      throw error(
          PyExc_RuntimeError,
          "a C++ body awaits one Python awaitable at a time, but for the sources of agen::streams that were given "
          "as rvalues; gather several in Python and await that");
    }
    auto const result = begin(now->delegates_);
    if (result == PYGEN_RETURN) return true;
    if (result == PYGEN_ERROR) std::rethrow_exception(now->arriving(take_exception().get()));
    resumption_ = now;
    now->waiting_ = this;
    return false;
  }
  /// See agen::detail::foreign_awaiter.
  auto is_resumed_by_owner(agen::detail::frame& body) const noexcept -> bool {
    return !beside_ && resumption_->drive_.takes_over(body);
  }
  void await_suspend(std::coroutine_handle<> body) noexcept {
    if (beside_) [[unlikely]]
      beside_->suspend(body);
    body_ = body;
  }
  auto await_resume() -> object {
    if (beside_) [[unlikely]]
      return beside_->result();
    if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
    return std::move(object_);
  }

 protected:
  void await_in(agen::detail::cancellation_scope* scope, bool beside, beside_lane* lane) {
    if (scope != nullptr || beside) [[unlikely]]
      beside_ = std::make_unique<beside_wait>(scope, lane);
  }

 private:
  friend resumption;

  /// abi::engine::begin_await; a coroutine, which is its own iterator, is sent to from here.
  AGEN_ALWAYS_INLINE auto begin(bool delegates) -> PySendResult {
    PyObject* const awaitable = awaitable_.get();
    if (!is_coroutine(awaitable)) [[unlikely]]
      return or_stay(engine().begin_await, awaitable_.release(), delegates ? 1 : 0, object_.out(), awaitable_.out());
    auto const result = or_stay(send_none, awaitable, object_.out());
    if (result != PYGEN_NEXT) awaitable_ = object();
    return result;
  }

  void close() noexcept {
    without_exception const aside;
    PyObject* const awaitable = awaitable_.get();  // a coroutine that is dropped without this warns
    if (or_stay(PyObject_HasAttrString, awaitable, "close") != 0) {
      if (!object::steal(or_stay(PyObject_CallMethod, awaitable, "close", nullptr)))
        or_stay(PyErr_WriteUnraisable, awaitable);
    }
    awaitable_ = object();
  }

  object awaitable_;  ///< then its iterator, for the engine
  object object_;     ///< for the event loop, then the result
  std::coroutine_handle<> body_;
  resumption* resumption_ = nullptr;
  std::exception_ptr thrown_;
  std::unique_ptr<beside_wait> beside_;
};

/// The same for what a source awaits one after the other, in a lane.
class [[nodiscard("a Python awaitable does nothing until it is awaited")]] awaiting_in_lane : public awaiting {
 public:
  awaiting_in_lane(object awaitable, beside_lane& lane) noexcept : awaiting(std::move(awaitable)), lane_(&lane) {}
  void await_in(agen::detail::cancellation_scope* scope, bool beside) { awaiting::await_in(scope, beside, lane_); }

 private:
  beside_lane* lane_;
};

inline void resumption::take_request(PyObject** out, PyObject** iterator) noexcept {
  if (waits_beside()) [[unlikely]] {
    *out = bell_request_.release();
    *iterator = bell_iterator_.release();
    return;
  }
  *out = waiting_->object_.release();
  *iterator = waiting_->awaitable_.release();
}

inline auto resumption::wake(PyObject* result, PyObject* exception) -> std::coroutine_handle<> {
  awaiting& woken = *std::exchange(waiting_, nullptr);
  woken.resumption_ = nullptr;
  if (exception != nullptr) {
    woken.thrown_ = arriving(exception);
  } else {
    woken.object_ = object::borrow(result);
  }
  return woken.body_;
}

inline auto resumption::begin_held() -> std::coroutine_handle<> {
  held_ = false;
  awaiting& one = *waiting_;
  auto const result = one.begin(delegates_);
  if (result == PYGEN_NEXT) return nullptr;
  waiting_ = nullptr;
  one.resumption_ = nullptr;
  if (result == PYGEN_ERROR) one.thrown_ = arriving(take_exception().get());
  return one.body_;
}

inline void resumption::drop_held() noexcept {
  held_ = false;
  waiting_->close();
}

inline auto resumption::begin_bell() -> bool {
  auto const begun =
      or_stay(engine().begin_await, beside_->bell().release(), 0, bell_request_.out(), bell_iterator_.out());
  if (begun == PYGEN_ERROR) throw error::current();
  if (begun == PYGEN_RETURN) {
    bell_request_ = object();
    return false;
  }
  wait_beside();
  return bell_awaited_ = true;
}

inline void resumption::wake_beside(PyObject* exception) {
  bool const awaited = std::exchange(bell_awaited_, false);
  waiting_ = nullptr;
  if (exception == nullptr) return;
  if (awaited && PyErr_GivenExceptionMatches(exception, PyExc_GeneratorExit) != 0) {  // who closes it cannot await
    beside_->abandon();
    abandon_beside(arriving(exception));
  } else {
    beside_->interrupt(exception);
  }
}

inline auto resumption::resume_one_beside() -> bool {
  return beside_->resume_one([this](PyObject* raised) { return arriving(raised); });
}

inline void resumption::abandon_beside(std::exception_ptr const& exception) noexcept {
  while (has_beside()) beside_->abandon_one(exception);
}

inline auto resumption::refuse_left_behind() noexcept -> bool {
  held_ = false;
  awaiting& left = *std::exchange(waiting_, nullptr);
  left.resumption_ = nullptr;
  left.thrown_ = left_behind();
  left.body_.resume();
  if (waiting_ == nullptr) return true;
  held_ = false;
  std::exchange(waiting_, nullptr)->resumption_ = nullptr;
  return false;
}

}  // namespace detail

/// `co_await agen::python::awaitable(obj)` in a body that Python drives awaits what `await obj` would, through the
/// event loop that drives the body, and gives the result.
///
/// Throws agen::python::error with what the awaitable raises; TypeError if `obj` is no awaitable. Cancellation of the
/// awaiting task arrives here, as error or as generator_exit. Inside tasks and generators that the body itself awaits
/// it works the same; elsewhere it throws RuntimeError. A body may await one Python awaitable at a time. Needs the GIL.
inline auto awaitable(object awaited) noexcept -> detail::awaiting { return detail::awaiting(std::move(awaited)); }

/// `co_await agen::python::yield_from(obj)` in the body of a generator delegates to any Python async iterable, as
/// `await yield_from_(obj)` does (PEP 828): its items go to the consumer as they are, without being converted and
/// without passing this body. Gives the return value. Throws TypeError if `obj` is no async iterable, and RuntimeError
/// in a body that gives its items in batches.
inline auto yield_from(object const& iterable) -> detail::awaiting {
  auto const* const now = detail::resumption::current();
  if (now != nullptr && now->collects()) {
    throw error(PyExc_RuntimeError, "yield_from() of a Python object in a generator whose items are given in batches");
  }
  return detail::awaiting(detail::called(engine().make_delegation, iterable.get()));
}

/// An owned reference that the cyclic garbage collector sees, in a local variable of a body that Python drives: keep a
/// Python object in one if it may refer back to the generator. (An ordinary object would keep such a cycle alive for
/// ever.)
///
///     auto notify(agen::python::object callback) -> agen::async_generator<int> {
///       agen::python::visible const kept(std::move(callback));
///       for (int i = 0;; ++i) co_yield i;
///     }
class visible {
 public:
  /// Made in the body, after it has begun.
  explicit visible(object kept) noexcept : kept_(std::move(kept)), resumption_(detail::resumption::current()) {
    if (resumption_ == nullptr) return;
    next_ = std::exchange(resumption_->visible_, this);
    if (next_ != nullptr) next_->previous_ = this;
  }
  visible(visible const&) = delete;
  auto operator=(visible const&) -> visible& = delete;
  ~visible() {
    if (next_ != nullptr) next_->previous_ = previous_;
    if (previous_ != nullptr) {
      previous_->next_ = next_;
    } else if (resumption_ != nullptr) {
      resumption_->visible_ = next_;
    }
  }

  /// The object.
  [[nodiscard]] auto get() const noexcept -> object const& { return kept_; }
  /// Whether the collector sees it by the body that runs now.
  [[nodiscard]] auto is_current() const noexcept -> bool { return resumption_ == detail::resumption::current(); }

 private:
  friend detail::resumption;

  object kept_;
  detail::resumption* resumption_;
  visible* next_ = nullptr;
  visible* previous_ = nullptr;
};

/// A generator that was taken out of its Python object outlives the resumption. What refers to it there forgets it.
inline detail::resumption::~resumption() {
  if (waiting_ != nullptr && !waits_beside()) waiting_->resumption_ = nullptr;
  forget_visible();
  if (!has_beside()) return;
  without_exception const aside;
  outside const nowhere;
  abandon_beside(std::make_exception_ptr(
      error(PyExc_RuntimeError, "a C++ generator was taken out of its Python object while a source of it waited")));
}

inline void detail::resumption::forget_visible() noexcept {
  for (visible* i = std::exchange(visible_, nullptr); i != nullptr; i = i->next_) i->resumption_ = nullptr;
}

inline auto detail::resumption::traverse_visible(visitproc visit, void* arg) const -> int {
  for (visible const* i = visible_; i != nullptr; i = i->next_) Py_VISIT(i->kept_.get());
  if (beside_) {
    Py_VISIT(beside_->python());
    Py_VISIT(beside_->interruption().get());
  }
  return 0;
}

}  // namespace agen::python

#endif  // AGEN_PYTHON_RESUMPTION_HPP
