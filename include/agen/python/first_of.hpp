// The first of several things to happen, in a body that Python drives.
#ifndef AGEN_PYTHON_FIRST_OF_HPP
#define AGEN_PYTHON_FIRST_OF_HPP

#include <tuple>

#include "../when.hpp"
#include "event_loop.hpp"

namespace agen::python {

namespace detail {

/// What `co_await` finds of a value: itself, or what its await_adapter makes of it.
template <class Awaited>
auto as_awaitable(Awaited&& awaited) -> decltype(auto) {
  if constexpr (agen::detail::adapted<Awaited>) {
    return await_adapter<std::remove_cvref_t<Awaited>>::adapt(static_cast<Awaited&&>(awaited));
  } else {
    return static_cast<Awaited&&>(awaited);
  }
}
template <class Awaited>
using as_awaitable_t = std::remove_cvref_t<decltype(as_awaitable(std::declval<Awaited>()))>;

/// `results` are shared, because Python decides how long this task lives.
template <std::size_t At, class Awaitable, class Results>
auto run_one(Awaitable awaited, std::shared_ptr<Results> results) -> task<> {
  if constexpr (std::is_void_v<agen::detail::await_result<Awaitable>>) {
    co_await std::move(awaited);
    std::get<At>(*results).emplace();
  } else {
    std::get<At>(*results).emplace(co_await std::move(awaited));
  }
}

/// A coroutine in its place in a list.
inline void put(object const& list, std::size_t at, task<> work) {
  list_set_item(list.get(), static_cast<Py_ssize_t>(at), called(to_python(std::move(work), "first_of")).release());
}

template <class... Awaitables, std::size_t... Index>
auto first_of_all(std::index_sequence<Index...> /*each*/, Awaitables... awaited)
    -> task<std::variant<agen::detail::given_t<Awaitables>...>> {
  using results = std::tuple<std::optional<agen::detail::given_t<Awaitables>>...>;
  auto const given = std::make_shared<results>();
  auto const function = bridge_attribute("_first_of");
  auto list = called(PyList_New(sizeof...(Awaitables)));
  (put(list, Index, run_one<Index, Awaitables>(std::move(awaited), given)), ...);
  auto waits = called(call_one_arg, function.get(), list.get());
  list = object();
  auto const first = co_await awaitable(std::move(waits));
  auto const index = PyLong_AsSize_t(first.get());
  if (index == static_cast<std::size_t>(-1) && PyErr_Occurred() != nullptr) throw error::current();
  co_return agen::detail::winning<0, std::variant<agen::detail::given_t<Awaitables>...>>(*given, index);
}

}  // namespace detail

/// `co_await first_of(awaitables...)` in a body that Python drives: what the first to end gives, as a std::variant
/// whose index() says which one it was; std::monostate for nothing. Awaitable are those of event_loop.hpp, tasks,
/// futures, events and notifiers:
///
///     auto const first = co_await py::first_of(py::readable(fd), py::sleep(1s), stop);
///     if (first.index() == 1) throw late();
///
/// Each runs in a Python task of its own. The others are then cancelled and awaited; what they give is dropped, also if
/// that was there at the same time. Throws what the first to end throws, or what another one throws at its end.
/// A cancellation of the body cancels all. Throws error with RuntimeError if no event loop runs that
/// async_generator.bridge knows, or one of a user without `first_of`.
template <class... Awaitables>
  requires(sizeof...(Awaitables) != 0)
auto first_of(Awaitables&&... awaitables) {
  return detail::first_of_all<detail::as_awaitable_t<Awaitables>...>(
      std::index_sequence_for<Awaitables...>(), detail::as_awaitable(static_cast<Awaitables&&>(awaitables))...);
}

}  // namespace agen::python

#endif  // AGEN_PYTHON_FIRST_OF_HPP
