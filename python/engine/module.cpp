// The extension module async_generator._engine: what Python sees of the engine, and the set-up of an interpreter's
// copy.
#include <array>

#include "context_part.hpp"
#include "cpp_body.hpp"
#include "environment.hpp"
#include "function.hpp"
#include "guard.hpp"
#include "hooks_part.hpp"
#include "isolated.hpp"
#include "item_array.hpp"
#include "operators.hpp"
#include "stream_source.hpp"
#include "wrapped_item.hpp"
#include "yield_from.hpp"

namespace engine {

extern PyType_Spec generator_spec, asend_spec, athrow_spec, yield_spec, delegation_spec, factory_spec, operator_spec;

MainInterpreter main_interpreter;

namespace {

/// The state of instances that outlive their module: when an interpreter ends, the collector may clear a type before
/// the instances that are garbage with it. It has no types and keeps no memory.
struct Orphans : ModuleState {
  Orphans() noexcept : ModuleState{} {
    generators.close(PyObject_GC_Del);
    awaitables.close(PyObject_GC_Del);
    delegations.close(PyObject_GC_Del);
    yields.close(PyObject_GC_Del);
    isolated_operations.close(PyObject_GC_Del);
  }
} orphans;

}  // namespace

auto look_up_state(PyObject* instance) noexcept -> ModuleState& {
  PyObject* self = reinterpret_cast<PyHeapTypeObject*>(Py_TYPE(instance))->ht_module;
  if (self == nullptr) [[unlikely]]
    return orphans;
  return *static_cast<ModuleState*>(PyModule_GetState(self));
}

namespace {

/// Makes a type. `shown` is what error messages of the interpreter call it: the native type's name, where there is one.
auto make_type(PyObject* self, PyTypeObject** slot, PyType_Spec& spec, char const* shown, PyTypeObject* base = nullptr)
    -> bool {
  auto* type =
      reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(self, &spec, reinterpret_cast<PyObject*>(base)));
  if (type == nullptr) return false;
  type->tp_name = shown;
  *slot = type;
  return true;
}

auto make_types(PyObject* self, ModuleState& module) -> bool {
  struct Entry {
    PyTypeObject** slot;
    PyType_Spec& spec;
    char const* shown;
  };
  for (auto const& entry : {Entry{&module.generator_type, generator_spec, "async_generator"},
                            {&module.asend_type, asend_spec, "async_generator_asend"},
                            {&module.athrow_type, athrow_spec, "async_generator_athrow"},
                            {&module.yield_type, yield_spec, "yield_"},
                            {&module.delegation_type, delegation_spec, "yield_from_"},
                            {&module.factory_type, factory_spec, "async_generator_factory"},
                            {&module.operator_type, operator_spec, "function"},
                            {&module.cpp_body_type, cpp_body_spec, "coroutine"},
                            {&module.item_array_type, item_array_spec, "item_array"},
                            {&module.environment_type, environment_spec, "coroutine"},
                            {&module.structured_firstiter_type, structured_firstiter_spec, "structured_firstiter"},
                            {&module.structured_finalizer_type, structured_finalizer_spec, "structured_finalizer"},
                            {&module.isolated_body_type, isolated_body_spec, "isolated_body"},
                            {&module.isolated_generator_type, isolated_generator_spec, "isolated_generator"},
                            {&module.isolated_operation_type, isolated_operation_spec, "async_generator_asend"},
                            {&module.stream_queue_type, stream_queue_spec, "stream_queue"}}) {
    if (!make_type(self, entry.slot, entry.spec, entry.shown)) return false;
  }
  return make_type(self, &module.stream_source_type, stream_source_spec, "stream_source", module.isolated_body_type);
}

auto intern_names(Names& names) -> bool {
  struct Entry {
    Object& slot;
    char const* text;
  };
  for (auto const& entry : {Entry{names.throw_, "throw"},
                            {names.close, "close"},
                            {names.asend, "asend"},
                            {names.athrow, "athrow"},
                            {names.aclose, "aclose"},
                            {names.value, "value"},
                            {names.args, "args"},
                            {names.cr_await, "cr_await"},
                            {names.cr_frame, "cr_frame"},
                            {names.future_blocking, "_asyncio_future_blocking"},
                            {names.add_done_callback, "add_done_callback"}}) {
    entry.slot = steal(PyUnicode_InternFromString(entry.text));
    if (!entry.slot) return false;
  }
  return true;
}

/// class AlreadyRunning(RuntimeError, ValueError): native raises the one, 1.10 the other.
auto make_error(ModuleState& module, PyObject* self) -> bool {
  auto const bases = steal(PyTuple_Pack(2, PyExc_RuntimeError, PyExc_ValueError));
  if (!bases) return false;
  module.already_running =
      steal(PyErr_NewExceptionWithDoc("async_generator.AlreadyRunning",
                                      "An operation was awaited while another one on the same generator is under way. "
                                      "It is the RuntimeError of native async "
                                      "generators and the ValueError of async_generator 1.10.",
                                      bases.get(), nullptr));
  return module.already_running && PyModule_AddObjectRef(self, "AlreadyRunning", module.already_running.get()) == 0;
}

/// set_layer(class, compares=True): called once by the package, with the class Layer of _environment.py. Without
/// `compares`, layers are asked at each resumption, as where it is not known how to compare contexts.
auto module_set_layer(PyObject* self, PyObject* arguments) -> PyObject* {
  ModuleState& module = *static_cast<ModuleState*>(PyModule_GetState(self));
  PyObject* layer = nullptr;
  int compares = 1;
  if (!PyArg_ParseTuple(arguments, "O|p", &layer, &compares) || !set_up_contexts(module)) return nullptr;
  if (compares == 0) module.context_vars = 0;
  module.layer = borrow(layer);
  return Py_NewRef(Py_None);
}

/// set_awaiting(function): called once by the package, with awaiting() of _function.py.
auto module_set_awaiting(PyObject* self, PyObject* awaiting) -> PyObject* {
  static_cast<ModuleState*>(PyModule_GetState(self))->awaiting = borrow(awaiting);
  Py_RETURN_NONE;
}

/// set_running_task(function): called once by the package, with running_task() of _running.py.
auto module_set_running_task(PyObject* self, PyObject* function) -> PyObject* {
  static_cast<ModuleState*>(PyModule_GetState(self))->running_task = borrow(function);
  Py_RETURN_NONE;
}

/// set_isolated(function): called once by the package, with what makes an isolated_generator of a generator.
auto module_set_isolated(PyObject* self, PyObject* isolated) -> PyObject* {
  static_cast<ModuleState*>(PyModule_GetState(self))->isolated = borrow(isolated);
  return Py_NewRef(Py_None);
}

/// set_guard(look, on): called by _guard.py, with the same function each time. Generators that are made from now on,
/// and whose code yields inside a `with`, are looked at, or not.
auto module_set_guard(PyObject* self, PyObject* arguments) -> PyObject* {
  ModuleState& module = *static_cast<ModuleState*>(PyModule_GetState(self));
  PyObject* look = nullptr;
  int on = 0;
  if (!PyArg_ParseTuple(arguments, "Op", &look, &on)) return nullptr;
  if (!module.look) module.look = borrow(look);  // never replaced: another thread may be calling it
  set_guard(module, on != 0);
  return Py_NewRef(Py_None);
}

/// set_up(wrapping_generator): called once by the package, with a new native async generator that yields what it is
/// sent.
auto module_set_up(PyObject* self, PyObject* wrapping_generator) -> PyObject* {
  if (!PyAsyncGen_CheckExact(wrapping_generator)) {
    PyErr_SetString(PyExc_TypeError, "set_up() takes a native async generator");
    return nullptr;
  }
  ModuleState& module = *static_cast<ModuleState*>(PyModule_GetState(self));
  if (!set_up_wrapped_items(module, wrapping_generator)) return nullptr;
  if (PyModule_AddObjectRef(self, "box_type", reinterpret_cast<PyObject*>(module.wrapped_item_type)) < 0)
    return nullptr;
  return Py_NewRef(Py_None);
}

/// box(item), unbox(box): the markers that carry items through awaits, for the names that 1.10 had (_impl.py).
auto module_box(PyObject* self, PyObject* item) -> PyObject* {
  return wrap(*static_cast<ModuleState*>(PyModule_GetState(self)), borrow(item)).release();
}
auto module_unbox(PyObject* self, PyObject* boxed) -> PyObject* {
  ModuleState& module = *static_cast<ModuleState*>(PyModule_GetState(self));
  if (Py_TYPE(boxed) == module.wrapped_item_type) return unwrap(module, boxed).release();
  PyErr_Format(PyExc_TypeError, "unbox() takes what box() made, not %.100s", Py_TYPE(boxed)->tp_name);
  return nullptr;
}

/// fast_paths(): which of the optional fast paths are on.
auto module_fast_paths(PyObject* self, PyObject*) -> PyObject* {
  auto const* module = static_cast<ModuleState*>(PyModule_GetState(self));
  return Py_BuildValue("{sOsOsOsO}", "direct boxes", module->known_wrapped_type != nullptr ? Py_True : Py_False,
                       "recycled objects", compat::recycles ? Py_True : Py_False, "recycled StopIteration",
                       compat::recycles && compat::send_uses_iternext ? Py_True : Py_False, "compared contexts",
                       module->context_vars != 0 ? Py_True : Py_False);
}

/// What the package asks for and is told in numbers: traits of generators, parts of environments.
auto add_constants(PyObject* self) -> bool {
  struct Entry {
    char const* name;
    std::uint32_t value;
  };
  bool const main = PyInterpreterState_Get() == PyInterpreterState_Main();
  for (auto const& entry : {Entry{"OWN_HOOKS", part::hooks},
                            {"OWN_CONTEXT", part::context},
                            {"LAYERED_CONTEXT", part::layered_context},
                            {"OF_COROUTINE", part::of_coroutine},
                            {"ISOLATED", part::isolated},
                            {"RAW_YIELDS", trait::raw_yields},
                            {"KEPT_CALLS", trait::kept_calls},
                            {"NATIVE_SYNTAX", trait::native_syntax},
                            {"GUARDED", trait::guarded},
                            {"MAIN_INTERPRETER", main ? 1U : 0U}}) {
    if (PyModule_AddIntConstant(self, entry.name, static_cast<long>(entry.value)) < 0) return false;
  }
  return true;
}

auto add_public(PyObject* self, ModuleState& module) -> bool {
  auto const yield = new_operator(module, yield_entry);
  auto const yield_from = new_operator(module, yield_from_entry);
  auto const bridge = new_bridge();
  struct Entry {
    char const* name;
    void* object;  // null where it could not be made: the exception is set
  };
  for (auto const& entry : {Entry{"bridge", bridge.get()},
                            {"yield_", yield.get()},
                            {"yield_from_", yield_from.get()},
                            {"async_generator", module.generator_type},
                            {"async_generator_asend", module.asend_type},
                            {"async_generator_athrow", module.athrow_type},
                            {"yield_awaitable", module.yield_type},
                            {"isolated_body", module.isolated_body_type},
                            {"isolated_generator", module.isolated_generator_type},
                            {"coroutine_in_environment", module.environment_type},
                            {"stream_source", module.stream_source_type},
                            {"stream_queue", module.stream_queue_type},
                            {"PENDING", module.pending.get()}}) {
    auto* const object = static_cast<PyObject*>(entry.object);
    if (object == nullptr || PyModule_AddObjectRef(self, entry.name, object) < 0) return false;
  }
  return add_constants(self);
}

auto module_exec(PyObject* self) -> int {
  ModuleState& module = *new (PyModule_GetState(self)) ModuleState();
  module.spent.progress = Progress::finished;
  module.pending = steal(PyObject_CallNoArgs(reinterpret_cast<PyObject*>(&PyBaseObject_Type)));
  bool const done = module.pending && intern_names(module.names) && make_types(self, module) &&
                    make_error(module, self) && add_public(self, module);
  if (!done) return -1;
  if (main_interpreter.module == nullptr && PyInterpreterState_Get() == PyInterpreterState_Main()) {
    main_interpreter.module = &module;
    main_interpreter.generator_type = module.generator_type;
  }
  return 0;
}

auto types_of(ModuleState& module) -> std::array<PyTypeObject**, 18> {
  return {&module.generator_type,
          &module.asend_type,
          &module.athrow_type,
          &module.yield_type,
          &module.delegation_type,
          &module.factory_type,
          &module.operator_type,
          &module.cpp_body_type,
          &module.item_array_type,
          &module.wrapped_item_type,
          &module.environment_type,
          &module.structured_firstiter_type,
          &module.structured_finalizer_type,
          &module.isolated_body_type,
          &module.isolated_generator_type,
          &module.isolated_operation_type,
          &module.stream_source_type,
          &module.stream_queue_type};
}

auto module_traverse(PyObject* self, visitproc visit, void* arg) -> int {
  auto* module = static_cast<ModuleState*>(PyModule_GetState(self));
  if (module == nullptr) return 0;
  for (PyTypeObject** type : types_of(*module)) Py_VISIT(*type);
  Py_VISIT(module->already_running.get());
  Py_VISIT(module->wrapping_generator.get());
  Py_VISIT(module->layer.get());
  Py_VISIT(module->awaiting.get());
  Py_VISIT(module->isolated.get());
  Py_VISIT(module->task_swap.get());
  Py_VISIT(module->current_tasks.get());
  Py_VISIT(module->running_task.get());
  Py_VISIT(module->look.get());
  Py_VISIT(module->pending.get());
  for (HandedUp const& place : module->handed_up) Py_VISIT(place.yield());
  return 0;
}

auto module_clear(PyObject* self) -> int {
  auto* module = static_cast<ModuleState*>(PyModule_GetState(self));
  if (module == nullptr) return 0;
  module->generators.close(PyObject_GC_Del);
  module->delegations.close(PyObject_GC_Del);
  module->awaitables.close(PyObject_GC_Del);
  module->last_anext = &module->spent;  // it may have been among them
  for (HandedUp& place : module->handed_up) place.clear();
  module->yields.close(PyObject_GC_Del);
  module->isolated_operations.close(PyObject_GC_Del);
  module->stop.reset();
  module->already_running.reset();
  module->wrapping_generator.reset();
  module->layer.reset();
  module->awaiting.reset();
  module->isolated.reset();
  module->task_swap.reset();
  module->current_tasks.reset();
  module->running_task.reset();
  module->look.reset();
  module->pending.reset();
  for (PyTypeObject** type : types_of(*module)) Py_CLEAR(*type);
  return 0;
}

void module_free(void* self) {
  auto* module = static_cast<ModuleState*>(PyModule_GetState(static_cast<PyObject*>(self)));
  if (module == nullptr) return;
  module_clear(static_cast<PyObject*>(self));
  if (main_interpreter.module == module) {
    main_interpreter.generator_type = nullptr;
    main_interpreter.module = nullptr;
  }
  std::destroy_at(module);
}

PyMethodDef module_methods[] = {
    {"factory", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(module_factory)), METH_FASTCALL, nullptr},
    {"bind", module_bind, METH_O, nullptr},
    {"yield_from_call", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(module_yield_from_call)),
     METH_FASTCALL, nullptr},
    {"give_up", module_give_up, METH_O, nullptr},
    {"set_up", module_set_up, METH_O, nullptr},
    {"set_awaiting", module_set_awaiting, METH_O, nullptr},
    {"set_guard", module_set_guard, METH_VARARGS, nullptr},
    {"set_isolated", module_set_isolated, METH_O, nullptr},
    {"set_task_swap", module_set_task_swap, METH_VARARGS, nullptr},
    {"set_running_task", module_set_running_task, METH_O, nullptr},
    {"set_layer", module_set_layer, METH_VARARGS, nullptr},
    {"outside", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(module_outside)), METH_FASTCALL, nullptr},
    {"in_environment", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(module_in_environment)),
     METH_FASTCALL, nullptr},
    {"box", module_box, METH_O, nullptr},
    {"unbox", module_unbox, METH_O, nullptr},
    {"fast_paths", module_fast_paths, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, reinterpret_cast<void*>(module_exec)},
    ENGINE_SLOT_INTERPRETERS ENGINE_SLOT_GIL{0, nullptr},
};

PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, "_engine",      "The engine of async_generator.",
    sizeof(ModuleState),   module_methods, module_slots,
    module_traverse,       module_clear,   module_free,
};

}  // namespace

}  // namespace engine

// The name that CPython looks for. NOLINTNEXTLINE(bugprone-reserved-identifier,modernize-use-trailing-return-type)
PyMODINIT_FUNC PyInit__engine() { return PyModuleDef_Init(&engine::module_definition); }
