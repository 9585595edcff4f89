// See isolated.hpp.
#include "isolated.hpp"

#include <array>

#include "awaiting.hpp"
#include "errors.hpp"
#include "guard.hpp"
#include "stop_iteration.hpp"

namespace engine {

namespace {

auto is_set(Object const& object) noexcept -> bool { return object && object.get() != Py_None; }

// Steps of a body -----------------------------------------------------------------------------------------------------

/// The swap, where asyncio is known to keep its current tasks in this dict: half of what an item costs otherwise.
auto swap_in_dict(PyObject* tasks, PyObject* loop, PyObject* task) -> Object {
  auto before = borrow(PyDict_GetItemWithError(tasks, loop));
  if (!before && PyErr_Occurred() != nullptr) return nullptr;
  bool const nothing = task == Py_None;
  int const done = !nothing ? PyDict_SetItem(tasks, loop, task) : before ? PyDict_DelItem(tasks, loop) : 0;
  if (done != 0) return nullptr;
  return before ? std::move(before) : none();
}

}  // namespace

auto swap_task(ModuleState& module, PyObject* loop, PyObject* task) -> Object {
  if (module.current_tasks) return swap_in_dict(module.current_tasks.get(), loop, task);
  std::array<PyObject*, 2> const arguments{loop, task};
  return steal(PyObject_Vectorcall(module.task_swap.get(), arguments.data(), arguments.size(), nullptr));
}

auto set_task(ModuleState& module, PyObject* loop, PyObject* task) -> bool {
  // What is replaced is not asked for: a look-up less for each item.
  if (module.current_tasks && task != Py_None) return PyDict_SetItem(module.current_tasks.get(), loop, task) == 0;
  return static_cast<bool>(swap_task(module, loop, task));
}

namespace {

/// A step of a body, in its own task and context.
class OwnTask {
 public:
  explicit OwnTask(IsolatedBody& body) : body_(body) {}
  OwnTask(OwnTask const&) = delete;
  auto operator=(OwnTask const&) -> OwnTask& = delete;
  ~OwnTask() = default;

  /// False with an exception set, and nothing entered.
  auto enter() -> bool {
    before_ = swap_task(*body_.module, body_.loop.get(), body_.task.get());
    if (!before_) return false;
    if (PyContext_Enter(body_.context.get()) == 0) {
      body_.stepping = true;
      return true;
    }
    auto error = take_raised();
    leave_task();
    compat::restore_exception(std::move(error));
    return false;
  }
  /// There is no current exception.
  void leave() noexcept {
    body_.stepping = false;
    if (PyContext_Exit(body_.context.get()) != 0) compat::write_unraisable(body_.context.get());
    leave_task();
  }
  /// leave(), which keeps what a step has raised.
  void leave_after(Step step) noexcept {
    if (!step.is(StepKind::raised)) return leave();
    auto error = take_raised();
    leave();
    compat::restore_exception(std::move(error));
  }
  /// Whether the step is in the place of a task: otherwise the loop does not run, or something else runs in it.
  [[nodiscard]] auto is_in_a_task() const noexcept -> bool { return before_.get() != Py_None; }

 private:
  void leave_task() noexcept {
    if (!set_task(*body_.module, body_.loop.get(), before_.get())) compat::write_unraisable(body_.task.get());
    before_.reset();
  }

  IsolatedBody& body_;
  Object before_;
};

/// Whether a body has all that its first operation gives it, and still refers to it: the collector may have been here.
auto is_whole(IsolatedBody const& body) noexcept -> bool {
  return is_set(body.task) && body.loop && body.context && body.generator && body.outcomes;
}

/// Whether a body stands at a yield, and nothing is under way, and this is the thread of its loop.
auto is_idle(IsolatedBody const& body) noexcept -> bool {
  if (body.thread != PyThread_get_thread_ident()) return false;
  if (body.stepping || body.woken || body.closing || body.ended) return false;
  if (is_set(body.operation) || is_set(body.consumer) || !is_whole(body)) return false;
  return PyObject_Size(body.outcomes.get()) == 0;
}

/// The body, if it is idle; or null. Null while the guard is on, too: it knows an isolated generator by the frames of
/// Python that resume it.
auto idle_body(IsolatedGenerator& generator) noexcept -> IsolatedBody* {
  ModuleState& module = *generator.module;
  if (guard_is_on(module) || !module.task_swap) return nullptr;
  if (!generator.body || !PyObject_TypeCheck(generator.body.get(), module.isolated_body_type)) return nullptr;
  auto& body = as<IsolatedBody>(generator.body.get());
  return is_idle(body) ? &body : nullptr;
}

/// The operation of the generator inside: what `await` iterates.
auto begin_inside(IsolatedBody& body, PyObject* value) -> Object {
  PyObject* const generator = body.generator.get();
  PyAsyncMethods const* methods = Py_TYPE(generator)->tp_as_async;
  bool const plain = value == Py_None && methods != nullptr && methods->am_anext != nullptr;
  auto const awaitable = steal(plain ? methods->am_anext(generator)
                                     : PyObject_CallMethodOneArg(generator, body.module->names.asend.get(), value));
  return awaitable ? await_iterator(awaitable.get()) : nullptr;
}

// An operation --------------------------------------------------------------------------------------------------------

/// The rest of the operation is Python's. Its first step.
auto hand_over(IsolatedOperation& my, Object coroutine) -> Step {
  if (!coroutine) {
    my.progress = Progress::finished;
    return Step::raised();
  }
  my.rest = await_iterator(coroutine.get());
  Step const step = my.rest ? await_send(my.rest.get(), Py_None) : Step::raised();
  if (step.is(StepKind::awaits)) return step;
  my.progress = Progress::finished;
  my.rest.reset();
  return step;
}

/// All of it is.
auto begin_in_python(IsolatedOperation& my, PyObject* value) -> Step {
  PyObject* const generator = my.generator.object();
  return hand_over(my, steal(PyObject_CallMethod(generator, "_operate", "(O)", value)));
}

/// What the body has answered is no item.
AGEN_OUT_OF_LINE auto answered(IsolatedOperation& my, IsolatedBody& body, Object iterator, Step step) -> Step {
  if (step.is(StepKind::awaits)) {
    body.operation = std::move(iterator);
    auto const awaited = step.take();
    PyObject* const self = object_of(body);
    return hand_over(my, steal(PyObject_CallMethod(self, "rest", "OO", my.generator.object(), awaited.get())));
  }
  my.progress = Progress::finished;
  auto error = take_raised();
  auto const told = steal(PyObject_CallMethod(object_of(body), "end_with", "(O)", error.get()));
  if (!told) compat::write_unraisable(object_of(body));
  compat::restore_exception(std::move(error));
  return Step::raised();
}

auto begin(IsolatedOperation& my, PyObject* value) -> Step {
  my.progress = Progress::started;
  IsolatedBody* const found = idle_body(*my.generator.get());
  if (found == nullptr) [[unlikely]]
    return begin_in_python(my, value);
  IsolatedBody& body = *found;
  auto const held = borrow(object_of(body));
  OwnTask own(body);
  if (!own.enter()) [[unlikely]] {
    PyErr_Clear();  // Python says what is wrong
    return begin_in_python(my, value);
  }
  if (!own.is_in_a_task()) [[unlikely]] {
    own.leave();
    return begin_in_python(my, value);
  }
  auto iterator = begin_inside(body, value);
  Step const step = iterator ? await_send(iterator.get(), Py_None) : Step::raised();
  own.leave_after(step);
  if (!step.is(StepKind::returned)) [[unlikely]]
    return answered(my, body, std::move(iterator), step);
  my.progress = Progress::finished;
  return step;
}

auto refuse_executing() -> Step {
  set_coroutine_executing();
  return Step::raised();
}

/// The operation when it is used up, or is resumed.
auto resume(IsolatedOperation& my, PyObject* value) -> Step {
  if (my.progress == Progress::finished) {
    set_reused("__anext__()/asend()");
    return Step::raised();
  }
  if (!my.rest) return refuse_executing();  // from the body that it resumes
  auto const rest = my.rest;
  Step const step = await_send(rest.get(), value);
  if (step.is(StepKind::awaits)) return step;
  my.progress = Progress::finished;
  my.rest.reset();
  return step;
}

auto operation_send(PyObject* self, PyObject* value) -> Step {
  auto& my = as<IsolatedOperation>(self);
  Occupied const occupied(my.occupancy);
  if (!occupied) return refuse_executing();
  if (my.progress != Progress::initial) return resume(my, value);
  return begin(my, value == Py_None && my.argument ? my.argument.get() : value);
}

auto operation_throw(PyObject* self, Object exception) -> Step {
  auto& my = as<IsolatedOperation>(self);
  Occupied const occupied(my.occupancy);
  if (!occupied) return refuse_executing();
  if (my.progress == Progress::finished) {
    set_reused("__anext__()/asend()");
    return Step::raised();
  }
  if (my.progress == Progress::initial) {  // as a coroutine that has not begun
    my.progress = Progress::finished;
    compat::restore_exception(std::move(exception));
    return Step::raised();
  }
  if (!my.rest) return refuse_executing();
  auto const rest = my.rest;
  Step const step = throw_into(*my.module, rest.get(), exception.get());
  if (step.is(StepKind::awaits)) return step;
  my.progress = Progress::finished;
  my.rest.reset();
  return step;
}

auto operation_close(PyObject* self, PyObject*) -> PyObject* {
  if (as<IsolatedOperation>(self).progress == Progress::finished) return Py_NewRef(Py_None);
  auto exit = steal(PyObject_CallNoArgs(PyExc_GeneratorExit));
  if (!exit) return nullptr;
  return closed_answer(operation_throw(self, std::move(exit)));
}

/// What `async for` calls on 3.12 to 3.14.
auto operation_iternext(PyObject* self) -> PyObject* {
  Step const step = operation_send(self, Py_None);
  if (!step.is(StepKind::returned)) return step.object;
  if (step.object == Py_None) {  // no exception at all means StopIteration(None)
    Py_DECREF(step.object);
  } else {
    set_recycled_stop(*as<IsolatedOperation>(self).module, step.object);
  }
  return nullptr;
}

auto new_operation(PyObject* self, PyObject* argument) -> PyObject* {
  auto& generator = as<IsolatedGenerator>(self);
  ModuleState& module = *generator.module;
  auto* made = module.isolated_operations.take();
  if (made == nullptr) made = allocate<IsolatedOperation>(module.isolated_operation_type);
  if (made == nullptr) return nullptr;
  made->module = &module;
  new (&made->generator) Ref<IsolatedGenerator>(Ref<IsolatedGenerator>::borrow(&generator));
  new (&made->argument) Object(borrow(argument));
  new (&made->rest) Object();
  made->progress = Progress::initial;
  new (&made->occupancy) Occupancy;
  PyObject_GC_Track(made);
  return object_of(*made);
}

auto operation_traverse(PyObject* self, visitproc visit, void* arg) -> int {
  auto& my = as<IsolatedOperation>(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(my.generator.object());
  Py_VISIT(my.argument.get());
  Py_VISIT(my.rest.get());
  return 0;
}

auto operation_clear(PyObject* self) -> int {
  auto& my = as<IsolatedOperation>(self);
  my.rest.reset();
  my.argument.reset();
  return 0;  // the generator stays, as in every awaitable
}

void operation_dealloc(PyObject* self) {
  auto& my = as<IsolatedOperation>(self);
  PyObject_GC_UnTrack(self);
  ModuleState& module = living_state(my);
  if (my.progress == Progress::initial) warn_unawaited("asend", my.generator.object());
  Object const carried = take_carried_item(module);
  Object const argument = std::move(my.argument);
  Object const rest = std::move(my.rest);
  auto const generator = std::move(my.generator);  // these outlive it: their ends may run code
  if (module.isolated_operations.give(&my)) return;
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_Del(self);
  Py_DECREF(type);
}

auto named(char const* name) -> void* { return const_cast<char*>(name); }

/// The names of the generator.
auto operation_name(PyObject* self, void* name) -> PyObject* {
  return PyObject_GetAttrString(as<IsolatedOperation>(self).generator.object(), static_cast<char const*>(name));
}

/// To those who follow awaits, it is the coroutine that performs its rest.
auto operation_attribute(PyObject* self, void* name) -> PyObject* {
  auto const rest = as<IsolatedOperation>(self).rest;
  return rest ? PyObject_GetAttrString(rest.get(), static_cast<char const*>(name)) : Py_NewRef(Py_None);
}

auto operation_running(PyObject* self, void*) -> PyObject* {
  auto const& my = as<IsolatedOperation>(self);
  if (my.rest) return operation_attribute(self, named("cr_running"));
  return PyBool_FromLong(my.progress == Progress::started);
}

PyGetSetDef operation_getset[] = {
    {"__name__", operation_name, nullptr, PyDoc_STR("The generator's name."), named("__name__")},
    {"__qualname__", operation_name, nullptr, PyDoc_STR("The generator's qualified name."), named("__qualname__")},
    {"cr_frame", operation_attribute, nullptr, PyDoc_STR("A frame that waits for the body, or None."),
     named("cr_frame")},
    {"cr_code", operation_attribute, nullptr, PyDoc_STR("Its code, or None."), named("cr_code")},
    {"cr_await", operation_attribute, nullptr, PyDoc_STR("What is awaited, or None."), named("cr_await")},
    {"cr_running", operation_running, nullptr, PyDoc_STR("Whether the operation executes."), nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

using OperationSlots = AwaitableSlots<IsolatedOperation, operation_send, operation_throw, operation_close>;

PyType_Slot operation_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(operation_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(operation_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(operation_clear)},
    {Py_tp_getset, operation_getset},
    OperationSlots::await,
    OperationSlots::send,
    OperationSlots::iter,
    compat::send_uses_iternext ? PyType_Slot{Py_tp_iternext, reinterpret_cast<void*>(operation_iternext)}
                               : OperationSlots::next,
    {Py_tp_methods, OperationSlots::methods},
    {0, nullptr},
};

// The bases -----------------------------------------------------------------------------------------------------------

/// The state of the module, for an instance of a Python class below `type` of the engine.
auto state_below(PyTypeObject* type, destructor dealloc) noexcept -> ModuleState& {
  while (type->tp_dealloc != dealloc) type = type->tp_base;
  return *static_cast<ModuleState*>(PyModule_GetState(reinterpret_cast<PyHeapTypeObject*>(type)->ht_module));
}

/// The end of an instance, whose class of Python has taken its own part away.
void free_base(PyObject* self, inquiry clear) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  clear(self);
  type->tp_free(self);
  Py_DECREF(type);
}

// All that Python may set, for the collector as well.
auto objects_of(IsolatedBody& body) noexcept -> std::array<Object*, 7> {
  return {&body.generator, &body.loop, &body.task, &body.context, &body.operation, &body.consumer, &body.outcomes};
}

}  // namespace

auto body_traverse(PyObject* self, visitproc visit, void* arg) -> int {
  Py_VISIT(Py_TYPE(self));
  for (Object const* object : objects_of(as<IsolatedBody>(self))) Py_VISIT(object->get());
  return 0;
}

auto body_clear(PyObject* self) -> int {
  for (Object* object : objects_of(as<IsolatedBody>(self))) object->reset();
  return 0;
}

namespace {

void body_dealloc(PyObject* self) { free_base(self, body_clear); }

auto body_new(PyTypeObject* type, PyObject*, PyObject*) -> PyObject* {
  PyObject* self = type->tp_alloc(type, 0);  // zeroed: its Objects are null
  if (self != nullptr) as<IsolatedBody>(self).module = &state_below(type, body_dealloc);
  return self;
}

/// step(function, *arguments): a call in the generator's own task and context.
auto body_step(PyObject* self, PyObject* const* arguments, Py_ssize_t count) -> PyObject* {
  auto& body = as<IsolatedBody>(self);
  if (count < 1 || !body.module->task_swap || !is_set(body.task) || !body.loop || !body.context) {
    PyErr_SetString(PyExc_TypeError, "step() takes a function, and a task to call it in");
    return nullptr;
  }
  OwnTask own(body);
  if (!own.enter()) return nullptr;
  PyObject* const result =
      PyObject_Vectorcall(arguments[0], arguments + 1, static_cast<std::size_t>(count - 1), nullptr);
  own.leave_after(result != nullptr ? Step::returned(nullptr) : Step::raised());
  return result;
}

PyMethodDef body_methods[] = {
    {"step", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(body_step)), METH_FASTCALL,
     PyDoc_STR("step(function, *arguments)\n\nCall it in the generator's own task and context.")},
    {nullptr, nullptr, 0, nullptr},
};

PyMemberDef body_members[] = {
    {"generator", T_OBJECT, offsetof(IsolatedBody, generator), 0, nullptr},
    {"loop", T_OBJECT, offsetof(IsolatedBody, loop), 0, nullptr},
    {"task", T_OBJECT, offsetof(IsolatedBody, task), 0, nullptr},
    {"context", T_OBJECT, offsetof(IsolatedBody, context), 0, nullptr},
    {"operation", T_OBJECT, offsetof(IsolatedBody, operation), 0, nullptr},
    {"consumer", T_OBJECT, offsetof(IsolatedBody, consumer), 0, nullptr},
    {"outcomes", T_OBJECT, offsetof(IsolatedBody, outcomes), 0, nullptr},
    {"thread", T_ULONG, offsetof(IsolatedBody, thread), 0, nullptr},
    {"stepping", T_BOOL, offsetof(IsolatedBody, stepping), READONLY, nullptr},
    {"woken", T_BOOL, offsetof(IsolatedBody, woken), 0, nullptr},
    {"closing", T_BOOL, offsetof(IsolatedBody, closing), 0, nullptr},
    {"ended", T_BOOL, offsetof(IsolatedBody, ended), 0, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyType_Slot body_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(body_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(body_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(body_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(body_clear)},
    {Py_tp_methods, body_methods},
    {Py_tp_members, body_members},
    {0, nullptr},
};

auto generator_traverse(PyObject* self, visitproc visit, void* arg) -> int {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(as<IsolatedGenerator>(self).body.get());
  return 0;
}

auto generator_clear(PyObject* self) -> int {
  as<IsolatedGenerator>(self).body.reset();
  return 0;
}

void generator_dealloc(PyObject* self) { free_base(self, generator_clear); }

auto generator_new(PyTypeObject* type, PyObject*, PyObject*) -> PyObject* {
  PyObject* self = type->tp_alloc(type, 0);
  if (self != nullptr) as<IsolatedGenerator>(self).module = &state_below(type, generator_dealloc);
  return self;
}

auto generator_anext(PyObject* self) -> PyObject* { return new_operation(self, nullptr); }

/// The generator inside; null with an exception set.
auto inside(PyObject* self) -> Object {
  auto const body = as<IsolatedGenerator>(self).body;
  return steal(PyObject_GetAttrString(body ? body.get() : Py_None, "generator"));
}

auto generator_name(PyObject* self, void* name) -> PyObject* {
  auto const generator = inside(self);
  return generator ? PyObject_GetAttrString(generator.get(), static_cast<char const*>(name)) : nullptr;
}

auto set_generator_name(PyObject* self, PyObject* value, void* name) -> int {
  auto const generator = inside(self);
  return generator ? PyObject_SetAttrString(generator.get(), static_cast<char const*>(name), value) : -1;
}

// A class of Python cannot define these for its instances.
PyGetSetDef generator_getset[] = {
    {"__name__", generator_name, set_generator_name, PyDoc_STR("The generator's name."), named("__name__")},
    {"__qualname__", generator_name, set_generator_name, PyDoc_STR("The generator's qualified name."),
     named("__qualname__")},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMethodDef generator_methods[] = {
    {"asend", new_operation, METH_O,
     PyDoc_STR("asend(value) -> awaitable: send a value in and wait for the next item.")},
    {nullptr, nullptr, 0, nullptr},
};

PyMemberDef generator_members[] = {
    {"_body", T_OBJECT, offsetof(IsolatedGenerator, body), 0, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyType_Slot generator_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(generator_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(generator_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(generator_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(generator_clear)},
    {Py_am_aiter, reinterpret_cast<void*>(PyObject_SelfIter)},
    {Py_am_anext, reinterpret_cast<void*>(generator_anext)},
    {Py_tp_methods, generator_methods},
    {Py_tp_getset, generator_getset},
    {Py_tp_members, generator_members},
    {0, nullptr},
};

constexpr unsigned base_flags =
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE;

}  // namespace

PyType_Spec isolated_body_spec = {"async_generator._engine.isolated_body", sizeof(IsolatedBody), 0, base_flags,
                                  body_slots};
PyType_Spec isolated_generator_spec = {"async_generator._engine.isolated_generator", sizeof(IsolatedGenerator), 0,
                                       base_flags, generator_slots};
PyType_Spec isolated_operation_spec = {
    "async_generator._engine.isolated_operation",
    sizeof(IsolatedOperation),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    operation_slots,
};

auto module_set_task_swap(PyObject* self, PyObject* arguments) -> PyObject* {
  ModuleState& module = *static_cast<ModuleState*>(PyModule_GetState(self));
  PyObject* swap = nullptr;
  PyObject* tasks = nullptr;
  if (!PyArg_ParseTuple(arguments, "OO", &swap, &tasks)) return nullptr;
  module.task_swap = borrow(swap);
  // Without the GIL asyncio has locks of its own around it.
  module.current_tasks = !compat::free_threaded && PyDict_CheckExact(tasks) ? borrow(tasks) : nullptr;
  return Py_NewRef(Py_None);
}

}  // namespace engine
