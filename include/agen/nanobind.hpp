// nanobind: functions that return agen::async_generator or agen::task return Python async generators and coroutines;
// nanobind's own casters convert what they yield, are sent and return.
//
//     m.def("count", [](int n) -> agen::async_generator<int> { for (int i = 0; i < n; ++i) co_yield i; });
//
// An argument of type agen::async_generator<T> takes any async iterable. What a function is given by reference lives as
// long as the generator or task that it returns (docs/bridge/index.md).
#ifndef AGEN_NANOBIND_HPP
#define AGEN_NANOBIND_HPP

#include <nanobind/nanobind.h>

#include "python.hpp"
#include "python/call.hpp"

#if NB_VERSION_MAJOR < 2
#error "agen/nanobind.hpp needs nanobind 2.0 or newer"
#endif

namespace agen {

template <class T>
class future;  // agen/python/future.hpp

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
      PyErr_Format(PyExc_TypeError,
                   "an object of type '%.100s' cannot be converted to the C++ type that is expected here",
                   python::detail::type_name(value).c_str());
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

/// Translates by the translators that were registered with nanobind.
inline void raise_by_nanobind(std::exception_ptr const& exception) {
  auto const thrower = nanobind::cpp_function([&exception] { std::rethrow_exception(exception); });
  python::detail::raise_by_tool(exception, thrower.ptr());
}

inline AGEN_PYTHON_MODULE_LOCAL bool const nanobind_known = [] {
  python::detail::carriers.push_back(carried_by_nanobind);
  python::register_translator(raise_by_nanobind);
  return true;
}();

/// nanobind for agen::python::detail::call.
struct nanobind_calls {
  template <class T>
  static constexpr bool is_bound = nanobind::detail::is_base_caster_v<nanobind::detail::make_caster<T>>;
  template <class T>
  static constexpr bool is_borrowed = std::is_base_of_v<nanobind::handle, T> && !std::is_base_of_v<nanobind::object, T>;
  template <class T>
  static auto find(T const& instance) -> python::object {
    return python::object::steal(nanobind::find(instance).release().ptr());
  }
  [[noreturn]] static void raise(std::exception_ptr const& exception) {
    try {
      std::rethrow_exception(exception);
    } catch (nanobind::builtin_exception const& e) {
      if (e.type() == nanobind::exception_type::next_overload) throw;
    } catch (...) {
    }
    python::detail::holding_gil const gil;
    python::detail::raise_in_python(exception);
    throw nanobind::python_error();
  }
};

/// The signature of a function object's call.
template <class Call>
struct call_signature;
template <class Return, class Class, class... Args>
struct call_signature<Return (Class::*)(Args...)> {
  using result = Return;
  using pointer = Return (*)(Args...);
};
template <class Return, class Class, class... Args>
struct call_signature<Return (Class::*)(Args...) const> : call_signature<Return (Class::*)(Args...)> {};
template <class Return, class Class, class... Args>
struct call_signature<Return (Class::*)(Args...) noexcept> : call_signature<Return (Class::*)(Args...)> {};
template <class Return, class Class, class... Args>
struct call_signature<Return (Class::*)(Args...) const noexcept> : call_signature<Return (Class::*)(Args...)> {};
template <class Function>
using signature = call_signature<decltype(&std::remove_reference_t<Function>::operator())>;

/// Binds a function object that returns a generator or task.
template <bool ReturnRef, class Function, class Return, class... Args, class... Extra>
auto bind_by_nanobind(Function function, Return (*type)(Args...), Extra const&... extra) -> PyObject* {
  return nanobind::detail::func_create<ReturnRef, true>(
      [function = std::move(function)](Args... args) -> Return {
        return python::detail::call<nanobind_calls, Return, Args...>(function, static_cast<Args&&>(args)...);
      },
      type, std::make_index_sequence<sizeof...(Args)>(), extra...);
}

/// A member function as a function object.
template <class Target, class Return, class Class, class... Args>
auto member_of(Return (Class::*function)(Args...)) {
  using self = std::conditional_t<std::is_void_v<Target>, Class, Target>*;
  return [function](self object, Args... args) -> Return { return (object->*function)(static_cast<Args&&>(args)...); };
}
template <class Target, class Return, class Class, class... Args>
auto member_of(Return (Class::*function)(Args...) const) {
  using self = std::conditional_t<std::is_void_v<Target>, Class, Target> const*;
  return [function](self object, Args... args) -> Return { return (object->*function)(static_cast<Args&&>(args)...); };
}

}  // namespace detail
}  // namespace agen

NAMESPACE_BEGIN(NB_NAMESPACE)

// Overloads of nanobind's own functions, for functions that return a generator or task. class_ and module_ find them by
// argument-dependent lookup, and their constraint makes them the better match.

template <typename = void, typename Return, typename... Args, typename... Extra>
  requires agen::python::detail::driven<Return>
auto cpp_function(Return (*f)(Args...), Extra const&... extra) -> object {
  return steal(agen::detail::bind_by_nanobind<true>(f, f, extra...));
}
template <typename = void, typename Return, typename... Args, typename... Extra>
  requires agen::python::detail::driven<Return>
void cpp_function_def(Return (*f)(Args...), Extra const&... extra) {
  agen::detail::bind_by_nanobind<false>(f, f, extra...);
}
template <typename = void, typename Func, typename... Extra,
          detail::enable_if_t<detail::is_lambda_v<std::remove_reference_t<Func>>> = 0>
  requires agen::python::detail::driven<typename agen::detail::signature<Func>::result>
auto cpp_function(Func&& f, Extra const&... extra) -> object {
  constexpr typename agen::detail::signature<Func>::pointer type = nullptr;
  return steal(agen::detail::bind_by_nanobind<true>(static_cast<Func&&>(f), type, extra...));
}
template <typename = void, typename Func, typename... Extra,
          detail::enable_if_t<detail::is_lambda_v<std::remove_reference_t<Func>>> = 0>
  requires agen::python::detail::driven<typename agen::detail::signature<Func>::result>
void cpp_function_def(Func&& f, Extra const&... extra) {
  constexpr typename agen::detail::signature<Func>::pointer type = nullptr;
  agen::detail::bind_by_nanobind<false>(static_cast<Func&&>(f), type, extra...);
}
template <typename Target = void, typename Return, typename Class, typename... Args, typename... Extra>
  requires agen::python::detail::driven<Return>
auto cpp_function(Return (Class::*f)(Args...), Extra const&... extra) -> object {
  return cpp_function(agen::detail::member_of<Target>(f), extra...);
}
template <typename Target = void, typename Return, typename Class, typename... Args, typename... Extra>
  requires agen::python::detail::driven<Return>
auto cpp_function(Return (Class::*f)(Args...) const, Extra const&... extra) -> object {
  return cpp_function(agen::detail::member_of<Target>(f), extra...);
}
template <typename Target = void, typename Return, typename Class, typename... Args, typename... Extra>
  requires agen::python::detail::driven<Return>
void cpp_function_def(Return (Class::*f)(Args...), Extra const&... extra) {
  cpp_function_def(agen::detail::member_of<Target>(f), extra...);
}
template <typename Target = void, typename Return, typename Class, typename... Args, typename... Extra>
  requires agen::python::detail::driven<Return>
void cpp_function_def(Return (Class::*f)(Args...) const, Extra const&... extra) {
  cpp_function_def(agen::detail::member_of<Target>(f), extra...);
}

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

/// What a generator is called as an argument, which may be any async iterable, and as a result. If values are sent
/// to an argument, its name says of which type.
template <class Yield, class Send>
constexpr auto agen_argument_or_result() {
  if constexpr (std::is_void_v<Send>) {
    return io_name("collections.abc.AsyncIterable[", "collections.abc.AsyncGenerator[") + agen_name<Yield>::name +
           io_name("]", ", None]");
  } else {
    return io_name("typing.Annotated[collections.abc.AsyncIterable[", "collections.abc.AsyncGenerator[") +
           agen_name<Yield>::name + io_name("], ", ", ") + agen_name<Send>::name + const_name("]");
  }
}

template <class Yield, class Send, class Return>
struct type_caster<agen::async_generator<Yield, Send, Return>> {
  using Value = agen::async_generator<Yield, Send, Return>;
  static constexpr auto Name = agen_argument_or_result<Yield, Send>();
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
  // A generator is moved out of its Python object only here, because before this nanobind may choose another overload.
  explicit operator Value() { return agen::python::from_python<Value, agen::nanobind_conversions>(source.ptr()); }
  static auto from_cpp(Value&& gen, rv_policy, cleanup_list*) noexcept -> handle {
    return agen::python::to_python<agen::nanobind_conversions>(std::move(gen), "async_generator",
                                                               agen::python::detail::take_kept_by_call());
  }

  handle source;
};

template <class T>
struct type_caster<agen::task<T>> {
  NB_TYPE_CASTER(agen::task<T>,
                 const_name("collections.abc.Coroutine[typing.Any, None, ") + agen_name<T>::name + const_name("]"))

  auto from_python(handle source, std::uint32_t, cleanup_list*) noexcept -> bool = delete;
  static auto from_cpp(agen::task<T>&& task, rv_policy, cleanup_list*) noexcept -> handle {
    return agen::python::to_python<agen::nanobind_conversions>(std::move(task), "task",
                                                               agen::python::detail::take_kept_by_call());
  }
};

/// For functions that return a future; they include agen/python/future.hpp.
template <class T>
struct type_caster<agen::future<T>> {
  NB_TYPE_CASTER(agen::future<T>,
                 const_name("collections.abc.Coroutine[typing.Any, None, ") + agen_name<T>::name + const_name("]"))

  auto from_python(handle source, std::uint32_t, cleanup_list*) noexcept -> bool = delete;
  static auto from_cpp(agen::future<T>&& future, rv_policy, cleanup_list*) noexcept -> handle {
    using adapter = agen::await_adapter<agen::future<T>>;
    return agen::python::to_python<agen::nanobind_conversions>(adapter::adapt(std::move(future)), "future");
  }
};

NAMESPACE_END(detail)
NAMESPACE_END(NB_NAMESPACE)

#endif  // AGEN_NANOBIND_HPP
