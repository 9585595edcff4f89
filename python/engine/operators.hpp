// The callables yield_ and yield_from_.
#ifndef ASYNC_GENERATOR_ENGINE_OPERATORS_HPP
#define ASYNC_GENERATOR_ENGINE_OPERATORS_HPP

#include "objects.hpp"

namespace engine {

/// A new yield_ or yield_from_ callable. Null with an exception set.
auto new_operator(ModuleState& module, vectorcallfunc entry) -> Object;
auto yield_entry(PyObject* self, PyObject* const* arguments, size_t count, PyObject* keywords) -> PyObject*;
auto yield_from_entry(PyObject* self, PyObject* const* arguments, size_t count, PyObject* keywords) -> PyObject*;

}  // namespace engine

#endif
