// Decorated functions: what happens when one is called.
#ifndef ASYNC_GENERATOR_ENGINE_FUNCTION_HPP
#define ASYNC_GENERATOR_ENGINE_FUNCTION_HPP

#include "objects.hpp"

namespace engine {

/// `_engine.factory(function, face, prepare, shown=None, parts=0)`: what a decorated function calls. `face` is a
/// function that shows what `function` is, and whose code and defaults count like its own; or None. `shown` is the
/// decorated function's code, or None. `parts` are those of the environment (environment.hpp).
auto module_factory(PyObject* self, PyObject* const* arguments, Py_ssize_t count) -> PyObject*;
/// `_engine.bind(function)`: gives a Python function, the last cell of whose closure holds a factory, its entry in C.
auto module_bind(PyObject* self, PyObject* function) -> PyObject*;

}  // namespace engine

#endif
