// The exceptions that the library itself raises. Each function says which of them it throws.
#ifndef AGEN_ERRORS_HPP
#define AGEN_ERRORS_HPP

#include "detail/compiler.hpp"  // first: see there

#include <exception>
#include <type_traits>

namespace agen {

/// Thrown at the `co_yield` where a generator is suspended when it is closed: the GeneratorExit of PEP 525.
///
/// It derives from nothing, as GeneratorExit does not derive from Exception, so that `catch (std::exception const&)`
/// lets it pass. A body may clean up and rethrow it, or catch it and return; a body that yields instead makes
/// the close fail with `ignored_generator_exit`.
struct generator_exit {};

/// Base of every error of this library: `catch (generator_error const&)` takes them all.
class generator_error : public std::exception {
 public:
  explicit generator_error(char const* text) noexcept : text_(text) {}
  [[nodiscard]] auto what() const noexcept -> char const* override { return text_; }

 private:
  char const* text_;  // always a literal: an error must not need memory
};

/// An operation was awaited, or a delegation begun, while another operation on the same generator was under way
/// (PEP 525: "asynchronous generator is already running").
class already_running : public generator_error {
 public:
  using generator_error::generator_error;
};

/// A value was sent into a generator whose body has not begun (PEP 525: "can't send non-None value to a just-started
/// async generator").
class just_started : public generator_error {
 public:
  using generator_error::generator_error;
};

/// The body yielded while it was being closed (PEP 525: "async generator ignored GeneratorExit").
class ignored_generator_exit : public generator_error {
 public:
  using generator_error::generator_error;
};

/// `anext()` on a generator whose Send type has no default value, suspended at a `co_yield` that needs one.
class nothing_sent : public generator_error {
 public:
  using generator_error::generator_error;
};

/// `athrow()` of a null exception_ptr: there is nothing to throw (Python: TypeError).
class nothing_thrown : public generator_error {
 public:
  using generator_error::generator_error;
};

/// A value was sent to a generator that delegates to a source without asend() (PEP 380: AttributeError). Raised in
/// the delegating body, at its `yield_from`.
class send_unsupported : public generator_error {
 public:
  using generator_error::generator_error;
};

/// The return value of a generator was asked for and there is none: it has not returned, or it ended otherwise, such as
/// at the end of a body that lacks a co_return. For such a body of a task, awaiting the task raises it.
class no_return_value : public generator_error {
 public:
  using generator_error::generator_error;
};

/// The generator that a body delegated to by reference was destroyed. Raised in the body, at its `yield_from`.
class delegate_destroyed : public generator_error {
 public:
  using generator_error::generator_error;
};

/// The generator behind an async context manager yielded not at all, or twice (contextlib: "generator didn't yield",
/// "generator didn't stop", "generator didn't stop after athrow()").
class context_manager_error : public generator_error {
 public:
  using generator_error::generator_error;
};

/// Raised where a body waits when it is asked to stop (stop.hpp), once: its cleanup can await.
class stopped : public generator_error {
 public:
  using generator_error::generator_error;
};

/// `co_yield agen::error(e)` ends a body with the exception `e` as if it had left it, but without a throw: the
/// consumer's anext() throws it, try_anext() gives it as a value. The body is not resumed; its locals live as long as
/// the generator. A null `e` becomes nothing_thrown.
class error {
 public:
  explicit error(std::exception_ptr e) noexcept : error_(static_cast<std::exception_ptr&&>(e)) {}
  /// An exception object, such as `agen::error(std::runtime_error("no"))`.
  template <class Exception>
    requires(!std::is_same_v<std::remove_cvref_t<Exception>, std::exception_ptr> &&
             !std::is_same_v<std::remove_cvref_t<Exception>, error>)
  explicit error(Exception&& e) : error_(std::make_exception_ptr(static_cast<Exception&&>(e))) {}
  auto take() noexcept -> std::exception_ptr {
    if (error_ == nullptr)
      return std::make_exception_ptr(nothing_thrown("co_yield error(e): the exception_ptr is null"));
    return static_cast<std::exception_ptr&&>(error_);
  }

 private:
  std::exception_ptr error_;
};

namespace detail {
/// What a thread does whose stack is unwound by pthread_exit() or pthread_cancel(), with glibc, when that reaches a
/// body: it cannot go on from there. The bridge has another.
inline void (*end_of_thread)() noexcept = std::terminate;

/// The exception that a body ends in.
AGEN_COLD inline auto current_error() noexcept -> std::exception_ptr {
  auto error = std::current_exception();
  if (!error) end_of_thread();  // what unwinds is no exception
  return error;
}

/// Whether an exception is a generator_exit. For any other it throws the exception to find out.
inline auto is_exit(std::exception_ptr const& error) noexcept -> bool {
#if AGEN_HAS_EXCEPTIONS
  if (is_exactly<generator_exit>(error)) return true;
  try {
    std::rethrow_exception(error);
  } catch (generator_exit const&) {
    return true;
  } catch (...) {
    return false;
  }
#else
  return is_exactly<generator_exit>(error);
#endif
}
}  // namespace detail

}  // namespace agen

#endif  // AGEN_ERRORS_HPP
