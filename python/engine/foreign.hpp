// A delegation to an iterator that is not driven directly: PEP 828's expansion of `yield from`, a step at a time.
#ifndef ASYNC_GENERATOR_ENGINE_FOREIGN_HPP
#define ASYNC_GENERATOR_ENGINE_FOREIGN_HPP

#include "objects.hpp"
#include "step.hpp"

namespace engine {

/// aiter(source), with an error that says what to write instead. Null with an exception set.
auto iterate(ModuleState& module, PyObject* source) -> Object;

/// Asks the iterator for its first item.
auto begin_foreign(Delegation& delegation) -> Step;
/// Sends a value: to the operation under way, or as a new anext or asend.
auto send_foreign(Delegation& delegation, PyObject* value) -> Step;
/// Throws an exception: into the operation under way, or as a new athrow or aclose.
auto throw_foreign(Delegation& delegation, Object exception) -> Step;

}  // namespace engine

#endif
