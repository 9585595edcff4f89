// What yield_from_() returns: the awaitable that asks for a delegation.
#ifndef ASYNC_GENERATOR_ENGINE_YIELD_FROM_HPP
#define ASYNC_GENERATOR_ENGINE_YIELD_FROM_HPP

#include "objects.hpp"

namespace engine {

/// What yield_from_(source) returns. Null with an exception set.
auto new_delegation(ModuleState& module, Object source) -> PyObject*;
/// yield_from_call(function, *arguments): what yield_from_(function(*arguments)) returns. Rewritten code calls it,
/// outside of exception handlers.
auto module_yield_from_call(PyObject* self, PyObject* const* arguments, Py_ssize_t count) -> PyObject*;
/// give_up(exception): awaited in a body that a driver runs, it ends the operation by the exception, and not the body.
auto module_give_up(PyObject* self, PyObject* exception) -> PyObject*;

/// True when the running frame belongs to an async generator, ours or native, that takes what it yields. False with an
/// error set where there is no memory to look.
auto inside_generator(ModuleState& module) -> bool;

}  // namespace engine

#endif
