// One source for any number of readers, each of which gets all items from when it was made.
//
//     agen::streams::broadcast ticks(source(), 64, agen::streams::slow::drop);
//     auto one = ticks.reader();
//     auto other = ticks.reader();
//
// A reader that needs an item asks the source for all of them. The items are shared: a reader gets a const reference,
// which holds until its next operation, and the item is destroyed when the last reader has gone on.
//
// Closing
//   When the last reader is closed, or has ended, the source is closed, its cleanup awaited. So it is by
//   broadcast::aclose(); readers then get the items that are kept for them, and end. A reader that is dropped keeps
//   nobody waiting; the source is dropped with the last reader and the broadcast. Sources given as lvalues, and errors,
//   are as with every stream: see streams.hpp.
//
// Threads
//   Readers may be used on threads of their own, and so may the source. reader() and aclose() may be called on any.
#ifndef AGEN_BROADCAST_HPP
#define AGEN_BROADCAST_HPP

#include "detail/compiler.hpp"  // first: see there

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <utility>

#include "detail/as_source.hpp"
#include "detail/node_pool.hpp"
#include "detail/puller.hpp"
#include "detail/source_group.hpp"

namespace agen {

/// A reader has fallen behind the others by more items than a streams::broadcast keeps for it.
class slow_reader : public generator_error {
 public:
  using generator_error::generator_error;
};

namespace streams {
/// What happens when a reader of a broadcast falls behind by more items than are kept for it.
enum class slow : unsigned char {
  wait,   ///< the others wait for it
  drop,   ///< it loses the oldest items
  error,  ///< it gets those that are kept, and then slow_reader
};
}  // namespace streams

namespace detail {

/// What one reader has still to read. Guarded by the lock of what all share.
template <class Value>
struct place {
  node<Value>* next = nullptr;  ///< if there are any
  std::size_t count = 0;
  bool lagged = false;
  place* before = nullptr;
  place* after = nullptr;
};

/// What all readers share. An item is in one list, with the number of those who have still to read it; each reader
/// knows where in the list it is.
template <class Value>
class broadcasting : public puller {
 public:
  broadcasting(bool owned, std::size_t n, streams::slow then) : puller(owned), most_(n), then_(then), pool_(n) {
    if (n == 0) AGEN_THROW(std::invalid_argument("broadcast that keeps 0 items: at least 1 is needed"));
  }

  void join(place<Value>& one) noexcept {
    locked const guard(this->lock_);
    one.after = first_;
    if (first_ != nullptr) first_->before = &one;
    first_ = &one;
  }
  /// Whether it was the last.
  auto leave(place<Value>& one) noexcept -> bool {
    node_list<Value> unread;
    bool last = false;
    {
      locked const guard(this->lock_);
      (one.before != nullptr ? one.before->after : first_) = one.after;
      if (one.after != nullptr) one.after->before = one.before;
      while (one.count != 0) forget_oldest(one, unread);
      last = first_ == nullptr;
    }
    recycle(unread);
    this->wake();  // it kept others waiting, maybe
    return last;
  }
  /// The next item for a reader, which asks the source if there is none; null if it has to wait, or there will be none.
  auto next(place<Value>& of) noexcept -> node<Value>* {
    if (auto* const one = take(of)) return one;
    if (!has_lagged(of)) this->pull();
    return take(of);
  }
  /// The reader has gone on.
  void was_read(node<Value>& one) noexcept {
    node_list<Value> unread;
    {
      locked const guard(this->lock_);
      forget(one, unread);
    }
    recycle(unread);
  }
  /// After next() has given nothing: whether there will be nothing. Throws slow_reader, and what the source has raised.
  auto ended(place<Value>& of) -> bool {
    std::exception_ptr error;
    {
      locked const guard(this->lock_);
      if (of.count != 0) return false;
      if (of.lagged) AGEN_THROW(slow_reader("broadcast: this reader is more items behind than are kept for it"));
      if (!this->over()) return false;
      error = this->error_;
      given_ = true;
    }
    if (error != nullptr) std::rethrow_exception(std::move(error));
    return true;
  }
  auto news(place<Value>& of) noexcept {
    return this->wait([this, &of] { return of.count != 0 || of.lagged || this->over() || this->may_ask(); });
  }
  /// After close(): what the source has raised, unless a reader got it.
  auto take_error() noexcept -> std::exception_ptr {
    locked const guard(this->lock_);
    return std::exchange(given_, true) ? nullptr : this->error_;
  }

 protected:
  template <class Item>
  void keep(Item&& item) {
    auto made = pool_.make(static_cast<Item&&>(item));
    node_list<Value> unread;
    {
      locked const guard(this->lock_);
      made->next = nullptr;
      made->readers = 0;
      for (place<Value>* one = first_; one != nullptr; one = one->after) give(*one, *made, unread);
      if (made->readers != 0) {
        if (newest_ != nullptr) newest_->next = made.get();
        newest_ = made.release();
      }
    }
    recycle(unread);
  }

 private:
  void give(place<Value>& to, node<Value>& item, node_list<Value>& unread) noexcept {
    if (to.count >= most_ && then_ == streams::slow::error) to.lagged = true;
    if (to.lagged) return;
    if (to.count >= most_) forget_oldest(to, unread);
    if (to.count++ == 0) to.next = &item;
    ++item.readers;
  }
  void forget_oldest(place<Value>& of, node_list<Value>& unread) noexcept {
    node<Value>& oldest = *of.next;
    of.next = oldest.next;
    --of.count;
    forget(oldest, unread);
  }
  void forget(node<Value>& one, node_list<Value>& unread) noexcept {
    if (--one.readers != 0) return;
    if (newest_ == &one) newest_ = nullptr;
    unread.append(one);
  }
  /// Outside of the lock.
  void recycle(node_list<Value>& unread) noexcept {
    while (auto* const one = unread.take()) pool_.recycle(*one);
  }
  auto take(place<Value>& of) noexcept -> node<Value>* {
    node<Value>* one = nullptr;
    bool was_full = false;
    {
      locked const guard(this->lock_);
      if (of.count == 0) return nullptr;
      was_full = of.count == most_;
      one = of.next;
      of.next = one->next;
      --of.count;
    }
    if (was_full && then_ == streams::slow::wait) this->wake();  // others may have waited for this one
    return one;
  }
  auto has_lagged(place<Value>& of) noexcept -> bool {
    locked const guard(this->lock_);
    return of.lagged;
  }
  [[nodiscard]] auto wants() const noexcept -> bool override {
    if (then_ != streams::slow::wait) return true;
    for (place<Value> const* one = first_; one != nullptr; one = one->after) {
      if (one->count >= most_) return false;
    }
    return true;
  }
  [[nodiscard]] auto goes_on() const noexcept -> bool override { return false; }

  std::size_t const most_;
  streams::slow const then_;
  node_pool<Value> pool_;
  place<Value>* first_ = nullptr;
  node<Value>* newest_ = nullptr;  ///< unless all have read it
  bool given_ = false;             ///< the end, to a reader
};

/// A right to read, which a reader has from when it is made.
template <class Value>
class reading {
 public:
  explicit reading(std::shared_ptr<broadcasting<Value>> shared)
      : shared_(std::move(shared)), place_(std::make_unique<place<Value>>()) {
    shared_->join(*place_);
  }
  reading(reading&&) noexcept = default;
  auto operator=(reading&&) -> reading& = delete;
  ~reading() {
    if (place_ != nullptr) leave();
  }
  /// Whether it was the last.
  auto leave() noexcept -> bool {
    auto const left = std::move(place_);
    return shared_->leave(*left);
  }
  [[nodiscard]] auto shared() const noexcept -> broadcasting<Value>& { return *shared_; }
  [[nodiscard]] auto here() const noexcept -> place<Value>& { return *place_; }

 private:
  std::shared_ptr<broadcasting<Value>> shared_;
  std::unique_ptr<place<Value>> place_;
};

/// An item that a reader's consumer looks at.
template <class Value>
class shown {
 public:
  shown(broadcasting<Value>& by, node<Value>* one) noexcept : by_(&by), one_(one) {}
  shown(shown const&) = delete;
  auto operator=(shown const&) -> shown& = delete;
  ~shown() {
    if (one_ != nullptr) by_->was_read(*one_);
  }
  explicit operator bool() const noexcept { return one_ != nullptr; }
  auto operator*() const noexcept -> Value const& { return one_->value; }

 private:
  broadcasting<Value>* by_;
  node<Value>* one_;
};

template <class Value>
auto read_shared(reading<Value> from) -> async_generator<Value const&> {
  reading<Value> self = std::move(from);  // locals end with the body, parameters with the generator
  auto& shared = self.shared();
  failures failed;
  failed.expect(3);
  auto closing = shared.close();
  AGEN_TRY {
    frame& body = co_await this_frame();
    for (;;) {
      check_stop(body);
      if (shown<Value> const item(shared, shared.next(self.here())); item) {
        co_yield *item;
      } else if (shared.ended(self.here())) {
        break;
      } else {
        co_await shared.news(self.here());
      }
    }
  }
  AGEN_CATCH(...) { failed.failed(); }
  if (self.leave()) {
    AGEN_TRY { co_await std::move(closing); }
    AGEN_CATCH(...) { failed.failed(); }
    if (auto error = shared.take_error()) failed.add(std::move(error));
  }
  failed.raise();
}

template <class Value>
auto close_shared(std::shared_ptr<broadcasting<Value>> shared) -> task<> {
  failures failed;
  failed.expect(2);
  AGEN_TRY { co_await shared->close(); }
  AGEN_CATCH(...) { failed.failed(); }
  if (auto error = shared->take_error()) failed.add(std::move(error));
  failed.raise();
}

template <class Value, class Source>
auto shared_source(Source&& source, std::size_t n, streams::slow then) -> std::shared_ptr<broadcasting<Value>> {
  using yield = streamed<Source>;
  return std::make_shared<pulls<broadcasting<Value>, source_as<yield, Source>>>(
      as_source<yield>(static_cast<Source&&>(source)), n, then);
}

}  // namespace detail

namespace streams {

/// A source for any number of readers.
///
/// \tparam Value  the item: a copy of what the source gives, made once (moved if it cannot be copied, or if the source
///                gives rvalues)
template <class Value>
class broadcast {
 public:
  /// Throws std::invalid_argument if `n` is 0.
  ///
  /// \param source  any async iterable
  /// \param n       how many items are kept for a reader that others are ahead of
  /// \param then    what happens when there are more
  template <async_iterable Source>
    requires(!std::is_same_v<std::remove_cvref_t<Source>, broadcast>)
  explicit broadcast(Source&& source, std::size_t n = 64, slow then = slow::wait)
      : shared_(detail::shared_source<Value>(static_cast<Source&&>(source), n, then)) {}

  /// A generator of all items that come from now on. It raises what the source raises. Each call makes another reader.
  auto reader() -> async_generator<Value const&> { return detail::read_shared(detail::reading<Value>(shared_)); }
  /// Awaitable: closes the source, and waits for that. Raises what the source raises.
  auto aclose() -> task<> { return detail::close_shared(shared_); }

 private:
  std::shared_ptr<detail::broadcasting<Value>> shared_;
};
/// \cond  a function of that name, to Doxygen
template <async_iterable Source>
broadcast(Source&&, std::size_t = 64, slow = slow::wait) -> broadcast<detail::value_of<Source>>;
/// \endcond

}  // namespace streams
}  // namespace agen

#endif  // AGEN_BROADCAST_HPP
