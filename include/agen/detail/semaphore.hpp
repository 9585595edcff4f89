// One thread waits until another one is done: std::binary_semaphore, where it can be relied on.
#ifndef AGEN_DETAIL_SEMAPHORE_HPP
#define AGEN_DETAIL_SEMAPHORE_HPP

#include "compiler.hpp"  // first: see there

#if AGEN_SEMAPHORE_LOSES_SIGNALS
#include <condition_variable>
#include <mutex>
#else
#include <semaphore>
#endif

namespace agen::detail {

#if AGEN_SEMAPHORE_LOSES_SIGNALS
/// Released once, acquired once. Whoever has acquired it may destroy it.
class binary_semaphore {
 public:
  explicit binary_semaphore(int /*zero*/) noexcept {}
  void release() {
    std::lock_guard const lock(mutex_);
    released_ = true;
    changed_.notify_one();  // under the lock: afterwards it may be gone
  }
  void acquire() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return released_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool released_ = false;
};
#else
using std::binary_semaphore;
#endif

}  // namespace agen::detail

#endif  // AGEN_DETAIL_SEMAPHORE_HPP
