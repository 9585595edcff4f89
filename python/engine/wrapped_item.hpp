// Wrapped items: the interpreter's own async_generator_wrapped_value objects. A real yield of a native async generator
// hands out its item in one. So does a yield_() that is awaited: then the innermost generator takes it, ours or native,
// through whatever coroutines are in between.
#ifndef ASYNC_GENERATOR_ENGINE_WRAPPED_ITEM_HPP
#define ASYNC_GENERATOR_ENGINE_WRAPPED_ITEM_HPP

#include "objects.hpp"
#include "step.hpp"

namespace engine {

/// Finds the type of wrapped items through public slots only, and checks its layout. False with an exception set.
/// \param native_generator  a new native async generator that wraps what is sent into it: `while True: x = yield x`
auto set_up_wrapped_items(ModuleState& module, PyObject* native_generator) -> bool;
/// `item`, wrapped. Null with an exception set.
auto wrap(ModuleState& module, Object item) -> Object;
/// The item in a wrapped one.
auto unwrap(ModuleState& module, PyObject* wrapped) -> Object;

/// Where a wrapped item of the checked layout keeps the item: right after the object's head (Objects/genobject.c,
/// _PyAsyncGenWrappedValue).
inline auto slot_of(PyObject* wrapped) noexcept -> PyObject** {
  return reinterpret_cast<PyObject**>(reinterpret_cast<char*>(wrapped) + sizeof(PyObject));
}

/// take_wrapped() where the wrapped item has other references, or its layout is not known.
auto take_by_copy(ModuleState& module, PyObject* wrapped) -> PyObject*;

/// True for a wrapped item of the checked layout that only the caller refers to.
inline auto is_own_wrapped(ModuleState const& module, PyObject* object) noexcept -> bool {
  return Py_TYPE(object) == module.known_wrapped_type && Py_REFCNT(object) == 1;
}

/// Takes the item out of such a one, and drops that.
inline auto take_own_wrapped(PyObject* wrapped) -> PyObject* {
  PyObject* item = std::exchange(*slot_of(wrapped), nullptr);
  Py_DECREF(wrapped);
  return item;
}

/// Takes the item out of a wrapped one that the caller owns, and drops that.
inline auto take_wrapped(ModuleState& module, PyObject* wrapped) -> PyObject* {
  return is_own_wrapped(module, wrapped) ? take_own_wrapped(wrapped) : take_by_copy(module, wrapped);
}

/// True for an item that asks for a delegation: only yield_from_call() makes one that is not tracked, and only
/// rewritten code, which hands it out at a real yield, calls that. (3.10 wraps what a real yield hands out.)
inline auto is_wrapped_request(ModuleState& module, PyObject* item) noexcept -> bool {
  return compat::yields_wrap && Py_TYPE(item) == module.delegation_type && !as<Delegation>(item).tracked;
}

/// True for a step that is what a real yield hands out, and no more: a wrapped item.
inline auto is_item(ModuleState const& module, Step step) noexcept -> bool {
  return step.is(StepKind::awaits) && Py_TYPE(step.object) == module.wrapped_item_type &&
         !HandedUp::may_be(step.object);
}

/// True for a step that hands out a yield_() which is not awaited: rewritten code does that at a real yield.
inline auto is_handed_yield(ModuleState const& module, Step step) noexcept -> bool {
  return Py_TYPE(step.object) == module.yield_type && as<Yield>(step.object).progress == Progress::initial;
}

/// The item of such a step, which ends the yield_().
inline auto take_handed_yield(Step step) noexcept -> Step {
  auto const yield = Ref<Yield>::steal(&as<Yield>(step.object));
  yield->progress = Progress::finished;
  return Step::yielded(std::move(yield->value));
}

/// is_item() for the hot path, of an object that came out. False where it takes a closer look: also of one whose layout
/// is not known or that has other references, and of a request.
inline auto holds_item(ModuleState& module, PyObject* answer) noexcept -> bool {
  return is_own_wrapped(module, answer) && !HandedUp::may_be(answer) && !is_wrapped_request(module, *slot_of(answer));
}

}  // namespace engine

#endif
