// A factory turns a call of a decorated function into a generator. What it calls to get the body is prepared on the
// first call (python/async_generator/_bodies.py): a copy of the user's function, whose code may have real yields.
#include "function.hpp"

#include "environment.hpp"
#include "generator.hpp"

namespace engine {

namespace {

#ifdef Py_GIL_DISABLED
/// What is prepared is never replaced: prepared_factory().
struct Call {
  explicit Call(Factory&) noexcept {}
};
auto retire(Factory&, Object&) -> bool { return true; }
#else
/// A call under way, for a scope. What it runs may call the function again, and have prepared anew what it uses: that
/// is kept until a preparation finds no other call. So nothing is counted that an ordinary call would pay for.
class Call {
 public:
  explicit Call(Factory& factory) noexcept : factory_(factory) { ++factory.calls; }
  ~Call() { --factory_.calls; }
  Call(Call const&) = delete;
  auto operator=(Call const&) -> Call& = delete;

 private:
  Factory& factory_;
};

/// Keeps what is prepared for calls further up; without any, `dropped` gets what was kept for them. False with an
/// exception set.
auto retire(Factory& factory, Object& dropped) -> bool {
  if (factory.calls < 2) dropped = std::move(factory.retired);
  if (factory.calls < 2 || !factory.function) return true;
  auto const or_none = [](Object const& object) { return object ? object.get() : Py_None; };
  auto kept = steal(
      PyTuple_Pack(4, factory.function.get(), or_none(factory.names), or_none(factory.code), or_none(factory.retired)));
  if (!kept) return false;
  factory.retired = std::move(kept);  // which holds what was there
  return true;
}
#endif

/// The code of a Python function; null of anything else.
auto code_of(Object const& function) -> Object {
  return function && PyFunction_Check(function.get()) ? borrow(PyFunction_GET_CODE(function.get())) : nullptr;
}

/// Calls `prepare` where no tracer sees it: the first call of a function may be under a debugger, and what is run then
/// is not the program's.
auto call_untraced(Factory& factory, bool face_changed, bool replaced) -> Object {
  compat::Untraced const untraced;
  return steal(PyObject_CallFunctionObjArgs(factory.prepare.get(), factory.original.get(),
                                            factory.face ? factory.face.get() : Py_None,
                                            face_changed ? Py_True : Py_False, replaced ? Py_True : Py_False, nullptr));
}

/// What prepare() in Python answers: the function that makes bodies, the names that its code relies on, and the traits
/// of the generators. Borrowed from the tuple.
struct Prepared {
  PyObject* function = nullptr;
  PyObject* names = nullptr;  ///< (globals, name, object, name, object, ...), or empty
  unsigned traits = 0;

  /// False with an exception set, for an answer of another form: nothing looks at it again.
  auto read(PyObject* answer) -> bool {
    if (!PyArg_ParseTuple(answer, "OO!I", &function, &PyTuple_Type, &names, &traits)) return false;
    Py_ssize_t const size = PyTuple_GET_SIZE(names);
    bool fits = PyCallable_Check(function) != 0 && (traits & ~trait::of_python) == 0;
    if (size > 0) fits = fits && size % 2 == 1 && PyDict_Check(PyTuple_GET_ITEM(names, 0));
    for (Py_ssize_t i = 1; fits && i < size; i += 2) fits = PyUnicode_CheckExact(PyTuple_GET_ITEM(names, i));
    if (!fits) {
      PyErr_SetString(
          PyExc_TypeError,
          "prepare() answers (function, (globals, name, object, name, object, ...), traits), or an empty tuple in "
          "the middle");
    }
    return fits;
  }
};

/// Asks Python for the function that makes bodies: prepare(original, face, whether the face has other code than before,
/// whether any of it is not the code that was decorated). It gives the original and its face the same code.
auto prepare(Factory& factory) -> bool {
  Object code = code_of(factory.original);
  Object face_code = code_of(factory.face);
  bool const changed = face_code.get() != factory.face_code.get();
  bool const replaced = factory.replaced || changed || code.get() != factory.code.get();
  auto const prepared = call_untraced(factory, changed, replaced);
  if (!prepared) return false;
  (changed ? code : face_code) = code_of(changed ? factory.original : factory.face);
  Prepared made;
  if (!made.read(prepared.get())) return false;
  Object old_face_code;
#ifdef Py_GIL_DISABLED
  compat::Lock const lock(factory.module->factories);
  if (factory.ready.load(std::memory_order_relaxed)) return true;  // another thread was faster; what it made is as good
#endif
  Object old_retired;
  if (!retire(factory, old_retired)) return false;
  // What was there goes when all is replaced: that may run code, which may call this function.
  Object old_function = std::exchange(factory.function, borrow(made.function));
  Object old_names = std::exchange(factory.names, PyTuple_GET_SIZE(made.names) > 0 ? borrow(made.names) : nullptr);
  Object old_code = std::exchange(factory.code, std::move(code));
  if (factory.face_code.get() != face_code.get())
    old_face_code = std::exchange(factory.face_code, std::move(face_code));
  factory.traits = made.traits;
  factory.replaced = replaced;
#ifdef Py_GIL_DISABLED
  factory.ready.store(true, std::memory_order_release);
#endif
  return true;
}

/// True where a function has the defaults of another.
auto same_defaults(PyObject* one, PyObject* other) noexcept -> bool {
  return PyFunction_GET_DEFAULTS(one) == PyFunction_GET_DEFAULTS(other) &&
         PyFunction_GET_KW_DEFAULTS(one) == PyFunction_GET_KW_DEFAULTS(other);
}

struct Defaults {
  explicit Defaults(PyObject* function)
      : positional(borrow(PyFunction_GET_DEFAULTS(function))),
        by_keyword(borrow(PyFunction_GET_KW_DEFAULTS(function))) {}
  Object positional;
  Object by_keyword;
};

void set_defaults(PyObject* function, Defaults const& given) {
  COMPAT_BEGIN_CRITICAL_SECTION(function)
  PyFunction_SetDefaults(function, given.positional ? given.positional.get() : Py_None);
  PyFunction_SetKwDefaults(function, given.by_keyword ? given.by_keyword.get() : Py_None);
  COMPAT_END_CRITICAL_SECTION()
}

/// Gives the copy and the face the defaults that the original has now; or, where only the face's were changed, those.
/// What they had goes at the end: that may run code, which may replace the copy, and the original's defaults once more.
void take_over_defaults(PyObject* original, PyObject* face, PyObject* copy) {
  Object const kept[] = {borrow(original), borrow(face), borrow(copy)};
  Defaults const of_original(original);
  Defaults const of_copy(copy);
  Defaults const of_face(face != nullptr ? face : original);
  bool const by_face = face != nullptr && same_defaults(original, copy);
  Defaults const& given = by_face ? of_face : of_original;
  if (face != nullptr) set_defaults(by_face ? original : face, given);
  set_defaults(copy, given);
}

/// A factory that has prepared nothing yet. Null with an exception set.
auto new_factory(ModuleState& module, PyObject* original, PyObject* face, PyObject* prepare, std::uint32_t parts)
    -> Ref<Factory>;
void factory_dealloc(PyObject* self);

/// True while what the prepared copy was made from is what it was. Defaults that changed since are taken over.
auto in_step(Factory& factory) -> bool {
#ifdef Py_GIL_DISABLED
  if (!factory.ready.load(std::memory_order_acquire)) return false;
#else
  if (!factory.function) return false;
#endif
  if (!factory.code) return true;
  PyObject* original = factory.original.get();
  PyObject* function = factory.function.get();
  PyObject* face = factory.face.get();
  if (PyFunction_GET_CODE(original) != factory.code.get()) return false;
  if (face != nullptr && PyFunction_GET_CODE(face) != factory.face_code.get()) return false;
  if (original == function) return true;
  if (!same_defaults(original, function) || (face != nullptr && !same_defaults(face, function))) [[unlikely]]
    take_over_defaults(original, face, function);
  return true;
}

#ifdef Py_GIL_DISABLED
/// The factory to use: what a thread may be reading is not prepared anew in place. One more is made instead, each time
/// that the original gets other code; it lives as long as the first. Null with an exception set.
auto prepared_factory(Factory& first) -> Factory* {
  Factory* factory = &first;
  while (Factory* next = factory->successor.load(std::memory_order_acquire)) factory = next;
  if (in_step(*factory)) return factory;
  if (factory->ready.load(std::memory_order_acquire)) {
    auto made = new_factory(*factory->module, factory->original.get(), factory->face.get(), factory->prepare.get(),
                            factory->parts);
    if (!made) return nullptr;
    made->face_code = factory->face_code;
    made->replaced = true;
    Factory* none_yet = nullptr;
    if (factory->successor.compare_exchange_strong(none_yet, made.get(), std::memory_order_acq_rel))
      factory = made.release();
    else
      factory = none_yet;
  }
  return factory->ready.load(std::memory_order_acquire) || prepare(*factory) ? factory : nullptr;
}
#else
auto prepared_factory(Factory& factory) -> Factory* {
  return in_step(factory) || prepare(factory) ? &factory : nullptr;
}
#endif

/// True while the names that rewritten code relies on still mean yield_ and yield_from_ (Prepared::names).
auto names_hold(Factory& factory) -> bool {
  if (!factory.names) return true;
  PyObject* names = factory.names.get();
  PyObject* globals = PyTuple_GET_ITEM(names, 0);
  std::uint64_t const version = compat::dict_version(globals);
  if (version != 0 && version == factory.names_version) return true;
  for (Py_ssize_t i = 1; i + 1 < PyTuple_GET_SIZE(names); i += 2) {
    if (PyDict_GetItemWithError(globals, PyTuple_GET_ITEM(names, i)) != PyTuple_GET_ITEM(names, i + 1)) return false;
  }
  if (version != 0) factory.names_version = version;
  return true;
}

/// The error for a function that did not return a coroutine.
void set_not_a_coroutine(Factory& factory, PyObject* result) {
  if (PyErr_Occurred() != nullptr) return;
  ModuleState& module = *factory.module;
  if (Py_TYPE(result) == module.generator_type) {
    PyErr_Format(PyExc_TypeError,
                 "%R returned a generator of @async_generator: decorate the async generator function only, not what "
                 "calls it",
                 factory.original.get());
  } else if (PyObject_HasAttrString(result, "__aenter__")) {
    PyErr_Format(PyExc_TypeError,
                 "%R returned a context manager: write @asynccontextmanager on top of @async_generator, not below it",
                 factory.original.get());
  } else if (PyAsyncGen_CheckExact(result)) {
    PyErr_Format(PyExc_TypeError,
                 "%R returned a native async generator: decorate the async generator function itself, or leave the "
                 "decorator out",
                 factory.original.get());
  } else {
    PyErr_Format(PyExc_TypeError,
                 "%R returned %.100s, not a coroutine: @async_generator goes on an `async def` function",
                 factory.original.get(), Py_TYPE(result)->tp_name);
  }
}

/// True for a body that the engine can drive: a coroutine, or an object with a coroutine's slots and methods.
auto is_coroutine(ModuleState& module, PyObject* body) -> bool {
  if (PyCoro_CheckExact(body)) return true;
  PyAsyncMethods const* methods = Py_TYPE(body)->tp_as_async;
  return methods != nullptr && methods->am_send != nullptr && methods->am_await != nullptr &&
         PyObject_HasAttr(body, module.names.throw_.get()) && PyObject_HasAttrString(body, "cr_await");
}

/// A native coroutine that awaits `body`, where that is a coroutine without am_send, as those that mypyc compiled are.
/// For anything else, null with an exception set.
AGEN_OUT_OF_LINE auto native_awaiting(Factory& factory, Object const& body) -> Object {
  ModuleState& module = *factory.module;
  PyAsyncMethods const* methods = Py_TYPE(body.get())->tp_as_async;
  bool const awaitable = methods != nullptr && methods->am_await != nullptr;
  if (!awaitable || !PyObject_HasAttrString(body.get(), "send") ||
      !PyObject_HasAttr(body.get(), module.names.throw_.get()) ||
      !PyObject_HasAttr(body.get(), module.names.close.get())) {
    set_not_a_coroutine(factory, body.get());
    return nullptr;
  }
  return steal(PyObject_CallFunctionObjArgs(module.awaiting.get(), factory.original.get(), body.get(), nullptr));
}

/// The traits of a new generator.
auto given_traits(Factory const& factory) noexcept -> std::uint32_t {
  return factory.traits & factory.module->traits_given.load(std::memory_order_relaxed);
}

/// make() for a factory with parts of an environment. Null with an exception set.
AGEN_OUT_OF_LINE auto make_in_environment(Factory& factory, Object body, std::uint32_t traits) -> PyObject* {
  ModuleState& module = *factory.module;
  if ((factory.parts & part::isolated) != 0) traits = (traits & ~trait::guarded) | trait::isolated;
  body = new_environment(module, std::move(body), traits, factory.parts);
  if (!body || (factory.parts & part::of_coroutine) != 0) return body.release();
  auto generator = steal(new_generator(module, std::move(body), traits));
  if (!generator || (factory.parts & part::isolated) == 0) return generator.release();
  return PyObject_CallOneArg(module.isolated.get(), generator.get());
}

/// The caller holds `first`, and with it those that came after it.
auto make(Factory& first, PyObject* const* arguments, size_t count, PyObject* keywords) -> PyObject* {
  Call const call(first);
  Factory* const found = prepared_factory(first);
  if (found == nullptr) return nullptr;
  Factory& factory = *found;
  bool const rewritten = names_hold(factory);
  PyObject* function = rewritten ? factory.function.get() : factory.original.get();
  std::uint32_t const traits = rewritten ? given_traits(factory) : 0;
  auto body = steal(compat::call(function, arguments, count, keywords));
  if (!body) return nullptr;
  if (!is_coroutine(*factory.module, body.get())) [[unlikely]] {
    body = native_awaiting(factory, body);
    if (!body) return nullptr;
  }
  if (factory.parts != 0) [[unlikely]]
    return make_in_environment(factory, std::move(body), traits);
  return new_generator(*factory.module, std::move(body), traits);
}

/// What the original's caller gets for an argument that was left out. Null without an exception where there is none.
auto default_of(PyObject* original, Py_ssize_t index, PyObject* name) -> PyObject* {
  if (name != nullptr) {
    PyObject* by_keyword = PyFunction_GET_KW_DEFAULTS(original);
    return by_keyword == nullptr ? nullptr : PyDict_GetItemWithError(by_keyword, name);
  }
  PyObject* defaults = PyFunction_GET_DEFAULTS(original);
  Py_ssize_t const given = defaults == nullptr ? 0 : PyTuple_GET_SIZE(defaults);
  Py_ssize_t const at = index - compat::argument_count(PyFunction_GET_CODE(original)) + given;
  return at < 0 || at >= given ? nullptr : PyTuple_GET_ITEM(defaults, at);
}

/// Calls with the original's defaults in place of the marks, which are the factory's type (_defaults.py).
auto make_with_defaults(Factory& factory, PyObject* const* arguments, size_t count, PyObject* keywords) -> PyObject* {
  auto const kept = borrow(reinterpret_cast<PyObject*>(&factory));
  {
    Call const call(factory);
    if (prepared_factory(factory) == nullptr) return nullptr;  // the face may have got other defaults
  }
  auto const mark = reinterpret_cast<PyObject*>(factory.module->factory_type);
  Py_ssize_t const positional = PyVectorcall_NARGS(count);
  Py_ssize_t const total = positional + (keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords));
  auto const filled = steal(PyTuple_New(total));
  if (!filled) return nullptr;
  for (Py_ssize_t i = 0; i < total; ++i) {
    PyObject* const name = i < positional ? nullptr : PyTuple_GET_ITEM(keywords, i - positional);
    PyObject* const argument = arguments[i] == mark ? default_of(factory.original.get(), i, name) : arguments[i];
    if (argument == nullptr) {
      if (PyErr_Occurred() == nullptr)
        PyErr_Format(PyExc_TypeError, "%R is called without an argument whose default was taken away",
                     factory.original.get());
      return nullptr;
    }
    PyTuple_SET_ITEM(filled.get(), i, Py_NewRef(argument));
  }
  return make(factory, PySequence_Fast_ITEMS(filled.get()), static_cast<size_t>(positional), keywords);
}

/// What is called instead of `factory` while the decorated function has code that others put there: a factory whose
/// original is the decorated function. A profiler finds its copy of the code that way, and who reloads a module the new
/// code. Null with an exception set.
auto replacement_of(Factory& factory, PyObject* decorated) -> Ref<Factory> {
  {
    compat::Lock const lock(factory.module->factories);
    if (factory.replacement) return factory.replacement;
  }
  auto made = new_factory(*factory.module, decorated, nullptr, factory.prepare.get(), factory.parts);
  if (!made) return nullptr;
  made->replaced = true;
  compat::Lock const lock(factory.module->factories);
  if (!factory.replacement) factory.replacement = std::move(made);
  return factory.replacement;
}

/// What the code of a decorated function calls, where it runs.
auto factory_entry(PyObject* self, PyObject* const* arguments, size_t count, PyObject* keywords) -> PyObject* {
  auto& factory = as<Factory>(self);
  Py_ssize_t const total = PyVectorcall_NARGS(count) + (keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords));
  for (Py_ssize_t i = 0; i < total; ++i) {
    if (arguments[i] == reinterpret_cast<PyObject*>(factory.module->factory_type) &&
        PyFunction_Check(factory.original.get()))
      return make_with_defaults(factory, arguments, count, keywords);
  }
  return make(factory, arguments, count, keywords);
}

/// What the last cell of a decorated function's closure holds, or null. The closure of one that the collector is taking
/// apart is gone, and cells can be written to.
auto last_cell(PyObject* function) noexcept -> Object {
  PyObject* closure = PyFunction_GET_CLOSURE(function);
  if (closure == nullptr || PyTuple_GET_SIZE(closure) == 0) return nullptr;
  return compat::cell_content(PyTuple_GET_ITEM(closure, PyTuple_GET_SIZE(closure) - 1));
}

/// The entry point of a decorated function: its factory is in the last cell of its closure, which the call may
/// overwrite.
auto function_entry(PyObject* self, PyObject* const* arguments, size_t count, PyObject* keywords) -> PyObject* {
  Object const factory = last_cell(self);
  if (!factory || Py_TYPE(factory.get())->tp_dealloc != factory_dealloc) [[unlikely]] {
    PyErr_Format(PyExc_RuntimeError, "%R has lost what @async_generator put into its closure", self);
    return nullptr;
  }
  PyObject* const shown = as<Factory>(factory.get()).shown.get();
  if (shown != nullptr && shown != PyFunction_GET_CODE(self)) [[unlikely]] {
    auto const replacement = replacement_of(as<Factory>(factory.get()), self);
    return replacement ? make(*replacement, arguments, count, keywords) : nullptr;
  }
  return make(as<Factory>(factory.get()), arguments, count, keywords);
}

auto new_factory(ModuleState& module, PyObject* original, PyObject* face, PyObject* prepare, std::uint32_t parts)
    -> Ref<Factory> {
  auto* factory = allocate<Factory>(module.factory_type);
  if (factory == nullptr) return nullptr;
  factory->vectorcall = factory_entry;
  factory->module = &module;
  new (&factory->original) Object(borrow(original));
  new (&factory->face) Object(borrow(face));
  new (&factory->prepare) Object(borrow(prepare));
  new (&factory->function) Object();
  new (&factory->names) Object();
  new (&factory->code) Object(code_of(factory->original));
  new (&factory->face_code) Object(code_of(factory->face));
  new (&factory->shown) Object();
  new (&factory->replacement) Ref<Factory>();
  factory->replaced = false;
  factory->traits = 0;
  factory->parts = parts;
  factory->names_version = 0;
#ifdef Py_GIL_DISABLED
  new (&factory->ready) std::atomic<bool>(false);
  new (&factory->successor) std::atomic<Factory*>(nullptr);
#else
  factory->calls = 0;
  new (&factory->retired) Object();
#endif
  PyObject_GC_Track(factory);
  return Ref<Factory>::steal(factory);
}

auto factory_traverse(PyObject* self, visitproc visit, void* arg) -> int {
  auto& factory = as<Factory>(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(factory.original.get());
  Py_VISIT(factory.face.get());
  Py_VISIT(factory.prepare.get());
  Py_VISIT(factory.function.get());
  Py_VISIT(factory.names.get());
  Py_VISIT(factory.code.get());
  Py_VISIT(factory.face_code.get());
  Py_VISIT(factory.shown.get());
  Py_VISIT(factory.replacement.object());
#ifdef Py_GIL_DISABLED
  Py_VISIT(factory.successor.load(std::memory_order_relaxed));
#else
  Py_VISIT(factory.retired.get());
#endif
  return 0;
}

auto factory_clear(PyObject* self) -> int {
  auto& factory = as<Factory>(self);
#ifndef Py_GIL_DISABLED
  if (factory.calls != 0) return 0;
  factory.retired.reset();
#endif
  factory.function.reset();
  factory.names.reset();
  factory.code.reset();
#ifdef Py_GIL_DISABLED
  factory.ready = false;
  Py_XDECREF(factory.successor.exchange(nullptr));
#endif
  factory.replacement.reset();
  return 0;  // original, face and the shown code stay: a call in the middle of a collection must still find them
}

void factory_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  auto& factory = as<Factory>(self);
  PyObject_GC_UnTrack(self);
  factory_clear(self);
  factory.original.reset();
  factory.face.reset();
  factory.face_code.reset();
  factory.shown.reset();
  factory.prepare.reset();
  PyObject_GC_Del(self);
  Py_DECREF(type);
}

/// For cloudpickle and dill, which take a decorated function apart, and find its factory in the last cell.
auto factory_reduce(PyObject* self, PyObject*) -> PyObject* {
  auto const& factory = as<Factory>(self);
  auto const engine = steal(PyImport_ImportModule("async_generator._engine"));
  auto const remake = engine ? steal(PyObject_GetAttrString(engine.get(), "factory")) : nullptr;
  if (!remake) return nullptr;
  PyObject* face = factory.face ? factory.face.get() : Py_None;
  PyObject* shown = factory.shown ? factory.shown.get() : Py_None;
  return Py_BuildValue("O(OOOOI)", remake.get(), factory.original.get(), face, factory.prepare.get(), shown,
                       factory.parts);
}

PyMethodDef factory_methods[] = {
    {"__reduce__", factory_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyMemberDef factory_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Factory, vectorcall), READONLY, nullptr},
    {"shown", T_OBJECT, offsetof(Factory, shown), 0, nullptr},
    {"original", T_OBJECT, offsetof(Factory, original), READONLY, nullptr},
    {"parts", T_UINT, offsetof(Factory, parts), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyType_Slot factory_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(factory_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(factory_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(factory_clear)},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_methods, factory_methods},
    {Py_tp_members, factory_members},
    {0, nullptr},
};

}  // namespace

PyType_Spec factory_spec = {
    "async_generator._engine.factory",
    sizeof(Factory),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION |
        Py_TPFLAGS_IMMUTABLETYPE,
    factory_slots,
};

auto module_factory(PyObject* self, PyObject* const* arguments, Py_ssize_t count) -> PyObject* {
  if (count < 3 || count > 5) {
    PyErr_Format(PyExc_TypeError,
                 "factory() takes the function, its face, how to prepare it, the code that shows it and the parts of "
                 "its environment, not %zd arguments",
                 count);
    return nullptr;
  }
  auto const parts = count > 4 ? static_cast<std::uint32_t>(PyLong_AsUnsignedLong(arguments[4])) : 0;
  if (PyErr_Occurred() != nullptr) return nullptr;
  PyObject* const face = PyFunction_Check(arguments[1]) ? arguments[1] : nullptr;
  auto made = new_factory(*static_cast<ModuleState*>(PyModule_GetState(self)), arguments[0], face, arguments[2],
                          parts & part::all);
  if (made && count > 3 && PyCode_Check(arguments[3])) made->shown = borrow(arguments[3]);
  return reinterpret_cast<PyObject*>(made.release());
}

auto module_bind(PyObject*, PyObject* function) -> PyObject* {
  // What its last cell holds is looked at in each call. That of a function which is being unpickled is still empty.
  PyObject* closure = PyFunction_Check(function) ? PyFunction_GET_CLOSURE(function) : nullptr;
  if (closure == nullptr || PyTuple_GET_SIZE(closure) == 0) {
    PyErr_SetString(PyExc_TypeError, "bind() takes a function whose last closure cell holds a factory");
    return nullptr;
  }
  compat::set_entry_point(function, function_entry);
  return Py_NewRef(function);
}

}  // namespace engine
