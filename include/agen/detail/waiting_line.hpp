// Coroutines that wait for an object to change, in the order in which they came. The object's lock guards the line.
#ifndef AGEN_DETAIL_WAITING_LINE_HPP
#define AGEN_DETAIL_WAITING_LINE_HPP

#include "cancellation.hpp"  // first: see there

#include "../errors.hpp"

namespace agen::detail {

class waiting_line {
  struct link {
    link() noexcept : before(this), after(this) {}
    link(link const&) = delete;
    auto operator=(link const&) -> link& = delete;
    ~link() = default;

    [[nodiscard]] auto alone() const noexcept -> bool { return after == this; }
    void leave() noexcept {
      before->after = after;
      after->before = before;
      before = after = this;
    }
    void enter_before(link& other) noexcept {
      before = other.before;
      after = &other;
      before->after = this;
      other.before = this;
    }

    link* before;
    link* after;
  };

 public:
  /// One of them: the base of its awaiter.
  class waiter : public parked, link {
    friend waiting_line;

   protected:
    ~waiter() = default;
    /// Under the lock. Afterwards it is still to be settled.
    void enter(waiting_line& line) noexcept {
      this->enter_before(line.head_);
      entered_ = true;
    }
    /// When the coroutine goes on, or is destroyed. True: nobody has woken it, but a request to stop.
    auto leave(spin_lock& lock) noexcept -> bool {
      if (!std::exchange(entered_, false)) return false;
      this->stop_listening();
      locked const guard(lock);
      if (this->alone()) return false;
      link::leave();
      return true;
    }

   private:
    bool entered_ = false;
  };

  [[nodiscard]] auto empty() const noexcept -> bool { return head_.alone(); }

  /// Takes out the first, which `told` tells something. What this gives has to be resumed outside of the lock; it may
  /// be null. Not if the line is empty.
  template <class Told>
  auto take_first(Told told) noexcept -> std::coroutine_handle<> {
    auto& one = static_cast<waiter&>(*head_.after);
    one.link::leave();
    told(one);
    return one.fire();
  }
  /// Resumes all that wait now. `lock` is held before and free afterwards. The line's owner must outlive this; those
  /// that wait may be destroyed by what this resumes.
  void wake_all(spin_lock& lock) noexcept {
    link due;
    if (!head_.alone()) {  // all of them, as one piece
      due.before = head_.before;
      due.after = head_.after;
      due.before->after = due.after->before = &due;
      head_.before = head_.after = &head_;
    }
    while (!due.alone()) {
      auto& one = static_cast<waiter&>(*due.after);
      one.link::leave();
      auto const consumer = one.fire();
      lock.unlock();
      if (consumer) consumer.resume();
      lock.lock();
    }
    lock.unlock();
  }

 private:
  link head_;
};

/// Awaitable: completes when `over()`, which is asked under the lock, or after a wake, perhaps without a reason. Throws
/// stopped.
template <class Over>
class [[nodiscard]] change : public waiting_line::waiter {
 public:
  change(waiting_line& line, spin_lock& lock, Over over) noexcept : line_(&line), lock_(&lock), over_(over) {}
  ~change() { this->leave(*lock_); }
  change(change const&) = delete;
  auto operator=(change const&) -> change& = delete;

  static auto await_ready() noexcept -> bool { return false; }
  AGEN_AWAIT_SUSPEND auto await_suspend(std::coroutine_handle<> h) noexcept -> bool {
    this->prepare(h);
    {
      locked const guard(*lock_);
      if (over_()) return false;
      this->enter(*line_);
    }
    return this->settle();
  }
  void await_resume() {
    if (!this->leave(*lock_)) return;
    this->stopped_waiting();
    AGEN_THROW(stopped("stopped while a source was awaited"));
  }

 private:
  waiting_line* line_;
  spin_lock* lock_;
  Over over_;
};

}  // namespace agen::detail

#endif  // AGEN_DETAIL_WAITING_LINE_HPP
