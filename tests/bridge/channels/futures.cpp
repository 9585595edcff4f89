// Results of C++ threads for the tests in tests/bridge, by the plain C API.
#include <agen/python.hpp>
#include <agen/python/future.hpp>

#include <atomic>
#include <functional>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "../raw_module.hpp"

namespace {

namespace py = agen::python;

/// Threads that are running, stop requests that arrived, and results that are alive.
std::atomic<int> running = 0;
std::atomic<int> stopped = 0;
std::atomic<int> alive = 0;

class counted {
 public:
  explicit counted(int number) : number_(number) { ++alive; }
  counted(counted const& other) : number_(other.number_) { ++alive; }
  auto operator=(counted const&) -> counted& = delete;
  ~counted() { --alive; }
  [[nodiscard]] auto number() const { return number_; }

 private:
  int number_;
};

// [answer]
/// An engine that calls back on a thread of its own.
void ask(int question, std::chrono::microseconds after, std::function<void(int)> callback) {
  ++running;
  std::thread([=, call = std::move(callback)]() mutable {
    std::this_thread::sleep_for(after);
    call(question);
    call = nullptr;
    --running;
  }).detach();
}

auto answer(int question, std::chrono::microseconds after) -> agen::future<int> {
  agen::promise<int> promise;
  auto future = promise.get_future();
  ask(question, after, [promise](int result) { promise.set_value(result); });
  return future;
}
// [/answer]

auto value(long n, long after) -> agen::future<int> {
  return answer(static_cast<int>(n), std::chrono::microseconds(after));
}

auto fails(long /*unused*/, long after) -> agen::future<int> {
  agen::promise<int> promise;
  auto future = promise.get_future();
  ask(0, std::chrono::microseconds(after), [promise](int) {
    try {
      throw std::out_of_range("the engine is gone");
    } catch (...) {
      promise.set_exception();
    }
  });
  return future;
}

auto fails_with_nothing(long /*unused*/, long after) -> agen::future<int> {
  agen::promise<int> promise;
  auto future = promise.get_future();
  ask(0, std::chrono::microseconds(after), [promise](int) { promise.set_exception(nullptr); });
  return future;
}

auto abandoned(long /*unused*/, long after) -> agen::future<int> {
  agen::promise<int> promise;
  auto future = promise.get_future();
  ask(0, std::chrono::microseconds(after), [promise](int) {});
  return future;
}

auto without_promise(long /*unused*/, long /*unused*/) -> agen::future<int> { return {}; }

/// A void result.
auto happens(long /*unused*/, long after) -> agen::future<void> {
  agen::promise<> promise;
  auto future = promise.get_future();
  ask(0, std::chrono::microseconds(after), [promise](int) { promise.set_value(); });
  return future;
}

/// Ends when it is asked to stop.
auto until_stopped(long /*unused*/, long /*unused*/) -> agen::future<int> {
  agen::promise<int> promise;
  auto future = promise.get_future();
  ++running;
  std::thread([out = std::move(promise)]() mutable {
    {
      std::binary_semaphore asked(0);
      std::stop_callback const tell(out.stop_token(), [&] { asked.release(); });
      asked.acquire();
      if (out.stop_requested() && !out.set_value(1)) ++stopped;
    }
    out = {};
    --running;
  }).detach();
  return future;
}

/// In a body: the sum of what `n` threads give, awaited at the same place, one after the other.
auto sum(long n, long after) -> agen::task<int> {
  int total = 0;
  for (int i = 0; i < n; ++i) total += co_await answer(i, std::chrono::microseconds(after));
  co_return total;
}

/// In the body of a generator, of a type that counts.
auto each(long n, long after) -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) {
    agen::promise<counted> promise;
    auto future = promise.get_future();
    ask(i, std::chrono::microseconds(after), [promise](int result) { promise.set_value(counted(result)); });
    co_yield (co_await std::move(future)).number();
  }
}

/// Many threads set one promise: one of them says true.
auto raced(long n, long /*unused*/) -> agen::task<int> {
  agen::promise<int> const promise;
  auto future = promise.get_future();
  std::atomic<int> first = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < n; ++i) {
      threads.emplace_back([&] { first += promise.set_value(7) ? 1 : 0; });
    }
    co_await std::move(future);
  }
  co_return first.load();
}

template <auto Make>
auto make(PyObject* /*module*/, PyObject* args) -> PyObject* try {
  long a = 0;
  long b = 0;
  if (PyArg_ParseTuple(args, "|ll", &a, &b) == 0) return nullptr;
  return py::to_python(Make(a, b), "result");
} catch (...) {
  py::detail::raise_in_python(std::current_exception());
  return nullptr;
}

template <std::atomic<int>& Counter>
auto count(PyObject* /*module*/, PyObject* /*none*/) -> PyObject* {
  int const now = Counter;
  return PyLong_FromLong(now);
}

PyMethodDef functions[] = {
    {"value", make<value>, METH_VARARGS, nullptr},
    {"fails", make<fails>, METH_VARARGS, nullptr},
    {"fails_with_nothing", make<fails_with_nothing>, METH_VARARGS, nullptr},
    {"abandoned", make<abandoned>, METH_VARARGS, nullptr},
    {"without_promise", make<without_promise>, METH_VARARGS, nullptr},
    {"happens", make<happens>, METH_VARARGS, nullptr},
    {"until_stopped", make<until_stopped>, METH_VARARGS, nullptr},
    {"sum", make<sum>, METH_VARARGS, nullptr},
    {"each", make<each>, METH_VARARGS, nullptr},
    {"raced", make<raced>, METH_VARARGS, nullptr},
    {"running", count<running>, METH_NOARGS, nullptr},
    {"stopped", count<stopped>, METH_NOARGS, nullptr},
    {"alive", count<alive>, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyModuleDef definition = agen_test::module_of("futures", functions);

}  // namespace

PyMODINIT_FUNC PyInit_futures() { return PyModuleDef_Init(&definition); }
