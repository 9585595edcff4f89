// A maker turns a call of a decorated function into a generator. What it calls to get the body is prepared on the first
// call (python/async_generator/_function.py): a copy of the user's function, whose code may have real yields.
#include "function.hpp"

#include "generator.hpp"

namespace engine {

namespace {

auto code_of(PyObject* original) -> Object {
  return PyFunction_Check(original) ? borrow(PyFunction_GetCode(original)) : nullptr;
}

/// Asks Python for the function that makes bodies: prepare(original, replaced) -> (function, names, flags).
auto prepare(Maker& maker) -> bool {
  Object const code = code_of(maker.original.get());
  PyObject* const replaced = maker.replaced || code.get() != maker.code.get() ? Py_True : Py_False;
  auto const prepared =
      steal(PyObject_CallFunctionObjArgs(maker.prepare.get(), maker.original.get(), replaced, nullptr));
  if (!prepared) return false;
  PyObject* function = nullptr;
  PyObject* names = nullptr;
  unsigned flags = 0;
  if (!PyArg_ParseTuple(prepared.get(), "OO!I", &function, &PyTuple_Type, &names, &flags)) return false;
#ifdef Py_GIL_DISABLED
  compat::Lock const lock(maker.state->makers);
  if (maker.ready.load(std::memory_order_relaxed)) return true;  // another thread was faster; what it made is as good
#endif
  maker.function = borrow(function);
  maker.names = PyTuple_GET_SIZE(names) > 0 ? borrow(names) : nullptr;
  maker.flags = flags;
  maker.replaced = replaced == Py_True;
  maker.code = code;
#ifdef Py_GIL_DISABLED
  maker.ready.store(true, std::memory_order_release);
#endif
  return true;
}

/// Gives the copy the defaults that the original has now.
void take_over_defaults(PyObject* original, PyObject* function) {
  COMPAT_BEGIN_CRITICAL_SECTION(function)
  PyObject* defaults = PyFunction_GET_DEFAULTS(original);
  if (defaults != PyFunction_GET_DEFAULTS(function))
    PyFunction_SetDefaults(function, defaults == nullptr ? Py_None : defaults);
  PyObject* by_keyword = PyFunction_GET_KW_DEFAULTS(original);
  if (by_keyword != PyFunction_GET_KW_DEFAULTS(function))
    PyFunction_SetKwDefaults(function, by_keyword == nullptr ? Py_None : by_keyword);
  COMPAT_END_CRITICAL_SECTION()
}

/// A maker that has prepared nothing yet. Null with an exception set.
auto new_maker(State& state, PyObject* original, PyObject* prepare) -> Ref<Maker>;
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
  if (PyFunction_GET_CODE(original) != maker.code.get()) return false;
  if (original == function) return true;
  bool const differ = PyFunction_GET_DEFAULTS(original) != PyFunction_GET_DEFAULTS(function) ||
                      PyFunction_GET_KW_DEFAULTS(original) != PyFunction_GET_KW_DEFAULTS(function);
  if (differ) [[unlikely]]
    take_over_defaults(original, function);
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
    auto made = new_maker(*maker->state, maker->original.get(), maker->prepare.get());
    if (!made) return nullptr;
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
  State& state = *maker.state;
  if (Py_TYPE(result) == state.generator_type) {
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
auto is_coroutine(State& state, PyObject* body) -> bool {
  if (PyCoro_CheckExact(body)) return true;
  PyAsyncMethods const* methods = Py_TYPE(body)->tp_as_async;
  return methods != nullptr && methods->am_send != nullptr && methods->am_await != nullptr &&
         PyObject_HasAttr(body, state.names.throw_.get()) && PyObject_HasAttrString(body, "cr_await");
}

auto make(Maker& first, PyObject* const* arguments, size_t count, PyObject* keywords) -> PyObject* {
  Maker* const found = prepared_maker(first);
  if (found == nullptr) return nullptr;
  Maker& maker = *found;
  bool const rewritten = names_hold(maker);
  PyObject* function = rewritten ? maker.function.get() : maker.original.get();
  auto body = steal(compat::call(function, arguments, count, keywords));
  if (!body) return nullptr;
  if (!is_coroutine(*maker.state, body.get())) {
    set_not_a_coroutine(maker, body.get());
    return nullptr;
  }
  return new_generator(*maker.state, std::move(body), rewritten ? maker.flags : 0);
}

/// What is called instead of `maker` while the decorated function has code that others put there: a maker whose
/// original is the decorated function. A profiler finds its copy of the code that way, and who reloads a module the new
/// code. Null with an exception set.
auto replacement_of(Maker& maker, PyObject* decorated) -> Ref<Maker> {
  {
    compat::Lock const lock(maker.state->makers);
    if (maker.replacement) return maker.replacement;
  }
  auto made = new_maker(*maker.state, decorated, maker.prepare.get());
  if (!made) return nullptr;
  made->replaced = true;
  compat::Lock const lock(maker.state->makers);
  if (!maker.replacement) maker.replacement = std::move(made);
  return maker.replacement;
}

auto maker_entry(PyObject* self, PyObject* const* arguments, size_t count, PyObject* keywords) -> PyObject* {
  return make(as<Maker>(self), arguments, count, keywords);
}

/// What the last cell of a decorated function's closure holds, or null. The closure of one that the collector is taking
/// apart is gone, and cells can be written to.
auto last_cell(PyObject* function) noexcept -> PyObject* {
  PyObject* closure = PyFunction_GET_CLOSURE(function);
  if (closure == nullptr || PyTuple_GET_SIZE(closure) == 0) return nullptr;
  return PyCell_GET(PyTuple_GET_ITEM(closure, PyTuple_GET_SIZE(closure) - 1));
}

/// The entry point of a decorated function: its maker is in the last cell of its closure.
auto function_entry(PyObject* self, PyObject* const* arguments, size_t count, PyObject* keywords) -> PyObject* {
  PyObject* maker = last_cell(self);
  if (maker == nullptr || Py_TYPE(maker)->tp_dealloc != maker_dealloc) [[unlikely]] {
    PyErr_Format(PyExc_RuntimeError, "%R has lost what @async_generator put into its closure", self);
    return nullptr;
  }
  PyObject* shown = as<Maker>(maker).shown.get();
  if (shown != nullptr && shown != PyFunction_GET_CODE(self)) [[unlikely]] {
    auto const replacement = replacement_of(as<Maker>(maker), self);
    return replacement ? make(*replacement, arguments, count, keywords) : nullptr;
  }
  return make(as<Maker>(maker), arguments, count, keywords);
}

auto new_maker(State& state, PyObject* original, PyObject* prepare) -> Ref<Maker> {
  auto* maker = allocate<Maker>(state.maker_type);
  if (maker == nullptr) return nullptr;
  maker->vectorcall = maker_entry;
  maker->state = &state;
  new (&maker->original) Object(borrow(original));
  new (&maker->prepare) Object(borrow(prepare));
  new (&maker->function) Object();
  new (&maker->names) Object();
  new (&maker->code) Object(code_of(original));
  new (&maker->shown) Object();
  new (&maker->replacement) Ref<Maker>();
  maker->replaced = false;
  maker->flags = 0;
  maker->names_version = 0;
#ifdef Py_GIL_DISABLED
  new (&maker->ready) std::atomic<bool>(false);
  new (&maker->successor) std::atomic<Maker*>(nullptr);
#endif
  PyObject_GC_Track(maker);
  return Ref<Maker>::steal(maker);
}

auto maker_traverse(PyObject* self, visitproc visit, void* arg) -> int {
  auto& maker = as<Maker>(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(maker.original.get());
  Py_VISIT(maker.prepare.get());
  Py_VISIT(maker.function.get());
  Py_VISIT(maker.names.get());
  Py_VISIT(maker.code.get());
  Py_VISIT(maker.shown.get());
  Py_VISIT(maker.replacement.object());
#ifdef Py_GIL_DISABLED
  Py_VISIT(maker.successor.load(std::memory_order_relaxed));
#endif
  return 0;
}

auto maker_clear(PyObject* self) -> int {
  auto& maker = as<Maker>(self);
  maker.function.reset();
  maker.names.reset();
  maker.code.reset();
  maker.replacement.reset();
#ifdef Py_GIL_DISABLED
  maker.ready = false;
  Py_XDECREF(maker.successor.exchange(nullptr));
#endif
  return 0;  // the original and the shown code stay: a call in the middle of a collection must still find them
}

void maker_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  auto& maker = as<Maker>(self);
  PyObject_GC_UnTrack(self);
  maker_clear(self);
  maker.original.reset();
  maker.prepare.reset();
  maker.shown.reset();
  PyObject_GC_Del(self);
  Py_DECREF(type);
}

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

auto module_maker(PyObject* module, PyObject* const* arguments, Py_ssize_t count) -> PyObject* {
  if (count != 2) {
    PyErr_Format(PyExc_TypeError, "maker() takes the function and how to prepare it, not %zd arguments", count);
    return nullptr;
  }
  auto made = new_maker(*static_cast<State*>(PyModule_GetState(module)), arguments[0], arguments[1]);
  return reinterpret_cast<PyObject*>(made.release());
}

auto module_bind(PyObject* module, PyObject* function) -> PyObject* {
  auto const* state = static_cast<State*>(PyModule_GetState(module));
  PyObject* maker = PyFunction_Check(function) ? last_cell(function) : nullptr;
  if (maker == nullptr || Py_TYPE(maker) != state->maker_type) {
    PyErr_SetString(PyExc_TypeError, "bind() takes a function whose last closure cell holds a maker");
    return nullptr;
  }
  compat::set_entry_point(function, function_entry);
  return Py_NewRef(function);
}

}  // namespace engine
