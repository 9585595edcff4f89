// Without the GIL: what each thread has of its own, so that threads do not wait for each other.
#ifndef ASYNC_GENERATOR_ENGINE_PER_THREAD_HPP
#define ASYNC_GENERATOR_ENGINE_PER_THREAD_HPP

#include <array>
#include <atomic>
#include <cstddef>

namespace engine {

/// A T for each thread. There are a few of them: of many threads some share one, and T has to allow that.
template <class T>
class PerThread {
 public:
  auto mine() noexcept -> T& { return parts_[number() % parts_.size()].value; }

  /// Calls `function` with each of them, in one order.
  template <class F>
  void for_each(F function) {
    for (Part& part : parts_) function(part.value);
  }

 private:
  struct Part {
    T value{};
    char apart[128];  // no two share a cache line, nor the pair of lines that a processor fetches
  };

  /// The number of this thread, as they came.
  static auto number() noexcept -> std::size_t {
    static std::atomic<std::size_t> threads{0};
    static constinit thread_local std::size_t number = 0;
    if (number == 0) [[unlikely]]
      number = threads.fetch_add(1, std::memory_order_relaxed) + 1;
    return number;
  }

  std::array<Part, 16> parts_{};
};

}  // namespace engine

#endif
