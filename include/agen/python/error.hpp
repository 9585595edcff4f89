// Exceptions that cross between Python and C++. An exception that crosses twice is the same object afterwards:
// agen::python::error carries a Python exception through C++, and an attribute of the Python exception that was made of
// a C++ exception carries that through Python.
#ifndef AGEN_PYTHON_ERROR_HPP
#define AGEN_PYTHON_ERROR_HPP

#include <atomic>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "../errors.hpp"
#include "object.hpp"

namespace agen::python {

namespace detail {

/// Takes the thread's current exception away, with its traceback; empty when there is none.
inline auto take_exception() noexcept -> object { return object::steal(or_stay(take_raised)); }

/// Makes `exception` the thread's current one, as it is.
inline void restore_exception(object exception) noexcept { set_raised(exception.release()); }

/// A text of C++ as a str: its bytes that are no UTF-8 are escaped, as by "backslashreplace". Empty, with an
/// exception set, if that fails.
inline auto decoded(char const* text) noexcept -> object {
  auto const size = static_cast<Py_ssize_t>(std::char_traits<char>::length(text));
  return object::steal(or_stay(PyUnicode_DecodeUTF8, text, size, "backslashreplace"));
}

/// PyErr_SetString() for any text.
inline void set_exception(PyObject* type, char const* text) noexcept {
  if (auto const shown = decoded(text)) PyErr_SetObject(type, shown.get());
}

/// Keeps the thread's current exception away for a scope, and makes it the current one again at the end.
class without_exception {
 public:
  without_exception() noexcept : set_aside_(take_exception()) {}
  without_exception(without_exception const&) = delete;
  auto operator=(without_exception const&) -> without_exception& = delete;
  ~without_exception() {
    if (set_aside_) restore_exception(std::move(set_aside_));
  }

 private:
  object set_aside_;
};

/// The GIL for a scope, also where the thread holds it already.
class holding_gil {
 public:
  holding_gil() : took_(!holds_gil()) {
    if (took_) state_ = or_stay(PyGILState_Ensure);
  }
  holding_gil(holding_gil const&) = delete;
  auto operator=(holding_gil const&) -> holding_gil& = delete;
  ~holding_gil() {
    if (took_) or_stay(PyGILState_Release, state_);
  }

 private:
  bool took_;
  PyGILState_STATE state_{};
};

}  // namespace detail

/// A Python exception in C++: it is thrown where Python raised, and is raised in Python where it leaves C++, as the
/// same object, with its traceback. May be copied, thrown and dropped with or without the GIL.
class error : public std::exception {
 public:
  /// \param exception  an instance of BaseException
  explicit error(object exception) : shared_(std::make_shared<shared>(std::move(exception))) {}
  /// A new exception of a Python class, such as PyExc_ValueError. What is no UTF-8 in the text is escaped.
  error(PyObject* type, char const* text) : error((detail::set_exception(type, text), detail::take_exception())) {}

  /// The thread's current Python exception, which is then no longer set. One must be set.
  static auto current() -> error { return error(detail::take_exception()); }

  /// The exception object.
  [[nodiscard]] auto value() const noexcept -> object const& { return shared_->exception; }
  /// Whether the exception is an instance of a class, or of one in a tuple of classes (an `except` clause).
  [[nodiscard]] auto matches(PyObject* type) const noexcept -> bool {
    return PyErr_GivenExceptionMatches(value().get(), type) != 0;
  }
  /// Sets the exception as the thread's current one.
  void restore() const noexcept { detail::restore_exception(value()); }
  /// "ValueError: text". Takes the GIL.
  [[nodiscard]] auto what() const noexcept -> char const* override;

 private:
  struct shared {
    explicit shared(object e) noexcept : exception(std::move(e)) {}
    shared(shared const&) = delete;
    auto operator=(shared const&) -> shared& = delete;
    ~shared() {
      delete text.load(std::memory_order_acquire);
      if (Py_IsInitialized() == 0) {
        (void)exception.release();
        return;
      }
      detail::holding_gil const gil;
      exception = object();
    }
    object exception;
    std::atomic<std::string const*> text{nullptr};  ///< made by the first call of what()
  };
  std::shared_ptr<shared> shared_;
};

inline auto error::what() const noexcept -> char const* try {
  detail::holding_gil const gil;
  if (auto const* known = shared_->text.load(std::memory_order_acquire)) return known->c_str();
  detail::without_exception const aside;
  auto made = std::make_unique<std::string>(detail::type_name(value().get()).c_str());
  auto const shown = object::steal(detail::or_stay(PyObject_Str, value().get()));
  char const* const characters = shown ? PyUnicode_AsUTF8AndSize(shown.get(), nullptr) : nullptr;
  if (characters != nullptr && *characters != '\0') *made += std::string(": ") + characters;
  PyErr_Clear();
  std::string const* known = nullptr;
  if (!shared_->text.compare_exchange_strong(known, made.get(), std::memory_order_acq_rel)) return known->c_str();
  return made.release()->c_str();
} catch (...) {
  return "a Python exception";
}

namespace detail {

/// The new reference that a function of the C API returned. Throws error if the function failed.
inline auto called(PyObject* result) -> object {
  if (result == nullptr) throw error::current();
  return object::steal(result);
}
/// The same for a function that may run code in Python.
template <class Function, class... Arguments>
auto called(Function function, Arguments... arguments) -> object {
  return called(or_stay(function, arguments...));
}

}  // namespace detail

/// Sets the Python exception for a C++ exception that it knows, and rethrows any other.
using translator = void (*)(std::exception_ptr const& exception);

namespace detail {

inline AGEN_PYTHON_MODULE_LOCAL std::vector<translator> translators;

inline void raise_system_error(std::system_error const& e) {
  auto const& category = e.code().category();
  if (category != std::generic_category() && category != std::system_category()) {
    set_exception(PyExc_RuntimeError, e.what());
    return;
  }
  auto const text = decoded(e.what());
  if (!text) return;
  auto const made = object::steal(or_stay(PyObject_CallFunction, PyExc_OSError, "iO", e.code().value(), text.get()));
  if (made) PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(made.get())), made.get());  // FileNotFoundError ...
}

auto already_running_class() -> object;  // engine.hpp

/// The table of docs/bridge/index.md.
inline void raise_standard(std::exception_ptr const& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (error const& e) {
    e.restore();
  } catch (generator_exit const&) {
    PyErr_SetNone(PyExc_GeneratorExit);
  } catch (already_running const& e) {
    auto const type = already_running_class();
    if (type) set_exception(type.get(), e.what());
  } catch (just_started const& e) {
    set_exception(PyExc_TypeError, e.what());
  } catch (nothing_sent const& e) {
    set_exception(PyExc_TypeError, e.what());
  } catch (send_unsupported const& e) {
    set_exception(PyExc_AttributeError, e.what());
  } catch (std::bad_alloc const&) {
    PyErr_NoMemory();
  } catch (std::system_error const& e) {
    raise_system_error(e);
  } catch (std::out_of_range const& e) {
    set_exception(PyExc_IndexError, e.what());
  } catch (std::invalid_argument const& e) {
    set_exception(PyExc_ValueError, e.what());
  } catch (std::domain_error const& e) {
    set_exception(PyExc_ValueError, e.what());
  } catch (std::length_error const& e) {
    set_exception(PyExc_ValueError, e.what());
  } catch (std::range_error const& e) {
    set_exception(PyExc_ValueError, e.what());
  } catch (std::overflow_error const& e) {
    set_exception(PyExc_OverflowError, e.what());
  } catch (std::exception const& e) {
    set_exception(PyExc_RuntimeError, e.what());
  } catch (...) {
    PyErr_SetString(PyExc_RuntimeError, "a C++ exception that is no std::exception");
  }
}

/// Translates by a binding tool: `thrower` is a function of the tool's that throws the exception. If the tool
/// only has a general error for it, or could not read its text as UTF-8, the table above decides.
inline void raise_by_tool(std::exception_ptr const& exception, PyObject* thrower) {
  auto const is_a = [](object const& raised, PyObject* type) {
    return Py_TYPE(raised.get()) == reinterpret_cast<PyTypeObject*>(type);
  };
  if (agen::detail::is_exit(exception)) std::rethrow_exception(exception);
  auto const result = object::steal(or_stay(PyObject_CallObject, thrower, nullptr));
  auto by_tool = take_exception();
  raise_standard(exception);
  auto by_table = take_exception();
  bool const general = !by_tool || is_a(by_tool, PyExc_SystemError) || is_a(by_tool, PyExc_UnicodeDecodeError) ||
                       (is_a(by_tool, PyExc_RuntimeError) && !is_a(by_table, PyExc_RuntimeError));
  restore_exception(general ? std::move(by_table) : std::move(by_tool));
}

inline void raise_translated(std::exception_ptr exception) {
  for (auto i = translators.rbegin(); i != translators.rend(); ++i) {
    try {
      return (*i)(exception);
    } catch (...) {
      exception = std::current_exception();  // a translator may replace it
    }
  }
  raise_standard(exception);
}

// The address of this name tells the exceptions of this module from those of another.
inline AGEN_PYTHON_MODULE_LOCAL char const twin_capsule[] = "agen C++ exception";
inline constexpr char const* twin_attribute = "__cpp_exception__";

/// The C++ exception that a Python exception was made of in this module; null when there is none.
inline auto twin_of(PyObject* exception) noexcept -> std::exception_ptr {
  if (!may_have_attributes(exception)) return nullptr;
  auto const capsule = object::steal(or_stay(attribute, exception, twin_attribute));
  if (!capsule || PyCapsule_CheckExact(capsule.get()) == 0 || PyCapsule_GetName(capsule.get()) != twin_capsule) {
    PyErr_Clear();
    return nullptr;
  }
  return *static_cast<std::exception_ptr*>(PyCapsule_GetPointer(capsule.get(), twin_capsule));
}

inline void set_twin(PyObject* exception, std::exception_ptr const& twin) noexcept {
  auto* const kept = new (std::nothrow) std::exception_ptr(twin);
  if (kept == nullptr) return;
  auto const capsule = object::steal(PyCapsule_New(kept, twin_capsule, [](PyObject* dying) {
    delete static_cast<std::exception_ptr*>(PyCapsule_GetPointer(dying, twin_capsule));
  }));
  if (!capsule) delete kept;
  if (!capsule || or_stay(PyObject_SetAttrString, exception, twin_attribute, capsule.get()) < 0) PyErr_Clear();
}

/// The Python exception that a C++ exception carries; empty when it carries none. Binding tools have such
/// exceptions of their own.
using carrier = object (*)(std::exception_ptr const& exception);
inline AGEN_PYTHON_MODULE_LOCAL std::vector<carrier> carriers;

inline auto carried(std::exception_ptr const& exception) noexcept -> object {
  for (carrier const ask : carriers) {
    if (auto found = ask(exception)) return found;
  }
  try {
    std::rethrow_exception(exception);
  } catch (error const& e) {
    return e.value();
  } catch (...) {
    return {};
  }
}

/// Makes a C++ exception the thread's current Python exception.
inline void raise_in_python(std::exception_ptr const& exception) noexcept {
  if (!exception) stay_for_ever();  // what unwinds is no C++ exception, see or_stay()
  if (auto python = carried(exception)) return restore_exception(std::move(python));
  try {
    raise_translated(exception);
  } catch (std::exception const& e) {
    set_exception(PyExc_RuntimeError, e.what());
  } catch (...) {
    PyErr_SetString(PyExc_RuntimeError, "a C++ exception that is no std::exception");
  }
  auto raised = take_exception();
  if (!raised) {
    PyErr_SetString(PyExc_SystemError, "a translator of C++ exceptions set no Python exception");
    return;
  }
  set_twin(raised.get(), exception);
  restore_exception(std::move(raised));
}

/// The C++ exception for a Python one.
inline auto to_cpp(PyObject* exception) -> std::exception_ptr {
  if (auto twin = twin_of(exception)) return twin;
  if (PyErr_GivenExceptionMatches(exception, PyExc_GeneratorExit) != 0) {
    return std::make_exception_ptr(generator_exit());
  }
  return std::make_exception_ptr(error(object::borrow(exception)));
}

}  // namespace detail

/// Adds a translator of C++ exceptions that leave bodies of this extension module; the newest is asked first. Needs the
/// GIL.
///
///     agen::python::register_translator([](std::exception_ptr const& p) {
///       try { std::rethrow_exception(p); } catch (my_error const& e) { PyErr_SetString(PyExc_KeyError, e.what()); }
///     });
inline void register_translator(translator added) { detail::translators.push_back(added); }

}  // namespace agen::python

#endif  // AGEN_PYTHON_ERROR_HPP
