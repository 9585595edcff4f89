// Isolated generators on asyncio (python/async_generator/_isolated.py), as far as each item goes through it: what a
// body answers at once. The body runs in the step of whoever asks for the item, while the generator's own task is the
// current one. As soon as anything has to wait, Python has it.
#ifndef ASYNC_GENERATOR_ENGINE_ISOLATED_HPP
#define ASYNC_GENERATOR_ENGINE_ISOLATED_HPP

#include "objects.hpp"

namespace engine {

/// The base of `Body` in _isolated.py: what the engine has to know of one.
struct IsolatedBody {
  PyObject_HEAD ModuleState* module;
  Object generator;      ///< the async generator inside
  Object loop;           ///< of the first operation
  Object task;           ///< the generator's own; null or None before the first operation
  Object context;        ///< of that task
  Object operation;      ///< of the generator inside, under way; or null or None
  Object consumer;       ///< what a consumer waits for, or null or None
  Object outcomes;       ///< of operations that no consumer has got yet: a sequence
  unsigned long thread;  ///< which the loop runs in; nothing else is touched in another one
  bool stepping;         ///< a step of the body is under way
  bool woken;            ///< its task is to run first
  bool closing;
  bool ended;
};
extern PyType_Spec isolated_body_spec;

/// Makes a task the current one of a loop, or none (None). Returns the one before; null with an exception set.
auto swap_task(ModuleState& module, PyObject* loop, PyObject* task) -> Object;
/// The same for one that takes the place of another, which the caller knows. False with an exception set.
auto set_task(ModuleState& module, PyObject* loop, PyObject* task) -> bool;

/// For types below `isolated_body`.
auto body_traverse(PyObject* self, visitproc visit, void* arg) -> int;
auto body_clear(PyObject* self) -> int;

/// The base of `isolated_generator` in _isolated.py: what the user iterates.
struct IsolatedGenerator {
  PyObject_HEAD ModuleState* module;
  Object body;  ///< an IsolatedBody, or what takes its place on another kind of loop
};
extern PyType_Spec isolated_generator_spec;

/// An anext or asend of an IsolatedGenerator.
struct IsolatedOperation {
  PyObject_HEAD ModuleState* module;
  Ref<IsolatedGenerator> generator;
  Object argument;  ///< of asend, or null
  Object rest;      ///< a coroutine, once Python has the operation
  Progress progress;
  [[no_unique_address]] Occupancy occupancy;
};
extern PyType_Spec isolated_operation_spec;

/// `_engine.set_task_swap(swap, tasks)`: called once by _isolated.py, with a function that makes a task the current one
/// of a loop, or none (None), and returns the one before; and with the dict in which it keeps them, or None.
auto module_set_task_swap(PyObject* self, PyObject* arguments) -> PyObject*;

}  // namespace engine

#endif
