// The hooks part of an environment: structured cleanup (what PEP 533 asks for). While a structured body is resumed, the
// thread's hooks (PEP 525) are its own. An async generator that is first iterated then, and dropped unfinished while
// the body is resumed, is kept here until the environment closes it.
#ifndef ASYNC_GENERATOR_ENGINE_HOOKS_PART_HPP
#define ASYNC_GENERATOR_ENGINE_HOOKS_PART_HPP

#include "memory.hpp"
#include "objects.hpp"

namespace engine {

/// A generator that was dropped.
struct Dropped {
  Object generator;
  std::uint64_t number;  ///< the later it was first iterated, the greater
};

/// The hooks of a structured body; as a Python callable, its firstiter hook. Each generator gets a finalizer of its
/// own, which knows when the generator was first iterated: what was iterated last is closed first, as nested blocks
/// would. Generators refer to their finalizers, and these to the hooks: so the hooks refer to no body.
struct StructuredHooks {
  PyObject_HEAD ModuleState* module;
  compat::Hooks outer;  ///< the thread's outside the body. They get what is dropped elsewhere
  /// These hooks, and the finalizer of the next generator. While they are the thread's, those outside take their place:
  /// so no reference is counted for a resumption.
  compat::Hooks away;
  std::uint64_t iterated;                     ///< how many generators were first iterated
  Deque<Dropped> dropped;                     ///< to be closed
  PyThreadState* thread;                      ///< whose hooks they are; null while the body is not resumed
  [[no_unique_address]] compat::Mutex mutex;  ///< of `dropped`
};
extern PyType_Spec structured_firstiter_spec;

/// The finalizer of one generator.
struct StructuredFinalizer {
  PyObject_HEAD Ref<StructuredHooks> hooks;
  std::uint64_t number;
};
extern PyType_Spec structured_finalizer_spec;

/// Entered and left around each resumption. Nothing at all where the environment has no such part.
class HooksPart {
 public:
  explicit HooksPart(bool has) noexcept : has_(has) {}
  ~HooksPart();
  HooksPart(HooksPart const&) = delete;
  auto operator=(HooksPart const&) -> HooksPart& = delete;

  /// False with an exception set, and nothing entered.
  auto enter(ModuleState& module) -> bool {
    if (!has_) return true;
    if ((!hooks_ || hooks_->away.firstiter.get() != hooks_.object()) && !begin(module)) [[unlikely]]
      return false;
    StructuredHooks& hooks = *hooks_;
    hooks.thread = PyThreadState_Get();
    compat::swap_asyncgen_hooks(hooks.thread, hooks.away);
    if (hooks.away.finalizer.get() != hooks.outer.finalizer.get() ||
        hooks.away.firstiter.get() != hooks.outer.firstiter.get()) [[unlikely]]
      remember_outer();
    return true;
  }
  void leave() noexcept {
    if (!has_) return;
    PyThreadState* const thread = std::exchange(hooks_->thread, nullptr);
    if (thread->async_gen_firstiter == hooks_.object()) [[likely]]
      compat::swap_asyncgen_hooks(thread, hooks_->away);
    else
      take_out(thread);
  }

  /// True when there is a generator to be closed.
  [[nodiscard]] auto has_dropped() const noexcept -> bool { return has_ && hooks_ && !hooks_->dropped.empty(); }
  /// The one that was first iterated last, or null.
  auto take_dropped() noexcept -> Object;
  /// Gives all of them to the thread's hooks outside, as if they were dropped there.
  void hand_out_dropped() noexcept;

  auto traverse(visitproc visit, void* arg) const -> int;

 private:
  auto begin(ModuleState& module) -> bool;
  void remember_outer() noexcept;
  void take_out(PyThreadState* thread) noexcept;

  Ref<StructuredHooks> hooks_;  // null before the first resumption
  bool has_;
};

/// `_engine.outside(function, *arguments)`: calls it with the hooks that the thread has outside all structured bodies.
auto module_outside(PyObject* self, PyObject* const* arguments, Py_ssize_t count) -> PyObject*;

}  // namespace engine

#endif
