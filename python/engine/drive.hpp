// Drives the bodies of a generator and of all it delegates to: sends and throws into the leaf, hands what a leaf
// returns or raises to the generator above it, and says what came out. The operations (operations.cpp) turn that into
// PEP 525's answers; this file knows nothing of them.
#ifndef ASYNC_GENERATOR_ENGINE_DRIVE_HPP
#define ASYNC_GENERATOR_ENGINE_DRIVE_HPP

#include "objects.hpp"
#include "outcome.hpp"
#include "resumption.hpp"
#include "wrapped_item.hpp"

namespace engine {

/// Throws into the leaf. At a yield GeneratorExit closes what is delegated to, level by level (PEP 828).
auto drive_raise(ModuleState& module, Resumption& resumption, Generator& root, Object exception, bool starting,
                 PyObject** out) -> Outcome;

/// drive_send() for a root that is not suspended at a real yield of its own.
auto drive_chain(ModuleState& module, Resumption& resumption, Generator& root, PyObject* value, bool starting,
                 PyObject** out) -> Outcome;
/// drive_send() after an answer of the root's body, written in C++, that is not an item.
auto drive_cpp_on(ModuleState& module, Resumption& resumption, Generator& root, Outcome outcome, bool starting,
                  PyObject** out) -> Outcome;
/// drive_send() after an answer of the root's body that is not an item.
auto drive_on(ModuleState& module, Resumption& resumption, Generator& root, PySendResult result, bool starting,
              PyObject** out) -> Outcome;

/// True when what came up from a body is for the event loop: neither a delegation nor an item of a helper.
inline auto is_for_the_loop(ModuleState const& module, PyObject* object) noexcept -> bool {
  PyTypeObject const* type = Py_TYPE(object);
  return type != module.delegation_type && type != module.wrapped_item_type && type != module.yield_type;
}

/// Resumes a Python body with a value: a coroutine, so it has am_send.
inline auto body_send(Generator& generator, PyObject* value, PyObject** out) -> PySendResult {
  PyObject* body = generator.body.get();
  return Py_TYPE(body)->tp_as_async->am_send(body, value, out);
}

/// Goes on from an answer of the root's Python body; see drive_send().
[[gnu::always_inline]] inline auto drive_from(ModuleState& module, Resumption& resumption, Generator& root,
                                              PySendResult result, bool starting, PyObject** out) -> Outcome {
  PyObject* object = *out;
  if (is_item(module, result, object)) [[likely]] {
    *out = take_wrapped(module, object);
    if (!is_wrapped_request(module, *out)) [[likely]]
      return Outcome::yielded;
  } else if (result == PYGEN_NEXT) {
    if (Py_TYPE(object) == module.yield_type && as<Yield>(object).progress == Progress::initial) {
      auto const yield = Ref<Yield>::steal(&as<Yield>(object));
      yield->progress = Progress::finished;
      *out = yield->value.release();
      return Outcome::yielded;
    }
    // An await, as a rule: anything but a delegation, a box that a helper handed up, and what a kept call may have
    // returned.
    PyTypeObject* type = Py_TYPE(object);
    if (type != module.delegation_type && type != module.wrapped_item_type &&
        !root.state.has(trait::kept_calls | trait::raw_yields))
      return Outcome::awaits;
  }
  return drive_on(module, resumption, root, result, starting, out);
}

/// Sends `value` into the leaf. The answer's object goes to `*out` (a new reference); with `raised` the exception is
/// the thread's current one.
/// \param starting  an operation begins; otherwise one is resumed after an await
inline auto drive_send(ModuleState& module, Resumption& resumption, Generator& root, PyObject* value, bool starting,
                       PyObject** out) -> Outcome {
  Resuming const resuming(resumption, root);
  if (root.state.is_waiting_or_cpp()) [[unlikely]]
    return drive_chain(module, resumption, root, value, starting, out);
  return drive_from(module, resumption, root, body_send(root, value, out), starting, out);
}

}  // namespace engine

#endif
