// One C++ thread that hands integers to an event loop, in two ways: through a channel, and by calling a Python function
// (call_soon_threadsafe) for each; and results, one for each question, in the same two ways. Paced items are the time
// of their making, in nanoseconds of CLOCK_MONOTONIC.
#include <agen/python.hpp>
#include <agen/python/channel.hpp>
#include <agen/python/future.hpp>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace {

namespace py = agen::python;
using steady = std::chrono::steady_clock;

/// Calls `hand_over` with n items, `gap` apart, until it says false.
template <class HandOver>
void produce(long long n, std::chrono::microseconds gap, HandOver hand_over) {
  auto next = steady::now();
  for (long long i = 0; i < n; ++i) {
    if (gap.count() == 0) {
      if (!hand_over(i)) return;
      continue;
    }
    std::this_thread::sleep_until(next += gap);
    if (!hand_over(std::chrono::duration_cast<std::chrono::nanoseconds>(steady::now().time_since_epoch()).count()))
      return;
  }
}

/// channel(n, capacity, gap in microseconds, slice in microseconds): an async generator.
auto channel(PyObject* /*module*/, PyObject* args) -> PyObject* try {
  long long n = 0;
  Py_ssize_t capacity = 0;
  long gap = 0;
  long slice = std::chrono::duration_cast<std::chrono::microseconds>(agen::default_slice).count();
  if (PyArg_ParseTuple(args, "Lnl|l", &n, &capacity, &gap, &slice) == 0) return nullptr;
  agen::channel<long long> items(static_cast<std::size_t>(capacity));
  std::thread([out = items.producer(), n, gap] {
    produce(n, std::chrono::microseconds(gap), [&](long long item) { return out.push(item); });
  }).detach();
  return py::to_python(py::items(std::move(items), std::chrono::microseconds(slice)), "channel");
} catch (...) {
  py::detail::raise_in_python(std::current_exception());
  return nullptr;
}

/// calls(n, call_soon_threadsafe, function, gap in microseconds): call_soon_threadsafe(function, item) for each item.
auto calls(PyObject* /*module*/, PyObject* args) -> PyObject* {
  long long n = 0;
  PyObject* call = nullptr;
  PyObject* function = nullptr;
  long gap = 0;
  if (PyArg_ParseTuple(args, "LOOl", &n, &call, &function, &gap) == 0) return nullptr;
  Py_INCREF(call);
  Py_INCREF(function);
  std::thread([=] {
    produce(n, std::chrono::microseconds(gap), [&](long long item) {
      auto const gil = PyGILState_Ensure();
      PyObject* const done = PyObject_CallFunction(call, "OL", function, item);
      if (done == nullptr) PyErr_WriteUnraisable(call);
      Py_XDECREF(done);
      PyGILState_Release(gil);
      return done != nullptr;
    });
    auto const gil = PyGILState_Ensure();
    Py_DECREF(call);
    Py_DECREF(function);
    PyGILState_Release(gil);
  }).detach();
  Py_RETURN_NONE;
}

/// An engine's thread, which answers questions one after the other, and never ends.
class engine {
 public:
  static auto running() -> engine& {
    static auto* const one = new engine;
    return *one;
  }
  void ask(std::function<void()> question) {
    {
      std::lock_guard const lock(mutex_);
      questions_.push_back(std::move(question));
    }
    asked_.notify_one();
  }

 private:
  engine() {
    std::thread([this] {
      for (;;) answer();
    }).detach();
  }
  void answer() {
    std::unique_lock lock(mutex_);
    asked_.wait(lock, [this] { return !questions_.empty(); });
    auto const question = std::move(questions_.front());
    questions_.pop_front();
    lock.unlock();
    question();
  }

  std::mutex mutex_;
  std::condition_variable asked_;
  std::deque<std::function<void()>> questions_;
};

/// result(): an awaitable of 1.
auto result(PyObject* /*module*/, PyObject* /*none*/) -> PyObject* try {
  agen::promise<int> promise;
  auto future = promise.get_future();
  engine::running().ask([promise] { promise.set_value(1); });
  return py::to_python(std::move(future));
} catch (...) {
  py::detail::raise_in_python(std::current_exception());
  return nullptr;
}

/// result_by_call(call_soon_threadsafe, set_result): call_soon_threadsafe(set_result, 1).
auto result_by_call(PyObject* /*module*/, PyObject* args) -> PyObject* {
  PyObject* call = nullptr;
  PyObject* function = nullptr;
  if (PyArg_ParseTuple(args, "OO", &call, &function) == 0) return nullptr;
  Py_INCREF(call);
  Py_INCREF(function);
  engine::running().ask([=] {
    auto const gil = PyGILState_Ensure();
    PyObject* const done = PyObject_CallFunction(call, "Oi", function, 1);
    if (done == nullptr) PyErr_WriteUnraisable(call);
    Py_XDECREF(done);
    Py_DECREF(call);
    Py_DECREF(function);
    PyGILState_Release(gil);
  });
  Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    {"channel", channel, METH_VARARGS, nullptr},
    {"calls", calls, METH_VARARGS, nullptr},
    {"result", result, METH_NOARGS, nullptr},
    {"result_by_call", result_by_call, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyModuleDef definition = {PyModuleDef_HEAD_INIT, "handoff", nullptr, 0, functions, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_handoff() { return PyModuleDef_Init(&definition); }
