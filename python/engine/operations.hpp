// What the operations of a generator return: `async_generator_asend` and `async_generator_athrow`.
#ifndef ASYNC_GENERATOR_ENGINE_OPERATIONS_HPP
#define ASYNC_GENERATOR_ENGINE_OPERATIONS_HPP

#include "hooks.hpp"
#include "objects.hpp"

namespace engine {

/// Shows the awaitable to the cyclic collector. One that `async for` makes and uses up in the same breath never is.
inline void track(Awaitable& awaitable) noexcept {
  if (awaitable.tracked) return;
  awaitable.tracked = true;
  PyObject_GC_Track(&awaitable);
}

/// Begins the life of an awaitable whose type, state and argument are set: what a recycled one keeps, its argument
/// null.
AGEN_ALWAYS_INLINE auto set_up(Awaitable& awaitable, Generator& generator, agen::operation operation,
                               bool packed = false) -> PyObject* {
  new (&awaitable.occupancy) Occupancy;  // without (): nothing is written where it is empty
  new (&awaitable.generator) Ref<Generator>(Ref<Generator>::borrow(&generator));
  awaitable.operation = operation;
  awaitable.progress = Progress::initial;
  awaitable.packed = packed;
  awaitable.tracked = false;
  return object_of(awaitable);
}

/// The awaitable of one operation. Calls the hooks if this is the generator's first. Null with an exception set.
/// \param argument  asend: the value; athrow: the exception, or its tuple of arguments if `packed`; otherwise null
/// \param tracked   the caller may keep the awaitable: the cyclic collector must see it from the start
// Inline: what is known at the call leaves little of it, and `async for` makes one an item.
AGEN_ALWAYS_INLINE auto new_awaitable(Generator& generator, agen::operation operation, PyObject* argument,
                                      bool tracked = true, bool packed = false) -> PyObject* {
  if (!generator.state.is_hooked() && !prepare_hooks(generator)) [[unlikely]]
    return nullptr;
  ModuleState& module = state_of(object_of(generator));
  bool const plain = operation == agen::operation::anext || operation == agen::operation::asend;
  Awaitable* awaitable = plain ? module.awaitables.take() : nullptr;
  if (awaitable == nullptr) [[unlikely]] {
    awaitable = allocate<Awaitable>(plain ? module.asend_type : module.athrow_type);
    if (awaitable == nullptr) return nullptr;
    awaitable->module = &module;
  }
  new (&awaitable->argument) Object(borrow(argument));
  PyObject* const made = set_up(*awaitable, generator, operation, packed);
  if (tracked) track(*awaitable);
  return made;
}

/// Closes a generator from a destructor: one step, without a loop. False with the error set that this ended in.
auto close_at_once(ModuleState& module, Generator& generator) -> bool;

}  // namespace engine

#endif
