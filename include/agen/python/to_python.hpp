// C++ generators and tasks as Python objects: the body that the engine resumes.
#ifndef AGEN_PYTHON_TO_PYTHON_HPP
#define AGEN_PYTHON_TO_PYTHON_HPP

#include <optional>

#include "../detail/resuming_driver.hpp"
#include "../task.hpp"
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
    scope const current(*this);
    if (is_waiting()) {
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
      return refuse_await();
    take_request(out, iterator);
    return abi::awaits;
  }
  AGEN_NOINLINE static auto refuse_await() noexcept -> int {
    PyErr_SetString(PyExc_RuntimeError,
                    "a C++ body suspended in something that no Python event loop drives; await "
                    "agen::python::awaitable(), agen::python::readable() or an agen::channel there");
    return abi::raised;
  }

  object kept_;  // outlives the generator, which may refer to it
  generator generator_;
  agen::detail::resuming_driver drive_;
  bool answered_ = false;
};

template <class Yield, class Send, class Return, class Converter>
abi::body_class const body<Yield, Send, Return, Converter>::kind = {sizeof(abi::body_class), &body::resume,
                                                                    &body::destroy, &body::traverse};
template <class Yield, class Send, class Return, class Converter>
abi::body_class const body<Yield, Send, Return, Converter>::keeping = kind;

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
  return bridge.make_generator(made->own_kind(), made, name);
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
  return bridge.make_coroutine(made->own_kind(), made, name);
} catch (...) {
  detail::raise_in_python(std::current_exception());
  return nullptr;
}

}  // namespace agen::python

#endif  // AGEN_PYTHON_TO_PYTHON_HPP
