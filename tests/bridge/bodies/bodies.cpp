// The C++ bodies that the bridge's tests drive from Python. Bound by nanobind, or by pybind11 with WITH_PYBIND11.
#ifdef WITH_PYBIND11
#include <pybind11/stl.h>
#include <agen/pybind11.hpp>
namespace tool = pybind11;
using conversions = agen::pybind11_conversions;
#define BODIES_MODULE(m) PYBIND11_MODULE(bodies_pybind11, m, pybind11::mod_gil_not_used())
#else
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <agen/nanobind.hpp>
namespace tool = nanobind;
using conversions = agen::nanobind_conversions;
#define BODIES_MODULE(m) NB_MODULE(bodies_nanobind, m)
#endif

#include <agen/adaptors.hpp>
#include <agen/closing.hpp>
#include <agen/python/export_stream.hpp>
#include <agen/python/future.hpp>
#include <agen/std_stop.hpp>
#include <agen/sync_wait.hpp>
#include <atomic>
#include <system_error>
#include <thread>

namespace {

namespace py = agen::python;
using agen::async_generator;

auto own(tool::handle object) -> py::object { return py::object::borrow(object.ptr()); }
auto call(tool::handle function) -> py::object {
  PyObject* const result = PyObject_CallNoArgs(function.ptr());
  if (result == nullptr) throw py::error::current();
  return py::object::steal(result);
}
auto to_tool(py::object const& object) -> tool::object { return conversions::from_python<tool::object>(object.get()); }

/// Counts what of the bodies is alive.
std::atomic<int> alive = 0;
struct counted {
  counted() { ++alive; }
  counted(counted const&) = delete;
  auto operator=(counted const&) -> counted& = delete;
  ~counted() { --alive; }
};

struct unbound {};
class own_error : public std::runtime_error {
  using runtime_error::runtime_error;
};

// Generators
// ------------------------------------------------------------------------------------------------------------

auto count(int n) -> async_generator<int> {
  counted const here;
  for (int i = 0; i < n; ++i) co_yield i;
}

auto words(std::vector<std::string> all) -> async_generator<std::string const&> {
  for (auto const& one : all) co_yield one;
}

/// Gives back what is sent; its return value is what was sent last. Nothing sent is std::nullopt.
auto echo() -> async_generator<std::string, std::optional<std::string>, std::string> {
  counted const here;
  std::string last = "ready";
  for (;;) {
    auto const sent = co_yield last;
    if (sent == "end") co_return last;
    last = sent.value_or("nothing");
  }
}

/// Objects as they are, both ways.
auto echo_objects() -> async_generator<tool::object, tool::object> {
  tool::object last = tool::none();
  for (;;) {
    auto const sent = co_yield last;
    last = sent;
  }
}

/// Says what it was thrown, and goes on; `end` ends it.
auto catches() -> async_generator<std::string> {
  std::string said = "ready";
  for (;;) {
    try {
      co_yield said;
      said = "nothing";
    } catch (py::error const& e) {
      said = e.what();
    }
  }
}

// [await]
/// Awaits what `before` gives before each item, and what `after` gives when it ends,
/// however it does.
auto awaits(int n, tool::object before, tool::object after) -> async_generator<int> {
  counted const here;
  std::exception_ptr thrown;
  try {
    for (int i = 0; i < n; ++i) {
      co_await py::awaitable(call(before));
      co_yield i;
    }
  } catch (...) {
    thrown = std::current_exception();
  }
  if (!after.is_none()) co_await py::awaitable(call(after));
  if (thrown) std::rethrow_exception(thrown);
}
// [/await]

/// The same in tasks of their own.
auto called_and_awaited(tool::object before) -> agen::task<> { co_await py::awaitable(call(before)); }
auto awaits_in_task(int n, tool::object before) -> async_generator<int> {
  counted const here;
  for (int i = 0; i < n; ++i) {
    co_await called_and_awaited(before);
    co_yield i;
  }
}

/// Ignores being closed.
auto stubborn() -> async_generator<int> {
  for (int i = 0;; ++i) {
    try {
      co_yield i;
    } catch (agen::generator_exit const&) {
    }
  }
}

// [delegate]
auto delegates(tool::object source) -> async_generator<tool::object, tool::object, tool::object> {
  co_yield conversions::from_python<tool::object>(Py_None);
  auto const result = co_await py::yield_from(own(source));
  co_return to_tool(result);
}
// [/delegate]

/// The same through C++ types.
// [iterate]
auto delegates_typed(tool::object source) -> async_generator<int, std::optional<int>, std::optional<int>> {
  auto const result =
      co_await agen::yield_from(py::iterate<int, std::optional<int>, std::optional<int>, conversions>(own(source)));
  co_return result;
}
// [/iterate]

/// Gives an item, and then those of any Python iterable, which are not converted.
auto mixed(tool::object source) -> async_generator<int> {
  co_yield 0;
  co_await py::yield_from(own(source));
}

// Numbers of several types.
template <class T>
auto numbers(T first, T second, T third) -> async_generator<T> {
  for (T const one : {first, second, third}) co_yield one;
}

/// Delegates to itself `depth` times, in C++.
auto deep(int depth, int n) -> async_generator<int> {
  if (depth == 0) {
    co_await agen::yield_from(count(n));
  } else {
    co_await agen::yield_from(deep(depth - 1, n));
  }
}

// [argument]
auto twice(async_generator<int> source) -> async_generator<int> {
  return std::move(source) | agen::transform([](int item) { return 2 * item; });
}
// [/argument]

// [closes]
/// Each item twice.
auto doubled(async_generator<int> source) -> async_generator<int> {
  std::exception_ptr thrown;
  try {
    while (auto item = co_await source.anext()) {
      co_yield *item;
      co_yield *item;
    }
  } catch (...) {
    thrown = std::current_exception();
  }
  co_await source.aclose();
  if (thrown) std::rethrow_exception(thrown);
}
// [/closes]

/// One item of `source` for each of its own, and a generator that outlives the body it was in.
auto outlives(async_generator<int> source) -> async_generator<int> {
  auto kept = std::make_unique<async_generator<int>>(std::move(source));
  while (auto item = co_await kept->anext()) co_yield *item;
}

/// The first item, and closes the source.
auto first(async_generator<int> source) -> agen::task<int> {
  auto item = co_await source.anext();
  int const found = item ? *item : -1;
  co_await source.aclose();
  co_return found;
}

auto unconvertible() -> async_generator<unbound> {
  std::string error;
  try {
    co_yield unbound();
  } catch (py::error const& e) {
    error = e.what();
  }
  if (error.empty()) throw std::logic_error("no error arrived at the co_yield");
  throw py::error(PyExc_LookupError, error.c_str());
}

/// Keeps a Python object where the collector sees it.
// [visible]
auto keeps(tool::object kept) -> async_generator<int> {
  py::visible const seen(own(kept));
  kept = tool::object();
  counted const here;
  for (int i = 0;; ++i) co_yield i;
}
// [/visible]

struct never {
  static auto await_ready() noexcept -> bool { return false; }
  void await_suspend(std::coroutine_handle<>) noexcept {}
  void await_resume() noexcept {}
};
auto hangs() -> async_generator<int> {
  counted const here;
  co_await never();
  co_yield 1;
}

// Tasks
// -----------------------------------------------------------------------------------------------------------------

auto fetch(tool::object awaitable) -> agen::task<tool::object> {
  counted const here;
  auto const result = co_await py::awaitable(own(awaitable));
  co_return to_tool(result);
}
/// Driven by this thread, not by Python.
auto fetch_undriven(tool::object awaitable) -> tool::object { return agen::sync_wait(fetch(std::move(awaitable))); }
auto fetch_through(tool::object awaitable, int depth) -> agen::task<tool::object> {
  if (depth == 0) co_return co_await fetch(awaitable);
  co_return co_await fetch_through(awaitable, depth - 1);
}

/// Begins to await a second thing while the first is not done.
template <class Task>
struct starts_only {
  Task& started;
  static auto await_ready() noexcept -> bool { return false; }
  auto await_suspend(std::coroutine_handle<> h) -> bool {
    (void)std::move(started).operator co_await().await_suspend(std::noop_coroutine());
    (void)h;
    return false;
  }
  void await_resume() noexcept {}
};
auto two_at_once(tool::object one, tool::object other) -> agen::task<tool::object> {
  auto first_task = fetch(one);
  co_await starts_only{first_task};
  auto const result = co_await py::awaitable(own(other));
  co_return to_tool(result);
}
auto tells_error(tool::object awaitable, std::string& told) -> agen::task<> {
  try {
    co_await py::awaitable(own(awaitable));
  } catch (py::error const& e) {
    told = e.what();
  }
}
/// Goes on while a task of its own still waits.
auto leaves_waiting(tool::object awaitable) -> async_generator<std::string> {
  std::string told;
  auto waiting = tells_error(awaitable, told);
  co_await starts_only{waiting};
  co_yield told;
  co_yield told;
}

auto awaits_again_and_again(tool::object before) -> agen::task<> {
  for (;;) {
    try {
      co_await py::awaitable(call(before));
    } catch (py::error const&) {  // NOLINT(bugprone-empty-catch): as somebody may write it
    }
  }
}
auto leaves_retrying(tool::object before) -> async_generator<int> {
  auto waiting = awaits_again_and_again(before);
  co_await starts_only{waiting};
  for (int i = 0;; ++i) co_yield i;
}

/// Keeps an object while it awaits.
auto holding(tool::object before, tool::object held) -> agen::task<> {
  co_await py::awaitable(call(before));
  held = tool::object();
}

auto calls(int n, tool::object before) -> async_generator<int> {
  for (int i = 0; i < n; ++i) {
    call(before);
    co_yield i;
  }
}
/// As a stream of agen_stream.h.
auto exported_calls(int n, tool::object before) -> tool::object { return to_tool(py::export_stream(calls(n, before))); }

std::optional<std::stop_source> shared_stop;
auto until_stopped(tool::object awaitable) -> async_generator<std::string> {
  shared_stop.emplace();
  std::string told;
  try {
    auto const answer = co_await agen::with_stop(shared_stop->get_token(), py::awaitable(own(awaitable)));
    told = conversions::from_python<std::string>(answer.get());
  } catch (agen::stopped const&) {
    told = "stopped";
  }
  co_yield told;
}

// Exceptions
// ------------------------------------------------------------------------------------------------------------

void throw_named(std::string const& name) {
  if (name == "bad_alloc") throw std::bad_alloc();
  if (name == "out_of_range") throw std::out_of_range("out");
  if (name == "invalid_argument") throw std::invalid_argument("invalid");
  if (name == "domain_error") throw std::domain_error("domain");
  if (name == "length_error") throw std::length_error("length");
  if (name == "range_error") throw std::range_error("range");
  if (name == "overflow_error") throw std::overflow_error("overflow");
  if (name == "system_error") throw std::system_error(ENOENT, std::generic_category(), "opening");
  if (name == "logic_error") throw std::logic_error("logic");
  if (name == "already_running") throw agen::already_running("running");
  if (name == "just_started") throw agen::just_started("started");
  if (name == "own_error") throw own_error("own");
  if (name == "runtime_error of bytes") throw std::runtime_error("bytes \xff");
  if (name == "out_of_range of bytes") throw std::out_of_range("bytes \xff");
  if (name == "system_error of bytes") throw std::system_error(ENOENT, std::generic_category(), "bytes \xff");
  if (name == "own_error of bytes") throw own_error("bytes \xff");
  if (name == "py::error of bytes") throw py::error(PyExc_KeyError, "bytes \xff");
  if (name == "int") throw 7;
  if (name == "generator_exit") throw agen::generator_exit();
  if (name == "StopIteration") throw py::error(PyExc_StopIteration, "stop");
  if (name == "StopAsyncIteration") throw py::error(PyExc_StopAsyncIteration, "stop");
  throw std::runtime_error(name);
}
auto raises(std::string name) -> async_generator<int> {
  co_yield 1;
  throw_named(name);
}
/// Words of a thread. For `wrong` an exception that the tool translates.
auto from_thread(std::string text, bool wrong) -> agen::future<std::string> {
  agen::promise<std::string> promise;
  auto future = promise.get_future();
  std::thread([promise, text = std::move(text), wrong] {
    if (wrong) {
      promise.set_exception(std::make_exception_ptr(tool::value_error("wrong")));
    } else {
      promise.set_value(text);
    }
  }).detach();
  return future;
}

auto raises_in_task(std::string name) -> agen::task<int> {
  throw_named(name);
  co_return 1;
}

/// Throws before there is a task.
auto raises_at_the_call(std::string name) -> agen::task<int> {
  throw_named(name);
  return raises_in_task(std::move(name));
}
auto raises_through_a_future(std::string name) -> agen::future<int> {
  agen::promise<int> promise;
  try {
    throw_named(name);
  } catch (...) {
    promise.set_exception(std::current_exception());
  }
  return promise.get_future();
}

/// Throws one C++ exception through `call`, a Python coroutine function that awaits what it is given, and says whether
/// the very same exception came back.
auto crosses_twice(tool::object through) -> agen::task<bool> {
  auto const thrown = std::make_exception_ptr(own_error("there and back"));
  PyObject* const inner = py::to_python<conversions>([](std::exception_ptr e) -> agen::task<int> {
    std::rethrow_exception(e);
    co_return 1;
  }(thrown));
  auto const owned = py::object::steal(inner);
  try {
    co_await py::awaitable(py::object::steal(PyObject_CallOneArg(through.ptr(), inner)));
  } catch (...) {
    co_return std::current_exception() == thrown;
  }
  co_return false;
}

/// Keeps the error it was thrown, awaits, and throws it again.
auto rethrows_later(tool::object between) -> async_generator<int> {
  std::exception_ptr thrown;
  try {
    co_yield 1;
  } catch (...) {
    thrown = std::current_exception();
  }
  co_await py::awaitable(call(between));
  std::rethrow_exception(thrown);
}

// [gil]
/// The error as C++ sees it, told on a thread that does not hold the GIL.
auto told_elsewhere(tool::object awaitable) -> agen::task<std::string> {
  std::string told;
  try {
    co_await py::awaitable(own(awaitable));
  } catch (py::error const& e) {
    py::without_gil([&told, copy = e] { std::thread([&told, copy] { told = copy.what(); }).join(); });
  }
  co_return told;
}
// [/gil]

}  // namespace

BODIES_MODULE(m) {
  py::import_engine();
#ifdef WITH_PYBIND11
  tool::register_exception<own_error>(m, "OwnError");
#else
  tool::exception<own_error>(m, "OwnError");
#endif
  m.def("alive", [] { return alive.load(); });
  m.def("count", &count);
  m.def("words", &words);
  m.def("echo", &echo);
  m.def("echo_objects", &echo_objects);
  m.def("catches", &catches);
  m.def("awaits", &awaits, tool::arg("n"), tool::arg("before"), tool::arg("after").none());
  m.def("awaits_in_task", &awaits_in_task);
  m.def("stubborn", &stubborn);
  m.def("delegates", &delegates);
  m.def("delegates_typed", &delegates_typed);
  m.def("mixed", &mixed);
  m.def("flags", [] { return numbers<bool>(true, false, true); });
  m.def("halves", [] { return numbers(0.0, 0.5, 1.0); });
  m.def("small", [] { return numbers<unsigned char>(0, 255, 254); });
  m.def("big", [] {
    constexpr long long big = 1LL << 62;
    return numbers(0LL, -big, -big - big);
  });
  m.def("deep", &deep);
  m.def("twice", &twice);
  m.def("doubled", &doubled);
  m.def("outlives", &outlives);
  m.def("first", &first);
  m.def("choose", [](async_generator<int>, int) { return "generator and int"; });
  m.def("choose", [](tool::object, std::string) { return "object and str"; });
  m.def("unconvertible", &unconvertible);
  m.def("keeps", &keeps);
  m.def("hangs", &hangs);
  m.def("fetch", &fetch);
  m.def("leaves_waiting", &leaves_waiting);
  m.def("leaves_retrying", &leaves_retrying);
  m.def("holding", &holding, tool::arg("before"), tool::arg("held").none());
  m.def("exported_calls", &exported_calls);
  m.def("until_stopped", &until_stopped);
  m.def("request_stop", [] { shared_stop->request_stop(); });
  m.def("fetch_undriven", &fetch_undriven);
  m.def("fetch_through", &fetch_through);
  m.def("two_at_once", &two_at_once);
  m.def("raises", &raises);
  m.def("from_thread", &from_thread);
  m.def("raises_in_task", &raises_in_task);
  m.def("raises_at_the_call", &raises_at_the_call);
  m.def("raises_through_a_future", &raises_through_a_future);
  m.def("crosses_twice", &crosses_twice);
  m.def("rethrows_later", &rethrows_later);
  m.def("told_elsewhere", &told_elsewhere);
  m.def("is_generator", [](tool::object object) { return py::is_generator(object.ptr()); });
}
