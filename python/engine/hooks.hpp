// The hooks of PEP 525: a generator asks for its thread's at its first iteration.
#ifndef ASYNC_GENERATOR_ENGINE_HOOKS_HPP
#define ASYNC_GENERATOR_ENGINE_HOOKS_HPP

#include "objects.hpp"

namespace engine {

/// Calls the firstiter hook and captures the finalizer, once a generator. False with the exception of the hook set.
auto prepare_hooks(Generator& generator) -> bool;
/// The finalizer captured, which is called once; or null.
auto take_finalizer(Generator& generator) -> Object;

}  // namespace engine

#endif
