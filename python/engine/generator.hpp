// The generator object: its methods, attributes, hooks and end of life.
#ifndef ASYNC_GENERATOR_ENGINE_GENERATOR_HPP
#define ASYNC_GENERATOR_ENGINE_GENERATOR_HPP

#include "objects.hpp"

namespace engine {

/// A generator over a body that has not begun. Null with an exception set.
/// \param traits  of namespace trait, as they apply to the body
auto new_generator(ModuleState& module, Object body, std::uint32_t traits) -> PyObject*;

}  // namespace engine

#endif
