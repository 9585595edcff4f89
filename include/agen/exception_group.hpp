// Several exceptions as one: what streams, when_all and when_any raise when more than one of their parts has failed.
#ifndef AGEN_EXCEPTION_GROUP_HPP
#define AGEN_EXCEPTION_GROUP_HPP

#include "detail/compiler.hpp"  // first: see there

#include <exception>
#include <utility>
#include <vector>

#include "errors.hpp"

namespace agen {

/// Two exceptions or more, the one that came first in front. A single exception is raised as it is.
class exception_group : public generator_error {
 public:
  explicit exception_group(std::vector<std::exception_ptr> errors) noexcept
      : generator_error("several exceptions at once: see exception_group::errors()"), errors_(std::move(errors)) {}
  /// All of them, in the order in which they came.
  [[nodiscard]] auto errors() const noexcept -> std::vector<std::exception_ptr> const& { return errors_; }

 private:
  std::vector<std::exception_ptr> errors_;
};

namespace detail {
/// Throws nothing, the one, or all.
inline void raise_all(std::vector<std::exception_ptr>& errors) {
  if (errors.empty()) return;
  if (errors.size() == 1) std::rethrow_exception(std::move(errors.front()));
  AGEN_THROW(exception_group(std::move(errors)));
}
}  // namespace detail

}  // namespace agen

#endif  // AGEN_EXCEPTION_GROUP_HPP
