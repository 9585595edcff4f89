// Finds the engine of the Python package and checks that it fits these headers.
#ifndef AGEN_PYTHON_ENGINE_HPP
#define AGEN_PYTHON_ENGINE_HPP

#include <atomic>

#include "abi.hpp"
#include "error.hpp"

namespace agen::python {

namespace detail {

// The table is the same for every interpreter of the process; its functions find the one that calls.
inline AGEN_PYTHON_MODULE_LOCAL constinit std::atomic<abi::engine const*> found_engine{nullptr};

/// Throws ImportError when the engine and this header do not fit together.
inline void check(abi::engine const& engine) {
  bool const older =
      engine.version < abi::version || (engine.version == abi::version && engine.size < sizeof(abi::engine));
  if (!older && engine.version == abi::version) return;
  PyErr_Format(
      PyExc_ImportError,
      "the installed package async_generator has version %u.%u of the bridge to C++, this extension module was "
      "built for %u.%u: %s",
      engine.version, engine.size, abi::version, static_cast<unsigned>(sizeof(abi::engine)),
      older ? "update async_generator (pip install -U async_generator)"
            : "build the module again with the headers of the installed package "
              "(async_generator.bridge.get_include())");
  throw error::current();
}

}  // namespace detail

/// Imports the engine and checks its version. Call it when the module is initialised, so that a mismatch is
/// reported at import and not at the first generator. Throws error with an ImportError.
inline void import_engine() {
  detail::called(PyImport_ImportModule, "async_generator");
  auto const module = object::steal(detail::or_stay(PyImport_ImportModule, "async_generator._engine"));
  if (!module) {
    if (PyErr_ExceptionMatches(PyExc_ModuleNotFoundError) == 0) throw error::current();
    PyErr_Clear();
    throw error(PyExc_ImportError,
                "the installed package async_generator is in plain Python, and C++ generators need its engine: install "
                "it with a C++20 compiler, or from a wheel for this interpreter");
  }
  auto const capsule = object::steal(PyObject_GetAttrString(module.get(), "bridge"));
  if (!capsule || PyCapsule_IsValid(capsule.get(), abi::capsule) == 0) {
    PyErr_Clear();
    throw error(
        PyExc_ImportError,
        "the installed package async_generator has no bridge to C++: update it (pip install -U async_generator)");
  }
  auto const* engine = static_cast<abi::engine const*>(PyCapsule_GetPointer(capsule.get(), abi::capsule));
  detail::check(*engine);
  agen::detail::end_of_thread = detail::stay_for_ever;  // see or_stay()
  detail::found_engine.store(engine, std::memory_order_release);
}

/// The engine's functions. Throws error with an ImportError.
inline auto engine() -> abi::engine const& {
  if (auto const* const found = detail::found_engine.load(std::memory_order_acquire)) [[likely]]
    return *found;
  import_engine();
  return *detail::found_engine.load(std::memory_order_acquire);
}

namespace detail {

/// A function or class of async_generator.bridge. Throws error.
inline auto bridge_attribute(char const* name) -> object {
  auto const path = called(PyUnicode_FromString("async_generator.bridge"));
  auto module = object::steal(or_stay(PyImport_GetModule, path.get()));  // a fifth of what an import costs
  if (!module) {
    if (PyErr_Occurred() != nullptr) throw error::current();
    module = called(PyImport_Import, path.get());
  }
  return called(PyObject_GetAttrString, module.get(), name);
}

}  // namespace detail

inline auto detail::already_running_class() -> object { return object::steal(engine().already_running()); }

/// Whether an object is a generator of the package: made by `@async_generator`, or of a C++ generator.
inline auto is_generator(PyObject* object) -> bool { return engine().is_generator(object) != 0; }

}  // namespace agen::python

#endif  // AGEN_PYTHON_ENGINE_HPP
