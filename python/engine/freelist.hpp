// Recycled memory of short-lived objects: a list for each type and interpreter. What is in a list keeps its type
// reference and its initialised header, and owns nothing else.
#ifndef ASYNC_GENERATOR_ENGINE_FREELIST_HPP
#define ASYNC_GENERATOR_ENGINE_FREELIST_HPP

#include "compat.hpp"
#include "per_thread.hpp"

#include <array>

namespace engine {

/// A list that one thread at a time uses.
template <class T, std::size_t Size>
class List {
 public:
  /// A recycled object with one reference, or null when the list is empty.
  auto take() noexcept -> T* {
    if constexpr (!compat::recycles_memory) return nullptr;
    if (size_ == 0) return nullptr;
    T* object = slots_[--size_];
    Py_SET_REFCNT(reinterpret_cast<PyObject*>(object), 1);
    return object;
  }

  /// Keeps a dead object's memory. False when the list is full or closed: the caller frees it.
  auto give(T* object) noexcept -> bool {
    if constexpr (!compat::recycles_memory) return false;
    if (size_ == limit_) return false;
    slots_[size_++] = object;
    return true;
  }

  /// Frees what is kept, and keeps nothing from now on.
  void close(void (*release)(void*)) noexcept {
    limit_ = 0;
    while (size_ > 0) {
      T* object = slots_[--size_];
      PyTypeObject* type = Py_TYPE(reinterpret_cast<PyObject*>(object));
      release(object);
      Py_DECREF(type);
    }
  }

 private:
  std::array<T*, Size> slots_{};
  std::size_t size_ = 0;
  std::size_t limit_ = slots_.size();
};

#ifdef Py_GIL_DISABLED
/// A list for each thread. Not for the memory's sake: a new object counts a reference to its type, on a line of memory
/// that all threads would fight for.
template <class T>
class FreeList {
 public:
  auto take() noexcept -> T* {
    Stay const stay(parts_.mine());
    return stay ? stay->take() : nullptr;
  }
  auto give(T* object) noexcept -> bool {
    Stay const stay(parts_.mine());
    return stay && stay->give(object);
  }
  void close(void (*release)(void*)) noexcept {
    parts_.for_each([release](Part& part) { part.list.close(release); });
  }

 private:
  struct Part {
    std::atomic<bool> taken{false};
    List<T, 16> list;
  };
  /// Keeps other threads out, for a scope. False where one is inside.
  class Stay {
   public:
    explicit Stay(Part& part) noexcept : part_(part), inside_(!part.taken.exchange(true, std::memory_order_acquire)) {}
    ~Stay() {
      if (inside_) part_.taken.store(false, std::memory_order_release);
    }
    Stay(Stay const&) = delete;
    auto operator=(Stay const&) -> Stay& = delete;
    explicit operator bool() const noexcept { return inside_; }
    auto operator->() const noexcept -> List<T, 16>* { return &part_.list; }

   private:
    Part& part_;
    bool inside_;
  };

  PerThread<Part> parts_;
};
#else
template <class T>
using FreeList = List<T, 64>;
#endif

}  // namespace engine

#endif
