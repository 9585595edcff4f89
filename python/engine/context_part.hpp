// The context part of an environment: the contextvars context that a body runs in (PEP 567, PEP 568).
#ifndef ASYNC_GENERATOR_ENGINE_CONTEXT_PART_HPP
#define ASYNC_GENERATOR_ENGINE_CONTEXT_PART_HPP

#include "objects.hpp"

namespace engine {

/// Entered and left around each resumption. Nothing at all where the environment has no such part.
///
/// Own: a copy of the context that the first resumption found. Layered: a context that holds the caller's variables, as
/// they are now, and above them those that the body has set and not reset; `Layer` in _environment.py keeps it so. It
/// is asked when variables have changed, and not otherwise.
class ContextPart {
 public:
  ContextPart(bool own, bool layered) noexcept : has_(own || layered), layered_(layered) {}

  /// False with an exception set, and nothing entered.
  auto enter(ModuleState& module) -> bool {
    if (!has_) return true;
    if (!context_ || layered_) return enter_elsewhere(module);
    return PyContext_Enter(context_.get()) == 0;
  }
  /// There is no current exception.
  void leave(ModuleState& module) noexcept {
    if (has_ && (PyContext_Exit(context_.get()) != 0 || layered_)) left(module);
  }

  auto traverse(visitproc visit, void* arg) const -> int;

 private:
  auto enter_elsewhere(ModuleState& module) -> bool;
  void left(ModuleState& module) noexcept;
  auto begin(ModuleState& module) -> bool;
  auto follow_caller(ModuleState& module) -> bool;

  Object context_;  // null before the first resumption
  Object layer_;    // of a layered one: a Layer
  Object caller_;   // the caller's variables when it was followed last, as a context
  Object left_;     // `context_` as it was left
  bool has_;
  bool layered_;
};

/// Finds out where a context keeps its variables, so that two can be compared without a call
/// (ModuleState::context_vars). False with an exception set. Where it cannot be found out, layers ask at each
/// resumption.
auto set_up_contexts(ModuleState& module) -> bool;

}  // namespace engine

#endif
