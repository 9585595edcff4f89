// See cpp_body.hpp.
#include "cpp_body.hpp"

#include "awaiting.hpp"
#include "errors.hpp"
#include "generator.hpp"
#include "item_array.hpp"
#include "yield_from.hpp"

namespace engine {

namespace abi = agen::python::abi;

// Driving -------------------------------------------------------------------------------------------------------------

auto cpp_ended(PyObject* exception) -> Step {
  // Ended through a method of its own: there is no answer left to give.
  if (exception == nullptr) return Step::returned(none());
  compat::restore_exception(borrow(exception));
  return Step::raised();
}

auto cpp_answered(CppBody& body, int step, PyObject* object) -> Step {
  if (step == abi::awaits) return {StepKind::awaits, object};
  if (step == abi::refused) return {StepKind::refused, nullptr};
  cpp_drop(body);
  return {step == abi::returned ? StepKind::returned : StepKind::raised, object};
}

auto cpp_throw(CppBody& body, Object exception) -> Step {
  if (Object iterator = exchange_awaiting(body, nullptr)) {
    Nested const nested(" while a C++ coroutine awaits");
    auto const answer = nested ? await_throw(*body.module, iterator.get(), exception.get()) : Step::raised();
    return cpp_awaited(body, std::move(iterator), answer);
  }
  if (body.progress == Progress::initial) {  // it never begins
    cpp_drop(body);
    compat::restore_exception(std::move(exception));
    return Step::raised();
  }
  return cpp_resume(body, nullptr, exception.get());
}

void cpp_drop(CppBody& body) noexcept {
  body.progress = Progress::finished;
  void* const self = std::exchange(body.self, nullptr);
  if (self == nullptr) return;
  auto before = compat::take_exception();
  Object awaiting;
  {
    ChainLock::Driving const lock(look_up_state(object_of(body)).chains);
    awaiting = std::move(body.awaiting);
  }
  awaiting.reset();
  body.kind->destroy(self);
  compat::restore_exception(std::move(before));
}

// As a coroutine ------------------------------------------------------------------------------------------------------

namespace {

auto refuse(PyObject* type, char const* text) -> Step {
  PyErr_SetString(type, text);
  return Step::raised();
}

/// Checks that the body may be resumed from here, and says so while it is.
class Claim {
 public:
  explicit Claim(CppBody& body) : occupied_(body.occupancy), body_(body) {
    if (!body.is_coroutine) {
      PyErr_SetString(PyExc_RuntimeError, "the body of a C++ generator is driven by its generator only");
    } else if (!occupied_ || body.executing) {
      set_coroutine_executing();
    } else if (body.progress == Progress::finished) {
      set_reused("coroutine");
    } else {
      admitted_ = body.executing = true;
    }
  }
  ~Claim() {
    if (admitted_) body_.executing = false;
  }
  Claim(Claim const&) = delete;
  auto operator=(Claim const&) -> Claim& = delete;
  explicit operator bool() const noexcept { return admitted_; }

 private:
  Occupied occupied_;
  CppBody& body_;
  bool admitted_ = false;
};

/// What the interpreter sees of a step. (A coroutine lets no StopIteration out: PEP 479.)
auto answer_of(Step step) -> Step {
  if (step.is(StepKind::awaits) || step.is(StepKind::returned)) return step;
  if (step.is(StepKind::raised)) translate_coroutine_escape();
  if (step.is(StepKind::yielded)) {
    step.take().reset();
    return refuse(PyExc_SystemError, "a C++ coroutine yielded an item");
  }
  return Step::raised();
}

auto coroutine_send(PyObject* self, PyObject* value) -> Step {
  auto& body = as<CppBody>(self);
  Claim const claim(body);
  if (!claim) return Step::raised();
  if (body.progress == Progress::initial && value != Py_None) {
    set_coroutine_just_started(PyExc_TypeError);
    return Step::raised();
  }
  return answer_of(cpp_send(body, value));
}

auto coroutine_throw(PyObject* self, Object exception) -> Step {
  auto& body = as<CppBody>(self);
  Claim const claim(body);
  return claim ? answer_of(cpp_throw(body, std::move(exception))) : Step::raised();
}

/// Also what its generator calls when it is dropped before it has begun.
auto coroutine_close(PyObject* self, PyObject*) -> PyObject* {
  auto& body = as<CppBody>(self);
  if (body.progress != Progress::started) {
    cpp_drop(body);
    return Py_NewRef(Py_None);
  }
  auto exit = steal(PyObject_CallNoArgs(PyExc_GeneratorExit));
  if (!exit) return nullptr;
  return closed_answer(coroutine_throw(self, std::move(exit)));
}

// Attributes ----------------------------------------------------------------------------------------------------------

// There is no cr_frame and no cr_code: asyncio and trio take a coroutine without them for one that is compiled.

template <Object CppBody::* Member>
auto get_text(PyObject* self, void*) -> PyObject* {
  return Py_NewRef((as<CppBody>(self).*Member).get());
}

template <Object CppBody::* Member>
auto set_text(PyObject* self, PyObject* value, void* name) -> int {
  if (value == nullptr || !PyUnicode_Check(value)) {
    PyErr_Format(PyExc_TypeError, "%s must be set to a string object", static_cast<char const*>(name));
    return -1;
  }
  COMPAT_BEGIN_CRITICAL_SECTION(self)
  as<CppBody>(self).*Member = borrow(value);
  COMPAT_END_CRITICAL_SECTION()
  return 0;
}

auto get_await(PyObject* self, void*) -> PyObject* {
  auto& body = as<CppBody>(self);
  ChainLock::Stopped const lock(body.module->chains);
  return Py_NewRef(body.awaiting ? body.awaiting.get() : Py_None);
}

auto get_running(PyObject* self, void*) -> PyObject* { return PyBool_FromLong(as<CppBody>(self).executing); }

auto get_suspended(PyObject* self, void*) -> PyObject* {
  auto const& body = as<CppBody>(self);
  return PyBool_FromLong(body.progress == Progress::started && !body.executing);
}

auto cpp_body_repr(PyObject* self) -> PyObject* {
  return PyUnicode_FromFormat("<coroutine object %S at %p>", as<CppBody>(self).qualified_name.get(), self);
}

// Life ----------------------------------------------------------------------------------------------------------------

void cpp_body_finalize(PyObject* self) {
  auto& body = as<CppBody>(self);
  if (!body.is_coroutine || body.progress == Progress::finished) return;
  auto before = compat::take_exception();
  if (body.progress == Progress::initial) {
    char const* name = PyUnicode_AsUTF8(body.qualified_name.get());
    if (name != nullptr) warn_never_awaited(name);
    PyErr_Clear();
  } else if (!steal(coroutine_close(self, nullptr))) {
    compat::write_unraisable(self);
  }
  compat::restore_exception(std::move(before));
}

auto cpp_body_traverse(PyObject* self, visitproc visit, void* arg) -> int {
  auto& body = as<CppBody>(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(body.awaiting.get());
  Py_VISIT(body.name.get());
  Py_VISIT(body.qualified_name.get());
  return body.self != nullptr && body.kind->traverse != nullptr ? body.kind->traverse(body.self, visit, arg) : 0;
}

auto cpp_body_clear(PyObject* self) -> int {
  if (!as<CppBody>(self).executing) cpp_drop(as<CppBody>(self));
  return 0;
}

void cpp_body_dealloc(PyObject* self) {
  auto& body = as<CppBody>(self);
  if (body.weakrefs != nullptr) clear_weakrefs(self);
  if (body.is_coroutine && body.progress != Progress::finished && PyObject_CallFinalizerFromDealloc(self) != 0) return;
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  if (body.weakrefs != nullptr) PyObject_ClearWeakRefs(self);  // those that the end of the body made
  Py_TRASHCAN_BEGIN(self, cpp_body_dealloc);
  cpp_drop(body);
  body.name.reset();
  body.qualified_name.reset();
  PyObject_GC_Del(self);
  Py_DECREF(type);
  Py_TRASHCAN_END;
}

using CoroutineSlots = AwaitableSlots<CppBody, coroutine_send, coroutine_throw, coroutine_close>;

PyGetSetDef cpp_body_getset[] = {
    {"__name__", get_text<&CppBody::name>, set_text<&CppBody::name>, PyDoc_STR("name of the coroutine"),
     const_cast<char*>("__name__")},
    {"__qualname__", get_text<&CppBody::qualified_name>, set_text<&CppBody::qualified_name>,
     PyDoc_STR("qualified name of the coroutine"), const_cast<char*>("__qualname__")},
    {"cr_await", get_await, nullptr, PyDoc_STR("object being awaited on, or None"), nullptr},
    {"cr_running", get_running, nullptr, PyDoc_STR("whether the body executes"), nullptr},
    {"cr_suspended", get_suspended, nullptr, PyDoc_STR("whether the body has begun, waits, and has not ended"),
     nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMemberDef cpp_body_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(CppBody, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyDoc_STRVAR(cpp_body_doc, "A coroutine written in C++: awaitable, with send(), throw() and close().");

PyType_Slot cpp_body_slots[] = {
    {Py_tp_doc, const_cast<char*>(cpp_body_doc)},
    {Py_tp_dealloc, reinterpret_cast<void*>(cpp_body_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(cpp_body_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(cpp_body_clear)},
    {Py_tp_finalize, reinterpret_cast<void*>(cpp_body_finalize)},
    {Py_tp_repr, reinterpret_cast<void*>(cpp_body_repr)},
    {Py_tp_getset, cpp_body_getset},
    {Py_tp_members, cpp_body_members},
    CoroutineSlots::await,
    CoroutineSlots::send,
    CoroutineSlots::iter,
    CoroutineSlots::next,
    {Py_tp_methods, CoroutineSlots::methods},
    {0, nullptr},
};

// The bridge ----------------------------------------------------------------------------------------------------------

/// The state of the interpreter that calls; the package is imported if it was not. Null with an exception set.
auto current_state() -> ModuleState* {
  if (main_interpreter.module != nullptr && PyInterpreterState_Get() == PyInterpreterState_Main()) [[likely]]
    return main_interpreter.module;
  if (!steal(PyImport_ImportModule("async_generator"))) return nullptr;
  auto const imported = steal(PyImport_ImportModule("async_generator._engine"));
  return imported ? static_cast<ModuleState*>(PyModule_GetState(imported.get())) : nullptr;
}

auto new_body(ModuleState& module, abi::body_class const* kind, void* self, char const* text, bool is_coroutine)
    -> Ref<CppBody> {
  auto name = steal(PyUnicode_FromString(text));
  auto* body = name ? allocate<CppBody>(module.cpp_body_type) : nullptr;
  if (body == nullptr) return nullptr;
  body->module = &module;
  body->kind = kind;
  body->self = self;
  new (&body->awaiting) Object();
  new (&body->name) Object(name);
  new (&body->qualified_name) Object(std::move(name));
  body->weakrefs = nullptr;
  body->progress = Progress::initial;
  body->executing = false;
  body->is_coroutine = is_coroutine;
  new (&body->occupancy) Occupancy;
  PyObject_GC_Track(body);
  return Ref<CppBody>::steal(body);
}

auto make_body(abi::body_class const* kind, void* self, char const* name, bool is_coroutine) -> Ref<CppBody> {
  ModuleState* module = current_state();
  auto body = module != nullptr ? new_body(*module, kind, self, name, is_coroutine) : nullptr;
  if (!body) kind->destroy(self);
  return body;
}

auto make_generator(abi::body_class const* kind, void* self, char const* name) -> PyObject* {
  auto body = make_body(kind, self, name, false);
  if (!body) return nullptr;
  ModuleState& module = *body->module;
  return new_generator(module, steal(object_of(*body.release())), trait::cpp | trait::native_syntax);
}

auto make_coroutine(abi::body_class const* kind, void* self, char const* name) -> PyObject* {
  auto body = make_body(kind, self, name, true);
  return body ? object_of(*body.release()) : nullptr;
}

auto is_generator(PyObject* object) -> int {
  if (Py_TYPE(object) == main_interpreter.generator_type) return 1;
  ModuleState const* module = current_state();
  if (module == nullptr) PyErr_Clear();
  return module != nullptr && Py_TYPE(object) == module->generator_type ? 1 : 0;
}

/// Only of a generator that is not running, not in a chain and not closed. What still refers to it finds it closed.
auto take_body(PyObject* object, abi::body_class const* kind) -> void* {
  if (is_generator(object) == 0) return nullptr;
  auto& generator = as<Generator>(object);
  if (!generator.state.is_cpp()) return nullptr;
  auto& body = as<CppBody>(generator.body.get());
  if (body.kind != kind || !generator.state.take_body()) return nullptr;
  body.progress = Progress::finished;
  return std::exchange(body.self, nullptr);
}

/// Whether it is a delegation, in the body of a generator.
auto delegates_here(PyObject* awaitable) noexcept -> bool {
  Resumption const* resumption = Resuming::innermost();
  return resumption != nullptr && Py_TYPE(awaitable) == state_of(object_of(*resumption->member)).delegation_type;
}

auto begin_await(PyObject* awaitable, int delegates, PyObject** out, PyObject** iterator) -> PySendResult {
  Object awaited = steal(awaitable);
  if (!PyCoro_CheckExact(awaitable)) [[unlikely]] {
    if (delegates != 0 && delegates_here(awaitable)) {
      *out = awaited.release();
      return PYGEN_NEXT;
    }
    awaited = await_iterator(awaitable);
    if (!awaited) return PYGEN_ERROR;
  }
  Step const step = await_send_counted(awaited.get(), Py_None);
  if (step.is(StepKind::awaits)) *iterator = awaited.release();
  return step.answer(out);
}

auto make_delegation(PyObject* source) -> PyObject* {
  ModuleState* module = current_state();
  return module != nullptr ? new_delegation(*module, borrow(source)) : nullptr;
}

auto already_running() -> PyObject* {
  ModuleState* module = current_state();
  return module != nullptr ? Object(module->already_running).release() : nullptr;
}

auto make_array(void const* items, Py_ssize_t count, Py_ssize_t item_size, char const* format) -> PyObject* {
  ModuleState* module = current_state();
  return module != nullptr ? new_item_array(*module, items, count, item_size, format) : nullptr;
}

abi::engine const functions = {
    abi::version, sizeof(abi::engine), make_generator,  make_coroutine,  is_generator,
    take_body,    begin_await,         make_delegation, already_running, make_array,
};

}  // namespace

PyType_Spec cpp_body_spec = {
    "async_generator._engine.cpp_coroutine",
    sizeof(CppBody),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    cpp_body_slots,
};

auto new_batches(PyObject* self, Py_ssize_t most, bool array) -> PyObject* {
  auto& generator = as<Generator>(self);
  if (!generator.state.is_cpp()) {
    PyErr_SetString(PyExc_TypeError,
                    "batches(): only a generator written in C++ gives its items in batches; see streams.chunks()");
    return nullptr;
  }
  auto& body = as<CppBody>(generator.body.get());
  auto const& kind = *body.kind;
  bool const can = kind.size >= offsetof(abi::body_class, item_format) + sizeof kind.item_format;
  if (!can || kind.in_batches == nullptr) {
    PyErr_SetString(PyExc_TypeError,
                    can ? "batches(): this generator is one of batches, or takes Python objects"
                        : "batches(): the module of this generator was compiled with older headers; rebuild it");
    return nullptr;
  }
  if (array && kind.item_format == nullptr) {
    PyErr_SetString(PyExc_TypeError, "batches(): there are arrays of numbers only; leave out array=True");
    return nullptr;
  }
  if (!generator.state.take_body()) {
    PyErr_SetString(PyExc_RuntimeError, "batches(): the generator is in use, or was closed");
    return nullptr;
  }
  body.progress = Progress::finished;
  void* const taken = std::exchange(body.self, nullptr);
  auto const* const batching = kind.in_batches(taken, most, array ? 1 : 0);
  if (batching == nullptr) {
    kind.destroy(taken);
    return nullptr;
  }
  char const* const name = PyUnicode_AsUTF8(body.qualified_name.get());
  if (name == nullptr) {
    batching->destroy(taken);
    return nullptr;
  }
  return make_generator(batching, taken, name);
}

auto new_bridge() -> Object {
  return steal(PyCapsule_New(const_cast<abi::engine*>(&functions), abi::capsule, nullptr));
}

}  // namespace engine
