// A delegation to an iterator that is not driven directly: PEP 828's expansion of `yield from`, a step at a time.
#ifndef ASYNC_GENERATOR_ENGINE_DELEGATION_HPP
#define ASYNC_GENERATOR_ENGINE_DELEGATION_HPP

#include "driver.hpp"

namespace engine {

/// What yield_from_(source) returns. Null with an exception set.
auto new_delegation(State& state, PyObject* source) -> PyObject*;

/// aiter(source), with an error that says what to write instead. Null with an exception set.
auto iterate(State& state, PyObject* source) -> Object;

/// Asks the iterator for its first item.
auto begin_foreign(Delegation& delegation, PyObject** out) -> Outcome;
/// Goes on with a sent value: to the operation under way, or as a new anext or asend.
auto send_foreign(Delegation& delegation, PyObject* value, PyObject** out) -> Outcome;
/// Goes on with an exception: to the operation under way, or as a new athrow or aclose.
auto raise_foreign(Delegation& delegation, Object exception, PyObject** out) -> Outcome;

/// Takes a delegation out of its chain.
void unlink(Delegation& delegation) noexcept;

}  // namespace engine

#endif
