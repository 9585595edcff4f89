// Memory that may be refused. The engine is compiled without exceptions, so what allocates says so by its result. Why:
// before 3.14 CPython ends a daemon thread with pthread_exit(), when the interpreter has ended meanwhile. glibc unwinds
// the thread's stack for that. In C++ compiled with exceptions that runs destructors, which would drop references
// without the GIL; and the first function that is noexcept calls std::terminate(), and so aborts the process.
#ifndef ASYNC_GENERATOR_ENGINE_MEMORY_HPP
#define ASYNC_GENERATOR_ENGINE_MEMORY_HPP

#include <Python.h>

#include <cstddef>
#include <memory>
#include <utility>

namespace engine {

struct RawFree {
  void operator()(void* memory) const noexcept { PyMem_RawFree(memory); }
};

template <class T>
struct RawDelete {
  void operator()(T* object) const noexcept {
    std::destroy_at(object);
    PyMem_RawFree(object);
  }
};

/// A new T; null where there is no memory for it.
template <class T>
auto make_raw() noexcept -> std::unique_ptr<T, RawDelete<T>> {
  static_assert(alignof(T) <= alignof(std::max_align_t));
  void* const memory = PyMem_RawMalloc(sizeof(T));
  return std::unique_ptr<T, RawDelete<T>>(memory != nullptr ? new (memory) T() : nullptr);
}

/// A double-ended queue.
template <class T>
class Deque {
 public:
  Deque() noexcept = default;
  Deque(Deque&& other) noexcept { swap(other); }
  auto operator=(Deque&& other) noexcept -> Deque& {
    Deque(std::move(other)).swap(*this);
    return *this;
  }
  ~Deque() {
    while (size_ != 0) take_back();
  }

  [[nodiscard]] auto size() const noexcept -> std::size_t { return size_; }
  [[nodiscard]] auto empty() const noexcept -> bool { return size_ == 0; }
  auto operator[](std::size_t index) const noexcept -> T& { return slots_.get()[(first_ + index) & (capacity_ - 1)]; }
  [[nodiscard]] auto back() const noexcept -> T& { return (*this)[size_ - 1]; }

  /// False, and nothing changed, where there is no memory for it.
  [[nodiscard]] auto push_back(T&& value) noexcept -> bool {
    if (size_ == capacity_ && !grow()) return false;
    std::construct_at(&(*this)[size_], std::move(value));
    ++size_;
    return true;
  }
  auto take_front() noexcept -> T {
    T taken = std::move((*this)[0]);
    std::destroy_at(&(*this)[0]);
    first_ = (first_ + 1) & (capacity_ - 1);
    --size_;
    return taken;
  }
  auto take_back() noexcept -> T {
    T taken = std::move(back());
    std::destroy_at(&back());
    --size_;
    return taken;
  }

  void swap(Deque& other) noexcept {
    std::swap(slots_, other.slots_);
    std::swap(capacity_, other.capacity_);
    std::swap(first_, other.first_);
    std::swap(size_, other.size_);
  }

 private:
  auto grow() noexcept -> bool {
    Deque larger;
    larger.capacity_ = capacity_ == 0 ? 8 : 2 * capacity_;
    larger.slots_.reset(static_cast<T*>(PyMem_RawMalloc(larger.capacity_ * sizeof(T))));
    if (!larger.slots_) return false;
    while (size_ != 0) {
      std::construct_at(&larger[larger.size_], take_front());
      ++larger.size_;
    }
    swap(larger);
    return true;
  }

  std::unique_ptr<T, RawFree> slots_;
  std::size_t capacity_ = 0;  ///< a power of two, or none
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace engine

#endif
