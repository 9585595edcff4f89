// pybind11: functions that return agen::async_generator or agen::task return Python async generators and coroutines;
// what they yield, are sent and return is converted by pybind11's own casters.
//
//     m.def("count", [](int n) -> agen::async_generator<int> { for (int i = 0; i < n; ++i) co_yield i; });
//
// An argument of type agen::async_generator<T> takes any async iterable.
#ifndef AGEN_PYBIND11_HPP
#define AGEN_PYBIND11_HPP

#include <pybind11/pybind11.h>

#include "python.hpp"

namespace agen {

/// Converts by pybind11's casters: see agen::python::conversions.
struct pybind11_conversions {
  template <class T>
  static auto to_python(T&& value) -> PyObject* {
    if constexpr (std::is_base_of_v<pybind11::handle, std::remove_cvref_t<T>>) {
      return Py_NewRef(value ? value.ptr() : Py_None);
    } else {
      return pybind11::cast(std::forward<T>(value)).release().ptr();
    }
  }
  template <class T>
  static auto from_python(PyObject* value) -> T {
    try {
      return pybind11::cast<T>(pybind11::reinterpret_borrow<pybind11::object>(value));
    } catch (pybind11::cast_error const&) {
      PyErr_Format(PyExc_TypeError, "an object of type '%.100s' does not convert to the C++ type of this place",
                   Py_TYPE(value)->tp_name);
      throw python::error::current();
    }
  }
  template <class Send>
  static constexpr bool none_is_a_value = std::is_base_of_v<pybind11::handle, Send>;
};

namespace python {

template <>
struct conversion<pybind11::object> {
  static auto to_python(pybind11::object const& value) noexcept -> PyObject* {
    return Py_NewRef(value ? value.ptr() : Py_None);
  }
  static auto from_python(PyObject* value) noexcept -> pybind11::object {
    return pybind11::reinterpret_borrow<pybind11::object>(value);
  }
};

}  // namespace python

namespace detail {

/// The Python exception in pybind11's own carrier.
inline auto carried_by_pybind11(std::exception_ptr const& exception) -> python::object {
  try {
    std::rethrow_exception(exception);
  } catch (pybind11::error_already_set const& e) {
    return python::object::borrow(e.value().ptr());
  } catch (...) {
    return {};
  }
}

/// Translates by what was registered with pybind11.
inline void raise_by_pybind11(std::exception_ptr const& exception) {
  pybind11::cpp_function const thrower([&exception] { std::rethrow_exception(exception); });
  python::detail::raise_by_tool(exception, thrower.ptr());
}

inline AGEN_PYTHON_MODULE_LOCAL bool const pybind11_known = [] {
  python::detail::carriers.push_back(carried_by_pybind11);
  python::register_translator(raise_by_pybind11);
  return true;
}();

}  // namespace detail
}  // namespace agen

namespace pybind11::detail {

/// The name of a type in a signature; None for void.
template <class T>
struct agen_name {
  static constexpr auto name = make_caster<std::remove_cvref_t<T>>::name;
};
template <>
struct agen_name<void> {
  static constexpr auto name = const_name("None");
};

template <class Yield, class Send, class Return>
class type_caster<agen::async_generator<Yield, Send, Return>> {
  using generator = agen::async_generator<Yield, Send, Return>;

 public:
  static constexpr auto name = const_name("collections.abc.AsyncGenerator[") + agen_name<Yield>::name +
                               const_name(", ") + agen_name<Send>::name + const_name("]");
  template <class>
  using cast_op_type = generator;

  auto load(handle from, bool) -> bool {
    source_ = from;
    return agen::python::is_async_iterable(from.ptr());
  }
  // Only here is a generator moved out of its Python object: another overload may be the one that is called.
  operator generator() {  // NOLINT(google-explicit-constructor): pybind11 converts so
    return agen::python::from_python<generator, agen::pybind11_conversions>(source_.ptr());
  }
  static auto cast(generator&& gen, return_value_policy, handle) -> handle {
    return agen::python::to_python<agen::pybind11_conversions>(std::move(gen));
  }

 private:
  handle source_;
};

template <class T>
class type_caster<agen::task<T>> {
 public:
  static constexpr auto name =
      const_name("collections.abc.Coroutine[typing.Any, None, ") + agen_name<T>::name + const_name("]");

  static auto cast(agen::task<T>&& task, return_value_policy, handle) -> handle {
    return agen::python::to_python<agen::pybind11_conversions>(std::move(task));
  }
};

}  // namespace pybind11::detail

#endif  // AGEN_PYBIND11_HPP
