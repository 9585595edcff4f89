// Bodies bound by the C API alone: agen::python's own conversions, and a module that any sub-interpreter may import.
#include <agen/python.hpp>

#include "../raw_module.hpp"

namespace {

namespace py = agen::python;

auto count(long n) -> agen::async_generator<long, void, std::string> {
  for (long i = 0; i < n; ++i) co_yield i;
  co_return "counted";
}

template <class T>
auto mirror() -> agen::async_generator<T, std::optional<T>> {
  T last{};
  for (;;) {
    auto sent = co_yield last;
    if (sent) last = std::move(*sent);
  }
}

auto sum(py::object numbers) -> agen::task<double> {
  double total = 0;
  auto source = py::iterate<double>(std::move(numbers));
  while (auto number = co_await source.anext()) total += *number;
  co_return total;
}

}  // namespace

/// A value that may be missing: None.
template <class T>
struct agen::python::conversion<std::optional<T>> {
  static auto from_python(PyObject* value) -> std::optional<T> {
    if (value == Py_None) return std::nullopt;
    return conversion<T>::from_python(value);
  }
};

namespace {

auto make_count(PyObject* /*module*/, PyObject* n) -> PyObject* {
  long const items = PyLong_AsLong(n);
  return items == -1 && PyErr_Occurred() != nullptr ? nullptr : py::to_python(count(items), "count");
}
template <class T>
auto make_mirror(PyObject* /*module*/, PyObject* /*none*/) -> PyObject* {
  return py::to_python(mirror<T>(), "mirror");
}
auto make_sum(PyObject* /*module*/, PyObject* numbers) -> PyObject* {
  return py::to_python(sum(py::object::borrow(numbers)), "sum");
}

PyMethodDef functions[] = {
    {"count", make_count, METH_O, nullptr},
    {"mirror_bool", make_mirror<bool>, METH_NOARGS, nullptr},
    {"mirror_byte", make_mirror<signed char>, METH_NOARGS, nullptr},
    {"mirror_unsigned", make_mirror<unsigned long long>, METH_NOARGS, nullptr},
    {"mirror_double", make_mirror<double>, METH_NOARGS, nullptr},
    {"mirror_text", make_mirror<std::string>, METH_NOARGS, nullptr},
    {"mirror_object", make_mirror<py::object>, METH_NOARGS, nullptr},
    {"sum", make_sum, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyModuleDef_Slot slots[] = {
    {Py_mod_exec, reinterpret_cast<void*>(agen_test::prepare)},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, nullptr},
};
PyModuleDef definition = {PyModuleDef_HEAD_INIT, "bodies_raw", nullptr, 0, functions, slots, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_bodies_raw() { return PyModuleDef_Init(&definition); }
