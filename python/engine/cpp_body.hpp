// Bodies written in C++: coroutines in extension modules, which the engine resumes through a table of plain functions
// (agen/python/abi.hpp). What such a body awaits is driven here; what it yields goes to the consumer without a box.
#ifndef ASYNC_GENERATOR_ENGINE_CPP_BODY_HPP
#define ASYNC_GENERATOR_ENGINE_CPP_BODY_HPP

#include <agen/python/abi.hpp>

#include "driver.hpp"
#include "objects.hpp"

namespace engine {

extern PyType_Spec cpp_body_spec;

/// The Python object of a C++ body: the body of a generator, or a coroutine by itself.
struct CppBody {
  PyObject_HEAD State* state;
  agen::python::abi::body_class const* kind;
  void* self;       ///< null once the body has ended
  Object awaiting;  ///< the iterator of what the body awaits
  Object name;
  Object qualified_name;
  PyObject* weakrefs;
  Stage stage;
  bool executing;  ///< as a coroutine; a generator's own flags say it of the generator
  bool is_coroutine;
  [[no_unique_address]] Occupancy occupancy;
};

/// cpp_send() after an answer that is not an item, a step of agen::python::abi.
auto cpp_answered(CppBody& body, int step, Object iterator) -> Outcome;
/// cpp_send() for a body that awaits something, or has ended.
auto cpp_go_on(CppBody& body, PyObject* value, PyObject** out) -> Outcome;

/// Resumes the body with `value`; what it awaits is asked first.
inline auto cpp_send(PyObject* object, PyObject* value, PyObject** out) -> Outcome {
  auto& body = as<CppBody>(object);
  *out = nullptr;
  if (body.awaiting || body.self == nullptr) [[unlikely]]
    return cpp_go_on(body, value, out);
  body.stage = Stage::started;
  PyObject* iterator = nullptr;
  int const step = body.kind->resume(body.self, value, nullptr, out, &iterator);
  return step == agen::python::abi::yielded ? Outcome::yielded : cpp_answered(body, step, steal(iterator));
}
/// Throws into what the body awaits, or into the body.
auto cpp_raise(PyObject* body, Object exception, PyObject** out) -> Outcome;
/// Destroys what is left of the body, as far as it does not execute.
void cpp_drop(PyObject* body) noexcept;

/// The engine's functions, in a capsule, for the module's attribute `bridge`.
auto new_bridge() -> Object;

}  // namespace engine

#endif
