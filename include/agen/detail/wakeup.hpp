// One thread wakes another by a file descriptor, which any event loop can watch: an eventfd on Linux, a pipe elsewhere.
#ifndef AGEN_DETAIL_WAKEUP_HPP
#define AGEN_DETAIL_WAKEUP_HPP

#include "compiler.hpp"  // first: see there

#ifdef _WIN32
#error "agen/channel.hpp needs a file descriptor that event loops can watch, and does not have one on Windows yet"
#endif

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <coroutine>
#include <memory>
#include <system_error>
#include <utility>

#ifdef __linux__
#include <sys/eventfd.h>

#include <cstdint>
#else
#include <fcntl.h>
#endif

namespace agen {
namespace detail {

[[noreturn]] inline void raise_errno(char const* what) {
  AGEN_THROW(std::system_error(errno, std::generic_category(), what));
}

/// Readable from signal() to drain(). Neither of them blocks. Several signals before one drain() count as one.
class wakeup {
 public:
  wakeup() {
#ifdef __linux__
    reading_ = writing_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (reading_ < 0) raise_errno("agen::channel: eventfd");
#else
    int ends[2];
    if (::pipe(ends) != 0) raise_errno("agen::channel: pipe");
    reading_ = ends[0];
    writing_ = ends[1];
    for (int const end : ends) {
      ::fcntl(end, F_SETFD, FD_CLOEXEC);
      ::fcntl(end, F_SETFL, O_NONBLOCK);
    }
#endif
  }
  wakeup(wakeup const&) = delete;
  auto operator=(wakeup const&) -> wakeup& = delete;
  ~wakeup() {
    ::close(reading_);
    if (writing_ != reading_) ::close(writing_);
  }

  [[nodiscard]] auto descriptor() const noexcept -> int { return reading_; }
  void signal() const noexcept {
#ifdef __linux__
    std::uint64_t const one = 1;
#else
    char const one = 1;
#endif
    while (::write(writing_, &one, sizeof one) < 0 && errno == EINTR) continue;
  }
  void drain() const noexcept {
    char pending[64];
    // A pipe may hold more than one signal; an eventfd holds a sum, and the second read finds nothing.
    for (;;) {
      ::ssize_t const got = ::read(reading_, pending, sizeof pending);
      if (got == static_cast<::ssize_t>(sizeof pending) || (got < 0 && errno == EINTR)) continue;
      return;
    }
  }

 private:
  int reading_ = -1;
  int writing_ = -1;
};

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
    pollfd watched{descriptor, POLLIN, 0};
    while (::poll(&watched, 1, -1) < 0) {
      if (errno != EINTR) detail::raise_errno("agen::blocking_wait: poll");
    }
    return {};
  }
};

}  // namespace agen

#endif  // AGEN_DETAIL_WAKEUP_HPP
