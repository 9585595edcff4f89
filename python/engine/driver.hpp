// Drives the bodies of a generator and of all it delegates to: sends and throws into the leaf, hands what a leaf
// returns or raises to the generator above it, and says what came out. The awaitables (awaitables.cpp) turn that
// into PEP 525's answers; this file knows nothing of them.
#ifndef ASYNC_GENERATOR_ENGINE_DRIVER_HPP
#define ASYNC_GENERATOR_ENGINE_DRIVER_HPP

#include "objects.hpp"

namespace engine {

/// What a body answered. `delegates` never leaves the driver.
enum class Outcome : std::uint8_t { awaits, yielded, returned, raised, delegates };

/// The operation under way on this thread, innermost first. One lives on the C stack for each resumption.
class Drive {
 public:
  /// \param starting  an operation begins; otherwise one goes on after an await
  Drive(State& state, Generator& root, bool starting) noexcept
      : state_(state), root_(root), member_(&root), outer_(current_), starting_(starting) {
    current_ = this;
  }
  ~Drive() { current_ = outer_; }
  Drive(Drive const&) = delete;
  auto operator=(Drive const&) -> Drive& = delete;

  /// Sends `value` into the leaf. The answer's object goes to `*out` (a new reference); with `raised` the exception
  /// is the thread's current one.
  auto send(PyObject* value, PyObject** out) -> Outcome;
  /// Throws into the leaf. At a yield GeneratorExit closes what is delegated to, level by level (PEP 828).
  auto raise(Object exception, PyObject** out) -> Outcome;

  /// The innermost operation of this thread, or null.
  static auto current() noexcept -> Drive* { return current_; }
  /// The generator whose body runs now.
  [[nodiscard]] auto member() const noexcept -> Generator& { return *member_; }
  [[nodiscard]] auto state() const noexcept -> State& { return state_; }
  /// Called by the yield_() that a helper awaits, just before its marker goes up.
  void note_yield(Yield& yield) noexcept;

 private:
  auto enter(PyObject** out) -> bool;
  auto find_leaf(Delegation& first) -> void;
  auto refused(Object exception, PyObject** out) -> Outcome;
  auto settle(Outcome outcome, PyObject** out) -> Outcome;
  auto classify(PySendResult result, PyObject** out) -> Outcome;
  auto resume_send(Object value, PyObject** out) -> Outcome;
  auto resume_raise(Object exception, PyObject** out) -> Outcome;
  auto raise_current(PyObject** out) -> Outcome;
  auto close_chain(Object exit, PyObject** out) -> Outcome;
  auto begin_delegation(PyObject** out) -> Outcome;
  void link(Delegation& delegation) noexcept;
  auto attach(Delegation& delegation, Generator& delegate) -> bool;
  auto hand_over(Outcome outcome, PyObject** out) -> Outcome;
  auto leave_foreign(Outcome outcome, PyObject** out) -> Outcome;
  void finish(Outcome outcome) noexcept;
  auto awaits_foreign_object(PyObject* object) const -> bool;

  static constinit thread_local Drive* current_ __attribute__((tls_model("initial-exec")));

  State& state_;
  Generator& root_;
  Generator* member_;             ///< whose body is driven
  Delegation* inner_ = nullptr;   ///< the delegation in which `member_` is the delegate; null at the root
  Delegation* foreign_ = nullptr; ///< the member's own delegation, when its iterator is not driven directly
  Delegation* blocked_ = nullptr; ///< its delegate runs or ended by somebody else's hand
  Ref<Yield> yielding_;
  Drive* outer_;
  bool starting_;
};

/// True when `exception` is an instance of GeneratorExit.
inline auto is_generator_exit(PyObject* exception) noexcept -> bool {
  return PyErr_GivenExceptionMatches(exception, PyExc_GeneratorExit) != 0;
}

/// A new RuntimeError with this text.
auto runtime_error(char const* text) -> Object;
/// The "already running" error for `operation`, an instance of the class that is RuntimeError and ValueError.
void set_already_running(State& state, agen::operation operation);
/// Calls the firstiter hook and captures the finalizer, once a generator. False with an exception set.
auto prepare_hooks(Generator& generator) -> bool;
/// The state of a generator in the words of the lifecycle.
auto lifecycle_state(Generator const& generator) noexcept -> agen::state;
/// The generator's own delegation, or null.
auto delegation_of(State& state, Generator const& generator) noexcept -> Delegation*;
/// True while an operation is under way on the generator, or on one that delegates, however far up, to it.
auto is_running(State& state, Generator& generator) noexcept -> bool;

}  // namespace engine

#endif
