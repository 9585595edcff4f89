// An awaitable that runs beside others: it begins at once, and its end comes into an inbox.
#ifndef AGEN_DETAIL_BRANCH_HPP
#define AGEN_DETAIL_BRANCH_HPP

#include "cancellation.hpp"  // first: see there

#include "../stop.hpp"
#include "../task.hpp"
#include "inbox.hpp"

namespace agen::detail {

/// What waits for a task, in the form that a coroutine's handle points to: see driver.hpp.
class branch_base : public arrival {
  struct continuation {
    void (*resume)(continuation*);
    void (*destroy)(continuation*);
    branch_base* self;
  };

 public:
  explicit branch_base(inbox& into) noexcept
      : arrival(false), here_{opaque(&branch_base::ended), opaque(&branch_base::ignored), this}, into_(&into) {}
  branch_base(branch_base const&) = delete;
  auto operator=(branch_base const&) -> branch_base& = delete;

  [[nodiscard]] auto running() const noexcept -> bool { return running_; }
  /// Taken out of the inbox.
  void arrived() noexcept { running_ = false; }
  void stop() noexcept { scope_.request(); }

 protected:
  ~branch_base() = default;
  template <class T>
  void run(task<T>& work, cancellation_scope& scope) noexcept {
    work.propagate_cancellation(&scope);
    running_ = true;
    auto begun = std::move(work).operator co_await();
    if (!begun.await_suspend(std::coroutine_handle<>::from_address(&here_))) into_->put(*this);
  }
  cancellation_scope scope_;

 private:
  static void ended(continuation* at) { at->self->into_->put(*at->self); }
  static void ignored(continuation* /*at*/) {}

  continuation here_;
  inbox* into_;
  bool running_ = false;
};

template <class T>
class branch : public branch_base {
 public:
  branch(task<T> work, inbox& into) noexcept : branch_base(into), work_(std::move(work)) {}
  /// The end comes into the inbox, perhaps at once.
  void start() noexcept { run(work_, scope_); }
  /// After its end: what it gave, or has raised.
  auto take() -> T { return std::move(work_).operator co_await().await_resume(); }

 private:
  task<T> work_;
};

/// An awaitable, kept, as a task.
template <class Awaitable>
auto kept_task(Awaitable awaited) -> task<await_result<Awaitable>> {
  co_return co_await static_cast<Awaitable&&>(awaited);
}

}  // namespace agen::detail

#endif  // AGEN_DETAIL_BRANCH_HPP
