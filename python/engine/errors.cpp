// See errors.hpp.
#include "errors.hpp"

#include "body.hpp"

namespace engine {

auto take_raised() -> Object {
  auto exception = compat::take_exception();
  if (exception) [[likely]]
    return exception;
  PyErr_SetString(PyExc_SystemError, "error return without exception set");
  return compat::take_exception();
}

auto runtime_error(char const* text) -> Object {
  auto const message = steal(PyUnicode_FromString(text));
  if (!message) return nullptr;
  return steal(PyObject_CallOneArg(PyExc_RuntimeError, message.get()));
}

auto runtime_error_from(Object cause, char const* text) -> Object {
  auto error = runtime_error(text);
  if (!error) return nullptr;
  PyException_SetContext(error.get(), Object(cause).release());
  PyException_SetCause(error.get(), cause.release());
  return error;
}

void raise_from_current(char const* text) {
  if (auto error = runtime_error_from(compat::take_exception(), text)) compat::restore_exception(std::move(error));
}

void raise_here(Object exception) {
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.get())), exception.get());
}

namespace {

auto has_notes(PyObject* error) noexcept -> bool { return PyObject_HasAttrString(error, "add_note") != 0; }  // not 3.10

/// Adds "text FILE, line N, in NAME" to an exception: where the body of `generator` is. Nothing where there is no
/// frame, or no notes.
AGEN_COLD void note_place(PyObject* error, Generator& generator, char const* text) noexcept {
  auto const frame = steal(body_frame(generator));
  if (frame && PyFrame_Check(frame.get()) && has_notes(error)) {
    auto* const python_frame = reinterpret_cast<PyFrameObject*>(frame.get());
    auto const code = steal(reinterpret_cast<PyObject*>(PyFrame_GetCode(python_frame)));
    auto const file = steal(PyObject_GetAttrString(code.get(), "co_filename"));
    auto const name = steal(PyObject_GetAttrString(code.get(), "co_name"));
    auto const note = file && name ? steal(PyUnicode_FromFormat("%s %U, line %d, in %U", text, file.get(),
                                                                PyFrame_GetLineNumber(python_frame), name.get()))
                                   : nullptr;
    if (note) steal(PyObject_CallMethod(error, "add_note", "O", note.get())).reset();
  }
  PyErr_Clear();
}

/// Adds the name of the task that runs `generator`, if that can be found out. False with an interrupt as the current
/// exception, which came meanwhile.
AGEN_COLD auto note_task(ModuleState& module, PyObject* error, Generator& generator) noexcept -> bool {
  if (!module.running_task || !has_notes(error)) return true;
  auto const name = steal(PyObject_CallOneArg(module.running_task.get(), reinterpret_cast<PyObject*>(&generator)));
  if (!name && PyErr_ExceptionMatches(PyExc_Exception) == 0) return false;
  if (name && PyUnicode_Check(name.get())) {
    auto const note = steal(PyUnicode_FromFormat("the task that runs it is %R", name.get()));
    if (note) steal(PyObject_CallMethod(error, "add_note", "O", note.get())).reset();
  }
  PyErr_Clear();
  return true;
}

}  // namespace

void set_already_running(ModuleState& module, agen::operation operation, Generator* generator) {
  char const* name = operation == agen::operation::athrow   ? "athrow"
                     : operation == agen::operation::aclose ? "aclose"
                                                            : "anext";
  PyErr_Format(module.already_running.get(), "%s(): asynchronous generator is already running", name);
  if (generator == nullptr) return;
  auto error = compat::take_exception();
  note_place(error.get(), *generator, "its body is at");
  if (note_task(module, error.get(), *generator)) compat::restore_exception(std::move(error));
}

void set_generator_executing() { PyErr_SetString(PyExc_ValueError, "async generator already executing"); }

void set_coroutine_executing() { PyErr_SetString(PyExc_ValueError, "coroutine already executing"); }

void set_reused(char const* what) { PyErr_Format(PyExc_RuntimeError, "cannot reuse already awaited %s", what); }

void set_just_started() {
  PyErr_SetString(PyExc_TypeError, "can't send non-None value to a just-started async generator");
}

void set_coroutine_just_started(PyObject* type) {
  PyErr_SetString(type, "can't send non-None value to a just-started coroutine");
}

void set_stop_async_iteration(Object value) {
  if (value.get() == Py_None) {
    PyErr_SetNone(PyExc_StopAsyncIteration);
    return;
  }
  auto stop = steal(PyObject_CallOneArg(PyExc_StopAsyncIteration, value.get()));
  if (stop) raise_here(std::move(stop));
}

auto ignored_exit(Generator* generator) -> Object {
  auto error = runtime_error("async generator ignored GeneratorExit");
  if (error && generator != nullptr) note_place(error.get(), *generator, "while it was closed, its body yielded at");
  return error;
}

void set_ignored_exit(Generator& generator) {
  if (auto error = ignored_exit(&generator)) raise_here(std::move(error));
}

auto is_group_of_exits(PyObject* exception) -> bool {
  if (exception == nullptr || !compat::is_exception_group(exception)) return false;
  auto const split = steal(PyObject_CallMethod(exception, "split", "O", PyExc_GeneratorExit));
  bool const only = split && PyTuple_Check(split.get()) && PyTuple_GET_SIZE(split.get()) == 2 &&
                    PyTuple_GET_ITEM(split.get(), 1) == Py_None;
  PyErr_Clear();
  return only;
}

void set_coroutine_ignored_exit() { PyErr_SetString(PyExc_RuntimeError, "coroutine ignored GeneratorExit"); }

void set_name_rebound() {
  PyErr_SetString(
      PyExc_TypeError,
      "the name that this generator awaits as yield_() or yield_from_() now means something else; rebind it "
      "before the generator is made, not while it runs");
}

void set_awaited_during_finalization(PyObject* generator) {
  auto const name = steal(PyObject_GetAttrString(generator, "__name__"));
  if (!name) return;
  PyErr_Format(PyExc_RuntimeError,
               "async_generator '%U' awaited during finalization; install a finalization hook to support this, or "
               "wrap it in 'async with aclosing(...):'",
               name.get());
}

void set_outside_generator(char const* name) {
  PyErr_Format(PyExc_RuntimeError,
               "%s() was awaited outside an async generator: await it in the body of an async generator, or in a "
               "coroutine that the body awaits; a function that uses it needs @async_generator",
               name);
}

auto stop_iteration_at_yield(Object exception) -> Object {
  return runtime_error_from(std::move(exception), "generator raised StopIteration");
}

void raise_thrown(Object exception, Object by_consumer) {
  auto const handled = compat::handled_exception();
  if (handled && handled.get() != by_consumer.get()) {
    raise_here(std::move(exception));
  } else {
    compat::restore_exception(std::move(exception));
  }
}

namespace {

/// A coroutine says "coroutine raised StopIteration". Says "async generator" instead, when it was made at the body's
/// own frame: such an error has no traceback yet.
void translate_stop_iteration(ModuleState& module) {
  auto error = compat::take_exception();
  auto const cause = steal(PyException_GetCause(error.get()));
  auto const args = steal(PyObject_GetAttr(error.get(), module.names.args.get()));
  // A subclass may answer anything for its `args`.
  if (cause && PyErr_GivenExceptionMatches(cause.get(), PyExc_StopIteration) && args && PyTuple_Check(args.get()) &&
      PyTuple_GET_SIZE(args.get()) == 1) {
    auto const traceback = steal(PyException_GetTraceback(error.get()));
    PyObject* text = PyTuple_GET_ITEM(args.get(), 0);
    if (!traceback && PyUnicode_Check(text) &&
        PyUnicode_CompareWithASCIIString(text, "coroutine raised StopIteration") == 0) {
      auto const better = steal(Py_BuildValue("(s)", "async generator raised StopIteration"));
      if (better) PyObject_SetAttr(error.get(), module.names.args.get(), better.get());
    }
  }
  PyErr_Clear();
  compat::restore_exception(std::move(error));
}

}  // namespace

void translate_escape(ModuleState& module) {
  if (PyErr_ExceptionMatches(PyExc_StopAsyncIteration)) {
    raise_from_current("async generator raised StopAsyncIteration");
  } else if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
    raise_from_current("async generator raised StopIteration");
  } else if (PyErr_ExceptionMatches(PyExc_RuntimeError)) {
    translate_stop_iteration(module);
  }
}

void translate_coroutine_escape() {
  if (PyErr_ExceptionMatches(PyExc_StopIteration)) raise_from_current("coroutine raised StopIteration");
}

auto take_ended_through_frame() -> bool {
  if (!PyErr_ExceptionMatches(PyExc_RuntimeError)) return false;
  auto error = compat::take_exception();
  auto const traceback = steal(PyException_GetTraceback(error.get()));
  auto const text = traceback ? nullptr : steal(PyObject_Str(error.get()));
  if (text && PyUnicode_CompareWithASCIIString(text.get(), "cannot reuse already awaited coroutine") == 0) return true;
  PyErr_Clear();
  compat::restore_exception(std::move(error));
  return false;
}

}  // namespace engine
