// Boxes: the interpreter's own async_generator_wrapped_value objects. A yield_() that is awaited hands its item up in
// one, so that the innermost generator takes it, ours or native, whatever coroutines stand between.
#ifndef ASYNC_GENERATOR_ENGINE_BOXES_HPP
#define ASYNC_GENERATOR_ENGINE_BOXES_HPP

#include "objects.hpp"

namespace engine {

/// Finds the type of boxes through public slots only, and checks its layout. False with an exception set.
/// \param native_generator  a new native async generator that wraps what is sent into it: `while True: x = yield x`
auto set_up_boxes(ModuleState& module, PyObject* native_generator) -> bool;
/// A new box that holds `item`. Null with an exception set.
auto box(ModuleState& module, Object item) -> Object;
/// What a box holds.
auto unbox(ModuleState& module, PyObject* box) -> Object;

/// Where a box of the checked layout keeps its item: right behind the object's head (Objects/genobject.c,
/// _PyAsyncGenWrappedValue).
inline auto slot_of(PyObject* box) noexcept -> PyObject** {
  return reinterpret_cast<PyObject**>(reinterpret_cast<char*>(box) + sizeof(PyObject));
}

/// take_from_box() where somebody else has the box, or its layout is not known.
auto take_by_copy(ModuleState& module, PyObject* box) -> PyObject*;

/// True for a box of the checked layout that only the caller has.
inline auto is_own_box(ModuleState const& module, PyObject* object) noexcept -> bool {
  return Py_TYPE(object) == module.direct_box_type && Py_REFCNT(object) == 1;
}

/// Takes the item out of such a box, and drops the box.
inline auto take_from_own_box(PyObject* box) -> PyObject* {
  PyObject* item = std::exchange(*slot_of(box), nullptr);
  Py_DECREF(box);
  return item;
}

/// Takes the item out of a box that the caller owns, and drops the box.
inline auto take_from_box(ModuleState& module, PyObject* box) -> PyObject* {
  return is_own_box(module, box) ? take_from_own_box(box) : take_by_copy(module, box);
}

}  // namespace engine

#endif
