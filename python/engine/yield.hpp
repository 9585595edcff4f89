// yield_(): the awaitable that hands an item to the consumer, and the two public callables.
#ifndef ASYNC_GENERATOR_ENGINE_YIELD_HPP
#define ASYNC_GENERATOR_ENGINE_YIELD_HPP

#include "objects.hpp"

namespace engine {

/// A new yield_ or yield_from_ callable. Null with an exception set.
auto new_operator(ModuleState& module, vectorcallfunc entry) -> Object;
auto yield_entry(PyObject* self, PyObject* const* arguments, size_t count, PyObject* keywords) -> PyObject*;
auto yield_from_entry(PyObject* self, PyObject* const* arguments, size_t count, PyObject* keywords) -> PyObject*;

/// The yield_() that handed up `box` on this thread, unless it has gone on or ended since; it is forgotten. Null if
/// there is none.
auto take_handed_up(ModuleState& module, PyObject* box) noexcept -> Ref<Yield>;

/// What a StopIteration becomes that is thrown in at a yield_(): an await cannot let one through (1.10 pins the text).
auto stop_iteration_at_yield(Object exception) -> Object;

/// Raises an exception that was thrown in at an await. As with a generator's throw(), what the awaiting frame handles
/// becomes its context; what the consumer handles does not.
void raise_thrown(Object exception, Object by_consumer);

/// True when the running frame belongs to an async generator, ours or native, that takes what it yields. False with an
/// error set where there is no memory to look.
auto inside_generator(ModuleState& module) -> bool;

}  // namespace engine

#endif
