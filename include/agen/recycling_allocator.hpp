// agen::recycling_allocator: memory that each thread keeps for the next time, for frames of generators that come and
// go.
//
//     auto digits(std::allocator_arg_t, agen::recycling_allocator<>, int n) -> agen::async_generator<int>;
//
//     auto gen = digits(std::allocator_arg, {}, 3);
#ifndef AGEN_RECYCLING_ALLOCATOR_HPP
#define AGEN_RECYCLING_ALLOCATOR_HPP

#include "detail/recycled.hpp"  // first: compiler.hpp is its first

#include <cstddef>
#include <memory>

namespace agen {

/// A standard allocator without a state: all are equal. Memory may be freed on any thread, and is kept by that one. Of
/// each size, in steps of 64 bytes up to 1024, a thread keeps up to 8 blocks until it ends. Larger sizes and stricter
/// alignments come from std::allocator. Under AddressSanitizer nothing is kept.
///
/// A shared library that uses it stays loaded, whatever dlclose() is told, at least until the threads that did have
/// ended.
/// \tparam Cache  where the memory comes from
template <class T = std::byte, class Cache = detail::recycler>
struct recycling_allocator {
  template <class U>
  struct rebind {
    using other = recycling_allocator<U, Cache>;
  };
  using value_type = T;

  recycling_allocator() noexcept = default;
  template <class U>
  // NOLINTNEXTLINE(google-explicit-constructor): allocators convert so
  recycling_allocator(recycling_allocator<U, Cache> const& /*other*/) noexcept {}

  /// \param n  a number of objects
  /// \returns  memory for them, in which none is made. Throws std::bad_alloc, or std::bad_array_new_length if they are
  ///           larger than any memory.
  static auto allocate(std::size_t n) -> T* {
    if (!recycles(n)) return std::allocator<T>().allocate(n);
    return static_cast<T*>(Cache::allocate(n * sizeof(T)));
  }
  /// \param n  as it was given to allocate()
  static void deallocate(T* at, std::size_t n) noexcept {
    if (!recycles(n)) return std::allocator<T>().deallocate(at, n);
    Cache::free(at, n * sizeof(T));
  }

 private:
  static constexpr auto recycles(std::size_t n) noexcept -> bool {
    return alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__ && n != 0 && n <= Cache::largest / sizeof(T);
  }
};

template <class T, class U, class Cache>
auto operator==(recycling_allocator<T, Cache> const& /*a*/, recycling_allocator<U, Cache> const& /*b*/) noexcept
    -> bool {
  return true;
}

}  // namespace agen

#endif  // AGEN_RECYCLING_ALLOCATOR_HPP
