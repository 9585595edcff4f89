// Generators and tasks that refer to what they were called with: an object, a reference to one, a view, a value that
// was converted for the call. Bound by nanobind, or by pybind11 with WITH_PYBIND11.
#ifdef WITH_PYBIND11
#include <pybind11/stl.h>
#include <agen/pybind11.hpp>
namespace tool = pybind11;
using conversions = agen::pybind11_conversions;
#define ARGUMENTS_MODULE(m) PYBIND11_MODULE(arguments_pybind11, m, pybind11::mod_gil_not_used())
#define READ_ONLY def_property_readonly
#else
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>
#include <agen/nanobind.hpp>
namespace tool = nanobind;
using conversions = agen::nanobind_conversions;
#define ARGUMENTS_MODULE(m) NB_MODULE(arguments_nanobind, m)
#define READ_ONLY def_prop_ro
#endif

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

namespace {

namespace py = agen::python;
using agen::async_generator;
using agen::task;

std::atomic<int> alive = 0;

/// What it was made of is gone when it is: whoever looks later sees that.
class model {
 public:
  explicit model(std::string prefix) : prefix_(std::move(prefix)) { ++alive; }
  model(model const&) = delete;
  auto operator=(model const&) -> model& = delete;
  virtual ~model() {
    std::ranges::fill(prefix_, '?');
    --alive;
  }
  [[nodiscard]] auto prefix() const -> std::string const& { return prefix_; }

  auto tokens(int n) -> async_generator<std::string> {
    for (int i = 0; i < n; ++i) co_yield prefix_ + std::to_string(i);
  }
  auto tokens_const(int n) const -> async_generator<std::string> {
    for (int i = 0; i < n; ++i) co_yield prefix_ + std::to_string(i);
  }
  auto answer(tool::object awaited) -> task<std::string> {
    co_await py::awaitable(py::object::borrow(awaited.ptr()));
    co_return prefix_;
  }

 private:
  std::string prefix_;
};

struct padding {
  virtual ~padding() = default;
  int first = 1;
};
/// A model that does not begin where the object does.
class shifted : public padding, public model {
 public:
  using model::model;
};
class derived : public model {
 public:
  using model::model;
};

auto owned(tool::handle object) {
#ifdef WITH_PYBIND11
  return tool::reinterpret_borrow<tool::object>(object);
#else
  return tool::borrow(object);
#endif
}

// Every function yields what it was given twice, so that the second is looked at after the call.

auto by_reference(model& m) -> async_generator<std::string> {
  co_yield m.prefix();
  co_yield m.prefix();
}
auto by_const_reference(int, model const& m) -> async_generator<std::string> {
  co_yield m.prefix();
  co_yield m.prefix();
}
auto by_pointer(int, model const* m) -> async_generator<std::string> {
  for (int i = 0; i < 2; ++i) {
    if (m == nullptr) {
      co_yield "nothing";
    } else {
      co_yield m->prefix();
    }
  }
}
auto by_two(model& one, model& other) -> async_generator<std::string> {
  co_yield one.prefix() + other.prefix();
  co_yield one.prefix() + other.prefix();
}
auto text_by_reference(std::string const& text) -> async_generator<std::string> {
  co_yield text;
  co_yield text;
}
auto text_by_rvalue(std::string&& text) -> async_generator<std::string> {
  co_yield text;
  co_yield text;
}
auto text_by_view(std::string_view text) -> async_generator<std::string> {
  co_yield std::string(text);
  co_yield std::string(text);
}
auto text_by_pointer(char const* text) -> async_generator<std::string> {
  co_yield text;
  co_yield text;
}
auto numbers_by_reference(std::vector<std::string> const& all) -> async_generator<std::string> {
  for (auto const& one : all) co_yield one;
}
auto number_by_reference(int const& number) -> async_generator<std::string> {
  co_yield std::to_string(number);
  co_yield std::to_string(number);
}
auto maybe_by_reference(std::optional<std::string> const& text) -> async_generator<std::string> {
  co_yield text.value_or("nothing");
  co_yield text.value_or("nothing");
}
auto shared_by_reference(std::shared_ptr<model> const& m) -> async_generator<std::string> {
  co_yield m->prefix();
  co_yield m->prefix();
}
auto object_by_reference(tool::object const& object) -> async_generator<tool::object> {
  co_yield object;
  co_yield object;
}
auto handle_by_value(tool::handle object) -> async_generator<tool::object> {
  co_yield owned(object);
  co_yield owned(object);
}
auto task_by_reference(std::string const& text, tool::object awaited) -> task<std::string> {
  co_await py::awaitable(py::object::borrow(awaited.ptr()));
  co_return text;
}

/// Begins to iterate `source`, and gives the rest away.
auto gives_away(tool::object source) -> async_generator<tool::object> {
  auto items = py::iterate<std::string, void, void, conversions>(py::object::borrow(source.ptr()));
  source = tool::object();
  if (!co_await items.anext()) co_return;
  auto const rest = py::object::steal(py::to_python<conversions>(std::move(items)));
  co_yield owned(rest.get());
  co_yield owned(Py_None);
}

// Thrown where there is no coroutine yet.

class own_error : public std::system_error {
 public:
  using system_error::system_error;
};
struct translated {};

void throw_named(std::string const& name) {
  if (name == "system_error") throw std::system_error(ENOENT, std::generic_category(), "opening");
  if (name == "out_of_range") throw std::out_of_range("out");
  if (name == "already_running") throw agen::already_running("running");
  if (name == "own_error") throw own_error(ENOENT, std::generic_category(), "own");
  if (name == "translated") throw translated();
  if (name == "ZeroDivisionError") throw py::error(PyExc_ZeroDivisionError, "division");
  if (name == "int") throw 7;
  if (name == "of the tool") {
    PyErr_SetString(PyExc_LookupError, "of the tool");
#ifdef WITH_PYBIND11
    throw tool::error_already_set();
#else
    throw tool::python_error();
#endif
  }
  if (name == "index_error") throw tool::index_error("index");
  throw std::runtime_error(name);
}
auto raises_later(std::string name) -> async_generator<int> {
  throw_named(name);
  co_yield 1;
}
auto raises_at_once(std::string const& name) -> async_generator<int> {
  throw_named(name);
  return raises_later(name);
}
auto task_raises_later(std::string name) -> task<int> {
  throw_named(name);
  co_return 1;
}
auto task_raises_at_once(std::string name) -> task<int> {
  throw_named(name);
  return task_raises_later(name);
}

}  // namespace

ARGUMENTS_MODULE(m) {
  py::import_engine();
  py::register_translator([](std::exception_ptr const& exception) {
    try {
      std::rethrow_exception(exception);
    } catch (translated const&) {
      PyErr_SetString(PyExc_KeyError, "translated");
    }
  });
#ifdef WITH_PYBIND11
  tool::register_exception<own_error>(m, "OwnError");
  tool::class_<model, std::shared_ptr<model>> model_class(m, "Model", tool::dynamic_attr());
  tool::class_<padding, std::shared_ptr<padding>>(m, "Padding");
  tool::class_<shifted, padding, model, std::shared_ptr<shifted>>(m, "Shifted", tool::multiple_inheritance())
      .def(tool::init<std::string>());
  tool::class_<derived, model, std::shared_ptr<derived>> derived_class(m, "Derived");
#else
  tool::exception<own_error>(m, "OwnError");
  tool::class_<model> model_class(m, "Model", tool::dynamic_attr());
  tool::class_<derived, model> derived_class(m, "Derived");
#endif
  derived_class.def(tool::init<std::string>());
  model_class.def(tool::init<std::string>())
      .def("tokens", &model::tokens)
      .def("tokens_const", &model::tokens_const)
      .def("tokens_by_lambda", [](model& self, int n) { return self.tokens(n); })
      .def("tokens_without_the_gil", &model::tokens, tool::call_guard<tool::gil_scoped_release>())
      .def("answer", &model::answer)
      .READ_ONLY("two", [](model const& self) { return self.tokens_const(2); });
  tool::implicitly_convertible<std::string, model>();
  m.def("alive", [] { return alive.load(); });
  m.def("by_reference", &by_reference);
  m.def("by_const_reference", &by_const_reference);
  m.def("by_pointer", &by_pointer, tool::arg("n"), tool::arg("model").none());
  m.def("by_two", &by_two);
  m.def("text_by_reference", &text_by_reference);
  m.def("text_by_rvalue", &text_by_rvalue);
  m.def("text_by_view", &text_by_view);
  m.def("text_by_pointer", &text_by_pointer);
  m.def("numbers_by_reference", &numbers_by_reference);
  m.def("number_by_reference", &number_by_reference);
  m.def("maybe_by_reference", &maybe_by_reference);
  m.def("shared_by_reference", &shared_by_reference);
  m.def("object_by_reference", &object_by_reference);
  m.def("handle_by_value", &handle_by_value);
  m.def("task_by_reference", &task_by_reference);
  m.def("text_without_the_gil", &text_by_reference, tool::call_guard<tool::gil_scoped_release>());
  m.def("overloaded", [](model const& given) { return given.tokens_const(1); });
  m.def("overloaded", &text_by_reference);
  m.def("raises_later", &raises_later);
  m.def("raises_at_once", &raises_at_once);
  m.def("task_raises_later", &task_raises_later);
  m.def("task_raises_at_once", &task_raises_at_once);
  m.def("gives_away", &gives_away);
  m.def("taken", [](async_generator<std::string> source) -> async_generator<std::string> {
    while (auto item = co_await source.anext()) co_yield *item;
  });
  m.def("echo", []() -> async_generator<std::string, std::optional<int>> { co_yield "ready"; });
  m.def("sent", [](async_generator<std::string, std::optional<int>> source) -> async_generator<std::string> {
    while (auto item = co_await source.anext()) co_yield *item;
  });
}
