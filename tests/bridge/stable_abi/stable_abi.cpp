// A module of Python's stable ABI: one binary for CPython 3.12 and newer. It reaches every function of the bridge that
// is another one there (agen/python/versions.hpp); what the bridge does is tested by the modules beside it.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <agen/nanobind.hpp>
#include <agen/python/channel.hpp>
#include <agen/python/first_of.hpp>
#include <agen/python/future.hpp>

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

#ifndef Py_LIMITED_API
#error "this is to be compiled for the stable ABI"
#endif

namespace {

namespace nb = nanobind;
namespace py = agen::python;
using agen::async_generator;

auto own(nb::handle object) -> py::object { return py::object::borrow(object.ptr()); }

auto count(int n) -> async_generator<int> {
  for (int i = 0; i < n; ++i) co_yield i;
}

auto echo() -> async_generator<std::string, std::string, int> {
  std::string last = "ready";
  int sent = 0;
  for (; last != "end"; ++sent) last = co_yield last;
  co_return sent;
}

auto numbers(int n) -> async_generator<int> {
  agen::channel<int> channel(4);
  std::thread([n, producer = channel.producer()]() mutable {
    for (int i = 0; i < n; ++i) {
      std::this_thread::sleep_for(std::chrono::microseconds(100));  // so that the consumer waits
      if (!producer.push(i)) return;
    }
  }).detach();
  return py::items(std::move(channel));
}

auto answer(int value) -> agen::future<int> {
  agen::promise<int> promise;
  auto future = promise.get_future();
  std::thread([promise, value] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    if (value < 0) {
      promise.set_exception(std::make_exception_ptr(std::out_of_range("below zero")));
    } else {
      promise.set_value(value);
    }
  }).detach();
  return future;
}

/// Every item of a Python iterable, and what it returned.
auto sum(async_generator<int, void, std::string> source) -> agen::task<std::string> {
  int total = 0;
  while (auto item = co_await source.anext()) total += *item;
  co_return std::to_string(total) + source.returned();
}

auto fetch(nb::object awaitable) -> agen::task<nb::object> {
  auto const result = co_await py::awaitable(own(awaitable));
  co_return agen::nanobind_conversions::from_python<nb::object>(result.get());
}

/// The error as C++ sees it, told on a thread that does not hold the GIL.
auto told_elsewhere(nb::object awaitable) -> agen::task<std::string> {
  std::string told;
  try {
    co_await py::awaitable(own(awaitable));
  } catch (py::error const& e) {
    py::without_gil([&told, copy = e] { std::thread([&told, copy] { told = copy.what(); }).join(); });
  }
  co_return told;
}

/// Throws through `call`, a Python coroutine function that awaits what it is given: is it the same exception after
/// that?
auto crosses_twice(nb::object call) -> agen::task<bool> {
  auto const thrown = std::make_exception_ptr(std::runtime_error("there and back"));
  auto const raising = py::object::steal(py::to_python([](std::exception_ptr e) -> agen::task<> {
    std::rethrow_exception(e);
    co_return;
  }(thrown)));
  try {
    co_await py::awaitable(py::object::steal(PyObject_CallFunctionObjArgs(call.ptr(), raising.get(), nullptr)));
  } catch (...) {
    co_return std::current_exception() == thrown;
  }
  co_return false;
}

auto first() -> agen::task<std::size_t> {
  using namespace std::chrono_literals;
  auto const came = co_await py::first_of(py::sleep(10s), answer(1));
  co_return came.index();
}

}  // namespace

NB_MODULE(stable_abi, m) {
  py::import_engine();
  m.def("count", &count);
  m.def("echo", &echo);
  m.def("numbers", &numbers);
  m.def("answer", &answer);
  m.def("sum", &sum);
  m.def("fetch", &fetch);
  m.def("told_elsewhere", &told_elsewhere);
  m.def("crosses_twice", &crosses_twice);
  m.def("first", &first);
}
