// See stop_iteration.hpp. A cached genuine instance would keep its last item alive until the next step; a subclass gets
// control when it is dropped, and lets go of the item then.
#include "stop_iteration.hpp"

#include "awaiting.hpp"

namespace engine {

namespace {

auto base() noexcept -> PyTypeObject* { return reinterpret_cast<PyTypeObject*>(PyExc_StopIteration); }

/// True when nothing was attached to the exception since it was raised.
auto untouched(PyStopIterationObject& stop) noexcept -> bool {
  auto& exception = *reinterpret_cast<PyBaseExceptionObject*>(&stop);
  return exception.dict == nullptr && exception.traceback == nullptr && exception.context == nullptr &&
         exception.cause == nullptr && compat::exception_notes(exception) == nullptr;
}

void stop_dealloc(PyObject* self) {
  auto& stop = as<PyStopIterationObject>(self);
  State* const main = main_interpreter.state;
  State& state = main != nullptr && Py_TYPE(self) == main->stop_type ? *main : look_up_state(self);
  PyObject_GC_UnTrack(self);
  if (untouched(stop) && !PyObject_GC_IsFinalized(self)) {
    Py_CLEAR(stop.value);
    if (state.stops.give(&stop)) return;
  }
  PyTypeObject* type = Py_TYPE(self);
  base()->tp_clear(self);
  PyObject_GC_Del(self);
  Py_DECREF(type);
}

auto stop_traverse(PyObject* self, visitproc visit, void* arg) -> int {
  Py_VISIT(Py_TYPE(self));
  return base()->tp_traverse(self, visit, arg);
}

/// The tuple is made when somebody looks.
auto get_args(PyObject* self, void*) -> PyObject* {
  auto& stop = as<PyStopIterationObject>(self);
  if (stop.args != nullptr && PyTuple_GET_SIZE(stop.args) > 0) return Py_NewRef(stop.args);
  return stop.value == nullptr ? PyTuple_New(0) : PyTuple_Pack(1, stop.value);
}

auto set_args(PyObject* self, PyObject* args, void*) -> int {
  auto tuple = args == nullptr ? nullptr : steal(PySequence_Tuple(args));
  if (!tuple) return -1;
  PyObject* before = std::exchange(as<PyStopIterationObject>(self).args, tuple.release());
  Py_XDECREF(before);
  return 0;
}

/// What a genuine StopIteration with the same arguments is shown as, or pickled to.
auto genuine(PyObject* self) -> Object {
  auto const args = steal(get_args(self, nullptr));
  return args ? steal(PyObject_Call(PyExc_StopIteration, args.get(), nullptr)) : nullptr;
}
auto stop_repr(PyObject* self) -> PyObject* {
  auto const same = genuine(self);
  return same ? PyObject_Repr(same.get()) : nullptr;
}
auto stop_str(PyObject* self) -> PyObject* {
  auto const same = genuine(self);
  return same ? PyObject_Str(same.get()) : nullptr;
}
auto stop_reduce(PyObject* self, PyObject*) -> PyObject* {
  auto const args = steal(get_args(self, nullptr));
  return args ? PyTuple_Pack(2, PyExc_StopIteration, args.get()) : nullptr;
}

PyGetSetDef stop_getset[] = {
    {"args", get_args, set_args, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
PyMethodDef stop_methods[] = {
    {"__reduce__", stop_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyType_Slot stop_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(stop_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(stop_traverse)},
    {Py_tp_repr, reinterpret_cast<void*>(stop_repr)},
    {Py_tp_str, reinterpret_cast<void*>(stop_str)},
    {Py_tp_getset, stop_getset},
    {Py_tp_methods, stop_methods},
    {0, nullptr},
};
PyType_Spec stop_spec = {"async_generator._engine.StopIteration", sizeof(PyStopIterationObject), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, stop_slots};

}  // namespace

auto new_stop_type(PyObject* module) -> PyTypeObject* {
  auto* type = reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &stop_spec, PyExc_StopIteration));
  if (type != nullptr) type->tp_name = "StopIteration";
  return type;
}

void set_recycled_stop(State& state, PyObject* item) {
  if constexpr (compat::recycles && compat::send_uses_iternext) {
    PyStopIterationObject* stop = state.stops.take();
    if (stop == nullptr) {
      auto made = steal(state.stop_type->tp_alloc(state.stop_type, 0));
      if (!made) {
        Py_DECREF(item);
        return;
      }
      stop = &as<PyStopIterationObject>(made.release());
      stop->args = Object(state.empty_tuple).release();
      PyObject_GC_UnTrack(stop);
    }
    stop->value = item;
    PyObject_GC_Track(stop);
    compat::restore_exception(steal(reinterpret_cast<PyObject*>(stop)));
  } else {
    auto const owned = steal(item);
    set_stop_iteration(owned.get());
  }
}

}  // namespace engine
