// yield_(): what it returns, and the callables yield_ and yield_from_ themselves.
//
// A body in which `await yield_(x)` became a real yield (python/async_generator/_rewriting.py) hands the Yield object
// straight to the driver. Anywhere else it is awaited: it then hands up a box (boxes.hpp), which the innermost
// generator takes, ours or native.
#include "yield.hpp"

#include "awaiting.hpp"
#include "boxes.hpp"
#include "delegation.hpp"

namespace engine {

namespace {

/// The thread's place in ModuleState::handed_up, counted from 1. Threads' addresses differ in their middle.
auto place_of_thread() noexcept -> std::uint8_t {
  auto const mixed = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(&this_thread)) * 0x9E3779B97F4A7C15U;
  static_assert(std::tuple_size_v<decltype(ModuleState::handed_up)> == 16);
  return static_cast<std::uint8_t>((mixed >> 60U) + 1);
}

/// The yield_() has handed up `box`.
void remember(Yield& yield, PyObject* box) noexcept {
  yield.remembered = place_of_thread();
  HandedUp& place = yield.module->handed_up[yield.remembered - 1U];
  auto kept = Ref<Yield>::borrow(&yield);  // takes what is pushed out with it, when the lock is open again
  compat::Lock const lock(place.mutex);
  place.thread = &this_thread;
  place.box = this_thread.handed_up = box;
  std::swap(place.yield, kept);
}

/// The yield_() goes on or ends.
void forget(Yield& yield) noexcept {
  if (yield.remembered == 0) return;
  HandedUp& place = yield.module->handed_up[std::exchange(yield.remembered, 0) - 1U];
  Ref<Yield> dropped;  // outlives the lock
  compat::Lock const lock(place.mutex);
  if (place.yield.get() == &yield) dropped = std::move(place.yield);
}

auto refuse_reuse() -> PySendResult {
  PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited yield_()");
  return PYGEN_ERROR;
}

/// What arrives at the await when `exception` is thrown in. Null with an exception set.
auto arriving(Object exception) -> Object {
  bool const stops = PyErr_GivenExceptionMatches(exception.get(), PyExc_StopIteration) != 0;
  return stops ? stop_iteration_at_yield(std::move(exception)) : exception;
}

auto yield_send(PyObject* self, PyObject* value, PyObject** out) -> PySendResult {
  auto& yield = as<Yield>(self);
  *out = nullptr;
  Occupied const occupied(yield.occupancy);
  if (!occupied) return refuse_reuse();
  if (yield.progress == Progress::started && !yield.held) {
    yield.progress = Progress::finished;
    forget(yield);
    if (yield.pending) {
      auto exception = arriving(std::move(yield.pending));
      if (exception) raise_thrown(std::move(exception), std::move(yield.handled));
      return PYGEN_ERROR;
    }
    *out = Py_NewRef(value);
    return PYGEN_RETURN;
  }
  if (yield.progress != Progress::initial) return refuse_reuse();
  // A body that is taken apart gets no error, which it may catch to go on for ever: whoever closes it sees that it
  // yields.
  if (!Dismantling::under_way() && !inside_generator(*yield.module)) {
    yield.progress = Progress::finished;
    if (PyErr_Occurred() != nullptr) return PYGEN_ERROR;
    PyErr_SetString(
        PyExc_RuntimeError,
        "yield_() was awaited outside an async generator: await it in the body of an async generator, or in a "
        "coroutine that the body awaits; a function that uses it needs @async_generator");
    return PYGEN_ERROR;
  }
  yield.progress = Progress::started;
  auto boxed = box(*yield.module, std::move(yield.value));
  if (!boxed) {
    yield.progress = Progress::finished;
    return PYGEN_ERROR;
  }
  remember(yield, boxed.get());
  *out = boxed.release();
  return PYGEN_NEXT;
}

auto yield_raise(PyObject* self, Object exception, PyObject** out) -> PySendResult {
  *out = nullptr;
  Occupied const occupied(as<Yield>(self).occupancy);
  if (!occupied) return refuse_reuse();
  as<Yield>(self).progress = Progress::finished;
  forget(as<Yield>(self));
  exception = arriving(std::move(exception));
  if (exception) compat::restore_exception(std::move(exception));  // the frame that awaits adds the context
  return PYGEN_ERROR;
}

auto yield_close(PyObject* self, PyObject*) -> PyObject* {
  Occupied const occupied(as<Yield>(self).occupancy);
  if (!occupied) return Py_NewRef(Py_None);
  as<Yield>(self).progress = Progress::finished;
  forget(as<Yield>(self));
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

using YieldSlots = OperatorSlots<Yield, yield_send, yield_raise, yield_close>;

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

/// The one argument of an operator, by position or by `name`; `fallback` when it is left out. Null with TypeError set.
auto only_argument(char const* function, char const* name, PyObject* fallback, PyObject* const* arguments, size_t count,
                   PyObject* keywords) -> PyObject* {
  Py_ssize_t const positional = PyVectorcall_NARGS(count);
  Py_ssize_t const named = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
  if (named > 0 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(keywords, 0), name) != 0) {
    PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", function,
                 PyTuple_GET_ITEM(keywords, 0));
    return nullptr;
  }
  if (positional + named == 1) return arguments[0];
  if (positional + named == 0 && fallback != nullptr) return fallback;
  if (positional + named == 0) {
    PyErr_Format(PyExc_TypeError, "%s() missing 1 required positional argument: '%s'", function, name);
  } else if (named > 0) {
    PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%s'", function, name);
  } else {
    PyErr_Format(PyExc_TypeError, "%s() takes %s but %zd were given", function,
                 fallback != nullptr ? "from 0 to 1 positional arguments" : "1 positional argument", positional);
  }
  return nullptr;
}

}  // namespace

auto take_handed_up(ModuleState& module, PyObject* box) noexcept -> Ref<Yield> {
  HandedUp& place = module.handed_up[place_of_thread() - 1U];
  compat::Lock const lock(place.mutex);
  this_thread.handed_up = nullptr;
  if (place.thread != &this_thread || place.box != box || !place.yield) return nullptr;
  place.yield->remembered = 0;
  return std::move(place.yield);
}

void raise_thrown(Object exception, Object by_consumer) {
  auto const handled = compat::handled_exception();
  if (handled && handled.get() != by_consumer.get()) {
    raise_here(std::move(exception));
  } else {
    compat::restore_exception(std::move(exception));
  }
}

auto stop_iteration_at_yield(Object exception) -> Object {
  return runtime_error_from(std::move(exception), "generator raised StopIteration");
}

PyType_Spec yield_spec = {
    "async_generator._engine.yield_awaitable",
    sizeof(Yield),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    yield_slots,
};

auto yield_entry(PyObject* self, PyObject* const* arguments, size_t count, PyObject* keywords) -> PyObject* {
  ModuleState& module = *as<Operator>(self).module;
  PyObject* value = PyVectorcall_NARGS(count) == 1 && keywords == nullptr
                        ? arguments[0]
                        : only_argument("yield_", "value", Py_None, arguments, count, keywords);
  if (value == nullptr) return nullptr;
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
  yield->remembered = 0;
  PyObject_GC_Track(yield);
  return object_of(*yield);
}

auto yield_from_entry(PyObject* self, PyObject* const* arguments, size_t count, PyObject* keywords) -> PyObject* {
  PyObject* source = only_argument("yield_from_", "delegate", nullptr, arguments, count, keywords);
  return source == nullptr ? nullptr : new_delegation(*as<Operator>(self).module, borrow(source));
}

// The callables -------------------------------------------------------------------------------------------------------

namespace {

auto operator_repr(PyObject* self) -> PyObject* {
  auto const name = steal(PyObject_GetAttrString(self, "__qualname__"));
  return name ? PyUnicode_FromFormat("<function %U at %p>", name.get(), self) : nullptr;
}

/// Pickled and copied by name, as functions are.
auto operator_reduce(PyObject* self, PyObject*) -> PyObject* { return PyObject_GetAttrString(self, "__qualname__"); }

auto operator_traverse(PyObject* self, visitproc visit, void* arg) -> int {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(as<Operator>(self).dict);
  return 0;
}

auto operator_clear(PyObject* self) -> int {
  Py_CLEAR(as<Operator>(self).dict);
  return 0;
}

void operator_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  operator_clear(self);
  PyObject_GC_Del(self);
  Py_DECREF(type);
}

PyMethodDef operator_methods[] = {
    {"__reduce__", operator_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyMemberDef operator_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Operator, vectorcall), READONLY, nullptr},
    {"__dictoffset__", T_PYSSIZET, offsetof(Operator, dict), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyGetSetDef operator_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot operator_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(operator_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(operator_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(operator_clear)},
    {Py_tp_repr, reinterpret_cast<void*>(operator_repr)},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_methods, operator_methods},
    {Py_tp_members, operator_members},
    {Py_tp_getset, operator_getset},
    {0, nullptr},
};

}  // namespace

PyType_Spec operator_spec = {
    "async_generator._engine.operator",
    sizeof(Operator),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION |
        Py_TPFLAGS_IMMUTABLETYPE,
    operator_slots,
};

auto new_operator(ModuleState& module, vectorcallfunc entry) -> Object {
  auto* made = allocate<Operator>(module.operator_type);
  if (made == nullptr) return nullptr;
  made->vectorcall = entry;
  made->module = &module;
  made->dict = nullptr;
  PyObject_GC_Track(made);
  compat::share_between_threads(object_of(*made));
  return steal(object_of(*made));
}

}  // namespace engine
