// The answer of try_push(), of channels between threads and of those between coroutines.
#ifndef AGEN_PUSH_RESULT_HPP
#define AGEN_PUSH_RESULT_HPP

#include "detail/compiler.hpp"  // first: see there

namespace agen {

/// What became of an item that was to be pushed without waiting. True: it is in the channel.
class push_result {
 public:
  enum kind : unsigned char { pushed, full, unwanted };
  // NOLINTNEXTLINE(google-explicit-constructor): an enumerator is one
  constexpr push_result(kind what) noexcept : what_(what) {}
  constexpr operator bool() const noexcept { return what_ == pushed; }  // NOLINT(google-explicit-constructor): as bool
  /// The channel is full: try again later.
  [[nodiscard]] constexpr auto is_full() const noexcept -> bool { return what_ == full; }
  /// The channel is closed or stopped: it takes no item any more.
  [[nodiscard]] constexpr auto is_unwanted() const noexcept -> bool { return what_ == unwanted; }

 private:
  kind what_;
};

}  // namespace agen

#endif  // AGEN_PUSH_RESULT_HPP
