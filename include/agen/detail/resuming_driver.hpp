// A driver whose owner also resumes the body after some of its awaits, as the bridge to Python does. Such an await
// needs no handshake between two sides, so it costs little more than an item. Beside that: anext() in parts short
// enough for the bridge's hot path.
#ifndef AGEN_DETAIL_RESUMING_DRIVER_HPP
#define AGEN_DETAIL_RESUMING_DRIVER_HPP

#include "../driver.hpp"

namespace agen::detail {

class resuming_driver : public driver {
 public:
  using driver::driver;

  /// For an awaiter when `f`, its body, is about to suspend: whether the owner will resume the body, by resume(). If
  /// so, the operation under way gives step::awaits, and the callback is not called. False: the body suspends as in
  /// anything else that is foreign.
  auto takes_over(frame& f) noexcept -> bool {
    if (&f != &iterating_.of() || under_way_ != way::iterates || f.own.now != phase::running) return false;
    f.own.handed.end();
    return owner_resumes_ = true;
  }
  /// The body waits for resume().
  [[nodiscard]] auto awaits_owner() const noexcept -> bool { return owner_resumes_; }
  /// Resumes a body that awaits_owner(); `body` is its handle.
  auto resume(std::coroutine_handle<> body) noexcept -> step {
    owner_resumes_ = false;
    body.resume();
    return resumed();
  }

  using driver::is_at_yield;
  /// anext() at a yield. True: an item is there. False: finish_anext() gives the step.
  AGEN_ALWAYS_INLINE auto anext_at_yield() noexcept -> bool {
    under_way_ = way::iterates;
    iterating_.resume(nullptr);
    if (!iterating_.has_arrived() || own().handed.item() == nullptr) [[unlikely]]
      return false;
    under_way_ = way::none;
    answer_ = step::yielded;
    return true;
  }
  AGEN_ALWAYS_INLINE auto finish_anext() noexcept -> step { return resumed(); }
  /// anext() where the body is not known to be at a yield.
  auto anext_anywhere() noexcept -> step { return iterate(operation::anext, nullptr, true); }
};

}  // namespace agen::detail

#endif  // AGEN_DETAIL_RESUMING_DRIVER_HPP
