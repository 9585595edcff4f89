// yield_from_(): the awaitable, and PEP 828's expansion for iterators that are not driven directly.
#include "delegation.hpp"

#include "awaiting.hpp"
#include "boxes.hpp"
#include "yield.hpp"

namespace engine {

namespace {

auto is_awaitable(PyObject* object) noexcept -> bool {
  return PyCoro_CheckExact(object) ||
         (Py_TYPE(object)->tp_as_async != nullptr && Py_TYPE(object)->tp_as_async->am_await != nullptr);
}

/// StopAsyncIteration's value: its attribute where it has one (3.16, subclasses), else its first argument.
auto stop_value(ModuleState& module, PyObject* stop) -> Object {
  auto value = steal(PyObject_GetAttr(stop, module.names.value.get()));
  if (value) return value;
  PyErr_Clear();
  auto const args = steal(PyObject_GetAttr(stop, module.names.args.get()));
  PyErr_Clear();
  if (args && PyTuple_Check(args.get()) && PyTuple_GET_SIZE(args.get()) > 0)
    return borrow(PyTuple_GET_ITEM(args.get(), 0));
  return none();
}

/// An operation has raised: StopAsyncIteration ends the delegation, except at aclose().
auto failed(Delegation& delegation, PyObject** out) -> Outcome {
  delegation.pending_exit.reset();
  bool const closing = delegation.under_way == agen::operation::aclose;
  if (closing || !PyErr_ExceptionMatches(PyExc_StopAsyncIteration)) return Outcome::raised;
  auto const stop = compat::take_exception();
  *out = stop_value(*delegation.module, stop.get()).release();
  return Outcome::returned;
}

/// Replaces the operation under way, which ag_await shows to other threads too.
void set_awaiting(Delegation& delegation, Object awaiting) noexcept {
  Chains::Driving const lock(delegation.module->chains);
  std::swap(delegation.awaiting, awaiting);  // what was there goes with the argument, when the lock is open again
}

/// Remembers the operation just made and starts it.
auto start(Delegation& delegation, agen::operation operation, Object awaitable, PyObject** out) -> Outcome {
  delegation.under_way = operation;
  if (!awaitable) return failed(delegation, out);
  set_awaiting(delegation, await_iterator(awaitable.get()));
  if (!delegation.awaiting) return Outcome::raised;
  return send_foreign(delegation, Py_None, out);
}

/// The operation under way has answered.
auto conclude(Delegation& delegation, PySendResult result, PyObject** out) -> Outcome {
  if (result == PYGEN_NEXT) return Outcome::awaits;
  set_awaiting(delegation, nullptr);
  if (std::exchange(delegation.opening, false)) {
    if (result == PYGEN_ERROR) return Outcome::raised;
    delegation.iterator = steal(std::exchange(*out, nullptr));
    return send_foreign(delegation, Py_None, out);
  }
  if (result == PYGEN_ERROR) return failed(delegation, out);
  if (delegation.under_way != agen::operation::aclose) return Outcome::yielded;
  Py_CLEAR(*out);
  compat::restore_exception(std::move(delegation.pending_exit));
  return Outcome::raised;
}

/// The iterator's method, null without an exception when it has none.
auto method(Delegation& delegation, Object const& name) -> Object {
  auto found = steal(PyObject_GetAttr(delegation.iterator.get(), name.get()));
  if (!found && PyErr_ExceptionMatches(PyExc_AttributeError)) PyErr_Clear();
  return found;
}

auto raise_now(Object exception) -> Outcome {
  compat::restore_exception(std::move(exception));
  return Outcome::raised;
}

/// Sends into the operation under way, which lives until it has answered, even if it ends the delegation.
auto go_on(Delegation& delegation, PyObject* value, PyObject** out) -> Outcome {
  Nested const nested(" while a generator delegates");
  Object const awaiting = delegation.awaiting;
  auto const result = nested ? await_send(awaiting.get(), value, out) : PYGEN_ERROR;
  return conclude(delegation, result, out);
}

/// Throws into it.
auto go_on_raising(Delegation& delegation, PyObject* exception, PyObject** out) -> Outcome {
  Nested const nested(" while a generator delegates");
  Object const awaiting = delegation.awaiting;
  auto const result = nested ? await_raise(*delegation.module, awaiting.get(), exception, out) : PYGEN_ERROR;
  return conclude(delegation, result, out);
}

}  // namespace

auto iterate(ModuleState& module, PyObject* source) -> Object {
  if (Py_TYPE(source) == module.generator_type) return borrow(source);
  if (Py_TYPE(source)->tp_as_async == nullptr || Py_TYPE(source)->tp_as_async->am_aiter == nullptr) {
    PyErr_Format(PyExc_TypeError,
                 "'%.100s' object is not an async iterable: yield_from_() delegates to async iterables only; "
                 "for another iterable write `for item in ...: await yield_(item)`",
                 Py_TYPE(source)->tp_name);
    return nullptr;
  }
  auto iterator = steal(Py_TYPE(source)->tp_as_async->am_aiter(source));
  if (!iterator || PyAIter_Check(iterator.get()) || is_awaitable(iterator.get())) return iterator;
  PyErr_Format(PyExc_TypeError, "aiter() returned not an async iterator of type '%.100s'",
               Py_TYPE(iterator.get())->tp_name);
  return nullptr;
}

auto begin_foreign(Delegation& delegation, PyObject** out) -> Outcome {
  if (PyAIter_Check(delegation.iterator.get())) return send_foreign(delegation, Py_None, out);
  // `async def __aiter__`, as Python 3.5.0 had it and 1.10 accepts it: what it returns is the iterator.
  delegation.opening = true;
  set_awaiting(delegation, await_iterator(delegation.iterator.get()));
  return delegation.awaiting ? send_foreign(delegation, Py_None, out) : Outcome::raised;
}

auto send_foreign(Delegation& delegation, PyObject* value, PyObject** out) -> Outcome {
  if (delegation.awaiting) return go_on(delegation, value, out);
  PyObject* iterator = delegation.iterator.get();
  if (value == Py_None) {
    PyAsyncMethods const* methods = Py_TYPE(iterator)->tp_as_async;
    if (methods == nullptr || methods->am_anext == nullptr) {
      PyErr_Format(PyExc_TypeError, "'%.100s' object is not an async iterator", Py_TYPE(iterator)->tp_name);
      return Outcome::raised;
    }
    return start(delegation, agen::operation::anext, steal(methods->am_anext(iterator)), out);
  }
  auto const asend = steal(PyObject_GetAttr(iterator, delegation.module->names.asend.get()));
  if (!asend) return Outcome::raised;
  return start(delegation, agen::operation::asend, steal(PyObject_CallOneArg(asend.get(), value)), out);
}

auto raise_foreign(Delegation& delegation, Object exception, PyObject** out) -> Outcome {
  if (delegation.awaiting) return go_on_raising(delegation, exception.get(), out);
  Names const& names = delegation.module->names;
  if (is_generator_exit(exception.get())) {
    auto const aclose = method(delegation, names.aclose);
    if (!aclose) return PyErr_Occurred() != nullptr ? Outcome::raised : raise_now(std::move(exception));
    delegation.pending_exit = std::move(exception);
    return start(delegation, agen::operation::aclose, steal(PyObject_CallNoArgs(aclose.get())), out);
  }
  auto const athrow = method(delegation, names.athrow);
  if (!athrow) {
    if (PyErr_Occurred() != nullptr) return Outcome::raised;
    PyException_SetCause(exception.get(), nullptr);  // raise ... from None
    // The await of the delegation would take a StopIteration for its result.
    if (PyErr_GivenExceptionMatches(exception.get(), PyExc_StopIteration) != 0)
      exception = stop_iteration_at_yield(std::move(exception));
    return exception ? raise_now(std::move(exception)) : Outcome::raised;
  }
  return start(delegation, agen::operation::athrow, steal(PyObject_CallOneArg(athrow.get(), exception.get())), out);
}

void unlink(Delegation& delegation) noexcept {
  Object const dropped = std::move(delegation.handled);  // before the lock: it may be the last reference
  Chains::Stopped const lock(delegation.module->chains);
  forget_leaf(delegation);
  cut(delegation);
}

// The awaitable -------------------------------------------------------------------------------------------------------

namespace {

/// True while an operation is under way on a generator that delegates, however far up, by this. The chains are locked.
auto is_running(Delegation const& delegation) noexcept -> bool {
  for (Delegation const* above = &delegation; above != nullptr; above = above->outer) {
    if (above->parent->flags.has(flag::running)) return true;
  }
  return false;
}

/// Takes a delegation out of its chain by another hand than the driver's. Refused, with the error set, while a driver
/// goes through it.
auto leave(Delegation& delegation) noexcept -> bool {
  Object dropped;  // outlives the lock
  Chains::Stopped const lock(delegation.module->chains);
  if (delegation.parent == nullptr) return true;
  if (is_driven(delegation)) {
    PyErr_SetString(PyExc_ValueError, "async generator already executing");
    return false;
  }
  if (is_running(delegation)) {  // an operation that waits: its leaf is the body that delegates from now on
    delegation.parent->flags.set(flag::running);
    unlock_members(*delegation.module, delegation.delegate);
  }
  forget_leaf(delegation);
  dropped = std::move(delegation.handled);
  cut(delegation);
  return true;
}

/// A stay inside a delegation by its own methods, for a scope. False when there is one already, with the error set: an
/// iterator must not go on with the delegation that asks it.
class Entered {
 public:
  explicit Entered(Delegation& delegation) noexcept : delegation_(delegation), admitted_(!delegation.entered) {
    delegation.entered = true;
    if (!admitted_) PyErr_SetString(PyExc_ValueError, "coroutine already executing");
  }
  ~Entered() {
    if (admitted_) delegation_.entered = false;
  }
  Entered(Entered const&) = delete;
  auto operator=(Entered const&) -> Entered& = delete;
  explicit operator bool() const noexcept { return admitted_; }

 private:
  Delegation& delegation_;
  bool admitted_;
};

void set_reused() { PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited yield_from_()"); }

/// Where an awaited yield_from_() stands. Unknown: an error is set, there was no memory to look.
enum class Place : std::uint8_t { ours, native, nowhere, unknown };

/// True when `frame` is that of a body that is being resumed here. A generator that has a foreign iterator go on does
/// not run its body, and hides what is further away; where the body of another does not run either, that is another
/// greenlet's. False with the error set where there is no memory to look.
auto runs_a_body(ModuleState& module, PyFrameObject* frame) -> bool {
  for (Resumption const* one = Resuming::innermost(); one != nullptr; one = one->outer) {
    if (&state_of(object_of(*one->member)) != &module) return false;
    Object const body = one->member->body;
    auto const own = steal(PyObject_GetAttr(body.get(), module.names.cr_frame.get()));
    if (!Resuming::is_under_way(*one)) return false;  // an audit hook has seen to that, with greenlets
    if (!own) {
      if (PyErr_ExceptionMatches(PyExc_MemoryError)) return false;
      PyErr_Clear();  // a body that has no such frame
    }
    if (own.get() == reinterpret_cast<PyObject*>(frame)) return true;
    Delegation const* delegation = delegation_of(module, *one->member);
    if (delegation != nullptr && delegation->delegate == nullptr) return false;
  }
  return false;
}

/// Looks down the stack for the generator that this await belongs to: a body that a driver runs, or a native async
/// generator nearer by.
auto find_place(ModuleState& module) -> Place {
  constexpr int coroutines = CO_COROUTINE | CO_GENERATOR | CO_ITERABLE_COROUTINE;
  auto frame = Ref<PyFrameObject>::borrow(PyEval_GetFrame());
  if (!frame && PyEval_GetGlobals() != nullptr) PyErr_NoMemory();  // there is a frame, and no object for it
  while (frame) {
    auto const code = Ref<PyCodeObject>::steal(PyFrame_GetCode(frame.get()));
    if ((code->co_flags & CO_COROUTINE) != 0 && runs_a_body(module, frame.get())) return Place::ours;
    if (PyErr_Occurred() != nullptr) return Place::unknown;
    if ((code->co_flags & CO_ASYNC_GENERATOR) != 0) return Place::native;
    if ((code->co_flags & coroutines) == 0) break;
    frame = Ref<PyFrameObject>::steal(PyFrame_GetBack(frame.get()));
  }
  if (PyErr_Occurred() != nullptr) return Place::unknown;
  // A generator of ours further away, with a foreign iterator's coroutine between.
  return Resuming::innermost() != nullptr ? Place::native : Place::nowhere;
}

}  // namespace

auto inside_generator(ModuleState& module) -> bool {
  if (Resuming::innermost() != nullptr) return true;
  Place const place = find_place(module);
  return place == Place::ours || place == Place::native;
}

namespace {

void set_outside() {
  PyErr_SetString(
      PyExc_RuntimeError,
      "yield_from_() was awaited outside an async generator: await it in the body of an async generator, or in "
      "a coroutine that the body awaits; a function that uses it needs @async_generator");
}

/// What the interpreter sees of an answer of the expansion.
auto answer(Delegation& delegation, Outcome outcome, PyObject** out) -> PySendResult {
  switch (outcome) {
    case Outcome::awaits: return PYGEN_NEXT;
    case Outcome::yielded: {
      auto boxed = box(*delegation.module, steal(std::exchange(*out, nullptr)));
      *out = boxed.release();
      if (*out != nullptr) return PYGEN_NEXT;
      [[fallthrough]];
    }
    case Outcome::raised:
    case Outcome::refused:
    case Outcome::delegates:
    case Outcome::goes_on: delegation.progress = Progress::finished; return PYGEN_ERROR;
    case Outcome::returned: break;
  }
  delegation.progress = Progress::finished;
  return PYGEN_RETURN;
}

auto delegation_send(PyObject* self, PyObject* value, PyObject** out) -> PySendResult {
  auto& delegation = as<Delegation>(self);
  *out = nullptr;
  Occupied const occupied(delegation.occupancy);
  if (!occupied) {
    set_reused();
    return PYGEN_ERROR;
  }
  Entered const entered(delegation);
  if (!entered) return PYGEN_ERROR;
  if (delegation.progress == Progress::initial) {
    Place const place = find_place(*delegation.module);
    if (place == Place::unknown) {
      delegation.progress = Progress::finished;
      return PYGEN_ERROR;
    }
    if (place == Place::nowhere) {
      delegation.progress = Progress::finished;
      if (Dismantling::under_way()) {  // as yield_() in a body that is taken apart
        *out = Py_NewRef(Py_None);
        return PYGEN_NEXT;
      }
      set_outside();
      return PYGEN_ERROR;
    }
    delegation.progress = Progress::started;
    delegation.awaited = place == Place::ours;
    if (delegation.awaited) {  // the driver takes it from here, and comes back with the result
      delegation.handled = compat::handled_exception();
      *out = Py_NewRef(self);
      return PYGEN_NEXT;
    }
    delegation.handled.reset();
    auto iterator = iterate(*delegation.module, delegation.iterator.get());
    if (!iterator) {
      delegation.progress = Progress::finished;
      return PYGEN_ERROR;
    }
    delegation.iterator = std::move(iterator);
    return answer(delegation, begin_foreign(delegation, out), out);
  }
  if (delegation.progress == Progress::finished || delegation.parent != nullptr) {
    set_reused();
    return PYGEN_ERROR;
  }
  if (!delegation.awaited) return answer(delegation, send_foreign(delegation, value, out), out);
  delegation.progress = Progress::finished;
  if (delegation.pending) {
    compat::restore_exception(std::move(delegation.pending));  // it was raised further down: no context is added here
    return PYGEN_ERROR;
  }
  *out = Py_NewRef(value);
  return PYGEN_RETURN;
}

/// delegation_raise() by who is inside.
auto raise_in(Delegation& delegation, Object exception, PyObject** out) -> PySendResult {
  if (!leave(delegation)) return PYGEN_ERROR;
  if (delegation.progress == Progress::started && !delegation.awaited) {
    return answer(delegation, raise_foreign(delegation, std::move(exception), out), out);
  }
  // Not begun, or the frames above are thrown into behind the driver's back.
  delegation.progress = Progress::finished;
  compat::restore_exception(std::move(exception));
  return PYGEN_ERROR;
}

auto delegation_raise(PyObject* self, Object exception, PyObject** out) -> PySendResult {
  auto& delegation = as<Delegation>(self);
  *out = nullptr;
  Occupied const occupied(delegation.occupancy);
  if (!occupied) {
    set_reused();
    return PYGEN_ERROR;
  }
  Entered const entered(delegation);
  return entered ? raise_in(delegation, std::move(exception), out) : PYGEN_ERROR;
}

auto delegation_close(PyObject* self, PyObject*) -> PyObject* {
  auto& delegation = as<Delegation>(self);
  Occupied const occupied(delegation.occupancy);
  if (!occupied) {
    set_reused();
    return nullptr;
  }
  Entered const entered(delegation);
  if (!entered || !leave(delegation)) return nullptr;
  if (delegation.progress != Progress::started) {
    delegation.progress = Progress::finished;
    return Py_NewRef(Py_None);
  }
  if (delegation.awaited) {  // the body is taken apart without its driver: close what it delegates to from here
    delegation.awaited = false;
    delegation.progress = Progress::started;
  }
  auto exit = steal(PyObject_CallNoArgs(PyExc_GeneratorExit));
  if (!exit) return nullptr;
  Object ignored;
  auto const result = raise_in(delegation, std::move(exit), ignored.out());
  return closed_answer(result, "coroutine ignored GeneratorExit");
}

void delegation_finalize(PyObject* self) {
  auto& delegation = as<Delegation>(self);
  if (delegation.progress != Progress::initial) return;
  delegation.progress = Progress::finished;
  if (!Dismantling::under_way()) warn_never_awaited("yield_from_");
}

auto delegation_traverse(PyObject* self, visitproc visit, void* arg) -> int {
  auto& delegation = as<Delegation>(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(delegation.finalizer.get());
  Py_VISIT(delegation.iterator.get());
  Py_VISIT(delegation.awaiting.get());
  Py_VISIT(delegation.pending_exit.get());
  Py_VISIT(delegation.pending.get());
  Py_VISIT(delegation.handled.get());
  return 0;
}

void let_go(Delegation& delegation) {
  if (delegation.parent != nullptr || delegation.handled) unlink(delegation);
  delegation.finalizer.reset();
  delegation.iterator.reset();
  delegation.awaiting.reset();
  delegation.pending_exit.reset();
  delegation.pending.reset();
}

auto delegation_clear(PyObject* self) -> int {
  auto& delegation = as<Delegation>(self);
  {  // as generator_clear()
    Chains::Stopped const lock(delegation.module->chains);
    if (delegation.entered || is_driven(delegation)) return 0;
  }
  let_go(delegation);
  // A frame may still wait for it, and close it when its turn comes: there is nothing left to close then.
  if (delegation.progress == Progress::started) delegation.progress = Progress::finished;
  return 0;
}

void delegation_dealloc(PyObject* self) {
  auto& delegation = as<Delegation>(self);
  bool finalized = delegation.progress == Progress::initial;
  if (finalized) {
    if (!std::exchange(delegation.tracked, true)) PyObject_GC_Track(self);  // the finalizer may let somebody have it
    if (PyObject_CallFinalizerFromDealloc(self) != 0) return;
  }
  if (delegation.tracked) {
    finalized |= PyObject_GC_IsFinalized(self) != 0;
    PyObject_GC_UnTrack(self);
  }
  let_go(delegation);
  if (!finalized && living_state(delegation).delegations.give(&delegation)) return;
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_Del(self);
  Py_DECREF(type);
}

PyDoc_STRVAR(delegation_doc,
             "What yield_from_() returns: await it in the body of an async generator (PEP 828's `yield from`).");

using DelegationSlots = OperatorSlots<Delegation, delegation_send, delegation_raise, delegation_close>;

PyType_Slot delegation_slots[] = {
    {Py_tp_doc, const_cast<char*>(delegation_doc)},
    {Py_tp_dealloc, reinterpret_cast<void*>(delegation_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(delegation_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(delegation_clear)},
    {Py_tp_finalize, reinterpret_cast<void*>(delegation_finalize)},
    DelegationSlots::await,
    DelegationSlots::send,
    DelegationSlots::iter,
    DelegationSlots::next,
    {Py_tp_methods, DelegationSlots::methods},
    {0, nullptr},
};

}  // namespace

PyType_Spec delegation_spec = {
    "async_generator._engine.yield_from_awaitable",
    sizeof(Delegation),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    delegation_slots,
};

namespace {

/// \param handled  what the body that delegates handles, or a consumer further down the stack
/// \param tracked  somebody else than a generator may get it
auto make_delegation(ModuleState& module, Object source, Object handled, bool tracked) -> PyObject* {
  Delegation* delegation = module.delegations.take();
  if (delegation == nullptr) {
    delegation = allocate<Delegation>(module.delegation_type);
    if (delegation == nullptr) return nullptr;
    delegation->module = &module;
    new (&delegation->occupancy) Occupancy;  // without (): nothing is written where it is empty
    for (Object* empty :
         {&delegation->finalizer, &delegation->awaiting, &delegation->pending_exit, &delegation->pending})
      new (empty) Object();
    delegation->parent = nullptr;
    delegation->delegate = nullptr;
    delegation->outer = nullptr;
    delegation->innermost = nullptr;
  }
  new (&delegation->iterator) Object(std::move(source));
  new (&delegation->handled) Object(std::move(handled));
  delegation->under_way = agen::operation::anext;
  delegation->progress = Progress::initial;
  delegation->awaited = false;
  delegation->opening = false;
  delegation->taken = false;
  delegation->entered = false;
  delegation->tracked = tracked;
  if (tracked) PyObject_GC_Track(delegation);
  return object_of(*delegation);
}

}  // namespace

auto new_delegation(ModuleState& module, Object source) -> PyObject* {
  return make_delegation(module, std::move(source), compat::handled_exception(), true);
}

auto module_yield_from_call(PyObject* self, PyObject* const* arguments, Py_ssize_t count) -> PyObject* {
  if (count < 1) {
    PyErr_SetString(PyExc_TypeError, "yield_from_call() takes a function and its arguments");
    return nullptr;
  }
  auto source = steal(compat::call(arguments[0], arguments + 1, static_cast<size_t>(count - 1), nullptr));
  if (!source) return nullptr;
  bool const ours = Py_TYPE(source.get()) == main_interpreter.generator_type.load(std::memory_order_relaxed);
  ModuleState& module = ours ? *main_interpreter.module : *static_cast<ModuleState*>(PyModule_GetState(self));
  return make_delegation(module, std::move(source), nullptr, false);
}

}  // namespace engine
