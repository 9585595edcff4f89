// Python async iterables as C++ generators.
#ifndef AGEN_PYTHON_ITERATE_HPP
#define AGEN_PYTHON_ITERATE_HPP

#include "to_python.hpp"

namespace agen::python {

namespace detail {

inline auto async_iterator(PyObject* iterable) -> object {
  auto const aiter = aiter_slot(iterable);
  if (aiter == nullptr) {
    PyErr_Format(PyExc_TypeError, "agen::python::iterate() takes an async iterable, not %.100s",
                 type_name(iterable).c_str());
    throw error::current();
  }
  auto iterator = called(aiter, iterable);
  if (PyAIter_Check(iterator.get()) != 0) return iterator;
  PyErr_Format(PyExc_TypeError, "aiter() returned not an async iterator of type '%.100s'",
               type_name(iterator.get()).c_str());
  throw error::current();
}

/// The operations of a Python async iterator; their results have to be awaited. Make it in the body that awaits them:
/// the iterator may refer back to the body, and the cyclic collector sees it only there.
class operations {
 public:
  explicit operations(object iterator) noexcept : iterator_(std::move(iterator)) {}

  /// To be awaited.
  auto result_of(object operation) noexcept -> awaiting_in_lane { return {std::move(operation), lane_}; }

  auto anext() -> object { return called(anext_slot(iterator()), iterator()); }
  auto asend(object const& value) -> object { return call("asend", value.get()); }
  auto athrow(object const& exception) -> object { return call("athrow", exception.get()); }
  auto aclose() -> object { return called(PyObject_CallMethod, iterator(), "aclose", nullptr); }
  [[nodiscard]] auto has(char const* method) const noexcept -> bool {
    return or_stay(PyObject_HasAttrString, iterator(), method) != 0;
  }

 private:
  auto call(char const* method, PyObject* argument) -> object {
    return called(PyObject_CallMethod, iterator(), method, "O", argument);
  }
  [[nodiscard]] auto iterator() const noexcept -> PyObject* { return iterator_.get().get(); }

  visible iterator_;
  beside_lane lane_;
};

/// What a StopAsyncIteration says that the iterator returned.
inline auto stop_value(PyObject* stop) -> object {
  auto value = object::steal(or_stay(attribute, stop, "value"));
  if (value) return value;
  PyErr_Clear();
  auto first = object::steal(first_argument(stop));
  return first ? std::move(first) : object::borrow(Py_None);
}

/// The Python exception for one that was thrown into a body.
inline auto python_exception(std::exception_ptr const& thrown) -> object {
  raise_in_python(thrown);
  return take_exception();
}

}  // namespace detail

/// Any Python async iterable as a C++ generator, for bodies that Python drives: its items converted to `Yield`, what is
/// sent and thrown passed on to asend() and athrow() where the iterable has them, its return value converted to
/// `Return`. Closing it awaits aclose(); one that is dropped unfinished leaves that to the iterable's own finalizer.
///
/// Throws agen::python::error with what the iterable raises; TypeError if it is none, or if an item does not convert
/// (the iterable is then closed).
template <class Yield, class Send = void, class Return = void, class Converter = conversions>
auto iterate(object iterable) -> async_generator<Yield, Send, Return> {
  detail::operations source(detail::async_iterator(iterable.get()));
  iterable = object();
  object next = source.anext();
  for (;;) {
    object item;
    bool ended = false;
    try {
      item = co_await source.result_of(std::move(next));
    } catch (error const& raised) {
      if (!raised.matches(PyExc_StopAsyncIteration)) throw;
      item = detail::stop_value(raised.value().get());
      ended = true;
    }
    if (ended) {
      if constexpr (std::is_void_v<Return>) {
        co_return;
      } else {
        co_return Converter::template from_python<Return>(item.get());
      }
    }
    std::optional<std::remove_cvref_t<Yield>> value;
    std::exception_ptr thrown;
    object sent;
    try {
      value.emplace(Converter::template from_python<std::remove_cvref_t<Yield>>(item.get()));
      item = object();
      if constexpr (std::is_void_v<Send>) {
        co_yield agen::detail::forward_item(std::move(*value));
      } else {
        auto* const given = co_yield agen::detail::forward_item(std::move(*value));
        if (given != nullptr) sent = detail::called(Converter::to_python(std::move(*given)));
      }
    } catch (...) {
      thrown = agen::detail::current_error();
    }
    if (!thrown) {
      next = sent ? source.asend(sent) : source.anext();
    } else if (value && !agen::detail::is_exit(thrown) && source.has("athrow")) {
      next = source.athrow(detail::python_exception(thrown));
    } else {  // closed, or an item that does not convert
      bool const closes = !value || agen::detail::is_exit(thrown);
      if (closes && source.has("aclose")) co_await source.result_of(source.aclose());
      std::rethrow_exception(thrown);
    }
  }
}

/// Whether `async for` accepts the object, judged by its type.
inline auto is_async_iterable(PyObject* object) noexcept -> bool { return detail::aiter_slot(object) != nullptr; }

namespace detail {
template <class Converter, class Yield, class Send, class Return>
auto generator_from(PyObject* source, std::type_identity<async_generator<Yield, Send, Return>>)
    -> async_generator<Yield, Send, Return> {
  using kind_of_body = body<Yield, Send, Return, Converter>;
  if (auto* const taken = static_cast<kind_of_body*>(engine().take_body(source, &kind_of_body::kind))) {
    std::unique_ptr<kind_of_body> const owner(taken);
    return owner->take_generator();
  }
  return iterate<Yield, Send, Return, Converter>(object::borrow(source));
}
}  // namespace detail

/// What a binding tool makes of an argument of type async_generator: a generator of this module that is idle is moved
/// out of its Python object, which is closed then; any other async iterable is iterated.
template <class Generator, class Converter = conversions>
auto from_python(PyObject* source) -> Generator {
  return detail::generator_from<Converter>(source, std::type_identity<Generator>());
}

}  // namespace agen::python

#endif  // AGEN_PYTHON_ITERATE_HPP
