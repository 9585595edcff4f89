// Which C++ body a thread runs. Bodies nest: one calls Python, which resumes another one. Greenlets leave the middle of
// a body, and come back after others, so that what was begun last need not be what runs.
#ifndef AGEN_PYTHON_UNDER_WAY_HPP
#define AGEN_PYTHON_UNDER_WAY_HPP

#include <utility>

#include "greenlets.hpp"

namespace agen::python::detail {

class resumption;

/// A stretch of what a thread does: it resumes a body, or it does what is no body's. The thread has a list of those
/// that have begun and not ended; greenlets end theirs in any order. None may be on the stack: a greenlet that is
/// switched out takes its part of that away.
class under_way {
 public:
  /// \param of  null: what runs there is not driven by Python
  explicit under_way(resumption* of) noexcept : of_(of) {}
  under_way(under_way const&) = delete;
  auto operator=(under_way const&) -> under_way& = delete;
  ~under_way() = default;

  static auto any() noexcept -> bool { return last_ != nullptr; }
  /// Whose body runs on this thread; null outside of all.
  static auto current() noexcept -> resumption* {
    if (last_ == nullptr) return nullptr;
    return last_->outer_ == nullptr || last_->greenlet_ == nullptr ? last_->of_ : of_this_greenlet();
  }

  /// It is not begun again before it has ended.
  AGEN_ALWAYS_INLINE void begin() noexcept {
    outer_ = std::exchange(last_, this);
    if (outer_ != nullptr) [[unlikely]]
      note_greenlet();
  }
  AGEN_ALWAYS_INLINE void end() noexcept {
    if (last_ == this) [[likely]]
      last_ = outer_;
    else
      take_out();
  }

 private:
  AGEN_OUT_OF_LINE void note_greenlet() noexcept { greenlet_ = greenlets::running(); }
  AGEN_NOINLINE void take_out() noexcept {
    under_way** link = &last_;
    while (*link != nullptr && *link != this) link = &(*link)->outer_;
    if (*link != nullptr) *link = outer_;
  }
  /// What was begun last in the greenlet that runs. One that noted none was begun before there were any. The outermost
  /// has not noted its own: it is what is left.
  AGEN_OUT_OF_LINE static auto of_this_greenlet() noexcept -> resumption* {
    PyObject const* const running = greenlets::running();
    under_way* one = last_;
    while (one->outer_ != nullptr && one->greenlet_ != nullptr && one->greenlet_ != running) one = one->outer_;
    return one->of_;
  }

  resumption* of_;
  under_way* outer_ = nullptr;          ///< the one begun before
  PyObject const* greenlet_ = nullptr;  ///< where it was begun, if it is not the outermost

  static inline AGEN_PYTHON_MODULE_LOCAL AGEN_STATIC_TLS constinit thread_local under_way* last_ = nullptr;
};

}  // namespace agen::python::detail

#endif  // AGEN_PYTHON_UNDER_WAY_HPP
