// C++ generators and tasks as Python objects: the body that the engine resumes.
#ifndef AGEN_PYTHON_TO_PYTHON_HPP
#define AGEN_PYTHON_TO_PYTHON_HPP

#include <memory>
#include <optional>

#include "../detail/resuming_driver.hpp"
#include "../task.hpp"
#include "batches.hpp"
#include "conversion.hpp"
#include "resumption.hpp"

namespace agen::python {

namespace detail {

/// The item type of a task, which is a generator without items here.
struct nothing {};

/// A generator, and what drives it from Python.
template <class Yield, class Send, class Return, class Converter>
class body : resumption {
  using generator = async_generator<Yield, Send, Return>;

 public:
  /// \param kept  what lives as long as the body does, seen by the cyclic collector; may be empty
  body(generator&& driven, object kept) noexcept
      : resumption(drive_, delegates),
        kept_(std::move(kept)),
        generator_(std::move(driven)),
        drive_(generator_, &body::answered, this) {}

  static AGEN_PYTHON_MODULE_LOCAL abi::body_class const kind;
  /// For a body that keeps an object: from_python() does not separate the generator from what it keeps.
  static AGEN_PYTHON_MODULE_LOCAL abi::body_class const keeping;
  /// For a body that gives its items in batches.
  static AGEN_PYTHON_MODULE_LOCAL abi::body_class const batching;
  [[nodiscard]] auto own_kind() const noexcept -> abi::body_class const* { return kept_ ? &keeping : &kind; }

  auto take_generator() noexcept -> generator { return std::move(generator_); }

 private:
  static auto resume(void* self, PyObject* value, PyObject* exception, PyObject** out, PyObject** iterator) noexcept
      -> int {
    auto& resumed = *static_cast<body*>(self);
    if (exception != nullptr || resumed.is_waiting() || value != Py_None || sends_none) [[unlikely]]
      return resumed.resume_with(value, exception, out, iterator);
    return resumed.iterate(out, iterator);
  }
  static void destroy(void* self) noexcept { delete static_cast<body*>(self); }
  static auto traverse(void* self, visitproc visit, void* arg) -> int {
    auto const& visited = *static_cast<body*>(self);
    Py_VISIT(visited.kept_.get());
    return visited.traverse_visible(visit, arg);
  }
  static void answered(void* self) noexcept { static_cast<body*>(self)->answered_ = true; }

  /// The hot path: a body that is suspended at a yield and yields again. nanobind compiles with -Os, which inlines
  /// nothing by itself. Every other path is out of line, because it would occupy registers here.
  AGEN_ALWAYS_INLINE auto iterate(PyObject** out, PyObject** iterator) noexcept -> int {
    enter();
    if (!drive_.is_at_yield()) [[unlikely]]
      return iterate_elsewhere(out, iterator);
    if (!drive_.anext_at_yield()) [[unlikely]] {
      if (!drive_.awaits_owner()) return leave_without_item(out, iterator);
      leave();
      return awaited(out, iterator);
    }
    forget_thrown();
    *out = item();
    if (*out == nullptr) [[unlikely]]
      return leave_after_failure(out, iterator);
    leave();
    return abi::yielded;
  }
  // The slow paths of iterate(): each gives the answer, then calls leave().
  AGEN_NOINLINE auto leave_without_item(PyObject** out, PyObject** iterator) noexcept -> int {
    int const told = answer(drive_.finish_anext(), out, iterator);
    leave();
    return told;
  }
  AGEN_NOINLINE auto iterate_elsewhere(PyObject** out, PyObject** iterator) noexcept -> int {
    int const told = answer(drive_.anext_anywhere(), out, iterator);
    leave();
    return told;
  }
  AGEN_NOINLINE auto leave_after_failure(PyObject** out, PyObject** iterator) noexcept -> int {
    int const told = answer_after_failure(out, iterator);
    leave();
    return told;
  }
  /// answer(), with a fast path for items and awaits.
  AGEN_ALWAYS_INLINE auto deliver(step answered, PyObject** out, PyObject** iterator) noexcept -> int {
    if (answered != step::yielded) [[unlikely]]
      return answered == step::awaits ? awaited(out, iterator) : answer(answered, out, iterator);
    forget_thrown();
    *out = item();
    return *out != nullptr ? abi::yielded : answer_after_failure(out, iterator);
  }
  AGEN_OUT_OF_LINE auto resume_with(PyObject* value, PyObject* exception, PyObject** out, PyObject** iterator) noexcept
      -> int try {
    if (is_waiting() && !waits_beside() && drive_.is_at_yield()) [[unlikely]]
      return go_on_without_waiting(value, exception, out, iterator);
    scope const current(*this);
    if (is_waiting()) {
      if (waits_beside()) [[unlikely]]
        return answer(go_on_beside(exception), out, iterator);
      auto const waiting = wake(value, exception);
      if (drive_.awaits_owner()) return deliver(drive_.resume(waiting), out, iterator);
      answered_ = false;
      waiting.resume();
      return answer(answered_ ? drive_.answer() : step::awaits, out, iterator);
    }
    return exception != nullptr ? answer(drive_.athrow(arriving(exception)), out, iterator)
                                : send(value, out, iterator);
  } catch (...) {
    raise(std::current_exception());
    return abi::raised;
  }

  AGEN_NOINLINE auto go_on_without_waiting(PyObject* value, PyObject* exception, PyObject** out,
                                           PyObject** iterator) noexcept -> int {
    {
      scope const current(*this);
      if (!refuse_left_behind() && exception == nullptr) return answer(drive_.athrow(left_behind()), out, iterator);
    }
    return resume(this, value, exception, out, iterator);
  }

  static constexpr bool delegates = !std::is_same_v<Yield, nothing>;
  static constexpr bool sends_none = [] {
    if constexpr (std::is_void_v<Send>) {
      return false;
    } else {
      return !std::is_default_constructible_v<Send> || Converter::template none_is_a_value<Send>;
    }
  }();

  /// A value that does not convert is refused, and the body stays suspended at its yield.
  auto send(PyObject* value, PyObject** out, PyObject** iterator) -> int {
    if constexpr (std::is_void_v<Send>) {
      PyErr_SetString(PyExc_TypeError, "this generator takes no values: its C++ Send type is void");
      return abi::refused;
    } else {
      // The engine has asked the lifecycle: only None begins a body (test_generators.py, "just-started").
      if (generator_.state() == agen::state::created) return answer(drive_.anext(), out, iterator);
      std::optional<Send> sent;
      try {
        sent.emplace(Converter::template from_python<Send>(value));
      } catch (...) {
        raise_in_python(std::current_exception());
        return abi::refused;
      }
      return answer(drive_.asend(std::addressof(*sent)), out, iterator);
    }
  }

  AGEN_NOINLINE auto answer(step answered, PyObject** out, PyObject** iterator) noexcept -> int try {
    for (;;) {
      switch (answered) {
        case step::yielded:
          forget_thrown();
          *out = item();
          if (*out != nullptr) [[likely]]
            return abi::yielded;
          answered = fail_item();
          break;
        case step::returned: return result(out);
        case step::raised: raise(drive_.take_error()); return abi::raised;
        case step::awaits: return awaited(out, iterator);
      }
    }
  } catch (...) {
    raise(std::current_exception());
    return abi::raised;
  }
  /// An item that cannot be converted raises in the body, at its co_yield.
  auto fail_item() -> step { return drive_.athrow(arriving(take_exception().get())); }
  AGEN_NOINLINE auto answer_after_failure(PyObject** out, PyObject** iterator) noexcept -> int try {
    return answer(fail_item(), out, iterator);
  } catch (...) {
    raise(std::current_exception());
    return abi::raised;
  }

  AGEN_ALWAYS_INLINE auto item() noexcept -> PyObject* try {
    using type = std::remove_reference_t<Yield>;
    auto& yielded = *static_cast<type*>(drive_.item());
    if constexpr (std::is_rvalue_reference_v<Yield> || !std::is_copy_constructible_v<type>) {
      return Converter::to_python(std::move(yielded));
    } else {
      return Converter::to_python(yielded);
    }
  } catch (...) {
    raise_in_python(std::current_exception());
    return nullptr;
  }

  auto result(PyObject** out) -> int {
    if constexpr (std::is_void_v<Return>) {
      *out = Py_NewRef(Py_None);
    } else {
      *out = Converter::to_python(generator_.returned());
    }
    return *out != nullptr ? abi::returned : abi::raised;
  }

  AGEN_ALWAYS_INLINE auto awaited(PyObject** out, PyObject** iterator) noexcept -> int {
    if (!is_waiting()) [[unlikely]]
      return awaited_beside(out, iterator);
    take_request(out, iterator);
    return abi::awaits;
  }
  AGEN_NOINLINE auto awaited_beside(PyObject** out, PyObject** iterator) noexcept -> int try {
    if (!has_beside()) return refuse_await();
    step const now = settle_beside();
    if (now != step::awaits) return answer(now, out, iterator);
    if (!is_waiting()) return refuse_await();
    take_request(out, iterator);
    return abi::awaits;
  } catch (...) {
    raise(std::current_exception());
    return abi::raised;
  }
  /// The body is suspended. Resumes what has ended beside it, until it answers or waits for the event loop.
  auto settle_beside() -> step {
    answered_ = false;
    while (!answered_ && !is_waiting() && has_beside()) {
      try {
        if (!resume_one_beside()) begin_bell();
      } catch (...) {
        abandon_beside(std::current_exception());
      }
    }
    return settled();
  }
  auto settled() -> step {
    if (!answered_) return step::awaits;
    if (drive_.answer() != step::yielded) return drive_.answer();
    if (object const interruption = interruption_at_yield()) return throw_at_yield(interruption.get());
    calm_beside();
    return step::yielded;
  }
  /// The consumer is cancelled, so it cannot take the item.
  auto throw_at_yield(PyObject* interruption) -> step {
    answered_ = false;
    step const now = drive_.athrow(arriving(interruption));
    if (now == step::awaits) return is_waiting() ? now : settle_beside();
    answered_ = true;
    return settled();
  }
  /// What the body waited for beside its own await has ended, or `exception` has ended the wait.
  auto go_on_beside(PyObject* exception) -> step {
    answered_ = false;
    wake_beside(exception);
    return answered_ ? settled() : settle_beside();
  }
  AGEN_NOINLINE static auto refuse_await() noexcept -> int {
    PyErr_SetString(PyExc_RuntimeError,
                    "a C++ body suspended in something that no Python event loop drives; await "
                    "agen::python::awaitable(), agen::python::readable() or an agen::channel there");
    return abi::raised;
  }

  // In batches ---------------------------------------------------------------------------------------------------

  using item_batch = batch<std::remove_cvref_t<Yield>>;

  static constexpr bool can_batch = delegates && !sends_none;
  static constexpr char const* format = can_batch ? item_batch::format : nullptr;

  static auto in_batches(void* self, Py_ssize_t most, int array) noexcept -> abi::body_class const* try {
    auto& batched = *static_cast<body*>(self);
    batched.batch_ = std::make_unique<item_batch>(static_cast<std::size_t>(most), array != 0);
    batched.begin_collecting();
    return &batching;
  } catch (...) {
    raise_in_python(std::current_exception());
    return nullptr;
  }
  static constexpr auto batches_function() noexcept -> decltype(abi::body_class::in_batches) {
    if constexpr (can_batch) {
      return &body::in_batches;
    } else {
      return nullptr;
    }
  }

  static auto resume_batching(void* self, PyObject* value, PyObject* exception, PyObject** out,
                              PyObject** iterator) noexcept -> int {
    auto& resumed = *static_cast<body*>(self);
    scope const current(resumed);
    try {
      if (resumed.batch_->after != step::yielded) return resumed.end_after_batch(exception, out);
      if (!resumed.is_waiting() && exception == nullptr && value != Py_None) {
        PyErr_SetString(PyExc_TypeError, "a generator of batches takes no values");
        return abi::refused;
      }
      return resumed.collect(resumed.step_in_batch(value, exception), out, iterator);
    } catch (...) {
      resumed.raise(std::current_exception());
      return abi::raised;
    }
  }
  static void destroy_batching(void* self) noexcept {
    auto& destroyed = *static_cast<body*>(self);
    if (destroyed.holds_await()) destroyed.drop_held();
    delete &destroyed;
  }

  /// The body has ended, after the items of the last batch.
  auto end_after_batch(PyObject* exception, PyObject** out) -> int {
    step const ended = std::exchange(batch_->after, step::yielded);
    if (exception != nullptr) {  // the consumer has left before it heard of that
      drive_.take_error();
      restore_exception(object::borrow(exception));
      return abi::raised;
    }
    return answer(ended, out, nullptr);
  }
  auto step_in_batch(PyObject* value, PyObject* exception) -> step {
    if (waits_beside()) return go_on_beside(exception);
    if (is_waiting() && drive_.is_at_yield() && !refuse_left_behind() && exception == nullptr)
      return drive_.athrow(left_behind());
    if (!is_waiting()) return exception != nullptr ? drive_.athrow(arriving(exception)) : next();
    if (holds_await() && exception == nullptr) {
      auto const waiting = begin_held();
      return waiting ? after_wait(waiting) : step::awaits;
    }
    if (holds_await()) drop_held();
    return after_wait(wake(value, exception));
  }
  auto after_wait(std::coroutine_handle<> waiting) -> step {
    if (drive_.awaits_owner()) return drive_.resume(waiting);
    answered_ = false;
    waiting.resume();
    return answered_ ? drive_.answer() : step::awaits;
  }
  auto next() noexcept -> step {
    if (!drive_.is_at_yield()) [[unlikely]]
      return drive_.anext_anywhere();
    if (drive_.anext_at_yield()) [[likely]]
      return step::yielded;
    return drive_.awaits_owner() ? step::awaits : drive_.finish_anext();
  }
  auto collect(step answered, PyObject** out, PyObject** iterator) -> int {
    for (;;) {
      switch (answered) {
        case step::yielded:
          answered = batch_->is_array() ? add_items<true>() : add_items<false>();
          if (answered != step::yielded) break;
          if (batch_->full()) return give_batch(out);
          answered = fail_item();
          break;
        case step::awaits:
          if (holds_await()) return give_batch(out);
          if (is_waiting() || !has_beside()) return awaited(out, iterator);
          if (batch_->size() != 0) {
            wait_beside();
            return give_batch(out);
          }
          answered = settle_beside();
          if (answered == step::awaits) return awaited(out, iterator);
          break;
        case step::returned:
        case step::raised:
          if (batch_->size() == 0) return answer(answered, out, iterator);
          batch_->after = answered;
          return give_batch(out);
      }
    }
  }
  /// Adds the item that is there, and those that come at once. Gives the step that is none, or `yielded`: the batch is
  /// full, or an exception is set, because the item cannot be converted.
  template <bool Array>
  AGEN_OUT_OF_LINE auto add_items() -> step {
    holding_back const held(*this);
    auto& collected = *batch_;
    for (;;) {
      forget_thrown();
      if (!add_item<Array>(collected) || collected.template full<Array>()) return step::yielded;
      step const answered = next();
      if (answered != step::yielded) [[unlikely]]
        return answered;
    }
  }
  template <bool Array>
  AGEN_ALWAYS_INLINE auto add_item(item_batch& to) -> bool {
    if constexpr (Array && format != nullptr) {
      to.add_value(*static_cast<std::remove_reference_t<Yield>*>(drive_.item()));
      return true;
    } else {
      auto made = object::steal(item());
      if (!made) return false;
      to.add(std::move(made));
      return true;
    }
  }
  auto give_batch(PyObject** out) -> int {
    *out = batch_->take();
    return *out != nullptr ? abi::yielded : abi::raised;
  }

  object kept_;  // outlives the generator, which may refer to it
  generator generator_;
  agen::detail::resuming_driver drive_;
  std::unique_ptr<item_batch> batch_;
  bool answered_ = false;
};

template <class Yield, class Send, class Return, class Converter>
abi::body_class const body<Yield, Send, Return, Converter>::kind = {
    sizeof(abi::body_class), &body::resume, &body::destroy, &body::traverse, batches_function(), format};
template <class Yield, class Send, class Return, class Converter>
abi::body_class const body<Yield, Send, Return, Converter>::keeping = kind;
template <class Yield, class Send, class Return, class Converter>
abi::body_class const body<Yield, Send, Return, Converter>::batching = {
    sizeof(abi::body_class), &body::resume_batching, &body::destroy_batching, &body::traverse, nullptr, nullptr};

template <class T>
auto as_generator(task<T> awaited) -> async_generator<nothing, void, T> {
  co_return co_await std::move(awaited);
}

/// For as_generator, whose body gives no items.
template <class Converter>
struct task_converter : Converter {
  using Converter::to_python;
  static auto to_python(nothing&) noexcept -> PyObject* { return Py_NewRef(Py_None); }
};

}  // namespace detail

/// A C++ generator as a Python async generator: a new reference to an instance of the package's own generator type, or
/// null with a Python exception set. Needs the GIL. The body, and its destructors, run with the GIL held.
///
/// \param gen   not moved from, not finished, and suspended at a yield or not begun
/// \param name  its __name__ and __qualname__
/// \param kept  an object that has to live as long as the body, such as the one whose member function the body is
/// \tparam Converter  how items, sent values and the return value travel: see conversions
template <class Converter = conversions, class Yield, class Send, class Return>
auto to_python(async_generator<Yield, Send, Return>&& gen, char const* name = "async_generator",
               object kept = {}) noexcept -> PyObject* try {
  using body = detail::body<Yield, Send, Return, Converter>;
  auto const& bridge = engine();
  auto* const around = detail::resumption::current();
  if (around != nullptr && gen.state() != agen::state::created) around->forget_visible();
  auto* const made = new body(std::move(gen), std::move(kept));
  return detail::or_stay(bridge.make_generator, made->own_kind(), made, name);
} catch (...) {
  detail::raise_in_python(std::current_exception());
  return nullptr;
}

/// A C++ task as a Python coroutine: awaitable once, with send(), throw() and close(), and a warning if it is
/// never awaited. Otherwise as for a generator.
template <class Converter = conversions, class T>
auto to_python(task<T>&& awaited, char const* name = "task", object kept = {}) noexcept -> PyObject* try {
  using body = detail::body<detail::nothing, void, T, detail::task_converter<Converter>>;
  auto const& bridge = engine();
  auto* const made = new body(detail::as_generator(std::move(awaited)), std::move(kept));
  return detail::or_stay(bridge.make_coroutine, made->own_kind(), made, name);
} catch (...) {
  detail::raise_in_python(std::current_exception());
  return nullptr;
}

}  // namespace agen::python

#endif  // AGEN_PYTHON_TO_PYTHON_HPP
