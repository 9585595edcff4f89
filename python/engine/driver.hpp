// Drives the bodies of a generator and of all it delegates to: sends and throws into the leaf, hands what a leaf
// returns or raises to the generator above it, and says what came out. The awaitables (awaitables.cpp) turn that
// into PEP 525's answers; this file knows nothing of them.
#ifndef ASYNC_GENERATOR_ENGINE_DRIVER_HPP
#define ASYNC_GENERATOR_ENGINE_DRIVER_HPP

#include "boxes.hpp"
#include "objects.hpp"

namespace engine {

/// What a body answered. `refused`: an exception for the consumer from a C++ body that was not resumed. `delegates`,
/// and `goes_on` for a body that has yet to answer, never leave the driver.
enum class Outcome : std::uint8_t { awaits, yielded, returned, raised, refused, delegates, goes_on };

/// Throws into the leaf. At a yield GeneratorExit closes what is delegated to, level by level (PEP 828).
auto drive_raise(ModuleState& module, Resumption& resumption, Generator& root, Object exception, bool starting, PyObject** out)
    -> Outcome;

/// What the driver remembers of a thread. In one object: an item asks for two of them.
struct Thread {
  Resumption* innermost = nullptr;  ///< the resumption begun last; its awaitable is being called, so somebody has it
  PyObject* handed_up = nullptr;    ///< the box that a yield_() handed up last (HandedUp). May be gone: only compared
  int dismantling = 0;              ///< how many bodies are being dropped, one out of the other
};
extern constinit thread_local Thread this_thread __attribute__((tls_model("initial-exec")));

/// Counts a resumption among those of this thread, for a scope. The one begun last is `innermost()`; greenlets end
/// theirs in any order.
class Resuming {
 public:
  Resuming(Resumption& resumption, Generator& root) noexcept : resumption_(resumption) {
    resumption.member = &root;
    resumption.outer = std::exchange(this_thread.innermost, &resumption);
  }
  ~Resuming() {
    if (this_thread.innermost == &resumption_) [[likely]]
      this_thread.innermost = resumption_.outer;
    else
      take_out(resumption_);
  }
  Resuming(Resuming const&) = delete;
  auto operator=(Resuming const&) -> Resuming& = delete;

  static auto innermost() noexcept -> Resumption* { return this_thread.innermost; }
  /// True while `sought` is among them: it may be gone.
  static auto is_under_way(Resumption const& sought) noexcept -> bool {
    Resumption const* one = this_thread.innermost;
    while (one != nullptr && one != &sought) one = one->outer;
    return one != nullptr;
  }

 private:
  static void take_out(Resumption& ended) noexcept;
  Resumption& resumption_;
};

/// drive_send() for a root that does not stand at a real yield of its own.
auto drive_chain(ModuleState& module, Resumption& resumption, Generator& root, PyObject* value, bool starting, PyObject** out)
    -> Outcome;
/// drive_send() after an answer of the root's body, written in C++, that is not an item.
auto drive_cpp_on(ModuleState& module, Resumption& resumption, Generator& root, Outcome outcome, bool starting, PyObject** out)
    -> Outcome;
/// drive_send() after an answer of the root's body that is not an item.
auto drive_on(ModuleState& module, Resumption& resumption, Generator& root, PySendResult result, bool starting, PyObject** out)
    -> Outcome;

/// True when what came up from a body is for the event loop: neither a delegation nor an item of a helper.
inline auto is_for_the_loop(ModuleState const& module, PyObject* object) noexcept -> bool {
  PyTypeObject const* type = Py_TYPE(object);
  return type != module.delegation_type && type != module.box_type && type != module.yield_type;
}

/// Resumes a Python body with a value: a coroutine, so it has am_send.
inline auto body_send(Generator& generator, PyObject* value, PyObject** out) -> PySendResult {
  PyObject* body = generator.body.get();
  return Py_TYPE(body)->tp_as_async->am_send(body, value, out);
}

/// True for a delegation that came out of a box: only yield_from_call() makes one that is not tracked, and only
/// rewritten code calls that.
inline auto is_boxed_request(ModuleState& module, PyObject* item) noexcept -> bool {
  return compat::yields_wrap && Py_TYPE(item) == module.delegation_type && !as<Delegation>(item).tracked;
}

/// True for an answer that is what a real yield hands out, and no more: an item in a box.
inline auto is_item(ModuleState const& module, PySendResult result, PyObject* answer) noexcept -> bool {
  return result == PYGEN_NEXT && Py_TYPE(answer) == module.box_type && answer != this_thread.handed_up;
}

/// is_item() for the hot path, of a PYGEN_NEXT. False where it takes a closer look: also of a box whose layout is not
/// known or that somebody else has, and of a request in a box.
inline auto holds_item(ModuleState& module, PyObject* answer) noexcept -> bool {
  return is_own_box(module, answer) && answer != this_thread.handed_up && !is_boxed_request(module, *slot_of(answer));
}

/// Goes on from an answer of the root's Python body; see drive_send().
[[gnu::always_inline]] inline auto drive_from(ModuleState& module, Resumption& resumption, Generator& root,
                                              PySendResult result, bool starting, PyObject** out) -> Outcome {
  PyObject* object = *out;
  if (is_item(module, result, object)) [[likely]] {
    *out = take_from_box(module, object);
    if (!is_boxed_request(module, *out)) [[likely]]
      return Outcome::yielded;
  } else if (result == PYGEN_NEXT) {
    if (Py_TYPE(object) == module.yield_type && as<Yield>(object).progress == Progress::initial) {
      auto const yield = Ref<Yield>::steal(&as<Yield>(object));
      yield->progress = Progress::finished;
      *out = yield->value.release();
      return Outcome::yielded;
    }
    // An await, as a rule: anything but a delegation, a box that a helper handed up, and what a kept call may have
    // returned.
    PyTypeObject* type = Py_TYPE(object);
    if (type != module.delegation_type && type != module.box_type && !root.flags.has(flag::kept_calls | flag::raw_yields))
      return Outcome::awaits;
  }
  return drive_on(module, resumption, root, result, starting, out);
}

/// Sends `value` into the leaf. The answer's object goes to `*out` (a new reference); with `raised` the exception is
/// the thread's current one.
/// \param starting  an operation begins; otherwise one goes on after an await
inline auto drive_send(ModuleState& module, Resumption& resumption, Generator& root, PyObject* value, bool starting,
                       PyObject** out) -> Outcome {
  Resuming const resuming(resumption, root);
  if (root.flags.has(flag::within | flag::cpp)) [[unlikely]]
    return drive_chain(module, resumption, root, value, starting, out);
  return drive_from(module, resumption, root, body_send(root, value, out), starting, out);
}

/// A body is dropped that its generator could not close: the interpreter closes it once more. What it then yields
/// reaches nobody, and is not worth a warning.
class Dismantling {
 public:
  Dismantling() noexcept { ++this_thread.dismantling; }
  ~Dismantling() { --this_thread.dismantling; }
  Dismantling(Dismantling const&) = delete;
  auto operator=(Dismantling const&) -> Dismantling& = delete;
  static auto under_way() noexcept -> bool { return depth() != 0; }
  static auto depth() noexcept -> int { return this_thread.dismantling; }
};

/// True when `exception` is an instance of GeneratorExit.
inline auto is_generator_exit(PyObject* exception) noexcept -> bool {
  return PyErr_GivenExceptionMatches(exception, PyExc_GeneratorExit) != 0;
}

/// A new RuntimeError with this text.
auto runtime_error(char const* text) -> Object;
/// A new RuntimeError with this text, and `cause` for its cause and context (PEP 479).
auto runtime_error_from(Object cause, char const* text) -> Object;
/// Replaces the current exception by RuntimeError(text) raised from it (PEP 479).
void raise_from_current(char const* text);
/// The "already running" error for `operation`, an instance of the class that is RuntimeError and ValueError.
void set_already_running(ModuleState& module, agen::operation operation);
/// Calls the firstiter hook and captures the finalizer, once a generator. False with an exception set.
auto prepare_hooks(Generator& generator) -> bool;
/// The state of a generator in the words of the lifecycle.
auto lifecycle_state(Generator const& generator) noexcept -> agen::state;
/// The generator's own delegation, or null. Only who drives the generator may ask without the lock on the chains.
auto delegation_of(ModuleState& module, Generator const& generator) noexcept -> Delegation*;
/// Begins an operation, or the closing of a dropped generator: sets running and executing. False when one of `against`
/// is set, or an operation is under way on a generator that delegates, however far up, to this one.
auto claim_operation(ModuleState& module, Generator& generator,
                     std::uint32_t against = flag::running | flag::executing) noexcept -> bool;
/// Lets an operation that waits go on: sets executing. False while a driver goes through the generator already, as its
/// root or from further up. The operation need not be the one that began: one that another hand has ended is sent
/// into, too, and finds what is there now.
auto claim_resumption(ModuleState& module, Generator& generator) noexcept -> bool;
/// True while a driver goes through the delegation: a generator above executes. The chains are locked.
auto is_driven(Delegation const& delegation) noexcept -> bool;
/// True while a driver goes through what the generator delegates by, or runs its body.
auto is_driven(ModuleState& module, Generator& generator) noexcept -> bool;
/// True while an operation is under way on the generator, or on one that delegates, however far up, to it.
auto is_running(ModuleState& module, Generator& generator) noexcept -> bool;
/// Ends an operation that will not go on, though a body on the way still awaits something: no generator from the root
/// to the leaf is left locked, but for those that a driver is inside of.
void unlock_chain(ModuleState& module, Generator& root) noexcept;
/// The same, where the chains are locked.
void unlock_members(ModuleState& module, Generator* member) noexcept;

}  // namespace engine

#endif
