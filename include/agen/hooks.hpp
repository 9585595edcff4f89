// The hooks of PEP 525, which each thread has for itself. An event loop installs them to know the generators that it
// iterates, and to close those that were dropped before they finished.
#ifndef AGEN_HOOKS_HPP
#define AGEN_HOOKS_HPP

#include "detail/compiler.hpp"  // first: see there

#include <utility>

#include "detail/drop.hpp"
#include "detail/hooks.hpp"
#include "detail/operations.hpp"

namespace agen {

/// A generator as the firstiter hook sees it: its identity, without ownership and without the types of its items.
class generator_ref {
 public:
  /// \internal Made for the hook.
  explicit generator_ref(detail::frame& f) noexcept : frame_(&f) {}
  /// The same value for one generator from its first iteration to its finalizer, also after the generator was moved.
  [[nodiscard]] auto id() const noexcept -> void const* { return frame_; }

 private:
  detail::frame* frame_;
};

/// A generator that was started, not finished, and dropped: what the finalizer hook gets. It owns the generator.
///
/// Its holder awaits aclose() where the loop runs, and keeps the object until that is done. Destroying it destroys the
/// body at its co_yield: its locals in order, nothing awaited. Both may drop other generators, so the finalizer may be
/// called again before they are done. Move-only; a moved-from one is closed.
class [[nodiscard]] abandoned_generator {
 public:
  /// \internal Made for the hook.
  explicit abandoned_generator(detail::frame& f) noexcept : frame_(&f) {}
  abandoned_generator(abandoned_generator&& other) noexcept
      : frame_(std::exchange(other.frame_, &detail::no_generator.the_frame)) {}
  auto operator=(abandoned_generator other) noexcept -> abandoned_generator& {
    std::swap(frame_, other.frame_);
    return *this;
  }
  ~abandoned_generator() {
    if (!detail::is_empty(*frame_)) detail::destroy_chain(*frame_, false);
  }

  /// See generator_ref::id(). Null after having been moved from.
  [[nodiscard]] auto id() const noexcept -> void const* { return detail::is_empty(*frame_) ? nullptr : frame_; }

  /// Awaitable: closes the generator, as async_generator::aclose(), with the same errors.
  auto aclose() noexcept -> detail::aclose_awaitable { return detail::aclose_awaitable(*frame_); }

 private:
  detail::frame* frame_;
};

/// Both hooks, each empty or any callable; copies share the callables.
///
/// A generator reads them once, on the thread that first awaits one of its operations, and keeps the finalizer. The
/// finalizer may be called on any thread on which the generator is dropped. One that throws: see unraisable.hpp.
struct asyncgen_hooks {
  detail::hook<generator_ref> firstiter;        ///< called before the first iteration
  detail::hook<abandoned_generator> finalizer;  ///< called when an unfinished generator is dropped
};

/// Replaces the calling thread's hooks (sys.set_asyncgen_hooks). Generators that have started keep theirs.
inline void set_asyncgen_hooks(asyncgen_hooks hooks) noexcept {
  detail::has_hooks = hooks.firstiter || hooks.finalizer;
  detail::current_hooks() = {std::move(hooks.firstiter), std::move(hooks.finalizer)};
}

/// The calling thread's hooks (sys.get_asyncgen_hooks).
[[nodiscard]] inline auto get_asyncgen_hooks() noexcept -> asyncgen_hooks {
  auto const& [firstiter, finalizer] = detail::current_hooks();
  return {firstiter, finalizer};
}

}  // namespace agen

#endif  // AGEN_HOOKS_HPP
