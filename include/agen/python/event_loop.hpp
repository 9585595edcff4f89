// What a C++ body can ask of the event loop that drives it: to be resumed when a file descriptor is readable or
// writable or a time has passed, to let other tasks run, and not to cancel it while it cleans up.
// async_generator.bridge, in Python, finds out which loop that is; no header knows one.
#ifndef AGEN_PYTHON_EVENT_LOOP_HPP
#define AGEN_PYTHON_EVENT_LOOP_HPP

#include <memory>
#include <optional>

#include "../fairness.hpp"
#include "to_python.hpp"

namespace agen::python {

/// `co_await agen::python::readable(fd)` in a body that Python drives suspends until the file descriptor is readable,
/// or at its end, or in error: for engines that signal by one.
///
/// The descriptor stays yours, and has to stay open meanwhile. What is in it is not read. Throws error with
/// RuntimeError if no event loop runs that async_generator.bridge knows, or if that loop cannot watch descriptors, and
/// with what the loop raises; cancellation arrives here. Needs the GIL.
inline auto readable(int fd) -> detail::awaiting {
  auto const wait = detail::bridge_attribute("wait_readable");
  return awaitable(detail::called(PyObject_CallFunction, wait.get(), "i", fd));
}

/// The same until it is writable; beside it another task may wait until it is readable.
inline auto writable(int fd) -> detail::awaiting {
  auto const wait = detail::bridge_attribute("wait_writable");
  return awaitable(detail::called(PyObject_CallFunction, wait.get(), "i", fd));
}

/// A time to wait, of any unit of `<chrono>`.
using seconds = std::chrono::duration<double>;

/// `co_await agen::python::sleep(20ms)` suspends the body for a time; cancellation arrives here. Errors as readable().
inline auto sleep(seconds time) -> detail::awaiting {
  auto const function = detail::bridge_attribute("sleep");
  return awaitable(detail::called(PyObject_CallFunction, function.get(), "d", time.count()));
}

/// `co_await agen::python::checkpoint()` lets everything else that is ready on the event loop run once; cancellation
/// arrives here. Errors as readable().
inline auto checkpoint() -> detail::awaiting {
  auto const function = detail::bridge_attribute("checkpoint");
  return awaitable(detail::called(PyObject_CallObject, function.get(), nullptr));
}

/// `co_await agen::python::shielded(obj)` awaits a Python awaitable, and gives its result, without a cancellation that
/// has arrived in this body already arriving there again: for cleanup that awaits. trio and anyio cancel each wait of a
/// cancelled scope, and so would end the cleanup at its first; asyncio and curio cancel once, and once more if asked.
///
/// Throws error with TimeoutError after `limit`, if there is one, when it has cancelled what it awaits; otherwise as
/// awaitable() and readable().
inline auto shielded(object awaited, std::optional<seconds> limit = {}) -> detail::awaiting {
  auto const function = detail::bridge_attribute("shielded");
  object const time = limit ? detail::called(PyFloat_FromDouble(limit->count())) : object::borrow(Py_None);
  return awaitable(detail::called(PyObject_CallFunctionObjArgs, function.get(), awaited.get(), time.get(), nullptr));
}

namespace detail {
/// `result` is shared, because Python decides how long this task lives.
template <class T>
auto keep_result(task<T> work, std::shared_ptr<std::optional<T>> result) -> task<> {
  result->emplace(co_await std::move(work));
}
}  // namespace detail

/// The same for a C++ task, which may await as often as it has to:
///
///     } catch (...) { thrown = std::current_exception(); }
///     co_await agen::python::shielded(drain(connection), 5s);
///     if (thrown) std::rethrow_exception(thrown);
template <class T>
auto shielded(task<T> work, std::optional<seconds> limit = {}) -> task<T> {
  static_assert(!std::is_reference_v<T>, "agen::python::shielded: return a pointer, or a value");
  if constexpr (std::is_void_v<T>) {
    co_await shielded(detail::called(to_python(std::move(work), "shielded")), limit);
  } else {
    auto const result = std::make_shared<std::optional<T>>();
    co_await shielded(detail::called(to_python(detail::keep_result(std::move(work), result), "shielded")), limit);
    co_return std::move(**result);
  }
}

/// The items of `source`, with a checkpoint() in between when it has given items for as long as `slice` without
/// suspending: so that a generator that always has an item does not starve the event loop. See agen::fair().
template <async_iterable Source>
auto fair(Source&& source, std::chrono::nanoseconds slice = default_slice) {
  return agen::fair(static_cast<Source&&>(source), [] { return checkpoint(); }, slice);
}

namespace detail {

/// A visible that begins empty, may be moved, and follows its generator from one body to another.
class kept_visible {
 public:
  [[nodiscard]] auto holds() const noexcept -> bool { return kept_ != nullptr; }
  void keep(object kept) { kept_ = std::make_unique<visible>(std::move(kept)); }
  /// In a body. It holds something.
  auto get() -> PyObject* {
    if (!kept_->is_current()) [[unlikely]]
      keep(kept_->get());
    return kept_->get().get();
  }
  [[nodiscard]] auto anywhere() const noexcept -> PyObject* { return kept_->get().get(); }

 private:
  std::unique_ptr<visible> kept_;
};

}  // namespace detail

/// Waits many times for one descriptor that carries wakeups only: what is in it may be read and dropped. Cheaper than
/// readable(), because the loop keeps watching in between. Made and used in a body that Python drives; it may be
/// destroyed wherever the body may.
class watch {
 public:
  watch() noexcept = default;
  watch(watch&& other) noexcept = default;
  auto operator=(watch&&) -> watch& = delete;
  ~watch() {
    if (!watch_.holds()) return;
    detail::without_exception const aside;  // the body may be destroyed because of one
    PyObject* const watching = watch_.anywhere();
    if (!object::steal(detail::or_stay(PyObject_CallMethod, watching, "close", nullptr)))
      detail::or_stay(PyErr_WriteUnraisable, watching);
  }

  /// Awaitable: completes when `fd`, the same in every call, is readable. Errors as readable().
  auto operator()(int fd) -> detail::awaiting {
    if (!watch_.holds()) {
      auto const type = detail::bridge_attribute("Watch");
      watch_.keep(detail::called(PyObject_CallFunction, type.get(), "i", fd));
    }
    return awaitable(detail::called(PyObject_CallNoArgs, watch_.get()));
  }

 private:
  detail::kept_visible watch_;
};

}  // namespace agen::python

#endif  // AGEN_PYTHON_EVENT_LOOP_HPP
