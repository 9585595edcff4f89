// What passes between an extension module and the engine of the Python package: plain C, and Python objects. A C++ type
// or exception never does, so modules built by different compilers, tools and standard libraries can share one engine.
#ifndef AGEN_PYTHON_ABI_HPP
#define AGEN_PYTHON_ABI_HPP

#include <Python.h>

#include <cstdint>

namespace agen::python::abi {

/// Grows when something that is there changes its meaning. What is only added grows `engine::size`.
inline constexpr std::uint32_t version = 1;
/// The capsule that holds the engine's `abi::engine`; this is its name, too.
inline constexpr char const* capsule = "async_generator._engine.bridge";

/// What a body answers when it is resumed.
enum step : int {
  awaits,    ///< `*out` is an awaitable: the body is resumed with its result, or with the exception that it raises
  yielded,   ///< `*out` is the item
  returned,  ///< `*out` is the return value
  raised,    ///< the thread's current Python exception leaves the body
  refused,   ///< the same, but the body was not resumed, and stands where it stood
};

/// One kind of body: functions of the module that made it. Its address tells kinds apart.
struct body_class {
  std::uint32_t size;  ///< of this struct as the module knows it
  /// Resumes the body with `value`, or with `exception` where that is not null. Both are borrowed. `*out` is null
  /// before, and a new reference after every step but `raised` and `refused`.
  int (*resume)(void* body, PyObject* value, PyObject* exception, PyObject** out);
  /// Destroys the body as it stands. Called once, with the GIL held, never while the body executes.
  void (*destroy)(void* body);
  /// Shows the Python objects that the body owns to the cyclic collector; may be null.
  int (*traverse)(void* body, visitproc visit, void* arg);
};

/// The functions of the engine. All need the GIL, and find the interpreter that they are called in.
struct engine {
  std::uint32_t version;
  std::uint32_t size;  ///< of this struct as the engine knows it
  /// A new async generator that drives `body`, which it owns from now on even if this fails. Null with an exception
  /// set.
  PyObject* (*make_generator)(body_class const* kind, void* body, char const* name);
  /// A new coroutine that drives `body`, a body that never yields. Otherwise as make_generator().
  PyObject* (*make_coroutine)(body_class const* kind, void* body, char const* name);
  /// 1 for an instance of the engine's generator type.
  int (*is_generator)(PyObject* object);
  /// Takes the body out of a generator of this kind that is idle, which is closed then. Null without an exception when
  /// there is no such body to be had.
  void* (*take_body)(PyObject* generator, body_class const* kind);
  /// What yield_from_(source) returns: a body that awaits it delegates to `source`. Null with an exception set.
  PyObject* (*make_delegation)(PyObject* source);
  /// async_generator.AlreadyRunning, a new reference. Null with an exception set.
  PyObject* (*already_running)();
};

}  // namespace agen::python::abi

#endif  // AGEN_PYTHON_ABI_HPP
