// PEP 525's operations. The lifecycle (agen/lifecycle.hpp) says what is legal, the driver says what the body answered;
// this file turns both into what the interpreter expects of an awaitable.
#include "operations.hpp"

#include "awaiting.hpp"
#include "chain.hpp"
#include "drive.hpp"
#include "errors.hpp"
#include "memory.hpp"
#include "stop_iteration.hpp"

namespace engine {

namespace {

using agen::admission;
using agen::operation;

auto iterates(Awaitable const& awaitable) noexcept -> bool {
  return awaitable.operation == operation::anext || awaitable.operation == operation::asend;
}

auto state_now(ModuleState& module, Generator& generator) noexcept -> agen::state {
  return Chain::is_running(module, generator) ? agen::state::running : generator.state.lifecycle();
}

auto refuse_running(Awaitable& awaitable) -> Step {
  awaitable.progress = Progress::finished;
  set_already_running(*awaitable.module, awaitable.operation, awaitable.generator.get());
  return Step::raised();
}

/// Another thread is inside the awaitable, and this one must not touch it.
auto refuse_occupied(Awaitable& awaitable) -> Step {
  set_already_running(*awaitable.module, awaitable.operation);
  return Step::raised();
}

/// A driver goes through the generator: the awaitable is left as it is.
auto refuse_executing() -> Step {
  set_generator_executing();
  return Step::raised();
}

void set_operation_reused(Awaitable const& awaitable) {
  set_reused(iterates(awaitable) ? "__anext__()/asend()" : "aclose()/athrow()");
}

auto refuse_reuse(Awaitable& awaitable) -> Step {
  awaitable.progress = Progress::finished;
  set_operation_reused(awaitable);
  return Step::raised();
}

/// Ends an operation that the body did not have to answer.
auto answer_at_once(Awaitable& awaitable, admission admitted) -> Step {
  if (admitted == admission::already_running) return refuse_running(awaitable);
  awaitable.progress = Progress::finished;
  if (admitted == admission::nothing) return Step::returned(none());
  if (admitted == admission::just_started) {
    set_just_started();
  } else {
    PyErr_SetNone(PyExc_StopAsyncIteration);
  }
  return Step::raised();
}

/// True when the current exception says no more than that a body which was closed has ended.
AGEN_COLD auto has_ended_by_exit() -> bool {
  if (PyErr_ExceptionMatches(PyExc_GeneratorExit) || PyErr_ExceptionMatches(PyExc_StopAsyncIteration)) return true;
  auto error = compat::take_exception();
  bool const group = is_group_of_exits(error.get());
  compat::restore_exception(std::move(error));
  return group;
}

/// What aclose() makes of a step (agen::after_exit).
AGEN_OUT_OF_LINE auto conclude_aclose(Generator& generator, Step step) -> Step {
  bool const ended = step.is(StepKind::raised) && has_ended_by_exit();
  auto const closing = agen::after_exit(lifecycle_step(step.kind), ended);
  if (closing == agen::close_outcome::ignored_exit) generator.state.ignore_exit();
  step.take().reset();  // which may run code
  switch (closing) {
    case agen::close_outcome::ignored_exit: set_ignored_exit(generator); return Step::raised();
    case agen::close_outcome::done: PyErr_Clear(); return Step::returned(none());
    case agen::close_outcome::pending:
    case agen::close_outcome::raises: break;
  }
  return Step::raised();
}

/// What an operation makes of a step that was read.
AGEN_ALWAYS_INLINE auto conclude(Awaitable& awaitable, Generator& generator, Step step) -> Step {
  if (step.is(StepKind::awaits)) {
    generator.state.wait();
    track(awaitable);
    return step;
  }
  generator.state.end_operation();
  awaitable.progress = Progress::finished;
  if (awaitable.operation == operation::aclose) [[unlikely]]
    return conclude_aclose(generator, step);
  if (step.is(StepKind::yielded)) [[likely]]
    return {StepKind::returned, step.object};
  if (step.is(StepKind::returned)) set_stop_async_iteration(step.take());
  return Step::raised();
}

/// A body that the guard looks at, resumed: its answers take the driver's way.
AGEN_NOINLINE auto drive_guarded(Awaitable& awaitable, PyObject* value, bool starting) -> Step {
  Generator& generator = *awaitable.generator.get();
  return conclude(awaitable, generator,
                  drive_through(*awaitable.module, awaitable.resumption, generator, value, starting));
}

/// The end of an operation that was resumed, and finds its generator closed: through its frame or its coroutine, or by
/// the collector.
auto resume_closed(Awaitable& awaitable) -> Step {
  awaitable.generator.get()->state.end_operation();
  return answer_at_once(awaitable, agen::admit(awaitable.operation, agen::state::closed));
}

/// Resumes an operation that waits.
auto resume(Awaitable& awaitable, PyObject* value) -> Step {
  Generator& generator = *awaitable.generator.get();
  if (awaitable.progress == Progress::finished) return refuse_reuse(awaitable);
  if (!generator.state.resume_undelegated(trait::guarded)) [[unlikely]] {
    if (!Chain::claim_resumption(*awaitable.module, generator)) return refuse_executing();
    if (generator.state.has(trait::guarded) && !generator.state.is_closed())
      return drive_guarded(awaitable, value, false);
  }
  if (generator.state.is_closed()) return resume_closed(awaitable);
  return conclude(awaitable, generator, drive_send(*awaitable.module, awaitable.resumption, generator, value, false));
}

/// An anext or asend that does not find a body idle at a yield.
// Kept out of line: inlined it costs begin_anext() a register.
AGEN_OUT_OF_LINE auto begin_elsewhere(Awaitable& awaitable, PyObject* value) -> Step {
  ModuleState& module = *awaitable.module;
  Generator& generator = *awaitable.generator.get();
  // begin_idle() is enough where the body waits at a Suspension. drive_send() looks at that again: another thread may
  // have brought the body back to a real yield meanwhile.
  if (!generator.state.begin_idle(trait::guarded)) {
    auto const admitted = agen::admit(awaitable.operation, state_now(module, generator), value != Py_None);
    if (admitted != admission::resume) return answer_at_once(awaitable, admitted);
    if (!Chain::claim_operation(module, generator)) return refuse_running(awaitable);
    generator.state.begin_body();
    if (generator.state.has(trait::guarded)) [[unlikely]] {
      awaitable.progress = Progress::started;
      return drive_guarded(awaitable, value, true);
    }
  }
  awaitable.progress = Progress::started;
  return conclude(awaitable, generator, drive_send(module, awaitable.resumption, generator, value, true));
}

/// The rest of an anext or asend whose body did not answer with an item at once.
AGEN_OUT_OF_LINE auto drive_answered(Awaitable& awaitable, Step step) -> Step {
  Generator& generator = *awaitable.generator.get();
  return conclude(awaitable, generator, drive_from(*awaitable.module, awaitable.resumption, generator, step, true));
}

/// What an asend sends when it begins: its argument, unless the first send() says otherwise.
// Out of line: inlined, the compiler puts it in the way of an anext.
AGEN_OUT_OF_LINE auto value_sent(Awaitable const& awaitable, PyObject* value) noexcept -> PyObject* {
  return value == Py_None ? awaitable.argument.get() : value;
}

/// Resumes a body that is suspended at a real yield, and does not delegate.
template <class Body>
AGEN_ALWAYS_INLINE auto send_idle(Awaitable& awaitable, Generator& generator, PyObject* value) -> Step {
  awaitable.progress = Progress::started;
  Step step;
  {
    Resuming const resuming(awaitable.resumption, generator);
    step = Body::send(generator, value);
  }
  if (!Body::holds_item(*awaitable.module, step)) [[unlikely]]
    return drive_answered(awaitable, step);
  PyObject* const item = Body::take_item(step);
  generator.state.end_operation();
  awaitable.progress = Progress::finished;
  return {StepKind::returned, item};
}

AGEN_OUT_OF_LINE auto send_idle_compiled(Awaitable& awaitable, PyObject* value) -> Step {
  return send_idle<CompiledBody>(awaitable, *awaitable.generator.get(), value);
}

// The hot path: a Python body at a real yield that yields again. All else is in functions that are not inlined, and
// costs an item neither a register nor a jump. It takes no reference: the code that calls it has the awaitable; that
// has the generator, and the generator its body, neither of which is exchanged or dropped before its owner is freed
// (generator_clear(), awaitable_clear()).
AGEN_ALWAYS_INLINE auto send_first(Awaitable& awaitable, PyObject* value) -> Step {
  Occupied const occupied(awaitable.occupancy);
  if (!occupied) return refuse_occupied(awaitable);
  if (awaitable.progress != Progress::initial) [[unlikely]]
    return resume(awaitable, value);
  if (awaitable.argument) [[unlikely]]
    value = value_sent(awaitable, value);
  Generator& generator = *awaitable.generator.get();
  if (!generator.state.begin_at_yield(trait::cpp | trait::guarded)) [[unlikely]] {
    if (generator.state.is_cpp() && generator.state.begin_at_yield()) return send_idle_compiled(awaitable, value);
    return begin_elsewhere(awaitable, value);
  }
  return send_idle<PythonBody>(awaitable, generator, value);
}

auto asend_send(PyObject* self, PyObject* value) -> Step { return send_first(as<Awaitable>(self), value); }

/// am_send, which `async for` calls on 3.10, on 3.11, and from 3.15 on.
// With send_first() inlined: as a call it is none that could be the last thing done here, and costs an await 1 %.
auto asend_send_slot(PyObject* self, PyObject* value, PyObject** out) -> PySendResult {
  return send_first(as<Awaitable>(self), value).answer(out);
}

/// The exception that an athrow or aclose throws; null with TypeError set.
auto exception_of(Awaitable& awaitable) -> Object {
  if (awaitable.operation == operation::aclose) return steal(PyObject_CallNoArgs(PyExc_GeneratorExit));
  if (!awaitable.packed) return make_exception(awaitable.argument.get(), nullptr, nullptr);
  PyObject* arguments = awaitable.argument.get();
  Py_ssize_t const count = PyTuple_GET_SIZE(arguments);
  return make_exception(PyTuple_GET_ITEM(arguments, 0), PyTuple_GET_ITEM(arguments, 1),
                        count > 2 ? PyTuple_GET_ITEM(arguments, 2) : nullptr);
}

auto throw_in(Awaitable& awaitable, Object exception) -> Step {
  Generator& generator = *awaitable.generator.get();
  if (!Chain::claim_operation(*awaitable.module, generator)) return refuse_running(awaitable);
  awaitable.progress = Progress::started;
  return conclude(awaitable, generator,
                  drive_throw(*awaitable.module, awaitable.resumption, generator, std::move(exception), true));
}

auto athrow_send(PyObject* self, PyObject* value) -> Step {
  auto& awaitable = as<Awaitable>(self);
  Occupied const occupied(awaitable.occupancy);
  if (!occupied) return refuse_occupied(awaitable);
  if (awaitable.progress != Progress::initial) return resume(awaitable, value);
  Generator& generator = *awaitable.generator.get();
  auto const admitted =
      agen::admit(awaitable.operation, state_now(*awaitable.module, generator), false, generator.state.ignored_exit());
  if (admitted == admission::already_running || admitted == admission::nothing || admitted == admission::end) {
    return answer_at_once(awaitable, admitted);
  }
  if (value != Py_None) {
    set_coroutine_just_started(PyExc_RuntimeError);  // native's type: Objects/genobject.c, async_gen_athrow_send
    return Step::raised();
  }
  auto exception = exception_of(awaitable);
  if (awaitable.progress != Progress::initial) {  // the exception's constructor has awaited it
    set_operation_reused(awaitable);
    return Step::raised();
  }
  if (!exception) {
    awaitable.progress = Progress::finished;
    return Step::raised();
  }
  return throw_in(awaitable, std::move(exception));
}

auto awaitable_throw(PyObject* self, Object exception) -> Step {
  auto& awaitable = as<Awaitable>(self);
  Generator& generator = *awaitable.generator.get();
  Occupied const occupied(awaitable.occupancy);
  if (!occupied) return refuse_occupied(awaitable);
  if (awaitable.progress == Progress::finished) return refuse_reuse(awaitable);
  // Native decides here by the awaitable's state, before the generator's (Objects/genobject.c, async_gen_asend_throw):
  // agen::admit() has no word for an exception that is thrown at an awaitable. tests/python/test_awaitables.py
  // compares.
  if (awaitable.progress == Progress::initial && state_now(*awaitable.module, generator) == agen::state::running)
    return refuse_running(awaitable);
  if (generator.state.is_closed()) {
    awaitable.progress = Progress::finished;
    compat::restore_exception(std::move(exception));
    return awaitable.operation == operation::aclose ? conclude_aclose(generator, Step::raised()) : Step::raised();
  }
  if (awaitable.progress == Progress::initial) return throw_in(awaitable, std::move(exception));
  if (!Chain::claim_resumption(*awaitable.module, generator)) return refuse_executing();
  return conclude(awaitable, generator,
                  drive_throw(*awaitable.module, awaitable.resumption, generator, std::move(exception), false));
}

auto awaitable_close(PyObject* self, PyObject*) -> PyObject* {
  Occupied const occupied(as<Awaitable>(self).occupancy);
  if (!occupied) {
    return refuse_occupied(as<Awaitable>(self)).object;
  }
  if (as<Awaitable>(self).progress == Progress::finished) return Py_NewRef(Py_None);
  auto exit = steal(PyObject_CallNoArgs(PyExc_GeneratorExit));
  if (!exit) return nullptr;
  return closed_answer(awaitable_throw(self, std::move(exit)));
}

// Items ---------------------------------------------------------------------------------------------------------------

/// send() of an anext or asend: unlike other awaitables an item None is StopIteration(None), with an argument.
auto asend_send_method(PyObject* self, PyObject* value) -> PyObject* {
  Step step = asend_send(self, value);
  if (!step.is(StepKind::returned)) return step.object;
  Object const item = step.take();
  if (item.get() != Py_None) {
    set_stop_iteration(item.get());
  } else if (auto stop = steal(PyObject_CallOneArg(PyExc_StopIteration, Py_None))) {
    raise_here(std::move(stop));
  }
  return nullptr;
}

/// What `async for` calls on 3.12 to 3.14: the item travels in a StopIteration, so that is recycled.
auto asend_iternext(PyObject* self) -> PyObject* {
  Step const step = send_first(as<Awaitable>(self), Py_None);
  if (!step.is(StepKind::returned)) return step.object;
  if constexpr (!compat::send_uses_iternext) {
    if (step.object != Py_None) set_stop_iteration(step.object);
    Py_DECREF(step.object);
  } else if (step.object == Py_None) {  // no exception at all means StopIteration(None)
    Py_DECREF(step.object);
  } else {
    set_recycled_stop(*as<Awaitable>(self).module, step.object);
  }
  return nullptr;
}

// Attributes ----------------------------------------------------------------------------------------------------------

auto generator_of(PyObject* self) -> PyObject* { return as<Awaitable>(self).generator.object(); }

auto get_generator(PyObject* self, void*) -> PyObject* { return Py_NewRef(generator_of(self)); }

auto get_attribute(PyObject* self, void* name) -> PyObject* {
  return PyObject_GetAttrString(generator_of(self), static_cast<char const*>(name));
}

auto named(char const* name) -> void* { return const_cast<char*>(name); }

PyGetSetDef awaitable_getset[] = {
    {"ag_gen", get_generator, nullptr, PyDoc_STR("The generator that this operation belongs to."), nullptr},
    {"__name__", get_attribute, nullptr, PyDoc_STR("The generator's name."), named("__name__")},
    {"__qualname__", get_attribute, nullptr, PyDoc_STR("The generator's qualified name."), named("__qualname__")},
    {"cr_frame", get_attribute, nullptr, PyDoc_STR("The generator's frame."), named("ag_frame")},
    {"cr_code", get_attribute, nullptr, PyDoc_STR("The generator's code."), named("ag_code")},
    {"cr_await", get_attribute, nullptr, PyDoc_STR("What the generator awaits."), named("ag_await")},
    {"cr_running", get_attribute, nullptr, PyDoc_STR("Whether the generator runs."), named("ag_running")},
    {"_it", get_generator, nullptr, nullptr, nullptr},  // 1.10's name, which stackscope follows
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

// Life ----------------------------------------------------------------------------------------------------------------

/// Dropped in the middle of an await: the body is told, and the generator is not left locked.
void abandon(Awaitable& awaitable) {
  auto before = compat::take_exception();
  auto const closed = steal(awaitable_close(object_of(awaitable), nullptr));
  if (!closed) compat::write_unraisable(awaitable.generator.object());
  Chain::unlock(*awaitable.module, *awaitable.generator.get());
  compat::restore_exception(std::move(before));
}

auto method_of(Awaitable const& awaitable) noexcept -> char const* {
  return iterates(awaitable) ? "asend" : awaitable.operation == operation::athrow ? "athrow" : "aclose";
}

void awaitable_finalize(PyObject* self) {
  auto& awaitable = as<Awaitable>(self);
  if (awaitable.progress == Progress::finished || !awaitable.generator) return;
  if (awaitable.progress == Progress::initial) {
    awaitable.progress = Progress::finished;  // the warning may let a user have it: it is used up
    return warn_unawaited(method_of(awaitable), awaitable.generator.object());
  }
  // A driver is inside: it ends the operation. (A user called the finalizer, or the body dropped its own awaitable.)
  if (Chain::is_driven(*awaitable.module, *awaitable.generator.get())) return;
  // Its task keeps the operation, and ends it. The collector may come here first.
  if (awaitable.generator.get()->state.has(trait::isolated)) return;
  abandon(awaitable);
  awaitable.progress = Progress::finished;
}

auto awaitable_traverse(PyObject* self, visitproc visit, void* arg) -> int {
  auto& awaitable = as<Awaitable>(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(awaitable.generator.object());
  Py_VISIT(awaitable.argument.get());
  return 0;
}

auto awaitable_clear(PyObject* self) -> int {
  // What an operation sends or throws is borrowed from here while it begins.
  if (as<Awaitable>(self).progress != Progress::started) as<Awaitable>(self).argument.reset();
  return 0;  // the generator stays: an awaitable without one would have to check for it at every step
}

AGEN_OUT_OF_LINE void free_memory(Awaitable& awaitable, ModuleState& module) {
  if (module.last_anext == &awaitable) module.last_anext = &module.spent;
  PyTypeObject* type = Py_TYPE(&awaitable);
  PyObject_GC_Del(&awaitable);
  Py_DECREF(type);
}

/// Frees an awaitable without an argument, or keeps its memory for another operation.
template <bool iterates>
AGEN_ALWAYS_INLINE void free_awaitable(Awaitable& awaitable, ModuleState& module, bool recycles) {
  PyObject* carried = iterates ? take_carried_item(module).release() : nullptr;
  PyObject* generator = object_of(*awaitable.generator.release());
  std::destroy_at(&awaitable.generator);
  if (!recycles || !module.awaitables.give(&awaitable)) [[unlikely]]
    free_memory(awaitable, module);
  Py_DECREF(generator);
  Py_XDECREF(carried);
}

// Out of line: it is none of what `async for` drops.
template <bool iterates>
AGEN_OUT_OF_LINE void finalize_and_free(PyObject* self) {
  auto& awaitable = as<Awaitable>(self);
  // What was finalized once is not finalized again, so its memory is not used for another, which would be dropped
  // unseen.
  bool finalized = awaitable.progress != Progress::finished;
  if (finalized) {
    track(awaitable);  // the finalizer may let a user have it
    if (PyObject_CallFinalizerFromDealloc(self) != 0) return;
  }
  finalized |= awaitable.tracked && PyObject_GC_IsFinalized(self) != 0;
  if (awaitable.tracked) PyObject_GC_UnTrack(self);
  Object const argument = std::move(awaitable.argument);  // outlives it: its end may run code
  free_awaitable<iterates>(awaitable, living_state(awaitable), iterates && !finalized);
}

void asend_dealloc(PyObject* self) {
  auto& awaitable = as<Awaitable>(self);
  // The collector does not see what this one holds: so its type is no garbage, and the module is still there.
  if (awaitable.progress == Progress::finished && !awaitable.tracked && !awaitable.argument) [[likely]]
    free_awaitable<true>(awaitable, *awaitable.module, true);
  else
    finalize_and_free<true>(self);
}

using AsendSlots = AwaitableSlots<Awaitable, asend_send, awaitable_throw, awaitable_close, true, asend_send_method>;
using AthrowSlots = AwaitableSlots<Awaitable, athrow_send, awaitable_throw, awaitable_close>;

PyType_Slot asend_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(asend_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(awaitable_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(awaitable_clear)},
    {Py_tp_finalize, reinterpret_cast<void*>(awaitable_finalize)},
    {Py_tp_getset, awaitable_getset},
    AsendSlots::await,
    {Py_am_send, reinterpret_cast<void*>(asend_send_slot)},
    AsendSlots::iter,
    {Py_tp_iternext, reinterpret_cast<void*>(asend_iternext)},
    {Py_tp_methods, AsendSlots::methods},
    {0, nullptr},
};

PyType_Slot athrow_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(finalize_and_free<false>)},
    {Py_tp_traverse, reinterpret_cast<void*>(awaitable_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(awaitable_clear)},
    {Py_tp_finalize, reinterpret_cast<void*>(awaitable_finalize)},
    {Py_tp_getset, awaitable_getset},
    AthrowSlots::await,
    AthrowSlots::send,
    AthrowSlots::iter,
    AthrowSlots::next,
    {Py_tp_methods, AthrowSlots::methods},
    {0, nullptr},
};

constexpr unsigned awaitable_flags =
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE;

}  // namespace

PyType_Spec asend_spec = {"async_generator._engine.async_generator_asend", sizeof(Awaitable), 0, awaitable_flags,
                          asend_slots};
PyType_Spec athrow_spec = {"async_generator._engine.async_generator_athrow", sizeof(Awaitable), 0, awaitable_flags,
                           athrow_slots};

auto close_at_once(ModuleState& module, Generator& generator) -> bool {
  bool const at_yield = !generator.state.is_running();
  auto exit = steal(PyObject_CallNoArgs(PyExc_GeneratorExit));
  if (!exit) return false;
  auto const resumption = make_raw<Resumption>();
  if (!resumption) {
    PyErr_NoMemory();
    return false;
  }
  if (!Chain::claim_operation(module, generator,
                              Activity::executing)) {  // __del__() was called from the body, or from another thread
    set_generator_executing();
    return false;
  }
  Step step = drive_throw(module, *resumption, generator, std::move(exit), at_yield);
  generator.state.end_operation();
  if (step.is(StepKind::awaits)) {
    Object const awaited = step.take();  // dropped last: that may run code
    Chain::unlock(module, generator);
    set_awaited_during_finalization(object_of(generator));
    return false;
  }
  step = conclude_aclose(generator, step);
  step.take().reset();
  return step.is(StepKind::returned);
}

}  // namespace engine
