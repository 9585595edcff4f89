// See stack.hpp.
#include "stack.hpp"

#include <algorithm>
#include <cstddef>

#ifdef _WIN32
#include <windows.h>
#elif defined(__APPLE__)
#include <pthread.h>
#elif defined(__linux__)
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace engine {

namespace {

/// A stack grows down to `low`. Both are zero where they are not known.
struct Extent {
  std::uintptr_t low = 0;
  std::size_t size = 0;
};

#ifdef _WIN32
auto extent_of_stack() noexcept -> Extent {
  ULONG_PTR low = 0;
  ULONG_PTR high = 0;
  GetCurrentThreadStackLimits(&low, &high);
  return {low, high - low};
}
#elif defined(__APPLE__)
auto extent_of_stack() noexcept -> Extent {
  auto const high = reinterpret_cast<std::uintptr_t>(pthread_get_stackaddr_np(pthread_self()));
  std::size_t const size = pthread_get_stacksize_np(pthread_self());
  return {high - size, size};
}
#elif defined(__linux__)
/// Of the first thread's stack musl knows what is in use by now. It may grow to the limit.
auto grown([[maybe_unused]] Extent extent) noexcept -> Extent {
#ifndef __GLIBC__
  if (syscall(SYS_gettid) == getpid()) {
    rlimit limit{};
    if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return {};
    return {extent.low + extent.size - limit.rlim_cur, limit.rlim_cur};
  }
#endif
  return extent;
}

auto extent_of_stack() noexcept -> Extent {
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return {};
  void* low = nullptr;
  std::size_t size = 0;
  pthread_attr_getstack(&attributes, &low, &size);
  pthread_attr_destroy(&attributes);
  return grown({reinterpret_cast<std::uintptr_t>(low), size});
}
#else
auto extent_of_stack() noexcept -> Extent { return {}; }
#endif

/// What is kept of a thread's stack for what the last step calls, and for the way back.
struct Reserve {
  std::uintptr_t low = 0;
  std::size_t size = 0;
  bool known = false;
};
constinit thread_local Reserve this_threads;

AGEN_COLD void look_up(Reserve& reserve) noexcept {
  Extent const extent = extent_of_stack();
  constexpr std::size_t least = 1U << 14;  // 16 KiB
  constexpr std::size_t most = 1U << 18;   // 256 KiB
  reserve = {extent.low, extent.size == 0 ? 0 : std::clamp(extent.size / 8, least, most), true};
}

}  // namespace

auto Nested::stack_has_room(char const* where) noexcept -> bool {
  Reserve& reserve = this_threads;
  if (!reserve.known) [[unlikely]]
    look_up(reserve);
  // On a stack that is not the thread's, as a fiber's, the difference is large, or wraps around and is.
  auto const here = reinterpret_cast<std::uintptr_t>(AGEN_FRAME_ADDRESS);
  if (here - reserve.low >= reserve.size) [[likely]]
    return true;
  PyErr_Format(PyExc_RecursionError, "the thread's stack is nearly used up%s", where);
  return false;
}

}  // namespace engine
