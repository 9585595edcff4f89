// See hooks_part.hpp.
#include "hooks_part.hpp"

#include <memory>
#include <utility>

#include "awaiting.hpp"
#include "errors.hpp"
#include "operations.hpp"

namespace engine {

namespace {

// A generator is dropped ----------------------------------------------------------------------------------------------

/// What native does with a generator that is dropped on a thread without hooks: one step, without a loop
/// (Objects/genobject.c, _PyGen_Finalize). False with the error set that this ended in.
auto close_without_hooks(ModuleState& module, PyObject* generator) -> bool {
  if (Py_TYPE(generator) == module.generator_type) return close_at_once(module, as<Generator>(generator));
  auto const awaitable = steal(PyObject_CallMethodNoArgs(generator, module.names.aclose.get()));
  auto const iterator = awaitable ? await_iterator(awaitable.get()) : nullptr;
  Step step = iterator ? await_send(iterator.get(), Py_None) : Step::raised();
  step.take().reset();
  if (step.is(StepKind::awaits)) {
    if (auto error = ignored_exit()) raise_here(std::move(error));
  }
  return step.is(StepKind::returned);
}

/// Gives a dropped generator to the finalizer outside. False with the error set that this ended in.
auto hand_out(StructuredHooks& hooks, PyObject* generator) -> bool {
  Object const outer = hooks.outer.finalizer;
  if (outer) return static_cast<bool>(steal(PyObject_CallOneArg(outer.get(), generator)));
  return close_without_hooks(*hooks.module, generator);
}

/// Keeps a dropped generator, to be closed. False when there is no memory for that.
auto keep(StructuredHooks& hooks, PyObject* generator, std::uint64_t number) noexcept -> bool {
  compat::Lock const lock(hooks.mutex);
  return hooks.dropped.push_back({borrow(generator), number});
}

auto finalizer_call(PyObject* self, PyObject* arguments, PyObject*) -> PyObject* {
  auto const& finalizer = as<StructuredFinalizer>(self);
  PyObject* generator = nullptr;
  if (!PyArg_ParseTuple(arguments, "O", &generator)) return nullptr;
  auto const hooks = finalizer.hooks;
  bool const kept = hooks->thread == PyThreadState_Get() && keep(*hooks, generator, finalizer.number);
  return kept || hand_out(*hooks, generator) ? Py_NewRef(Py_None) : nullptr;
}

auto finalizer_traverse(PyObject* self, visitproc visit, void* arg) -> int {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(as<StructuredFinalizer>(self).hooks.object());
  return 0;
}

void finalizer_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  as<StructuredFinalizer>(self).hooks.reset();
  PyObject_GC_Del(self);
  Py_DECREF(type);
}

auto new_finalizer(StructuredHooks& hooks, std::uint64_t number) -> Object {
  auto* finalizer = allocate<StructuredFinalizer>(hooks.module->structured_finalizer_type);
  if (finalizer == nullptr) return nullptr;
  new (&finalizer->hooks) Ref<StructuredHooks>(Ref<StructuredHooks>::borrow(&hooks));
  finalizer->number = number;
  PyObject_GC_Track(finalizer);
  return steal(object_of(*finalizer));
}

// A generator is first iterated ---------------------------------------------------------------------------------------

/// The generator has got `next` for its finalizer. The next one gets another.
auto firstiter_call(PyObject* self, PyObject* arguments, PyObject*) -> PyObject* {
  auto const hooks = Ref<StructuredHooks>::borrow(&as<StructuredHooks>(self));
  PyObject* generator = nullptr;
  if (!PyArg_ParseTuple(arguments, "O", &generator)) return nullptr;
  PyThreadState* const thread = PyThreadState_Get();
  if (hooks->thread == thread && thread->async_gen_firstiter == self) {
    auto next = new_finalizer(*hooks, ++hooks->iterated);
    if (!next) return nullptr;
    compat::Hooks changed{borrow(self), std::move(next)};
    compat::swap_asyncgen_hooks(thread, changed);
  }
  Object const outer = hooks->outer.firstiter;
  return outer ? PyObject_CallOneArg(outer.get(), generator) : Py_NewRef(Py_None);
}

auto hooks_traverse(PyObject* self, visitproc visit, void* arg) -> int {
  auto const& hooks = as<StructuredHooks>(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(hooks.outer.firstiter.get());
  Py_VISIT(hooks.outer.finalizer.get());
  Py_VISIT(hooks.away.firstiter.get());
  Py_VISIT(hooks.away.finalizer.get());
  for (std::size_t i = 0; i != hooks.dropped.size(); ++i) Py_VISIT(hooks.dropped[i].generator.get());
  return 0;
}

/// They refer to themselves.
auto hooks_clear(PyObject* self) -> int {
  auto& hooks = as<StructuredHooks>(self);
  if (hooks.thread == nullptr) hooks.away = {};
  return 0;
}

void hooks_dealloc(PyObject* self) {
  auto& hooks = as<StructuredHooks>(self);
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  std::destroy_at(&hooks.outer);
  std::destroy_at(&hooks.away);
  std::destroy_at(&hooks.dropped);
  PyObject_GC_Del(self);
  Py_DECREF(type);
}

auto new_hooks(ModuleState& module) -> Ref<StructuredHooks> {
  auto* hooks = allocate<StructuredHooks>(module.structured_firstiter_type);
  if (hooks == nullptr) return nullptr;
  hooks->module = &module;
  new (&hooks->outer) compat::Hooks();
  new (&hooks->away) compat::Hooks();
  hooks->iterated = 0;
  new (&hooks->dropped) Deque<Dropped>();
  hooks->thread = nullptr;
  new (&hooks->mutex) compat::Mutex();
  PyObject_GC_Track(hooks);
  return Ref<StructuredHooks>::steal(hooks);
}

/// A firstiter hook as that of a structured body; null for any other.
auto as_structured(PyObject* firstiter) noexcept -> StructuredHooks* {
  bool const ours = firstiter != nullptr && Py_TYPE(firstiter)->tp_dealloc == hooks_dealloc;
  return ours ? &as<StructuredHooks>(firstiter) : nullptr;
}
/// The innermost structured body that is resumed on the thread; null where there is none, or it has set other hooks.
auto hooks_of(PyThreadState* thread) noexcept -> StructuredHooks* { return as_structured(thread->async_gen_firstiter); }
/// The next one further out.
auto enclosing(StructuredHooks const& hooks) noexcept -> StructuredHooks* {
  return as_structured(hooks.away.firstiter.get());
}

}  // namespace

// The part ------------------------------------------------------------------------------------------------------------

HooksPart::~HooksPart() {
  hand_out_dropped();
  if (hooks_) hooks_->away = {};
}

/// Makes the hooks; or makes them complete, where the body has set others.
auto HooksPart::begin(ModuleState& module) -> bool {
  if (!hooks_) hooks_ = new_hooks(module);
  if (!hooks_) return false;
  auto finalizer = new_finalizer(*hooks_, hooks_->iterated);
  if (!finalizer) return false;
  hooks_->away = {borrow(hooks_.object()), std::move(finalizer)};
  return true;
}

AGEN_OUT_OF_LINE void HooksPart::remember_outer() noexcept { hooks_->outer = hooks_->away; }

/// The hooks are not the thread's. Either the body has set others for good. Or greenlets end their resumptions in any
/// order: then the hooks that were entered after these restore what these would have restored.
AGEN_OUT_OF_LINE void HooksPart::take_out(PyThreadState* thread) noexcept {
  for (auto* inner = hooks_of(thread); inner != nullptr; inner = enclosing(*inner)) {
    if (inner->away.firstiter.get() != hooks_.object()) continue;
    std::swap(inner->away, hooks_->away);
    inner->outer = inner->away;
    return;
  }
}

auto HooksPart::take_dropped() noexcept -> Object {
  if (!has_dropped()) return nullptr;
  compat::Lock const lock(hooks_->mutex);
  auto& dropped = hooks_->dropped;
  for (std::size_t i = 0; i != dropped.size(); ++i)
    if (dropped[i].number > dropped.back().number) std::swap(dropped[i], dropped.back());
  return dropped.take_back().generator;
}

void HooksPart::hand_out_dropped() noexcept {
  if (!has_dropped()) return;
  auto before = compat::take_exception();
  while (Object const generator = take_dropped()) {
    if (!hand_out(*hooks_, generator.get())) compat::write_unraisable(generator.get());
  }
  compat::restore_exception(std::move(before));
}

auto HooksPart::traverse(visitproc visit, void* arg) const -> int {
  Py_VISIT(hooks_.object());
  return 0;
}

namespace {

/// The hooks outside all structured bodies that are resumed on the thread.
auto outermost_hooks(PyThreadState* thread) noexcept -> compat::Hooks {
  StructuredHooks* hooks = hooks_of(thread);
  if (hooks == nullptr) return compat::asyncgen_hooks();
  while (StructuredHooks* outer = enclosing(*hooks)) hooks = outer;
  return hooks->away;
}

PyType_Slot firstiter_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(hooks_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(hooks_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(hooks_clear)},
    {Py_tp_call, reinterpret_cast<void*>(firstiter_call)},
    {0, nullptr},
};

PyType_Slot finalizer_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(finalizer_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(finalizer_traverse)},
    {Py_tp_call, reinterpret_cast<void*>(finalizer_call)},
    {0, nullptr},
};

constexpr unsigned hook_flags =
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE;

}  // namespace

auto module_outside(PyObject*, PyObject* const* arguments, Py_ssize_t count) -> PyObject* {
  if (count == 0) {
    PyErr_SetString(PyExc_TypeError, "outside() takes a function and its arguments");
    return nullptr;
  }
  PyThreadState* const thread = PyThreadState_Get();
  auto hooks = outermost_hooks(thread);
  compat::swap_asyncgen_hooks(thread, hooks);
  PyObject* const result = PyObject_Vectorcall(arguments[0], arguments + 1, static_cast<size_t>(count - 1), nullptr);
  compat::swap_asyncgen_hooks(thread, hooks);
  return result;
}

PyType_Spec structured_firstiter_spec = {"async_generator._engine.structured_firstiter", sizeof(StructuredHooks), 0,
                                         hook_flags, firstiter_slots};
PyType_Spec structured_finalizer_spec = {"async_generator._engine.structured_finalizer", sizeof(StructuredFinalizer), 0,
                                         hook_flags, finalizer_slots};

}  // namespace engine
