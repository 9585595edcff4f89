// Generators over channels and file descriptors for the tests in tests/bridge, by the plain C API.
#include <agen/python.hpp>
#include <agen/python/channel.hpp>

#include <unistd.h>

#include <atomic>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../raw_module.hpp"

namespace {

using namespace std::chrono_literals;
namespace py = agen::python;

/// Producer threads that are running.
std::atomic<int> alive = 0;

/// A thread that nobody joins and that a test can wait for.
template <class Work>
void start(agen::producer<int> out, Work work) {
  ++alive;
  std::thread([out = std::move(out), work]() mutable {
    {
      auto const mine = std::move(out);
      work(mine);
      --alive;  // before the channel hears of it
    }
  }).detach();
}

auto slice_of(long microseconds) -> std::chrono::nanoseconds {
  return microseconds < 0 ? agen::default_slice : std::chrono::nanoseconds(std::chrono::microseconds(microseconds));
}

auto numbers(long n, long capacity, long slice) -> agen::async_generator<int> {
  agen::channel<int> channel(static_cast<std::size_t>(capacity));
  start(channel.producer(), [n](auto const& out) {
    for (int i = 0; i < n && out.push(i); ++i) continue;
  });
  return py::items(std::move(channel), slice_of(slice));
}

// [many]
/// From `producers` threads; an item is the number of its thread times a million, and its
/// own.
auto many(long producers, long each, long capacity) -> agen::async_generator<int> {
  agen::channel<int> channel(static_cast<std::size_t>(capacity));
  for (int p = 0; p < producers; ++p) {
    start(channel.producer(), [p, each](auto const& out) {
      for (int i = 0; i < each && out.push(p * 1'000'000 + i); ++i) continue;
    });
  }
  return py::items(std::move(channel));
}
// [/many]

/// An engine whose thread never blocks in push(): it is called back when there is space, or no more are wanted.
auto offered(long n, long capacity, long /*unused*/) -> agen::async_generator<int> {
  agen::channel<int> channel(static_cast<std::size_t>(capacity));
  start(channel.producer(), [n](auto const& out) {
    std::binary_semaphore again(0);
    for (int i = 0; i < n;) {
      auto const tried = out.try_push(i);
      if (tried.is_unwanted()) return;
      if (tried) ++i;
      if (tried.is_full() && out.when_space([&again] { again.release(); })) again.acquire();
    }
  });
  return py::items(std::move(channel));
}

auto paced(long n, long microseconds, long /*unused*/) -> agen::async_generator<int> {
  agen::channel<int> channel(16);
  start(channel.producer(), [n, microseconds](auto const& out) {
    for (int i = 0; i < n && !out.stop_requested(); ++i) {
      std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
      if (!out.push(i)) return;
    }
  });
  return py::items(std::move(channel));
}

auto failing(long n, long /*unused*/, long /*unused*/) -> agen::async_generator<int> {
  agen::channel<int> channel(4);
  start(channel.producer(), [n](auto const& out) {
    for (int i = 0; i < n; ++i) {
      if (!out.push(i)) return;
    }
    try {
      throw std::out_of_range("the broker is gone");
    } catch (...) {
      out.fail();
    }
  });
  return py::items(std::move(channel));
}

/// Gives one item; its engine then works until it is stopped, and for `after` microseconds more.
auto busy(long after, long /*unused*/, long /*unused*/) -> agen::async_generator<int> {
  agen::channel<int> channel(4);
  start(channel.producer(), [after](auto const& out) {
    std::binary_semaphore stopped(0);
    std::stop_callback const tell(out.stop_token(), [&] { stopped.release(); });
    if (!out.push(1)) return;
    stopped.acquire();
    std::this_thread::sleep_for(std::chrono::microseconds(after));
  });
  return py::items(std::move(channel));
}

// [patience]
/// Gives one item; its engine then works for `microseconds`, and nothing can stop it. Who
/// closes the stream awaits that for `patience` microseconds at most.
auto stubborn(long microseconds, long patience, long /*unused*/) -> agen::async_generator<int> {
  agen::channel<int> channel(4);
  start(channel.producer(), [microseconds](auto const& out) {
    out.push(1);
    std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
  });
  return py::items(std::move(channel), agen::default_slice, std::chrono::microseconds(patience));
}
// [/patience]

/// Waits for wakeups by a descriptor.
auto wakeups(long fd, long /*unused*/, long /*unused*/) -> agen::async_generator<int> {
  py::watch wait;
  for (int i = 0;; ++i) {
    co_await wait(static_cast<int>(fd));
    co_yield i;
  }
}

/// A stream that never has anything; its producer goes when it is stopped.
auto silent(long /*unused*/, long /*unused*/, long /*unused*/) -> agen::async_generator<int> {
  agen::channel<int> channel(4);
  start(channel.producer(), [](auto const& out) {
    while (!out.stop_requested()) std::this_thread::sleep_for(1ms);
  });
  return py::items(std::move(channel));
}

/// Producers of streams that have no thread: speak() pushes one item into each, and lets them go.
std::vector<agen::producer<int>> quiet_ones;

auto quiet(long /*unused*/, long /*unused*/, long /*unused*/) -> agen::async_generator<int> {
  agen::channel<int> channel(1);
  quiet_ones.push_back(channel.producer());
  return py::items(std::move(channel));
}

auto speak(PyObject* /*module*/, PyObject* /*none*/) -> PyObject* {
  py::without_gil([speaking = std::exchange(quiet_ones, {})] {
    std::thread([&speaking] {
      for (auto const& out : speaking) out.push(7);
    }).join();
  });
  Py_RETURN_NONE;
}

/// A channel whose consumer is a C++ body in between: delegation, and an await of Python besides.
auto delegating(long n, long capacity, long slice) -> agen::async_generator<int> {
  co_yield -1;
  co_await agen::yield_from(numbers(n, capacity, slice));
  co_await py::checkpoint();
  co_yield -2;
}

// [bytes]
/// What can be read from a descriptor, byte by byte.
auto bytes(long fd, long /*unused*/, long /*unused*/) -> agen::async_generator<int> {
  for (;;) {
    co_await py::readable(static_cast<int>(fd));
    unsigned char byte = 0;
    auto const got = ::read(static_cast<int>(fd), &byte, 1);
    if (got == 0) co_return;
    if (got < 0) throw std::system_error(errno, std::generic_category(), "read");
    co_yield byte;
  }
}
// [/bytes]

// [writes]
/// Writes `n` bytes to a descriptor that does not block; each item is how many have been
/// taken.
auto writes(long fd, long n, long /*unused*/) -> agen::async_generator<int> {
  std::string const rest(static_cast<std::size_t>(n), 'x');
  for (std::size_t done = 0; done < rest.size();) {
    co_await py::writable(static_cast<int>(fd));
    auto const taken = ::write(static_cast<int>(fd), &rest[done], rest.size() - done);
    if (taken < 0) throw std::system_error(errno, std::generic_category(), "write");
    done += static_cast<std::size_t>(taken);
    co_yield static_cast<int>(done);
  }
}
// [/writes]

/// Numbers, `microseconds` apart.
auto ticks(long n, long microseconds, long /*unused*/) -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) {
    co_await py::sleep(std::chrono::microseconds(microseconds));
    co_yield i;
  }
}

/// Waits of cleanups that have ended.
std::atomic<int> cleaned = 0;

// [cleanup]
auto drain(long waits) -> agen::task<int> {
  for (int i = 0; i < waits; ++i) {
    co_await py::sleep(1ms);
    co_await py::checkpoint();
    ++cleaned;
  }
  co_return static_cast<int>(waits);
}

/// Waits for ever; however that ends, it awaits its cleanup.
auto cleans(long waits, long limit, long /*unused*/) -> agen::async_generator<int> {
  std::exception_ptr thrown;
  try {
    for (;;) co_await py::sleep(1h);
  } catch (...) {
    thrown = std::current_exception();
  }
  co_await py::shielded(drain(waits), std::chrono::milliseconds(limit));
  std::rethrow_exception(thrown);
}
// [/cleanup]

/// What shielded tasks return and throw.
auto sheltered(long fails, long /*unused*/, long /*unused*/) -> agen::async_generator<int> {
  co_yield co_await py::shielded(drain(2));
  co_await py::shielded([](long n) -> agen::task<> {
    co_await py::checkpoint();
    if (n != 0) throw std::out_of_range("of the task");
  }(fails));
}

/// Never waits.
auto counted(long n, long fair, long slice) -> agen::async_generator<int> {
  auto plain = [](long last) -> agen::async_generator<int> {
    for (int i = 0; i < last; ++i) co_yield i;
  }(n);
  return fair != 0 ? py::fair(std::move(plain), slice_of(slice)) : std::move(plain);
}

template <auto Make>
auto make(PyObject* /*module*/, PyObject* args) -> PyObject* try {
  long a = 0;
  long b = 16;
  long c = -1;
  if (PyArg_ParseTuple(args, "|lll", &a, &b, &c) == 0) return nullptr;
  return py::to_python(Make(a, b, c), "stream");
} catch (...) {
  py::detail::raise_in_python(std::current_exception());
  return nullptr;
}

auto producers(PyObject* /*module*/, PyObject* /*none*/) -> PyObject* { return PyLong_FromLong(alive.load()); }

/// Waits of cleanups that have ended since the last call.
auto take_cleaned(PyObject* /*module*/, PyObject* /*none*/) -> PyObject* {
  return PyLong_FromLong(cleaned.exchange(0));
}

PyMethodDef functions[] = {
    {"numbers", make<numbers>, METH_VARARGS, nullptr},
    {"many", make<many>, METH_VARARGS, nullptr},
    {"offered", make<offered>, METH_VARARGS, nullptr},
    {"paced", make<paced>, METH_VARARGS, nullptr},
    {"failing", make<failing>, METH_VARARGS, nullptr},
    {"busy", make<busy>, METH_VARARGS, nullptr},
    {"stubborn", make<stubborn>, METH_VARARGS, nullptr},
    {"wakeups", make<wakeups>, METH_VARARGS, nullptr},
    {"silent", make<silent>, METH_VARARGS, nullptr},
    {"quiet", make<quiet>, METH_VARARGS, nullptr},
    {"speak", speak, METH_NOARGS, nullptr},
    {"delegating", make<delegating>, METH_VARARGS, nullptr},
    {"bytes", make<bytes>, METH_VARARGS, nullptr},
    {"writes", make<writes>, METH_VARARGS, nullptr},
    {"ticks", make<ticks>, METH_VARARGS, nullptr},
    {"cleans", make<cleans>, METH_VARARGS, nullptr},
    {"cleaned", take_cleaned, METH_NOARGS, nullptr},
    {"sheltered", make<sheltered>, METH_VARARGS, nullptr},
    {"counted", make<counted>, METH_VARARGS, nullptr},
    {"producers", producers, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyModuleDef definition = agen_test::module_of("channels", functions);

}  // namespace

PyMODINIT_FUNC PyInit_channels() { return PyModuleDef_Init(&definition); }
