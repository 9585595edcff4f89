// A resumption: one run of a body, from where it stood to its next step. What a thread is in the middle of is a list of
// them, through the objects that drive.
#ifndef ASYNC_GENERATOR_ENGINE_RESUMPTION_HPP
#define ASYNC_GENERATOR_ENGINE_RESUMPTION_HPP

#include "compat.hpp"  // first, as Python.h has to be

#include <utility>

namespace engine {

struct Generator;

/// A resumption of a generator under way on a thread. It lives in the object that drives the generator, never on the C
/// stack: a greenlet that is switched out takes its part of the stack with it, and comes back after others.
struct Resumption {
  Generator* member;  ///< whose body runs
  Resumption* outer;  ///< the one that was begun before
};

/// What the engine remembers of a thread. In one object: an item asks for two of them.
struct Thread {
  Resumption* innermost = nullptr;  ///< the resumption begun last; its awaitable is being called, so it is referred to
  PyObject* handed_up = nullptr;    ///< the item that a yield_() handed up last (wrapped_item.hpp). Only compared
  int dismantling = 0;              ///< how many bodies are being dropped, one out of the other
};
extern constinit thread_local Thread this_thread AGEN_STATIC_TLS;

/// The one place where a body is entered and left: each resumption of one is in the scope of a Resuming. The one begun
/// last is `innermost()`; greenlets end theirs in any order.
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
  static auto is_under_way(Resumption const& sought) noexcept -> bool;

 private:
  static void take_out(Resumption& ended) noexcept;
  Resumption& resumption_;
};

/// A body is dropped that its generator could not close: the interpreter closes it once more. What it then yields has
/// no consumer, and is not worth a warning.
class Dismantling {
 public:
  Dismantling() noexcept { ++this_thread.dismantling; }
  ~Dismantling() { --this_thread.dismantling; }
  Dismantling(Dismantling const&) = delete;
  auto operator=(Dismantling const&) -> Dismantling& = delete;
  static auto under_way() noexcept -> bool { return depth() != 0; }
  static auto depth() noexcept -> int { return this_thread.dismantling; }
};

}  // namespace engine

#endif
