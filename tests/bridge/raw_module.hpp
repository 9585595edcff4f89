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

}  // namespace agen_test

#endif
