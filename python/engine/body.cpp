// See body.hpp.
#include "body.hpp"

#include "awaiting.hpp"
#include "environment.hpp"
#include "errors.hpp"
#include "resumption.hpp"

namespace engine {

namespace {

/// If throw() raises StopIteration the body has returned: PEP 479 turns any other StopIteration into RuntimeError. A
/// coroutine that was never started is the exception, and ends a debug build of the interpreter (gh-152685).
auto python_throw(ModuleState& module, Generator& generator, Object exception) -> Step {
  PyObject* const body = generator.body.get();
  if (generator.state.is_created() && !compat::is_taken_apart(body) &&
      PyErr_GivenExceptionMatches(exception.get(), PyExc_StopIteration) != 0) {
    exception = runtime_error_from(std::move(exception), "async generator raised StopIteration");
    if (!exception) return Step::raised();
  }
  Step const step = throw_into(module, body, exception.get());
  // Not begun by its generator before, if a user has sent into the coroutine.
  if (step.is(StepKind::awaits)) generator.state.begin_body();
  return step;
}

}  // namespace

AGEN_OUT_OF_LINE auto compiled_send(Generator& generator, PyObject* value) -> Step {
  return CompiledBody::send(generator, value);
}

auto body_throw(ModuleState& module, Generator& generator, Object exception) -> Step {
  return generator.state.is_cpp() ? cpp_throw(as<CppBody>(generator.body.get()), std::move(exception))
                                  : python_throw(module, generator, std::move(exception));
}

auto body_ended_through_frame(Generator const& generator) -> bool {
  return !generator.state.is_cpp() && take_ended_through_frame();
}

auto body_is_at_yield(ModuleState& module, Generator& generator) -> bool {
  auto const awaited = steal(PyObject_GetAttr(generator.body.get(), module.names.cr_await.get()));
  PyErr_Clear();
  return awaited.get() == Py_None;
}

auto body_attribute(Generator& generator, char const* name) -> PyObject* {
  return PyObject_GetAttrString(generator.body.get(), name);
}

auto body_frame(Generator& generator) -> PyObject* {
  return generator.state.is_cpp() ? Py_NewRef(Py_None) : body_attribute(generator, "cr_frame");
}

auto body_code(Generator& generator) -> PyObject* {
  if (!generator.state.is_cpp()) return body_attribute(generator, "cr_code");
  PyErr_SetString(PyExc_AttributeError, "a generator written in C++ has no ag_code");
  return nullptr;
}

auto hide_body(PyObject* body, std::uint32_t traits) noexcept -> bool {
  bool const possible = PyCoro_CheckExact(body) || (traits & trait::cpp) != 0 || is_environment(body);
  if (!possible || Py_REFCNT(body) != 1) return false;
  PyObject_GC_UnTrack(body);
  return true;
}

void show_body(Generator& generator) noexcept {
  if (!generator.state.owns_its_body() || generator.state.is_cpp()) return;
  generator.state.disown_body();
  PyObject_GC_Track(generator.body.get());
}

void finalize_body(Generator& generator) {
  if (!generator.state.owns_its_body() || generator.state.is_cpp()) return;
  generator.state.abandon_body();
  Dismantling const dismantling;
  PyObject_CallFinalizer(generator.body.get());
}

auto close_body(ModuleState& module, Generator& generator) -> Object {
  PyObject* body = generator.body.get();
  if (generator.state.is_cpp()) {  // its type may be cleared, too, and has no methods then
    cpp_drop(as<CppBody>(body));
    return none();
  }
  if (compat::is_taken_apart(body)) return none();
  PyObject* name = module.names.close.get();  // gone when the module is
  return steal(name != nullptr ? PyObject_CallMethodNoArgs(body, name) : PyObject_CallMethod(body, "close", nullptr));
}

void clear_body(Generator& generator) {
  PyObject* body = generator.body.get();
  if (body != nullptr && generator.state.is_cpp() && Py_REFCNT(body) == 1) cpp_drop(as<CppBody>(body));
}

}  // namespace engine
