// The bridge to Python: C++ generators and tasks as Python async generators and coroutines, and Python awaitables and
// async iterables in C++. Nothing of a binding tool is here; agen/nanobind.hpp and agen/pybind11.hpp add two of them.
//
// The Python package async_generator has to be installed where the module is imported: the object that Python sees is
// an instance of its generator type, driven by its engine, and works on every event loop.
//
//     agen::python::to_python(std::move(generator))         a C++ generator or task as a new Python object
//     co_await agen::python::awaitable(obj)                 `await obj` in a C++ body
//     co_await agen::python::yield_from(obj)                `await yield_from_(obj)` in a C++ body
//     agen::python::iterate<T>(obj)                         a Python async iterable as a C++ generator
//     co_await agen::python::readable(fd)                   resumes the body when a file descriptor is readable
//     co_await agen::python::checkpoint()                   gives the event loop a turn; fair(gen) does it in time
//     agen::python::items(channel)                          items from C++ threads: agen/python/channel.hpp
//     agen::python::result(future)                          one result from a thread: agen/python/future.hpp
//     agen::python::wait(event)                             a signal from a thread: agen/python/thread_event.hpp
//     agen::python::error                                   a Python exception in C++
//     agen::python::without_gil(f)                          runs f without the GIL
//     agen::python::import_engine()                         checks versions, for a module's initialisation
//
// Python drives: a C++ body runs when its awaitable is resumed, on that thread, with the GIL held.
#ifndef AGEN_PYTHON_HPP
#define AGEN_PYTHON_HPP

#include "python/conversion.hpp"
#include "python/engine.hpp"
#include "python/error.hpp"
#include "python/event_loop.hpp"
#include "python/iterate.hpp"
#include "python/object.hpp"
#include "python/resumption.hpp"
#include "python/to_python.hpp"

#endif  // AGEN_PYTHON_HPP
