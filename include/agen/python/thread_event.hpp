// Events and notifiers that Python awaits, or a C++ body that Python drives: signals from C++ threads, which never
// touch Python, on any event loop.
#ifndef AGEN_PYTHON_THREAD_EVENT_HPP
#define AGEN_PYTHON_THREAD_EVENT_HPP

#include "../thread_event.hpp"
#include "hub.hpp"

namespace agen::python {

/// The wait for an event or a notifier as a task that waits on the event loop that drives it. A bound function returns
/// it, and Python gets a coroutine; in a body, `co_await` the event itself.
///
///     m.def("ready", [](query& q) { return agen::python::wait(q.ready); });
///
/// Errors as readable(), std::system_error if the process has no file descriptor left, and forked_event.
inline auto wait(agen::detail::signal_handle const& of) -> task<> {
  return agen::detail::signalled(of.state(), detail::channel_waits({}));
}

}  // namespace agen::python

template <>
struct agen::await_adapter<agen::thread_event> {
  static auto adapt(thread_event const& awaited) -> task<> { return python::wait(awaited); }
};
template <>
struct agen::await_adapter<agen::notifier> {
  static auto adapt(notifier const& awaited) -> task<> { return python::wait(awaited); }
};

#endif  // AGEN_PYTHON_THREAD_EVENT_HPP
