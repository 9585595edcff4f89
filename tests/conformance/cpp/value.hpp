// What the bodies of scenarios yield, send, return and raise: values and exceptions as Python writes them.
#ifndef AGEN_CONFORMANCE_VALUE_HPP
#define AGEN_CONFORMANCE_VALUE_HPP

#include <agen/agen.hpp>
#include <exception>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace conformance {

/// A value by its Python repr. The default is None, which is what a `co_yield` gives back when nothing was sent.
struct value {
  std::string text = "None";

  [[nodiscard]] auto is_none() const noexcept -> bool { return text == "None"; }
  [[nodiscard]] auto is_true() const noexcept -> bool {
    return text != "None" && text != "False" && text != "0" && text != "''" && text != "()";
  }
};

using generator = agen::async_generator<value, value, value>;

/// An exception of a scenario, by the name of its Python class.
struct python_error {
  std::string kind;
  std::string text;
};

/// GeneratorExit with a text: what a scenario makes itself. It is the library's own exit to everyone who catches one.
struct python_exit : agen::generator_exit {
  std::string text;
};

inline auto make_error(std::string const& kind, std::string const& text) -> std::exception_ptr {
  if (kind != "GeneratorExit") return std::make_exception_ptr(python_error{kind, text});
  python_exit exit;
  exit.text = text;
  return std::make_exception_ptr(exit);
}

/// Any exception as Python would name it; the library's errors by what they mean.
inline auto named(std::exception_ptr const& error) -> python_error {
  try {
    std::rethrow_exception(error);
  } catch (python_error const& own) {
    return own;
  } catch (python_exit const& exit) {
    return {"GeneratorExit", exit.text};
  } catch (agen::generator_exit const&) {
    return {"GeneratorExit", ""};
  } catch (agen::already_running const& refused) {
    // asend() and delegation say their own name, where Python says "anext()".
    std::string_view const text = refused.what();
    bool const own_name = text.starts_with("athrow") || text.starts_with("aclose");
    std::string const name(own_name ? text.substr(0, 6) : "anext");
    return {"RuntimeError", name + "(): asynchronous generator is already running"};
  } catch (agen::ignored_generator_exit const&) {
    return {"RuntimeError", "async generator ignored GeneratorExit"};
  } catch (agen::just_started const&) {
    return {"TypeError", "can't send non-None value to a just-started async generator"};
  } catch (agen::send_unsupported const& refused) {
    return {"AttributeError", refused.what()};
  } catch (agen::no_return_value const& refused) {
    return {"no_return_value", refused.what()};
  } catch (std::exception const& other) {
    return {"std::exception", other.what()};
  }
}

inline auto shown(python_error const& error) -> std::string {
  return error.text.empty() ? error.kind : error.kind + ": " + error.text;
}

/// The classes of exceptions, each with its base.
using class_tree = std::map<std::string, std::string, std::less<>>;

inline auto derives(class_tree const& classes, std::string kind, std::string const& base) -> bool {
  while (!kind.empty() && kind != base) {
    auto const found = classes.find(kind);
    kind = found == classes.end() ? "" : found->second;
  }
  return kind == base;
}

}  // namespace conformance

#endif  // AGEN_CONFORMANCE_VALUE_HPP
