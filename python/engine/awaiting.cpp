// See awaiting.hpp.
#include "awaiting.hpp"

#include "errors.hpp"

namespace engine {

auto await_iterator(PyObject* awaitable) -> Object {
  if (PyCoro_CheckExact(awaitable)) return borrow(awaitable);
  PyAsyncMethods const* methods = Py_TYPE(awaitable)->tp_as_async;
  if (methods != nullptr && methods->am_await != nullptr) {
    auto iterator = steal(methods->am_await(awaitable));
    if (!iterator) return nullptr;
    if (!PyCoro_CheckExact(iterator.get()) && PyIter_Check(iterator.get())) return iterator;
    PyErr_Format(PyExc_TypeError, "__await__() returned %s",
                 PyCoro_CheckExact(iterator.get()) ? "a coroutine" : "a non-iterator");
    return nullptr;
  }
  if (PyGen_CheckExact(awaitable)) {
    auto const code = compat::generator_code(awaitable);
    if ((code->co_flags & CO_ITERABLE_COROUTINE) != 0) return borrow(awaitable);
  }
  PyErr_Format(PyExc_TypeError, "object %.100s can't be used in 'await' expression", Py_TYPE(awaitable)->tp_name);
  return nullptr;
}

auto await_throw(ModuleState& module, PyObject* iterator, PyObject* exception) -> Step {
  bool const exits = PyErr_GivenExceptionMatches(exception, PyExc_GeneratorExit) != 0;
  auto const method = steal(PyObject_GetAttr(iterator, (exits ? module.names.close : module.names.throw_).get()));
  if (!method && !PyErr_ExceptionMatches(PyExc_AttributeError)) return Step::raised();
  PyErr_Clear();
  if (!method || exits) {
    if (method && !steal(PyObject_CallNoArgs(method.get()))) return Step::raised();
    compat::restore_exception(borrow(exception));
    return Step::raised();
  }
  if (auto object = steal(PyObject_CallOneArg(method.get(), exception))) return Step::awaits(std::move(object));
  return PyErr_ExceptionMatches(PyExc_StopIteration) ? take_stop() : Step::raised();
}

auto throw_into(ModuleState& module, PyObject* iterator, PyObject* exception) -> Step {
  if (compat::is_taken_apart(iterator)) {
    compat::restore_exception(borrow(exception));
    return Step::raised();
  }
  if (compat::is_unsafe_to_throw_into(iterator)) {  // a user calls its send()
    set_coroutine_executing();
    return Step::raised();
  }
  auto object = steal(PyObject_CallMethodOneArg(iterator, module.names.throw_.get(), exception));
  if (object) return Step::awaits(std::move(object));
  return PyErr_ExceptionMatches(PyExc_StopIteration) ? take_stop() : Step::raised();
}

auto take_stop() -> Step {
  auto stop = compat::take_exception();
  if (PyErr_GivenExceptionMatches(stop.get(), PyExc_StopIteration) == 0) {  // there was no memory to make it
    compat::restore_exception(std::move(stop));
    return Step::raised();
  }
  PyObject* value = as<PyStopIterationObject>(stop.get()).value;
  return Step::returned(borrow(value != nullptr ? value : Py_None));
}

namespace {

auto instantiate(PyObject* type, PyObject* value) -> Object {
  if (value != nullptr && PyObject_IsInstance(value, type) == 1) return borrow(value);
  PyErr_Clear();
  auto made = steal(value == nullptr || value == Py_None ? PyObject_CallNoArgs(type)
                    : PyTuple_Check(value)               ? PyObject_CallObject(type, value)
                                                         : PyObject_CallOneArg(type, value));
  if (!made) return compat::take_exception();
  if (PyExceptionInstance_Check(made.get())) return made;
  PyErr_Format(PyExc_TypeError, "calling %R should have returned an instance of BaseException, not %R", type,
               Py_TYPE(made.get()));
  return compat::take_exception();
}

}  // namespace

auto make_exception(PyObject* type, PyObject* value, PyObject* traceback) -> Object {
  if (traceback == Py_None) traceback = nullptr;
  if (traceback != nullptr && !PyTraceBack_Check(traceback)) {
    PyErr_SetString(PyExc_TypeError, "throw() third argument must be a traceback object");
    return nullptr;
  }
  Object exception;
  if (PyExceptionClass_Check(type)) {
    exception = instantiate(type, value);
  } else if (!PyExceptionInstance_Check(type)) {
    PyErr_Format(PyExc_TypeError, "exceptions must be classes or instances deriving from BaseException, not %s",
                 Py_TYPE(type)->tp_name);
    return nullptr;
  } else if (value != nullptr && value != Py_None) {
    PyErr_SetString(PyExc_TypeError, "instance exception may not have a separate value");
    return nullptr;
  } else {
    exception = borrow(type);
  }
  if (exception && traceback != nullptr) PyException_SetTraceback(exception.get(), traceback);
  return exception;
}

auto thrown(PyObject* const* arguments, Py_ssize_t count, bool warns) -> Object {
  if (count < 1 || count > 3) {
    PyErr_Format(PyExc_TypeError, "throw expected at %s argument%s, got %zd", count < 1 ? "least 1" : "most 3",
                 count < 1 ? "" : "s", count);
    return nullptr;
  }
  if (count > 1 && warns && compat::warn_three_arguments("throw") < 0) return nullptr;
  return make_exception(arguments[0], count > 1 ? arguments[1] : nullptr, count > 2 ? arguments[2] : nullptr);
}

void set_stop_iteration(PyObject* value) {
  if (value == Py_None) {
    PyErr_SetNone(PyExc_StopIteration);
  } else if (PyTuple_Check(value) || PyExceptionInstance_Check(value)) {  // PyErr_SetObject would take these apart
    auto const stop = steal(PyObject_CallOneArg(PyExc_StopIteration, value));
    if (stop) PyErr_SetObject(PyExc_StopIteration, stop.get());
  } else {
    PyErr_SetObject(PyExc_StopIteration, value);
  }
}

void warn_never_awaited(char const* name) {
  auto before = compat::take_exception();
  if (PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "coroutine '%s' was never awaited", name) < 0)
    compat::write_unraisable(nullptr);
  compat::restore_exception(std::move(before));
}

void warn_unawaited(char const* method, PyObject* generator) {
  auto before = compat::take_exception();
  auto const name = steal(PyObject_GetAttrString(generator, "__qualname__"));
  auto const text =
      name ? steal(PyUnicode_FromFormat("coroutine method '%s' of '%S' was never awaited", method, name.get()))
           : nullptr;
  auto const warnings = text ? steal(PyImport_ImportModule("warnings")) : nullptr;
  auto const done =
      warnings
          ? steal(PyObject_CallMethod(warnings.get(), "warn", "OOiO", text.get(), PyExc_RuntimeWarning, 1, generator))
          : nullptr;
  if (text && !warnings && PyErr_ExceptionMatches(PyExc_ImportError)) {
    PyErr_Clear();  // nothing is imported any more: the interpreter ends, and native is silent too
  } else if (!done) {
    compat::write_unraisable(generator);
  }
  compat::restore_exception(std::move(before));
}

auto closed_answer(Step answer) -> PyObject* {
  answer.take().reset();
  if (answer.is(StepKind::awaits)) {
    set_coroutine_ignored_exit();
    return nullptr;
  }
  if (answer.is(StepKind::raised)) {
    if (!PyErr_ExceptionMatches(PyExc_GeneratorExit) && !PyErr_ExceptionMatches(PyExc_StopAsyncIteration) &&
        !PyErr_ExceptionMatches(PyExc_StopIteration)) {
      return nullptr;
    }
    PyErr_Clear();
  }
  return Py_NewRef(Py_None);
}

}  // namespace engine
