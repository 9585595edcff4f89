// A step: what comes out when a body, or an awaitable, is resumed.
#ifndef ASYNC_GENERATOR_ENGINE_STEP_HPP
#define ASYNC_GENERATOR_ENGINE_STEP_HPP

#include "compat.hpp"  // first, as Python.h has to be

#include <agen/lifecycle.hpp>
#include <cstdint>
#include <utility>

namespace engine {

/// agen::step, and what only the engine knows. The first three are the interpreter's PySendResult.
enum class StepKind : std::int8_t {
  raised = PYGEN_ERROR,  ///< the exception is the thread's current one
  returned = PYGEN_RETURN,
  awaits = PYGEN_NEXT,  ///< from a body that was not read yet: anything that it hands out, items among it
  yielded,
  refused,     ///< an exception for the consumer from a C++ body, which was not resumed
  gives_up,    ///< an exception for the consumer, or the generator above, and the body goes on. Never leaves the driver
  delegates,   ///< the object is a Delegation. Never leaves the driver
  sends_next,  ///< a body has yet to answer. Never leaves the driver
};

/// Trivial, so that it comes back in two registers. Whoever has a step owns its object: each is taken, or handed on.
struct [[nodiscard]] Step {
  StepKind kind;
  PyObject* object;  ///< a new reference, or null with `raised`, `refused` and `sends_next`

  static auto raised() noexcept -> Step { return {StepKind::raised, nullptr}; }
  static auto returned(Object value) noexcept -> Step { return {StepKind::returned, value.release()}; }
  static auto awaits(Object object) noexcept -> Step { return {StepKind::awaits, object.release()}; }
  static auto yielded(Object item) noexcept -> Step { return {StepKind::yielded, item.release()}; }
  /// What the interpreter's am_send answers.
  static auto sent(PySendResult result, PyObject* object) noexcept -> Step {
    return {static_cast<StepKind>(result), object};
  }

  [[nodiscard]] auto is(StepKind sought) const noexcept -> bool { return kind == sought; }
  /// Gives the object to the caller.
  auto take() noexcept -> Object { return steal(std::exchange(object, nullptr)); }
  /// For the interpreter, of one of the first three kinds.
  auto answer(PyObject** out) const noexcept -> PySendResult {
    *out = object;
    return static_cast<PySendResult>(kind);
  }
};

/// The step in the words of the lifecycle.
constexpr auto lifecycle_step(StepKind kind) noexcept -> agen::step {
  switch (kind) {
    case StepKind::yielded: return agen::step::yielded;
    case StepKind::returned: return agen::step::returned;
    case StepKind::awaits: return agen::step::awaits;
    default: return agen::step::raised;
  }
}

}  // namespace engine

#endif
