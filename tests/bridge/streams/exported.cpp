// Channels and C++ generators as streams for the tests, and a consumer of them in C++, without Python.
#include <agen/python/export_stream.hpp>
#include <agen/python/stream.hpp>

#include <agen/agen_stream_check.h>

#include <agen/event.hpp>

#include <atomic>
#include <thread>

#include "../raw_module.hpp"

namespace {

namespace py = agen::python;

/// Threads and items that are alive.
std::atomic<int> alive = 0;

class counted {
 public:
  explicit counted(int number) : number_(number) { ++alive; }
  counted(counted&& other) noexcept : number_(other.number_) { ++alive; }
  counted(counted const& other) : number_(other.number_) { ++alive; }
  auto operator=(counted const&) -> counted& = delete;
  ~counted() { --alive; }
  [[nodiscard]] auto number() const { return number_; }

 private:
  int number_;
};

}  // namespace

template <>
struct agen::python::conversion<counted> {
  static auto to_python(counted const& value) noexcept -> PyObject* { return PyLong_FromLong(value.number()); }
};

namespace {

// [channel]
auto numbers(int count) -> agen::channel<counted> {
  agen::channel<counted> made(4);
  ++alive;
  std::thread([out = made.producer(), count]() mutable {
    for (int i = 0; i < count && out.push(counted(i)); ++i) continue;
    {
      auto const last = std::move(out);
    }
    --alive;
  }).detach();
  return made;
}
// [/channel]

auto failing(int count) -> agen::channel<counted> {
  agen::channel<counted> made(4);
  ++alive;
  std::thread([out = made.producer(), count]() mutable {
    for (int i = 0; i < count && out.push(counted(i)); ++i) continue;
    out.fail(std::make_exception_ptr(std::out_of_range("the engine is gone")));
    {
      auto const last = std::move(out);
    }
    --alive;
  }).detach();
  return made;
}

/// Never suspends.
auto at_once(int count) -> agen::async_generator<counted> {
  counted const here(-1);
  for (int i = 0; i < count; ++i) co_yield counted(i);
}

/// Another thread resumes it for each item. It cannot be stopped while it waits.
struct elsewhere {
  static auto await_ready() -> bool { return false; }
  static void await_suspend(std::coroutine_handle<> body) {
    ++alive;
    std::thread([body] {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      body.resume();
      --alive;
    }).detach();
  }
  static void await_resume() {}
};
auto awaits(int count) -> agen::async_generator<counted> {
  counted const here(-1);
  for (int i = 0; i < count; ++i) {
    co_await elsewhere();
    co_yield counted(i);
  }
  if (count == 3) throw std::out_of_range("the engine is gone");
}

/// Waits for ever, unless it is stopped; then it cleans up.
auto for_ever(int count) -> agen::async_generator<counted> {
  agen::event never;
  bool stopped = false;
  for (int i = 0; i < count; ++i) co_yield counted(i);
  try {
    co_await never;
  } catch (agen::stopped const&) {
    stopped = true;
  }
  if (stopped) co_await elsewhere();
  if (stopped) throw agen::stopped("stopped");
}

/// Awaits Python, which an exported body may not.
auto python(int /*count*/) -> agen::async_generator<counted> {
  co_await py::awaitable(py::object::borrow(Py_None));
  co_yield counted(0);
}

template <auto Make>
auto make(PyObject* /*module*/, PyObject* count) -> PyObject* try {
  return py::export_stream(Make(static_cast<int>(PyLong_AsLong(count)))).release();
} catch (...) {
  py::detail::raise_in_python(std::current_exception());
  return nullptr;
}

/// A consumer in the same module as the producer.
auto open_here(PyObject* /*module*/, PyObject* exported) -> PyObject* try {
  auto const capsule = py::detail::called(PyObject_CallMethod(exported, "__agen_stream__", nullptr));
  return py::to_python(py::from_stream(capsule.get()));
} catch (...) {
  py::detail::raise_in_python(std::current_exception());
  return nullptr;
}

// A consumer that is no Python: the check of producers.
template <auto Make>
auto stream(void* /*context*/) -> agen_stream* {
  using from = decltype(Make(0));
  if constexpr (std::is_same_v<from, agen::channel<counted>>) {
    return py::detail::exported_stream<counted, py::conversions, py::detail::channel_source<counted>>::make(Make(12));
  } else {
    using source = py::detail::generator_source<counted, void>;
    return py::detail::exported_stream<counted, py::conversions, source>::make(Make(12));
  }
}

template <auto Make>
auto check(PyObject* /*module*/, PyObject* /*none*/) -> PyObject* {
  int wrong = 0;
  Py_BEGIN_ALLOW_THREADS;
  wrong = agen_stream_check(&stream<Make>, nullptr, nullptr, stderr);
  Py_END_ALLOW_THREADS;
  return PyLong_FromLong(wrong);
}

auto count_alive(PyObject* /*module*/, PyObject* /*none*/) -> PyObject* { return PyLong_FromLong(alive); }

PyMethodDef functions[] = {
    {"numbers", make<numbers>, METH_O, nullptr},
    {"failing", make<failing>, METH_O, nullptr},
    {"at_once", make<at_once>, METH_O, nullptr},
    {"awaits", make<awaits>, METH_O, nullptr},
    {"for_ever", make<for_ever>, METH_O, nullptr},
    {"python", make<python>, METH_O, nullptr},
    {"open_here", open_here, METH_O, nullptr},
    {"check_numbers", check<numbers>, METH_NOARGS, nullptr},
    {"check_at_once", check<at_once>, METH_NOARGS, nullptr},
    {"check_awaits", check<awaits>, METH_NOARGS, nullptr},
    {"alive", count_alive, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyModuleDef definition = agen_test::module_of("exported", functions);

}  // namespace

PyMODINIT_FUNC PyInit_exported() { return PyModuleDef_Init(&definition); }
