// Memory that is allocated and freed again and again: each thread keeps a few blocks for the next time.
#ifndef AGEN_DETAIL_RECYCLED_HPP
#define AGEN_DETAIL_RECYCLED_HPP

#include "compiler.hpp"  // first: see there

#include <cstddef>
#include <memory>
#include <new>
#include <utility>

namespace agen::detail {

/// Blocks of one thread. A block may have come from another thread.
class block_cache {
  static constexpr std::size_t unit = 64;       ///< sizes are rounded up, so that a block fits more often
  static constexpr std::size_t largest = 1024;  ///< what is larger is not kept

 public:
  static auto allocate(std::size_t size) -> void* {
    std::size_t const rounded = round(size);
    if (rounded <= largest && !closed) {
      for (auto& kept : here().blocks_) {
        if (kept.size == rounded && kept.block != nullptr) return std::exchange(kept.block, nullptr);
      }
    }
    return ::operator new(rounded);
  }
  static void free(void* block, std::size_t size) noexcept {
    std::size_t const rounded = round(size);
    if (rounded <= largest && !closed) {
      for (auto& kept : here().blocks_) {
        if (kept.block != nullptr) continue;
        kept = {block, rounded};
        return;
      }
    }
    ::operator delete(block);
  }

  block_cache() noexcept = default;
  block_cache(block_cache const&) = delete;
  auto operator=(block_cache const&) -> block_cache& = delete;
  ~block_cache() {
    closed = true;
    for (auto const& kept : blocks_) ::operator delete(kept.block);
  }

 private:
  struct kept_block {
    void* block = nullptr;
    std::size_t size = 0;
  };

  static auto round(std::size_t size) noexcept -> std::size_t { return (size + unit - 1) / unit * unit; }
  static auto here() noexcept -> block_cache& {
    thread_local block_cache cache;
    return cache;
  }
  /// The thread's cache is destroyed: objects that are destroyed later free their memory themselves.
  static inline constinit thread_local bool closed = false;

  kept_block blocks_[4];
};

/// An allocator of single objects for std::allocate_shared. What is aligned more strictly than memory from operator new
/// is not recycled.
template <class T>
struct recycling_allocator {
  using value_type = T;
  static constexpr bool recycles = alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__;

  recycling_allocator() noexcept = default;
  template <class U>
  explicit(false) recycling_allocator(recycling_allocator<U> const& /*other*/) noexcept {}

  static auto allocate(std::size_t n) -> T* {
    if constexpr (recycles) {
      return static_cast<T*>(block_cache::allocate(n * sizeof(T)));
    } else {
      return std::allocator<T>().allocate(n);
    }
  }
  static void deallocate(T* at, std::size_t n) noexcept {
    if constexpr (recycles) {
      block_cache::free(at, n * sizeof(T));
    } else {
      std::allocator<T>().deallocate(at, n);
    }
  }
  friend auto operator==(recycling_allocator const& /*a*/, recycling_allocator const& /*b*/) noexcept -> bool {
    return true;
  }
};

}  // namespace agen::detail

#endif  // AGEN_DETAIL_RECYCLED_HPP
