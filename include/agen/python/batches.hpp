// The items of a C++ generator in batches, for Python: what `gen.batches(64)` collects before it crosses the border.
#ifndef AGEN_PYTHON_BATCHES_HPP
#define AGEN_PYTHON_BATCHES_HPP

#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <vector>

#include "../driver.hpp"
#include "engine.hpp"

namespace agen::python::detail {

/// How the struct module, memoryview and numpy call an arithmetic type; null for one without a name there.
template <class T>
constexpr auto item_format() noexcept -> char const* {
  constexpr bool is_signed = std::is_signed_v<T>;
  if constexpr (std::is_same_v<T, bool>) {
    return "?";
  } else if constexpr (std::is_same_v<T, float>) {
    return "f";
  } else if constexpr (std::is_same_v<T, double>) {
    return "d";
  } else if constexpr (!std::is_integral_v<T>) {
    return nullptr;
  } else if constexpr (sizeof(T) == sizeof(signed char)) {
    return is_signed ? "b" : "B";
  } else if constexpr (sizeof(T) == sizeof(short)) {
    return is_signed ? "h" : "H";
  } else if constexpr (sizeof(T) == sizeof(int)) {
    return is_signed ? "i" : "I";
  } else if constexpr (sizeof(T) == sizeof(long)) {
    return is_signed ? "l" : "L";
  } else {
    return sizeof(T) == sizeof(long long) ? (is_signed ? "q" : "Q") : nullptr;
  }
}

/// A batch, and how it ends. Not of T: what every module shares.
class batch_of_any {
 public:
  batch_of_any(std::size_t most, bool array) noexcept : most_(most), array_(array) {}

  [[nodiscard]] auto is_array() const noexcept -> bool { return array_; }
  /// What came after the items of the batch, if that was no item: it is given when the next one is wanted.
  step after = step::yielded;

 protected:
  /// A new list of the objects, which are moved out. Null with an exception set.
  static auto list_of(std::vector<object>& objects) -> PyObject* {
    auto list = object::steal(PyList_New(static_cast<Py_ssize_t>(objects.size())));
    if (!list) return nullptr;
    for (std::size_t i = 0; i != objects.size(); ++i) {
      list_set_item(list.get(), static_cast<Py_ssize_t>(i), objects[i].release());
    }
    objects.clear();
    return list.release();
  }

  std::size_t most_;

 private:
  bool array_;
};

template <class T>
class batch : public batch_of_any {
 public:
  static constexpr char const* format = item_format<T>();

  using batch_of_any::batch_of_any;
  [[nodiscard]] auto size() const noexcept -> std::size_t {
    if constexpr (format != nullptr) {
      if (is_array()) return values_.size();
    }
    return objects_.size();
  }
  template <bool Array>
  [[nodiscard]] auto full() const noexcept -> bool {
    if constexpr (Array && format != nullptr) {
      return values_.size() == most_;
    } else {
      return objects_.size() == most_;
    }
  }
  [[nodiscard]] auto full() const noexcept -> bool { return size() == most_; }
  void add(object item) { objects_.push_back(std::move(item)); }
  void add_value(T value)
    requires(format != nullptr)
  {
    values_.push_back(value);
  }
  /// What was collected, a new reference, and begins again. Null with an exception set.
  auto take() -> PyObject* {
    if constexpr (format != nullptr) {
      if (is_array()) {
        auto const size = static_cast<Py_ssize_t>(values_.size());
        PyObject* const made = engine().make_array(values_.data(), size, sizeof(T), format);
        values_.clear();
        return made;
      }
    }
    return list_of(objects_);
  }

 private:
  // std::vector<bool> has no memory to show.
  struct nothing {};
  using value = std::conditional_t<format == nullptr, nothing, std::conditional_t<std::is_same_v<T, bool>, char, T>>;

  std::vector<object> objects_;  ///< not yet a list, which the collector would show half made
  [[no_unique_address]] std::conditional_t<format == nullptr, nothing, std::vector<value>> values_;
};

}  // namespace agen::python::detail

#endif  // AGEN_PYTHON_BATCHES_HPP
