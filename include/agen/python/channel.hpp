// Channels whose consumer is Python: items from C++ threads, which never touch Python, on any event loop.
#ifndef AGEN_PYTHON_CHANNEL_HPP
#define AGEN_PYTHON_CHANNEL_HPP

#include "../channel.hpp"
#include "hub.hpp"

namespace agen::python {

/// The generator of what a channel's producers push, for Python to iterate.
///
///     m.def("tokens", [](std::string prompt) -> agen::async_generator<std::string> {
///       agen::channel<std::string> channel(1024);
///       start_engine(prompt, channel.producer());
///       return agen::python::items(std::move(channel));
///     });
///
/// It waits on the event loop that drives it, and gives others a turn after `slice` of items that were there already.
/// Where it is closed or cancelled it awaits its producers' end in peace (see shielded()), but no longer than
/// `patience`, if that is given; they are then left to end by themselves. Errors as readable(), and std::system_error
/// if the process has no file descriptor left. Closing, cancelling and dropping it: see agen/channel.hpp. The items are
/// destroyed, and the producers' stop callbacks called, with the GIL held: a callback must not wait for a thread that
/// wants it.
template <class T>
auto items(channel<T> from, std::chrono::nanoseconds slice = default_slice, std::optional<seconds> patience = {})
    -> async_generator<T> {
  return fair(agen::detail::channel_items(std::move(from), detail::channel_waits(patience)), slice);
}

}  // namespace agen::python

#endif  // AGEN_PYTHON_CHANNEL_HPP
