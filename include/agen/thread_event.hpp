// Signals without a value, from any C++ thread, without the GIL, to coroutines that await them on any event loop. (An
// agen::event resumes what awaits it inside set(), on that thread; these only wake the loop that it is on.)
//
//   thread_event  once it is set, nothing waits, until it is reset
//   notifier      each notify() ends one wait; it is kept for the next wait if there is none now, once:
//
//     auto rows(query& q) -> agen::async_generator<row> {  // the engine calls q.ready.notify() when it has rows
//       for (;;) {
//         while (auto row = q.fetch()) co_yield *row;      // fetch() never blocks
//         if (q.done()) co_return;
//         co_await q.ready;                                // agen/python/thread_event.hpp
//       }
//     }
//
// Both are handles: copies share one signal, so the thread may outlive the coroutine, and the other way round.
//
// Processes
//   After fork() the child may destroy them; a signal there does nothing, and awaiting one throws forked_event.
#ifndef AGEN_THREAD_EVENT_HPP
#define AGEN_THREAD_EVENT_HPP

#include <memory>
#include <mutex>

#include "detail/process.hpp"
#include "detail/wakeup.hpp"
#include "errors.hpp"
#include "task.hpp"

namespace agen {

/// An event or a notifier was awaited in a process forked after it was made.
class forked_event : public generator_error {
 public:
  using generator_error::generator_error;
};

namespace detail {

/// What the copies share. Every member but the constants is guarded by the mutex.
class signal_state {
 public:
  /// One wait, on the thread of the coroutine that waits. A signal that it gets and cannot use goes to the next one.
  class waiter {
   public:
    explicit waiter(signal_state& of) noexcept : of_(of) {}
    waiter(waiter const&) = delete;
    auto operator=(waiter const&) -> waiter& = delete;
    ~waiter() {
      if (over_ || of_.forked()) return;
      std::lock_guard const lock(of_.mutex_);
      if (at_ != nullptr) unlink();
      if (told_ && of_.once_) of_.tell_one();
    }

    /// Whether the wait is over. Throws forked_event.
    auto over() -> bool {
      if (of_.forked()) {
        AGEN_THROW(forked_event("awaited: this event belongs to the process that this one was forked from"));
      }
      std::lock_guard const lock(of_.mutex_);
      if (!told_ && !of_.set_) return false;
      if (!told_ && of_.once_) of_.set_ = false;
      if (at_ != nullptr) unlink();
      return over_ = true;
    }
    /// True: the next signal rings `heard`. False: over() is true.
    auto waits(std::shared_ptr<bell> const& heard) noexcept -> bool {
      std::lock_guard const lock(of_.mutex_);
      if (told_ || of_.set_) return false;
      bell_ = heard;
      if (at_ == nullptr) link();
      return true;
    }

   private:
    friend signal_state;
    void link() noexcept {
      at_ = of_.last_;
      *at_ = this;
      of_.last_ = &next_;
    }
    void unlink() noexcept {
      *at_ = next_;
      (next_ != nullptr ? next_->at_ : of_.last_) = at_;
      at_ = nullptr;
      next_ = nullptr;
    }

    signal_state& of_;
    std::shared_ptr<bell> bell_;
    waiter* next_ = nullptr;
    waiter** at_ = nullptr;  ///< what points here; null: in no list
    bool told_ = false;      ///< a signal came while it waited
    bool over_ = false;
  };

  /// \param once  a signal ends one wait, otherwise all
  explicit signal_state(bool once) noexcept : once_(once) {}
  signal_state(signal_state const&) = delete;
  auto operator=(signal_state const&) -> signal_state& = delete;
  ~signal_state() = default;

  void set() noexcept {
    if (forked()) return;
    std::lock_guard const lock(mutex_);
    if (once_) return tell_one();
    set_ = true;
    while (first_ != nullptr) tell_first();
  }
  void reset() noexcept {
    if (forked()) return;
    std::lock_guard const lock(mutex_);
    set_ = false;
  }
  [[nodiscard]] auto is_set() noexcept -> bool {
    if (forked()) return false;
    std::lock_guard const lock(mutex_);
    return set_;
  }

 private:
  [[nodiscard]] auto forked() const noexcept -> bool { return process::id() != process_; }
  void tell_one() noexcept {
    if (first_ != nullptr) return tell_first();
    set_ = true;
  }
  void tell_first() noexcept {
    waiter& one = *first_;
    one.unlink();
    one.told_ = true;
    one.bell_->ring();  // under the lock, without which the waiter may be gone
  }

  bool const once_;
  process::id_type const process_ = process::id();
  std::mutex mutex_;
  bool set_ = false;
  waiter* first_ = nullptr;
  waiter** last_ = &first_;
};

/// A wait, by one of the classes in detail/wakeup.hpp.
template <class Waits>
auto signalled(std::shared_ptr<signal_state> of, Waits how) -> task<> {
  // Locals end with the body, parameters with the task.
  auto const state = std::move(of);
  Waits wait = std::move(how);
  signal_state::waiter self(*state);
  while (!self.over()) {
    if (!wait.begin([&](auto const& heard) { return self.waits(heard); })) continue;
    co_await wait();
    wait.woken();
  }
}

/// What both kinds have in common.
class signal_handle {
 public:
  /// Awaitable once: completes at the signal, and at once if that is there. `wait(fd)` gives an awaitable that
  /// completes when the file descriptor is readable, or earlier; what it throws leaves the task. Without an argument
  /// the thread blocks. Throws std::system_error if the process has no file descriptor left, and the task forked_event.
  ///
  /// In a body that Python drives, `co_await` the event itself: agen/python/thread_event.hpp.
  template <class Wait = blocking_wait>
  [[nodiscard]] auto wait(Wait wait = Wait()) const -> task<> {
    return signalled(state_, waits_by_descriptor<Wait>(std::move(wait)));
  }
  /// \internal For agen/python/thread_event.hpp.
  [[nodiscard]] auto state() const noexcept -> std::shared_ptr<signal_state> const& { return state_; }

 protected:
  explicit signal_handle(bool once) : state_(std::make_shared<signal_state>(once)) {}
  ~signal_handle() = default;
  signal_handle(signal_handle const&) = default;
  auto operator=(signal_handle const&) -> signal_handle& = default;

  std::shared_ptr<signal_state> state_;
};

}  // namespace detail

/// An event: any thread sets it, any number of coroutines await it. Copies share it. Every member may be called from
/// any thread, also at the same time; none blocks or throws.
class thread_event : public detail::signal_handle {
 public:
  /// It is not set. Throws std::bad_alloc.
  thread_event() : signal_handle(false) {}

  /// All that wait go on, even if it is reset at once; what awaits it later does not wait.
  void set() const noexcept { state_->set(); }
  /// What awaits it from now on waits.
  void reset() const noexcept { state_->reset(); }
  /// Whether it is set. False in a forked child.
  [[nodiscard]] auto is_set() const noexcept -> bool { return state_->is_set(); }
};

/// Says that there is something to do: any thread notifies, and one coroutine goes on. Copies share it. Every member
/// may be called from any thread, also at the same time; none blocks or throws.
class notifier : public detail::signal_handle {
 public:
  /// There is no notification. Throws std::bad_alloc.
  notifier() : signal_handle(true) {}

  /// Ends one wait, that of the coroutine that has waited longest. If there is none, the next one does not wait;
  /// several notifications before it count as one. A wait that was cancelled passes its notification on.
  void notify() const noexcept { state_->set(); }
};

}  // namespace agen

#endif  // AGEN_THREAD_EVENT_HPP
