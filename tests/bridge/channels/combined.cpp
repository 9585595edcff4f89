// Streams over Python iterables, channels and C++ generators for the tests in tests/bridge, by the plain C API.
#include <agen/python.hpp>
#include <agen/python/channel.hpp>
#include <agen/python/iterate.hpp>
#include <agen/streams.hpp>
#include <agen/when.hpp>

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../raw_module.hpp"

namespace {

using namespace std::chrono_literals;
namespace py = agen::python;
namespace streams = agen::streams;
using ints = agen::async_generator<long>;

/// Producer threads that are running, and C++ generators that exist.
std::atomic<int> alive = 0;

struct counted {
  counted() { ++alive; }
  counted(counted const&) = delete;
  auto operator=(counted const&) -> counted& = delete;
  ~counted() { --alive; }
};

// [sources]
/// 0, 100, 200, ... from a thread, one each `microseconds`.
auto from_thread(long n, long microseconds) -> ints {
  agen::channel<long> channel(4);
  ++alive;
  std::thread([out = std::optional(channel.producer()), n, microseconds]() mutable {
    for (long i = 0; i < n; ++i) {
      std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
      if (!out->push(i * 100)) break;
    }
    --alive;  // before the channel hears of it
    out.reset();
  }).detach();
  return py::items(std::move(channel));
}

/// -1, -2, ..., after a sleep each.
auto in_cpp(long n, long microseconds) -> ints {
  counted const here;
  for (long i = 1; i <= n; ++i) {
    co_await py::sleep(std::chrono::microseconds(microseconds));
    co_yield -i;
  }
}
// [/sources]

struct arguments {
  std::vector<py::object> sources;
  long n = 0;
  long microseconds = 0;
  auto iterate(std::size_t which) const -> ints { return py::iterate<long>(sources.at(which)); }
};

auto merged(arguments const& given) -> ints {
  std::vector<ints> all;
  for (std::size_t i = 0; i != given.sources.size(); ++i) all.push_back(given.iterate(i));
  return streams::merge(std::move(all));
}

/// Merges generators of this module that are taken out of their Python objects.
auto taken(arguments const& given) -> ints {
  std::vector<ints> all;
  for (auto const& source : given.sources) all.push_back(py::from_python<ints>(source.get()));
  return streams::merge(std::move(all));
}

// [mixed]
/// The items of a Python iterable, of a thread and of C++, as they come.
auto mixed(py::object updates, long n, long microseconds) -> ints {
  auto all =
      streams::merge(py::iterate<long>(std::move(updates)), from_thread(n, microseconds), in_cpp(n, microseconds));
  while (auto item = co_await all.anext()) co_yield *item;
}
// [/mixed]
auto mix(arguments const& given) -> ints { return mixed(given.sources.at(0), given.n, given.microseconds); }

auto raced(arguments const& given) -> ints {
  return streams::race(given.iterate(0), from_thread(given.n, given.microseconds), given.iterate(1));
}

auto sums(arguments given) -> ints {
  auto rows = streams::zip(given.iterate(0), from_thread(given.n, given.microseconds), given.iterate(1));
  while (auto row = co_await rows.anext()) co_yield std::apply([](auto... each) { return (each + ...); }, *row);
}

auto latest(arguments given) -> ints {
  auto rows = streams::zip_latest(given.iterate(0), in_cpp(given.n, given.microseconds));
  while (auto row = co_await rows.anext()) co_yield std::get<0>(*row) * 1000 + std::get<1>(*row);
}

auto sleeps(std::chrono::nanoseconds time) { return py::sleep(time); }

/// The sizes of blocks.
auto chunked(arguments given) -> ints {
  auto blocks =
      streams::merge(given.iterate(0), given.iterate(1)) |
      streams::chunks(static_cast<std::size_t>(given.n), std::chrono::microseconds(given.microseconds), sleeps);
  while (auto block = co_await blocks.anext()) co_yield static_cast<long>(block->size());
}

auto timed(arguments const& given) -> ints {
  return given.iterate(0) | streams::timeout(std::chrono::microseconds(given.microseconds), sleeps);
}

auto until(arguments const& given) -> ints {
  return streams::merge(given.iterate(0), given.iterate(1)) |
         streams::take_until(py::sleep(std::chrono::microseconds(given.microseconds)));
}

/// Fetched ahead, while the body itself awaits Python.
auto prefetched(arguments given) -> ints {
  auto ahead = given.iterate(0) | streams::prefetch(static_cast<std::size_t>(given.n));
  while (auto item = co_await ahead.anext()) {
    co_await py::sleep(std::chrono::microseconds(given.microseconds));
    co_yield *item;
  }
}

auto flat(arguments given) -> ints {
  auto all =
      streams::merge(given.iterate(0), given.iterate(1)) | streams::flat_map([](long n) { return in_cpp(n, 0); });
  while (auto item = co_await all.anext()) co_yield *item;
}

/// Only refers to its sources, takes one item of both, and goes on with the second alone.
auto referring(arguments given) -> ints {
  auto one = given.iterate(0);
  auto two = given.iterate(1);
  {
    auto both = streams::merge(one, two);
    auto item = co_await both.anext();
    if (!item) co_return;
    co_yield *item;
  }
  while (auto item = co_await two.anext()) co_yield *item;
}

/// Two operations at once, without a stream.
auto both(arguments given) -> ints {
  auto one = given.iterate(0);
  auto two = given.iterate(1);
  auto const answers = co_await agen::when_all(one.anext(), two.anext());
  co_yield *std::get<0>(answers) + *std::get<1>(answers);
}

/// Merges again what a Python object has of C++ generators that wait beside it.
auto summed(arguments given) -> ints {
  long sum = 0;
  auto all = merged(given);
  while (auto item = co_await all.anext()) sum += *item;
  co_yield sum;
}

/// Catches the end of the stream, and goes on.
auto resilient(arguments given) -> ints {
  std::exception_ptr error;
  try {
    auto all = merged(given);
    while (auto item = co_await all.anext()) co_yield *item;
  } catch (py::error const&) {
    error = std::current_exception();
  }
  co_await py::sleep(1ms);
  co_yield -1;
  if (error) std::rethrow_exception(error);
}

/// make(sources, n=0, microseconds=0)
template <auto Make>
auto make(PyObject* /*module*/, PyObject* args) -> PyObject* try {
  arguments given;
  PyObject* sources = nullptr;
  if (PyArg_ParseTuple(args, "O!|ll", &PyTuple_Type, &sources, &given.n, &given.microseconds) == 0) return nullptr;
  for (Py_ssize_t i = 0; i != PyTuple_GET_SIZE(sources); ++i)
    given.sources.push_back(py::object::borrow(PyTuple_GET_ITEM(sources, i)));
  return py::to_python(Make(std::move(given)), "combined");
} catch (...) {
  py::detail::raise_in_python(std::current_exception());
  return nullptr;
}

auto count_alive(PyObject* /*module*/, PyObject* /*none*/) -> PyObject* { return PyLong_FromLong(alive.load()); }

PyMethodDef functions[] = {
    {"merged", make<merged>, METH_VARARGS, nullptr},
    {"taken", make<taken>, METH_VARARGS, nullptr},
    {"mixed", make<mix>, METH_VARARGS, nullptr},
    {"raced", make<raced>, METH_VARARGS, nullptr},
    {"sums", make<sums>, METH_VARARGS, nullptr},
    {"latest", make<latest>, METH_VARARGS, nullptr},
    {"chunked", make<chunked>, METH_VARARGS, nullptr},
    {"timed", make<timed>, METH_VARARGS, nullptr},
    {"until", make<until>, METH_VARARGS, nullptr},
    {"prefetched", make<prefetched>, METH_VARARGS, nullptr},
    {"flat", make<flat>, METH_VARARGS, nullptr},
    {"referring", make<referring>, METH_VARARGS, nullptr},
    {"both", make<both>, METH_VARARGS, nullptr},
    {"summed", make<summed>, METH_VARARGS, nullptr},
    {"resilient", make<resilient>, METH_VARARGS, nullptr},
    {"alive", count_alive, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyModuleDef definition = agen_test::module_of("combined", functions);

}  // namespace

PyMODINIT_FUNC PyInit_combined() { return PyModuleDef_Init(&definition); }
