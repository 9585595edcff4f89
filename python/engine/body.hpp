// A body is anything that can be sent into: a Python coroutine, the frame of a native async generator, a C++ coroutine.
// Only here is asked which it is.
#ifndef ASYNC_GENERATOR_ENGINE_BODY_HPP
#define ASYNC_GENERATOR_ENGINE_BODY_HPP

#include "cpp_body.hpp"
#include "objects.hpp"
#include "step.hpp"
#include "wrapped_item.hpp"

namespace engine {

/// A coroutine or native frame. Its items come wrapped, and so have to be told from what it awaits.
struct PythonBody {
  static auto send(Generator& generator, PyObject* value) -> Step {
    PyObject* body = generator.body.get();
    PyObject* object = nullptr;
    PySendResult const result = Py_TYPE(body)->tp_as_async->am_send(body, value, &object);
    return Step::sent(result, object);
  }
  /// True for an item of a real yield. False where it takes a closer look, by the driver.
  static auto holds_item(ModuleState& module, Step step) noexcept -> bool {
    return step.is(StepKind::awaits) && engine::holds_item(module, step.object);
  }
  static auto take_item(Step step) noexcept -> PyObject* { return take_own_wrapped(step.object); }
};

/// A C++ coroutine, which says what it answers.
struct CompiledBody {
  AGEN_ALWAYS_INLINE static auto send(Generator& generator, PyObject* value) -> Step {
    return cpp_send(as<CppBody>(generator.body.get()), value);
  }
  static auto holds_item(ModuleState&, Step step) noexcept -> bool { return step.is(StepKind::yielded); }
  static auto take_item(Step step) noexcept -> PyObject* { return step.object; }
};

/// CompiledBody::send() out of line: inlined, it costs Python bodies registers to save.
auto compiled_send(Generator& generator, PyObject* value) -> Step;
/// Resumes the body with a value.
inline auto body_send(Generator& generator, PyObject* value) -> Step {
  return generator.state.is_cpp() ? compiled_send(generator, value) : PythonBody::send(generator, value);
}
/// Throws into the body where it is suspended.
auto body_throw(ModuleState& module, Generator& generator, Object exception) -> Step;
/// True when an error that came out means no more than that the body was ended through its frame. It is then cleared.
auto body_ended_through_frame(Generator const& generator) -> bool;
/// True when the body is suspended at a real yield, not at an await.
auto body_is_at_yield(ModuleState& module, Generator& generator) -> bool;

/// An attribute that the generator shows of its body. Null with an exception set.
auto body_attribute(Generator& generator, char const* name) -> PyObject*;
/// ag_frame and ag_code. Null with an exception set.
auto body_frame(Generator& generator) -> PyObject*;
auto body_code(Generator& generator) -> PyObject*;

/// Hides a new body from the collector, where that can be: its contents are seen through the generator. Otherwise the
/// collector would finalize the body of a cycle before the generator, which could then no longer be closed, and would
/// warn that the body was never awaited. False where the body stays visible.
auto hide_body(PyObject* body, std::uint32_t traits) noexcept -> bool;
/// Shows a hidden body to the collector, so that it is finalized with its generator.
void show_body(Generator& generator) noexcept;
/// The body's finalizer closes once more what its generator could not close.
void finalize_body(Generator& generator);
/// Closes a body that has not begun, whose destructor would warn. Null with an exception set.
auto close_body(ModuleState& module, Generator& generator) -> Object;
/// Lets go of what the body holds, unless there are other references to it; a coroutine clears its own frame.
void clear_body(Generator& generator);

}  // namespace engine

#endif
