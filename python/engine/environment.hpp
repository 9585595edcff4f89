// A generator's environment: what its resumptions find around them, where it has parts of its own (PEP 533, PEP 568).
// An Environment is the body of such a generator: it looks like a coroutine, and runs the coroutine proper between
// entering the parts and leaving them. Here, and nowhere else, they are entered. So no driver knows of them, and a
// generator without an environment pays nothing.
#ifndef ASYNC_GENERATOR_ENGINE_ENVIRONMENT_HPP
#define ASYNC_GENERATOR_ENGINE_ENVIRONMENT_HPP

#include "context_part.hpp"
#include "hooks_part.hpp"
#include "objects.hpp"
#include "step.hpp"

namespace engine {

/// The parts that an environment can have of its own. Known to python/async_generator/_environment.py.
namespace part {
inline constexpr std::uint32_t hooks = 1U << 0U;            ///< structured: closes what its body drops
inline constexpr std::uint32_t context = 1U << 1U;          ///< a copy of the context of the first resumption
inline constexpr std::uint32_t layered_context = 1U << 2U;  ///< the caller's variables, and the body's own above them
inline constexpr std::uint32_t of_coroutine = 1U << 3U;     ///< no part: the coroutine is no generator's body
inline constexpr std::uint32_t isolated = 1U << 4U;         ///< a task: the generator is driven by _isolated.py
inline constexpr std::uint32_t all = hooks | context | layered_context | of_coroutine | isolated;
}  // namespace part

/// What is kept while dropped generators are closed: the body's step, or what the body is to be resumed with.
struct Held {
  StepKind kind = StepKind::raised;
  bool is_input = false;
  Object object{};     ///< of the step; or the value
  Object exception{};  ///< of a step that raised; or to be thrown in
};

/// What a resumption finds.
enum class Next : std::uint8_t {
  coroutine,  ///< the coroutine is resumed, and nothing else
  other,      ///< what it delegates to, or a cleanup, may have to be resumed
  executing,  ///< a resumption is under way
  ended,      ///< the coroutine has ended
};

/// A coroutine in an environment.
struct Environment {
  PyObject_HEAD ModuleState* module;
  Object coroutine;
  /// Drives the coroutine while it delegates, so that its delegates run in the environment, too: a generator that no
  /// one else sees. Null before it has done so.
  Ref<Generator> inner;
  ContextPart context;
  HooksPart hooks;
  Held held;
  Object closing;  ///< the iterator of the aclose() that is under way
  Object error;    ///< what such have raised
  Resumption resumption;
  PyObject* weakrefs;
  std::uint32_t traits;  ///< of the generator
  Progress progress;
  Next next;
  bool interrupted;  ///< something was thrown into a cleanup
  bool is_body;      ///< of a generator, which says when it is resumed
  bool hidden;       ///< from the collector: the coroutine's contents are seen through this
  [[no_unique_address]] Occupancy occupancy;
};
extern PyType_Spec environment_spec;

/// The coroutine, in an environment with these parts: the body of a generator, or with part::of_coroutine a coroutine
/// by itself. Null with an exception set.
/// \param traits  of the generator
auto new_environment(ModuleState& module, Object coroutine, std::uint32_t traits, std::uint32_t parts) -> Object;
/// Whether an object is an Environment.
auto is_environment(PyObject* object) noexcept -> bool;

/// `_engine.in_environment(coroutine, parts)`: a structured coroutine.
auto module_in_environment(PyObject* self, PyObject* const* arguments, Py_ssize_t count) -> PyObject*;

}  // namespace engine

#endif
