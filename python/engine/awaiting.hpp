// Awaiting from C++, and being awaited: how the engine drives a foreign awaitable, and the methods and slots that every
// awaitable of the engine shares.
#ifndef ASYNC_GENERATOR_ENGINE_AWAITING_HPP
#define ASYNC_GENERATOR_ENGINE_AWAITING_HPP

#include "objects.hpp"
#include "stack.hpp"
#include "step.hpp"

namespace engine {

/// What `await awaitable` iterates (Python/ceval.c, _PyCoro_GetAwaitableIter). Null with an exception set.
auto await_iterator(PyObject* awaitable) -> Object;
/// Sends into what await_iterator() answered.
inline auto await_send(PyObject* iterator, PyObject* value) -> Step {
  PyAsyncMethods const* methods = Py_TYPE(iterator)->tp_as_async;
  PyObject* object = nullptr;
  PySendResult const result = methods != nullptr && methods->am_send != nullptr
                                  ? methods->am_send(iterator, value, &object)
                                  : PyIter_Send(iterator, value, &object);
  return Step::sent(result, object);
}
/// await_send() from a body in C++. A coroutine of Python has a frame, which the interpreter counts.
inline auto await_send_counted(PyObject* iterator, PyObject* value) -> Step {
  if (PyCoro_CheckExact(iterator)) [[likely]]
    return await_send(iterator, value);
  Nested const nested(" while a C++ coroutine awaits");
  return nested ? await_send(iterator, value) : Step::raised();
}
/// Throws into what await_iterator() answered; GeneratorExit closes it (Objects/genobject.c, _gen_throw).
auto await_throw(ModuleState& module, PyObject* iterator, PyObject* exception) -> Step;

/// Throws into a coroutine, or into what await_iterator() answered, by its throw(): GeneratorExit as any other.
auto throw_into(ModuleState& module, PyObject* iterator, PyObject* exception) -> Step;

/// The current exception is a StopIteration: takes its value as a result.
auto take_stop() -> Step;

/// The exception instance for the arguments of throw() or athrow() (Objects/genobject.c, _gen_throw): `type` may be an
/// instance, the others null. Null with a TypeError set. An error in the class's constructor is what is then thrown.
auto make_exception(PyObject* type, PyObject* value, PyObject* traceback) -> Object;

/// Sets the StopIteration by which an awaitable's send() ends with `value`.
void set_stop_iteration(PyObject* value);
/// Warns "coroutine 'NAME' was never awaited".
void warn_never_awaited(char const* name);
/// Warns "coroutine method 'METHOD' of 'f' was never awaited", with the generator as its source (3.13's warning).
void warn_unawaited(char const* method, PyObject* generator);
/// What close() makes of the answer to a GeneratorExit.
auto closed_answer(Step answer) -> PyObject*;
/// throw()'s arguments as an exception; null with an exception set.
/// \param warns  of the form with three arguments. Not where only the interpreter throws: a caller further up was
/// warned.
auto thrown(PyObject* const* arguments, Py_ssize_t count, bool warns) -> Object;

// Their steps are what the interpreter knows: they await, return or raise.
using SendFunction = Step (*)(PyObject*, PyObject*);
using ThrowFunction = Step (*)(PyObject*, Object);

/// The slots and methods of an awaitable that is its own iterator: __await__, __iter__, __next__, send, throw, close.
/// \tparam SendMethod  send(), and __next__() with None, where they are more than Send
template <class T, SendFunction Send, ThrowFunction Throw, PyCFunction Close, bool Warns = true,
          PyCFunction SendMethod = nullptr>
class AwaitableSlots {
  static auto next_item(PyObject* self) -> PyObject* {
    Step step = Send(self, Py_None);
    if (!step.is(StepKind::returned)) return step.object;
    Object const result = step.take();
    if (result.get() != Py_None) set_stop_iteration(result.get());
    return nullptr;
  }
  static auto send_slot(PyObject* self, PyObject* value, PyObject** out) -> PySendResult {
    return Send(self, value).answer(out);
  }
  static auto send_method(PyObject* self, PyObject* value) -> PyObject* {
    if constexpr (SendMethod != nullptr) return SendMethod(self, value);
    return ended(Send(self, value));
  }
  static auto throw_method(PyObject* self, PyObject* const* arguments, Py_ssize_t count) -> PyObject* {
    auto exception = thrown(arguments, count, Warns);
    if (!exception) {  // counts as an await all the same
      Occupied const occupied(as<T>(self).occupancy);
      if (occupied && as<T>(self).progress == Progress::initial) as<T>(self).progress = Progress::finished;
      return nullptr;
    }
    return ended(Throw(self, std::move(exception)));
  }
  static auto next_method(PyObject* self, PyObject*) -> PyObject* { return send_method(self, Py_None); }
  static auto self_method(PyObject* self, PyObject*) -> PyObject* { return Py_NewRef(self); }

  static auto ended(Step step) -> PyObject* {
    if (!step.is(StepKind::returned)) return step.object;
    set_stop_iteration(step.take().get());
    return nullptr;
  }

 public:
  static inline PyMethodDef methods[] = {
      {"send", send_method, METH_O,
       PyDoc_STR("send(value) -> what the awaitable waits for, or StopIteration(result).")},
      {"throw", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(throw_method)), METH_FASTCALL,
       PyDoc_STR(
           "throw(exception)\nthrow(type[, value[, traceback]])\n\nRaise the exception where the awaitable waits.")},
      {"close", Close, METH_NOARGS, PyDoc_STR("close() -> raise GeneratorExit where the awaitable waits, and end it.")},
      {"__next__", next_method, METH_NOARGS | METH_COEXIST, PyDoc_STR("Same as send(None).")},
      {"__await__", self_method, METH_NOARGS | METH_COEXIST, PyDoc_STR("The awaitable itself.")},
      {"__iter__", self_method, METH_NOARGS | METH_COEXIST, PyDoc_STR("The awaitable itself.")},
      {nullptr, nullptr, 0, nullptr},
  };
  static inline PyType_Slot const await = {Py_am_await, reinterpret_cast<void*>(PyObject_SelfIter)};
  static inline PyType_Slot const send = {Py_am_send, reinterpret_cast<void*>(send_slot)};
  static inline PyType_Slot const iter = {Py_tp_iter, reinterpret_cast<void*>(PyObject_SelfIter)};
  static inline PyType_Slot const next = {Py_tp_iternext, reinterpret_cast<void*>(next_item)};
};

/// The same for what bodies await.
template <class T, SendFunction Send, ThrowFunction Throw, PyCFunction Close>
using OperatorSlots = AwaitableSlots<T, Send, Throw, Close, false>;

}  // namespace engine

#endif
