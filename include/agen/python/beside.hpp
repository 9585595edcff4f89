// What a body that Python drives waits for beside its own await: the sources of its streams (streams.hpp), which wait
// at the same time. The body itself then awaits a bell, and is resumed when one of them has ended. What Python knows of
// it is async_generator._beside.
#ifndef AGEN_PYTHON_BESIDE_HPP
#define AGEN_PYTHON_BESIDE_HPP

#include <coroutine>

#include "../errors.hpp"
#include "../stop.hpp"
#include "engine.hpp"

namespace agen::python::detail {

class beside;

/// Where a source awaits one thing after the other: in one task of the event loop, which is made when it is needed.
class beside_lane {
 public:
  beside_lane() noexcept = default;
  beside_lane(beside_lane const&) = delete;
  auto operator=(beside_lane const&) -> beside_lane& = delete;
  ~beside_lane() {
    if (!lane_) return;
    without_exception const aside;
    if (!object::steal(or_stay(PyObject_CallMethod, lane_.get(), "close", nullptr)))
      or_stay(PyErr_WriteUnraisable, lane_.get());
  }

 private:
  friend beside;
  object lane_;
};

/// One Python awaitable that a source awaits. A request to stop cancels it in Python, and arrives when it has ended.
class beside_wait : agen::detail::stop_listener {
 public:
  /// \param scope  whose requests to stop it hears; null for none
  /// \param lane   null: a task of its own
  beside_wait(agen::detail::cancellation_scope* scope, beside_lane* lane) noexcept
      : stop_listener(&stop), scope_(scope), lane_(lane) {}
  beside_wait(beside_wait const&) = delete;
  auto operator=(beside_wait const&) -> beside_wait& = delete;
  ~beside_wait() {
    if (of_ != nullptr) drop();
  }

  void suspend(std::coroutine_handle<> body) noexcept { body_ = body; }
  auto result() -> object {
    if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
    return std::move(result_);
  }

 private:
  friend beside;

  static inline void stop(stop_listener& self, unsigned kind) noexcept;
  inline void drop() noexcept;
  inline void leave() noexcept;

  std::coroutine_handle<> body_;
  agen::detail::cancellation_scope* scope_;
  beside_lane* lane_;
  beside* of_ = nullptr;  ///< while it waits
  long long number_ = 0;
  void const* thread_ = nullptr;
  beside_wait* next_ = nullptr;
  beside_wait* previous_ = nullptr;
  object result_;
  std::exception_ptr thrown_;
};

/// All that one body waits for beside its own await.
class beside {
 public:
  /// Throws error with RuntimeError where no event loop runs that can do this.
  beside() : python_(called(PyObject_CallNoArgs, bridge_attribute("_Beside").get())) {}
  beside(beside const&) = delete;
  auto operator=(beside const&) -> beside& = delete;
  ~beside() = default;

  /// Throws stopped if that was requested already.
  void begin(beside_wait& one, object awaitable) {
    if (abandoned_) {
      close(awaitable);
      throw error(PyExc_RuntimeError, "a C++ body that is being dropped cannot await Python");
    }
    if (one.scope_ != nullptr && one.scope_->must_stop()) {
      one.scope_->deliver();
      close(awaitable);
      throw stopped("stopped before a Python awaitable was awaited");
    }
    auto const number = called(PyObject_CallMethod, python_.get(), "begin", "OO", awaitable.get(), lane(one));
    one.number_ = PyLong_AsLongLong(number.get());
    one.of_ = this;
    one.thread_ = agen::detail::this_thread();
    one.next_ = std::exchange(first_, &one);
    if (one.next_ != nullptr) one.next_->previous_ = &one;
    if (one.scope_ != nullptr && !one.scope_->add(one)) beside_wait::stop(one, 0);
  }
  [[nodiscard]] auto any() const noexcept -> bool { return first_ != nullptr; }
  [[nodiscard]] auto python() const noexcept -> PyObject* { return python_.get(); }

  /// Resumes one whose awaitable has ended. False: there is none. `arriving(object)` makes the C++ exception.
  template <class Arriving>
  auto resume_one(Arriving arriving) -> bool {
    for (;;) {
      auto const ended = called(PyObject_CallMethod, python_.get(), "take", nullptr);
      if (ended.get() == Py_None) return false;
      beside_wait* const one = find(PyLong_AsLongLong(tuple_item(ended.get(), 0)));
      if (one == nullptr) continue;
      one->leave();
      bool const cancelled = tuple_item(ended.get(), 1) == Py_True;
      PyObject* const raised = tuple_item(ended.get(), 2);
      if (cancelled && one->scope_ != nullptr) one->scope_->deliver();  // what it awaits as cleanup can wait
      if (cancelled) {
        resume_stopped(*one);
      } else if (raised != Py_None) {
        resume(*one, arriving(raised));
      } else {
        one->result_ = object::borrow(tuple_item(ended.get(), 3));
        resume(*one, nullptr);
      }
      return true;
    }
  }
  /// Resumes one with an exception, whatever its awaitable does; that is cancelled.
  void abandon_one(std::exception_ptr const& exception) {
    beside_wait& one = *first_;
    one.drop();
    resume(one, exception);
  }
  /// From now on nothing more is awaited.
  void abandon() noexcept { abandoned_ = true; }

  /// What the body awaits, to be resumed when one has ended.
  auto bell() -> object { return called(PyObject_CallMethod, python_.get(), "wait", nullptr); }
  /// The body's own await has raised this: all are stopped.
  void interrupt(PyObject* exception) {
    interruption_ = object::borrow(exception);
    at_yield_ = false;
    called(PyObject_CallMethod, python_.get(), "interrupt", nullptr);
  }
  /// What `stopped` means where it leaves the body: null, or what all were stopped by.
  [[nodiscard]] auto interruption() const noexcept -> object const& { return interruption_; }
  /// The same, once: to be thrown where the body yields all the same, as it would be lost behind an item.
  auto interruption_at_yield() -> object { return std::exchange(at_yield_, true) ? object() : interruption_; }
  /// The body has answered.
  void calm() {
    if (!interruption_) return;
    interruption_ = object();
    called(PyObject_CallMethod, python_.get(), "calm", nullptr);
  }

 private:
  friend beside_wait;

  auto lane(beside_wait const& of) -> PyObject* {
    if (of.lane_ == nullptr) return Py_None;
    if (!of.lane_->lane_) of.lane_->lane_ = called(PyObject_CallMethod, python_.get(), "make_lane", nullptr);
    return of.lane_->lane_.get();
  }
  [[nodiscard]] auto find(long long number) const noexcept -> beside_wait* {
    beside_wait* one = first_;
    while (one != nullptr && one->number_ != number) one = one->next_;
    return one;
  }
  static void resume(beside_wait& one, std::exception_ptr exception) {
    one.thrown_ = std::move(exception);
    one.body_.resume();
  }
  /// It will not be awaited: a coroutine would warn.
  static void close(object const& awaitable) noexcept {
    without_exception const aside;
    if (or_stay(PyObject_HasAttrString, awaitable.get(), "close") == 0) return;
    if (!object::steal(or_stay(PyObject_CallMethod, awaitable.get(), "close", nullptr)))
      or_stay(PyErr_WriteUnraisable, awaitable.get());
  }
  static void resume_stopped(beside_wait& one) {
    resume(one, std::make_exception_ptr(stopped("stopped while a Python awaitable was awaited")));
  }
  void call(char const* method, long long number) const noexcept {
    without_exception const aside;
    if (!object::steal(or_stay(PyObject_CallMethod, python_.get(), method, "L", number)))
      or_stay(PyErr_WriteUnraisable, python_.get());
  }

  object python_;
  object interruption_;  ///< until all have heard of it
  beside_wait* first_ = nullptr;
  bool abandoned_ = false;
  bool at_yield_ = true;
};

inline void beside_wait::stop(stop_listener& self, unsigned /*kind*/) noexcept {
  auto& one = static_cast<beside_wait&>(self);
  if (!one.scope_->must_stop()) return;
  holding_gil const gil;
  one.of_->call(one.thread_ == agen::detail::this_thread() ? "cancel" : "cancel_from_thread", one.number_);
}

/// Its awaitable has not ended, and is cancelled.
inline void beside_wait::drop() noexcept {
  beside const& of = *of_;
  leave();
  of.call("drop", number_);
}

/// It waits no longer.
inline void beside_wait::leave() noexcept {
  // Without the GIL, which a request on another thread may be waiting for.
  if (scope_ != nullptr) without_gil([this] { scope_->remove(*this); });
  (previous_ != nullptr ? previous_->next_ : of_->first_) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  of_ = nullptr;
}

}  // namespace agen::python::detail

#endif  // AGEN_PYTHON_BESIDE_HPP
