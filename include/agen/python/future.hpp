// Futures whose result Python awaits, or a C++ body that Python drives: one result from a C++ thread, which never
// touches Python, on any event loop.
#ifndef AGEN_PYTHON_FUTURE_HPP
#define AGEN_PYTHON_FUTURE_HPP

#include "../future.hpp"
#include "hub.hpp"

namespace agen::python {

/// The result of a future as a task that waits on the event loop that drives it. A bound function returns it, or the
/// future itself; a body may also write `co_await std::move(future)`.
///
/// Throws what future::get() throws; errors as readable(), and std::system_error if the process has no file descriptor
/// left. A cancellation arrives at the wait and asks the promise to stop; the promise's stop callbacks run with the GIL
/// held, and must not wait for a thread that wants it.
template <class T>
auto result(future<T> from) -> task<T> {
  return agen::detail::future_result(std::move(from), detail::channel_waits({}));
}

/// As for a task.
template <class Converter = conversions, class T>
auto to_python(future<T>&& from, char const* name = "future") noexcept -> PyObject* try {
  return to_python<Converter>(result(std::move(from)), name);
} catch (...) {
  detail::raise_in_python(std::current_exception());
  return nullptr;
}

}  // namespace agen::python

template <class T>
struct agen::await_adapter<agen::future<T>> {
  static auto adapt(future<T>&& awaited) -> task<T> { return python::result(std::move(awaited)); }
};

#endif  // AGEN_PYTHON_FUTURE_HPP
