// The StopIteration that carries an item to `async for` on CPython 3.12 to 3.14, recycled: making and dropping one
// costs a third of an item there.
#ifndef ASYNC_GENERATOR_ENGINE_STOP_ITERATION_HPP
#define ASYNC_GENERATOR_ENGINE_STOP_ITERATION_HPP

#include "objects.hpp"

namespace engine {

/// Raises StopIteration(item) and takes over the reference to `item`. The interpreter's SEND takes the value out and
/// lets go of the exception at once; only next(awaitable) lets a user see it.
void set_recycled_stop(ModuleState& module, PyObject* item);

/// take_carried_item() when there is one.
auto take_item_of_stop(ModuleState& module) noexcept -> Object;

/// Takes back what the recycled exception still holds of the item that it carried; null if there is nothing, or if a
/// user has the exception, which is then not used again. To be asked when the awaitable dies, which `async for` and
/// `await` let it do before the item is theirs: so an item lives no longer than with an exception of its own.
inline auto take_carried_item(ModuleState& module) noexcept -> Object {
  if (!compat::recycles || !compat::send_uses_iternext || !module.stop || module.stop->value == nullptr) return nullptr;
  return take_item_of_stop(module);
}

}  // namespace engine

#endif
