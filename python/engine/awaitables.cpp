// PEP 525's operations. The lifecycle (agen/lifecycle.hpp) says what is legal, the driver says what the body answered;
// this file turns both into what the interpreter expects of an awaitable.
#include "awaitables.hpp"

#include <memory>
#include <new>

#include "awaiting.hpp"
#include "cpp_body.hpp"
#include "driver.hpp"
#include "stop_iteration.hpp"

namespace engine {

namespace {

using agen::admission;
using agen::operation;

auto iterates(Awaitable const& awaitable) noexcept -> bool {
  return awaitable.operation == operation::anext || awaitable.operation == operation::asend;
}

auto state_now(State& state, Generator& generator) noexcept -> agen::state {
  return is_running(state, generator) ? agen::state::running : lifecycle_state(generator);
}

auto refuse_running(Awaitable& awaitable) -> PySendResult {
  awaitable.stage = Stage::finished;
  set_already_running(*awaitable.state, awaitable.operation);
  return PYGEN_ERROR;
}

/// Another thread is inside: nothing of the awaitable is this thread's business.
auto refuse_occupied(Awaitable& awaitable) -> PySendResult {
  set_already_running(*awaitable.state, awaitable.operation);
  return PYGEN_ERROR;
}

/// A driver goes through the generator: the awaitable is left as it is.
auto refuse_executing() -> PySendResult {
  PyErr_SetString(PyExc_ValueError, "async generator already executing");
  return PYGEN_ERROR;
}

void set_reused(Awaitable const& awaitable) {
  PyErr_SetString(PyExc_RuntimeError, iterates(awaitable) ? "cannot reuse already awaited __anext__()/asend()"
                                                          : "cannot reuse already awaited aclose()/athrow()");
}

auto refuse_reuse(Awaitable& awaitable) -> PySendResult {
  awaitable.stage = Stage::finished;
  set_reused(awaitable);
  return PYGEN_ERROR;
}

void set_stop_async_iteration(Object value) {
  if (value.get() == Py_None) {
    PyErr_SetNone(PyExc_StopAsyncIteration);
    return;
  }
  auto stop = steal(PyObject_CallOneArg(PyExc_StopAsyncIteration, value.get()));
  if (stop) raise_here(std::move(stop));
}

/// Ends an operation that the body did not have to answer.
auto answer_at_once(Awaitable& awaitable, admission admitted, PyObject** out) -> PySendResult {
  if (admitted == admission::already_running) return refuse_running(awaitable);
  awaitable.stage = Stage::finished;
  if (admitted == admission::nothing) {
    *out = Py_NewRef(Py_None);
    return PYGEN_RETURN;
  }
  if (admitted == admission::just_started) {
    PyErr_SetString(PyExc_TypeError, "can't send non-None value to a just-started async generator");
  } else {
    PyErr_SetNone(PyExc_StopAsyncIteration);
  }
  return PYGEN_ERROR;
}

/// What aclose() makes of an answer (agen::after_exit).
[[gnu::noinline]] auto conclude_aclose(Generator& generator, Outcome outcome, PyObject** out) -> PySendResult {
  auto const step = outcome == Outcome::yielded    ? agen::step::yielded
                    : outcome == Outcome::returned ? agen::step::returned
                                                   : agen::step::raised;
  bool const ended = outcome == Outcome::raised &&
                     (PyErr_ExceptionMatches(PyExc_GeneratorExit) || PyErr_ExceptionMatches(PyExc_StopAsyncIteration));
  auto const closing = agen::after_exit(step, ended);
  if (closing == agen::close_outcome::ignored_exit) generator.flags.set(flag::exit_ignored);
  Py_CLEAR(*out);  // which may run code
  switch (closing) {
    case agen::close_outcome::ignored_exit:
      PyErr_SetString(PyExc_RuntimeError, "async generator ignored GeneratorExit");
      return PYGEN_ERROR;
    case agen::close_outcome::done:
      PyErr_Clear();
      *out = Py_NewRef(Py_None);
      return PYGEN_RETURN;
    case agen::close_outcome::pending:
    case agen::close_outcome::raises: break;
  }
  return PYGEN_ERROR;
}

/// The answer of an operation whose body awaits.
auto wait(Awaitable& awaitable) -> PySendResult {
  awaitable.generator->flags.clear(flag::executing);
  track(awaitable);
  return PYGEN_NEXT;
}

/// The answer of an operation after a resumption.
[[gnu::always_inline]] inline auto conclude(Awaitable& awaitable, Generator& generator, Outcome outcome, PyObject** out)
    -> PySendResult {
  if (outcome == Outcome::awaits) return wait(awaitable);
  generator.flags.clear(flag::running | flag::executing);
  awaitable.stage = Stage::finished;
  if (awaitable.operation == operation::aclose) [[unlikely]]
    return conclude_aclose(generator, outcome, out);
  if (outcome == Outcome::yielded) [[likely]]
    return PYGEN_RETURN;
  if (outcome == Outcome::returned) set_stop_async_iteration(steal(std::exchange(*out, nullptr)));
  return PYGEN_ERROR;
}

auto resume(Awaitable& awaitable, PyObject* value, PyObject** out) -> PySendResult {
  Generator& generator = *awaitable.generator.get();
  if (awaitable.stage == Stage::finished) return refuse_reuse(awaitable);
  if (!generator.flags.claim(flag::executing, flag::executing | flag::delegated)) [[unlikely]] {
    if (!claim_resumption(*awaitable.state, generator)) return refuse_executing();
  }
  if (generator.flags.has(flag::closed)) {  // ended behind our back: by hand, or by the collector
    generator.flags.clear(flag::running | flag::executing);
    return answer_at_once(awaitable, agen::admit(awaitable.operation, agen::state::closed), out);
  }
  return conclude(awaitable, generator,
                  drive_send(*awaitable.state, awaitable.resumption, generator, value, false, out), out);
}

/// An anext or asend that does not find a body idle at a yield.
// Kept out of line: inlined it costs asend_send() a register.
[[gnu::noinline]] auto begin_iteration(Awaitable& awaitable, PyObject* value, PyObject** out) -> PySendResult {
  State& state = *awaitable.state;
  Generator& generator = *awaitable.generator.get();
  auto admitted = agen::admit(awaitable.operation, state_now(state, generator), value != Py_None);
  if (admitted != admission::resume) return answer_at_once(awaitable, admitted, out);
  if (!claim_operation(state, generator)) return refuse_running(awaitable);
  generator.flags.clear(flag::created);
  awaitable.stage = Stage::started;
  return conclude(awaitable, generator, drive_send(state, awaitable.resumption, generator, value, true, out), out);
}

/// conclude_cpp() where it takes the driver.
[[gnu::noinline]] auto settle_cpp(Awaitable& awaitable, Outcome outcome, bool starting, PyObject** out)
    -> PySendResult {
  Generator& generator = *awaitable.generator.get();
  {
    Resuming const resuming(awaitable.resumption, generator);
    outcome = drive_cpp_on(*awaitable.state, awaitable.resumption, generator, outcome, starting, out);
  }
  return conclude(awaitable, generator, outcome, out);
}

/// What a body in C++ answered that does not end the operation with an item.
[[gnu::noinline]] auto conclude_cpp(Awaitable& awaitable, Outcome outcome, bool starting, PyObject** out)
    -> PySendResult {
  bool const waits = outcome == Outcome::awaits && is_for_the_loop(*awaitable.state, *out);
  return waits ? wait(awaitable) : settle_cpp(awaitable, outcome, starting, out);
}

/// The item that a body in C++ has answered is the operation's.
[[gnu::always_inline]] inline auto answer_item(Awaitable& awaitable) -> PySendResult {
  awaitable.generator->flags.clear(flag::running | flag::executing);
  awaitable.stage = Stage::finished;
  return PYGEN_RETURN;
}

/// The end of an operation's resumption of a body in C++, which has answered `outcome`.
[[gnu::always_inline]] inline auto answer_cpp(Awaitable& awaitable, Outcome outcome, bool starting, PyObject** out)
    -> PySendResult {
  if (outcome != Outcome::yielded) [[unlikely]]
    return conclude_cpp(awaitable, outcome, starting, out);
  return answer_item(awaitable);
}

/// Sends into what a body in C++ awaits, or into the body.
auto go_on_cpp(Awaitable& awaitable, PyObject* value, bool starting, PyObject** out) -> PySendResult {
  Outcome outcome;
  {
    Resuming const resuming(awaitable.resumption, *awaitable.generator.get());
    outcome = cpp_send(awaitable.generator->body.get(), value, out);
  }
  return answer_cpp(awaitable, outcome, starting, out);
}

/// The rest of an anext or asend whose body in C++ did not answer with an item at once.
[[gnu::noinline]] auto step_on_cpp(Awaitable& awaitable, int step, PyObject** out) -> PySendResult {
  auto outcome = Outcome::awaits;
  if (step != agen::python::abi::awaits) {
    Resuming const resuming(awaitable.resumption, *awaitable.generator.get());
    outcome = cpp_answered(as<CppBody>(awaitable.generator->body.get()), step);
  }
  return conclude_cpp(awaitable, outcome, true, out);
}

/// asend_send() for a body in C++ whose operation has begun.
[[gnu::noinline]] auto asend_resume_cpp(Awaitable& awaitable, PyObject* value, PyObject** out) -> PySendResult {
  Occupied const occupied(awaitable.occupancy);
  if (!occupied) return refuse_occupied(awaitable);
  bool const goes_on = awaitable.stage == Stage::started &&
                       awaitable.generator->flags.claim(
                           flag::executing, flag::executing | flag::closed | flag::within | flag::delegated);
  return goes_on ? go_on_cpp(awaitable, value, false, out) : resume(awaitable, value, out);
}

/// What an asend sends when it begins: its argument, unless the first send() says otherwise.
// Out of line: inlined, the compiler puts it in the way of an anext.
[[gnu::noinline]] auto value_sent(Awaitable const& awaitable, PyObject* value) noexcept -> PyObject* {
  return value == Py_None ? awaitable.argument.get() : value;
}

/// asend_send() for a body in C++: where it stands at a yield or an await there is nothing to look up.
// Kept small, with all else out of line: an item of such a body costs little more than the registers to be saved.
[[gnu::noinline]] auto asend_send_cpp(Awaitable& awaitable, PyObject* value, PyObject** out) -> PySendResult {
  Occupied const occupied(awaitable.occupancy);
  if (!occupied) return refuse_occupied(awaitable);
  if (compat::free_threaded && awaitable.stage != Stage::initial) return resume(awaitable, value, out);
  if (awaitable.argument) [[unlikely]]
    value = value_sent(awaitable, value);
  Generator& generator = *awaitable.generator.get();
  if (!generator.flags.claim(flag::running | flag::executing, flag::busy | flag::within)) [[unlikely]]
    return begin_iteration(awaitable, value, out);
  awaitable.stage = Stage::started;
  auto& body = as<CppBody>(generator.body.get());
  if (body.awaiting || body.self == nullptr) [[unlikely]]
    return go_on_cpp(awaitable, value, true, out);
  int step = 0;
  {
    Resuming const resuming(awaitable.resumption, generator);
    step = cpp_step(body, value, nullptr, out);
  }
  if (step != agen::python::abi::yielded) [[unlikely]]
    return step_on_cpp(awaitable, step, out);
  return answer_item(awaitable);
}

/// An anext or asend that does not find a Python body idle at a real yield.
[[gnu::noinline]] auto begin_elsewhere(Awaitable& awaitable, PyObject* value, PyObject** out) -> PySendResult {
  Generator& generator = *awaitable.generator.get();
  if (!generator.flags.claim(flag::running | flag::executing, flag::busy))
    return begin_iteration(awaitable, value, out);
  awaitable.stage = Stage::started;
  // Which looks again: another thread may have brought the body back to a real yield meanwhile.
  return conclude(awaitable, generator, drive_send(*awaitable.state, awaitable.resumption, generator, value, true, out),
                  out);
}

/// The rest of an anext or asend whose body did not answer with an item at once.
[[gnu::noinline]] auto go_on(Awaitable& awaitable, PySendResult result, PyObject** out) -> PySendResult {
  Generator& generator = *awaitable.generator.get();
  Outcome outcome;
  {
    Resuming const resuming(awaitable.resumption, generator);
    outcome = drive_from(*awaitable.state, awaitable.resumption, generator, result, true, out);
  }
  return conclude(awaitable, generator, outcome, out);
}

// The hot path: a body that stands at a real yield, delegates to nobody and yields again. Whatever else there is stands
// in functions that are not inlined, and costs an item neither a register nor a jump. It takes no reference: who calls
// it has the awaitable; that has the generator, and the generator its body, neither of which is exchanged or dropped
// before its owner is freed (generator_clear(), awaitable_clear()).
[[gnu::noinline]] auto asend_send_python(Awaitable& awaitable, PyObject* value, PyObject** out) -> PySendResult {
  Occupied const occupied(awaitable.occupancy);
  if (!occupied) return refuse_occupied(awaitable);
  if (awaitable.stage != Stage::initial) [[unlikely]]
    return resume(awaitable, value, out);
  if (awaitable.argument) [[unlikely]]
    value = value_sent(awaitable, value);
  Generator& generator = *awaitable.generator.get();
  if (!generator.flags.claim(flag::running | flag::executing, flag::busy | flag::within)) [[unlikely]]
    return begin_elsewhere(awaitable, value, out);
  awaitable.stage = Stage::started;
  PySendResult result;
  {
    Resuming const resuming(awaitable.resumption, generator);
    result = body_send(generator, value, out);
  }
  State& state = *awaitable.state;
  if (result != PYGEN_NEXT || !holds_item(state, *out)) [[unlikely]]
    return go_on(awaitable, result, out);
  *out = take_from_own_box(*out);
  generator.flags.clear(flag::running | flag::executing);
  awaitable.stage = Stage::finished;
  return PYGEN_RETURN;
}

/// asend_send(), with a null in `*out`.
inline auto send_into(PyObject* self, PyObject* value, PyObject** out) -> PySendResult {
  auto& awaitable = as<Awaitable>(self);
  if (!awaitable.generator->flags.has(flag::cpp)) return asend_send_python(awaitable, value, out);
  return awaitable.stage == Stage::initial ? asend_send_cpp(awaitable, value, out)
                                           : asend_resume_cpp(awaitable, value, out);
}

auto asend_send(PyObject* self, PyObject* value, PyObject** out) -> PySendResult {
  *out = nullptr;
  return send_into(self, value, out);
}

/// The exception that an athrow or aclose throws; null with TypeError set.
auto exception_of(Awaitable& awaitable) -> Object {
  if (awaitable.operation == operation::aclose) return steal(PyObject_CallNoArgs(PyExc_GeneratorExit));
  if (!awaitable.packed) return make_exception(awaitable.argument.get(), nullptr, nullptr);
  PyObject* arguments = awaitable.argument.get();
  Py_ssize_t const count = PyTuple_GET_SIZE(arguments);
  return make_exception(PyTuple_GET_ITEM(arguments, 0), PyTuple_GET_ITEM(arguments, 1),
                        count > 2 ? PyTuple_GET_ITEM(arguments, 2) : nullptr);
}

auto throw_in(Awaitable& awaitable, Object exception, PyObject** out) -> PySendResult {
  Generator& generator = *awaitable.generator.get();
  if (!claim_operation(*awaitable.state, generator)) return refuse_running(awaitable);
  awaitable.stage = Stage::started;
  return conclude(awaitable, generator,
                  drive_raise(*awaitable.state, awaitable.resumption, generator, std::move(exception), true, out), out);
}

auto athrow_send(PyObject* self, PyObject* value, PyObject** out) -> PySendResult {
  auto& awaitable = as<Awaitable>(self);
  *out = nullptr;
  Occupied const occupied(awaitable.occupancy);
  if (!occupied) return refuse_occupied(awaitable);
  if (awaitable.stage != Stage::initial) return resume(awaitable, value, out);
  Generator& generator = *awaitable.generator.get();
  auto const admitted = agen::admit(awaitable.operation, state_now(*awaitable.state, generator), false,
                                    generator.flags.has(flag::exit_ignored));
  if (admitted == admission::already_running || admitted == admission::nothing || admitted == admission::end) {
    return answer_at_once(awaitable, admitted, out);
  }
  if (value != Py_None) {
    PyErr_SetString(PyExc_RuntimeError, "can't send non-None value to a just-started coroutine");
    return PYGEN_ERROR;
  }
  auto exception = exception_of(awaitable);
  if (awaitable.stage != Stage::initial) {  // the exception's constructor has awaited it
    set_reused(awaitable);
    return PYGEN_ERROR;
  }
  if (!exception) {
    awaitable.stage = Stage::finished;
    return PYGEN_ERROR;
  }
  return throw_in(awaitable, std::move(exception), out);
}

auto awaitable_raise(PyObject* self, Object exception, PyObject** out) -> PySendResult {
  auto& awaitable = as<Awaitable>(self);
  Generator& generator = *awaitable.generator.get();
  *out = nullptr;
  Occupied const occupied(awaitable.occupancy);
  if (!occupied) return refuse_occupied(awaitable);
  if (awaitable.stage == Stage::finished) return refuse_reuse(awaitable);
  if (awaitable.stage == Stage::initial && state_now(*awaitable.state, generator) == agen::state::running)
    return refuse_running(awaitable);
  if (generator.flags.has(flag::closed)) {
    awaitable.stage = Stage::finished;
    compat::restore_exception(std::move(exception));
    return awaitable.operation == operation::aclose ? conclude_aclose(generator, Outcome::raised, out) : PYGEN_ERROR;
  }
  if (awaitable.stage == Stage::initial) return throw_in(awaitable, std::move(exception), out);
  if (!claim_resumption(*awaitable.state, generator)) return refuse_executing();
  return conclude(awaitable, generator,
                  drive_raise(*awaitable.state, awaitable.resumption, generator, std::move(exception), false, out),
                  out);
}

auto awaitable_close(PyObject* self, PyObject*) -> PyObject* {
  Occupied const occupied(as<Awaitable>(self).occupancy);
  if (!occupied) {
    refuse_occupied(as<Awaitable>(self));
    return nullptr;
  }
  if (as<Awaitable>(self).stage == Stage::finished) return Py_NewRef(Py_None);
  auto exit = steal(PyObject_CallNoArgs(PyExc_GeneratorExit));
  if (!exit) return nullptr;
  Object ignored;
  PySendResult const result = awaitable_raise(self, std::move(exit), ignored.out());
  return closed_answer(result, "coroutine ignored GeneratorExit");
}

// Items ---------------------------------------------------------------------------------------------------------------

/// send() of an anext or asend: unlike other awaitables an item None is StopIteration(None), with an argument.
auto asend_send_method(PyObject* self, PyObject* value) -> PyObject* {
  PyObject* result = nullptr;
  if (send_into(self, value, &result) != PYGEN_RETURN) return result;
  auto const item = steal(result);
  if (item.get() != Py_None) {
    set_stop_iteration(item.get());
  } else if (auto stop = steal(PyObject_CallOneArg(PyExc_StopIteration, Py_None))) {
    raise_here(std::move(stop));
  }
  return nullptr;
}

auto asend_next_method(PyObject* self, PyObject*) -> PyObject* { return asend_send_method(self, Py_None); }

/// What `async for` calls on 3.12 to 3.14: the item travels in a StopIteration, so that is recycled.
auto asend_iternext(PyObject* self) -> PyObject* {
  PyObject* result = nullptr;
  if (send_into(self, Py_None, &result) != PYGEN_RETURN) return result;
  if constexpr (!compat::send_uses_iternext) {
    if (result != Py_None) set_stop_iteration(result);
    Py_DECREF(result);
  } else if (result == Py_None) {  // no exception at all means StopIteration(None)
    Py_DECREF(result);
  } else {
    set_recycled_stop(*as<Awaitable>(self).state, result);
  }
  return nullptr;
}

// Attributes ----------------------------------------------------------------------------------------------------------

auto generator_of(PyObject* self) -> PyObject* { return as<Awaitable>(self).generator.object(); }

auto get_generator(PyObject* self, void*) -> PyObject* { return Py_NewRef(generator_of(self)); }

auto get_attribute(PyObject* self, void* name) -> PyObject* {
  return PyObject_GetAttrString(generator_of(self), static_cast<char const*>(name));
}

auto named(char const* name) -> void* { return const_cast<char*>(name); }

PyGetSetDef awaitable_getset[] = {
    {"ag_gen", get_generator, nullptr, PyDoc_STR("The generator that this operation belongs to."), nullptr},
    {"__name__", get_attribute, nullptr, PyDoc_STR("The generator's name."), named("__name__")},
    {"__qualname__", get_attribute, nullptr, PyDoc_STR("The generator's qualified name."), named("__qualname__")},
    {"cr_frame", get_attribute, nullptr, PyDoc_STR("The generator's frame."), named("ag_frame")},
    {"cr_code", get_attribute, nullptr, PyDoc_STR("The generator's code."), named("ag_code")},
    {"cr_await", get_attribute, nullptr, PyDoc_STR("What the generator awaits."), named("ag_await")},
    {"cr_running", get_attribute, nullptr, PyDoc_STR("Whether the generator runs."), named("ag_running")},
    {"_it", get_generator, nullptr, nullptr, nullptr},  // 1.10's name; stackscope goes on from there
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

// Life ----------------------------------------------------------------------------------------------------------------

/// "coroutine method 'asend' of 'f' was never awaited", with the generator as its source (3.13's warning).
void warn_unawaited_operation(Awaitable& awaitable) {
  char const* method = iterates(awaitable) ? "asend" : awaitable.operation == operation::athrow ? "athrow" : "aclose";
  auto before = compat::take_exception();
  auto const name = steal(get_attribute(object_of(awaitable), named("__qualname__")));
  auto const text =
      name ? steal(PyUnicode_FromFormat("coroutine method '%s' of '%U' was never awaited", method, name.get()))
           : nullptr;
  auto const warnings = text ? steal(PyImport_ImportModule("warnings")) : nullptr;
  auto const done = warnings ? steal(PyObject_CallMethod(warnings.get(), "warn", "OOiO", text.get(),
                                                         PyExc_RuntimeWarning, 1, awaitable.generator.object()))
                             : nullptr;
  if (text && !warnings && PyErr_ExceptionMatches(PyExc_ImportError)) {
    PyErr_Clear();  // nothing is imported any more: the interpreter ends, and native is silent too
  } else if (!done) {
    compat::write_unraisable(awaitable.generator.object());
  }
  compat::restore_exception(std::move(before));
}

/// Dropped in the middle of an await: the body is told, and the generator is not left locked.
void abandon(Awaitable& awaitable) {
  auto before = compat::take_exception();
  auto const closed = steal(awaitable_close(object_of(awaitable), nullptr));
  if (!closed) compat::write_unraisable(awaitable.generator.object());
  unlock_chain(*awaitable.state, *awaitable.generator.get());
  compat::restore_exception(std::move(before));
}

void awaitable_finalize(PyObject* self) {
  auto& awaitable = as<Awaitable>(self);
  if (awaitable.stage == Stage::finished || !awaitable.generator) return;
  if (awaitable.stage == Stage::initial) {
    awaitable.stage = Stage::finished;  // whoever the warning lets see it finds it used
    return warn_unawaited_operation(awaitable);
  }
  // By hand, while it is being driven; or the body drops what another hand goes on from. Who drives ends it.
  if (is_driven(*awaitable.state, *awaitable.generator.get())) return;
  abandon(awaitable);
  awaitable.stage = Stage::finished;
}

auto awaitable_traverse(PyObject* self, visitproc visit, void* arg) -> int {
  auto& awaitable = as<Awaitable>(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(awaitable.generator.object());
  Py_VISIT(awaitable.argument.get());
  return 0;
}

auto awaitable_clear(PyObject* self) -> int {
  // What an operation sends or throws is borrowed from here while it begins.
  if (as<Awaitable>(self).stage != Stage::started) as<Awaitable>(self).argument.reset();
  return 0;  // the generator stays: an awaitable without one would have to check for it at every step
}

[[gnu::noinline]] void free_memory(Awaitable& awaitable, State& state) {
  if (state.last_anext == &awaitable) state.last_anext = &state.spent;
  PyTypeObject* type = Py_TYPE(&awaitable);
  PyObject_GC_Del(&awaitable);
  Py_DECREF(type);
}

/// Frees an awaitable without an argument, or keeps its memory for another operation.
template <bool iterates>
[[gnu::always_inline]] inline void free_awaitable(Awaitable& awaitable, State& state, bool recycles) {
  PyObject* carried = iterates ? take_carried_item(state).release() : nullptr;
  PyObject* generator = object_of(*awaitable.generator.release());
  std::destroy_at(&awaitable.generator);
  if (!recycles || !state.awaitables.give(&awaitable)) [[unlikely]]
    free_memory(awaitable, state);
  Py_DECREF(generator);
  Py_XDECREF(carried);
}

// Out of line: it is none of what `async for` drops.
template <bool iterates>
[[gnu::noinline]] void finalize_and_free(PyObject* self) {
  auto& awaitable = as<Awaitable>(self);
  // What was finalized once is not finalized again, so its memory is not used for another, which would be dropped
  // unseen.
  bool finalized = awaitable.stage != Stage::finished;
  if (finalized) {
    track(awaitable);  // the finalizer may let somebody have it
    if (PyObject_CallFinalizerFromDealloc(self) != 0) return;
  }
  finalized |= awaitable.tracked && PyObject_GC_IsFinalized(self) != 0;
  if (awaitable.tracked) PyObject_GC_UnTrack(self);
  Object const argument = std::move(awaitable.argument);  // outlives it: its end may run code
  free_awaitable<iterates>(awaitable, living_state(awaitable), iterates && !finalized);
}

void asend_dealloc(PyObject* self) {
  auto& awaitable = as<Awaitable>(self);
  // The collector does not see what this one holds: so its type is no garbage, and the module is still there.
  if (awaitable.stage == Stage::finished && !awaitable.tracked && !awaitable.argument) [[likely]]
    free_awaitable<true>(awaitable, *awaitable.state, true);
  else
    finalize_and_free<true>(self);
}

using AsendSlots = AwaitableSlots<Awaitable, asend_send, awaitable_raise, awaitable_close>;
using AthrowSlots = AwaitableSlots<Awaitable, athrow_send, awaitable_raise, awaitable_close>;

PyMethodDef asend_methods[] = {
    {"send", asend_send_method, METH_O,
     PyDoc_STR("send(value) -> what the generator waits for, or StopIteration(item).")},
    AsendSlots::methods[1],
    AsendSlots::methods[2],
    {"__next__", asend_next_method, METH_NOARGS | METH_COEXIST, PyDoc_STR("Same as send(None).")},
    AsendSlots::methods[4],
    AsendSlots::methods[5],
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot asend_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(asend_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(awaitable_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(awaitable_clear)},
    {Py_tp_finalize, reinterpret_cast<void*>(awaitable_finalize)},
    {Py_tp_getset, awaitable_getset},
    AsendSlots::await,
    AsendSlots::send,
    AsendSlots::iter,
    {Py_tp_iternext, reinterpret_cast<void*>(asend_iternext)},
    {Py_tp_methods, asend_methods},
    {0, nullptr},
};

PyType_Slot athrow_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(finalize_and_free<false>)},
    {Py_tp_traverse, reinterpret_cast<void*>(awaitable_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(awaitable_clear)},
    {Py_tp_finalize, reinterpret_cast<void*>(awaitable_finalize)},
    {Py_tp_getset, awaitable_getset},
    AthrowSlots::await,
    AthrowSlots::send,
    AthrowSlots::iter,
    AthrowSlots::next,
    {Py_tp_methods, AthrowSlots::methods},
    {0, nullptr},
};

constexpr unsigned awaitable_flags =
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE;

}  // namespace

PyType_Spec asend_spec = {"async_generator._engine.async_generator_asend", sizeof(Awaitable), 0, awaitable_flags,
                          asend_slots};
PyType_Spec athrow_spec = {"async_generator._engine.async_generator_athrow", sizeof(Awaitable), 0, awaitable_flags,
                           athrow_slots};

auto close_at_once(State& state, Generator& generator) -> bool {
  bool const at_yield = !generator.flags.has(flag::running);
  auto exit = steal(PyObject_CallNoArgs(PyExc_GeneratorExit));
  if (!exit) return false;
  std::unique_ptr<Resumption> const resumption(new (std::nothrow) Resumption);
  if (!resumption) {
    PyErr_NoMemory();
    return false;
  }
  if (!claim_operation(state, generator, flag::executing)) {  // by hand, from the body or another thread
    PyErr_SetString(PyExc_ValueError, "async generator already executing");
    return false;
  }
  Object out;
  Outcome const outcome = drive_raise(state, *resumption, generator, std::move(exit), at_yield, out.out());
  generator.flags.clear(flag::running | flag::executing);
  if (outcome == Outcome::awaits) {
    unlock_chain(state, generator);
    auto const name = steal(PyObject_GetAttrString(object_of(generator), "__name__"));
    if (name) {
      PyErr_Format(PyExc_RuntimeError,
                   "async_generator '%U' awaited during finalization; install a finalization hook to support this, or "
                   "wrap it in 'async with aclosing(...):'",
                   name.get());
    }
    return false;
  }
  PyObject* answer = out.release();
  Object const closed = conclude_aclose(generator, outcome, &answer) == PYGEN_RETURN ? steal(answer) : nullptr;
  return static_cast<bool>(closed);
}

}  // namespace engine
