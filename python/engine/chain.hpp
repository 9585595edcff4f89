// The chain of delegations: a root delegates to a generator, that to the next, and so on down to the leaf, or to an
// iterator that is not ours. Only this file and chain.cpp look at the links, and they hold the lock.
//
// - A generator that delegates waits at its Delegation, which has it as its parent. The generator owns the delegation,
//   the delegation its iterator.
// - A delegate is driven directly, and marked as delegated. A delegation without one asks its iterator by PEP 828's
//   steps (foreign.hpp), and is the last of its chain.
// - A link points upwards from the last walk of a driver on. A chain may be driven from the middle, too: then the roots
//   further up have forgotten where it ends.
// - No user code runs while the lock is held, so nothing is dropped there.
#ifndef ASYNC_GENERATOR_ENGINE_CHAIN_HPP
#define ASYNC_GENERATOR_ENGINE_CHAIN_HPP

#include "objects.hpp"

namespace engine {

/// What the body waits at, or null.
inline auto suspension_of(Generator const& generator) noexcept -> PyObject* {
  return generator.state.is_waiting() ? generator.extra.get() : nullptr;
}
/// The finalizer hook of the generator, wherever it is kept.
inline auto finalizer_of(Generator& generator) noexcept -> Object& {
  return generator.state.is_waiting() ? as<Suspension>(generator.extra.get()).finalizer : generator.extra;
}
/// The body waits at `suspension`, a Yield or a Delegation, from now on.
inline void suspend_at(Generator& generator, Object suspension) noexcept {
  auto& waits_at = as<Suspension>(suspension.get());
  ChainLock::Driving const lock(waits_at.module->chains);
  waits_at.finalizer = generator.extra.exchange(std::move(suspension));
  generator.state.set_waiting();
}
/// The body no longer waits at what it waited at, if anything; the caller gets that.
inline auto take_suspension(Generator& generator) noexcept -> Object {
  if (!generator.state.is_waiting()) return nullptr;
  auto& waited_at = as<Suspension>(generator.extra.get());
  ChainLock::Driving const lock(waited_at.module->chains);
  Object suspension = generator.extra.exchange(std::move(waited_at.finalizer));
  generator.state.clear_waiting();
  return suspension;
}

/// What may be asked of a chain, and done to it, by all but its driver. A class for the sake of its friendship with
/// Links.
class Chain {
 public:
  class Position;

  /// The generator's own delegation, or null. The generator's driver may ask without the lock.
  static auto delegation_of(ModuleState const& module, Generator const& generator) noexcept -> Delegation*;
  /// True for a delegation that a generator delegates by.
  static auto has(Delegation const& delegation) noexcept -> bool { return delegation.links.parent_ != nullptr; }
  /// True for a generator that asks a foreign iterator for its items. Only its driver may ask.
  static auto is_at_foreign(ModuleState const& module, Generator const& generator) noexcept -> bool;

  /// True while an operation is under way on the generator, or on one that delegates, however far up, to it.
  static auto is_running(ModuleState& module, Generator& generator) noexcept -> bool;
  /// True while a driver goes through the delegation: a generator above executes.
  static auto is_driven(Delegation const& delegation, ChainLock::Stopped const& lock) noexcept -> bool;
  /// True while a driver goes through what the generator delegates by, or runs its body.
  static auto is_driven(ModuleState& module, Generator& generator) noexcept -> bool;
  /// Where the chain from this generator ends.
  static auto leaf_of(ModuleState& module, Generator& generator) noexcept -> Ref<Generator>;
  /// What the generator's own delegation awaits, for ag_await; null when it does not delegate.
  static auto awaited_by(ModuleState& module, Generator& generator) noexcept -> Object;

  /// Begins an operation, or the closing of a dropped generator. False while `unless` holds of the generator, or of one
  /// that delegates, however far up, to it.
  static auto claim_operation(ModuleState& module, Generator& generator, Activity unless = Activity::either) noexcept
      -> bool;
  /// An operation that waits is resumed. False while a driver goes through the generator already, as its root or from
  /// further up. The operation need not be the one that began: one that has been ended from elsewhere is sent into,
  /// too, and finds the body as it is then.
  static auto claim_resumption(ModuleState& module, Generator& generator) noexcept -> bool;
  /// Ends an operation that will not be resumed, though a body on the way still awaits something: no generator from the
  /// root to the leaf is left locked, but for those that a driver is inside of.
  static void unlock(ModuleState& module, Generator& root) noexcept;

  /// Takes a delegation out of its chain, and makes all that remember its leaf look again. For its driver, where
  /// another one drives the delegate; and for a generator that is taken apart.
  static void unlink(Delegation& delegation) noexcept;
  /// The same from outside, for methods that a user calls. False, with nothing done, while a driver goes through it.
  static auto leave(Delegation& delegation) noexcept -> bool;

 private:
  static auto is_at_or_above(Delegation const* delegation, Activity activity, ChainLock::Stopped const&) noexcept
      -> bool;
  static auto is_above(ModuleState& module, Generator& generator, Activity activity, ChainLock::Stopped const&) noexcept
      -> bool;
  static void unlock_from(ModuleState& module, Generator* member, ChainLock::Stopped const& lock) noexcept;
  static void forget_leaf(Delegation& delegation, ChainLock::Held const&) noexcept;
  static void cut(Delegation& delegation, ChainLock::Held const&) noexcept;
};

/// Where a driver is in the chain of its root. Its members are claimed, so no other code changes the links between
/// them.
class Chain::Position {
 public:
  /// \param member    kept up to date: whose body is driven
  /// \param starting  an operation begins; otherwise one is resumed after an await
  Position(ModuleState& module, Generator*& member, Generator& root, bool starting) noexcept
      : module_(module), root_(root), member_(member), starting_(starting) {}

  /// Whose body is driven.
  [[nodiscard]] auto member() const noexcept -> Generator& { return *member_; }
  [[nodiscard]] auto is_at_root() const noexcept -> bool { return member_ == &root_; }
  /// The delegation in which the member is the delegate; null at the root.
  [[nodiscard]] auto above() const noexcept -> Delegation* { return above_; }
  /// The member's own delegation, when its iterator is asked by PEP 828's steps.
  [[nodiscard]] auto foreign() const noexcept -> Delegation* { return foreign_; }
  /// Goes to the end of the chain, and claims the leaf. False when a delegate on the way, the `blocked()` one's, runs
  /// or has ended and no driver of this chain did that: the member is then the generator that delegates to it.
  auto enter() -> bool;
  [[nodiscard]] auto blocked() const noexcept -> Delegation& { return *blocked_; }
  /// What `blocked()`'s delegate was when it was looked at.
  [[nodiscard]] auto blocked_state() const noexcept -> agen::state { return blocked_state_; }

  /// The member delegates by `delegation` from now on. False when that was used before.
  auto link(Delegation& delegation) noexcept -> bool;
  /// Puts `delegate`, and all it delegates to, at the end of the chain, after `delegation`. False when it is not free:
  /// then its own operations are asked, and say why.
  auto attach(Delegation& delegation, Generator& delegate) -> bool;
  /// The member's delegation asks its iterator by PEP 828's steps.
  void begin_foreign(Delegation& delegation) noexcept;
  /// The iterator is done with, and the delegation ended. The caller drops what its body handled, which may run code.
  auto end_foreign() -> Object { return detach(*std::exchange(foreign_, nullptr)); }
  /// A member that yields while it is closed keeps its own delegation.
  void forget_foreign() noexcept { foreign_ = nullptr; }
  /// The generator that delegates to the member becomes the member. It is marked first: once its delegation is gone no
  /// link leads another thread from it to the root, which says that an operation is under way.
  auto ascend() -> Object {
    Delegation& delegation = *above_;
    member_ = delegation.links.parent_;
    above_ = is_at_root() ? nullptr : delegation.links.outer_;
    if (!is_at_root()) member_->state.drive();
    return detach(delegation);
  }

  /// Every generator from the root to the member's parent closes the one below. The root's own exit is `exit`.
  void close_below(Object exit) noexcept;

 private:
  /// The delegation of the root, which has one.
  [[nodiscard]] auto first() const noexcept -> Delegation& { return as<Delegation>(root_.extra.get()); }
  [[nodiscard]] auto knows_leaf(Delegation const& first, bool claims) const noexcept -> bool;
  void find_leaf(Delegation& first, bool claims);
  auto take_over(Delegation& own, Delegation& delegation, Generator& delegate) -> Delegation*;
  void block(Delegation& delegation) noexcept;
  /// Takes the last link, of the member, off the chain. Gives back what its body handled.
  auto detach(Delegation& delegation) -> Object {
    Object handled = std::move(delegation.handled);
    ChainLock::Driving const lock(module_.chains);
    cut(delegation, lock);
    if (!is_at_root()) first().links.innermost_ = above_;
    return handled;
  }

  ModuleState& module_;
  Generator& root_;
  Generator*& member_;
  Delegation* above_ = nullptr;
  Delegation* foreign_ = nullptr;
  Delegation* blocked_ = nullptr;
  agen::state blocked_state_ = agen::state::suspended;
  bool starting_;
};

inline auto Chain::delegation_of(ModuleState const& module, Generator const& generator) noexcept -> Delegation* {
  PyObject* suspension = suspension_of(generator);
  if (suspension == nullptr || Py_TYPE(suspension) != module.delegation_type) return nullptr;
  auto& delegation = as<Delegation>(suspension);
  return has(delegation) ? &delegation : nullptr;  // it was ended from outside, and the body was not told yet
}

inline auto Chain::is_at_foreign(ModuleState const& module, Generator const& generator) noexcept -> bool {
  Delegation const* delegation = delegation_of(module, generator);
  return delegation != nullptr && delegation->links.delegate_ == nullptr;
}

inline void Chain::forget_leaf(Delegation& delegation, ChainLock::Held const&) noexcept {
  Delegation* above = delegation.links.outer_;
  for (; above != nullptr; above = above->links.outer_) above->links.innermost_ = nullptr;
}

inline void Chain::cut(Delegation& delegation, ChainLock::Held const&) noexcept {
  if (Generator* delegate = delegation.links.delegate_; delegate != nullptr) {
    delegate->state.end_delegation();
    if (Delegation* below = delegation_of(*delegation.module, *delegate)) below->links.outer_ = nullptr;
  }
  delegation.links = Links();
  if (delegation.role != Role::awaited) delegation.progress = Progress::finished;
}

}  // namespace engine

#endif
