// A channel between coroutines: any number of them push, and await that there is room; what they push are the items of
// an async generator. For threads that are no coroutines there is agen::channel, with the same names.
//
//     auto numbers(agen::streams::producer<int> from) -> agen::task<> {
//       auto const out = std::move(from);  // ends with the body; a parameter would with the task
//       for (int i = 0;; ++i) {
//         if (!co_await out.push(i)) co_return;  // no more are wanted
//       }
//     }
//     agen::streams::channel<int> channel(16);
//     auto producing = numbers(channel.producer());
//     auto items = std::move(channel).items();
//
// Who runs the producers is up to you: agen::when_all(), for example, or a task of your event loop.
//
// Bounds
//   At most `capacity` items wait in the channel. Producers that await room get it in the order in which they came.
//
// Ending
//   When the last producer is gone, or one has called close(), the generator gives what is left and ends; after fail()
//   it then throws. Once it has ended, push() gives false.
//
// Closing
//   aclose(), and any exception at one of the generator's awaits or yields, stops the producers and awaits that the
//   last of them is gone: push() gives false, also where it waits; stop_requested() is true; stop_token() stops what
//   else a producer awaits. So a coroutine that keeps a producer must not await the closing itself. Dropping the
//   generator stops them, too, and waits for nothing. aclose() on a generator that never began does nothing, as PEP 525
//   has it: its producers are stopped when it is dropped.
//
// Threads
//   Producers and the consumer may run on threads of their own. A coroutine goes on on the thread that woke it.
#ifndef AGEN_COROUTINE_CHANNEL_HPP
#define AGEN_COROUTINE_CHANNEL_HPP

#include "detail/compiler.hpp"  // first: see there

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <utility>

#include "detail/failures.hpp"
#include "detail/node_pool.hpp"
#include "detail/source_group.hpp"
#include "detail/waiting_line.hpp"
#include "push_result.hpp"
#include "stop.hpp"

namespace agen {

namespace detail {

/// A producer that awaits room in a channel.
class waits_for_room : public waiting_line::waiter {
 public:
  void gets_room() noexcept { has_room_ = true; }
  void wait_in(waiting_line& line) noexcept { this->enter(line); }

 protected:
  ~waits_for_room() = default;
  bool has_room_ = false;  ///< a place in the channel is kept for it
};

/// What the two ends of a channel between coroutines share.
template <class T>
class room {
 public:
  explicit room(std::size_t capacity) : capacity_(capacity), pool_(capacity) {
    if (capacity == 0) AGEN_THROW(std::invalid_argument("streams::channel: the capacity has to be at least 1"));
  }
  room(room const&) = delete;
  auto operator=(room const&) -> room& = delete;
  ~room() { recycle(items_); }

  // The producers' side.

  /// Keeps a place for an item, if there is one and nobody has waited for it longer.
  auto reserve() noexcept -> push_result {
    locked const guard(lock_);
    return reserve_one();
  }
  /// The same, and if there is none, the producer waits: push_result::full.
  template <class Waiter>
  auto reserve_or_wait(Waiter& one) noexcept -> push_result {
    locked const guard(lock_);
    push_result const answer = reserve_one();
    if (answer.is_full()) one.wait_in(producers_wait_);
    return answer;
  }
  /// Makes an item of `value` in the place that was kept. False if none is wanted any more: `value` is untouched.
  template <class Value>
  auto fill(Value&& value) -> bool {
    if (is_over()) {
      give_back();
      return false;
    }
    AGEN_TRY {
      auto made = pool_.make(static_cast<Value&&>(value));
      {
        locked const guard(lock_);
        --reserved_;
        if (!stopped_) items_.append(*made.release());  // if it is by now, this one was pushed just before
      }
    }
    AGEN_CATCH(...) {
      give_back();
      AGEN_RETHROW;
    }
    wake_consumer();
    return true;
  }
  /// A place was kept, and is not needed.
  void give_back() noexcept {
    lock_.lock();
    --reserved_;
    give_room();
  }
  void close(std::exception_ptr error) noexcept {
    {
      locked const guard(lock_);
      if (over()) return;
      error_ = std::move(error);
      closed_ = true;
    }
    wake_all();
  }
  void join() noexcept {
    locked const guard(lock_);
    ++producers_;
  }
  void leave() noexcept {
    {
      locked const guard(lock_);
      if (--producers_ != 0) return;
      if (consumed_) closed_ = true;
    }
    wake_all();
  }
  auto stopped() noexcept -> bool {
    locked const guard(lock_);
    return stopped_;
  }
  auto scope() noexcept -> cancellation_scope& { return scope_; }
  auto lock() noexcept -> spin_lock& { return lock_; }

  // The consumer's side.

  /// From now on the channel closes when its last producer is gone.
  void consume() noexcept {
    locked const guard(lock_);
    consumed_ = true;
    if (producers_ == 0) closed_ = true;
  }
  /// The next item, if there is one. The first producer that waits gets its place, and runs inside this.
  auto next() noexcept -> typename node_pool<T>::pointer {
    lock_.lock();
    auto item = pool_.hold(items_.take());
    if (item != nullptr) {
      give_room();
    } else {
      lock_.unlock();
    }
    return item;
  }
  /// After next() has given nothing: whether there will be nothing.
  auto ended() noexcept -> bool {
    locked const guard(lock_);
    return closed_ && items_.size() == 0 && reserved_ == 0;
  }
  auto news() noexcept {
    return change(consumer_waits_, lock_, [this] { return items_.size() != 0 || (closed_ && reserved_ == 0); });
  }
  /// Tells the producers that no more items are wanted. Never waits for them.
  void stop() noexcept {
    node_list<T> unwanted;
    {
      locked const guard(lock_);
      if (std::exchange(stopped_, true)) return;
      while (auto* const one = items_.take()) unwanted.append(*one);
    }
    recycle(unwanted);
    wake_all();
    scope_.request();
  }
  /// Awaits that the last producer is gone. Nothing stops this.
  auto producers_gone() -> task<> {
    co_await enter_scope{nullptr};
    while (has_producers()) co_await change(consumer_waits_, lock_, [this] { return producers_ == 0; });
  }
  auto take_error() noexcept -> std::exception_ptr {
    locked const guard(lock_);
    return std::exchange(error_, nullptr);
  }

 private:
  [[nodiscard]] auto over() const noexcept -> bool { return closed_ || stopped_; }
  auto is_over() noexcept -> bool {
    locked const guard(lock_);
    return over();
  }
  auto has_producers() noexcept -> bool {
    locked const guard(lock_);
    return producers_ != 0;
  }
  auto reserve_one() noexcept -> push_result {
    if (over()) return push_result::unwanted;
    if (items_.size() + reserved_ >= capacity_ || !producers_wait_.empty()) return push_result::full;
    ++reserved_;
    return push_result::pushed;
  }
  /// There is room: the first producer that waits gets it. The lock is held before and free afterwards.
  void give_room() noexcept {
    std::coroutine_handle<> producer;
    if (!over() && !producers_wait_.empty() && items_.size() + reserved_ < capacity_) {
      ++reserved_;
      producer = producers_wait_.take_first([](auto& one) { static_cast<waits_for_room&>(one).gets_room(); });
    }
    bool const at_end = closed_ && reserved_ == 0;
    lock_.unlock();
    if (producer) producer.resume();
    if (at_end) wake_consumer();
  }
  void wake_consumer() noexcept {
    lock_.lock();
    consumer_waits_.wake_all(lock_);
  }
  void wake_all() noexcept {
    lock_.lock();
    producers_wait_.wake_all(lock_);
    wake_consumer();
  }
  void recycle(node_list<T>& items) noexcept {
    while (auto* const one = items.take()) pool_.recycle(*one);
  }

  std::size_t const capacity_;
  node_pool<T> pool_;
  spin_lock lock_;
  node_list<T> items_;
  std::size_t reserved_ = 0;  ///< places of producers that are about to fill them
  std::size_t producers_ = 0;
  bool consumed_ = false;
  bool closed_ = false;   ///< no item will come
  bool stopped_ = false;  ///< no item is wanted
  std::exception_ptr error_;
  waiting_line producers_wait_;
  waiting_line consumer_waits_;
  cancellation_scope scope_;
};

template <class T, class Value>
class push_awaiter : public waits_for_room {
 public:
  push_awaiter(room<T>& to, Value&& value) noexcept : to_(&to), value_(static_cast<Value&&>(value)) {}
  push_awaiter(push_awaiter const&) = delete;
  auto operator=(push_awaiter const&) -> push_awaiter& = delete;
  ~push_awaiter() {
    this->leave(to_->lock());
    if (has_room_) to_->give_back();
  }

  auto await_ready() noexcept -> bool { return answered(to_->reserve()); }
  AGEN_AWAIT_SUSPEND auto await_suspend(std::coroutine_handle<> h) noexcept -> bool {
    this->prepare(h);
    if (answered(to_->reserve_or_wait(*this))) return false;
    return this->settle();
  }
  auto await_resume() -> bool {
    if (this->leave(to_->lock())) {
      this->stopped_waiting();
      AGEN_THROW(stopped("stopped while a channel had no room"));
    }
    return std::exchange(has_room_, false) && to_->fill(static_cast<Value&&>(value_));
  }

 private:
  auto answered(push_result answer) noexcept -> bool {
    if (answer.is_full()) return false;
    has_room_ = answer;
    return true;
  }

  room<T>* to_;
  Value&& value_;
};

/// What push() returns.
template <class T, class Value>
class [[nodiscard("an item is pushed when this is awaited")]] pushing {
 public:
  pushing(room<T>& to, Value&& value) noexcept : to_(&to), value_(static_cast<Value&&>(value)) {}
  auto operator co_await() && noexcept -> push_awaiter<T, Value> { return {*to_, static_cast<Value&&>(value_)}; }

 private:
  room<T>* to_;
  Value&& value_;
};

}  // namespace detail

namespace streams {

template <class T>
class channel;

/// A right to push into a channel between coroutines. Copies are rights of their own; the channel closes when the last
/// one is gone, so each coroutine that produces keeps one as long as it runs. Its members may be called from any
/// thread, also at the same time; none of them throws but where it says so. A moved-from producer may be assigned to or
/// destroyed.
template <class T>
class producer {
 public:
  producer(producer const& other) noexcept : room_(other.room_) {
    if (room_) room_->join();
  }
  producer(producer&&) noexcept = default;
  auto operator=(producer other) noexcept -> producer& {
    room_.swap(other.room_);
    return *this;
  }
  ~producer() {
    if (room_) room_->leave();
  }

  /// `co_await out.push(value)`, in one expression: awaits room, and appends an item, made of `value`. False if the
  /// channel is closed or stopped: `value` is then untouched. Throws what making the item throws, and agen::stopped;
  /// nothing has happened then.
  template <class Value = T>
  auto push(Value&& value) const noexcept -> detail::pushing<T, Value> {
    return {*room_, static_cast<Value&&>(value)};
  }
  /// The same, but without waiting. What it returns tells a full channel from one that takes no item any more.
  template <class Value = T>
  [[nodiscard]] auto try_push(Value&& value) const -> push_result {
    push_result const answer = room_->reserve();
    if (answer && !room_->fill(static_cast<Value&&>(value))) return push_result::unwanted;
    return answer;
  }
  /// There will be no more items, by any producer. The generator gives those that are there and ends.
  void close() const noexcept { room_->close(nullptr); }
  /// The same, but the generator then throws `error`; without an argument, what the catch block around has caught.
  /// Nothing if the channel is closed or stopped already.
  void fail(std::exception_ptr error = std::current_exception()) const noexcept { room_->close(std::move(error)); }
  /// No more items are wanted: the generator has ended, is being closed, or was dropped.
  [[nodiscard]] auto stop_requested() const noexcept -> bool { return room_->stopped(); }
  /// The same as a token, for what else the producer awaits: `co_await with_stop(out.stop_token(), operation)`. Valid
  /// as long as the producer.
  [[nodiscard]] auto stop_token() const noexcept -> agen::stop_token { return agen::stop_token(&room_->scope()); }

 private:
  friend channel<T>;
  explicit producer(std::shared_ptr<detail::room<T>> to) noexcept : room_(std::move(to)) { room_->join(); }

  std::shared_ptr<detail::room<T>> room_;
};

/// The receiving end of a channel between coroutines: first it makes producers, then it becomes a generator. Move-only.
/// Destroying it stops the producers.
template <class T>
class channel {
 public:
  /// At most `capacity` items wait. Throws std::invalid_argument if that is 0.
  explicit channel(std::size_t capacity) : room_(std::make_shared<detail::room<T>>(capacity)) {}
  channel(channel&&) noexcept = default;
  auto operator=(channel other) noexcept -> channel& {
    room_.swap(other.room_);
    return *this;
  }
  ~channel() {
    if (room_) room_->stop();
  }

  /// A new right to push. Make those that you need before items(); copy them later.
  [[nodiscard]] auto producer() const noexcept -> streams::producer<T> { return streams::producer<T>(room_); }

  /// The generator of what the producers push.
  auto items() && -> async_generator<T> {
    room_->consume();
    return iterate(std::move(*this));
  }

 private:
  static auto iterate(channel from) -> async_generator<T> {
    channel const self = std::move(from);  // locals end with the body, parameters with the generator
    auto& room = *self.room_;
    detail::failures failed;
    failed.expect(2);
    auto closing = room.producers_gone();
    AGEN_TRY {
      detail::frame& body = co_await detail::this_frame();
      for (;;) {
        detail::check_stop(body);
        if (auto const item = room.next()) {
          co_yield item->value;
        } else if (room.ended()) {
          break;
        } else {
          co_await room.news();
        }
      }
      if (auto error = room.take_error()) failed.add(std::move(error));
      room.stop();
    }
    AGEN_CATCH(...) { failed.failed(); }
    if (!room.stopped()) {
      room.stop();
      co_await std::move(closing);
    }
    failed.raise();
  }

  std::shared_ptr<detail::room<T>> room_;
};

}  // namespace streams
}  // namespace agen

#endif  // AGEN_COROUTINE_CHANNEL_HPP
