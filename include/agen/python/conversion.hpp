// Converting values without a binding tool: for users of the raw C API, and for agen::python::iterate. nanobind
// and pybind11 convert by their own casters (agen/nanobind.hpp, agen/pybind11.hpp).
#ifndef AGEN_PYTHON_CONVERSION_HPP
#define AGEN_PYTHON_CONVERSION_HPP

#include <concepts>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

#include "error.hpp"

namespace agen::python {

/// How a C++ type travels: specialise it with
///     static auto to_python(T const&) -> PyObject*;   // a new reference, or null with an exception set
///     static auto from_python(PyObject*) -> T;        // throws agen::python::error
template <class T>
struct conversion;

template <>
struct conversion<object> {
  static auto to_python(object const& value) noexcept -> PyObject* { return Py_NewRef(value ? value.get() : Py_None); }
  static auto from_python(PyObject* value) noexcept -> object { return object::borrow(value); }
};

template <>
struct conversion<bool> {
  static auto to_python(bool value) noexcept -> PyObject* { return PyBool_FromLong(value ? 1 : 0); }
  static auto from_python(PyObject* value) -> bool {
    int const truth = detail::or_stay(PyObject_IsTrue, value);
    if (truth < 0) throw error::current();
    return truth != 0;
  }
};

template <std::integral T>
struct conversion<T> {
  static auto to_python(T value) noexcept -> PyObject* {
    if constexpr (sizeof(T) <= sizeof(long) && std::is_signed_v<T>)
      return PyLong_FromLong(value);
    else if constexpr (std::is_signed_v<T>)
      return PyLong_FromLongLong(value);
    else
      return PyLong_FromUnsignedLongLong(value);
  }
  static auto from_python(PyObject* value) -> T {
    using wide = std::conditional_t<std::is_signed_v<T>, long long, unsigned long long>;
    wide converted;
    if constexpr (std::is_signed_v<T>) {
      converted = detail::or_stay(PyLong_AsLongLong, value);
    } else {
      converted = detail::or_stay(PyLong_AsUnsignedLongLong, value);
    }
    if (converted == static_cast<wide>(-1) && PyErr_Occurred() != nullptr) throw error::current();
    if (converted < std::numeric_limits<T>::min() || converted > std::numeric_limits<T>::max()) {
      throw error(PyExc_OverflowError, "Python int too large to convert to this C++ integer");
    }
    return static_cast<T>(converted);
  }
};

template <std::floating_point T>
struct conversion<T> {
  static auto to_python(T value) noexcept -> PyObject* { return PyFloat_FromDouble(static_cast<double>(value)); }
  static auto from_python(PyObject* value) -> T {
    double const converted = detail::or_stay(PyFloat_AsDouble, value);
    if (converted == -1.0 && PyErr_Occurred() != nullptr) throw error::current();
    return static_cast<T>(converted);
  }
};

template <>
struct conversion<std::string_view> {
  static auto to_python(std::string_view value) noexcept -> PyObject* {
    return PyUnicode_FromStringAndSize(value.data(), static_cast<Py_ssize_t>(value.size()));
  }
};

template <>
struct conversion<std::string> : conversion<std::string_view> {
  static auto from_python(PyObject* value) -> std::string {
    Py_ssize_t size = 0;
    char const* const characters = PyUnicode_AsUTF8AndSize(value, &size);
    if (characters == nullptr) throw error::current();
    return {characters, static_cast<std::size_t>(size)};
  }
};

/// The converter that uses agen::python::conversion. Others have the same three members.
struct conversions {
  /// A new reference, or null with an exception set.
  template <class T>
  static auto to_python(T&& value) -> PyObject* {
    return conversion<std::remove_cvref_t<T>>::to_python(std::forward<T>(value));
  }
  /// Throws agen::python::error.
  template <class T>
  static auto from_python(PyObject* value) -> T {
    return conversion<T>::from_python(value);
  }
  /// Whether a body to which nothing was sent gets None in its Send; otherwise it gets Send().
  template <class Send>
  static constexpr bool none_is_a_value = std::is_same_v<Send, object>;
};

}  // namespace agen::python

#endif  // AGEN_PYTHON_CONVERSION_HPP
