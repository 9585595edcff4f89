// What passes between an extension module and the engine of the Python package: plain C, and Python objects. A C++ type
// or exception never does, so modules built by different compilers, tools and standard libraries can share one engine.
#ifndef AGEN_PYTHON_ABI_HPP
#define AGEN_PYTHON_ABI_HPP

#include <Python.h>

#include <cstdint>

namespace agen::python::abi {

/// Grows when the meaning of an existing member changes. A new member grows only `engine::size`.
inline constexpr std::uint32_t version = 1;
/// The path and the name of the capsule that holds the engine's `abi::engine`.
inline constexpr char const* capsule = "async_generator._engine.bridge";

/// What a body answers when it is resumed.
enum step : int {
  awaits,    ///< `*out` is what engine::begin_await left for the event loop, `*iterator` its iterator
  yielded,   ///< `*out` is the item
  returned,  ///< `*out` is the return value
  raised,    ///< the thread's current Python exception leaves the body
  refused,   ///< the same, but the body was not resumed and its state is unchanged
};

/// One kind of body: functions of the module that made it. Its address tells kinds apart.
struct body_class {
  std::uint32_t size;  ///< of this struct as the module knows it
  /// Resumes the body with `value`, or with `exception` where that is not null: with what was sent or thrown at its
  /// yield, or with the answer of what it awaited. Both are borrowed. `*out` and `*iterator` are null before; a new
  /// reference after every step but `raised` and `refused`, and after `awaits`.
  int (*resume)(void* body, PyObject* value, PyObject* exception, PyObject** out, PyObject** iterator);
  /// Destroys the body where it is suspended. Called once, with the GIL held, never while the body executes.
  void (*destroy)(void* body);
  /// Shows the Python objects that the body owns to the cyclic collector; may be null.
  int (*traverse)(void* body, visitproc visit, void* arg);

  // Members that came later: `size` says whether a module has them.

  /// Makes the body give its items in batches of up to `most` from now on; called between two operations. Gives the
  /// kind of such a body, by which it is resumed then, or null with an exception set. The member is null where that
  /// cannot be.
  body_class const* (*in_batches)(void* body, Py_ssize_t most, int array);
  /// The format of the items in an array, as the struct module has it; null if they are not arithmetic.
  char const* item_format;
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
  /// Takes the body out of a generator of this kind that is idle, which is closed then. Null without an exception if
  /// it is not idle or of another kind.
  void* (*take_body)(PyObject* generator, body_class const* kind);
  /// Begins to await `awaitable`, whose reference it takes over. PYGEN_RETURN: its result is in `*out`. PYGEN_ERROR: it
  /// raised. PYGEN_NEXT: the body has to wait, and to answer `awaits` with what is in `*out` and `*iterator`.
  /// \param delegates  the body is a generator's: what yield_from_() returned is left to the driver, without an
  /// iterator
  PySendResult (*begin_await)(PyObject* awaitable, int delegates, PyObject** out, PyObject** iterator);
  /// What yield_from_(source) returns: a body that awaits it delegates to `source`. Null with an exception set.
  PyObject* (*make_delegation)(PyObject* source);
  /// async_generator.AlreadyRunning, a new reference. Null with an exception set.
  PyObject* (*already_running)();
  /// A memoryview of a copy of `count` numbers, which it owns. Null with an exception set.
  /// \param format  of one, as the struct module has it; a string that is never freed
  PyObject* (*make_array)(void const* items, Py_ssize_t count, Py_ssize_t item_size, char const* format);
};

}  // namespace agen::python::abi

#endif  // AGEN_PYTHON_ABI_HPP
