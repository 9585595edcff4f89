// yield_from_(): the awaitable. Awaited in a body that a driver runs, it is a request to that driver, and later the end
// of the delegation; elsewhere, in a native async generator, it goes through PEP 828's steps by itself.
#include "yield_from.hpp"

#include "awaiting.hpp"
#include "chain.hpp"
#include "errors.hpp"
#include "foreign.hpp"
#include "wrapped_item.hpp"

namespace engine {

namespace {

/// Takes a delegation out of its chain. Refused, with the error set, while a driver goes through it.
auto leave(Delegation& delegation) noexcept -> bool {
  if (Chain::leave(delegation)) return true;
  set_generator_executing();
  return false;
}

/// A stay inside a delegation by its own methods, for a scope. False when there is one already, with the error set: an
/// iterator must not resume the delegation that asks it.
class Entered {
 public:
  explicit Entered(Delegation& delegation) noexcept : delegation_(delegation), admitted_(!delegation.entered) {
    delegation.entered = true;
    if (!admitted_) set_coroutine_executing();
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

/// What awaits a yield_from_(). Unknown: there was no memory to look, and the error is set.
enum class Place : std::uint8_t { ours, native, nowhere, unknown };

/// True when `frame` is that of a body that is being resumed here. Stops at a generator that is waiting for a foreign
/// iterator: its frame is not running, and frames further out belong to the code below that iterator. A resumption
/// whose frame is not running otherwise was switched out by a greenlet. False with the error set where there is no
/// memory to look.
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
    if (Chain::is_at_foreign(module, *one->member)) return false;
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

/// What the interpreter sees of a step of the expansion.
auto answer(Delegation& delegation, Step step) -> Step {
  if (step.is(StepKind::awaits)) return step;
  if (step.is(StepKind::yielded)) {
    if (auto wrapped = wrap(*delegation.module, step.take())) return Step::awaits(std::move(wrapped));
    step = Step::raised();
  }
  delegation.progress = Progress::finished;
  return step;
}

auto refuse_reuse() -> Step {
  set_reused("yield_from_()");
  return Step::raised();
}

/// Awaited in no generator.
auto refuse_outside(Delegation& delegation) -> Step {
  delegation.progress = Progress::finished;
  if (Dismantling::under_way()) {  // as yield_() in a body that is taken apart
    return Step::awaits(none());
  }
  set_outside_generator("yield_from_");
  return Step::raised();
}

/// The first resumption of an await.
auto begin(Delegation& delegation) -> Step {
  switch (find_place(*delegation.module)) {
    case Place::unknown: delegation.progress = Progress::finished; return Step::raised();
    case Place::nowhere: return refuse_outside(delegation);
    case Place::ours:  // the driver takes it from here, and comes back with the result
      delegation.progress = Progress::started;
      delegation.role = Role::awaited;
      delegation.handled = compat::handled_exception();
      return Step::awaits(borrow(object_of(delegation)));
    case Place::native: break;
  }
  delegation.progress = Progress::started;
  delegation.role = Role::self_driven;
  delegation.handled.reset();
  auto iterator = iterate(*delegation.module, delegation.iterator.get());
  if (!iterator) {
    delegation.progress = Progress::finished;
    return Step::raised();
  }
  delegation.iterator = std::move(iterator);
  return answer(delegation, begin_foreign(delegation));
}

/// The driver comes back with what the delegation ended in.
auto end(Delegation& delegation, PyObject* value) -> Step {
  delegation.progress = Progress::finished;
  if (delegation.pending) {
    compat::restore_exception(std::move(delegation.pending));  // it was raised further down: no context is added here
    return Step::raised();
  }
  return Step::returned(borrow(value));
}

auto delegation_send(PyObject* self, PyObject* value) -> Step {
  auto& delegation = as<Delegation>(self);
  Occupied const occupied(delegation.occupancy);
  if (!occupied) return refuse_reuse();
  Entered const entered(delegation);
  if (!entered) return Step::raised();
  if (delegation.progress == Progress::initial) return begin(delegation);
  if (delegation.progress == Progress::finished || Chain::has(delegation)) return refuse_reuse();
  if (delegation.role == Role::awaited) return end(delegation, value);
  return answer(delegation, send_foreign(delegation, value));
}

/// delegation_throw() for a caller that has entered.
auto throw_in(Delegation& delegation, Object exception) -> Step {
  if (!leave(delegation)) return Step::raised();
  if (delegation.progress == Progress::started && delegation.role != Role::awaited) {
    return answer(delegation, throw_foreign(delegation, std::move(exception)));
  }
  // Not begun, or an exception was thrown into the frames above without the driver.
  delegation.progress = Progress::finished;
  compat::restore_exception(std::move(exception));
  return Step::raised();
}

auto delegation_throw(PyObject* self, Object exception) -> Step {
  auto& delegation = as<Delegation>(self);
  Occupied const occupied(delegation.occupancy);
  if (!occupied) {
    set_reused("yield_from_()");
    return Step::raised();
  }
  Entered const entered(delegation);
  return entered ? throw_in(delegation, std::move(exception)) : Step::raised();
}

auto delegation_close(PyObject* self, PyObject*) -> PyObject* {
  auto& delegation = as<Delegation>(self);
  Occupied const occupied(delegation.occupancy);
  if (!occupied) {
    set_reused("yield_from_()");
    return nullptr;
  }
  Entered const entered(delegation);
  if (!entered || !leave(delegation)) return nullptr;
  if (delegation.progress != Progress::started || delegation.gives_up) {
    delegation.progress = Progress::finished;
    return Py_NewRef(Py_None);
  }
  if (delegation.role == Role::awaited) {  // the body is taken apart without its driver: close its iterator from here
    delegation.role = Role::self_driven;
    delegation.progress = Progress::started;
  }
  auto exit = steal(PyObject_CallNoArgs(PyExc_GeneratorExit));
  if (!exit) return nullptr;
  return closed_answer(throw_in(delegation, std::move(exit)));
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
  if (Chain::has(delegation) || delegation.handled) Chain::unlink(delegation);
  delegation.finalizer.reset();
  delegation.iterator.reset();
  delegation.awaiting.reset();
  delegation.pending_exit.reset();
  delegation.pending.reset();
}

auto delegation_clear(PyObject* self) -> int {
  auto& delegation = as<Delegation>(self);
  {  // as generator_clear()
    ChainLock::Stopped const lock(delegation.module->chains);
    if (delegation.entered || Chain::is_driven(delegation, lock)) return 0;
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
    if (!std::exchange(delegation.tracked, true)) PyObject_GC_Track(self);  // the finalizer may let a user have it
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

using DelegationSlots = OperatorSlots<Delegation, delegation_send, delegation_throw, delegation_close>;

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
/// \param tracked  others than a generator may refer to it
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
    new (&delegation->links) Links;
  }
  new (&delegation->iterator) Object(std::move(source));
  new (&delegation->handled) Object(std::move(handled));
  delegation->under_way = agen::operation::anext;
  delegation->progress = Progress::initial;
  delegation->role = Role::request;
  delegation->opening = false;
  delegation->taken = false;
  delegation->entered = false;
  delegation->gives_up = false;
  delegation->tracked = tracked;
  if (tracked) PyObject_GC_Track(delegation);
  return object_of(*delegation);
}

}  // namespace

auto new_delegation(ModuleState& module, Object source) -> PyObject* {
  return make_delegation(module, std::move(source), compat::handled_exception(), true);
}

auto module_give_up(PyObject* self, PyObject* exception) -> PyObject* {
  if (!PyExceptionInstance_Check(exception)) {
    PyErr_SetString(PyExc_TypeError, "give_up() takes an exception");
    return nullptr;
  }
  PyObject* made = new_delegation(*static_cast<ModuleState*>(PyModule_GetState(self)), borrow(exception));
  if (made != nullptr) as<Delegation>(made).gives_up = true;
  return made;
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
