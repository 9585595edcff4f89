// See environment.hpp.
#include "environment.hpp"

#include <memory>

#include "awaiting.hpp"
#include "chain.hpp"
#include "drive.hpp"
#include "errors.hpp"
#include "generator.hpp"

namespace engine {

namespace {

/// In the environment, for a scope. False with an exception set. At its end there is no current exception.
class Inside {
 public:
  // Inline, as what follows is: of the parts, most environments have one.
  AGEN_ALWAYS_INLINE explicit Inside(Environment& environment) : environment_(environment) {
    if (!environment.context.enter(*environment.module)) return;
    entered_ = environment.hooks.enter(*environment.module);
    if (!entered_) environment.context.leave(*environment.module);
  }
  AGEN_ALWAYS_INLINE ~Inside() {
    if (!entered_) return;
    environment_.hooks.leave();
    environment_.context.leave(*environment_.module);
  }
  Inside(Inside const&) = delete;
  auto operator=(Inside const&) -> Inside& = delete;
  explicit operator bool() const noexcept { return entered_; }

 private:
  Environment& environment_;
  bool entered_ = false;
};

/// Refuses a resumption that cannot be.
auto refuse(Next next) -> Step {
  if (next == Next::executing)
    set_coroutine_executing();
  else
    set_reused("coroutine");
  return Step::raised();
}

/// One resumption after the other, all in the environment.
class Runner {
 public:
  explicit Runner(Environment& environment) noexcept : my_(environment), module_(*environment.module) {}

  /// A resumption that may be any: of the coroutine, of what it delegates to, of a cleanup.
  auto resume(PyObject* value, PyObject* exception) -> Step;
  /// What the coroutine has answered is more than an item or an await, or something was dropped.
  auto answered(Step step) -> Step;

 private:
  auto run(PyObject* value, PyObject* exception) -> Step;
  auto run_inner(PyObject* value, PyObject* exception) -> Step;
  auto read(Step step) -> Step;
  auto conclude(Step step) -> Step;
  auto settle(Step step) -> Step;
  auto close_dropped(Step answer) -> Step;
  auto begin_closing() -> Step;
  void end_closing(Step answer);
  auto release() -> Step;
  auto release_input(Object error) -> Step;
  [[nodiscard]] auto may_hold(Step step) const noexcept -> bool;
  void hold(Step step);

  Environment& my_;
  ModuleState& module_;
};

// Running -------------------------------------------------------------------------------------------------------------

/// Sends or throws into a coroutine, or what `await` iterates, by its own methods.
auto resume_iterator(ModuleState& module, PyObject* iterator, PyObject* value, PyObject* exception) -> Step {
  return exception == nullptr ? await_send(iterator, value) : throw_into(module, iterator, exception);
}

/// True for a step by which a body asks its driver to delegate.
auto is_request(ModuleState& module, Step step) noexcept -> bool {
  if (!step.is(StepKind::awaits)) return false;
  PyTypeObject const* type = Py_TYPE(step.object);
  if (type == module.delegation_type) return true;
  return compat::yields_wrap && is_own_wrapped(module, step.object) &&
         is_wrapped_request(module, *slot_of(step.object));
}

auto Runner::run(PyObject* value, PyObject* exception) -> Step {
  if (my_.inner && my_.inner->state.is_waiting()) return run_inner(value, exception);
  return read(resume_iterator(module_, my_.coroutine.get(), value, exception));
}

/// Reads a step of the coroutine. A request to delegate is for a driver that knows the environment.
auto Runner::read(Step step) -> Step {
  if (!my_.is_body || !is_request(module_, step)) return step;
  if (!my_.inner) {
    my_.inner = Ref<Generator>::steal(reinterpret_cast<Generator*>(new_generator(module_, my_.coroutine, my_.traits)));
    if (!my_.inner) {
      step.take().reset();
      return Step::raised();
    }
    PyObject_GC_UnTrack(my_.inner.object());  // seen through this
    my_.inner->state.begin_body();
  }
  Chain::claim_operation(module_, *my_.inner.get());
  return conclude(drive_from(module_, my_.resumption, *my_.inner.get(), step, true));
}

/// An operation on the generator inside, or the rest of one, as operations.cpp performs it.
auto Runner::run_inner(PyObject* value, PyObject* exception) -> Step {
  Generator& inner = *my_.inner.get();
  bool const starting = !inner.state.is_running();
  bool const claimed = starting ? Chain::claim_operation(module_, inner) : Chain::claim_resumption(module_, inner);
  if (!claimed) {
    set_generator_executing();
    return Step::raised();
  }
  return conclude(exception != nullptr ? drive_throw(module_, my_.resumption, inner, borrow(exception), starting)
                                       : drive_send(module_, my_.resumption, inner, value, starting));
}

/// The operation on the generator inside has answered. An item goes up as a coroutine hands one up: wrapped.
auto Runner::conclude(Step step) -> Step {
  GeneratorState& state = my_.inner->state;
  if (step.is(StepKind::awaits) && state.is_waiting())
    state.wait();
  else
    state.end_operation();
  if (!step.is(StepKind::yielded)) return step;
  auto wrapped = wrap(module_, step.take());
  return wrapped ? Step::awaits(std::move(wrapped)) : Step::raised();
}

auto Runner::answered(Step step) -> Step { return settle(read(step)); }

/// A cleanup that an exit has ended returns, as aclose() does then. The body gets the exit where it stands, as at the
/// end of a block around the generator.
auto raise_instead(Step answer, PyObject* exit) -> Step {
  if (answer.is(StepKind::raised)) return answer;
  answer.take().reset();
  compat::restore_exception(borrow(exit));
  return Step::raised();
}

auto Runner::resume(PyObject* value, PyObject* exception) -> Step {
  // A close(), which cannot await.
  bool const exits = !my_.is_body && exception != nullptr && is_generator_exit(exception);
  if (my_.closing) {
    if (exception != nullptr) my_.interrupted = true;
    Step answer = resume_iterator(module_, my_.closing.get(), value, exception);
    if (exits && !answer.is(StepKind::awaits)) {
      my_.hooks.hand_out_dropped();
      answer = raise_instead(answer, exception);
    }
    return settle(close_dropped(answer));
  }
  if (exits) my_.hooks.hand_out_dropped();
  if (my_.hooks.has_dropped()) {  // see may_hold()
    my_.held = Held{.is_input = true, .object = borrow(value), .exception = borrow(exception)};
    return settle(begin_closing());
  }
  return settle(run(value, exception));
}

// Closing what the body has dropped -----------------------------------------------------------------------------------

/// Whether a step can be kept while something else is awaited: all but a wait that the event loop was told of before it
/// sees the step. asyncio's futures are independent of who waits for them; in trio and curio the task that asks to be
/// woken has been noted as waiting by then.
auto Runner::may_hold(Step step) const noexcept -> bool {
  if (!step.is(StepKind::awaits) || step.object == Py_None) return true;
  PyTypeObject const* type = Py_TYPE(step.object);
  if (type == module_.wrapped_item_type || type == module_.delegation_type || type == module_.yield_type) return true;
  return PyObject_HasAttrString(step.object, "_asyncio_future_blocking") != 0;
}

void Runner::hold(Step step) {
  my_.held = Held{.kind = step.kind};
  if (step.is(StepKind::raised))
    my_.held.exception = take_raised();
  else
    my_.held.object = step.take();
}

/// Closes what was dropped, if anything, before `step` leaves: the body's, or that of a cleanup which awaits.
auto Runner::settle(Step step) -> Step {
  while (!my_.closing && my_.hooks.has_dropped()) {
    // A close() cannot await; and see may_hold().
    bool const exits = !my_.is_body && step.is(StepKind::raised) && PyErr_ExceptionMatches(PyExc_GeneratorExit) != 0;
    if (exits) my_.hooks.hand_out_dropped();
    if (exits || !may_hold(step)) break;
    hold(step);
    step = begin_closing();
  }
  return step;
}

/// `error` was raised in a cleanup that ran while `before` was about: which ends the chain of its contexts, as in
/// contextlib.AsyncExitStack.
void set_context(Object error, Object before) noexcept {
  constexpr int longest = 1000;  // a chain may be a ring
  for (int i = 0; i < longest && before && before.get() != error.get(); ++i) {
    auto context = steal(PyException_GetContext(error.get()));
    if (!context) {
      PyException_SetContext(error.get(), before.release());
      return;
    }
    error = std::move(context);
  }
}

/// A cleanup has ended.
void Runner::end_closing(Step answer) {
  my_.closing.reset();
  if (answer.is(StepKind::raised)) {
    auto error = take_raised();
    set_context(error, std::move(my_.error));
    my_.error = std::move(error);
  }
  answer.take().reset();
}

/// Closes the generators that were dropped, one after the other, up to one that has to wait.
auto Runner::begin_closing() -> Step {
  while (Object const dropped = my_.hooks.take_dropped()) {
    auto const awaitable = steal(PyObject_CallMethodNoArgs(dropped.get(), module_.names.aclose.get()));
    my_.closing = awaitable ? await_iterator(awaitable.get()) : nullptr;
    Step const answer = my_.closing ? await_send(my_.closing.get(), Py_None) : Step::raised();
    if (answer.is(StepKind::awaits)) return answer;
    end_closing(answer);
  }
  return release();
}

/// The cleanup under way has answered.
auto Runner::close_dropped(Step answer) -> Step {
  if (answer.is(StepKind::awaits)) return answer;
  end_closing(answer);
  return begin_closing();
}

/// All is closed. What was held takes its way; an error of the cleanups takes its place.
auto Runner::release() -> Step {
  Object error = std::move(my_.error);
  bool const interrupted = std::exchange(my_.interrupted, false);
  if (my_.held.is_input) return release_input(std::move(error));
  Held held = std::exchange(my_.held, Held());
  if (!error) {
    if (held.exception) compat::restore_exception(std::move(held.exception));
    return {held.kind, held.object.release()};
  }
  set_context(error, std::move(held.exception));
  if (!held.object || held.kind == StepKind::returned) {
    held.object.reset();
    compat::restore_exception(std::move(error));
    return Step::raised();
  }
  // What cancels the body's wait cancels what it waits for.
  bool const waits = PyObject_HasAttrString(held.object.get(), "_asyncio_future_blocking") != 0;
  if (interrupted && waits && !steal(PyObject_CallMethod(held.object.get(), "cancel", nullptr))) PyErr_Clear();
  held.object.reset();
  return run(nullptr, error.get());
}

auto Runner::release_input(Object error) -> Step {
  Held const held = std::exchange(my_.held, Held());
  if (!error) return run(held.object.get(), held.exception.get());
  set_context(error, held.exception);
  return run(nullptr, error.get());
}

// As a coroutine ------------------------------------------------------------------------------------------------------

/// Says what the next resumption finds. An exception is kept while the environment is left.
auto noted(Environment& my, Step step, Next& next) -> Step {
  if (step.is(StepKind::awaits)) {
    bool const other = my.closing || my.hooks.has_dropped() || (my.inner && my.inner->state.is_waiting());
    next = other ? Next::other : Next::coroutine;
    return step;
  }
  next = Next::ended;
  my.progress = Progress::finished;
  if (step.is(StepKind::returned)) return step;
  my.error = take_raised();
  return Step::raised();
}

/// What the interpreter sees of a step, when the environment is left. Until then it executes: entering and leaving may
/// run code, which may come back here.
auto answer(Environment& my, Step step, Next next) -> Step {
  my.next = next;
  if (step.is(StepKind::raised)) compat::restore_exception(std::move(my.error));
  return step;
}

/// Resumes what is to be resumed, in the scope of an Occupied.
AGEN_NOINLINE auto resume_any(Environment& my, PyObject* value, PyObject* exception) -> Step {
  if (my.next != Next::coroutine && my.next != Next::other) return refuse(my.next);
  Next next = std::exchange(my.next, Next::executing);
  Step step;
  {
    Inside const inside(my);
    if (!inside) {
      my.next = next;
      return Step::raised();
    }
    my.progress = Progress::started;
    step = noted(my, Runner(my).resume(value, exception), next);
  }
  return answer(my, step, next);
}

/// The rest of send() for a coroutine that did more than to hand out an item or a wait.
AGEN_NOINLINE auto answered_more(Environment& my, Step step, Next& next) -> Step {
  return noted(my, Runner(my).answered(step), next);
}

// The hot path: the coroutine is resumed, and hands out an item or a wait.
AGEN_ALWAYS_INLINE auto send(Environment& my, PyObject* value) -> Step {
  Occupied const occupied(my.occupancy);
  if (!occupied) return refuse(Next::executing);
  if (my.next != Next::coroutine) [[unlikely]]
    return resume_any(my, value, nullptr);
  if (value != Py_None && my.progress == Progress::initial) [[unlikely]] {
    set_coroutine_just_started(PyExc_TypeError);
    return Step::raised();
  }
  my.next = Next::executing;
  Next next = Next::coroutine;
  Step step;
  {
    Inside const inside(my);
    if (!inside) [[unlikely]] {
      my.next = Next::coroutine;
      return Step::raised();
    }
    my.progress = Progress::started;
    PyObject* const coroutine = my.coroutine.get();
    PyObject* object = nullptr;
    PySendResult const result = Py_TYPE(coroutine)->tp_as_async->am_send(coroutine, value, &object);
    step = Step::sent(result, object);
    bool const plain = step.is(StepKind::awaits) && !my.hooks.has_dropped() && !is_request(*my.module, step);
    if (!plain) [[unlikely]]
      step = answered_more(my, step, next);
  }
  return answer(my, step, next);
}

auto environment_send(PyObject* self, PyObject* value) -> Step { return send(as<Environment>(self), value); }

/// am_send, by which a generator's driver and `await` resume it.
auto environment_send_slot(PyObject* self, PyObject* value, PyObject** out) -> PySendResult {
  return send(as<Environment>(self), value).answer(out);
}

auto environment_throw(PyObject* self, Object exception) -> Step {
  auto& my = as<Environment>(self);
  Occupied const occupied(my.occupancy);
  return occupied ? resume_any(my, nullptr, exception.get()) : refuse(Next::executing);
}

auto environment_close(PyObject* self, PyObject*) -> PyObject* {
  auto& my = as<Environment>(self);
  if (my.next == Next::ended) return Py_NewRef(Py_None);
  if (my.progress == Progress::initial && my.next != Next::executing) {
    my.next = Next::ended;
    my.progress = Progress::finished;
    return PyObject_CallMethodNoArgs(my.coroutine.get(), my.module->names.close.get());
  }
  auto exit = steal(PyObject_CallNoArgs(PyExc_GeneratorExit));
  return exit ? closed_answer(environment_throw(self, std::move(exit))) : nullptr;
}

// Attributes ----------------------------------------------------------------------------------------------------------

/// The coroutine's own attributes.
auto get_attribute(PyObject* self, void* name) -> PyObject* {
  return PyObject_GetAttrString(as<Environment>(self).coroutine.get(), static_cast<char const*>(name));
}

auto set_attribute(PyObject* self, PyObject* value, void* name) -> int {
  return PyObject_SetAttrString(as<Environment>(self).coroutine.get(), static_cast<char const*>(name), value);
}

auto get_await(PyObject* self, void*) -> PyObject* {
  auto& my = as<Environment>(self);
  if (my.closing) return Object(my.closing).release();
  if (my.inner && my.inner->state.is_waiting()) {  // the coroutine itself may be at a real yield
    if (auto awaited = Chain::awaited_by(*my.module, *my.inner.get())) return awaited.release();
  }
  if (compat::is_taken_apart(my.coroutine.get())) return Py_NewRef(Py_None);
  return PyObject_GetAttr(my.coroutine.get(), my.module->names.cr_await.get());
}

auto get_running(PyObject* self, void*) -> PyObject* {
  return PyBool_FromLong(as<Environment>(self).next == Next::executing);
}

auto get_suspended(PyObject* self, void*) -> PyObject* {
  auto const& my = as<Environment>(self);
  return PyBool_FromLong(my.progress == Progress::started && my.next != Next::executing);
}

auto get_state(PyObject* self, void*) -> PyObject* {
  auto const& my = as<Environment>(self);
  char const* state = my.next == Next::executing         ? "CORO_RUNNING"
                      : my.next == Next::ended           ? "CORO_CLOSED"
                      : my.progress == Progress::initial ? "CORO_CREATED"
                                                         : "CORO_SUSPENDED";
  return PyUnicode_FromString(state);
}

/// isinstance() says that it is a native coroutine, which it runs.
auto get_class(PyObject* self, void*) -> PyObject* {
  return Py_NewRef(reinterpret_cast<PyObject*>(Py_TYPE(as<Environment>(self).coroutine.get())));
}

auto environment_repr(PyObject* self) -> PyObject* {
  auto const name = steal(get_attribute(self, const_cast<char*>("__qualname__")));
  return name ? PyUnicode_FromFormat("<coroutine object %S at %p>", name.get(), self) : nullptr;
}

// Life ----------------------------------------------------------------------------------------------------------------

/// A coroutine that waits is closed, as a native one is. One that has not begun warns itself that it was never awaited.
void environment_finalize(PyObject* self) {
  auto& my = as<Environment>(self);
  if (my.progress != Progress::started || my.next == Next::executing) return;
  auto before = compat::take_exception();
  if (!steal(environment_close(self, nullptr))) compat::write_unraisable(self);
  compat::restore_exception(std::move(before));
}

auto environment_traverse(PyObject* self, visitproc visit, void* arg) -> int {
  auto& my = as<Environment>(self);
  Py_VISIT(Py_TYPE(self));
  PyObject* const coroutine = my.coroutine.get();
  Py_ssize_t const own = my.inner ? 2 : 1;
  int stop = my.hidden && Py_REFCNT(coroutine) == own ? Py_TYPE(coroutine)->tp_traverse(coroutine, visit, arg)
                                                      : visit(coroutine, arg);
  if (stop == 0 && my.inner) stop = Py_TYPE(my.inner.get())->tp_traverse(my.inner.object(), visit, arg);
  if (stop == 0) stop = my.context.traverse(visit, arg);
  if (stop == 0) stop = my.hooks.traverse(visit, arg);
  if (stop != 0) return stop;
  Py_VISIT(my.held.object.get());
  Py_VISIT(my.held.exception.get());
  Py_VISIT(my.closing.get());
  Py_VISIT(my.error.get());
  return 0;
}

/// The coroutine clears its own frame, when it is dropped.
auto environment_clear(PyObject*) -> int { return 0; }

void environment_dealloc(PyObject* self) {
  auto& my = as<Environment>(self);
  if (my.weakrefs != nullptr) clear_weakrefs(self);
  if (my.progress == Progress::started && PyObject_CallFinalizerFromDealloc(self) != 0) return;
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  if (my.weakrefs != nullptr) PyObject_ClearWeakRefs(self);
  Py_TRASHCAN_BEGIN(self, environment_dealloc);
  if (my.inner) {
    my.inner->state.abandon_body();  // it is not the one that closes the coroutine
    PyObject_GC_Track(my.inner.object());
    my.inner.reset();
  }
  if (my.hidden) PyObject_GC_Track(my.coroutine.get());  // its destructor expects that
  std::destroy_at(&my.coroutine);
  std::destroy_at(&my.inner);
  std::destroy_at(&my.context);
  std::destroy_at(&my.hooks);
  std::destroy_at(&my.held);
  std::destroy_at(&my.closing);
  std::destroy_at(&my.error);
  PyObject_GC_Del(self);
  Py_DECREF(type);
  Py_TRASHCAN_END;
}

using EnvironmentSlots = AwaitableSlots<Environment, environment_send, environment_throw, environment_close>;

auto named(char const* name) -> void* { return const_cast<char*>(name); }

PyGetSetDef environment_getset[] = {
    {"__name__", get_attribute, set_attribute, PyDoc_STR("name of the coroutine"), named("__name__")},
    {"__qualname__", get_attribute, set_attribute, PyDoc_STR("qualified name of the coroutine"), named("__qualname__")},
    {"__class__", get_class, nullptr, PyDoc_STR("the type of native coroutines"), nullptr},
    {"cr_await", get_await, nullptr, PyDoc_STR("object being awaited on, or None"), nullptr},
    {"cr_running", get_running, nullptr, PyDoc_STR("whether the coroutine executes"), nullptr},
    {"cr_suspended", get_suspended, nullptr, PyDoc_STR("whether the coroutine has begun, waits, and has not ended"),
     nullptr},
    {"cr_state", get_state, nullptr, PyDoc_STR("CORO_CREATED, CORO_RUNNING, CORO_SUSPENDED or CORO_CLOSED"), nullptr},
    {"cr_frame", get_attribute, nullptr, PyDoc_STR("frame of the coroutine"), named("cr_frame")},
    {"cr_code", get_attribute, nullptr, PyDoc_STR("code of the coroutine"), named("cr_code")},
    {"cr_origin", get_attribute, nullptr, PyDoc_STR("where the coroutine was created"), named("cr_origin")},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMemberDef environment_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Environment, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyType_Slot environment_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(environment_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(environment_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(environment_clear)},
    {Py_tp_finalize, reinterpret_cast<void*>(environment_finalize)},
    {Py_tp_repr, reinterpret_cast<void*>(environment_repr)},
    {Py_tp_getset, environment_getset},
    {Py_tp_members, environment_members},
    EnvironmentSlots::await,
    {Py_am_send, reinterpret_cast<void*>(environment_send_slot)},
    EnvironmentSlots::iter,
    EnvironmentSlots::next,
    {Py_tp_methods, EnvironmentSlots::methods},
    {0, nullptr},
};

}  // namespace

PyType_Spec environment_spec = {
    "async_generator._engine.coroutine_in_environment",
    sizeof(Environment),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    environment_slots,
};

auto is_environment(PyObject* object) noexcept -> bool { return Py_TYPE(object)->tp_dealloc == environment_dealloc; }

auto new_environment(ModuleState& module, Object coroutine, std::uint32_t traits, std::uint32_t parts) -> Object {
  auto* made = allocate<Environment>(module.environment_type);
  if (made == nullptr) return nullptr;
  made->module = &module;
  made->hidden = PyCoro_CheckExact(coroutine.get()) && Py_REFCNT(coroutine.get()) == 1;
  if (made->hidden) PyObject_GC_UnTrack(coroutine.get());
  new (&made->coroutine) Object(std::move(coroutine));
  new (&made->inner) Ref<Generator>();
  new (&made->context) ContextPart((parts & part::context) != 0, (parts & part::layered_context) != 0);
  new (&made->hooks) HooksPart((parts & part::hooks) != 0);
  new (&made->held) Held();
  new (&made->closing) Object();
  new (&made->error) Object();
  made->resumption = Resumption{};
  made->weakrefs = nullptr;
  made->traits = traits;
  made->progress = Progress::initial;
  made->next = Next::coroutine;
  made->interrupted = false;
  made->is_body = (parts & part::of_coroutine) == 0;
  new (&made->occupancy) Occupancy;
  PyObject_GC_Track(made);
  return steal(object_of(*made));
}

auto module_in_environment(PyObject* self, PyObject* const* arguments, Py_ssize_t count) -> PyObject* {
  if (count != 2 || !PyCoro_CheckExact(arguments[0])) {
    PyErr_SetString(PyExc_TypeError, "in_environment() takes a coroutine and the parts of its environment");
    return nullptr;
  }
  auto const parts = static_cast<std::uint32_t>(PyLong_AsUnsignedLong(arguments[1]));
  if (PyErr_Occurred() != nullptr) return nullptr;
  auto& module = *static_cast<ModuleState*>(PyModule_GetState(self));
  return new_environment(module, borrow(arguments[0]), 0, (parts & part::all) | part::of_coroutine).release();
}

}  // namespace engine
