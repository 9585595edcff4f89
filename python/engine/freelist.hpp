// Recycled memory of short-lived objects: one list for each type and interpreter. What is in a list keeps its type
// reference and its initialised header, and owns nothing else.
#ifndef ASYNC_GENERATOR_ENGINE_FREELIST_HPP
#define ASYNC_GENERATOR_ENGINE_FREELIST_HPP

#include "compat.hpp"

#include <array>

namespace engine {

template <class T>
class FreeList {
 public:
  /// A recycled object with one reference, or null when the list is empty.
  auto take() noexcept -> T* {
    if constexpr (!compat::recycles) return nullptr;
    if (size_ == 0) return nullptr;
    T* object = slots_[--size_];
    Py_SET_REFCNT(reinterpret_cast<PyObject*>(object), 1);
    return object;
  }

  /// Keeps a dead object's memory. False when the list is full or closed: the caller frees it.
  auto give(T* object) noexcept -> bool {
    if constexpr (!compat::recycles) return false;
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
  std::array<T*, 64> slots_{};
  std::size_t size_ = 0;
  std::size_t limit_ = slots_.size();
};

}  // namespace engine

#endif
