// Ways to write a loop over a generator besides `while (auto item = co_await gen.anext())`: for_each, iterators, and a
// macro that reads as `for co_await`.
#ifndef AGEN_LOOPS_HPP
#define AGEN_LOOPS_HPP

#include <optional>

#include "closing.hpp"

namespace agen {

namespace detail {

template <class Source, class Function>
auto for_each_item(Source& source, Function& function) -> task<> {
  while (auto item = co_await source.anext()) {
    using raw = std::invoke_result_t<Function&, decltype(*item)>;
    if constexpr (natively_awaitable<raw>) {
      if constexpr (std::is_same_v<await_result<raw>, bool>) {
        if (!co_await function(*item)) co_return;
      } else {
        co_await function(*item);
      }
    } else if constexpr (std::is_same_v<raw, bool>) {
      if (!function(*item)) co_return;
    } else {
      function(*item);
    }
  }
}

template <class Source, class Function>
auto for_each_closing(Source source, Function function) -> task<> {
  if constexpr (!std::is_reference_v<Source> && requires { source.aclose(); }) {
    std::exception_ptr error;  // as aclosing(), with a coroutine less
    AGEN_TRY { co_await for_each_item(source, function); }
    AGEN_CATCH(...) { error = current_error(); }
    co_await source.aclose();
    if (error) std::rethrow_exception(std::move(error));
  } else {
    co_await for_each_item(source, function);
  }
}

}  // namespace detail

/// `co_await for_each(source, f)`: calls `f(item)` for each item, and awaits what it returns if that is awaitable. An f
/// that gives `bool` stops the loop by false. A source given as an rvalue is closed in every case, an lvalue only
/// iterated. Throws what the source and f throw.
template <class Source, class Function>
auto for_each(Source&& source, Function function) -> task<> {
  static_assert(async_iterable<Source>, "for_each(source, f): source needs an awaitable anext()");
  if constexpr (async_iterable<Source>) {
    constexpr bool fits = std::is_invocable_v<Function&, async_reference_t<Source>>;
    static_assert(
        fits,
        "for_each(source, f): f cannot be called with an item of source; let it take what *item gives, or auto&&");
    if constexpr (fits)
      return detail::for_each_closing<Source, Function>(static_cast<Source&&>(source), std::move(function));
  }
  return {};
}

namespace detail {
template <class T>
inline constexpr bool is_item = false;
template <class Yield, class Return>
inline constexpr bool is_item<item<Yield, Return>> = true;
}  // namespace detail

/// Compares equal to an async_iterator at its end.
struct async_sentinel {};

/// `for (auto it = co_await agen::begin(gen); it != agen::end(gen); co_await ++it) use(*it);`
template <async_iterable Source>
class async_iterator {
  using operation = decltype(std::declval<Source&>().anext());
  using answer = std::remove_cvref_t<detail::await_result<operation>>;
  static constexpr bool has_end = detail::is_item<answer>;  ///< a default-constructed answer is an end

  /// anext(), whose answer goes into an iterator. If anext() throws, the iterator is at its end.
  struct stepping : detail::adapted_awaiter<operation> {
    using base = detail::adapted_awaiter<operation>;
    async_iterator* self;

    auto await_ready() -> bool {
      return or_end([this] { return base::await_ready(); });
    }
    template <class Promise>
    auto await_suspend(std::coroutine_handle<Promise> h) {
      return or_end([this, h] { return base::await_suspend(h); });
    }
    auto await_resume() -> async_iterator& {
      or_end([this] { self->current_.emplace(this->inner.await_resume()); });
      return *self;
    }
    template <class Step>
    auto or_end(Step step) {
      AGEN_TRY { return step(); }
      AGEN_CATCH(...) {
        self->to_end();
        AGEN_RETHROW;
      }
    }
  };
  struct beginning : detail::adapted_awaiter<operation> {
    Source* source;
    auto await_resume() -> async_iterator { return async_iterator(*source, this->inner.await_resume()); }

    // For `for (auto& item : gen)`, which cannot await.
    template <class End>
    friend auto operator!=(beginning const& /*it*/, End /*end*/) -> bool {
      static_assert(std::is_void_v<End>,
                    "an async generator cannot be iterated by a range-based for: write while (auto item = co_await "
                    "gen.anext()), or AGEN_FOR_CO_AWAIT");
      return false;
    }
    auto operator++() -> beginning&;
    auto operator*() -> detail::whatever;
  };

 public:
  /// An iterator at `first`, the item or end that the last operation on `source` gave.
  async_iterator(Source& source, answer first) : source_(&source) { current_.emplace(std::move(first)); }

  /// Awaitable: see begin().
  static auto at_first(Source& source) { return beginning{{source.anext()}, &source}; }

  /// The item. Only before the end.
  auto operator*() const -> decltype(auto) { return **current_; }
  /// Awaitable: goes to the next item; gives the iterator, which must stay where it is meanwhile. If it throws, the
  /// iterator is at its end.
  auto operator++() { return stepping{{source_->anext()}, this}; }
  /// Whether the iterator is at its end.
  friend auto operator==(async_iterator const& it, async_sentinel /*end*/) -> bool {
    if constexpr (!has_end) {
      if (!it.current_) return true;
    }
    return !static_cast<bool>(*it.current_);
  }

 private:
  void to_end() {
    current_.reset();
    if constexpr (has_end) current_.emplace();
  }

  Source* source_;
  std::optional<answer> current_;
};

/// Awaitable: an iterator at the first item of `source`, which must outlive it.
template <async_iterable Source>
auto begin(Source& source) {
  return async_iterator<Source>::at_first(source);
}
template <async_iterable Source>
constexpr auto end(Source& /*source*/) noexcept -> async_sentinel {
  return {};
}

}  // namespace agen

/// `AGEN_FOR_CO_AWAIT (auto& item, gen) statement`: `for co_await (auto& item : gen) statement`. break and continue
/// work. A declaration with a comma stands in parentheses: `AGEN_FOR_CO_AWAIT((auto& [key, value]), gen)`. A source
/// made in the macro is dropped after the loop, not closed: use for_each or aclosing where its cleanup awaits.
#define AGEN_FOR_CO_AWAIT(declaration, ...) AGEN_DETAIL_FOR(declaration, __LINE__, (__VA_ARGS__))

// The names contain the line, so that nested loops cause no warning about shadowing.
#define AGEN_DETAIL_FOR(declaration, line, source) \
  AGEN_DETAIL_FOR_NAMED(AGEN_DETAIL_BARE(AGEN_DETAIL_BARE_IF declaration), line, source)
// The declaration without its parentheses. `AGEN_DETAIL_BARE_IF (x)` becomes `AGEN_DETAIL_BARE_IF x`; where there are
// none it stays as it is, and pasting AGEN_DETAIL_NO_ in front removes the rest of it in both cases.
#define AGEN_DETAIL_BARE_IF(...) AGEN_DETAIL_BARE_IF __VA_ARGS__
#define AGEN_DETAIL_BARE(...) AGEN_DETAIL_BARE_PASTED(__VA_ARGS__)
#define AGEN_DETAIL_BARE_PASTED(...) AGEN_DETAIL_NO_##__VA_ARGS__
#define AGEN_DETAIL_NO_AGEN_DETAIL_BARE_IF
#define AGEN_DETAIL_FOR_NAMED(declaration, line, source)                                     \
  if (auto&& agen_source_##line = source; false) {                                           \
  } else                                                                                     \
    while (auto agen_item_##line = co_await agen_source_##line.anext())                      \
      if (declaration = *agen_item_##line; false) { /* NOLINT(bugprone-macro-parentheses) */ \
      } else

#endif  // AGEN_LOOPS_HPP
