// One thread wakes another by a descriptor, which any event loop can watch: a file descriptor, on Windows a socket.
#ifndef AGEN_DETAIL_WAKEUP_HPP
#define AGEN_DETAIL_WAKEUP_HPP

#include "compiler.hpp"  // first: see there

#include <coroutine>
#include <memory>
#include <utility>

#ifdef _WIN32
#include "wakeup_windows.hpp"
#else
#include "wakeup_posix.hpp"
#endif

namespace agen {
namespace detail {

/// A push that finds the consumer waiting rings the consumer's bell, from any thread. Both ends keep it alive.
class bell {
 public:
  bell() = default;
  bell(bell const&) = delete;
  auto operator=(bell const&) -> bell& = delete;
  virtual ~bell() = default;
  virtual void ring() noexcept = 0;
};

/// The bell of a consumer that has a descriptor of its own.
class own_bell final : public bell {
 public:
  void ring() noexcept override { wakeup_.signal(); }
  [[nodiscard]] auto wake() const noexcept -> wakeup const& { return wakeup_; }

 private:
  wakeup const wakeup_;
};

// How the consumer of a channel, or of a future, waits:
//   begin(arm)   calls arm(bell) with the bell that it will hear; false if that says so: there is nothing to wait for
//   operator()   after it, the awaitable; for_end(): the same where the end of the producers is awaited
//   woken()      after that; gives_up(): whether the end of a channel's producers has been awaited for
//                long enough

/// By a descriptor of its own, in a way that the user gives.
template <class Wait>
class waits_by_descriptor {
 public:
  /// Throws std::system_error.
  explicit waits_by_descriptor(Wait wait) : bell_(std::make_shared<own_bell>()), wait_(std::move(wait)) {}
  template <class Arm>
  auto begin(Arm arm) const -> bool {
    return arm(bell_);
  }
  auto operator()() -> decltype(auto) { return wait_(bell_->wake().descriptor()); }
  auto for_end() -> decltype(auto) { return (*this)(); }
  void woken() const noexcept { bell_->wake().drain(); }
  [[nodiscard]] static auto gives_up() noexcept -> bool { return false; }

 private:
  std::shared_ptr<own_bell> bell_;
  Wait wait_;  // ends before the descriptor does
};

}  // namespace detail

/// A way to wait for programs without an event loop: blocks the thread until the descriptor is readable.
/// Throws std::system_error.
struct blocking_wait {
  auto operator()(int descriptor) const -> std::suspend_never {
    detail::block_until_readable(descriptor);
    return {};
  }
};

}  // namespace agen

#endif  // AGEN_DETAIL_WAKEUP_HPP
