// A delegation to an iterator that is not driven directly: PEP 828's expansion of `yield from`, a step at a time.
#ifndef ASYNC_GENERATOR_ENGINE_DELEGATION_HPP
#define ASYNC_GENERATOR_ENGINE_DELEGATION_HPP

#include "driver.hpp"

namespace engine {

/// What yield_from_(source) returns. Null with an exception set.
auto new_delegation(ModuleState& module, Object source) -> PyObject*;
/// yield_from_call(function, *arguments): what yield_from_(function(*arguments)) returns. Rewritten code calls it,
/// outside of exception handlers.
auto module_yield_from_call(PyObject* self, PyObject* const* arguments, Py_ssize_t count) -> PyObject*;

/// aiter(source), with an error that says what to write instead. Null with an exception set.
auto iterate(ModuleState& module, PyObject* source) -> Object;

/// Asks the iterator for its first item.
auto begin_foreign(Delegation& delegation, PyObject** out) -> Outcome;
/// Goes on with a sent value: to the operation under way, or as a new anext or asend.
auto send_foreign(Delegation& delegation, PyObject* value, PyObject** out) -> Outcome;
/// Goes on with an exception: to the operation under way, or as a new athrow or aclose.
auto raise_foreign(Delegation& delegation, Object exception, PyObject** out) -> Outcome;

/// Makes the roots above look for their leaf again. The chains are locked.
inline void forget_leaf(Delegation& delegation) noexcept {
  for (Delegation* above = delegation.outer; above != nullptr; above = above->outer) above->innermost = nullptr;
}

/// Takes a delegation out of its chain. The chains are locked; `handled` stays, as dropping it may run code.
inline void cut(Delegation& delegation) noexcept {
  if (delegation.delegate != nullptr) {
    delegation.delegate->flags.clear(flag::delegated | flag::closing);
    if (Delegation* below = delegation_of(*delegation.module, *delegation.delegate)) below->outer = nullptr;
  }
  delegation.delegate = nullptr;
  delegation.parent = nullptr;
  delegation.outer = nullptr;
  delegation.innermost = nullptr;
  delegation.progress = delegation.awaited ? delegation.progress : Progress::finished;
}
/// The same, with what it needs around: whoever remembers a leaf further down looks again. For whoever does not drive
/// the chain, and where another drives the delegate.
void unlink(Delegation& delegation) noexcept;

}  // namespace engine

#endif
