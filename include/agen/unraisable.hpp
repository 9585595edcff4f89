// Where exceptions go that no caller can catch: the C++ counterpart of sys.unraisablehook.
#ifndef AGEN_UNRAISABLE_HPP
#define AGEN_UNRAISABLE_HPP

#include "detail/compiler.hpp"  // first: see there

#include <exception>

namespace agen {

/// Gets an exception that cannot be raised: thrown by a finalizer hook, or left by a body whose consumer was destroyed.
using unraisable_handler = void (*)(std::exception_ptr error) noexcept;

namespace detail {
inline unraisable_handler on_unraisable = nullptr;

inline void report_unraisable(std::exception_ptr error) noexcept {
  if (on_unraisable == nullptr) std::terminate();
  on_unraisable(static_cast<std::exception_ptr&&>(error));
}
}  // namespace detail

/// Installs the handler of the whole program and returns the former one; null, the default, is std::terminate. Call it
/// before other threads run.
inline auto set_unraisable_handler(unraisable_handler handler) noexcept -> unraisable_handler {
  unraisable_handler const former = detail::on_unraisable;
  detail::on_unraisable = handler;
  return former;
}

}  // namespace agen

#endif  // AGEN_UNRAISABLE_HPP
