// nanobind: functions that return agen::async_generator or agen::task return Python async generators and coroutines;
// what they yield, are sent and return is converted by nanobind's own casters.
//
//     m.def("count", [](int n) -> agen::async_generator<int> { for (int i = 0; i < n; ++i) co_yield i; });
//
// An argument of type agen::async_generator<T> takes any async iterable.
#ifndef AGEN_NANOBIND_HPP
#define AGEN_NANOBIND_HPP

#include <nanobind/nanobind.h>

#include "python.hpp"

namespace agen {

/// Converts by nanobind's casters: see agen::python::conversions.
struct nanobind_conversions {
  template <class T>
  AGEN_ALWAYS_INLINE static auto to_python(T&& value) -> PyObject* try {
    if constexpr (std::is_base_of_v<nanobind::handle, std::remove_cvref_t<T>>) {
      return Py_NewRef(value.is_valid() ? value.ptr() : Py_None);
    } else {
      return nanobind::cast(std::forward<T>(value)).release().ptr();
    }
  } catch (nanobind::cast_error const&) {
    PyErr_SetString(PyExc_TypeError,
                    "a C++ value does not convert to a Python object: bind its type, or include its type caster");
    return nullptr;
  }
  template <class T>
  static auto from_python(PyObject* value) -> T {
    try {
      return nanobind::cast<T>(nanobind::handle(value));
    } catch (nanobind::cast_error const&) {
      PyErr_Format(PyExc_TypeError, "an object of type '%.100s' does not convert to the C++ type of this place",
                   Py_TYPE(value)->tp_name);
      throw python::error::current();
    }
  }
  template <class Send>
  static constexpr bool none_is_a_value = std::is_base_of_v<nanobind::handle, Send>;
};

namespace python {

template <>
struct conversion<nanobind::object> {
  static auto to_python(nanobind::object const& value) noexcept -> PyObject* {
    return Py_NewRef(value.is_valid() ? value.ptr() : Py_None);
  }
  static auto from_python(PyObject* value) noexcept -> nanobind::object { return nanobind::borrow(value); }
};

}  // namespace python

namespace detail {

/// The Python exception in nanobind's own carrier.
inline auto carried_by_nanobind(std::exception_ptr const& exception) -> python::object {
  try {
    std::rethrow_exception(exception);
  } catch (nanobind::python_error const& e) {
    return python::object::borrow(e.value().ptr());
  } catch (...) {
    return {};
  }
}

/// Translates by what was registered with nanobind.
inline void raise_by_nanobind(std::exception_ptr const& exception) {
  auto const thrower = nanobind::cpp_function([&exception] { std::rethrow_exception(exception); });
  python::detail::raise_by_tool(exception, thrower.ptr());
}

inline AGEN_PYTHON_MODULE_LOCAL bool const nanobind_known = [] {
  python::detail::carriers.push_back(carried_by_nanobind);
  python::register_translator(raise_by_nanobind);
  return true;
}();

}  // namespace detail
}  // namespace agen

NAMESPACE_BEGIN(NB_NAMESPACE)
NAMESPACE_BEGIN(detail)

/// The name of a type in a signature; None for void.
template <class T>
struct agen_name {
  static constexpr auto name = make_caster<std::remove_cvref_t<T>>::Name;
};
template <>
struct agen_name<void> {
  static constexpr auto name = const_name("None");
};

template <class Yield, class Send, class Return>
struct type_caster<agen::async_generator<Yield, Send, Return>> {
  using Value = agen::async_generator<Yield, Send, Return>;
  static constexpr auto Name = const_name("collections.abc.AsyncGenerator[") + agen_name<Yield>::name +
                               const_name(", ") + agen_name<Send>::name + const_name("]");
  template <class>
  using Cast = Value;
  template <class>
  static constexpr auto can_cast() -> bool {
    return true;
  }

  auto from_python(handle from, std::uint32_t, cleanup_list*) noexcept -> bool {
    source = from;
    return agen::python::is_async_iterable(from.ptr());
  }
  // Only here is a generator moved out of its Python object: another overload may be the one that is called.
  explicit operator Value() { return agen::python::from_python<Value, agen::nanobind_conversions>(source.ptr()); }
  static auto from_cpp(Value&& gen, rv_policy, cleanup_list*) noexcept -> handle {
    return agen::python::to_python<agen::nanobind_conversions>(std::move(gen));
  }

  handle source;
};

template <class T>
struct type_caster<agen::task<T>> {
  NB_TYPE_CASTER(agen::task<T>,
                 const_name("collections.abc.Coroutine[typing.Any, None, ") + agen_name<T>::name + const_name("]"))

  auto from_python(handle source, std::uint32_t, cleanup_list*) noexcept -> bool = delete;
  static auto from_cpp(agen::task<T>&& task, rv_policy, cleanup_list*) noexcept -> handle {
    return agen::python::to_python<agen::nanobind_conversions>(std::move(task));
  }
};

NAMESPACE_END(detail)
NAMESPACE_END(NB_NAMESPACE)

#endif  // AGEN_NANOBIND_HPP
