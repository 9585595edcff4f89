// Where the answers of several operations at once come together, from any thread, for one coroutine that waits for
// them.
#ifndef AGEN_DETAIL_INBOX_HPP
#define AGEN_DETAIL_INBOX_HPP

#include "cancellation.hpp"  // first: see there

#include "../errors.hpp"
#include "await.hpp"

namespace agen::detail {

/// Base of what answers. It is in one list at a time.
struct arrival {
  explicit arrival(bool source) noexcept : is_source(source) {}
  arrival* next = nullptr;
  bool is_source;  ///< a source_slot; otherwise a branch
};

class arrivals {
 public:
  void append(arrival& one) noexcept {
    one.next = nullptr;
    *last_ = &one;
    last_ = &one.next;
  }
  [[nodiscard]] auto empty() const noexcept -> bool { return first_ == nullptr; }
  auto take() noexcept -> arrival& {
    arrival& one = *first_;
    first_ = one.next;
    if (first_ == nullptr) last_ = &first_;
    return one;
  }

 private:
  arrival* first_ = nullptr;
  arrival** last_ = &first_;
};

class inbox {
 public:
  inbox() noexcept = default;
  inbox(inbox const&) = delete;
  auto operator=(inbox const&) -> inbox& = delete;
  ~inbox() = default;

  /// Wakes the coroutine that waits; it runs inside this call, and may destroy the inbox.
  void put(arrival& one) noexcept {
    std::coroutine_handle<> consumer;
    {
      locked const guard(lock_);
      arrived_.append(one);
      exchange(any_, 1);
      if (auto* const waits = std::exchange(waiting_, nullptr)) consumer = waits->fire();
    }
    if (consumer) consumer.resume();
  }
  [[nodiscard]] auto any() const noexcept -> bool { return load(any_) != 0; }
  /// Only if there are any.
  auto take() noexcept -> arrival& {
    locked const guard(lock_);
    arrival& one = arrived_.take();
    if (arrived_.empty()) exchange(any_, 0);
    return one;
  }

  class [[nodiscard]] awaiter : public parked {
   public:
    explicit awaiter(inbox& of) noexcept : inbox_(&of) {}
    ~awaiter() { leave(); }
    [[nodiscard]] auto await_ready() const noexcept -> bool { return inbox_->any(); }
    AGEN_AWAIT_SUSPEND auto await_suspend(std::coroutine_handle<> h) noexcept -> bool {
      this->prepare(h);
      {
        locked const guard(inbox_->lock_);
        if (!inbox_->arrived_.empty()) return false;
        inbox_->waiting_ = this;
        entered_ = true;
      }
      return this->settle();
    }
    /// Throws stopped.
    void await_resume() {
      if (!leave()) return;
      this->stopped_waiting();
      AGEN_THROW(stopped("stopped while a source was awaited"));
    }

   private:
    auto leave() noexcept -> bool {
      if (!std::exchange(entered_, false)) return false;
      this->stop_listening();
      locked const guard(inbox_->lock_);
      if (inbox_->waiting_ != this) return false;
      inbox_->waiting_ = nullptr;
      return true;
    }
    inbox* inbox_;
    bool entered_ = false;
  };
  /// Awaitable: completes when there are any.
  auto wait() noexcept -> awaiter { return awaiter(*this); }

 private:
  spin_lock lock_;
  unsigned char any_ = 0;
  arrivals arrived_;
  awaiter* waiting_ = nullptr;
};

}  // namespace agen::detail

#endif  // AGEN_DETAIL_INBOX_HPP
