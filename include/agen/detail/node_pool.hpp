// Objects that wait in lists: items on their way through a prefetch, a broadcast or a channel. Their places are used
// again, so that an item needs no allocation.
#ifndef AGEN_DETAIL_NODE_POOL_HPP
#define AGEN_DETAIL_NODE_POOL_HPP

#include "cancellation.hpp"  // first: see there

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <vector>

namespace agen::detail {

/// A place for an object, in one list at a time.
template <class T>
struct node {
  node() noexcept {}
  node(node const&) = delete;
  auto operator=(node const&) -> node& = delete;
  ~node() {}  // NOLINT(modernize-use-equals-default): the pool destroys the value

  node* next = nullptr;
  std::size_t readers = 0;  ///< of a broadcast: who has still to read it
  union {
    T value;
  };
};

/// First in, first out. The owner of the list guards it.
template <class T>
class node_list {
 public:
  void append(node<T>& one) noexcept {
    one.next = nullptr;
    *last_ = &one;
    last_ = &one.next;
    ++size_;
  }
  /// Null if there is none.
  auto take() noexcept -> node<T>* {
    node<T>* const one = first_;
    if (one == nullptr) return nullptr;
    first_ = one->next;
    if (first_ == nullptr) last_ = &first_;
    --size_;
    return one;
  }
  [[nodiscard]] auto size() const noexcept -> std::size_t { return size_; }

 private:
  node<T>* first_ = nullptr;
  node<T>** last_ = &first_;
  std::size_t size_ = 0;
};

/// Where the places come from, and go back to. For any thread; objects are made and destroyed outside of the lock.
template <class T>
class node_pool {
 public:
  /// \param most  how many places are needed at a time, probably
  explicit node_pool(std::size_t most) noexcept : next_block_((std::min)(most, first_block)) {}
  node_pool(node_pool const&) = delete;
  auto operator=(node_pool const&) -> node_pool& = delete;
  ~node_pool() = default;

  /// Destroys the object.
  struct recycler {
    node_pool* of;
    void operator()(node<T>* one) const noexcept { of->recycle(*one); }
  };
  using pointer = std::unique_ptr<node<T>, recycler>;

  template <class... From>
  auto make(From&&... from) -> pointer {
    node<T>& place = free_place();
    AGEN_TRY { ::new (static_cast<void*>(address_of(place.value))) T(static_cast<From&&>(from)...); }
    AGEN_CATCH(...) {
      give_back(place);
      AGEN_RETHROW;
    }
    return hold(&place);
  }
  auto hold(node<T>* one) noexcept -> pointer { return pointer(one, recycler{this}); }
  void recycle(node<T>& one) noexcept {
    one.value.~T();
    give_back(one);
  }

 private:
  static constexpr std::size_t first_block = 64;

  auto free_place() -> node<T>& {
    for (;;) {
      std::size_t more = 0;
      {
        locked const guard(lock_);
        if (node<T>* const one = free_.take()) return *one;
        more = next_block_;
      }
      add_block(more);
    }
  }
  AGEN_OUT_OF_LINE void add_block(std::size_t size) {
    auto made = std::make_unique<block>(size);
    locked const guard(lock_);
    for (node<T>& each : made->places) free_.append(each);
    next_block_ = 2 * size;
    made->next = std::move(blocks_);
    blocks_ = std::move(made);
  }
  void give_back(node<T>& one) noexcept {
    locked const guard(lock_);
    free_.append(one);
  }

  struct block {
    explicit block(std::size_t size) : places(size) {}
    std::vector<node<T>> places;
    std::unique_ptr<block> next;
  };

  spin_lock lock_;
  node_list<T> free_;
  std::size_t next_block_;
  std::unique_ptr<block> blocks_;
};

}  // namespace agen::detail

#endif  // AGEN_DETAIL_NODE_POOL_HPP
