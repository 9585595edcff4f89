// Which process this is, without a system call: a channel asks at each push, a result several times.
#ifndef AGEN_DETAIL_PROCESS_HPP
#define AGEN_DETAIL_PROCESS_HPP

#include "compiler.hpp"  // first: see there

#ifndef _WIN32
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#endif

namespace agen {
namespace detail {

#ifdef _WIN32

/// Nothing is shared with another process: there is no fork().
class process {
 public:
  using id_type = int;
  static constexpr auto id() noexcept -> id_type { return 1; }
};

#else

class process {
 public:
  using id_type = ::pid_t;
  /// What getpid() says, also in the child of a fork(). The children of vfork(), _Fork() and clone() may call nothing
  /// that asks for it.
  static auto id() noexcept -> id_type { return kept_ ? id_.load(std::memory_order_relaxed) : ::getpid(); }

 private:
  static void keep() noexcept { id_.store(::getpid(), std::memory_order_relaxed); }
  static auto begin() noexcept -> bool {
    keep();
    return ::pthread_atfork(nullptr, nullptr, [] { keep(); }) == 0;
  }

  static inline std::atomic<id_type> id_ = 0;
  static inline bool const kept_ = begin();  ///< false as well in initializers that run before this one
};

#endif

}  // namespace detail
}  // namespace agen

#endif  // AGEN_DETAIL_PROCESS_HPP
