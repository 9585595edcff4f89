// streams::prefetch(): a source that works while its consumer does.
#ifndef AGEN_DETAIL_PREFETCHED_HPP
#define AGEN_DETAIL_PREFETCHED_HPP

#include "compiler.hpp"  // first: see there

#include <stdexcept>
#include <utility>
#include <vector>

#include "node_pool.hpp"
#include "puller.hpp"
#include "source_group.hpp"

namespace agen::detail {

/// For prefetch() without a function that takes what is left over.
struct drops_left_over {
  template <class Value>
  void operator()(std::vector<Value> const& /*values*/) const noexcept {}
};

/// The items that were fetched and not taken.
template <class Value>
class items_ahead : public puller {
 public:
  using value_type = Value;

  items_ahead(bool owned, std::size_t n) : puller(owned), most_(n), pool_(n < most_places ? n + 1 : n) {
    if (n == 0) AGEN_THROW(std::invalid_argument("prefetch of 0 items: at least 1 has to be allowed"));
  }
  ~items_ahead() override {
    while (auto* const one = items_.take()) pool_.recycle(*one);
  }

  /// The next item, or none. The source may go on, but not for one item.
  auto next() noexcept -> typename node_pool<Value>::pointer {
    node<Value>* one = nullptr;
    bool fetches = false;
    {
      locked const guard(this->lock_);
      one = items_.take();
      fetches = items_.size() <= most_ / 2;
    }
    if (fetches) this->pull();
    return pool_.hold(one);
  }
  /// After next() has given nothing: whether nothing will come.
  auto ended() noexcept -> bool {
    locked const guard(this->lock_);
    return this->over_ && items_.size() == 0;
  }
  auto news() noexcept {
    return this->wait([this] { return this->over() || items_.size() != 0; });
  }
  /// At the end: what nobody has taken.
  void take_left_over(std::vector<Value>& into) {
    for (;;) {
      node<Value>* one = nullptr;
      {
        locked const guard(this->lock_);
        one = items_.take();
      }
      if (one == nullptr) return;
      auto const place = pool_.hold(one);
      into.push_back(std::move(place->value));
    }
  }
  auto take_error() noexcept -> std::exception_ptr {
    locked const guard(this->lock_);
    return std::exchange(this->error_, nullptr);
  }

 protected:
  template <class Item>
  void keep(Item&& item) {
    auto place = pool_.make(static_cast<Item&&>(item));
    locked const guard(this->lock_);
    items_.append(*place.release());
  }

 private:
  static constexpr std::size_t most_places = static_cast<std::size_t>(-1);

  [[nodiscard]] auto wants() const noexcept -> bool override { return items_.size() < most_; }
  [[nodiscard]] auto goes_on() const noexcept -> bool override { return items_.size() < most_; }

  std::size_t const most_;
  node_pool<Value> pool_;
  node_list<Value> items_;
};

/// Ends the asking with the stream's body, however that ends.
template <class Ahead>
class stops_asking {
 public:
  explicit stops_asking(Ahead& ahead) noexcept : ahead_(&ahead) {}
  stops_asking(stops_asking const&) = delete;
  auto operator=(stops_asking const&) -> stops_asking& = delete;
  ~stops_asking() { ahead_->abandon(); }

 private:
  Ahead* ahead_;
};

template <class Ahead, class LeftOver>
auto prefetched(std::shared_ptr<Ahead> from, std::size_t n, LeftOver left_over)
    -> async_generator<typename Ahead::value_type> {
  constexpr bool accounts = !std::is_same_v<LeftOver, drops_left_over>;
  std::shared_ptr<Ahead> const ahead = std::move(from);
  stops_asking<Ahead> const guard(*ahead);
  failures failed;
  failed.expect(4);
  std::vector<typename Ahead::value_type> left;
  if constexpr (accounts) left.reserve(n);  // nothing may be lost later for want of memory
  auto closing = ahead->close();
  AGEN_TRY {
    frame& body = co_await this_frame();
    ahead->pull();
    for (;;) {
      check_stop(body);
      if (auto const item = ahead->next()) {
        co_yield item->value;
      } else if (ahead->ended()) {
        break;
      } else {
        co_await ahead->news();
      }
    }
  }
  AGEN_CATCH(...) { failed.failed(); }
  AGEN_TRY { co_await std::move(closing); }
  AGEN_CATCH(...) { failed.failed(); }
  if (auto error = ahead->take_error()) failed.add(std::move(error));
  if constexpr (accounts) {
    AGEN_TRY {
      ahead->take_left_over(left);
      if (!left.empty()) left_over(std::move(left));
    }
    AGEN_CATCH(...) { failed.failed(); }
  }
  failed.raise();
}

}  // namespace agen::detail

#endif  // AGEN_DETAIL_PREFETCHED_HPP
