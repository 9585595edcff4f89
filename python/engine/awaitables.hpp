// What the operations of a generator return: `async_generator_asend` and `async_generator_athrow`.
#ifndef ASYNC_GENERATOR_ENGINE_AWAITABLES_HPP
#define ASYNC_GENERATOR_ENGINE_AWAITABLES_HPP

#include "objects.hpp"

namespace engine {

/// The awaitable of one operation. Calls the hooks if this is the generator's first. Null with an exception set.
/// \param argument  asend: the value; athrow: the exception, or its tuple of arguments if `packed`; otherwise null
/// \param tracked   the caller may keep the awaitable: the cyclic collector must see it from the start
auto new_awaitable(Generator& generator, agen::operation operation, PyObject* argument, bool tracked = true,
                   bool packed = false) -> PyObject*;

/// Closes a generator from a destructor: one step, without a loop. Sets the error that this ends in and answers false.
auto close_at_once(State& state, Generator& generator) -> bool;

}  // namespace engine

#endif
