// Which process this is, without a system call: a channel asks at each push, a result several times.
#ifndef AGEN_DETAIL_PROCESS_HPP
#define AGEN_DETAIL_PROCESS_HPP

#include "compiler.hpp"  // first: see there

#ifdef _WIN32
#error "what threads and a coroutine share (channels, futures, events) needs POSIX, and is not there on Windows yet"
#endif

#include <pthread.h>
#include <unistd.h>

#include <atomic>

namespace agen {
namespace detail {

class process {
 public:
  /// What getpid() says, also in the child of a fork(). The children of vfork(), _Fork() and clone() may call nothing
  /// that asks for it.
  static auto id() noexcept -> ::pid_t { return kept_ ? id_.load(std::memory_order_relaxed) : ::getpid(); }

 private:
  static void keep() noexcept { id_.store(::getpid(), std::memory_order_relaxed); }
  static auto begin() noexcept -> bool {
    keep();
    return ::pthread_atfork(nullptr, nullptr, [] { keep(); }) == 0;
  }

  static inline std::atomic<::pid_t> id_ = 0;
  static inline bool const kept_ = begin();  ///< false as well in initializers that run before this one
};

}  // namespace detail
}  // namespace agen

#endif  // AGEN_DETAIL_PROCESS_HPP
