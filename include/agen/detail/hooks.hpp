// Where the hooks of PEP 525 are kept, and the two places that call them: the first operation on a generator, and the
// dropping of an unfinished one. What the hooks' callables take is defined above this file, in ../hooks.hpp.
#ifndef AGEN_DETAIL_HOOKS_HPP
#define AGEN_DETAIL_HOOKS_HPP

#include "../unraisable.hpp"
#include "frame.hpp"

namespace agen {
class generator_ref;
class abandoned_generator;
}  // namespace agen

namespace agen::detail {

struct installed_hooks {
  hook<generator_ref> firstiter;
  hook<abandoned_generator> finalizer;
};

inline auto current_hooks() noexcept -> installed_hooks& {
  thread_local installed_hooks hooks;
  return hooks;
}

/// Whether this thread has hooks: tested before current_hooks(), which has a destructor to register, is asked.
inline constinit thread_local bool has_hooks = false;

/// Reads the hooks for a generator that has not begun. The firstiter hook may do anything with the generator.
inline void ask_hooks(frame& f) {
  f.own.hooked = true;
  if (!has_hooks) return;
  installed_hooks const& hooks = current_hooks();
  f.own.finalizer = hooks.finalizer;
  if (hooks.firstiter) {
    auto const firstiter = hooks.firstiter;  // the call may replace the hooks
    firstiter(f);
  }
}

inline auto has_finalizer(frame const& f) noexcept -> bool { return !f.own.has_raised && f.own.finalizer; }

/// Hands a generator to its finalizer, which owns it from then on.
inline void abandon(frame& f) noexcept {
  auto const finalizer = std::move(f.own.finalizer);
  AGEN_TRY { finalizer(f); }
  AGEN_CATCH(...) { report_unraisable(current_error()); }
}

}  // namespace agen::detail

#endif  // AGEN_DETAIL_HOOKS_HPP
