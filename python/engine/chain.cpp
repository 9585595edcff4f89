// See chain.hpp.
#include "chain.hpp"

#include <atomic>

namespace engine {

// From outside --------------------------------------------------------------------------------------------------------

/// True when `activity` holds of a generator that delegates by this delegation, or by one further up.
auto Chain::is_at_or_above(Delegation const* delegation, Activity activity, ChainLock::Stopped const&) noexcept
    -> bool {
  for (; delegation != nullptr && has(*delegation); delegation = delegation->links.outer_) {
    if (delegation->links.parent_->state.is(activity)) return true;
  }
  return false;
}

/// Says nothing of a leaf, which has no delegation to look up from: the operation under way has marked it.
auto Chain::is_above(ModuleState& module, Generator& generator, Activity activity,
                     ChainLock::Stopped const& lock) noexcept -> bool {
  Delegation const* own = delegation_of(module, generator);
  return own != nullptr && is_at_or_above(own->links.outer_, activity, lock);
}

auto Chain::is_driven(Delegation const& delegation, ChainLock::Stopped const& lock) noexcept -> bool {
  return is_at_or_above(&delegation, Activity::executing, lock);
}

auto Chain::is_driven(ModuleState& module, Generator& generator) noexcept -> bool {
  if (generator.state.is_executing()) return true;
  ChainLock::Stopped const lock(module.chains);
  Delegation const* delegation = delegation_of(module, generator);
  return delegation != nullptr && is_driven(*delegation, lock);
}

auto Chain::is_running(ModuleState& module, Generator& generator) noexcept -> bool {
  if (generator.state.is_running()) return true;
  if (!generator.state.is_delegated()) return false;
  ChainLock::Stopped const lock(module.chains);
  return is_above(module, generator, Activity::running, lock);
}

auto Chain::leaf_of(ModuleState& module, Generator& generator) noexcept -> Ref<Generator> {
  ChainLock::Stopped const lock(module.chains);
  Generator* leaf = &generator;
  while (Delegation* delegation = delegation_of(module, *leaf)) {
    if (delegation->links.delegate_ == nullptr) break;
    leaf = delegation->links.delegate_;
  }
  return Ref<Generator>::borrow(leaf);
}

auto Chain::awaited_by(ModuleState& module, Generator& generator) noexcept -> Object {
  ChainLock::Stopped const lock(module.chains);
  Delegation* delegation = delegation_of(module, generator);
  if (delegation == nullptr) return nullptr;
  if (Generator* delegate = delegation->links.delegate_; delegate != nullptr) return borrow(object_of(*delegate));
  return delegation->awaiting ? delegation->awaiting : none();
}

auto Chain::claim_operation(ModuleState& module, Generator& generator, Activity unless) noexcept -> bool {
  if (generator.state.begin_undelegated(unless)) return true;
  // A driver from above marks its root before it takes its part of the lock: we see that, or it sees our claim.
  ChainLock::Stopped const lock(module.chains);
  if (is_above(module, generator, unless, lock) || !generator.state.begin(unless)) return false;
  if (Delegation* own = delegation_of(module, generator)) forget_leaf(*own, lock);
  return true;
}

auto Chain::claim_resumption(ModuleState& module, Generator& generator) noexcept -> bool {
  ChainLock::Stopped const lock(module.chains);
  return !is_above(module, generator, Activity::executing, lock) && generator.state.resume();
}

void Chain::unlock_from(ModuleState& module, Generator* member, ChainLock::Stopped const&) noexcept {
  while (member != nullptr && !member->state.is_executing()) {
    member->state.give_up_operation();
    Delegation* delegation = delegation_of(module, *member);
    member = delegation != nullptr ? delegation->links.delegate_ : nullptr;
  }
}

void Chain::unlock(ModuleState& module, Generator& root) noexcept {
  ChainLock::Stopped const lock(module.chains);
  unlock_from(module, &root, lock);
}

void Chain::unlink(Delegation& delegation) noexcept {
  Object const dropped = std::move(delegation.handled);  // outlives the lock
  ChainLock::Stopped const lock(delegation.module->chains);
  forget_leaf(delegation, lock);
  cut(delegation, lock);
}

auto Chain::leave(Delegation& delegation) noexcept -> bool {
  Object dropped;  // outlives the lock
  ChainLock::Stopped const lock(delegation.module->chains);
  if (!has(delegation)) return true;
  if (is_driven(delegation, lock)) return false;
  if (is_at_or_above(&delegation, Activity::running, lock)) {  // it waits: the parent is its leaf from now on
    delegation.links.parent_->state.inherit_operation();
    unlock_from(*delegation.module, delegation.links.delegate_, lock);
  }
  forget_leaf(delegation, lock);
  dropped = std::move(delegation.handled);
  cut(delegation, lock);
  return true;
}

// The driver's way through it -----------------------------------------------------------------------------------------

auto Chain::Position::enter() -> bool {
  ChainLock::Driving const lock(module_.chains);  // first of all: another thread may call the delegation's close()
  Delegation* first = delegation_of(module_, root_);
  if (first == nullptr) return true;
  // The root may itself be the delegate of another, which then has to look for its leaf again. (Without the GIL
  // claim_operation() has seen to that.)
  if constexpr (!compat::free_threaded) forget_leaf(*first, lock);
  if (!knows_leaf(*first, starting_)) find_leaf(*first, starting_);
  Delegation* last = blocked_ != nullptr ? blocked_ : first->links.innermost_;
  Generator* delegate = last->links.delegate_;
  bool const usable = blocked_ == nullptr && (delegate == nullptr || delegate->state.claim_leaf(starting_));
  if (usable && delegate != nullptr) {
    member_ = delegate;
    above_ = last;
    return true;
  }
  member_ = last->links.parent_;
  above_ = is_at_root() ? nullptr : last->links.outer_;  // a driver does not go above its root
  if (usable)
    foreign_ = last;
  else
    block(*last);
  if (!is_at_root()) member_->state.drive();
  return usable;
}

/// Whether what `first` remembers as the end of its chain is still that. The leaf may have been driven by itself since,
/// and delegate or have ended. Without the GIL, one that is being driven now is not looked at: it cannot be claimed.
auto Chain::Position::knows_leaf(Delegation const& first, bool claims) const noexcept -> bool {
  Delegation const* last = first.links.innermost_;
  if (last == nullptr || !has(*last)) return false;
  Generator const* delegate = last->links.delegate_;
  if (delegate == nullptr) return true;
  bool const busy = compat::free_threaded && delegate->state.is_claimed(claims);
  return busy || delegation_of(module_, *delegate) == nullptr;
}

/// Walks the chain from the root, linking upwards, and remembers where it ends. No further than to a delegate that
/// another driver is inside of: what that goes through is its own.
/// \param claims  the leaf is to be claimed: no other operation may be under way on the way there
void Chain::Position::find_leaf(Delegation& first, bool claims) {
  Delegation* last = &first;
  while (last->links.delegate_ != nullptr) {
    Generator& delegate = *last->links.delegate_;
    if (delegate.state.blocks(claims)) {
      block(*last);
      first.links.innermost_ = nullptr;
      return;
    }
    Delegation* next = delegation_of(module_, delegate);
    if (next == nullptr) break;
    next->links.outer_ = last;
    next->links.innermost_ = nullptr;
    last = next;
  }
  first.links.innermost_ = last;
}

/// The chain ends here for now. What the delegate is must be read under the lock: it may yield at any moment.
void Chain::Position::block(Delegation& delegation) noexcept {
  blocked_ = &delegation;
  blocked_state_ = delegation.links.delegate_->state.lifecycle();
}

namespace {

/// Sets `bit`, and says whether it was set: drivers of two threads may be given the same object.
auto test_and_set(bool& bit) noexcept -> bool {
#ifdef Py_GIL_DISABLED
  return std::atomic_ref(bit).exchange(true, std::memory_order_acq_rel);
#else
  return std::exchange(bit, true);
#endif
}

}  // namespace

auto Chain::Position::link(Delegation& delegation) noexcept -> bool {
  Object const handled = delegation.handled ? compat::handled_exception() : nullptr;
  ChainLock::Driving const lock(module_.chains);
  if (test_and_set(delegation.taken) || delegation.progress == Progress::finished) return false;
  delegation.progress = Progress::started;
  delegation.links.parent_ = member_;
  delegation.links.outer_ = above_;
  if (delegation.handled && delegation.handled.get() == handled.get()) delegation.handled.reset();  // not the last one
  if (!delegation.handled && above_ != nullptr) delegation.handled = above_->handled;
  return true;
}

/// attach() for a delegate that was partly consumed, and delegates itself: its leaf becomes ours. Null where that is
/// not free; otherwise the last delegation of the chain.
auto Chain::Position::take_over(Delegation& own, Delegation& delegation, Generator& delegate) -> Delegation* {
  if (!knows_leaf(own, true)) find_leaf(own, true);
  if (std::exchange(blocked_, nullptr) != nullptr) return nullptr;
  Delegation* last = own.links.innermost_;
  Generator& end = last->links.delegate_ != nullptr ? *last->links.delegate_ : *last->links.parent_;
  if (&end != &delegate && !end.state.claim_leaf(true)) return nullptr;
  own.links.innermost_ = nullptr;
  own.links.outer_ = &delegation;
  if (&end != &delegate) delegate.state.end_operation();
  return last;
}

auto Chain::Position::attach(Delegation& delegation, Generator& delegate) -> bool {
  ChainLock::Driving const lock(module_.chains);
  if (!delegate.state.become_delegate()) return false;
  Delegation* last = &delegation;
  if (Delegation* own = delegation_of(module_, delegate)) {
    last = take_over(*own, delegation, delegate);
    if (last == nullptr) {
      delegate.state.refuse_delegation();
      return false;
    }
  }
  delegate.state.begin_body();
  if (!is_at_root()) member_->state.end_operation();
  delegation.links.delegate_ = &delegate;
  first().links.innermost_ = last;
  if (last->links.delegate_ != nullptr) {
    above_ = last;
    member_ = last->links.delegate_;
  } else {
    above_ = last->links.outer_;
    member_ = last->links.parent_;
    foreign_ = last;
  }
  return true;
}

void Chain::Position::begin_foreign(Delegation& delegation) noexcept {
  foreign_ = &delegation;
  ChainLock::Driving const lock(module_.chains);
  first().links.innermost_ = foreign_;
}

void Chain::Position::close_below(Object exit) noexcept {
  Delegation* delegation = above_;
  for (;; delegation = delegation->links.outer_) {
    delegation->links.delegate_->state.begin_closing();
    if (delegation->links.parent_ == &root_) break;
  }
  delegation->pending_exit = std::move(exit);
}

}  // namespace engine
