// See foreign.hpp.
#include "foreign.hpp"

#include "awaiting.hpp"
#include "chain_lock.hpp"
#include "errors.hpp"

namespace engine {

namespace {

auto is_awaitable(PyObject* object) noexcept -> bool {
  return PyCoro_CheckExact(object) ||
         (Py_TYPE(object)->tp_as_async != nullptr && Py_TYPE(object)->tp_as_async->am_await != nullptr);
}

/// StopAsyncIteration's value: its attribute where it has one (3.16, subclasses), else its first argument.
auto stop_value(ModuleState& module, PyObject* stop) -> Object {
  auto value = steal(PyObject_GetAttr(stop, module.names.value.get()));
  if (value) return value;
  PyErr_Clear();
  auto const args = steal(PyObject_GetAttr(stop, module.names.args.get()));
  PyErr_Clear();
  if (args && PyTuple_Check(args.get()) && PyTuple_GET_SIZE(args.get()) > 0)
    return borrow(PyTuple_GET_ITEM(args.get(), 0));
  return none();
}

/// An operation has raised: StopAsyncIteration ends the delegation, except at aclose().
auto failed(Delegation& delegation) -> Step {
  delegation.pending_exit.reset();
  bool const closing = delegation.under_way == agen::operation::aclose;
  if (closing || !PyErr_ExceptionMatches(PyExc_StopAsyncIteration)) return Step::raised();
  auto const stop = compat::take_exception();
  return Step::returned(stop_value(*delegation.module, stop.get()));
}

/// Replaces the operation under way, which ag_await shows to other threads too.
void set_awaiting(Delegation& delegation, Object awaiting) noexcept {
  ChainLock::Driving const lock(delegation.module->chains);
  std::swap(delegation.awaiting, awaiting);  // what was there goes with the argument, when the lock is open again
}

/// Remembers the operation just made and starts it.
auto start(Delegation& delegation, agen::operation operation, Object awaitable) -> Step {
  delegation.under_way = operation;
  if (!awaitable) return failed(delegation);
  set_awaiting(delegation, await_iterator(awaitable.get()));
  if (!delegation.awaiting) return Step::raised();
  return send_foreign(delegation, Py_None);
}

/// The operation under way has answered.
auto conclude(Delegation& delegation, Step answer) -> Step {
  if (answer.is(StepKind::awaits)) return answer;
  set_awaiting(delegation, nullptr);
  if (std::exchange(delegation.opening, false)) {
    if (answer.is(StepKind::raised)) return answer;
    delegation.iterator = answer.take();
    return send_foreign(delegation, Py_None);
  }
  if (answer.is(StepKind::raised)) return failed(delegation);
  if (delegation.under_way != agen::operation::aclose) return Step::yielded(answer.take());
  answer.take().reset();
  compat::restore_exception(std::move(delegation.pending_exit));
  return Step::raised();
}

/// The iterator's method, null without an exception when it has none.
auto method(Delegation& delegation, Object const& name) -> Object {
  auto found = steal(PyObject_GetAttr(delegation.iterator.get(), name.get()));
  if (!found && PyErr_ExceptionMatches(PyExc_AttributeError)) PyErr_Clear();
  return found;
}

auto raise_now(Object exception) -> Step {
  compat::restore_exception(std::move(exception));
  return Step::raised();
}

/// Sends into the operation under way, which lives until it has answered, even if it ends the delegation.
auto send_on(Delegation& delegation, PyObject* value) -> Step {
  Nested const nested(" while a generator delegates");
  Object const awaiting = delegation.awaiting;
  return conclude(delegation, nested ? await_send(awaiting.get(), value) : Step::raised());
}

/// Throws into it.
auto throw_on(Delegation& delegation, PyObject* exception) -> Step {
  Nested const nested(" while a generator delegates");
  Object const awaiting = delegation.awaiting;
  return conclude(delegation, nested ? await_throw(*delegation.module, awaiting.get(), exception) : Step::raised());
}

}  // namespace

auto iterate(ModuleState& module, PyObject* source) -> Object {
  if (Py_TYPE(source) == module.generator_type) return borrow(source);
  if (Py_TYPE(source)->tp_as_async == nullptr || Py_TYPE(source)->tp_as_async->am_aiter == nullptr) {
    PyErr_Format(PyExc_TypeError,
                 "'%.100s' object is not an async iterable: yield_from_() delegates to async iterables only; "
                 "for another iterable write `for item in ...: await yield_(item)`",
                 Py_TYPE(source)->tp_name);
    return nullptr;
  }
  auto iterator = steal(Py_TYPE(source)->tp_as_async->am_aiter(source));
  if (!iterator || PyAIter_Check(iterator.get()) || is_awaitable(iterator.get())) return iterator;
  PyErr_Format(PyExc_TypeError, "aiter() returned not an async iterator of type '%.100s'",
               Py_TYPE(iterator.get())->tp_name);
  return nullptr;
}

auto begin_foreign(Delegation& delegation) -> Step {
  if (PyAIter_Check(delegation.iterator.get())) return send_foreign(delegation, Py_None);
  // `async def __aiter__`, as Python 3.5.0 had it and 1.10 accepts it: what it returns is the iterator.
  delegation.opening = true;
  set_awaiting(delegation, await_iterator(delegation.iterator.get()));
  return delegation.awaiting ? send_foreign(delegation, Py_None) : Step::raised();
}

auto send_foreign(Delegation& delegation, PyObject* value) -> Step {
  if (delegation.awaiting) return send_on(delegation, value);
  PyObject* iterator = delegation.iterator.get();
  if (value == Py_None) {
    PyAsyncMethods const* methods = Py_TYPE(iterator)->tp_as_async;
    if (methods == nullptr || methods->am_anext == nullptr) {
      PyErr_Format(PyExc_TypeError, "'%.100s' object is not an async iterator", Py_TYPE(iterator)->tp_name);
      return Step::raised();
    }
    return start(delegation, agen::operation::anext, steal(methods->am_anext(iterator)));
  }
  auto const asend = steal(PyObject_GetAttr(iterator, delegation.module->names.asend.get()));
  if (!asend) return Step::raised();
  return start(delegation, agen::operation::asend, steal(PyObject_CallOneArg(asend.get(), value)));
}

auto throw_foreign(Delegation& delegation, Object exception) -> Step {
  if (delegation.awaiting) return throw_on(delegation, exception.get());
  Names const& names = delegation.module->names;
  if (is_generator_exit(exception.get())) {
    auto const aclose = method(delegation, names.aclose);
    if (!aclose) return PyErr_Occurred() != nullptr ? Step::raised() : raise_now(std::move(exception));
    delegation.pending_exit = std::move(exception);
    return start(delegation, agen::operation::aclose, steal(PyObject_CallNoArgs(aclose.get())));
  }
  auto const athrow = method(delegation, names.athrow);
  if (!athrow) {
    if (PyErr_Occurred() != nullptr) return Step::raised();
    PyException_SetCause(exception.get(), nullptr);  // raise ... from None
    // The await of the delegation would take a StopIteration for its result.
    if (PyErr_GivenExceptionMatches(exception.get(), PyExc_StopIteration) != 0)
      exception = stop_iteration_at_yield(std::move(exception));
    return exception ? raise_now(std::move(exception)) : Step::raised();
  }
  return start(delegation, agen::operation::athrow, steal(PyObject_CallOneArg(athrow.get(), exception.get())));
}

}  // namespace engine
