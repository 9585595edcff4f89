// What the engine raises: every text once, PEP 479's RuntimeError for a StopIteration that leaves a body, and the
// other forms that PEP 525 gives to what leaves one. (Texts for wrong arguments stay with the functions that take them,
// warnings with what they warn of.)
#ifndef ASYNC_GENERATOR_ENGINE_ERRORS_HPP
#define ASYNC_GENERATOR_ENGINE_ERRORS_HPP

#include "objects.hpp"

namespace engine {

/// True when `exception` is an instance of GeneratorExit.
inline auto is_generator_exit(PyObject* exception) noexcept -> bool {
  return PyErr_GivenExceptionMatches(exception, PyExc_GeneratorExit) != 0;
}

/// Takes the exception of a step that raised. The interpreter may have lost it where it had no memory for a traceback:
/// then a SystemError, as the interpreter itself raises.
auto take_raised() -> Object;

/// A new RuntimeError with this text. Null with an exception set.
auto runtime_error(char const* text) -> Object;
/// A new RuntimeError with this text, and `cause` for its cause and context (PEP 479). Null with an exception set.
auto runtime_error_from(Object cause, char const* text) -> Object;
/// Replaces the current exception by RuntimeError(text) raised from it (PEP 479).
void raise_from_current(char const* text);
/// Raises `exception` in the frame that awaits us: what is being handled there becomes its context.
void raise_here(Object exception);

// An operation that is refused, or ends at once. Each sets the thread's current exception.

/// "already running" for `operation`: an instance of the class that is RuntimeError and ValueError.
/// \param generator  the generator, if known: notes say where its body is, and which task runs it
void set_already_running(ModuleState& module, agen::operation operation, Generator* generator = nullptr);
/// A driver goes through the generator.
void set_generator_executing();
/// A coroutine, or an awaitable in its place, is entered from within itself.
void set_coroutine_executing();
/// \param what  the awaitable that was used before, as its user wrote it
void set_reused(char const* what);
void set_just_started();
/// \param type  TypeError; native's athrow() and aclose() have RuntimeError
void set_coroutine_just_started(PyObject* type);
/// StopAsyncIteration, with `value` unless that is None.
void set_stop_async_iteration(Object value);
/// What a body has raised that yields while it is closed. Null with an exception set.
/// \param generator  whose body did it, if known: a note says where
auto ignored_exit(Generator* generator = nullptr) -> Object;
void set_ignored_exit(Generator& generator);
/// True for a group of nothing but GeneratorExit: task groups that are closed raise one (CPython gh-135736).
auto is_group_of_exits(PyObject* exception) -> bool;
/// A coroutine, or an awaitable in its place, waits again when it is closed.
void set_coroutine_ignored_exit();
/// A hook-less generator's cleanup awaits while it is dropped.
void set_awaited_during_finalization(PyObject* generator);
/// An operator, `yield_` or `yield_from_`, was awaited in no generator.
void set_outside_generator(char const* name);

/// A real yield that replaced an `await` has handed out what another function of that name returned.
void set_name_rebound();

// What goes through a body.

/// What a StopIteration becomes that is thrown in at a yield_(): an await cannot let one through (1.10 pins the text).
/// Null with an exception set.
auto stop_iteration_at_yield(Object exception) -> Object;
/// Raises an exception that was thrown in at an await. As with a generator's throw(), what the awaiting frame handles
/// becomes its context; what the consumer handles does not.
void raise_thrown(Object exception, Object by_consumer);
/// Gives the current exception, which leaves the body of a generator, the form that PEP 479 and PEP 525 want.
void translate_escape(ModuleState& module);
/// The same for a body that is a coroutine by itself.
void translate_coroutine_escape();
/// A coroutine that was ended through its frame raises "cannot reuse already awaited coroutine"; its generator is then
/// just closed. Takes that error away and answers true in that case.
auto take_ended_through_frame() -> bool;

}  // namespace engine

#endif
