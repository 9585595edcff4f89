// A channel carries items from threads to an async generator. Any number of producers push, on threads of their own,
// and never touch the event loop that the generator runs on.
//
//     auto tokens(engine& e, std::string prompt) -> agen::async_generator<std::string> {
//       agen::channel<std::string> channel(1024);
//       std::thread([out = channel.producer(), &e, prompt] {
//         while (auto token = e.next(prompt)) {
//           if (!out.push(std::move(*token))) return;  // no more are wanted
//         }
//       }).detach();
//       return std::move(channel).items(wait);
//     }
//
// Waking
//   The consumer takes everything that is there under one lock, and waits only when there is nothing: on a file
//   descriptor, in a way that the caller of items() gives it. The first push that finds it waiting makes the descriptor
//   readable. So a wait costs one wakeup, an item costs none.
//
// Bounds
//   `capacity` items wait in the channel; beside them the consumer may hold as many that it has taken already. A
//   producer that may not block is called back when there is space again: when_space().
//
// Ending
//   When the last producer is gone, or one has called close(), the generator gives what is left and ends; after fail()
//   it then throws. Once it has ended, every producer's push() gives false.
//
// Closing
//   aclose(), and any exception at one of the generator's awaits or yields, stops the producers (push() gives false,
//   stop_requested() true, stop callbacks run) and awaits that the last of them is gone, by the same descriptor. A
//   second exception, at that await, ends it: the producers are then left to end by themselves. Dropping the generator
//   stops them and waits for nothing. aclose() on a generator that never began does nothing, as PEP 525 has it: its
//   producers are stopped when it is dropped.
//
// Processes
//   After fork() the child has the generator and no producers' threads: there it may be destroyed, and iterating it
//   throws forked_channel.
#ifndef AGEN_CHANNEL_HPP
#define AGEN_CHANNEL_HPP

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <vector>
#include <version>
#ifdef __cpp_lib_jthread
#include <stop_token>
#endif

#include "async_generator.hpp"
#include "detail/cancellation.hpp"
#include "detail/process.hpp"
#include "detail/wakeup.hpp"
#include "push_result.hpp"

namespace agen {

/// A generator over a channel was iterated in a process forked after the channel was made.
class forked_channel : public generator_error {
 public:
  using generator_error::generator_error;
};

template <class T>
class channel;

namespace detail {

/// What the two ends share. Every member but the constants is guarded by the mutex.
template <class T>
class channel_state {
 public:
  explicit channel_state(std::size_t capacity) : capacity_(capacity) {
    if (capacity == 0) AGEN_THROW(std::invalid_argument("agen::channel: the capacity has to be at least 1"));
  }

  // The producers' side.

  /// Appends an item, with `waits` false only if the channel is not full. `value` is untouched unless it is appended,
  /// and also if making the item throws.
  template <class Value>
  auto push(Value&& value, bool waits) -> push_result {
    std::shared_ptr<bell> rung;
    {
      std::unique_lock lock(mutex_);
      if (!over() && items_.size() >= capacity_) {
        if (!waits) return push_result::full;
        ++blocked_;
        changed_.wait(lock, [this] { return over() || items_.size() < capacity_; });
        --blocked_;
      }
      if (over()) return push_result::unwanted;
      items_.emplace_back(static_cast<Value&&>(value));
      if (!std::exchange(waiting_, false)) return push_result::pushed;
      rung = bell_;
    }
    rung->ring();  // outside the lock, which the woken consumer wants
    return push_result::pushed;
  }
  void close(std::exception_ptr error) noexcept {
    change([&] {
      if (!over()) error_ = std::move(error);
      return closed_ = true;
    });
  }
  /// Gives the new producer's number.
  auto join() noexcept -> std::uint64_t {
    std::lock_guard const lock(mutex_);
    ++producers_;
    return ++numbers_;
  }
  void leave(std::uint64_t number) noexcept {
    if (forked()) return;
    drop_call(number);
    change([&] {
      if (--producers_ != 0) return false;
      if (consumed_) closed_ = true;
      return true;
    });
  }
  /// True: `call` is called once, when there is space or the channel is over. False: that is so already.
  auto when_space(std::uint64_t number, std::function<void()> call) -> bool {
    std::lock_guard const lock(mutex_);
    if (over() || items_.size() < capacity_) return false;
    for (auto& each : calls_) {
      if (each.number == number) {
        each.call.swap(call);  // the former is destroyed after the lock is released
        return true;
      }
    }
    calls_.push_back({number, false, std::move(call)});
    return true;
  }
  [[nodiscard]] auto stopped() const noexcept -> bool { return stopped_.load(std::memory_order_acquire); }
#ifdef __cpp_lib_jthread
  [[nodiscard]] auto stop_token() const noexcept -> std::stop_token { return stop_.get_token(); }
#endif

  // The consumer's side.

  /// From now on the channel closes when its last producer is gone.
  void consume() noexcept {
    std::lock_guard const lock(mutex_);
    consumed_ = true;
    if (producers_ == 0) closed_ = true;
  }
  /// Moves all items into `batch`, which is empty. False if there are none and will be none.
  auto take(std::deque<T>& batch) -> bool {
    if (forked()) {
      AGEN_THROW(
          forked_channel("anext(): this generator's channel belongs to the process that this one was forked from"));
    }
    bool wake = false;
    bool call = false;
    {
      std::lock_guard const lock(mutex_);
      if (items_.empty()) return !closed_;
      batch.swap(items_);
      wake = blocked_ != 0;
      call = !calls_.empty();
    }
    if (wake) changed_.notify_all();
    if (call) call_back();
    return true;
  }
  /// True: the next change rings `heard`. False: take() has an answer at once.
  auto waits_for_items(std::shared_ptr<bell> const& heard) noexcept -> bool {
    std::lock_guard const lock(mutex_);
    return waits(items_.empty() && !closed_, heard);
  }
  /// The same for producers_gone().
  auto waits_for_end(std::shared_ptr<bell> const& heard) noexcept -> bool {
    std::lock_guard const lock(mutex_);
    return waits(producers_ != 0, heard);
  }
  /// Whether the last producer is gone.
  auto producers_gone() noexcept -> bool {
    if (forked()) return true;
    std::lock_guard const lock(mutex_);
    return producers_ == 0;
  }
  /// Tells the producers that no more items are wanted. Never waits for them.
  void stop() noexcept {
    if (forked()) return;  // the lock may be held by a thread that this process does not have
    std::deque<T> unwanted;
    {
      std::lock_guard const lock(mutex_);
      stopped_.store(true, std::memory_order_release);
      waiting_ = false;
      unwanted.swap(items_);
    }
    changed_.notify_all();
    call_back();
#ifdef __cpp_lib_jthread
    stop_.request_stop();
#endif
  }
  [[nodiscard]] auto error() noexcept -> std::exception_ptr {
    std::lock_guard const lock(mutex_);
    return std::exchange(error_, nullptr);
  }

 private:
  [[nodiscard]] auto over() const noexcept -> bool { return closed_ || stopped_.load(std::memory_order_relaxed); }
  [[nodiscard]] auto forked() const noexcept -> bool { return process::id() != process_; }

  auto waits(bool nothing_yet, std::shared_ptr<bell> const& heard) noexcept -> bool {
    waiting_ = nothing_yet;
    if (nothing_yet) bell_ = heard;
    return nothing_yet;
  }

  /// A change that `make` makes under the lock; true: the consumer has to see it.
  template <class Change>
  void change(Change make) noexcept {
    if (forked()) return;
    std::shared_ptr<bell> rung;
    bool closed = false;
    {
      std::lock_guard const lock(mutex_);
      if (make() && std::exchange(waiting_, false)) rung = bell_;
      closed = closed_;
    }
    if (closed) {
      changed_.notify_all();
      call_back();
    }
    if (rung) rung->ring();
  }

  /// Calls what when_space() has kept until now, one after the other, without the lock.
  void call_back() noexcept {
    std::unique_lock lock(mutex_);
    for (auto& each : calls_) each.due = true;
    if (caller_ != nullptr) return;  // that thread, which may be this one, calls these, too
    while (!calls_.empty() && calls_.front().due) {
      auto call = std::move(calls_.front().call);
      called_ = calls_.front().number;
      calls_.erase(calls_.begin());  // what is kept meanwhile comes at the end, and is not due
      caller_ = this_thread();
      lock.unlock();
      if (call) call();
      call = nullptr;  // what it kept may be a producer of this channel
      lock.lock();
      caller_ = nullptr;
      called_ = 0;
      changed_.notify_all();
    }
  }
  /// Afterwards the call of this producer is not under way on another thread, and never begins.
  void drop_call(std::uint64_t number) noexcept {
    std::function<void()> dropped;  // destroyed after the lock is released
    std::unique_lock lock(mutex_);
    for (auto each = calls_.begin(); each != calls_.end(); ++each) {
      if (each->number != number) continue;
      dropped = std::move(each->call);
      calls_.erase(each);
      break;
    }
    if (called_ == number && caller_ != this_thread()) changed_.wait(lock, [&] { return called_ != number; });
    lock.unlock();
  }

  struct space_call {
    std::uint64_t number;  ///< the producer's
    bool due;
    std::function<void()> call;
  };

  std::size_t const capacity_;
  process::id_type const process_ = process::id();
  std::mutex mutex_;
  std::condition_variable changed_;  ///< what producers blocked in push() wait for
  std::deque<T> items_;              ///< a deque, because emplace_back leaves it unchanged if making the item throws
  std::size_t producers_ = 0;
  std::size_t blocked_ = 0;        ///< producers in push() that wait for space
  std::uint64_t numbers_ = 0;      ///< given to producers
  std::vector<space_call> calls_;  ///< those that are due come first
  std::uint64_t called_ = 0;       ///< the producer whose call is under way
  void const* caller_ = nullptr;   ///< the thread that makes it
  bool consumed_ = false;
  bool closed_ = false;                ///< no item will come
  bool waiting_ = false;               ///< the consumer waits, and was not woken yet
  std::shared_ptr<bell> bell_;         ///< the bell that wakes the waiting consumer
  std::atomic<bool> stopped_ = false;  ///< no item is wanted; read without the lock, too
  std::exception_ptr error_;
#ifdef __cpp_lib_jthread
  std::stop_source stop_;
#endif
};

/// What a function returns, or nothing if it throws.
template <class Made>
class attempt {
 public:
  template <class Make>
  explicit attempt(Make make) noexcept {
    struct result {
      Make& make;
      operator Made() const { return make(); }  // NOLINT(google-explicit-constructor): made in place, never moved
    };
    AGEN_TRY { made_.emplace(result{make}); }
    AGEN_CATCH(...) { (void)current_error(); }  // that there is one is the answer
  }
  explicit operator bool() const noexcept { return made_.has_value(); }
  auto operator*() noexcept -> Made& { return *made_; }

 private:
  std::optional<Made> made_;
};
template <class Make>
attempt(Make) -> attempt<std::invoke_result_t<Make&>>;

template <class T, class Waits>
auto channel_items(channel<T> from, Waits waits) -> async_generator<T>;
template <class T, class Waits>
auto channel_batches(channel<T> from, Waits waits, std::size_t most) -> async_generator<std::vector<T>>;
/// What the ends of a channel share, for consumers that are no generators.
struct channel_access {
  template <class T>
  static auto state(channel<T> const& of) noexcept -> channel_state<T>& {
    return *of.state_;
  }
};

}  // namespace detail

/// A right to push into a channel. Copies are rights of their own; the channel closes when the last one is gone, so
/// each thread that produces keeps one as long as it runs. Its members may be called from any thread, also at the same
/// time; none of them throws but where it says so. A moved-from producer may be assigned to or destroyed.
template <class T>
class producer {
 public:
  producer(producer const& other) noexcept : state_(other.state_) {
    if (state_) number_ = state_->join();
  }
  producer(producer&&) noexcept = default;
  auto operator=(producer other) noexcept -> producer& {
    state_.swap(other.state_);
    std::swap(number_, other.number_);
    return *this;
  }
  ~producer() {
    if (state_) state_->leave(number_);
  }

  /// Appends an item, made of `value`, waiting for space while the channel is full. False if it is closed or stopped:
  /// `value` is then untouched. Throws what making the item throws; nothing has happened then.
  ///
  /// It blocks: never call it on the thread that iterates, nor with a lock that the iterating thread needs (the GIL).
  template <class Value = T>
  auto push(Value&& value) const -> bool {
    return state_->push(static_cast<Value&&>(value), true);
  }
  /// The same, but false at once where push() would wait. What it returns tells a full channel from one that takes no
  /// item any more.
  template <class Value = T>
  [[nodiscard]] auto try_push(Value&& value) const -> push_result {
    return state_->push(static_cast<Value&&>(value), false);
  }
  /// For a producer that may not block, after try_push() has said that the channel is full. True: `callback()` will be
  /// called once, when there is space again, or when the channel is closed or stopped; then ask try_push() again.
  /// False: that is so already, and it will not be called.
  ///
  /// It is called on the thread that iterates, closes or drops the generator, or closes the channel, and may call any
  /// member of a producer but push(). It must neither block nor throw. A later call of when_space() replaces it. This
  /// producer's destructor drops it, and waits for it if another thread is in the middle of it. Throws std::bad_alloc.
  [[nodiscard]] auto when_space(std::function<void()> callback) const -> bool {
    return state_->when_space(number_, std::move(callback));
  }
  /// There will be no more items, by any producer. The generator gives those that are there and ends.
  void close() const noexcept { state_->close(nullptr); }
  /// The same, but the generator then throws `error`; without an argument, what the catch block around has caught.
  /// Nothing if the channel is closed or stopped already.
  void fail(std::exception_ptr error = std::current_exception()) const noexcept { state_->close(std::move(error)); }
  /// No more items are wanted: the generator has ended, is being closed, or was dropped. For producers that work for
  /// long between two pushes.
  [[nodiscard]] auto stop_requested() const noexcept -> bool { return state_->stopped(); }
#ifdef __cpp_lib_jthread
  /// The same as a token, for std::stop_callback: the callback runs on the thread that closes or drops the generator,
  /// and must neither block nor throw. For engines that have to be told to stop while they are busy.
  [[nodiscard]] auto stop_token() const noexcept -> std::stop_token { return state_->stop_token(); }
#endif

 private:
  template <class>
  friend class channel;
  explicit producer(std::shared_ptr<detail::channel_state<T>> state) noexcept
      : state_(std::move(state)), number_(state_->join()) {}

  std::shared_ptr<detail::channel_state<T>> state_;
  std::uint64_t number_ = 0;  ///< by which the channel knows the callback
};

/// The receiving end of a channel: first it makes producers, then it becomes a generator. Move-only. Destroying it
/// stops the producers.
template <class T>
class channel {
 public:
  /// At most `capacity` items wait. Throws std::invalid_argument if that is 0.
  explicit channel(std::size_t capacity) : state_(std::make_shared<detail::channel_state<T>>(capacity)) {}
  channel(channel&&) noexcept = default;
  auto operator=(channel other) noexcept -> channel& {
    state_.swap(other.state_);
    return *this;
  }
  ~channel() {
    if (state_) state_->stop();
  }

  /// A new right to push. Make those that you need before items(); copy them later.
  [[nodiscard]] auto producer() const noexcept -> agen::producer<T> { return agen::producer<T>(state_); }

  /// The generator of what the producers push. `wait(fd)` gives an awaitable that completes when the file descriptor is
  /// readable, or earlier; what it throws leaves the generator, after the producers are gone. Without an argument the
  /// thread blocks. Throws std::system_error if the process has no file descriptor left.
  template <class Wait = blocking_wait>
  auto items(Wait wait = Wait()) && -> async_generator<T> {
    return detail::channel_items(std::move(*this), detail::waits_by_descriptor<Wait>(std::move(wait)));
  }
  /// The same in batches: what is there, up to `most` items, at least one. Throws std::invalid_argument if that is 0.
  template <class Wait = blocking_wait>
  auto batches(std::size_t most, Wait wait = Wait()) && -> async_generator<std::vector<T>> {
    return detail::channel_batches(std::move(*this), detail::waits_by_descriptor<Wait>(std::move(wait)), most);
  }

 private:
  template <class Item, class Waits>
  friend auto detail::channel_items(channel<Item> from, Waits waits) -> async_generator<Item>;
  template <class Item, class Waits>
  friend auto detail::channel_batches(channel<Item> from, Waits waits, std::size_t most)
      -> async_generator<std::vector<Item>>;
  friend detail::channel_access;

  /// Up to `most` items, which are moved out of `from`.
  static auto first_of(std::deque<T>& from, std::size_t most) -> std::vector<T> {
    auto const end = from.begin() + static_cast<std::ptrdiff_t>(std::min(most, from.size()));
    std::vector<T> batch(std::make_move_iterator(from.begin()), std::make_move_iterator(end));
    from.erase(from.begin(), end);
    return batch;
  }

  template <bool InBatches, class Waits>
  static auto iterate(channel from, Waits how, std::size_t most)
      -> async_generator<std::conditional_t<InBatches, std::vector<T>, T>> {
    // Locals end with the body, parameters with the generator.
    channel const self = std::move(from);
    Waits wait = std::move(how);
    auto& state = *self.state_;
    std::exception_ptr error;
    AGEN_TRY {
      std::deque<T> batch;
      while (state.take(batch)) {
        if (batch.empty() && wait.begin([&](auto const& heard) { return state.waits_for_items(heard); })) {
          co_await wait();
          wait.woken();
        }
        if constexpr (InBatches) {
          while (!batch.empty()) co_yield first_of(batch, most);
        } else {
          for (; !batch.empty(); batch.pop_front()) co_yield batch.front();
        }
      }
      error = state.error();
      state.stop();
    }
    AGEN_CATCH(...) { error = detail::current_error(); }
    if (!state.stopped()) {
      state.stop();
      while (!state.producers_gone() && !wait.gives_up()) {
        // Where waiting is impossible, as when a generator is closed after its event loop, the producers are left
        // alone.
        detail::attempt begun(
            [&] { return wait.begin([&](auto const& heard) { return state.waits_for_end(heard); }); });
        if (!begun) break;
        if (!*begun) continue;
        detail::attempt awaited([&] { return wait.for_end(); });
        if (!awaited) break;
        co_await std::move(*awaited);
        wait.woken();
      }
    }
    if (error) std::rethrow_exception(std::move(error));
  }

  std::shared_ptr<detail::channel_state<T>> state_;
};

/// channel::items() with one of the classes above; it is moved until the generator begins.
template <class T, class Waits>
auto detail::channel_items(channel<T> from, Waits waits) -> async_generator<T> {
  from.state_->consume();
  return channel<T>::template iterate<false>(std::move(from), std::move(waits), 1);
}
/// The same for channel::batches().
template <class T, class Waits>
auto detail::channel_batches(channel<T> from, Waits waits, std::size_t most) -> async_generator<std::vector<T>> {
  if (most == 0) AGEN_THROW(std::invalid_argument("agen::channel: a batch has at least 1 item"));
  from.state_->consume();
  return channel<T>::template iterate<true>(std::move(from), std::move(waits), most);
}

}  // namespace agen

#endif  // AGEN_CHANNEL_HPP
