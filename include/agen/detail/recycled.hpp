// Memory that is allocated and freed again and again: each thread keeps a few blocks for the next time.
#ifndef AGEN_DETAIL_RECYCLED_HPP
#define AGEN_DETAIL_RECYCLED_HPP

#include "compiler.hpp"  // first: see there

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

namespace agen::detail {

/// Blocks of one thread. A block may have come from another thread.
class block_cache {
  static constexpr std::size_t unit = 64;     ///< sizes are rounded up, so that a block fits more often
  static constexpr std::size_t classes = 16;  ///< what is larger than 16 units is not kept
  static constexpr int most = 8;              ///< blocks that are kept of each size

 public:
  static constexpr std::size_t largest = classes * unit;

  static auto allocate(std::size_t size) -> void* {
    std::size_t const units = round(size);
    if (units <= classes) {
      free_block*& first = kept[units];
      if (free_block* const taken = first) [[likely]] {
        first = taken->next;
        return taken;
      }
    }
    return ::operator new(units * unit);
  }
  static void free(void* block, std::size_t size) noexcept {
    std::size_t const units = round(size);
    if (units <= classes) {
      free_block* const next = kept[units];
      int const count = next != nullptr ? next->count + 1 : 1;
      // An empty list may be the first of the thread, or come after its end: objects that are destroyed later than the
      // cache free their memory themselves.
      if (count <= most && (next != nullptr || stays == life::open || open())) [[likely]] {
        kept[units] = ::new (block) free_block{next, count};
        return;
      }
    }
    ::operator delete(block);
  }

 private:
  struct free_block {
    free_block* next;
    int count;  ///< with those that follow
  };
  enum class life : unsigned char { none, open, closed };
  struct at_end_of_thread {
    at_end_of_thread() noexcept { stays = life::open; }
    at_end_of_thread(at_end_of_thread const&) = delete;
    auto operator=(at_end_of_thread const&) -> at_end_of_thread& = delete;
    ~at_end_of_thread() {
      stays = life::closed;
      for (auto& first : kept) {
        while (first != nullptr) ::operator delete(std::exchange(first, first->next));
      }
    }
  };

  static auto round(std::size_t size) noexcept -> std::size_t { return (size + unit - 1) / unit; }
  AGEN_NOINLINE static auto open() noexcept -> bool {
    if (stays == life::closed) return false;
    thread_local at_end_of_thread const end;
    static_cast<void>(end);
    return true;
  }

  static inline constinit thread_local free_block* kept[classes + 1] = {};  ///< by size in units
  static inline constinit thread_local life stays = life::none;
};

/// Under AddressSanitizer nothing is kept, so that it sees every use of freed memory. Each has a name of its own, as
/// one program may have parts with it and parts without.
struct no_cache {
  static auto allocate(std::size_t size) -> void* { return ::operator new(size); }
  static void free(void* block, std::size_t /*size*/) noexcept { ::operator delete(block); }
  static constexpr std::size_t largest = block_cache::largest;
};
using recycler = std::conditional_t<AGEN_SANITIZES_ADDRESS, no_cache, block_cache>;

}  // namespace agen::detail

#endif  // AGEN_DETAIL_RECYCLED_HPP
