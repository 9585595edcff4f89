// Owned references to Python objects, and releasing the GIL.
#ifndef AGEN_PYTHON_OBJECT_HPP
#define AGEN_PYTHON_OBJECT_HPP

#include <Python.h>

#include <exception>
#include <utility>

#ifndef _WIN32
#include <unistd.h>  // pause
#endif

#include "../detail/compiler.hpp"
#include "versions.hpp"

namespace agen::python {

namespace detail {
/// For a thread that the interpreter has no more use for.
[[noreturn]] inline void stay_for_ever() noexcept {
#ifdef _WIN32
  std::terminate();  // nothing unwinds such a thread there
#else
  for (;;) ::pause();
#endif
}

/// Calls a function of the C API that may take the GIL. Where the interpreter has ended, a daemon thread stays here for
/// ever, as CPython has it since 3.14. Before, CPython calls pthread_exit() (Python/ceval_gil.h, take_gil). With glibc
/// that unwinds the stack: it would run destructors without the GIL, and end the process at the first function that is
/// noexcept, or the first body.
template <class Function, class... Arguments>
AGEN_ALWAYS_INLINE auto or_stay(Function function, Arguments... arguments) noexcept {
  if constexpr (unwinds_threads) {
    try {
      return function(arguments...);
    } catch (...) {
      stay_for_ever();
    }
  } else {
    return function(arguments...);
  }
}
}  // namespace detail

/// An owned reference to a Python object, or none. Making, copying and destroying one needs the GIL, moving does not.
class object {
 public:
  object() noexcept = default;
  object(object const& other) noexcept : pointer_(other.pointer_) { Py_XINCREF(pointer_); }
  object(object&& other) noexcept : pointer_(other.release()) {}
  auto operator=(object other) noexcept -> object& {
    std::swap(pointer_, other.pointer_);
    return *this;
  }
  ~object() {
    if (pointer_ != nullptr) detail::or_stay([](PyObject* dropped) { Py_DECREF(dropped); }, pointer_);
  }

  /// Takes over a reference that the caller owns (a "new reference" of the C API).
  static auto steal(PyObject* pointer) noexcept -> object {
    object made;
    made.pointer_ = pointer;
    return made;
  }
  /// Adds a reference to an object that the caller does not own (a "borrowed reference").
  static auto borrow(PyObject* pointer) noexcept -> object {
    Py_XINCREF(pointer);
    return steal(pointer);
  }

  /// The object, still owned here; null if there is none.
  [[nodiscard]] auto get() const noexcept -> PyObject* { return pointer_; }
  /// Whether there is an object.
  explicit operator bool() const noexcept { return pointer_ != nullptr; }
  /// Gives the reference to the caller.
  [[nodiscard]] auto release() noexcept -> PyObject* { return std::exchange(pointer_, nullptr); }
  /// Where a function may put a new reference. The object has to be empty.
  [[nodiscard]] auto out() noexcept -> PyObject** { return &pointer_; }

 private:
  PyObject* pointer_ = nullptr;
};

/// Runs `f` with the GIL released, and takes it again before it returns or throws. `f` must not touch Python, nor
/// await.
template <class Function>
auto without_gil(Function&& f) -> decltype(auto) {
  struct released {
    PyThreadState* thread = PyEval_SaveThread();
    released() = default;
    released(released const&) = delete;
    auto operator=(released const&) -> released& = delete;
    ~released() { detail::or_stay(PyEval_RestoreThread, thread); }
  } const scope;
  return std::forward<Function>(f)();
}

}  // namespace agen::python

#endif  // AGEN_PYTHON_OBJECT_HPP
