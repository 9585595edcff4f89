// See stop_iteration.hpp. The exception stays with the interpreter's state, which has the only reference to it between
// two items.
#include "stop_iteration.hpp"

#include "awaiting.hpp"

namespace engine {

namespace {

/// True when nobody else has the exception, of which we have `references`, or its arguments. (So they are not empty:
/// the empty tuple is everybody's.)
auto ours_alone(PyStopIterationObject& stop, Py_ssize_t references) noexcept -> bool {
  return Py_REFCNT(&stop) == references && Py_REFCNT(stop.args) == 1;
}

/// True when one more reference is all that was added to it since it was made, and it carries nothing.
auto usable(PyStopIterationObject& stop) noexcept -> bool {
  auto& exception = *reinterpret_cast<PyBaseExceptionObject*>(&stop);
  return ours_alone(stop, 2) && stop.value == nullptr && PyTuple_GET_ITEM(stop.args, 0) == Py_None &&
         exception.traceback == nullptr && exception.context == nullptr && exception.cause == nullptr &&
         exception.dict == nullptr && compat::exception_notes(exception) == nullptr;
}

/// A StopIteration that carries nothing: its argument is None. Null with an exception set.
auto new_stop() -> Ref<PyStopIterationObject> {
  auto const made = steal(PyObject_CallOneArg(PyExc_StopIteration, Py_None));
  if (made) Py_CLEAR(as<PyStopIterationObject>(made.get()).value);
  return Ref<PyStopIterationObject>::borrow(reinterpret_cast<PyStopIterationObject*>(made.get()));
}

}  // namespace

auto take_item_of_stop(State& state) noexcept -> Object {
  auto& stop = *state.stop;
  if (!ours_alone(stop, 1)) return nullptr;
  PyObject* shown = PyTuple_GET_ITEM(stop.args, 0);
  PyTuple_SET_ITEM(stop.args, 0, Py_None);  // where this is used, None needs no counting
  Py_DECREF(shown);                         // not the last reference: the value is the same object
  return steal(std::exchange(stop.value, nullptr));
}

void set_recycled_stop(State& state, PyObject* item) {
  if constexpr (!compat::recycles || !compat::send_uses_iternext) return set_stop_iteration(steal(item).get());
  auto stop = state.stop;
  if (!stop || !usable(*stop)) [[unlikely]] {
    auto owned = steal(item);
    stop = new_stop();
    if (!stop) return;
    state.stop = stop;  // what was there may run code of the user, which may need another
    item = owned.release();
  }
  PyTuple_SET_ITEM(stop->args, 0, Py_NewRef(item));
  stop->value = item;
  compat::restore_exception(steal(reinterpret_cast<PyObject*>(stop.release())));
}

}  // namespace engine
