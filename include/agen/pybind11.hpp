// pybind11: functions that return agen::async_generator or agen::task return Python async generators and coroutines;
// pybind11's own casters convert what they yield, are sent and return.
//
//     m.def("count", [](int n) -> agen::async_generator<int> { for (int i = 0; i < n; ++i) co_yield i; });
//
// An argument of type agen::async_generator<T> takes any async iterable. What a function is given by reference lives as
// long as the generator or task that it returns (docs/bridge/index.md).
#ifndef AGEN_PYBIND11_HPP
#define AGEN_PYBIND11_HPP

#include <pybind11/pybind11.h>

#include "python.hpp"
#include "python/call.hpp"

namespace agen {

template <class T>
class future;  // agen/python/future.hpp

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
      PyErr_Format(PyExc_TypeError,
                   "an object of type '%.100s' cannot be converted to the C++ type that is expected here",
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

/// Translates by the translators that were registered with pybind11.
inline void raise_by_pybind11(std::exception_ptr const& exception) {
  pybind11::cpp_function const thrower([&exception] { std::rethrow_exception(exception); });
  python::detail::raise_by_tool(exception, thrower.ptr());
}

inline AGEN_PYTHON_MODULE_LOCAL bool const pybind11_known = [] {
  python::detail::carriers.push_back(carried_by_pybind11);
  python::register_translator(raise_by_pybind11);
  return true;
}();

#if PYBIND11_VERSION_HEX >= 0x03010000
/// pybind11 for agen::python::detail::call.
struct pybind11_calls {
  template <class T>
  static constexpr bool is_bound =
      std::is_base_of_v<pybind11::detail::type_caster_base<T>, pybind11::detail::make_caster<T>>;
  template <class T>
  static constexpr bool is_borrowed = std::is_base_of_v<pybind11::handle, T> && !std::is_base_of_v<pybind11::object, T>;
  /// Also an instance of a subclass, which pybind11's own search does not find.
  template <class T>
  static auto find(T const& instance) -> python::object {
    auto const* const type = pybind11::detail::get_type_info(typeid(T));
    if (type == nullptr) return {};
    void const* const address = std::addressof(instance);
    return pybind11::detail::with_instance_map(address, [&](pybind11::detail::instance_map& instances) {
      auto const [begin, end] = instances.equal_range(address);
      for (auto i = begin; i != end; ++i) {
        auto* const found = reinterpret_cast<PyObject*>(i->second);
        if (PyObject_TypeCheck(found, type->type) != 0) return python::object::borrow(found);
      }
      return python::object();
    });
  }
  [[noreturn]] static void raise(std::exception_ptr const& exception) {
    python::detail::holding_gil const gil;
    python::detail::raise_in_python(exception);
    throw pybind11::error_already_set();
  }
};
#endif

/// What the object of a call's result has to keep. Before 3.1 only the first argument is known here, and kept if it is
/// an instance of a bound class.
inline auto kept_by_pybind11([[maybe_unused]] pybind11::handle first) -> python::object {
#if PYBIND11_VERSION_HEX >= 0x03010000
  return python::detail::take_kept_by_call();
#else
  auto* const base = reinterpret_cast<PyTypeObject*>(pybind11::detail::get_internals().instance_base);
  return first && PyObject_TypeCheck(first.ptr(), base) != 0 ? python::object::borrow(first.ptr()) : python::object();
#endif
}

}  // namespace detail
}  // namespace agen

namespace pybind11::detail {

#if PYBIND11_VERSION_HEX >= 0x03010000
/// pybind11 calls every bound function through its function_ref; this one is for functions that return a generator or
/// task.
template <agen::python::detail::driven Return, class... Args>
class function_ref<Return(Args...)> {
 public:
  template <class Function>
    requires(!std::is_same_v<std::remove_cvref_t<Function>, function_ref>)
  function_ref(Function&& function)  // NOLINT(google-explicit-constructor): as the class that this replaces
      : function_(std::addressof(function)), call_([](void const* called, Args... args) -> Return {
          auto& self = *static_cast<std::remove_reference_t<Function>*>(const_cast<void*>(called));
          return agen::python::detail::call<agen::detail::pybind11_calls, Return, Args...>(
              self, static_cast<Args&&>(args)...);
        }) {}

  auto operator()(Args... args) const -> Return { return call_(function_, static_cast<Args&&>(args)...); }

 private:
  void const* function_;
  Return (*call_)(void const*, Args...);
};
#endif

/// The name of a type in a signature; None for void.
template <class T>
struct agen_name {
  static constexpr auto name = make_caster<std::remove_cvref_t<T>>::name;
};
template <>
struct agen_name<void> {
  static constexpr auto name = const_name("None");
};

/// What a generator is called as an argument, which may be any async iterable, and as a result. If values are sent
/// to an argument, its name says of which type.
template <class Yield, class Send>
constexpr auto agen_argument_or_result() {
#if PYBIND11_VERSION_HEX < 0x03000000
  return const_name("collections.abc.AsyncGenerator[") + agen_name<Yield>::name + const_name(", ") +
         agen_name<Send>::name + const_name("]");
#else
  if constexpr (std::is_void_v<Send>) {
    return io_name("collections.abc.AsyncIterable[", "collections.abc.AsyncGenerator[") + agen_name<Yield>::name +
           io_name("]", ", None]");
  } else {
    return io_name("typing.Annotated[collections.abc.AsyncIterable[", "collections.abc.AsyncGenerator[") +
           agen_name<Yield>::name + io_name("], ", ", ") + agen_name<Send>::name + const_name("]");
  }
#endif
}

template <class Yield, class Send, class Return>
class type_caster<agen::async_generator<Yield, Send, Return>> {
  using generator = agen::async_generator<Yield, Send, Return>;

 public:
  static constexpr auto name = agen_argument_or_result<Yield, Send>();
  template <class>
  using cast_op_type = generator;

  auto load(handle from, bool) -> bool {
    source_ = from;
    return agen::python::is_async_iterable(from.ptr());
  }
  // A generator is moved out of its Python object only here, because before this pybind11 may choose another overload.
  operator generator() {  // NOLINT(google-explicit-constructor): pybind11 converts so
    return agen::python::from_python<generator, agen::pybind11_conversions>(source_.ptr());
  }
  static auto cast(generator&& gen, return_value_policy, handle parent) -> handle {
    return agen::python::to_python<agen::pybind11_conversions>(std::move(gen), "async_generator",
                                                               agen::detail::kept_by_pybind11(parent));
  }

 private:
  handle source_;
};

template <class T>
class type_caster<agen::task<T>> {
 public:
  static constexpr auto name =
      const_name("collections.abc.Coroutine[typing.Any, None, ") + agen_name<T>::name + const_name("]");

  static auto cast(agen::task<T>&& task, return_value_policy, handle parent) -> handle {
    return agen::python::to_python<agen::pybind11_conversions>(std::move(task), "task",
                                                               agen::detail::kept_by_pybind11(parent));
  }
};

/// For functions that return a future; they include agen/python/future.hpp.
template <class T>
class type_caster<agen::future<T>> {
 public:
  static constexpr auto name =
      const_name("collections.abc.Coroutine[typing.Any, None, ") + agen_name<T>::name + const_name("]");

  static auto cast(agen::future<T>&& future, return_value_policy, handle) -> handle {
    using adapter = agen::await_adapter<agen::future<T>>;
    return agen::python::to_python<agen::pybind11_conversions>(adapter::adapt(std::move(future)), "future");
  }
};

}  // namespace pybind11::detail

#endif  // AGEN_PYBIND11_HPP
