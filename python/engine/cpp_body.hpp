// Bodies written in C++: coroutines in extension modules, which the engine resumes through a table of plain functions
// (agen/python/abi.hpp). What such a body awaits is driven here; what it yields goes to the consumer without a box.
#ifndef ASYNC_GENERATOR_ENGINE_CPP_BODY_HPP
#define ASYNC_GENERATOR_ENGINE_CPP_BODY_HPP

#include <agen/python/abi.hpp>

#include "awaiting.hpp"
#include "objects.hpp"
#include "step.hpp"

namespace engine {

extern PyType_Spec cpp_body_spec;

/// The Python object of a C++ body: the body of a generator, or a coroutine by itself.
struct CppBody {
  PyObject_HEAD ModuleState* module;
  agen::python::abi::body_class const* kind;
  void* self;       ///< null once the body has ended
  Object awaiting;  ///< the iterator of what the body awaits
  Object name;
  Object qualified_name;
  PyObject* weakrefs;
  Progress progress;
  bool executing;  ///< as a coroutine; a generator's state says it of the generator
  bool is_coroutine;
  [[no_unique_address]] Occupancy occupancy;
};

/// cpp_send() after an answer that is no item, a step of agen::python::abi, with its object.
auto cpp_answered(CppBody& body, int step, PyObject* object) -> Step;
/// cpp_send() for a body that has ended.
auto cpp_ended(PyObject* exception) -> Step;

/// Replaces what the body awaits, which cr_await shows to other threads too; gives back what was there.
inline auto exchange_awaiting(CppBody& body, Object awaiting) noexcept -> Object {
  ChainLock::Driving const lock(body.module->chains);
  return std::exchange(body.awaiting, std::move(awaiting));
}

/// One step of a body that has begun, has not ended, and awaits nothing; see agen::python::abi::body_class::resume.
AGEN_ALWAYS_INLINE auto cpp_step(CppBody& body, PyObject* value, PyObject* exception, PyObject** out) -> int {
  if constexpr (!compat::free_threaded) return body.kind->resume(body.self, value, exception, out, body.awaiting.out());
  Object iterator;
  int const step = body.kind->resume(body.self, value, exception, out, iterator.out());
  exchange_awaiting(body, std::move(iterator));
  return step;
}

/// Resumes the body with `value`, or with an exception: sent or thrown at its yield, or the answer of what it awaited.
/// Nothing is awaited then, and the body has begun.
AGEN_ALWAYS_INLINE auto cpp_resume(CppBody& body, PyObject* value, PyObject* exception) -> Step {
  if (body.self == nullptr) [[unlikely]]
    return cpp_ended(exception);
  PyObject* object = nullptr;
  int const step = cpp_step(body, value, exception, &object);
  return step == agen::python::abi::yielded ? Step{StepKind::yielded, object} : cpp_answered(body, step, object);
}

/// `iterator`, which the body awaited, has answered.
AGEN_ALWAYS_INLINE auto cpp_awaited(CppBody& body, Object iterator, Step answer) -> Step {
  if (answer.is(StepKind::awaits)) [[likely]] {
    exchange_awaiting(body, std::move(iterator));
    return answer;
  }
  iterator.reset();  // before the body is resumed, as after an await in Python
  Object const value = answer.take();
  if (answer.is(StepKind::returned)) [[likely]]
    return cpp_resume(body, value.get(), nullptr);
  return cpp_resume(body, nullptr, compat::take_exception().get());
}

/// Sends into what the body awaits, or into the body.
AGEN_ALWAYS_INLINE auto cpp_send(CppBody& body, PyObject* value) -> Step {
  if (!body.awaiting) {
    if (body.progress == Progress::initial) {
      // Bodies that await each other through Python begin on top of each other.
      if (!Nested::has_room(" where a C++ coroutine begins")) return Step::raised();
      body.progress = Progress::started;
    }
    return cpp_resume(body, value, nullptr);
  }
  // While that executes the body does not wait: cr_await is None then, as native's is.
  Object iterator = exchange_awaiting(body, nullptr);
  Step const answer = await_send_counted(iterator.get(), value);
  return cpp_awaited(body, std::move(iterator), answer);
}
/// Throws into what the body awaits, or into the body.
auto cpp_throw(CppBody& body, Object exception) -> Step;
/// Destroys the body, which must not be executing.
void cpp_drop(CppBody& body) noexcept;

/// A generator of the items of another one in batches of up to `most`, as lists or arrays. It takes over the body, and
/// the other one is closed. Null with an exception set, and then nothing has changed unless there is no memory.
auto new_batches(PyObject* generator, Py_ssize_t most, bool array) -> PyObject*;

/// The engine's functions, in a capsule, for the module's attribute `bridge`.
auto new_bridge() -> Object;

}  // namespace engine

#endif
