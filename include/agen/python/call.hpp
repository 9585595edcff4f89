// Calls of bound functions that return generators or tasks, for agen/nanobind.hpp and agen/pybind11.hpp. A coroutine
// outlives its call, so the objects that its parameters refer to have to live as long as it does. What the call throws
// is raised in Python in the same way as what the body throws.
#ifndef AGEN_PYTHON_CALL_HPP
#define AGEN_PYTHON_CALL_HPP

#include <concepts>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

#include "../async_generator.hpp"
#include "../task.hpp"
#include "error.hpp"

namespace agen::python::detail {

template <class T>
inline constexpr bool is_driven = false;
template <class Yield, class Send, class Return>
inline constexpr bool is_driven<async_generator<Yield, Send, Return>> = true;
template <class T>
inline constexpr bool is_driven<task<T>> = true;
/// What a function returns that Python drives.
template <class T>
concept driven = is_driven<T>;

template <class T>
inline constexpr bool is_view = false;
template <class Character, class Traits>
inline constexpr bool is_view<std::basic_string_view<Character, Traits>> = true;

template <class T>
concept character = std::same_as<T, char> || std::same_as<T, wchar_t> || std::same_as<T, char8_t> ||
                    std::same_as<T, char16_t> || std::same_as<T, char32_t>;

// A list of what the Python object of a call's result has to keep, or null. Set when a bound function returns, and
// taken when that object is made.
inline AGEN_PYTHON_MODULE_LOCAL constinit thread_local PyObject* kept_by_call = nullptr;

inline auto take_kept_by_call() noexcept -> object { return object::steal(std::exchange(kept_by_call, nullptr)); }

/// Keeps alive what the parameters of one call refer to. A call guard may have released the GIL, so each step takes it.
class referents {
 public:
  referents() noexcept = default;
  referents(referents const&) = delete;
  auto operator=(referents const&) -> referents& = delete;
  ~referents() {
    if (!list_) return;
    holding_gil const gil;
    list_ = object();
  }

  /// Keeps a Python object; with none there is nothing to keep.
  void keep(PyObject* kept) {
    if (kept == nullptr || kept == Py_None) return;
    holding_gil const gil;
    if (!list_) list_ = object::steal(PyList_New(0));
    if (!list_ || PyList_Append(list_.get(), kept) < 0) throw error::current();
  }
  /// Keeps a C++ value.
  template <class T>
  auto store(T value) -> T& {
    constexpr char const* name = "agen argument";
    holding_gil const gil;
    auto owner = std::make_unique<T>(std::move(value));
    T& stored = *owner;
    auto const capsule = object::steal(PyCapsule_New(
        owner.get(), name, [](PyObject* dying) { delete static_cast<T*>(PyCapsule_GetPointer(dying, name)); }));
    if (!capsule) throw error::current();
    (void)owner.release();
    keep(capsule.get());
    return stored;
  }
  /// Passes everything on to the Python object that is made next on this thread.
  void leave() {
    if (!list_) return;
    holding_gil const gil;
    (void)object::steal(std::exchange(kept_by_call, list_.release()));
  }

 private:
  object list_;
};

/// Turns a value that is a copy, or that outlives this call, into the parameter that the function takes.
template <class T, class Value>
auto as_parameter(referents& kept, Value value) -> T {
  if constexpr (std::is_reference_v<T>) {
    return static_cast<T>(kept.store(std::move(value)));
  } else {
    return static_cast<T>(std::move(value));
  }
}

template <class Tool, class T>
void keep_instance(referents& kept, T const& instance) {
  holding_gil const gil;
  kept.keep(Tool::find(instance).get());
}

template <class Tool, class T, class Pointer>
auto outliving_pointer(referents& kept, Pointer pointer) -> T {
  using pointee = std::remove_cv_t<std::remove_pointer_t<Pointer>>;
  if (pointer == nullptr) return as_parameter<T>(kept, pointer);
  if constexpr (std::same_as<pointee, PyObject>) {
    kept.keep(pointer);
  } else if constexpr (character<pointee>) {
    pointer = kept.store(std::basic_string<pointee>(pointer)).data();
  } else if constexpr (std::is_object_v<pointee> && !std::is_pointer_v<pointee>) {
    if constexpr (Tool::template is_bound<pointee>) {
      keep_instance<Tool>(kept, *pointer);
    } else if constexpr (std::is_copy_constructible_v<pointee>) {
      pointer = std::addressof(kept.store(pointee(*pointer)));
    }
  }
  return as_parameter<T>(kept, pointer);
}

/// The argument for a parameter of type T, which may then refer to it for as long as the generator or task lives. What
/// is no reference, pointer, view or handle passes through.
template <class Tool, class T>
auto outliving(referents& kept, std::remove_reference_t<T>& argument) -> T {
  using type = std::remove_cvref_t<T>;
  if constexpr (is_view<type>) {
    type const text = kept.store(std::basic_string<typename type::value_type>(argument));
    return as_parameter<T>(kept, text);
  } else if constexpr (std::is_pointer_v<type>) {
    return outliving_pointer<Tool, T>(kept, argument);
  } else if constexpr (Tool::template is_borrowed<type>) {
    kept.keep(argument.ptr());
    return as_parameter<T>(kept, argument);
  } else if constexpr (!std::is_reference_v<T>) {
    return std::move(argument);
  } else if constexpr (Tool::template is_bound<type>) {
    keep_instance<Tool>(kept, argument);
    return static_cast<T>(argument);
  } else {
    static_assert(
        std::is_constructible_v<type, decltype(std::move(argument))>,
        "a bound function that returns an agen::async_generator or agen::task takes a reference to a value that "
        "is made for the call and cannot be copied: the coroutine would outlive it. Take it by value.");
    holding_gil const gil;  // it may be a Python object
    return static_cast<T>(kept.store(type(std::move(argument))));
  }
}

template <class Tool, class T>
inline constexpr bool refers =
    std::is_reference_v<T> || std::is_pointer_v<T> || is_view<T> || Tool::template is_borrowed<std::remove_cvref_t<T>>;

/// Calls a bound function.
///
/// \tparam Tool  a binding tool. is_bound<T>: instances of T are Python objects. is_borrowed<T>: a T is a Python object
///               that it does not own. find(): the Python object of an instance. raise(): throws what carries a Python
///               exception for the tool.
/// \tparam Args  the types of its parameters, exactly
template <class Tool, class Return, class... Args, class Function>
auto call(Function&& function, Args... args) -> Return {
  try {
    if constexpr ((refers<Tool, Args> || ...)) {
      referents kept;
      Return made = function(outliving<Tool, Args>(kept, args)...);
      kept.leave();
      return made;
    } else {
      return function(static_cast<Args&&>(args)...);
    }
  } catch (...) {
    Tool::raise(agen::detail::current_error());
  }
}

}  // namespace agen::python::detail

#endif  // AGEN_PYTHON_CALL_HPP
