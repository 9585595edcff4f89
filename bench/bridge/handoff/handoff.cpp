// One C++ thread that hands integers to an event loop, in two ways: through a channel, and by calling a Python function
// (call_soon_threadsafe) for each. Paced items are the time of their making, in nanoseconds of CLOCK_MONOTONIC.
#include <agen/python.hpp>
#include <agen/python/channel.hpp>

#include <chrono>
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

PyMethodDef functions[] = {
    {"channel", channel, METH_VARARGS, nullptr},
    {"calls", calls, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyModuleDef definition = {PyModuleDef_HEAD_INIT, "handoff", nullptr, 0, functions, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_handoff() { return PyModuleDef_Init(&definition); }
