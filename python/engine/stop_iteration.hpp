// The StopIteration that carries an item to `async for` on CPython 3.12 to 3.14, recycled: making and dropping a
// genuine one costs a third of an item there.
#ifndef ASYNC_GENERATOR_ENGINE_STOP_ITERATION_HPP
#define ASYNC_GENERATOR_ENGINE_STOP_ITERATION_HPP

#include "objects.hpp"

namespace engine {

/// Raises StopIteration(item) and takes over the reference to `item`. The interpreter's SEND takes the value out and
/// drops the exception at once; only next(awaitable) lets a user see it.
void set_recycled_stop(State& state, PyObject* item);

/// Makes the type: a subclass of StopIteration that looks like it.
auto new_stop_type(PyObject* module) -> PyTypeObject*;

}  // namespace engine

#endif
