// The guard: a body that yields while a timeout, a task group or a cancel scope is open is told so at that yield. What
// is open, and what to say, python/async_generator/_guard.py knows; here is when it is asked.
#ifndef ASYNC_GENERATOR_ENGINE_GUARD_HPP
#define ASYNC_GENERATOR_ENGINE_GUARD_HPP

#include "objects.hpp"

namespace engine {

/// True while new generators are looked at.
inline auto guard_is_on(ModuleState const& module) noexcept -> bool {
  return (module.traits_given.load(std::memory_order_relaxed) & trait::guarded) != 0;
}

/// Turns the guard on or off, for generators that are made from now on.
void set_guard(ModuleState& module, bool on) noexcept;

/// Asks the guard about a generator whose body has just yielded, or asks to delegate. True, with an exception set,
/// where the body is to be told. The generator executes meanwhile: nobody else can resume it.
auto guard_refuses(ModuleState& module, Generator& generator) -> bool;

}  // namespace engine

#endif
