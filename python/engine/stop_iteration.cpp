// See stop_iteration.hpp. The exception stays with the interpreter's state, which has the only reference to it between
// two items.
#include "stop_iteration.hpp"

#include "awaiting.hpp"

namespace engine {

namespace {

/// True without other references to the exception and its arguments. (So these are not empty: the empty tuple is
/// shared.)
auto ours_alone(PyStopIterationObject& stop) noexcept -> bool {
  return Py_REFCNT(&stop) == 1 && Py_REFCNT(stop.args) == 1;
}

/// A StopIteration that carries nothing: its argument is None. Null with an exception set.
auto new_stop() -> Ref<PyStopIterationObject> {
  auto const made = steal(PyObject_CallOneArg(PyExc_StopIteration, Py_None));
  if (made) Py_CLEAR(as<PyStopIterationObject>(made.get()).value);
  return Ref<PyStopIterationObject>::borrow(reinterpret_cast<PyStopIterationObject*>(made.get()));
}

/// Raises the exception, to which there is no other reference, with `item`, whose reference it takes over.
void raise_with(PyStopIterationObject& stop, PyObject* item) noexcept {
  PyTuple_SET_ITEM(stop.args, 0, Py_NewRef(item));
  stop.value = item;
  compat::restore_exception(borrow(reinterpret_cast<PyObject*>(&stop)));
}

/// Lets the user have the exception.
AGEN_OUT_OF_LINE auto leave_stop(ModuleState& module) noexcept -> Object {
  module.stop.reset();
  return nullptr;
}

// Out of line: what it owns would cost every item the saving of registers.
AGEN_OUT_OF_LINE void set_new_stop(ModuleState& module, PyObject* item) {
  auto owned = steal(item);
  auto const stop = new_stop();
  if (!stop) return;
  module.stop = stop;  // what was there may run code of the user, which may need another
  raise_with(*stop, owned.release());
}

}  // namespace

auto take_item_of_stop(ModuleState& module) noexcept -> Object {
  auto& stop = *module.stop;
  // Code that catches it refers to it while its awaitable dies, or has left a traceback in it.
  if (!ours_alone(stop) || reinterpret_cast<PyBaseExceptionObject&>(stop).traceback != nullptr) [[unlikely]]
    return leave_stop(module);
  PyObject* shown = PyTuple_GET_ITEM(stop.args, 0);
  PyTuple_SET_ITEM(stop.args, 0, Py_None);  // where this is used, None needs no counting
  Py_DECREF(shown);                         // not the last reference: the value is the same object
  return steal(std::exchange(stop.value, nullptr));
}

void set_recycled_stop(ModuleState& module, PyObject* item) {
  if constexpr (!compat::recycles || !compat::send_uses_iternext) return set_stop_iteration(steal(item).get());
  PyStopIterationObject* stop = module.stop.get();
  if (stop == nullptr || !ours_alone(*stop) || stop->value != nullptr) [[unlikely]]
    return set_new_stop(module, item);
  raise_with(*stop, item);
}

}  // namespace engine
