// What a wakeup is made of: an eventfd on Linux, a pipe on other systems with POSIX.
#ifndef AGEN_DETAIL_WAKEUP_POSIX_HPP
#define AGEN_DETAIL_WAKEUP_POSIX_HPP

#include "compiler.hpp"  // first: see there

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#ifdef __linux__
#include <sys/eventfd.h>

#include <cstdint>
#else
#include <fcntl.h>
#endif

namespace agen::detail {

[[noreturn]] inline void raise_system_error(char const* what) {
  AGEN_THROW(std::system_error(errno, std::generic_category(), what));
}

/// Readable from signal() to drain(). Neither of them blocks. Several signals before one drain() count as one.
class wakeup {
 public:
  wakeup() {
#ifdef __linux__
    reading_ = writing_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (reading_ < 0) raise_system_error("agen::channel: eventfd");
#else
    int ends[2];
    if (::pipe(ends) != 0) raise_system_error("agen::channel: pipe");
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

/// Blocks the thread until the descriptor is readable. Throws std::system_error.
inline void block_until_readable(int descriptor) {
  pollfd watched{descriptor, POLLIN, 0};
  while (::poll(&watched, 1, -1) < 0) {
    if (errno != EINTR) raise_system_error("agen::blocking_wait: poll");
  }
}

}  // namespace agen::detail

#endif  // AGEN_DETAIL_WAKEUP_POSIX_HPP
