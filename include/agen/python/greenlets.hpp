// Greenlets leave the middle of a C++ body, and come back after others (greenback, gevent, SQLAlchemy). By them the
// bodies that are under way on a thread are told apart.
#ifndef AGEN_PYTHON_GREENLETS_HPP
#define AGEN_PYTHON_GREENLETS_HPP

#include <cstdint>

#include "error.hpp"

namespace agen::python::detail {

/// PyGreenlet_GetCurrent of greenlet's C API, where the interpreter has imported that package.
class greenlets {
 public:
  /// The greenlet that runs on this thread, only to be compared; null without the package, and while the interpreter
  /// ends. Whoever is in the middle of a body in it refers to it. Needs the GIL.
  static auto running() noexcept -> PyObject* {
    get_current* const ask = of_this_interpreter();
    if (ask == nullptr) [[likely]]
      return nullptr;
    auto const found = object::steal(or_stay(ask));
    if (!found) PyErr_Clear();
    return found.get();
  }

 private:
  using get_current = auto() -> PyObject*;
  static constexpr int index_of_get_current = 4;  // PyGreenlet_GetCurrent_NUM in greenlet.h

  static auto of_this_interpreter() noexcept -> get_current* {
    auto const interpreter = PyInterpreterState_GetID(PyInterpreterState_Get());
    if (ask_ != nullptr && interpreter == found_in_) return ask_;
    ask_ = find();
    found_in_ = interpreter;
    return ask_;
  }
  AGEN_OUT_OF_LINE static auto find() noexcept -> get_current* {
    PyObject* const modules = PySys_GetObject("modules");  // null or None while the interpreter ends
    if (modules == nullptr || PyDict_Check(modules) == 0) return nullptr;
    if (PyDict_GetItemString(modules, "greenlet") == nullptr) return nullptr;
    auto* const functions = static_cast<void**>(or_stay(PyCapsule_Import, "greenlet._C_API", 0));
    if (functions == nullptr) {
      PyErr_Clear();
      return nullptr;
    }
    return reinterpret_cast<get_current*>(functions[index_of_get_current]);
  }

  // Of the thread.
  static inline AGEN_PYTHON_MODULE_LOCAL constinit thread_local get_current* ask_ = nullptr;
  static inline AGEN_PYTHON_MODULE_LOCAL constinit thread_local std::int64_t found_in_ = 0;
};

}  // namespace agen::python::detail

#endif  // AGEN_PYTHON_GREENLETS_HPP
