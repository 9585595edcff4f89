// The memory of a batch of numbers: an exporter of a buffer, which Python sees only by a memoryview of it.
#ifndef ASYNC_GENERATOR_ENGINE_ITEM_ARRAY_HPP
#define ASYNC_GENERATOR_ENGINE_ITEM_ARRAY_HPP

#include "objects.hpp"

namespace engine {

extern PyType_Spec item_array_spec;

/// See agen::python::abi::engine::make_array.
auto new_item_array(ModuleState& module, void const* items, Py_ssize_t count, Py_ssize_t item_size, char const* format)
    -> PyObject*;

}  // namespace engine

#endif  // ASYNC_GENERATOR_ENGINE_ITEM_ARRAY_HPP
