// Drives the bodies of a generator and of all it delegates to: sends and throws into the leaf, hands what a leaf
// returns or raises to the generator above it, and says what came out. The operations (operations.cpp) turn that into
// PEP 525's answers; this file knows nothing of them.
#ifndef ASYNC_GENERATOR_ENGINE_DRIVE_HPP
#define ASYNC_GENERATOR_ENGINE_DRIVE_HPP

#include "body.hpp"
#include "objects.hpp"
#include "resumption.hpp"
#include "step.hpp"

namespace engine {

/// Sends `value` into the leaf of a root that waits at a Suspension.
auto drive_chain(ModuleState& module, Resumption& resumption, Generator& root, PyObject* value, bool starting) -> Step;
/// Reads a step of the root's body that is more than an item or an await.
auto drive_on(ModuleState& module, Resumption& resumption, Generator& root, Step step, bool starting) -> Step;
/// Sends `value` into the leaf, wherever that is suspended. For generators that the guard looks at.
auto drive_through(ModuleState& module, Resumption& resumption, Generator& root, PyObject* value, bool starting)
    -> Step;
/// Throws into the leaf. At a yield GeneratorExit closes what is delegated to, level by level (PEP 828).
auto drive_throw(ModuleState& module, Resumption& resumption, Generator& root, Object exception, bool starting) -> Step;

/// Reads a step of the root's body; the operation's step comes back. See drive_send().
AGEN_ALWAYS_INLINE auto drive_from(ModuleState& module, Resumption& resumption, Generator& root, Step step,
                                   bool starting) -> Step {
  if (step.is(StepKind::yielded)) return step;
  if (is_item(module, step)) [[likely]] {
    PyObject* item = take_wrapped(module, step.object);
    if (!is_wrapped_request(module, item)) [[likely]]
      return {StepKind::yielded, item};
    step.object = item;
  } else if (step.is(StepKind::awaits)) {
    if (is_handed_yield(module, step)) return take_handed_yield(step);
    PyTypeObject* type = Py_TYPE(step.object);
    // An await, as a rule: anything but a delegation, a wrapped item that a helper handed up, and what a kept call may
    // have returned.
    if (type != module.delegation_type && type != module.wrapped_item_type &&
        !root.state.has(trait::kept_calls | trait::raw_yields))
      return step;
  }
  return drive_on(module, resumption, root, step, starting);
}

/// Sends `value` into the leaf, and answers with a step that is no request.
/// \param starting  an operation begins; otherwise one is resumed after an await
// Inlined where an operation is, though more than one place calls it.
AGEN_ALWAYS_INLINE auto drive_send(ModuleState& module, Resumption& resumption, Generator& root, PyObject* value,
                                   bool starting) -> Step {
  Step step;
  {
    Resuming const resuming(resumption, root);
    if (root.state.is_waiting()) [[unlikely]]
      return drive_chain(module, resumption, root, value, starting);
    step = body_send(root, value);
  }
  return drive_from(module, resumption, root, step, starting);
}

}  // namespace engine

#endif
