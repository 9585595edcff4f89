// Every difference between versions of CPython, and nothing else. No other file tests PY_VERSION_HEX.
#ifndef ASYNC_GENERATOR_ENGINE_COMPAT_HPP
#define ASYNC_GENERATOR_ENGINE_COMPAT_HPP

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <frameobject.h>
#include <structmember.h>

#include <agen/detail/compiler.hpp>
#include <agen/python/versions.hpp>
#include <cstdint>

#include "ref.hpp"

#if PY_VERSION_HEX < 0x030A0000
#error "async_generator needs CPython 3.10 or newer"
#endif

namespace engine::compat {

// SEND asks an awaitable that is not a coroutine through tp_iternext on 3.12, 3.13 and 3.14, and through am_send on the
// other versions (Python/bytecodes.c). tp_iternext has to raise a StopIteration for each item, so there it is recycled.
#if PY_VERSION_HEX >= 0x030C0000 && PY_VERSION_HEX < 0x030F0000
inline constexpr bool send_uses_iternext = true;
#else
inline constexpr bool send_uses_iternext = false;
#endif

// YIELD_VALUE of 3.10 wraps the item of an async generator itself, so there a real yield can hand out nothing bare.
#if PY_VERSION_HEX < 0x030B0000
inline constexpr bool yields_wrap = true;
#else
inline constexpr bool yields_wrap = false;
#endif

#ifdef Py_GIL_DISABLED
inline constexpr bool free_threaded = true;
#else
inline constexpr bool free_threaded = false;
#endif

// Py_EnterRecursiveCall() looks at the stack that is left, and not at a count only.
#if PY_VERSION_HEX >= 0x030E0000
inline constexpr bool knows_its_stack = true;
#else
inline constexpr bool knows_its_stack = false;
#endif

// Objects are recycled by setting their reference count, which a reference-debugging interpreter does not allow, and
// which would hide errors from the address sanitizer.
#if defined(Py_DEBUG) || defined(Py_TRACE_REFS) || defined(AGEN_NO_FREELISTS)
inline constexpr bool recycles_memory = false;
#else
inline constexpr bool recycles_memory = true;
#endif
// What all threads would share is not recycled without the GIL.
inline constexpr bool recycles = recycles_memory && !free_threaded;

/// Takes the current exception away from the thread, with its traceback attached; null when there is none.
inline auto take_exception() noexcept -> Object { return steal(agen::python::detail::take_raised()); }

/// Makes `exception` (an instance) the thread's current one, as it is: no context is chained.
inline void restore_exception(Object exception) noexcept {
  if (exception) {
    agen::python::detail::set_raised(exception.release());
  } else {
    PyErr_Clear();
  }
}

/// The code of a generator (an exact one); PyGen_GetCode() came with 3.12. Its attribute gi_code would be an audit
/// event.
inline auto generator_code(PyObject* generator) noexcept -> Ref<PyCodeObject> {
#if PY_VERSION_HEX >= 0x030C0000
  return Ref<PyCodeObject>::steal(PyGen_GetCode(reinterpret_cast<PyGenObject*>(generator)));
#else
  return Ref<PyCodeObject>::borrow(reinterpret_cast<PyCodeObject*>(reinterpret_cast<PyGenObject*>(generator)->gi_code));
#endif
}

/// True for a coroutine whose frame the collector has taken apart: throw(), close() and cr_await of 3.10 read a stack
/// that is gone. What asks the coroutine's other methods, or a newer version, is told that it has ended.
inline auto is_taken_apart([[maybe_unused]] PyObject* coroutine) noexcept -> bool {
#if PY_VERSION_HEX >= 0x030B0000
  return false;
#else
  if (!PyCoro_CheckExact(coroutine)) return false;
  PyFrameObject const* frame = reinterpret_cast<PyCoroObject*>(coroutine)->cr_frame;
  return frame != nullptr && frame->f_state == FRAME_CLEARED;
#endif
}

/// True for a coroutine that executes and whose throw() does not find that out before it reads the stack of its frame,
/// as up to 3.11. Newer versions refuse it themselves.
inline auto is_unsafe_to_throw_into([[maybe_unused]] PyObject* coroutine) noexcept -> bool {
#if PY_VERSION_HEX >= 0x030C0000
  return false;
#else
  if (!PyCoro_CheckExact(coroutine)) return false;
  auto const running = steal(PyObject_GetAttrString(coroutine, "cr_running"));
  if (!running) PyErr_Clear();
  return running.get() == Py_True;
#endif
}

/// The exception that the running code is handling (sys.exception()), or null.
inline auto handled_exception() noexcept -> Object {
#if PY_VERSION_HEX >= 0x030B0000
  auto handled = steal(PyErr_GetHandledException());
#else
  PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
  PyErr_GetExcInfo(&type, &value, &traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  auto handled = steal(value);
#endif
  if (handled.get() == Py_None) handled.reset();
  return handled;
}

/// Sets what handled_exception() answers.
inline void set_handled_exception(Object handled) noexcept {
#if PY_VERSION_HEX >= 0x030B0000
  PyErr_SetHandledException(handled.get());
#else
  PyObject* value = handled.release();
  PyObject* type = value != nullptr ? Py_NewRef(reinterpret_cast<PyObject*>(Py_TYPE(value))) : nullptr;
  PyErr_SetExcInfo(type, value, value != nullptr ? PyException_GetTraceback(value) : nullptr);
#endif
}

/// Warns of the (type, value, traceback) form of `method`, deprecated in 3.12. Negative with an exception set.
inline auto warn_three_arguments([[maybe_unused]] char const* method) -> int {
#if PY_VERSION_HEX >= 0x030C0000
  return PyErr_WarnFormat(PyExc_DeprecationWarning, 1,
                          "the (type, exc, tb) signature of %s() is deprecated, use the single-arg signature instead.",
                          method);
#else
  return 0;
#endif
}

/// True for an instance of BaseExceptionGroup, which came with 3.11.
inline auto is_exception_group([[maybe_unused]] PyObject* exception) noexcept -> bool {
#if PY_VERSION_HEX >= 0x030B0000
  return PyObject_TypeCheck(exception, reinterpret_cast<PyTypeObject*>(PyExc_BaseExceptionGroup)) != 0;
#else
  return false;
#endif
}

/// Reports the current exception as unraisable: "Exception ignored in: <object>".
inline void write_unraisable(PyObject* object) noexcept { PyErr_WriteUnraisable(object); }

/// Gives `function` (a Python function) an entry point in C. Python-to-Python calls of 3.11 inline the function's code
/// whatever the entry point is, so there the code itself must do the same (python/async_generator/_calling.py).
inline void set_entry_point(PyObject* function, vectorcallfunc entry) noexcept {
#if PY_VERSION_HEX >= 0x030C0000
  PyFunction_SetVectorcall(reinterpret_cast<PyFunctionObject*>(function), entry);
#else
  reinterpret_cast<PyFunctionObject*>(function)->vectorcall = entry;
#endif
}

/// How many positional parameters a code object has.
inline auto argument_count(PyObject* code) noexcept -> Py_ssize_t {
  return reinterpret_cast<PyCodeObject*>(code)->co_argcount;
}

/// PyObject_Vectorcall(), a step shorter where `callable` is a Python function.
inline auto call(PyObject* callable, PyObject* const* arguments, size_t count, PyObject* keywords) -> PyObject* {
  if (PyFunction_Check(callable)) [[likely]]
    return reinterpret_cast<PyFunctionObject*>(callable)->vectorcall(callable, arguments, count, keywords);
  return PyObject_Vectorcall(callable, arguments, count, keywords);
}

/// What a cell holds, or null.
inline auto cell_content(PyObject* cell) noexcept -> Object {
#ifdef Py_GIL_DISABLED
  return steal(PyCell_Get(cell));  // another thread may be writing
#else
  return borrow(PyCell_GET(cell));
#endif
}

/// The thread's hooks (PEP 525), from the public fields of the thread state: sys.get_asyncgen_hooks() would make a
/// tuple.
struct Hooks {
  Object firstiter;
  Object finalizer;
};
inline auto asyncgen_hooks() noexcept -> Hooks {
  PyThreadState const* thread = PyThreadState_Get();
  return {borrow(thread->async_gen_firstiter), borrow(thread->async_gen_finalizer)};
}
/// True when one of them is set.
inline auto has_asyncgen_hooks() noexcept -> bool {
  PyThreadState const* thread = PyThreadState_Get();
  return thread->async_gen_firstiter != nullptr || thread->async_gen_finalizer != nullptr;
}

/// Exchanges the hooks of `thread`, the current one, for others. sys.set_asyncgen_hooks() would be an audit event.
inline void swap_asyncgen_hooks(PyThreadState* thread, Hooks& hooks) noexcept {
  hooks.firstiter.swap(thread->async_gen_firstiter);
  hooks.finalizer.swap(thread->async_gen_finalizer);
}
/// The thread's current context (PEP 567), borrowed; null before it has one. PyContext_CopyCurrent() makes an object.
inline auto current_context() noexcept -> PyObject* { return PyThreadState_Get()->context; }

/// A number that changes with every change of a dict, up to 3.11; 0 where there is none any more.
inline auto dict_version([[maybe_unused]] PyObject* dict) noexcept -> std::uint64_t {
#if PY_VERSION_HEX < 0x030C0000
  return reinterpret_cast<PyDictObject*>(dict)->ma_version_tag;
#else
  return 0;
#endif
}

/// For an object that every thread calls, and that lives as long as its module: without the GIL its references are not
/// counted on one line of memory that all threads would fight for. 3.13 can only keep it for ever (Py_SET_REFCNT()).
inline void share_between_threads([[maybe_unused]] PyObject* object) noexcept {
#if defined(Py_GIL_DISABLED) && PY_VERSION_HEX >= 0x030E0000
  PyUnstable_Object_EnableDeferredRefcount(object);
#elif defined(Py_GIL_DISABLED)
  Py_SET_REFCNT(object, PY_SSIZE_T_MAX);
#endif
}

/// While one exists, nothing traces or profiles this thread: not sys.settrace(), sys.setprofile() or sys.monitoring.
/// PyThreadState_EnterTracing() came with 3.11, and counts in the same field.
class Untraced {
 public:
  Untraced() noexcept : thread_(PyThreadState_Get()) {
#if PY_VERSION_HEX >= 0x030B0000
    PyThreadState_EnterTracing(thread_);
#else
    ++thread_->tracing;
#endif
  }
  ~Untraced() {
#if PY_VERSION_HEX >= 0x030B0000
    PyThreadState_LeaveTracing(thread_);
#else
    --thread_->tracing;
#endif
  }
  Untraced(Untraced const&) = delete;
  auto operator=(Untraced const&) -> Untraced& = delete;

 private:
  PyThreadState* thread_;
};

/// A lock where threads run at once. With the GIL there is nothing to lock.
#ifdef Py_GIL_DISABLED
using Mutex = PyMutex;
class Lock {
 public:
  explicit Lock(Mutex& mutex) noexcept : mutex_(mutex) { PyMutex_Lock(&mutex_); }
  ~Lock() { PyMutex_Unlock(&mutex_); }
  Lock(Lock const&) = delete;
  auto operator=(Lock const&) -> Lock& = delete;

 private:
  Mutex& mutex_;
};
#else
struct Mutex {};
struct Lock {
  explicit Lock(Mutex&) noexcept {}
};
#endif

// Keeps other threads out of what works on the same object. Came with 3.13, and is empty with the GIL.
#ifdef Py_GIL_DISABLED
#define COMPAT_BEGIN_CRITICAL_SECTION(object) Py_BEGIN_CRITICAL_SECTION(object);
#define COMPAT_END_CRITICAL_SECTION Py_END_CRITICAL_SECTION
#else
#define COMPAT_BEGIN_CRITICAL_SECTION(object)
#define COMPAT_END_CRITICAL_SECTION()
#endif

// Py_mod_gil and Py_mod_multiple_interpreters came with 3.13 and 3.12.
#if PY_VERSION_HEX >= 0x030D0000
#define ENGINE_SLOT_GIL {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#else
#define ENGINE_SLOT_GIL
#endif
#if PY_VERSION_HEX >= 0x030C0000
#define ENGINE_SLOT_INTERPRETERS {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#else
#define ENGINE_SLOT_INTERPRETERS
#endif

}  // namespace engine::compat

#endif
