// Destroying generators that have not finished. A chain of delegation is destroyed without recursion, however deep it
// is, and generators in it that the chain does not own survive. No cleanup is awaited here: that is what aclose is for.
#ifndef AGEN_DETAIL_DROP_HPP
#define AGEN_DETAIL_DROP_HPP

#include <cstddef>
#include <new>

#include "../errors.hpp"
#include "../unraisable.hpp"
#include "frame.hpp"
#include "hooks.hpp"

namespace agen::detail {

/// Takes `f`, with everything below it, out of the chain that `c` controls. It is a root again.
inline void detach(frame& f, control& c) noexcept {
  c.leaf.promise().of = &f.own;
  f.own.leaf = c.leaf;
  f.own.now = c.now;
  f.own.handed = c.handed;  // may be an item whose consumer was destroyed before it could take it
  f.own.attached = false;
  f.own.link = const_cast<pending*>(&no_consumer);
}

inline void destroy_under_operation(frame& root, bool hand_over) noexcept;

/// Destroys the generators that the chain of `root` owns, the leaf first, as leaving scopes would, but not `root`. A
/// generator that is delegated to by reference stays alive.
///
/// \param hand_over  a generator with a finalizer goes to that instead, together with everything below it.
AGEN_NOINLINE inline void destroy_below(frame& root, bool hand_over) noexcept {
  control& c = root.own;
  frame* survivor = nullptr;
  frame* f = &c.leaf.promise();
  for (frame* g = f; g != &root; g = g->own.parent->parent) {
    if (!g->own.parent->owns || (hand_over && has_finalizer(*g))) survivor = g;
  }
  if (survivor != nullptr) {
    delegation& at = *survivor->own.parent;
    detach(*survivor, c);
    at.child = nullptr;
    f = at.parent;
    if (at.owns) abandon(*survivor);
  }
  while (f != &root) {
    delegation& at = *f->own.parent;
    frame* const parent = at.parent;
    at.child = nullptr;
    handle_of(*f).destroy();
    f = parent;
  }
}

/// Destroys `root`, after what is below it.
///
/// \param hand_over  see destroy_below. False where a finalizer has had the chain already and has let go of it.
AGEN_NOINLINE inline void destroy_chain(frame& root, bool hand_over) noexcept {
  control& c = root.own;
  // A frame cannot be destroyed while it executes, so there is no correct way to continue.
  if (c.now == phase::running) std::terminate();
  if (c.now == phase::elsewhere && load(c.link->at) != severed) return destroy_under_operation(root, hand_over);
  if (c.now == phase::closed) {
    if (is_empty(root)) return;
    if (c.has_raised && c.link == &no_consumer) {
      std::exception_ptr error = c.take();
      if (!is_exit(error)) report_unraisable(std::move(error));  // an exit that has left the body is no error
    }
    return handle_of(root).destroy();
  }
  destroy_below(root, hand_over && c.now != phase::elsewhere);
  handle_of(root).destroy();
}

/// What lies in memory before the frame of a generator that is `destroyed_on_close`.
struct alignas(__STDCPP_DEFAULT_NEW_ALIGNMENT__) frame_memory {
  bool kept = false;  ///< the frame is destroyed, and its memory is not freed: a closed generator is made there

  static auto of(void* frame) noexcept -> frame_memory& { return *(static_cast<frame_memory*>(frame) - 1); }
};

/// Destroys a suspended body, its locals first. Its generator stays, and is closed.
inline void destroy_body(frame& f) noexcept {
  frame_handle const body = handle_of(f);
  frame_memory::of(body.address()).kept = true;
  body.destroy();
  auto* const left = ::new (static_cast<void*>(&f)) frame(phase::closed);
  left->own.leaf = body;
}

/// Closes what is at the end of a chain and is `destroyed_on_close`. True: a body is left, which gets the exit.
AGEN_NOINLINE inline auto destroy_leaves(frame& root, exit_pending& operation) noexcept -> bool {
  control& c = root.own;
  while ((c.leaf.promise().own.closing & control::destroyed_on_close) != 0) {
    frame& leaf = c.leaf.promise();
    c.now = phase::running;  // what a destructor asks of the generator is refused
    if (&leaf == &root) {
      destroy_body(root);
      return false;
    }
    delegation& at = *leaf.own.parent;
    destroy_body(leaf);
    at.exit = true;
    at.parent->of = &c;
    c.leaf = handle_of(*at.parent);
    operation.climbed = true;
  }
  return true;
}

#if !AGEN_HAS_EXCEPTIONS
/// The whole of an aclose() where no exception can be thrown into the body: nothing in it runs any more. What it
/// delegates to is destroyed at once, its own locals with the generator.
inline void end_at_yield(frame& root) noexcept {
  destroy_below(root, true);
  root.own.leaf = handle_of(root);
  root.own.handed.end();
  root.own.finalizer.reset();
  root.own.now = phase::closed;
}
#endif

/// The same while a consumer waits, which then never gets an answer. A partner is told so after the generator, and what
/// its body awaited, are destroyed.
inline void destroy_under_operation(frame& root, bool hand_over) noexcept {
  pending& operation = *root.own.link;
  // If it is not `waiting` yet, its await_suspend is still on the stack, and settle() will see `severed`.
  bool const waits = exchange(operation.at, severed) == waiting;
  cancellation_scope* const cancellation = waits && operation.observed ? operation.cancellation : nullptr;
  destroy_chain(root, hand_over);
  if (cancellation != nullptr) cancellation->on_generator_destroyed(*cancellation);
}

/// The owner of `f` destroys it while another generator delegates to it. The other generator gets delegate_destroyed:
/// at once if it waits for an item, otherwise when it is resumed.
AGEN_NOINLINE inline void leave_parent(frame& f) noexcept {
  frame* top = &f;
  while (top->own.attached) top = top->own.parent->parent;
  control& c = top->own;
  if (c.now == phase::running) std::terminate();
  delegation& at = *f.own.parent;
  if (c.now == phase::elsewhere && c.exiting) {  // if the target is f, or below it, the parent of f is closed next
    frame*& target = static_cast<exit_pending&>(*c.link).target;
    for (frame* g = &c.leaf.promise(); g != at.parent; g = g->own.parent->parent) {
      if (g != target) continue;
      target = at.parent;
      break;
    }
  }
  detach(f, c);
  at.child = nullptr;
  at.destroyed = true;
  at.parent->of = &c;
  c.leaf = handle_of(*at.parent);
  if (c.now == phase::unclaimed) c.now = phase::suspended;  // the item is destroyed with the generator that yielded it
  if (c.now == phase::elsewhere) transfer(c);
}

/// What happens when the owner of a generator lets go of it.
AGEN_NOINLINE inline void drop_unfinished(frame& f) noexcept {
  if (f.own.attached) leave_parent(f);
  bool const at_yield = f.own.now == phase::suspended || f.own.now == phase::unclaimed;
  if (at_yield && has_finalizer(f)) return abandon(f);
  destroy_chain(f, true);
}

/// The same, at first for one whose body has ended and has nothing to report.
AGEN_OUT_OF_LINE inline void drop(frame& f) noexcept {
  if (f.own.now != phase::closed || f.own.has_raised) return drop_unfinished(f);
  if (!is_empty(f)) handle_of(f).destroy();
}

}  // namespace agen::detail

#endif  // AGEN_DETAIL_DROP_HPP
