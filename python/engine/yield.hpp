// What yield_() returns: the awaitable that hands an item to the consumer.
#ifndef ASYNC_GENERATOR_ENGINE_YIELD_HPP
#define ASYNC_GENERATOR_ENGINE_YIELD_HPP

#include "objects.hpp"

namespace engine {

/// What yield_(value) returns. Null with an exception set.
auto new_yield(ModuleState& module, PyObject* value) -> PyObject*;

}  // namespace engine

#endif
