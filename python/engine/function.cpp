// A maker turns a call of a decorated function into a generator. What it calls to get the body is prepared on the first
// call (python/async_generator/_function.py): a copy of the user's function, whose code may have real yields.
#include "function.hpp"

#include "generator.hpp"

namespace engine {

namespace {

#ifdef Py_GIL_DISABLED
/// What is prepared is never replaced: prepared_maker().
struct Call {
  explicit Call(Maker&) noexcept {}
};
auto retire(Maker&, Object&) -> bool { return true; }
#else
/// A call under way, for a scope. What it runs may call the function again, and have prepared anew what it uses: that
/// is kept until a preparation finds no other call. So nothing is counted that an ordinary call would pay for.
class Call {
 public:
  explicit Call(Maker& maker) noexcept : maker_(maker) { ++maker.calls; }
  ~Call() { --maker_.calls; }
  Call(Call const&) = delete;
  auto operator=(Call const&) -> Call& = delete;

 private:
  Maker& maker_;
};

/// Keeps what is prepared for calls further up; without any, `dropped` gets what was kept for them. False with an
/// exception set.
auto retire(Maker& maker, Object& dropped) -> bool {
  if (maker.calls < 2) dropped = std::move(maker.retired);
  if (maker.calls < 2 || !maker.function) return true;
  auto const or_none = [](Object const& object) { return object ? object.get() : Py_None; };
  auto kept =
      steal(PyTuple_Pack(4, maker.function.get(), or_none(maker.names), or_none(maker.code), or_none(maker.retired)));
  if (!kept) return false;
  maker.retired = std::move(kept);  // which holds what was there
  return true;
}
#endif

/// The code of a Python function; null of anything else.
auto code_of(Object const& function) -> Object {
  return function && PyFunction_Check(function.get()) ? borrow(PyFunction_GET_CODE(function.get())) : nullptr;
}

/// Calls `prepare` where no tracer sees it: the first call of a function may be under a debugger, and what is run then
/// is not the program's.
auto call_untraced(Maker& maker, bool face_changed, bool replaced) -> Object {
  compat::Untraced const untraced;
  return steal(PyObject_CallFunctionObjArgs(maker.prepare.get(), maker.original.get(),
                                            maker.face ? maker.face.get() : Py_None, face_changed ? Py_True : Py_False,
                                            replaced ? Py_True : Py_False, nullptr));
}

/// Asks Python for the function that makes bodies: prepare(original, face, whether the face has other code than before,
/// whether any of it is not the code that was decorated) -> (function, names, flags). It gives the original and its
/// face the same code.
auto prepare(Maker& maker) -> bool {
  Object code = code_of(maker.original);
  Object face_code = code_of(maker.face);
  bool const changed = face_code.get() != maker.face_code.get();
  bool const replaced = maker.replaced || changed || code.get() != maker.code.get();
  auto const prepared = call_untraced(maker, changed, replaced);
  if (!prepared) return false;
  (changed ? code : face_code) = code_of(changed ? maker.original : maker.face);
  PyObject* function = nullptr;
  PyObject* names = nullptr;
  unsigned flags = 0;
  if (!PyArg_ParseTuple(prepared.get(), "OO!I", &function, &PyTuple_Type, &names, &flags)) return false;
  Object old_face_code;
#ifdef Py_GIL_DISABLED
  compat::Lock const lock(maker.module->makers);
  if (maker.ready.load(std::memory_order_relaxed)) return true;  // another thread was faster; what it made is as good
#endif
  Object old_retired;
  if (!retire(maker, old_retired)) return false;
  // What was there goes when all is replaced: that may run code, which may call this function.
  Object old_function = std::exchange(maker.function, borrow(function));
  Object old_names = std::exchange(maker.names, PyTuple_GET_SIZE(names) > 0 ? borrow(names) : nullptr);
  Object old_code = std::exchange(maker.code, std::move(code));
  if (maker.face_code.get() != face_code.get()) old_face_code = std::exchange(maker.face_code, std::move(face_code));
  maker.flags = flags;
  maker.replaced = replaced;
#ifdef Py_GIL_DISABLED
  maker.ready.store(true, std::memory_order_release);
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

/// A maker that has prepared nothing yet. Null with an exception set.
auto new_maker(ModuleState& module, PyObject* original, PyObject* face, PyObject* prepare) -> Ref<Maker>;
void maker_dealloc(PyObject* self);

/// True while what the prepared copy was made from is what it was. Defaults that changed since are taken over.
auto in_step(Maker& maker) -> bool {
#ifdef Py_GIL_DISABLED
  if (!maker.ready.load(std::memory_order_acquire)) return false;
#else
  if (!maker.function) return false;
#endif
  if (!maker.code) return true;
  PyObject* original = maker.original.get();
  PyObject* function = maker.function.get();
  PyObject* face = maker.face.get();
  if (PyFunction_GET_CODE(original) != maker.code.get()) return false;
  if (face != nullptr && PyFunction_GET_CODE(face) != maker.face_code.get()) return false;
  if (original == function) return true;
  if (!same_defaults(original, function) || (face != nullptr && !same_defaults(face, function))) [[unlikely]]
    take_over_defaults(original, face, function);
  return true;
}

#ifdef Py_GIL_DISABLED
/// The maker to use: what a thread may be reading is not prepared anew in place. One more is made instead, each time
/// that the original gets other code; it lives as long as the first. Null with an exception set.
auto prepared_maker(Maker& first) -> Maker* {
  Maker* maker = &first;
  while (Maker* next = maker->successor.load(std::memory_order_acquire)) maker = next;
  if (in_step(*maker)) return maker;
  if (maker->ready.load(std::memory_order_acquire)) {
    auto made = new_maker(*maker->module, maker->original.get(), maker->face.get(), maker->prepare.get());
    if (!made) return nullptr;
    made->face_code = maker->face_code;
    made->replaced = true;
    Maker* none_yet = nullptr;
    if (maker->successor.compare_exchange_strong(none_yet, made.get(), std::memory_order_acq_rel))
      maker = made.release();
    else
      maker = none_yet;
  }
  return maker->ready.load(std::memory_order_acquire) || prepare(*maker) ? maker : nullptr;
}
#else
auto prepared_maker(Maker& maker) -> Maker* { return in_step(maker) || prepare(maker) ? &maker : nullptr; }
#endif

/// True while the names that rewritten code relies on still mean yield_ and yield_from_.
auto names_hold(Maker& maker) -> bool {
  if (!maker.names) return true;
  PyObject* names = maker.names.get();
  PyObject* globals = PyTuple_GET_ITEM(names, 0);
  std::uint64_t const version = compat::dict_version(globals);
  if (version != 0 && version == maker.names_version) return true;
  for (Py_ssize_t i = 1; i + 1 < PyTuple_GET_SIZE(names); i += 2) {
    if (PyDict_GetItemWithError(globals, PyTuple_GET_ITEM(names, i)) != PyTuple_GET_ITEM(names, i + 1)) return false;
  }
  if (version != 0) maker.names_version = version;
  return true;
}

/// The error for a function that did not return a coroutine.
void set_not_a_coroutine(Maker& maker, PyObject* result) {
  if (PyErr_Occurred() != nullptr) return;
  ModuleState& module = *maker.module;
  if (Py_TYPE(result) == module.generator_type) {
    PyErr_Format(PyExc_TypeError, "%R is decorated with @async_generator twice", maker.original.get());
  } else if (PyObject_HasAttrString(result, "__aenter__")) {
    PyErr_Format(PyExc_TypeError,
                 "%R returned a context manager: write @asynccontextmanager on top of @async_generator, not below it",
                 maker.original.get());
  } else if (PyAsyncGen_CheckExact(result)) {
    PyErr_Format(PyExc_TypeError,
                 "%R returned a native async generator: decorate the async generator function itself, or leave the "
                 "decorator out",
                 maker.original.get());
  } else {
    PyErr_Format(PyExc_TypeError,
                 "%R returned %.100s, not a coroutine: @async_generator goes on an `async def` function",
                 maker.original.get(), Py_TYPE(result)->tp_name);
  }
}

/// True for a body that the engine can drive: a coroutine, or an object with a coroutine's slots and methods.
auto is_coroutine(ModuleState& module, PyObject* body) -> bool {
  if (PyCoro_CheckExact(body)) return true;
  PyAsyncMethods const* methods = Py_TYPE(body)->tp_as_async;
  return methods != nullptr && methods->am_send != nullptr && methods->am_await != nullptr &&
         PyObject_HasAttr(body, module.names.throw_.get()) && PyObject_HasAttrString(body, "cr_await");
}

/// The caller holds `first`, and with it those that came after it.
auto make(Maker& first, PyObject* const* arguments, size_t count, PyObject* keywords) -> PyObject* {
  Call const call(first);
  Maker* const found = prepared_maker(first);
  if (found == nullptr) return nullptr;
  Maker& maker = *found;
  bool const rewritten = names_hold(maker);
  PyObject* function = rewritten ? maker.function.get() : maker.original.get();
  std::uint32_t const flags = rewritten ? maker.flags : 0;
  auto body = steal(compat::call(function, arguments, count, keywords));
  if (!body) return nullptr;
  if (!is_coroutine(*maker.module, body.get())) {
    set_not_a_coroutine(maker, body.get());
    return nullptr;
  }
  return new_generator(*maker.module, std::move(body), flags);
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

/// Calls with the original's defaults in place of the marks, which are the maker's type (_function.py, _Defaults).
auto make_with_defaults(Maker& maker, PyObject* const* arguments, size_t count, PyObject* keywords) -> PyObject* {
  auto const kept = borrow(reinterpret_cast<PyObject*>(&maker));
  {
    Call const call(maker);
    if (prepared_maker(maker) == nullptr) return nullptr;  // the face may have got other defaults
  }
  auto const mark = reinterpret_cast<PyObject*>(maker.module->maker_type);
  Py_ssize_t const positional = PyVectorcall_NARGS(count);
  Py_ssize_t const total = positional + (keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords));
  auto const filled = steal(PyTuple_New(total));
  if (!filled) return nullptr;
  for (Py_ssize_t i = 0; i < total; ++i) {
    PyObject* const name = i < positional ? nullptr : PyTuple_GET_ITEM(keywords, i - positional);
    PyObject* const argument = arguments[i] == mark ? default_of(maker.original.get(), i, name) : arguments[i];
    if (argument == nullptr) {
      if (PyErr_Occurred() == nullptr)
        PyErr_Format(PyExc_TypeError, "%R is called without an argument whose default was taken away",
                     maker.original.get());
      return nullptr;
    }
    PyTuple_SET_ITEM(filled.get(), i, Py_NewRef(argument));
  }
  return make(maker, PySequence_Fast_ITEMS(filled.get()), static_cast<size_t>(positional), keywords);
}

/// What is called instead of `maker` while the decorated function has code that others put there: a maker whose
/// original is the decorated function. A profiler finds its copy of the code that way, and who reloads a module the new
/// code. Null with an exception set.
auto replacement_of(Maker& maker, PyObject* decorated) -> Ref<Maker> {
  {
    compat::Lock const lock(maker.module->makers);
    if (maker.replacement) return maker.replacement;
  }
  auto made = new_maker(*maker.module, decorated, nullptr, maker.prepare.get());
  if (!made) return nullptr;
  made->replaced = true;
  compat::Lock const lock(maker.module->makers);
  if (!maker.replacement) maker.replacement = std::move(made);
  return maker.replacement;
}

/// What the code of a decorated function calls, where it runs.
auto maker_entry(PyObject* self, PyObject* const* arguments, size_t count, PyObject* keywords) -> PyObject* {
  auto& maker = as<Maker>(self);
  Py_ssize_t const total = PyVectorcall_NARGS(count) + (keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords));
  for (Py_ssize_t i = 0; i < total; ++i) {
    if (arguments[i] == reinterpret_cast<PyObject*>(maker.module->maker_type) && PyFunction_Check(maker.original.get()))
      return make_with_defaults(maker, arguments, count, keywords);
  }
  return make(maker, arguments, count, keywords);
}

/// What the last cell of a decorated function's closure holds, or null. The closure of one that the collector is taking
/// apart is gone, and cells can be written to.
auto last_cell(PyObject* function) noexcept -> Object {
  PyObject* closure = PyFunction_GET_CLOSURE(function);
  if (closure == nullptr || PyTuple_GET_SIZE(closure) == 0) return nullptr;
  return compat::cell_content(PyTuple_GET_ITEM(closure, PyTuple_GET_SIZE(closure) - 1));
}

/// The entry point of a decorated function: its maker is in the last cell of its closure, which the call may overwrite.
auto function_entry(PyObject* self, PyObject* const* arguments, size_t count, PyObject* keywords) -> PyObject* {
  Object const maker = last_cell(self);
  if (!maker || Py_TYPE(maker.get())->tp_dealloc != maker_dealloc) [[unlikely]] {
    PyErr_Format(PyExc_RuntimeError, "%R has lost what @async_generator put into its closure", self);
    return nullptr;
  }
  PyObject* const shown = as<Maker>(maker.get()).shown.get();
  if (shown != nullptr && shown != PyFunction_GET_CODE(self)) [[unlikely]] {
    auto const replacement = replacement_of(as<Maker>(maker.get()), self);
    return replacement ? make(*replacement, arguments, count, keywords) : nullptr;
  }
  return make(as<Maker>(maker.get()), arguments, count, keywords);
}

auto new_maker(ModuleState& module, PyObject* original, PyObject* face, PyObject* prepare) -> Ref<Maker> {
  auto* maker = allocate<Maker>(module.maker_type);
  if (maker == nullptr) return nullptr;
  maker->vectorcall = maker_entry;
  maker->module = &module;
  new (&maker->original) Object(borrow(original));
  new (&maker->face) Object(borrow(face));
  new (&maker->prepare) Object(borrow(prepare));
  new (&maker->function) Object();
  new (&maker->names) Object();
  new (&maker->code) Object(code_of(maker->original));
  new (&maker->face_code) Object(code_of(maker->face));
  new (&maker->shown) Object();
  new (&maker->replacement) Ref<Maker>();
  maker->replaced = false;
  maker->flags = 0;
  maker->names_version = 0;
#ifdef Py_GIL_DISABLED
  new (&maker->ready) std::atomic<bool>(false);
  new (&maker->successor) std::atomic<Maker*>(nullptr);
#else
  maker->calls = 0;
  new (&maker->retired) Object();
#endif
  PyObject_GC_Track(maker);
  return Ref<Maker>::steal(maker);
}

auto maker_traverse(PyObject* self, visitproc visit, void* arg) -> int {
  auto& maker = as<Maker>(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(maker.original.get());
  Py_VISIT(maker.face.get());
  Py_VISIT(maker.prepare.get());
  Py_VISIT(maker.function.get());
  Py_VISIT(maker.names.get());
  Py_VISIT(maker.code.get());
  Py_VISIT(maker.face_code.get());
  Py_VISIT(maker.shown.get());
  Py_VISIT(maker.replacement.object());
#ifdef Py_GIL_DISABLED
  Py_VISIT(maker.successor.load(std::memory_order_relaxed));
#else
  Py_VISIT(maker.retired.get());
#endif
  return 0;
}

auto maker_clear(PyObject* self) -> int {
  auto& maker = as<Maker>(self);
#ifndef Py_GIL_DISABLED
  if (maker.calls != 0) return 0;
  maker.retired.reset();
#endif
  maker.function.reset();
  maker.names.reset();
  maker.code.reset();
#ifdef Py_GIL_DISABLED
  maker.ready = false;
  Py_XDECREF(maker.successor.exchange(nullptr));
#endif
  maker.replacement.reset();
  return 0;  // original, face and the shown code stay: a call in the middle of a collection must still find them
}

void maker_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  auto& maker = as<Maker>(self);
  PyObject_GC_UnTrack(self);
  maker_clear(self);
  maker.original.reset();
  maker.face.reset();
  maker.face_code.reset();
  maker.shown.reset();
  maker.prepare.reset();
  PyObject_GC_Del(self);
  Py_DECREF(type);
}

/// For cloudpickle and dill, which take a decorated function apart, and find its maker in the last cell.
auto maker_reduce(PyObject* self, PyObject*) -> PyObject* {
  auto const& maker = as<Maker>(self);
  auto const engine = steal(PyImport_ImportModule("async_generator._engine"));
  auto const remake = engine ? steal(PyObject_GetAttrString(engine.get(), "maker")) : nullptr;
  if (!remake) return nullptr;
  PyObject* face = maker.face ? maker.face.get() : Py_None;
  PyObject* shown = maker.shown ? maker.shown.get() : Py_None;
  return Py_BuildValue("O(OOOO)", remake.get(), maker.original.get(), face, maker.prepare.get(), shown);
}

PyMethodDef maker_methods[] = {
    {"__reduce__", maker_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyMemberDef maker_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Maker, vectorcall), READONLY, nullptr},
    {"shown", T_OBJECT, offsetof(Maker, shown), 0, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyType_Slot maker_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(maker_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(maker_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(maker_clear)},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_methods, maker_methods},
    {Py_tp_members, maker_members},
    {0, nullptr},
};

}  // namespace

PyType_Spec maker_spec = {
    "async_generator._engine.maker",
    sizeof(Maker),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION |
        Py_TPFLAGS_IMMUTABLETYPE,
    maker_slots,
};

auto module_maker(PyObject* self, PyObject* const* arguments, Py_ssize_t count) -> PyObject* {
  if (count < 3 || count > 4) {
    PyErr_Format(
        PyExc_TypeError,
        "maker() takes the function, its face, how to prepare it and the code that shows it, not %zd arguments", count);
    return nullptr;
  }
  PyObject* const face = PyFunction_Check(arguments[1]) ? arguments[1] : nullptr;
  auto made = new_maker(*static_cast<ModuleState*>(PyModule_GetState(self)), arguments[0], face, arguments[2]);
  if (made && count == 4 && PyCode_Check(arguments[3])) made->shown = borrow(arguments[3]);
  return reinterpret_cast<PyObject*>(made.release());
}

auto module_bind(PyObject*, PyObject* function) -> PyObject* {
  // What its last cell holds is looked at in each call. That of a function which is being unpickled is still empty.
  PyObject* closure = PyFunction_Check(function) ? PyFunction_GET_CLOSURE(function) : nullptr;
  if (closure == nullptr || PyTuple_GET_SIZE(closure) == 0) {
    PyErr_SetString(PyExc_TypeError, "bind() takes a function whose last closure cell holds a maker");
    return nullptr;
  }
  compat::set_entry_point(function, function_entry);
  return Py_NewRef(function);
}

}  // namespace engine
