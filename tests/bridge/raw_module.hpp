// What the tests' modules without a binding tool have in common.
#ifndef AGEN_TESTS_BRIDGE_RAW_MODULE_HPP
#define AGEN_TESTS_BRIDGE_RAW_MODULE_HPP

#include <agen/python.hpp>

namespace agen_test {

/// Py_mod_exec: -1 with an exception set where the package cannot be imported.
inline auto prepare(PyObject* /*module*/) -> int try {
  agen::python::import_engine();
  return 0;
} catch (agen::python::error const& error) {
  error.restore();
  return -1;
}

inline PyModuleDef_Slot slots[] = {
    {Py_mod_exec, reinterpret_cast<void*>(prepare)},
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, nullptr},
};
/// What a module is initialised from; both arguments have to last.
inline auto module_of(char const* name, PyMethodDef* functions) -> PyModuleDef {
  return {PyModuleDef_HEAD_INIT, name, nullptr, 0, functions, slots, nullptr, nullptr, nullptr};
}

}  // namespace agen_test

#endif
