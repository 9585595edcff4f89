// What a C++ body asks of the event loop that drives it: to be resumed when a file descriptor is readable, and to let
// others run. Which loop that is, Python finds out (async_generator.bridge): nothing here knows one.
#ifndef AGEN_PYTHON_EVENT_LOOP_HPP
#define AGEN_PYTHON_EVENT_LOOP_HPP

#include "../fairness.hpp"
#include "session.hpp"

namespace agen::python {

namespace detail {

/// A function or class of async_generator.bridge. Throws error.
inline auto bridge_attribute(char const* name) -> object {
  auto const module = object::steal(PyImport_ImportModule("async_generator.bridge"));
  if (!module) throw error::current();
  auto attribute = object::steal(PyObject_GetAttrString(module.get(), name));
  if (!attribute) throw error::current();
  return attribute;
}

/// Throws error for a call that failed.
inline auto called(PyObject* result) -> object {
  if (result == nullptr) throw error::current();
  return object::steal(result);
}

}  // namespace detail

/// `co_await agen::python::readable(fd)` in a body that Python drives suspends until the file descriptor is readable,
/// or at its end, or in error: for engines that signal by one.
///
/// The descriptor stays yours, and has to stay open meanwhile. What is in it is not read. Throws error with
/// RuntimeError if no event loop runs that async_generator.bridge knows, or if that loop cannot watch descriptors, and
/// with what the loop raises; cancellation arrives here. Needs the GIL.
inline auto readable(int fd) -> detail::awaiting {
  auto const wait = detail::bridge_attribute("wait_readable");
  return awaitable(detail::called(PyObject_CallFunction(wait.get(), "i", fd)));
}

/// `co_await agen::python::checkpoint()` lets everything else that is ready on the event loop run once; cancellation
/// arrives here. Errors as readable().
inline auto checkpoint() -> detail::awaiting {
  auto const function = detail::bridge_attribute("checkpoint");
  return awaitable(detail::called(PyObject_CallObject(function.get(), nullptr)));
}

/// The items of `source`, with a checkpoint() in between when it has given items for as long as `slice` without
/// suspending: so that a generator that always has an item does not starve the event loop. See agen::fair().
template <async_iterable Source>
auto fair(Source&& source, std::chrono::nanoseconds slice = default_slice) {
  return agen::fair(static_cast<Source&&>(source), [] { return checkpoint(); }, slice);
}

/// Waits many times for one descriptor that carries wakeups only: what is in it may be read and dropped. Cheaper than
/// readable(), as the loop goes on watching in between. Made and used in a body that Python drives; it may be destroyed
/// wherever the body may.
class watch {
 public:
  watch() noexcept = default;
  watch(watch&& other) noexcept = default;
  auto operator=(watch&&) -> watch& = delete;
  ~watch() {
    if (!watch_) return;
    auto raised = detail::take_exception();  // the body may be destroyed because of one
    if (!object::steal(PyObject_CallMethod(watch_.get(), "close", nullptr))) PyErr_WriteUnraisable(watch_.get());
    if (raised) detail::restore_exception(std::move(raised));
  }

  /// Awaitable: completes when `fd`, the same in every call, is readable. Errors as readable().
  auto operator()(int fd) -> detail::awaiting {
    if (!watch_) {
      auto const type = detail::bridge_attribute("Watch");
      watch_ = detail::called(PyObject_CallFunction(type.get(), "i", fd));
      wait_ = detail::called(PyObject_GetAttrString(watch_.get(), "wait"));
    }
    return awaitable(detail::called(PyObject_CallObject(wait_.get(), nullptr)));
  }

 private:
  object watch_;
  object wait_;
};

}  // namespace agen::python

#endif  // AGEN_PYTHON_EVENT_LOOP_HPP
