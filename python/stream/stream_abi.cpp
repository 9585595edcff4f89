// The extension module behind async_generator.stream(), which imports it when it is first called. It uses the engine by
// the bridge, as any module with C++ generators does: so the engine and its item path know nothing of it.
#include <agen/python.hpp>
#include <agen/python/stream.hpp>

namespace {

namespace py = agen::python;

PyDoc_STRVAR(open_doc,
             "open(capsule, /)\n--\n\n"
             "The async generator of the stream in a capsule of agen_stream.h: see async_generator.stream().");

auto open(PyObject* /*module*/, PyObject* capsule) -> PyObject* try {
  return py::to_python(py::from_stream(capsule), "stream");
} catch (...) {
  py::detail::raise_in_python(std::current_exception());
  return nullptr;
}

auto prepare(PyObject* /*module*/) -> int try {
  py::import_engine();
  return 0;
} catch (py::error const& error) {
  error.restore();
  return -1;
}

PyMethodDef functions[] = {
    {"open", open, METH_O, open_doc},
    {nullptr, nullptr, 0, nullptr},
};
PyModuleDef_Slot slots[] = {
    {Py_mod_exec, reinterpret_cast<void*>(prepare)},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, nullptr},
};
PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "async_generator._stream_abi", nullptr, 0, functions, slots, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__stream_abi() { return PyModuleDef_Init(&definition); }
