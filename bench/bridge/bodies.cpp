// The C++ side of the bridge's benchmark: generators bound by nanobind.
#include <agen/nanobind.hpp>

namespace nb = nanobind;

namespace {

auto items(int n) -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) co_yield i;
}

/// Awaits what calling `function` gives before each item.
auto awaiting(int n, nb::object function) -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) {
    co_await agen::python::awaitable(agen::python::object::steal(PyObject_CallNoArgs(function.ptr())));
    co_yield i;
  }
}

}  // namespace

NB_MODULE(agen_bench_bodies, m) {
  agen::python::import_engine();
  m.def("items", &items);
  m.def("awaiting", &awaiting);
}
