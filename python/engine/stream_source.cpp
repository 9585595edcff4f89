// See stream_source.hpp.
#include "stream_source.hpp"

#include <structmember.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "awaiting.hpp"
#include "errors.hpp"

namespace engine {

namespace {

auto is_nothing(Object const& object) noexcept -> bool { return !object || object.get() == Py_None; }

/// Whether someone waits by the bell.
auto is_awaited(StreamQueue const& queue) noexcept -> bool {
  return !PyList_Check(queue.waiting.get()) || PyList_GET_SIZE(queue.waiting.get()) != 0;
}

/// Puts a source at the end of a list of them. False with an exception set.
auto append(Deque<Ref<StreamSource>>& sources, StreamSource& source) -> bool {
  if (sources.push_back(Ref<StreamSource>::borrow(&source))) return true;
  PyErr_NoMemory();
  return false;
}

/// It is the source's turn, after those that are in the queue. False with an exception set.
auto put(StreamQueue& queue, StreamSource& source) -> bool {
  if (!source.queued) {
    if (!append(queue.ready, source)) return false;
    source.queued = true;
  }
  return !is_awaited(queue) || steal(PyObject_CallNoArgs(queue.ring.get()));
}

auto take(StreamQueue& queue) -> Ref<StreamSource> {
  auto source = queue.ready.take_front();
  source->queued = false;
  return source;
}

/// The source waits no longer. False with an exception set.
auto notify(StreamSource& source) -> bool {
  if (is_nothing(source.on_ready)) return !source.queue || put(*source.queue, source);
  Object const called = source.on_ready;
  return static_cast<bool>(steal(PyObject_CallOneArg(called.get(), object_of(source))));
}

/// A loop's thread has its streams to itself, also without the GIL.
auto is_on_thread(StreamQueue const& queue) noexcept -> bool { return PyThread_get_thread_ident() == queue.thread; }

/// Whether the queue's loop runs, in this thread. An exception that is current stays so.
auto is_on_loop(StreamQueue const& queue) -> bool {
  auto error = compat::take_exception();
  auto const running = steal(PyObject_CallMethod(queue.loop.get(), "is_running", nullptr));
  bool const runs = running && PyObject_IsTrue(running.get()) == 1;
  PyErr_Clear();
  if (error) compat::restore_exception(std::move(error));
  return runs;
}

/// Where a stream is asked for an item.
enum class Place : std::uint8_t { loop, elsewhere, nowhere };  // nowhere: with an exception set

/// Which task is the loop's current one, for a scope: that of the source resumed last, and at the end the one before
/// again. So a walk through many sources sets each once. The exception that is current stays so.
class TaskScope {
 public:
  TaskScope(ModuleState& module, StreamQueue& queue) : module_(module), queue_(Ref<StreamQueue>::borrow(&queue)) {}
  ~TaskScope() {
    if (!before_) return;
    auto error = compat::take_exception();
    if (!set(before_.get())) compat::write_unraisable(queue_.object());
    if (error) compat::restore_exception(std::move(error));
  }
  TaskScope(TaskScope const&) = delete;
  auto operator=(TaskScope const&) -> TaskScope& = delete;

  auto enter(PyObject* task) -> Place {
    if (before_) return set(task) ? Place::loop : Place::nowhere;
    before_ = swap_task(module_, queue_->loop.get(), task);
    if (before_ && before_.get() != Py_None) [[likely]]
      return Place::loop;
    if (is_on_loop(*queue_)) return before_ ? Place::loop : Place::nowhere;  // a callback of it asks
    if (!before_) PyErr_Clear();                                             // from 3.14 on asyncio has refused it
    if (auto const nothing = std::move(before_); nothing && !set(Py_None)) return Place::nowhere;
    return Place::elsewhere;
  }

 private:
  auto set(PyObject* task) -> bool { return set_task(module_, queue_->loop.get(), task); }

  ModuleState& module_;
  Ref<StreamQueue> const queue_;
  Object before_;
};

/// In the context of a source, for a scope. False with an exception set. The exception that is current at its end stays
/// so.
class InSource {
 public:
  explicit InSource(StreamSource& source) : source_(source) {
    entered_ = PyContext_Enter(source.body.context.get()) == 0;
    if (entered_) source.body.stepping = true;
  }
  ~InSource() {
    if (!entered_) return;
    source_.body.stepping = false;
    if (PyErr_Occurred() == nullptr) [[likely]] {
      leave();
    } else {
      auto error = compat::take_exception();
      leave();
      compat::restore_exception(std::move(error));
    }
  }
  InSource(InSource const&) = delete;
  auto operator=(InSource const&) -> InSource& = delete;
  explicit operator bool() const noexcept { return entered_; }

 private:
  void leave() {
    if (PyContext_Exit(source_.body.context.get()) != 0) compat::write_unraisable(source_.body.context.get());
  }

  StreamSource& source_;
  bool entered_;
};

/// The loop calls come_round() for the sources that wait for a turn, unless a consumer waits for the same turn. False
/// with an exception set.
auto expect_turn(StreamQueue& queue) -> bool {
  if (queue.turn.empty() || queue.expected) return true;
  auto const come_round = steal(PyObject_GetAttrString(object_of(queue), "come_round"));
  queue.expected = come_round && steal(PyObject_CallMethod(queue.loop.get(), "call_soon", "O", come_round.get()));
  return queue.expected;
}

/// What the operation hands up to the loop. False with an exception set, which the operation gets.
auto wait_for(ModuleState& module, StreamSource& source, Object answer) -> bool {
  source.arrived = false;
  if (answer.get() == Py_None) return append(source.queue->turn, source);
  auto const blocking = steal(PyObject_GetAttr(answer.get(), module.names.future_blocking.get()));
  if (!blocking) PyErr_Clear();
  if (!blocking || PyObject_IsTrue(blocking.get()) != 1) {
    PyErr_Clear();
    PyErr_Format(PyExc_RuntimeError, "a source of a stream got %R, which asyncio cannot wait for", answer.get());
    return false;
  }
  source.waits_for = answer;
  if (PyObject_SetAttr(answer.get(), module.names.future_blocking.get(), Py_False) != 0) return false;
  auto const added =
      steal(PyObject_CallMethodOneArg(answer.get(), module.names.add_done_callback.get(), object_of(source)));
  return static_cast<bool>(added);
}

auto begin(StreamSource& source) -> bool {
  PyObject* iterator = source.body.generator.get();
  PyAsyncMethods const* methods = Py_TYPE(iterator)->tp_as_async;
  if (methods == nullptr || methods->am_anext == nullptr) {
    PyErr_Format(PyExc_TypeError, "'%.100s' object is not an async iterator", Py_TYPE(iterator)->tp_name);
    return false;
  }
  auto const awaitable = steal(methods->am_anext(iterator));
  if (awaitable) source.body.operation = await_iterator(awaitable.get());
  return source.body.operation && awaitable;
}

/// Resumes the operation, in the source's environment; its task is the current one.
auto resume(ModuleState& module, StreamSource& source) -> Step {
  InSource const inside(source);
  if (!inside) return Step::raised();
  if (is_nothing(source.body.operation)) {
    source.body.operation.reset();
    if (!begin(source)) return Step::raised();
  }
  source.waits_for.reset();
  Object const operation = source.body.operation;
  Step step = await_send(operation.get(), Py_None);
  while (step.is(StepKind::awaits) && !wait_for(module, source, step.take())) {
    source.waits_for.reset();
    auto const error = compat::take_exception();
    step = await_throw(module, operation.get(), error.get());
  }
  return step;
}

/// The operation has raised: Python is told, and the exception is current again.
auto fail(StreamSource& source) -> PyObject* {
  auto error = compat::take_exception();
  source.plain = false;
  source.body.operation.reset();
  source.waits_for.reset();
  auto const noted = steal(PyObject_CallMethod(object_of(source), "end_operation", "O", error.get()));
  if (noted) compat::restore_exception(std::move(error));
  return nullptr;
}

/// Another loop asks the source: it is asked again when that consumer, which is refused by the bell, has given up.
auto refuse(ModuleState& module, StreamSource& source) -> PyObject* {
  return append(source.queue->refused, source) ? Py_NewRef(module.pending.get()) : nullptr;
}

/// An item, or PENDING.
auto poll(ModuleState& module, StreamSource& source, TaskScope& tasks) -> PyObject* {
  if (!source.plain || source.body.woken) [[unlikely]]
    return is_on_loop(*source.queue) ? PyObject_CallMethod(object_of(source), "poll_slowly", nullptr)
                                     : refuse(module, source);
  if (is_nothing(source.body.generator) || is_nothing(source.body.task) || is_nothing(source.body.context)) {
    PyErr_SetString(PyExc_RuntimeError, "a source that has not begun");
    return nullptr;
  }
  if (source.body.stepping) {
    set_already_running(module, agen::operation::anext);
    return nullptr;
  }
  if (!is_nothing(source.body.operation) && !source.arrived) return Py_NewRef(module.pending.get());
  auto const kept = Ref<StreamSource>::borrow(&source);
  Nested const nested(" while a stream asks its source");
  if (!nested) return nullptr;
  Place const place = tasks.enter(source.body.task.get());
  if (place == Place::elsewhere) return refuse(module, source);
  Step step = place == Place::loop ? resume(module, source) : Step::raised();
  if (step.is(StepKind::returned)) {
    source.body.operation.reset();
    return step.object;
  }
  if (step.is(StepKind::raised)) return fail(source);
  return Py_NewRef(module.pending.get());
}

void queue_dealloc(PyObject* self);

// Sources -------------------------------------------------------------------------------------------------------------

auto source_poll(PyObject* self, PyObject*) -> PyObject* {
  auto& source = as<StreamSource>(self);
  if (!source.queue) {
    PyErr_SetString(PyExc_RuntimeError, "a source without a queue");
    return nullptr;
  }
  auto const queue = Ref<StreamQueue>::borrow(source.queue.get());
  ModuleState& module = state_of(queue.object());
  if (!is_on_thread(*queue)) return Py_NewRef(module.pending.get());
  TaskScope tasks(module, *queue);
  auto item = steal(poll(module, source, tasks));
  return !item || expect_turn(*queue) ? item.release() : nullptr;
}

auto source_notify(PyObject* self, PyObject*) -> PyObject* {
  return notify(as<StreamSource>(self)) ? Py_NewRef(Py_None) : nullptr;
}

/// As the callback of a future.
auto source_call(PyObject* self, PyObject*, PyObject*) -> PyObject* {
  as<StreamSource>(self).arrived = true;
  return source_notify(self, nullptr);
}

auto source_get_queue(PyObject* self, void*) -> PyObject* {
  PyObject* queue = as<StreamSource>(self).queue.object();
  return Py_NewRef(queue != nullptr ? queue : Py_None);
}

auto source_set_queue(PyObject* self, PyObject* value, void*) -> int {
  if (value == nullptr || Py_TYPE(value)->tp_dealloc != queue_dealloc) {
    PyErr_SetString(PyExc_TypeError, "a source takes a stream_queue");
    return -1;
  }
  as<StreamSource>(self).queue = Ref<StreamQueue>::borrow(&as<StreamQueue>(value));
  return 0;
}

auto source_traverse(PyObject* self, visitproc visit, void* arg) -> int {
  auto& source = as<StreamSource>(self);
  Py_VISIT(source.waits_for.get());
  Py_VISIT(source.on_ready.get());
  Py_VISIT(source.queue.object());
  return body_traverse(self, visit, arg);
}

auto source_clear(PyObject* self) -> int {
  auto& source = as<StreamSource>(self);
  source.plain = false;
  source.waits_for.reset();
  source.on_ready.reset();
  return body_clear(self);
}

void source_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  source_clear(self);
  as<StreamSource>(self).queue.reset();
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyMemberDef source_members[] = {
    {"waits_for", T_OBJECT, offsetof(StreamSource, waits_for), 0, nullptr},
    {"on_ready", T_OBJECT, offsetof(StreamSource, on_ready), 0, nullptr},
    {"queued", T_BOOL, offsetof(StreamSource, queued), 0, nullptr},
    {"plain", T_BOOL, offsetof(StreamSource, plain), 0, nullptr},
    {"arrived", T_BOOL, offsetof(StreamSource, arrived), 0, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyGetSetDef source_getset[] = {
    {"queue", source_get_queue, source_set_queue, PyDoc_STR("The stream_queue."), nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMethodDef source_methods[] = {
    {"poll", source_poll, METH_NOARGS,
     PyDoc_STR("poll() -> the item, or PENDING. Goes on with the operation that is under way, or begins one.")},
    {"notify", source_notify, METH_NOARGS, PyDoc_STR("notify() -> the source can be polled again.")},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot source_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(source_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(source_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(source_clear)},
    {Py_tp_call, reinterpret_cast<void*>(source_call)},
    {Py_tp_members, source_members},
    {Py_tp_getset, source_getset},
    {Py_tp_methods, source_methods},
    {0, nullptr},
};

// The queue -----------------------------------------------------------------------------------------------------------

/// stream_queue(loop, ring, waiting, open)
auto queue_new(PyTypeObject* type, PyObject* arguments, PyObject*) -> PyObject* {
  PyObject *loop, *ring, *waiting, *open;
  if (!PyArg_ParseTuple(arguments, "OOO!O!", &loop, &ring, &PyList_Type, &waiting, &PyDict_Type, &open)) return nullptr;
  auto& module = *static_cast<ModuleState*>(PyType_GetModuleState(type));
  if (!module.task_swap) {
    PyErr_SetString(PyExc_RuntimeError, "async_generator._isolated is not imported");
    return nullptr;
  }
  PyObject* self = type->tp_alloc(type, 0);
  if (self == nullptr) return nullptr;
  auto& queue = as<StreamQueue>(self);
  queue.loop = borrow(loop);
  queue.ring = borrow(ring);
  queue.waiting = borrow(waiting);
  queue.open = borrow(open);
  queue.expected = queue.begun = queue.pausing = false;
  queue.in_a_row = 0;
  queue.thread = PyThread_get_thread_ident();
  new (&queue.ready) Deque<Ref<StreamSource>>();
  new (&queue.turn) Deque<Ref<StreamSource>>();
  new (&queue.refused) Deque<Ref<StreamSource>>();
  return self;
}

auto source_of(PyObject* object) -> StreamSource* {
  for (PyTypeObject const* type = Py_TYPE(object); type != nullptr; type = type->tp_base)
    if (type->tp_dealloc == source_dealloc) return &as<StreamSource>(object);
  PyErr_SetString(PyExc_TypeError, "a stream_queue takes sources");
  return nullptr;
}

auto queue_put(PyObject* self, PyObject* object) -> PyObject* {
  StreamSource* source = source_of(object);
  return source != nullptr && put(as<StreamQueue>(self), *source) ? Py_NewRef(Py_None) : nullptr;
}

auto queue_take(PyObject* self, PyObject*) -> PyObject* {
  auto& queue = as<StreamQueue>(self);
  if (queue.ready.empty() || !is_on_thread(queue)) return Py_NewRef(Py_None);
  return reinterpret_cast<PyObject*>(take(queue).release());
}

/// So many items in a row may come at once before the loop gets a turn, if a source waits for that.
constexpr int most_in_a_row = 64;

/// Whether it is time for the others of the loop.
auto gives_a_turn(StreamQueue& queue) -> bool {
  if (++queue.in_a_row < most_in_a_row) [[likely]]
    return false;
  queue.in_a_row = 0;
  queue.pausing = PyDict_GET_SIZE(queue.open.get()) > static_cast<Py_ssize_t>(queue.ready.size());
  return queue.pausing;
}

/// The loop has come round.
void come_round(StreamQueue& queue) {
  queue.expected = queue.begun = false;
  for (auto left = queue.turn.size(); left != 0 && !queue.turn.empty(); --left) {
    auto const source = queue.turn.take_front();
    source->arrived = true;
    if (!notify(*source)) compat::write_unraisable(source.object());
  }
}

/// An item of whichever source has one, in turn. The source is the last one of the queue then.
auto queue_next(PyObject* self, PyObject*) -> PyObject* {
  auto& queue = as<StreamQueue>(self);
  ModuleState& module = state_of(self);
  if (!is_on_thread(queue)) return Py_NewRef(module.pending.get());
  if (queue.begun) [[unlikely]]
    come_round(queue);  // the consumer has waited for that
  if (gives_a_turn(queue)) return Py_NewRef(module.pending.get());
  TaskScope tasks(module, queue);
  while (!queue.ready.empty()) {
    auto source = take(queue);
    auto item = steal(poll(module, *source, tasks));
    if (!item) {
      if (!PyErr_ExceptionMatches(PyExc_StopAsyncIteration)) return nullptr;
      PyErr_Clear();
      if (PyDict_DelItem(queue.open.get(), source.object()) != 0) PyErr_Clear();  // it is being closed
    } else if (item.get() != module.pending.get()) {
      if (!source->queued) {
        if (!append(queue.ready, *source)) return nullptr;
        source->queued = true;
      }
      return expect_turn(queue) ? item.release() : nullptr;
    }
  }
  queue.in_a_row = 0;
  return Py_NewRef(module.pending.get());
}

/// Whether the consumer is to wait for a turn of the loop, and nothing else. Then it asks for an item, or gives up.
auto queue_begin_turn(PyObject* self, PyObject*) -> PyObject* {
  auto& queue = as<StreamQueue>(self);
  if (!queue.turn.empty() && !queue.expected) queue.expected = queue.begun = true;
  return PyBool_FromLong(std::exchange(queue.pausing, false) || queue.begun);
}

auto queue_give_up_turn(PyObject* self, PyObject*) -> PyObject* {
  auto& queue = as<StreamQueue>(self);
  while (!queue.refused.empty())
    if (!put(queue, *queue.refused.take_front())) return nullptr;
  if (!std::exchange(queue.begun, false)) return Py_NewRef(Py_None);
  queue.expected = false;
  return expect_turn(queue) ? Py_NewRef(Py_None) : nullptr;
}

auto queue_come_round(PyObject* self, PyObject*) -> PyObject* {
  come_round(as<StreamQueue>(self));
  return Py_NewRef(Py_None);
}

auto queue_clear_ready(PyObject* self, PyObject*) -> PyObject* {
  auto const dropped = std::move(as<StreamQueue>(self).ready);
  for (std::size_t i = 0; i != dropped.size(); ++i) dropped[i]->queued = false;
  return Py_NewRef(Py_None);
}

auto queue_last(PyObject* self, PyObject*) -> PyObject* {
  auto& queue = as<StreamQueue>(self);
  return Py_NewRef(queue.ready.empty() ? Py_None : queue.ready.back().object());
}

auto queue_length(PyObject* self) -> Py_ssize_t { return static_cast<Py_ssize_t>(as<StreamQueue>(self).ready.size()); }

auto queue_traverse(PyObject* self, visitproc visit, void* arg) -> int {
  auto& queue = as<StreamQueue>(self);
  Py_VISIT(Py_TYPE(self));
  for (Object const* member : {&queue.loop, &queue.ring, &queue.waiting, &queue.open}) Py_VISIT(member->get());
  for (auto const* sources : {&queue.ready, &queue.turn, &queue.refused})
    for (std::size_t i = 0; i != sources->size(); ++i) Py_VISIT((*sources)[i].object());
  return 0;
}

auto queue_clear(PyObject* self) -> int {
  auto& queue = as<StreamQueue>(self);
  auto const ready = std::move(queue.ready);
  auto const turn = std::move(queue.turn);
  auto const refused = std::move(queue.refused);
  return 0;  // what it is called by stays: it would have to be looked for at each call
}

void queue_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  auto& queue = as<StreamQueue>(self);
  std::destroy_at(&queue.ready);
  std::destroy_at(&queue.turn);
  std::destroy_at(&queue.refused);
  for (Object* member : {&queue.loop, &queue.ring, &queue.waiting, &queue.open}) member->reset();
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyMethodDef queue_methods[] = {
    {"put", queue_put, METH_O, PyDoc_STR("put(source) -> it is its turn, after those that are in the queue.")},
    {"take", queue_take, METH_NOARGS, PyDoc_STR("take() -> the source whose turn it is, or None.")},
    {"next", queue_next, METH_NOARGS, PyDoc_STR("next() -> an item of whichever source has one, or PENDING.")},
    {"last", queue_last, METH_NOARGS, PyDoc_STR("last() -> the source that next() has had an item of.")},
    {"clear", queue_clear_ready, METH_NOARGS, PyDoc_STR("clear() -> no source is in the queue.")},
    {"begin_turn", queue_begin_turn, METH_NOARGS,
     PyDoc_STR("begin_turn() -> whether to wait for a turn of the event loop, and nothing else, before next().")},
    {"give_up_turn", queue_give_up_turn, METH_NOARGS, PyDoc_STR("give_up_turn() -> who has begun it waits no longer.")},
    {"come_round", queue_come_round, METH_NOARGS, PyDoc_STR("come_round() -> the event loop has come round.")},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot queue_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(queue_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(queue_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(queue_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(queue_clear)},
    {Py_sq_length, reinterpret_cast<void*>(queue_length)},
    {Py_tp_methods, queue_methods},
    {0, nullptr},
};

}  // namespace

PyType_Spec stream_source_spec = {"async_generator._engine.stream_source", sizeof(StreamSource), 0,
                                  Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE, source_slots};
PyType_Spec stream_queue_spec = {"async_generator._engine.stream_queue", sizeof(StreamQueue), 0,
                                 Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, queue_slots};

}  // namespace engine
