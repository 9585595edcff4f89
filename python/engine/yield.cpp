// yield_(): what it returns.
//
// A body in which `await yield_(x)` became a real yield (python/async_generator/_rewriting.py) hands the Yield object
// straight to the driver. Anywhere else it is awaited: it then hands up a wrapped item (wrapped_item.hpp), which the
// innermost generator takes, ours or native.
#include "yield.hpp"

#include "awaiting.hpp"
#include "errors.hpp"
#include "wrapped_item.hpp"
#include "yield_from.hpp"

namespace engine {

namespace {

auto refuse_reuse() -> Step {
  set_reused("yield_()");
  return Step::raised();
}

/// What arrives at the await when `exception` is thrown in. Null with an exception set.
auto arriving(Object exception) -> Object {
  bool const stops = PyErr_GivenExceptionMatches(exception.get(), PyExc_StopIteration) != 0;
  return stops ? stop_iteration_at_yield(std::move(exception)) : exception;
}

auto yield_send(PyObject* self, PyObject* value) -> Step {
  auto& yield = as<Yield>(self);
  Occupied const occupied(yield.occupancy);
  if (!occupied) return refuse_reuse();
  if (yield.progress == Progress::started && !yield.held) {
    yield.progress = Progress::finished;
    HandedUp::forget(yield);
    if (yield.pending) {
      auto exception = arriving(std::move(yield.pending));
      if (exception) raise_thrown(std::move(exception), std::move(yield.handled));
      return Step::raised();
    }
    return Step::returned(borrow(value));
  }
  if (yield.progress != Progress::initial) return refuse_reuse();
  // A body that is taken apart gets no error: it could catch that and run for ever. What closes it sees that it yields.
  if (!Dismantling::under_way() && !inside_generator(*yield.module)) {
    yield.progress = Progress::finished;
    if (PyErr_Occurred() != nullptr) return Step::raised();
    set_outside_generator("yield_");
    return Step::raised();
  }
  yield.progress = Progress::started;
  auto wrapped = wrap(*yield.module, std::move(yield.value));
  if (!wrapped) {
    yield.progress = Progress::finished;
    return Step::raised();
  }
  HandedUp::announce(yield, wrapped.get());
  return Step::awaits(std::move(wrapped));
}

auto yield_throw(PyObject* self, Object exception) -> Step {
  Occupied const occupied(as<Yield>(self).occupancy);
  if (!occupied) return refuse_reuse();
  as<Yield>(self).progress = Progress::finished;
  HandedUp::forget(as<Yield>(self));
  exception = arriving(std::move(exception));
  if (exception) compat::restore_exception(std::move(exception));  // the frame that awaits adds the context
  return Step::raised();
}

auto yield_close(PyObject* self, PyObject*) -> PyObject* {
  Occupied const occupied(as<Yield>(self).occupancy);
  if (!occupied) return Py_NewRef(Py_None);
  as<Yield>(self).progress = Progress::finished;
  HandedUp::forget(as<Yield>(self));
  return Py_NewRef(Py_None);
}

void yield_finalize(PyObject* self) {
  auto& yield = as<Yield>(self);
  if (yield.progress != Progress::initial) return;
  yield.progress = Progress::finished;
  if (!Dismantling::under_way()) warn_never_awaited("yield_");
}

auto yield_traverse(PyObject* self, visitproc visit, void* arg) -> int {
  auto& yield = as<Yield>(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(yield.finalizer.get());
  Py_VISIT(yield.value.get());
  Py_VISIT(yield.pending.get());
  Py_VISIT(yield.handled.get());
  return 0;
}

auto yield_clear(PyObject* self) -> int {
  auto& yield = as<Yield>(self);
  yield.finalizer.reset();
  yield.value.reset();
  yield.pending.reset();
  yield.handled.reset();
  return 0;
}

void yield_dealloc(PyObject* self) {
  auto& yield = as<Yield>(self);
  if (yield.progress == Progress::initial && PyObject_CallFinalizerFromDealloc(self) != 0) return;
  PyObject_GC_UnTrack(self);
  yield_clear(self);
  if (!PyObject_GC_IsFinalized(self) && living_state(yield).yields.give(&yield)) return;
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_Del(self);
  Py_DECREF(type);
}

PyDoc_STRVAR(yield_doc, "What yield_() returns: await it to hand the value to the consumer of the async generator.");

using YieldSlots = OperatorSlots<Yield, yield_send, yield_throw, yield_close>;

PyType_Slot yield_slots[] = {
    {Py_tp_doc, const_cast<char*>(yield_doc)},
    {Py_tp_dealloc, reinterpret_cast<void*>(yield_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(yield_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(yield_clear)},
    {Py_tp_finalize, reinterpret_cast<void*>(yield_finalize)},
    YieldSlots::await,
    YieldSlots::send,
    YieldSlots::iter,
    YieldSlots::next,
    {Py_tp_methods, YieldSlots::methods},
    {0, nullptr},
};

}  // namespace

PyType_Spec yield_spec = {
    "async_generator._engine.yield_awaitable",
    sizeof(Yield),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    yield_slots,
};

auto new_yield(ModuleState& module, PyObject* value) -> PyObject* {
  Yield* yield = module.yields.take();
  if (yield == nullptr) {
    yield = allocate<Yield>(module.yield_type);
    if (yield == nullptr) return nullptr;
    yield->module = &module;
    yield->tracked = true;
    new (&yield->occupancy) Occupancy;  // without (): nothing is written where it is empty
    new (&yield->finalizer) Object();
    new (&yield->pending) Object();
    new (&yield->handled) Object();
  }
  new (&yield->value) Object(borrow(value));
  yield->progress = Progress::initial;
  yield->held = false;
  yield->announced = 0;
  PyObject_GC_Track(yield);
  return object_of(*yield);
}

}  // namespace engine
