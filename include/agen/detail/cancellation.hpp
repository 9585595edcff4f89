// How a request to stop travels: an operation refers to a scope, what a body awaits finds the scope there, and a
// listener in the scope hears of the request. Stop tokens (stop.hpp) and Asio's cancellation slots (asio.hpp) are both
// this. Nothing here is touched by an operation without a scope.
#ifndef AGEN_DETAIL_CANCELLATION_HPP
#define AGEN_DETAIL_CANCELLATION_HPP

#include "compiler.hpp"  // first: see there

#include <coroutine>
#include <utility>

namespace agen::detail {

/// For sections of a few instructions, which await nothing and call no code of users. Not <mutex>, for its weight.
class spin_lock {
 public:
  void lock() noexcept {
    while (exchange(at_, 1) != 0) {
    }
  }
  void unlock() noexcept { exchange(at_, 0); }

 private:
  unsigned char at_ = 0;
};

/// std::lock_guard without <mutex>.
class [[nodiscard]] locked {
 public:
  explicit locked(spin_lock& lock) noexcept : lock_(&lock) { lock.lock(); }
  locked(locked const&) = delete;
  auto operator=(locked const&) -> locked& = delete;
  ~locked() { lock_->unlock(); }

 private:
  spin_lock* lock_;
};

/// The calling thread, without <thread>.
inline auto this_thread() noexcept -> void const* {
  static thread_local char here;
  return &here;
}

/// Hears of a request to stop while it is linked into a scope. It may be called again for each further request.
struct stop_listener {
  explicit stop_listener(void (*call)(stop_listener&, unsigned) noexcept) noexcept  // NOLINT: `next` is set by link()
      : on_stop(call), at(nullptr) {}
  /// For one that seldom listens: `on_stop` is set before it is linked, and it is unlinked only then.
  stop_listener() noexcept {}  // NOLINT: see above
  stop_listener(stop_listener const&) = delete;
  auto operator=(stop_listener const&) -> stop_listener& = delete;
  ~stop_listener() = default;

  void (*on_stop)(stop_listener& self, unsigned kind) noexcept;
  stop_listener* next;
  stop_listener** at;  ///< what points here; null: linked nowhere

  void link(stop_listener*& head) noexcept {
    next = head;
    if (next != nullptr) next->at = &next;
    at = &head;
    head = this;
  }
  void unlink() noexcept {
    if (at == nullptr) return;
    *at = next;
    if (next != nullptr) next->at = at;
    at = nullptr;
  }
};

/// Hangs on an operation (pending::cancellation) and on a task. It must live as long as what refers to it.
class cancellation_scope {
 public:
  /// The only kind of request that a token makes; Asio's cancellation_type::terminal.
  static constexpr unsigned stops = 1;

  cancellation_scope() noexcept = default;
  /// \param destroyed  called after the generator was destroyed under the partner's operation, which thus never gets an
  ///                   answer. May destroy that operation.
  /// \param stays      a request reaches everything that is awaited after it, as in an asio::awaitable. Otherwise it
  ///                   arrives once, so that cleanup can wait.
  explicit cancellation_scope(void (*destroyed)(cancellation_scope& self) noexcept, bool stays) noexcept
      : on_generator_destroyed(destroyed), stays_(stays) {}
  cancellation_scope(cancellation_scope const&) = delete;
  auto operator=(cancellation_scope const&) -> cancellation_scope& = delete;
  ~cancellation_scope() {
    if (gone_ != nullptr) *gone_ = true;
  }

  void (*on_generator_destroyed)(cancellation_scope& self) noexcept = nullptr;

  [[nodiscard]] auto requested() const noexcept -> bool { return load(requested_) != 0; }
  /// Whether what is awaited now has to end at once.
  [[nodiscard]] auto must_stop() const noexcept -> bool { return requested() && (stays_ || !delivered_); }
  /// The request has become an exception in the body, or will by what the caller does.
  void deliver() noexcept { delivered_ = true; }
  /// Whether it is a scope of Asio's.
  [[nodiscard]] auto stays() const noexcept -> bool { return stays_; }
  /// The kinds requested so far. Only where requests cannot come from another thread.
  [[nodiscard]] auto kinds() const noexcept -> unsigned { return kinds_; }

  /// Calls every listener, on this thread. What a listener resumes may destroy the scope.
  void request(unsigned kind = stops) noexcept {
    lock_.lock();
    bool const again = exchange(requested_, 1) != 0;
    kinds_ |= kind;
    if (again && !stays_) return lock_.unlock();
    stop_listener* due = nullptr;  // in the order in which they came
    while (listeners_ != nullptr) {
      stop_listener& one = *listeners_;
      one.unlink();
      one.link(due);
    }
    bool gone = false;
    bool* const outer = std::exchange(gone_, &gone);
    while (due != nullptr) {
      stop_listener& one = *due;
      one.unlink();
      one.link(listeners_);
      calling_ = &one;
      caller_ = this_thread();
      lock_.unlock();
      one.on_stop(one, kind);
      if (gone) {
        if (outer != nullptr) *outer = true;
        return;
      }
      lock_.lock();
      calling_ = nullptr;
    }
    gone_ = outer;
    lock_.unlock();
  }
  /// False, and the listener is not linked: what it stands for has to end at once.
  auto add(stop_listener& one) noexcept -> bool {
    locked const guard(lock_);
    if (must_stop()) return false;
    one.link(listeners_);
    return true;
  }
  /// The same, whatever was requested.
  void always_add(stop_listener& one) noexcept {
    locked const guard(lock_);
    one.link(listeners_);
  }
  /// Afterwards the listener is called no more, and on no other thread it still is.
  void remove(stop_listener& one) noexcept {
    lock_.lock();
    one.unlink();
    while (calling_ == &one && caller_ != this_thread()) {
      lock_.unlock();
      lock_.lock();
    }
    lock_.unlock();
  }

 private:
  spin_lock lock_;
  unsigned char requested_ = 0;
  bool stays_ = false;
  bool delivered_ = false;
  unsigned kinds_ = 0;
  stop_listener* listeners_ = nullptr;
  stop_listener const* calling_ = nullptr;
  void const* caller_ = nullptr;
  bool* gone_ = nullptr;  ///< of the request under way: tells it that a listener has destroyed the scope
};

/// A scope that also gets the requests of another one.
class inner_scope : public cancellation_scope, stop_listener {
 public:
  explicit inner_scope(cancellation_scope* outer) noexcept : stop_listener(&pass_on), outer_(outer) {
    if (outer_ != nullptr && !outer_->add(*this)) pass_on(*this, stops);
  }
  inner_scope(inner_scope const&) = delete;
  auto operator=(inner_scope const&) -> inner_scope& = delete;
  ~inner_scope() {
    if (outer_ != nullptr) outer_->remove(*this);
  }

 private:
  static void pass_on(stop_listener& self, unsigned kind) noexcept {
    auto& scope = static_cast<inner_scope&>(self);
    scope.outer_->deliver();
    scope.request(kind);
  }
  cancellation_scope* outer_;
};

/// A coroutine that waits for something in a list of that, and is woken by that or by a request to stop, on any thread.
/// The one byte decides which of the sides resumes it, and whether it has to suspend at all.
class parked : protected stop_listener {
 public:
  parked() noexcept : stop_listener(&stop) {}
  void propagate_cancellation(cancellation_scope* to) noexcept { scope_ = to; }

  /// The owner of the list says, under its lock, that the wait is over. What it gives has to be resumed, outside the
  /// lock; it may be null.
  [[nodiscard]] auto fire() noexcept -> std::coroutine_handle<> {
    return exchange(at_, fired) == suspended ? consumer_ : std::coroutine_handle<>();
  }

 protected:
  ~parked() = default;
  /// Before the list knows of this waiter.
  void prepare(std::coroutine_handle<> consumer) noexcept {
    consumer_ = consumer;
    at_ = arming;
  }
  /// Afterwards. True: the coroutine stays suspended, and nothing may be touched.
  auto settle() noexcept -> bool {
    if (scope_ != nullptr) {
      listens_ = true;
      if (!scope_->add(*this)) exchange(at_, fired);
    }
    return replace(at_, arming, suspended);
  }
  /// When the coroutine goes on, or is destroyed, before it leaves the list.
  void stop_listening() noexcept {
    if (std::exchange(listens_, false)) scope_->remove(*this);
  }
  /// The list did not wake it, so a request did.
  void stopped_waiting() noexcept {
    if (scope_ != nullptr) scope_->deliver();
  }
  /// Whether a request has to end the wait before it begins.
  [[nodiscard]] auto must_stop() const noexcept -> bool { return scope_ != nullptr && scope_->must_stop(); }

 private:
  enum : unsigned char { arming, suspended, fired };

  static void stop(stop_listener& self, unsigned /*kind*/) noexcept {
    if (auto const consumer = static_cast<parked&>(self).fire()) consumer.resume();
  }

  std::coroutine_handle<> consumer_;
  cancellation_scope* scope_ = nullptr;
  unsigned char at_ = arming;
  bool listens_ = false;
};

}  // namespace agen::detail

#endif  // AGEN_DETAIL_CANCELLATION_HPP
