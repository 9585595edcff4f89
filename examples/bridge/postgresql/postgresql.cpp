// Rows of PostgreSQL for Python: `async for row in connection.rows(sql)`, on any event
// loop.
//
// libpq has no threads and no callbacks: it reads from a socket what is there. So the
// bodies below wait until the socket is readable, and take the rows that have come.
#include <agen/nanobind.hpp>
#include <agen/python/event_loop.hpp>
#include <agen/python/first_of.hpp>
#include <agen/python/future.hpp>

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <charconv>
#include <string_view>

#include "connection.hpp"

namespace nb = nanobind;
namespace py = agen::python;
using namespace std::chrono_literals;

namespace {

// [connect]
auto connect(std::string settings) -> agen::task<connection> {
  connection made(settings);
  for (auto state = PGRES_POLLING_WRITING; state != PGRES_POLLING_OK;
       state = made.poll()) {
    if (state == PGRES_POLLING_READING) {
      co_await py::readable(made.socket());
    } else {
      co_await py::writable(made.socket());
    }
  }
  co_return made;
}
// [/connect]

/// A column's value. The server sends text; of these types it becomes a Python object
/// of their own (the numbers are those of the server's catalogue, pg_type).
auto value(PGresult const* result, int row, int column) -> nb::object {
  if (PQgetisnull(result, row, column) != 0) return nb::none();
  std::string_view const text(
      PQgetvalue(result, row, column),
      static_cast<std::size_t>(PQgetlength(result, row, column)));
  switch (PQftype(result, column)) {
    case 16:  // bool
      return nb::bool_(text == "t");
    case 20:    // int8
    case 21:    // int2
    case 23: {  // int4
      long long number = 0;
      std::from_chars(text.data(), text.data() + text.size(), number);
      return nb::int_(number);
    }
    case 700:  // float4
    case 701:  // float8
      return nb::float_(PyOS_string_to_double(text.data(), nullptr, nullptr));
    default: return nb::str(text.data(), text.size());
  }
}

auto tuple(PGresult const* result, int row) -> nb::object {
  auto const columns = PQnfields(result);
  auto const made = nb::steal(PyTuple_New(columns));
  if (!made.is_valid()) throw nb::python_error();
  for (int i = 0; i < columns; ++i)
    PyTuple_SET_ITEM(made.ptr(), i, value(result, row, i).release().ptr());
  return made;
}

/// The error in an answer of the server, if it is one.
auto error_of(PGresult const* result) -> std::optional<std::string> {
  switch (PQresultStatus(result)) {
    case PGRES_SINGLE_TUPLE:
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY: return {};
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH: throw postgresql_error("COPY is not for rows()");
    default: return PQresultErrorMessage(result);
  }
}

// [cancel]
/// Has the server end the query, and reads what it sent before that.
auto abandon(connection& on) -> agen::task<> {
  co_await on.cancel();
  for (;;) {
    while (on.busy()) {
      co_await py::readable(on.socket());
      on.read();
    }
    auto const unwanted = on.next();
    if (!unwanted) co_return;
    (void)error_of(unwanted.get());
  }
}
// [/cancel]

// [rows]
auto rows(connection& on, std::string sql, parameters values)
    -> agen::async_generator<nb::object> {
  connection::query const running(on);
  std::optional<std::string> error;
  std::exception_ptr left;
  try {
    on.send(sql, values);
    while (!on.flush()) {
      // The server may wait until its own words are read.
      co_await py::first_of(py::readable(on.socket()), py::writable(on.socket()));
      on.read();
    }
    for (;;) {
      while (on.busy()) {
        co_await py::readable(on.socket());
        on.read();
      }
      auto const result = on.next();
      if (!result) break;
      if (auto text = error_of(result.get())) error = std::move(text);
      for (int i = 0; i < PQntuples(result.get()); ++i) co_yield tuple(result.get(), i);
    }
  } catch (...) {  // the consumer left, or an error: C++ cannot await in here
    left = std::current_exception();
  }
  if (left) {
    try {
      if (on.open()) co_await py::shielded(abandon(on), 10s);
    } catch (postgresql_error const&) {  // the connection is closed, then
    }
    std::rethrow_exception(left);
  }
  if (error) throw postgresql_error(*error);
}
// [/rows]

}  // namespace

NB_MODULE(agen_postgresql, m) {
  py::import_engine();
  nb::exception<postgresql_error>(m, "PostgresqlError");
  nb::class_<connection>(m, "Connection")
      .def(
          "rows",
          [](connection& self, std::string sql, parameters values) {
            return py::fair(rows(self, std::move(sql), std::move(values)));
          },
          nb::arg("sql"), nb::arg("parameters") = parameters())
      .def("close", &connection::close);
  m.def("connect", &connect, nb::arg("settings"));
}
