// Everything in which the versions of Python's C API differ, and the limited API, of which a module of the stable ABI
// is made (Py_LIMITED_API). Without that these functions are the C API's macros.
#ifndef AGEN_PYTHON_VERSIONS_HPP
#define AGEN_PYTHON_VERSIONS_HPP

#include <Python.h>

#include "../detail/compiler.hpp"

#ifdef Py_LIMITED_API
#include <string>

#define AGEN_OLDEST_PYTHON (Py_LIMITED_API + 0)  // that the module may meet
#else
#define AGEN_OLDEST_PYTHON PY_VERSION_HEX
#endif
#if AGEN_OLDEST_PYTHON < 0x030A0000
#error "agen/python.hpp needs CPython 3.10 or newer, and Py_LIMITED_API, if it is defined, 0x030A0000 or more"
#endif

namespace agen::python::detail {

/// CPython ends a daemon thread by pthread_exit(), which unwinds its stack; since 3.14 the thread waits for ever.
inline constexpr bool unwinds_threads = AGEN_OLDEST_PYTHON < 0x030E0000;

/// Takes the thread's current exception away, with its traceback; null when there is none.
inline auto take_raised() -> PyObject* {
#if AGEN_OLDEST_PYTHON >= 0x030C0000
  return PyErr_GetRaisedException();
#else
  PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  if (type == nullptr) return nullptr;
  PyErr_NormalizeException(&type, &value, &traceback);
  if (traceback != nullptr) PyException_SetTraceback(value, traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  return value;
#endif
}

/// Makes `exception`, which it takes over, the thread's current one, as it is.
inline void set_raised(PyObject* exception) noexcept {
#if AGEN_OLDEST_PYTHON >= 0x030C0000
  PyErr_SetRaisedException(exception);
#else
  auto* const type = reinterpret_cast<PyObject*>(Py_TYPE(exception));
  Py_INCREF(type);
  PyErr_Restore(type, exception, PyException_GetTraceback(exception));
#endif
}

#ifdef Py_LIMITED_API

/// An attribute, a new reference. The cache of types keeps the names that it is asked for: it is to see the same one
/// each time.
inline auto attribute(PyObject* of, char const* name) -> PyObject* {
  PyObject* const interned = PyUnicode_InternFromString(name);
  PyObject* const found = interned != nullptr ? PyObject_GetAttr(of, interned) : nullptr;
  Py_XDECREF(interned);
  return found;
}

/// The name of an object's class, without its module.
class type_name {
 public:
  explicit type_name(PyObject* of) {
    PyObject* const name = attribute(reinterpret_cast<PyObject*>(Py_TYPE(of)), "__name__");
    char const* const characters = name != nullptr ? PyUnicode_AsUTF8AndSize(name, nullptr) : nullptr;
    if (characters != nullptr) text_ = characters;
    Py_XDECREF(name);
    PyErr_Clear();
  }
  [[nodiscard]] auto c_str() const noexcept -> char const* { return text_.c_str(); }

 private:
  std::string text_ = "object";
};

/// True is certain. PyGILState_Ensure() may be called with the GIL, too.
inline auto holds_gil() noexcept -> bool { return false; }

inline void list_set_item(PyObject* list, Py_ssize_t at, PyObject* stolen) noexcept {
  (void)PyList_SetItem(list, at, stolen);
}

inline auto tuple_item(PyObject* tuple, Py_ssize_t at) noexcept -> PyObject* { return PyTuple_GetItem(tuple, at); }

inline auto call_one_arg(PyObject* function, PyObject* argument) -> PyObject* {
  return PyObject_CallFunctionObjArgs(function, argument, nullptr);
}

/// False is certain.
inline auto may_have_attributes(PyObject* /*exception*/) noexcept -> bool { return true; }

/// The first argument of an exception, a new reference; null without an exception set if there is none.
inline auto first_argument(PyObject* exception) noexcept -> PyObject* {
  PyObject* const all = attribute(exception, "args");
  PyObject* const first = all != nullptr ? PySequence_GetItem(all, 0) : nullptr;
  Py_XDECREF(all);
  if (first == nullptr) PyErr_Clear();
  return first;
}

/// True is certain: a coroutine of an `async def`, which send_none() may be called with. The engine knows others.
inline auto is_coroutine(PyObject* /*object*/) noexcept -> bool { return false; }

inline auto send_none(PyObject* coroutine, PyObject** result) -> PySendResult {
  return PyIter_Send(coroutine, Py_None, result);
}

/// What `__aiter__` of its class is; null if there is none.
inline auto aiter_slot(PyObject* object) noexcept -> unaryfunc {
  return reinterpret_cast<unaryfunc>(PyType_GetSlot(Py_TYPE(object), Py_am_aiter));
}

/// What `__anext__` of an async iterator's class is.
inline auto anext_slot(PyObject* iterator) noexcept -> unaryfunc {
  return reinterpret_cast<unaryfunc>(PyType_GetSlot(Py_TYPE(iterator), Py_am_anext));
}

#else  // each as above

AGEN_ALWAYS_INLINE auto attribute(PyObject* of, char const* name) -> PyObject* {
  return PyObject_GetAttrString(of, name);
}

class type_name {
 public:
  explicit type_name(PyObject* of) noexcept : text_(Py_TYPE(of)->tp_name) {}
  [[nodiscard]] auto c_str() const noexcept -> char const* { return text_; }

 private:
  char const* text_;
};

AGEN_ALWAYS_INLINE auto holds_gil() noexcept -> bool { return PyGILState_Check() != 0; }

AGEN_ALWAYS_INLINE void list_set_item(PyObject* list, Py_ssize_t at, PyObject* stolen) noexcept {
  PyList_SET_ITEM(list, at, stolen);
}

AGEN_ALWAYS_INLINE auto tuple_item(PyObject* tuple, Py_ssize_t at) noexcept -> PyObject* {
  return PyTuple_GET_ITEM(tuple, at);
}

inline auto call_one_arg(PyObject* function, PyObject* argument) -> PyObject* {
  return PyObject_CallOneArg(function, argument);
}

AGEN_ALWAYS_INLINE auto may_have_attributes(PyObject* exception) noexcept -> bool {
  return reinterpret_cast<PyBaseExceptionObject*>(exception)->dict != nullptr;
}

AGEN_ALWAYS_INLINE auto first_argument(PyObject* exception) noexcept -> PyObject* {
  PyObject* const all = reinterpret_cast<PyBaseExceptionObject*>(exception)->args;
  return all != nullptr && PyTuple_GET_SIZE(all) > 0 ? Py_NewRef(PyTuple_GET_ITEM(all, 0)) : nullptr;
}

AGEN_ALWAYS_INLINE auto is_coroutine(PyObject* object) noexcept -> bool { return PyCoro_CheckExact(object) != 0; }

AGEN_ALWAYS_INLINE auto send_none(PyObject* coroutine, PyObject** result) -> PySendResult {
  return Py_TYPE(coroutine)->tp_as_async->am_send(coroutine, Py_None, result);
}

AGEN_ALWAYS_INLINE auto aiter_slot(PyObject* object) noexcept -> unaryfunc {
  PyAsyncMethods const* const methods = Py_TYPE(object)->tp_as_async;
  return methods != nullptr ? methods->am_aiter : nullptr;
}

AGEN_ALWAYS_INLINE auto anext_slot(PyObject* iterator) noexcept -> unaryfunc {
  return Py_TYPE(iterator)->tp_as_async->am_anext;
}

#endif

}  // namespace agen::python::detail

#endif  // AGEN_PYTHON_VERSIONS_HPP
