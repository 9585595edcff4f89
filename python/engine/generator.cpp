// The generator object (PEP 525, "Asynchronous Generator Object"): what a user sees of it, and how it ends.
#include "generator.hpp"

#include "body.hpp"
#include "chain.hpp"
#include "cpp_body.hpp"
#include "hooks.hpp"
#include "operations.hpp"

namespace engine {

// Operations ----------------------------------------------------------------------------------------------------------

namespace {

using agen::operation;

/// generator_anext(), by the long way.
AGEN_OUT_OF_LINE auto anext_elsewhere(Generator& generator) -> PyObject* {
  PyObject* const made = new_awaitable(generator, operation::anext, nullptr, compat::free_threaded);
  if (compat::free_threaded || made == nullptr) return made;
  Awaitable& last = *std::exchange(as<Awaitable>(made).module->last_anext, &as<Awaitable>(made));
  if (last.progress == Progress::initial && &last != &as<Awaitable>(made)) track(last);
  return made;
}

/// `async for` and anext(): the awaitable is used up at once, as a rule, so the cyclic collector need not know it. One
/// that is not is shown to it when the next is made.
// Calls nothing where memory is at hand, and so saves no register.
auto generator_anext(PyObject* self) -> PyObject* {
  auto& generator = as<Generator>(self);
  if (!compat::free_threaded && generator.state.is_hooked() && is_of_main_interpreter(self)) [[likely]] {
    ModuleState& module = *main_interpreter.module;
    if (module.last_anext->progress != Progress::initial) [[likely]] {
      if (Awaitable* recycled = module.awaitables.take()) [[likely]] {
        module.last_anext = recycled;
        return set_up(*recycled, generator, operation::anext);
      }
    }
  }
  return anext_elsewhere(generator);
}

auto generator_anext_method(PyObject* self, PyObject*) -> PyObject* {
  return new_awaitable(as<Generator>(self), operation::anext, nullptr);
}

auto generator_aclose(PyObject* self, PyObject*) -> PyObject* {
  return new_awaitable(as<Generator>(self), operation::aclose, nullptr);
}

/// Sorts keyword arguments into their places after the positional ones. False with TypeError set.
auto arguments_of(char const* function, char const* const* names, Py_ssize_t most, PyObject* const* given,
                  Py_ssize_t count, PyObject* keywords, PyObject** found) -> bool {
  if (count > most) {
    PyErr_Format(PyExc_TypeError, "%s expected at most %zd arguments, got %zd", function, most, count);
    return false;
  }
  for (Py_ssize_t i = 0; i < count; ++i) found[i] = given[i];
  Py_ssize_t const named = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
  for (Py_ssize_t k = 0; k < named; ++k) {
    PyObject* keyword = PyTuple_GET_ITEM(keywords, k);
    Py_ssize_t i = 0;
    while (i < most && PyUnicode_CompareWithASCIIString(keyword, names[i]) != 0) ++i;
    if (i == most || found[i] != nullptr) {
      PyErr_Format(
          PyExc_TypeError,
          i == most ? "%s() got an unexpected keyword argument '%U'" : "%s() got multiple values for argument '%U'",
          function, keyword);
      return false;
    }
    found[i] = given[count + k];
  }
  return true;
}

auto generator_asend(PyObject* self, PyObject* const* given, Py_ssize_t count, PyObject* keywords) -> PyObject* {
  static constexpr char const* names[] = {"value"};
  PyObject* found[1] = {};
  if (count == 1 && keywords == nullptr) return new_awaitable(as<Generator>(self), operation::asend, given[0]);
  if (count > 1 || (count == 0 && keywords == nullptr)) {
    PyErr_Format(PyExc_TypeError, "async_generator.asend() takes exactly one argument (%zd given)", count);
    return nullptr;
  }
  if (!arguments_of("asend", names, 1, given, count, keywords, found)) return nullptr;
  return new_awaitable(as<Generator>(self), operation::asend, found[0]);
}

auto generator_athrow(PyObject* self, PyObject* const* given, Py_ssize_t count, PyObject* keywords) -> PyObject* {
  static constexpr char const* names[] = {"type", "value", "traceback"};
  PyObject* found[3] = {};
  if (!arguments_of("athrow", names, 3, given, count, keywords, found)) return nullptr;
  if (found[0] == nullptr) {
    PyErr_SetString(PyExc_TypeError, "athrow expected at least 1 argument, got 0");
    return nullptr;
  }
  if (found[1] == nullptr && found[2] == nullptr)
    return new_awaitable(as<Generator>(self), operation::athrow, found[0]);
  if (compat::warn_three_arguments("athrow") < 0) return nullptr;
  auto const packed = steal(
      PyTuple_Pack(3, found[0], found[1] != nullptr ? found[1] : Py_None, found[2] != nullptr ? found[2] : Py_None));
  return packed ? new_awaitable(as<Generator>(self), operation::athrow, packed.get(), true, true) : nullptr;
}

auto generator_batches(PyObject* self, PyObject* arguments, PyObject* keywords) -> PyObject* {
  static char const* names[] = {"", "array", nullptr};
  Py_ssize_t most = 0;
  int array = 0;
  if (PyArg_ParseTupleAndKeywords(arguments, keywords, "n|$p:batches", const_cast<char**>(names), &most, &array) == 0)
    return nullptr;
  if (most < 1) {
    PyErr_Format(PyExc_ValueError, "batches() of %zd items: at least 1 is needed", most);
    return nullptr;
  }
  return new_batches(self, most, array != 0);
}

// Attributes ----------------------------------------------------------------------------------------------------------

template <bool Qualified>
auto get_name(PyObject* self, void*) -> PyObject* {
  return body_attribute(as<Generator>(self), Qualified ? "__qualname__" : "__name__");
}

template <bool Qualified>
auto set_name(PyObject* self, PyObject* value, void*) -> int {
  if (value == nullptr || !PyUnicode_Check(value)) {
    PyErr_Format(PyExc_TypeError, "%s must be set to a string object", Qualified ? "__qualname__" : "__name__");
    return -1;
  }
  return PyObject_SetAttrString(as<Generator>(self).body.get(), Qualified ? "__qualname__" : "__name__", value);
}

auto get_frame(PyObject* self, void*) -> PyObject* {
  if (PySys_Audit("object.__getattr__", "Os", self, "ag_frame") < 0) return nullptr;
  return body_frame(as<Generator>(self));
}

auto get_code(PyObject* self, void*) -> PyObject* {
  if (PySys_Audit("object.__getattr__", "Os", self, "ag_code") < 0) return nullptr;
  return body_code(as<Generator>(self));
}

auto get_running(PyObject* self, void*) -> PyObject* {
  return PyBool_FromLong(Chain::is_running(state_of(self), as<Generator>(self)));
}

/// True while the frame, or one that it delegates to, is on the stack.
auto is_executing(ModuleState& module, Generator& generator) -> bool {
  auto const leaf = Chain::leaf_of(module, generator);
  auto const running = steal(body_attribute(*leaf, "cr_running"));
  PyErr_Clear();
  return running.get() == Py_True;
}

/// What inspect.getasyncgenstate() answers (Lib/inspect.py): unlike the lifecycle it asks for the frame.
enum class FrameState : std::uint8_t { created, running, suspended, closed };

auto frame_state(PyObject* self) -> FrameState {
  auto& generator = as<Generator>(self);
  if (generator.state.is_closed()) return FrameState::closed;
  if (is_executing(state_of(self), generator)) return FrameState::running;
  return generator.state.is_created() ? FrameState::created : FrameState::suspended;
}

auto get_state(PyObject* self, void*) -> PyObject* {
  switch (frame_state(self)) {
    case FrameState::created: return PyUnicode_FromString("AGEN_CREATED");
    case FrameState::running: return PyUnicode_FromString("AGEN_RUNNING");
    case FrameState::suspended: return PyUnicode_FromString("AGEN_SUSPENDED");
    case FrameState::closed: break;
  }
  return PyUnicode_FromString("AGEN_CLOSED");
}

auto get_suspended(PyObject* self, void*) -> PyObject* {
  return PyBool_FromLong(frame_state(self) == FrameState::suspended);
}

/// None at a yield, as native: what is awaited there is our own business.
auto get_await(PyObject* self, void*) -> PyObject* {
  auto& generator = as<Generator>(self);
  ModuleState& module = state_of(self);
  if (!Chain::is_running(module, generator)) return Py_NewRef(Py_None);
  if (auto awaited = Chain::awaited_by(module, generator)) return awaited.release();
  if (compat::is_taken_apart(generator.body.get())) return Py_NewRef(Py_None);
  return body_attribute(generator, "cr_await");
}

/// isinstance() says that it is a native async generator. All that would read one as a struct asks for its type.
auto get_class(PyObject*, void*) -> PyObject* { return Py_NewRef(reinterpret_cast<PyObject*>(&PyAsyncGen_Type)); }

auto set_class(PyObject*, PyObject* value, void*) -> int {
  PyErr_SetString(PyExc_TypeError, value == nullptr ? "can't delete __class__ attribute"
                                                    : "__class__ assignment only supported for mutable types or "
                                                      "ModuleType subclasses");
  return -1;
}

/// There is none until an attribute is set: vars() refuses the generator, as a native one, and so does what makes JSON
/// of any object that has one.
auto get_dict(PyObject* self, void* context) -> PyObject* {
  if (as<Generator>(self).dict != nullptr) return PyObject_GenericGetDict(self, context);
  PyErr_SetString(PyExc_AttributeError, "'async_generator' object has no attribute '__dict__'");
  return nullptr;
}

auto get_coroutine(PyObject* self, void*) -> PyObject* { return Py_NewRef(as<Generator>(self).body.get()); }

auto generator_repr(PyObject* self) -> PyObject* {
  auto const name = steal(get_name<true>(self, nullptr));
  return name ? PyUnicode_FromFormat("<async_generator object %S at %p>", name.get(), self) : nullptr;
}

auto generator_sizeof(PyObject* self, PyObject*) -> PyObject* {
  auto const body = steal(PyObject_CallMethod(as<Generator>(self).body.get(), "__sizeof__", nullptr));
  return body ? PyLong_FromSsize_t(static_cast<Py_ssize_t>(sizeof(Generator)) + PyLong_AsSsize_t(body.get())) : nullptr;
}

auto generator_reduce(PyObject* self, PyObject*) -> PyObject* {
  PyErr_Format(PyExc_TypeError, "cannot pickle '%s' object", Py_TYPE(self)->tp_name);
  return nullptr;
}

// Life ----------------------------------------------------------------------------------------------------------------

/// What native's finalizer does (Objects/genobject.c, _PyGen_Finalize). False with the error set that closing ended in.
auto finish_dropped(PyObject* self) -> bool {
  auto& generator = as<Generator>(self);
  if (generator.state.is_closed() || !generator.body) return true;
  // In the middle of an operation from above: the generator that delegates holds this one, and closes it.
  if (generator.state.is_delegated() && Chain::is_running(state_of(self), generator)) return true;
  Object finalizer;
  if (!generator.state.ignored_exit()) finalizer = take_finalizer(generator);
  if (finalizer) {
    // tp_finalize is called once: where a hook keeps the generator and it dies later, in a cycle, closing the body from
    // tp_dealloc would come after tp_clear. So the collector has to finalize the body itself.
    show_body(generator);
    return static_cast<bool>(steal(PyObject_CallOneArg(finalizer.get(), self)));
  }
  if (generator.state.is_created()) return true;
  return close_at_once(state_of(self), generator);
}

void generator_finalize(PyObject* self) {
  auto before = compat::take_exception();
  if (!finish_dropped(self)) {
    compat::write_unraisable(self);
    // Now, not when it is freed: where that is the collector's doing, what the body needs may be taken apart by then.
    finalize_body(as<Generator>(self));
  }
  compat::restore_exception(std::move(before));
}

/// `__del__()` called by a user, as 1.10 allowed: does what the destructor does, but raises the error.
auto generator_del(PyObject* self, PyObject*) -> PyObject* {
  return finish_dropped(self) ? Py_NewRef(Py_None) : nullptr;
}

/// Visits the contents of an object that the collector does not track, unless there are other references to it.
auto visit_through(PyObject* object, bool tracked, visitproc visit, void* arg) -> int {
  if (!tracked && Py_REFCNT(object) == 1) return Py_TYPE(object)->tp_traverse(object, visit, arg);
  Py_VISIT(object);
  return 0;
}

auto generator_traverse(PyObject* self, visitproc visit, void* arg) -> int {
  auto& generator = as<Generator>(self);
  Py_VISIT(Py_TYPE(self));
  PyObject* suspension = suspension_of(generator);
  int stop = visit_through(generator.body.get(), !generator.state.owns_its_body(), visit, arg);
  if (stop == 0 && suspension != nullptr)
    stop = visit_through(suspension, as<Suspension>(suspension).tracked, visit, arg);
  if (stop != 0) return stop;
  if (suspension == nullptr) Py_VISIT(generator.extra.get());
  Py_VISIT(generator.dict);
  return 0;
}

/// Drops what a body waits at.
void drop_suspension(ModuleState& module, Generator& generator) {
  if (Delegation* delegation = Chain::delegation_of(module, generator)) Chain::unlink(*delegation);
  take_suspension(generator).reset();
}

void drop_contents(PyObject* self) {
  auto& generator = as<Generator>(self);
  drop_suspension(state_of(self), generator);
  generator.extra.reset();
  Py_CLEAR(generator.dict);
  clear_body(generator);  // the object stays: every attribute asks it
}

/// A destructor may have let go of garbage to another thread, which drives it by now: that keeps what it has.
auto generator_clear(PyObject* self) -> int {
  if (!Chain::is_driven(state_of(self), as<Generator>(self))) drop_contents(self);
  return 0;
}

/// What generator_dealloc() does in the end.
void take_apart(PyObject* self) {
  auto& generator = as<Generator>(self);
  if (generator.state.is_created()) {  // a coroutine that never ran would warn that it was never awaited
    auto before = compat::take_exception();
    // Reported for the body, not for the generator, which is being freed: the report may be kept.
    if (!close_body(state_of(self), generator)) compat::write_unraisable(generator.body.get());
    compat::restore_exception(std::move(before));
  }
  if (generator.state.owns_its_body()) PyObject_GC_Track(generator.body.get());  // its destructor expects that
  {
    Dismantling const dismantling;
    generator.body.reset();
  }
  ModuleState& module = state_of(self);
  if (generator.extra || generator.dict != nullptr) drop_contents(self);
  if (PyObject_GC_IsFinalized(self) || !module.generators.give(&generator)) {
    PyTypeObject* type = Py_TYPE(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
  }
}

void generator_dealloc(PyObject* self) {
  auto& generator = as<Generator>(self);
  if (generator.weakrefs != nullptr) clear_weakrefs(self);
  bool const silent = generator.state.is_closed() || (generator.state.is_created() && !finalizer_of(generator));
  if (!silent && PyObject_CallFinalizerFromDealloc(self) != 0) return;
  PyObject_GC_UnTrack(self);
  if (generator.weakrefs != nullptr) [[unlikely]]
    PyObject_ClearWeakRefs(self);  // those that the finalizer made; native leaves them dangling
  // The frame of one generator may hold the next: a chain of them is taken apart without a C frame for each. The first
  // few are spared the bookkeeping of that.
  if (!generator.extra && generator.dict == nullptr && Dismantling::depth() < 16) [[likely]]
    return take_apart(self);
  Py_TRASHCAN_BEGIN(self, generator_dealloc);
  take_apart(self);
  Py_TRASHCAN_END;
}

PyMethodDef generator_methods[] = {
    {"asend", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(generator_asend)),
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR(
         "asend($self, value, /)\n--\n\nasend(value) -> awaitable of the next item; `value` is what the yield "
         "evaluates to.\n\n"
         "Raises StopAsyncIteration(result) when the body returns, TypeError for a value other than None before the\n"
         "body has begun, RuntimeError while another operation is under way (PEP 525).")},
    {"athrow", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(generator_athrow)),
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR(
         "athrow($self, type, value=None, traceback=None, /)\n--\n\nathrow(exception) -> awaitable of the next item; "
         "the exception is raised at the yield.\n\n"
         "The form athrow(type, value, traceback) is deprecated from Python 3.12 on. On a finished generator the\n"
         "awaitable answers None (PEP 525).")},
    {"aclose", generator_aclose, METH_NOARGS,
     PyDoc_STR("aclose($self, /)\n--\n\naclose() -> awaitable that raises GeneratorExit at the yield and awaits the "
               "end of the body.\n\n"
               "Raises RuntimeError if the body yields again (PEP 525).")},
    {"batches", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(generator_batches)),
     METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("batches($self, most, /, *, array=False)\n--\n\nbatches(most) -> async generator of lists of up to "
               "`most` items, which takes over a generator written in C++.\n\n"
               "With array=True the batches are memoryviews of numbers. Raises TypeError for a generator that is not\n"
               "written in C++, RuntimeError for one that is in use (docs/bridge/batches.md).")},
    {"__anext__", generator_anext_method, METH_NOARGS | METH_COEXIST,
     PyDoc_STR("__anext__($self, /)\n--\n\n__anext__() -> awaitable of the next item, as asend(None).")},
    {"__del__", generator_del, METH_NOARGS | METH_COEXIST,
     PyDoc_STR("Do what dropping the generator does, and raise what that would report.")},
    {"__sizeof__", generator_sizeof, METH_NOARGS, PyDoc_STR("Size in bytes of the generator and its body.")},
    {"__reduce__", generator_reduce, METH_NOARGS, nullptr},
    {"__reduce_ex__", generator_reduce, METH_O, nullptr},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, PyDoc_STR("See PEP 585")},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef generator_getset[] = {
    {"__class__", get_class, set_class, PyDoc_STR("the type of native async generators"), nullptr},
    {"__name__", get_name<false>, set_name<false>, PyDoc_STR("name of the async generator"), nullptr},
    {"__qualname__", get_name<true>, set_name<true>, PyDoc_STR("qualified name of the async generator"), nullptr},
    {"ag_await", get_await, nullptr, PyDoc_STR("object being awaited on, or None"), nullptr},
    {"ag_frame", get_frame, nullptr, PyDoc_STR("frame of the body, or None when it is finished"), nullptr},
    {"ag_code", get_code, nullptr, PyDoc_STR("code of the body"), nullptr},
    {"ag_running", get_running, nullptr, PyDoc_STR("whether an operation is under way"), nullptr},
    {"ag_suspended", get_suspended, nullptr, PyDoc_STR("whether the body stands at a yield or an await"), nullptr},
    {"ag_state", get_state, nullptr, PyDoc_STR("AGEN_CREATED, AGEN_RUNNING, AGEN_SUSPENDED or AGEN_CLOSED"), nullptr},
    // A coroutine's names, by which asyncio's call graph comes from a generator to what it delegates to.
    {"cr_frame", get_frame, nullptr, PyDoc_STR("same as ag_frame"), nullptr},
    {"cr_await", get_await, nullptr, PyDoc_STR("same as ag_await"), nullptr},
    {"_coroutine", get_coroutine, nullptr, nullptr, nullptr},
    {"__dict__", get_dict, PyObject_GenericSetDict, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMemberDef generator_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Generator, weakrefs), READONLY, nullptr},
    {"__dictoffset__", T_PYSSIZET, offsetof(Generator, dict), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyType_Slot generator_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(generator_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(generator_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(generator_clear)},
    {Py_tp_finalize, reinterpret_cast<void*>(generator_finalize)},
    {Py_tp_repr, reinterpret_cast<void*>(generator_repr)},
    {Py_tp_methods, generator_methods},
    {Py_tp_getset, generator_getset},
    {Py_tp_members, generator_members},
    {Py_am_aiter, reinterpret_cast<void*>(PyObject_SelfIter)},
    {Py_am_anext, reinterpret_cast<void*>(generator_anext)},
    {0, nullptr},
};

}  // namespace

PyType_Spec generator_spec = {
    "async_generator._engine.async_generator",
    sizeof(Generator),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    generator_slots,
};

auto new_generator(ModuleState& module, Object body, std::uint32_t traits) -> PyObject* {
  Generator* generator = module.generators.take();
  if (generator == nullptr) generator = allocate<Generator>(module.generator_type);
  if (generator == nullptr) return nullptr;
  new (&generator->body) Object(std::move(body));
  new (&generator->extra) Object();
  generator->weakrefs = nullptr;
  generator->dict = nullptr;
  new (&generator->state) GeneratorState(traits, hide_body(generator->body.get(), traits));
  PyObject_GC_Track(generator);
  return object_of(*generator);
}

}  // namespace engine
