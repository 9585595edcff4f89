// The awaiter of yield_from for a generator with the same items and the same Send: O(1) to attach, free per item.
#ifndef AGEN_DETAIL_DELEGATE_HPP
#define AGEN_DETAIL_DELEGATE_HPP

#include "operations.hpp"
#include "outcome.hpp"

namespace agen::detail {

/// Called in the body of `at.parent` when that continues after its yield_from: raises what has to be raised there. An
/// exit it makes for throw_made(); null: there is nothing to raise.
AGEN_NOINLINE inline auto raise_delegated(delegation& at) -> void* {
  control& c = *at.parent->of;
  if (at.destroyed) {
    if (at.parent->own.throwing) return exit_or_rethrow(*at.parent);
    AGEN_THROW(delegate_destroyed("yield_from: the generator delegated to was destroyed"));
  }
  if (at.ignored)
    AGEN_THROW(ignored_generator_exit("async generator ignored generator_exit: it yielded while it was closed"));
  if (at.child->own.has_raised) {
    std::exception_ptr error = at.child->own.take();
    if (!at.exit || !is_exit(error)) std::rethrow_exception(std::move(error));
  }
  if (!at.exit) return nullptr;
  if (at.parent != &c.leaf.promise() || &at.parent->own != &c) return make_thrown<generator_exit>();
  auto& closer = static_cast<exit_pending&>(*c.link);
  if (!closer.closes_root) c.exiting = false;
  if (closer.exit == nullptr) return make_thrown<generator_exit>();
  std::rethrow_exception(closer.exit);
}

/// `Owner` is the generator by value, or a reference to a generator that its owner keeps alive.
template <class Owner, class Send, class Return>
class delegate_awaiter : delegation {
 public:
  delegate_awaiter(Owner&& generator, frame& parent_frame) noexcept : generator_(static_cast<Owner&&>(generator)) {
    this->parent = &parent_frame;
    this->child = &generator_.frame();
    this->owns = !std::is_reference_v<Owner>;
  }
  delegate_awaiter(delegate_awaiter const&) = delete;
  auto operator=(delegate_awaiter const&) -> delegate_awaiter& = delete;
  ~delegate_awaiter() {
    // `child` is null when destroy_chain() has handed the frame to a finalizer or has destroyed it.
    if constexpr (!std::is_reference_v<Owner>) {
      if (this->child == nullptr) generator_.release();
    }
  }

  auto await_ready() -> bool {
    control& inner = this->child->own;
    if (!inner.hooked && inner.now == phase::created)
      ask_hooks(*this->child);  // the hook may do anything with the generator
    // PEP 380: a delegation begins with next(), so what is legal for anext is legal here.
    switch (admit(operation::anext, state_of(inner))) {
      case admission::already_running:
        AGEN_THROW(already_running("yield_from: the generator delegated to is already running"));
      case admission::end: return true;
      default: break;
    }
    if constexpr (!sends_nothing<Send>) {
      if (inner.now == phase::suspended) raise_nothing_sent();
    }
    return false;
  }
  void await_suspend(std::coroutine_handle<> /*body*/) noexcept { attach(*this); }
  /// Inlined, because an exception that leaves a function more costs a quarter more.
  AGEN_ALWAYS_INLINE auto await_resume() -> Return {
    if (this->child == nullptr || this->exit || this->ignored || this->child->own.has_raised) [[unlikely]] {
      if (void* const raised = raise_delegated(*this)) throw_made<generator_exit>(raised);
    }
    if constexpr (!std::is_void_v<Return>) return returned_value<Return>(*this->child);
  }

 private:
  Owner generator_;
};

}  // namespace agen::detail

#endif  // AGEN_DETAIL_DELEGATE_HPP
