// What fails while a stream runs and closes its sources, until it is raised.
#ifndef AGEN_DETAIL_FAILURES_HPP
#define AGEN_DETAIL_FAILURES_HPP

#include "compiler.hpp"  // first: see there

#include <cstddef>
#include <vector>

#include "../errors.hpp"
#include "../exception_group.hpp"

namespace agen::detail {

/// What only says that a body was closed or stopped.
inline auto is_end(std::exception_ptr const& error) noexcept -> bool {
  if (is_exit(error)) return true;
  AGEN_TRY { std::rethrow_exception(error); }
  AGEN_CATCH_FIRST(stopped const&) { return true; }
  AGEN_CATCH(...) { return false; }
}

class failures {
 public:
  /// Makes room for so many, so that nothing can fail later.
  void expect(std::size_t most) { errors_.reserve(most); }
  /// The exception that ends the stream, in its handler.
  void failed() noexcept { errors_.push_back(current_error()); }
  void add(std::exception_ptr error) noexcept { errors_.push_back(std::move(error)); }
  /// What a source has raised while it was closed.
  void closing_raised(std::exception_ptr error) noexcept {
    if (!is_end(error)) errors_.push_back(std::move(error));
  }
  /// After all were closed. An end is raised only if there is nothing else. What is raised is forgotten: the handler
  /// may note it again.
  void raise() {
    if (errors_.size() > 1) {
      auto const end = errors_.front();
      std::erase_if(errors_, is_end);
      if (errors_.empty()) std::rethrow_exception(end);
    }
    if (errors_.empty()) return;
    auto const raised = errors_.size() == 1 ? errors_.front() : std::make_exception_ptr(exception_group(errors_));
    errors_.clear();
    std::rethrow_exception(raised);
  }

 private:
  std::vector<std::exception_ptr> errors_;
};

}  // namespace agen::detail

#endif  // AGEN_DETAIL_FAILURES_HPP
