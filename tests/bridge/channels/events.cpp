// Events and notifiers for the tests in tests/bridge, by the plain C API.
#include <agen/python.hpp>
#include <agen/python/first_of.hpp>
#include <agen/python/future.hpp>
#include <agen/python/thread_event.hpp>

#include <atomic>
#include <deque>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <variant>

#include "../raw_module.hpp"

namespace {

namespace py = agen::python;

/// Threads that are running.
std::atomic<int> running = 0;

template <class Work>
void start(Work work) {
  ++running;
  std::thread([work = std::optional(std::move(work))]() mutable {
    (*work)();
    work.reset();
    --running;
  }).detach();
}

void pause(long microseconds) {
  if (microseconds != 0) std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
}

// [query]
/// An engine: a thread makes rows, and says that there are some. fetch() never blocks.
class query {
 public:
  static auto begin(int n, long microseconds) -> std::shared_ptr<query> {
    auto made = std::make_shared<query>();
    start([made, n, microseconds] {
      for (int i = 0; i < n && !made->cancelled; ++i) {
        pause(microseconds);
        made->add(i);
      }
      made->done = true;
      made->ready.notify();
    });
    return made;
  }
  auto fetch() -> std::optional<int> {
    std::lock_guard const lock(mutex_);
    if (rows_.empty()) return {};
    int const row = rows_.front();
    rows_.pop_front();
    return row;
  }
  agen::notifier const ready;
  std::atomic<bool> done = false;
  std::atomic<bool> cancelled = false;

 private:
  void add(int row) {
    {
      std::lock_guard const lock(mutex_);
      rows_.push_back(row);
    }
    ready.notify();
  }
  std::mutex mutex_;
  std::deque<int> rows_;
};

auto rows(long n, long microseconds) -> agen::async_generator<int> {
  auto const asked = query::begin(static_cast<int>(n), microseconds);
  struct cancels {
    std::shared_ptr<query> of;
    ~cancels() { of->cancelled = true; }
  } const at_the_end{asked};
  for (;;) {
    bool const done = asked->done;  // before the last fetch
    while (auto row = asked->fetch()) co_yield *row;
    if (done) co_return;
    co_await asked->ready;
  }
}
// [/query]

/// An awaitable of an event that a thread sets.
auto set_after(long microseconds, long /*unused*/) -> agen::task<> {
  agen::thread_event const event;
  start([event, microseconds] {
    pause(microseconds);
    event.set();
  });
  return py::wait(event);
}

/// Those that tests set by themselves, one for each `number`.
agen::thread_event const events[4];
agen::notifier const notifiers[4];

auto event(long number, long /*unused*/) -> agen::task<> { return py::wait(events[number]); }
auto notified(long number, long /*unused*/) -> agen::task<> { return py::wait(notifiers[number]); }
/// In a body: counts notifications.
auto counts(long number, long /*unused*/) -> agen::async_generator<int> {
  for (int i = 0;; ++i) {
    co_await notifiers[number];
    co_yield i;
  }
}

// [first]
/// Which comes first: a descriptor that is readable, a time, or an event.
auto first(long fd, long microseconds) -> agen::task<int> {
  auto const came = co_await py::first_of(py::readable(static_cast<int>(fd)),
                                          py::sleep(std::chrono::microseconds(microseconds)), events[0]);
  co_return static_cast<int>(came.index());
}
// [/first]

/// Tasks that have ended, in the order of their ends, and how.
std::string ends;

auto noted(char name, long microseconds, bool fails, bool fails_late) -> agen::task<int> {
  try {
    co_await py::sleep(std::chrono::microseconds(microseconds));
    ends += name;
  } catch (...) {
    ends += '-';
    ends += name;
    if (fails_late) throw std::invalid_argument("late");
    throw;
  }
  if (fails) throw std::out_of_range("first");
  co_return name;
}

/// What the first of a task and a future gives: mode 1: the task fails, 2: another one does when it is cancelled,
/// 3: the future is there already.
auto first_result(long mode, long microseconds) -> agen::task<std::string> {
  ends.clear();
  agen::promise<std::string> const promise;
  auto future = promise.get_future();
  if (mode == 3) promise.set_value("there");
  auto const came = co_await py::first_of(noted('a', microseconds, mode == 1, false),
                                          noted('b', 1'800'000'000, false, mode == 2), std::move(future));
  if (came.index() == 2) co_return std::get<2>(came) + ends;
  co_return std::string(1, static_cast<char>(std::get<0>(came))) + ends;
}

/// Calls Python from the body, without an end.
auto sleeping(long microseconds, long /*none*/) -> agen::async_generator<int> {
  auto const time = py::object::steal(PyImport_ImportModule("time"));
  for (int number = 0;; ++number) {
    if (!py::object::steal(PyObject_CallMethod(time.get(), "sleep", "d", 1e-6 * static_cast<double>(microseconds))))
      throw py::error::current();
    co_yield number;
  }
}

template <auto Make>
auto make(PyObject* /*module*/, PyObject* args) -> PyObject* try {
  long a = 0;
  long b = 0;
  if (PyArg_ParseTuple(args, "|ll", &a, &b) == 0) return nullptr;
  return py::to_python(Make(a, b), "event");
} catch (...) {
  py::detail::raise_in_python(std::current_exception());
  return nullptr;
}

/// Does something `number` a few times, in a thread that does not have the GIL.
template <auto Do>
auto signals(PyObject* /*module*/, PyObject* args) -> PyObject* {
  long number = 0;
  long times = 1;
  if (PyArg_ParseTuple(args, "l|l", &number, &times) == 0) return nullptr;
  py::without_gil([number, times] {
    std::thread([number, times] {
      for (long i = 0; i < times; ++i) Do(number);
    }).join();
  });
  Py_RETURN_NONE;
}
void set(long number) { events[number].set(); }
void reset(long number) { events[number].reset(); }
void notify(long number) { notifiers[number].notify(); }

auto what_ended(PyObject* /*module*/, PyObject* /*none*/) -> PyObject* { return PyUnicode_FromString(ends.c_str()); }

auto count_running(PyObject* /*module*/, PyObject* /*none*/) -> PyObject* { return PyLong_FromLong(running.load()); }

PyMethodDef functions[] = {
    {"rows", make<rows>, METH_VARARGS, nullptr},         {"set_after", make<set_after>, METH_VARARGS, nullptr},
    {"event", make<event>, METH_VARARGS, nullptr},       {"notified", make<notified>, METH_VARARGS, nullptr},
    {"first", make<first>, METH_VARARGS, nullptr},       {"first_result", make<first_result>, METH_VARARGS, nullptr},
    {"sleeping", make<sleeping>, METH_VARARGS, nullptr}, {"counts", make<counts>, METH_VARARGS, nullptr},
    {"set", signals<set>, METH_VARARGS, nullptr},        {"reset", signals<reset>, METH_VARARGS, nullptr},
    {"notify", signals<notify>, METH_VARARGS, nullptr},  {"ends", what_ended, METH_NOARGS, nullptr},
    {"running", count_running, METH_NOARGS, nullptr},    {nullptr, nullptr, 0, nullptr},
};
PyModuleDef definition = agen_test::module_of("events", functions);

}  // namespace

PyMODINIT_FUNC PyInit_events() { return PyModuleDef_Init(&definition); }
