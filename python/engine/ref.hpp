// An owned reference to a Python object. Every reference the engine holds beyond a function's arguments lives in one,
// so that no error path can leak.
#ifndef ASYNC_GENERATOR_ENGINE_REF_HPP
#define ASYNC_GENERATOR_ENGINE_REF_HPP

#include <Python.h>

#include <atomic>
#include <utility>

namespace engine {

template <class T = PyObject>
class Ref {
 public:
  constexpr Ref() noexcept = default;
  constexpr Ref(std::nullptr_t) noexcept {}
  Ref(Ref const& other) noexcept : object_(other.object_) { Py_XINCREF(as_object(object_)); }
  Ref(Ref&& other) noexcept : object_(other.release()) {}
  auto operator=(Ref other) noexcept -> Ref& {
    std::swap(object_, other.object_);
    return *this;
  }
  AGEN_ALWAYS_INLINE ~Ref() { Py_XDECREF(as_object(object_)); }

  /// Takes over a reference that the caller owns (a "new reference" of the C API); null stays null.
  static auto steal(T* object) noexcept -> Ref {
    Ref ref;
    ref.object_ = object;
    return ref;
  }
  /// Adds a reference to an object that other code owns; null stays null.
  static auto borrow(T* object) noexcept -> Ref {
    Py_XINCREF(as_object(object));
    return steal(object);
  }

  [[nodiscard]] auto get() const noexcept -> T* { return object_; }
  [[nodiscard]] auto object() const noexcept -> PyObject* { return as_object(object_); }
  auto operator->() const noexcept -> T* { return object_; }
  auto operator*() const noexcept -> T& { return *object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }

  /// Gives the reference to the caller.
  [[nodiscard]] auto release() noexcept -> T* { return std::exchange(object_, nullptr); }
  /// Drops the reference; the member is empty before the object's destructor runs.
  void reset() noexcept {
    T* object = release();
    Py_XDECREF(as_object(object));
  }
  /// Puts `other` here, and gives back what was here, in one step that no other thread can come between.
  auto exchange(Ref other) noexcept -> Ref {
#ifdef Py_GIL_DISABLED
    return steal(std::atomic_ref(object_).exchange(other.release(), std::memory_order_acq_rel));
#else
    return steal(std::exchange(object_, other.release()));
#endif
  }
  /// Puts `other` here if nothing is here. False, and `other` as it was, where something is.
  auto fill(Ref& other) noexcept -> bool {
#ifdef Py_GIL_DISABLED
    T* nothing = nullptr;
    if (!std::atomic_ref(object_).compare_exchange_strong(nothing, other.object_, std::memory_order_acq_rel))
      return false;
#else
    if (object_ != nullptr) return false;
    object_ = other.object_;
#endif
    other.object_ = nullptr;
    return true;
  }
  /// Exchanges the reference for one that a C struct owns.
  void swap(T*& owned) noexcept { std::swap(object_, owned); }
  /// Where a C function may put a new reference. The holder must be empty.
  auto out() noexcept -> T** { return &object_; }

 private:
  static auto as_object(T* object) noexcept -> PyObject* { return reinterpret_cast<PyObject*>(object); }
  T* object_ = nullptr;
};

using Object = Ref<PyObject>;

inline auto borrow(PyObject* object) noexcept -> Object { return Object::borrow(object); }
inline auto steal(PyObject* object) noexcept -> Object { return Object::steal(object); }
inline auto none() noexcept -> Object { return borrow(Py_None); }

}  // namespace engine

#endif
