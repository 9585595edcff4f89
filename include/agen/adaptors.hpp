// Lazy adaptors over async iterables, with pipe syntax: `source | filter(even) | take(3)`. Each is an async generator.
//
// A source given as an rvalue is kept by the adaptor and closed, its cleanup awaited, when the adaptor ends, raises or
// is closed; so closing the last of a pipe closes all of it, from the last to the first. A source given as an lvalue is
// only iterated. Functions may return awaitables, which are awaited. Items pass by reference wherever an adaptor does
// not make new ones.
#ifndef AGEN_ADAPTORS_HPP
#define AGEN_ADAPTORS_HPP

#include <cstddef>
#include <tuple>
#include <vector>

#include "closing.hpp"

namespace agen {

namespace detail {

/// Closes a source that the adaptor owns; does nothing to one that it refers to.
template <class Source>
auto close_owned(std::remove_reference_t<Source>& source) {
  if constexpr (!std::is_reference_v<Source> && requires { source.aclose(); }) {
    return source.aclose();
  } else {
    return std::suspend_never();
  }
}

/// An adaptor calls its function with each item.
template <class Function, class Item>
constexpr bool takes_items = std::is_invocable_v<Function&, Item>;

template <class Source>
using value_of = std::remove_cvref_t<async_reference_t<Source>>;
template <class Function, class Source>
using mapped = awaited_t<Function&, async_reference_t<Source>>;

template <class Source, class Function>
auto transformed(Source source, Function function) -> async_generator<mapped<Function, Source>> {
  std::exception_ptr error;
  AGEN_TRY {
    while (auto item = co_await source.anext()) {
      if constexpr (natively_awaitable<std::invoke_result_t<Function&, async_reference_t<Source>>>) {
        mapped<Function, Source> result = co_await function(*item);
        co_yield static_cast<mapped<Function, Source>&&>(result);
      } else {
        co_yield function(*item);
      }
    }
  }
  AGEN_CATCH(...) { error = detail::current_error(); }
  co_await close_owned<Source>(source);
  if (error) std::rethrow_exception(std::move(error));
}

template <class Source, class Predicate>
auto filtered(Source source, Predicate predicate, bool ends) -> async_generator<async_reference_t<Source>> {
  using element = async_reference_t<Source>;
  std::exception_ptr error;
  AGEN_TRY {
    while (auto item = co_await source.anext()) {
      element&& value = *item;
      bool wanted = false;
      if constexpr (natively_awaitable<std::invoke_result_t<Predicate&, std::remove_reference_t<element>&>>) {
        wanted = static_cast<bool>(co_await predicate(value));
      } else {
        wanted = static_cast<bool>(predicate(value));
      }
      if (wanted) {
        co_yield static_cast<element&&>(value);
      } else if (ends) {
        break;
      }
    }
  }
  AGEN_CATCH(...) { error = detail::current_error(); }
  co_await close_owned<Source>(source);
  if (error) std::rethrow_exception(std::move(error));
}

template <class Source>
auto taken(Source source, std::size_t n) -> async_generator<async_reference_t<Source>> {
  std::exception_ptr error;
  AGEN_TRY {
    for (; n != 0; --n) {
      auto item = co_await source.anext();
      if (!item) break;
      co_yield *item;
    }
  }
  AGEN_CATCH(...) { error = detail::current_error(); }
  co_await close_owned<Source>(source);
  if (error) std::rethrow_exception(std::move(error));
}

template <class Source>
auto enumerated(Source source, std::size_t index)
    -> async_generator<std::pair<std::size_t, async_reference_t<Source>>> {
  using numbered = std::pair<std::size_t, async_reference_t<Source>>;
  std::exception_ptr error;
  AGEN_TRY {
    while (auto item = co_await source.anext()) {  // g++ 15 and 16 do not compile this as a for with a `++index`
      numbered here(index++, *item);
      co_yield here;
    }
  }
  AGEN_CATCH(...) { error = detail::current_error(); }
  co_await close_owned<Source>(source);
  if (error) std::rethrow_exception(std::move(error));
}

/// How an item goes into a container: an lvalue is copied, because its generator may still use it; what cannot be
/// copied is moved.
template <class Item>
auto kept(Item&& item) noexcept -> decltype(auto) {
  using value = std::remove_cvref_t<Item>;
  if constexpr (std::is_lvalue_reference_v<Item> && !std::is_copy_constructible_v<value> &&
                std::is_constructible_v<value, std::remove_reference_t<Item>&&>) {
    return static_cast<std::remove_reference_t<Item>&&>(item);
  } else {
    return static_cast<Item&&>(item);
  }
}

template <class Source>
auto chunked(Source source, std::size_t size) -> async_generator<std::vector<value_of<Source>>> {
  std::exception_ptr error;
  AGEN_TRY {
    std::vector<value_of<Source>> block;
    while (auto item = co_await source.anext()) {
      block.push_back(kept(*item));
      if (block.size() < size) continue;
      co_yield block;
      block.clear();
    }
    if (!block.empty()) co_yield block;
  }
  AGEN_CATCH(...) { error = detail::current_error(); }
  co_await close_owned<Source>(source);
  if (error) std::rethrow_exception(std::move(error));
}

template <class First, class Second>
auto chained(First first, Second second) -> async_generator<async_reference_t<First>> {
  std::exception_ptr error;
  AGEN_TRY {
    co_await yield_from(first);
    co_await yield_from(second);
  }
  AGEN_CATCH(...) { error = detail::current_error(); }
  AGEN_TRY { co_await close_owned<Second>(second); }
  AGEN_CATCH(...) { error = detail::current_error(); }
  co_await close_owned<First>(first);
  if (error) std::rethrow_exception(std::move(error));
}

template <class First, class Second>
auto zipped(First first, Second second)
    -> async_generator<decltype(std::tuple_cat(std::declval<std::tuple<async_reference_t<First>>>(),
                                               std::declval<value_of<Second>>()))> {
  std::exception_ptr error;
  AGEN_TRY {
    while (auto left = co_await first.anext()) {
      auto right = co_await second.anext();
      if (!right) break;
      auto both = std::tuple_cat(std::tuple<async_reference_t<First>>(*left), std::move(*right));
      co_yield both;
    }
  }
  AGEN_CATCH(...) { error = detail::current_error(); }
  AGEN_TRY { co_await close_owned<Second>(second); }
  AGEN_CATCH(...) { error = detail::current_error(); }
  co_await close_owned<First>(first);
  if (error) std::rethrow_exception(std::move(error));
}

/// The last source of a zip, as tuples of one.
template <class Source>
auto zipped_last(Source source) -> async_generator<std::tuple<async_reference_t<Source>>> {
  std::exception_ptr error;
  AGEN_TRY {
    while (auto item = co_await source.anext()) {
      std::tuple<async_reference_t<Source>> one(*item);
      co_yield one;
    }
  }
  AGEN_CATCH(...) { error = detail::current_error(); }
  co_await close_owned<Source>(source);
  if (error) std::rethrow_exception(std::move(error));
}

/// The right side of a pipe.
template <class Make>
struct pipe {
  Make make;
  template <async_iterable Source>
  friend auto operator|(Source&& source, pipe&& self) {
    return self.make(static_cast<Source&&>(source));
  }
  /// One that has a name can be used again.
  template <async_iterable Source>
  friend auto operator|(Source&& source, pipe const& self) {
    return static_cast<Source&&>(source) | pipe(self);
  }
};
template <class Make>
pipe(Make) -> pipe<Make>;

/// Two stages as one.
template <class First, class Second>
auto operator|(pipe<First> first, pipe<Second> second) {
  return pipe{[f = std::move(first), s = std::move(second)]<class Source>(Source&& source) mutable {
    return static_cast<Source&&>(source) | std::move(f) | std::move(s);
  }};
}

template <class Generator, class Source, class Body>
auto staged(Source source, Body body)
    -> async_generator<typename Generator::yield_type, typename Generator::send_type> {
  std::exception_ptr error;
  AGEN_TRY { co_await yield_from(body(source)); }
  AGEN_CATCH(...) { error = detail::current_error(); }
  co_await close_owned<Source>(source);
  if (error) std::rethrow_exception(std::move(error));
}

template <class Adaptor, class Source>
concept adaptor_of = std::is_class_v<std::remove_cvref_t<Adaptor>> && std::is_invocable_v<Adaptor, Source>;

}  // namespace detail

/// `source | f` for an adaptor of one's own: f(source). `f` is an object, such as a lambda, that takes the source.
template <async_iterable Source, detail::adaptor_of<Source> Adaptor>
auto operator|(Source&& source, Adaptor&& adaptor) -> decltype(auto) {  // one that is called: transform(f), take(3)
  return static_cast<Adaptor&&>(adaptor)(static_cast<Source&&>(source));
}

/// A stage of one's own for pipes: `source | stage(body)` iterates what `body(source)` returns, an async generator. The
/// source comes as an lvalue. What was written on the left as an rvalue is kept, and closed in every case, awaited, as
/// by the library's adaptors, after the generator of `body`. So is `body`: a lambda may have captures.
///
///     auto sums() {
///       return agen::stage([](auto& source) -> agen::async_generator<int> {
///         int sum = 0;
///         while (auto item = co_await source.anext()) co_yield sum += *item;
///       });
///     }
///     auto stream = numbers() | agen::filter(even) | sums();
///
/// Stages make a stage: `auto both = filter(even) | sums()`. One that has a name can be used again, as often as its
/// functions can be copied.
template <class Body>
auto stage(Body body) {
  return detail::pipe{[b = std::move(body)]<class Source>(Source&& source) mutable {
    using made = std::invoke_result_t<Body&, std::remove_reference_t<Source>&>;
    constexpr bool fits = is_async_generator_v<made>;
    static_assert(fits, "stage(body): what body(source) returns has to be an async_generator");
    if constexpr (fits) {
      return detail::staged<made, Source, Body>(static_cast<Source&&>(source), std::move(b));
    } else {
      return async_generator<async_reference_t<Source>>();
    }
  }};
}

/// Each item through `function`: what it returns (or what awaiting that gives) is the item.
template <async_iterable Source, class Function>
auto transform(Source&& source, Function function) {
  constexpr bool fits = detail::takes_items<Function, async_reference_t<Source>>;
  static_assert(
      fits, "transform(source, f): f cannot be called with an item of source; let it take what *item gives, or auto&&");
  if constexpr (fits) {
    return detail::transformed<Source, Function>(static_cast<Source&&>(source), std::move(function));
  } else {
    return async_generator<async_reference_t<Source>>();
  }
}
/// For a pipe: `source | transform(function)`.
template <class Function>
auto transform(Function function) {
  return detail::pipe{[f = std::move(function)]<class Source>(Source&& source) mutable {
    return transform(static_cast<Source&&>(source), std::move(f));
  }};
}

/// The items for which `predicate` is true.
template <async_iterable Source, class Predicate>
auto filter(Source&& source, Predicate predicate) {
  constexpr bool fits = detail::takes_items<Predicate, std::remove_reference_t<async_reference_t<Source>>&>;
  static_assert(fits,
                "filter(source, predicate): predicate cannot be called with an item of source; let it take what *item "
                "gives, or auto&&");
  if constexpr (fits) {
    return detail::filtered<Source, Predicate>(static_cast<Source&&>(source), std::move(predicate), false);
  } else {
    return async_generator<async_reference_t<Source>>();
  }
}
/// For a pipe: `source | filter(predicate)`.
template <class Predicate>
auto filter(Predicate predicate) {
  return detail::pipe{[p = std::move(predicate)]<class Source>(Source&& source) mutable {
    return filter(static_cast<Source&&>(source), std::move(p));
  }};
}

/// The items before the first one for which `predicate` is false.
template <async_iterable Source, class Predicate>
auto take_while(Source&& source, Predicate predicate) {
  constexpr bool fits = detail::takes_items<Predicate, std::remove_reference_t<async_reference_t<Source>>&>;
  static_assert(fits,
                "take_while(source, predicate): predicate cannot be called with an item of source; let it take what "
                "*item gives, or auto&&");
  if constexpr (fits) {
    return detail::filtered<Source, Predicate>(static_cast<Source&&>(source), std::move(predicate), true);
  } else {
    return async_generator<async_reference_t<Source>>();
  }
}
/// For a pipe: `source | take_while(predicate)`.
template <class Predicate>
auto take_while(Predicate predicate) {
  return detail::pipe{[p = std::move(predicate)]<class Source>(Source&& source) mutable {
    return take_while(static_cast<Source&&>(source), std::move(p));
  }};
}

/// The first `n` items; the source is not asked for one more.
template <async_iterable Source>
auto take(Source&& source, std::size_t n) {
  return detail::taken<Source>(static_cast<Source&&>(source), n);
}
/// For a pipe: `source | take(n)`.
inline auto take(std::size_t n) {
  return detail::pipe{[n]<class Source>(Source&& source) { return take(static_cast<Source&&>(source), n); }};
}

/// Pairs of a running number, from `start`, and the item.
template <async_iterable Source>
auto enumerate(Source&& source, std::size_t start = 0) {
  return detail::enumerated<Source>(static_cast<Source&&>(source), start);
}
/// For a pipe: `source | enumerate(start)`.
inline auto enumerate(std::size_t start = 0) {
  return detail::pipe{
      [start]<class Source>(Source&& source) { return enumerate(static_cast<Source&&>(source), start); }};
}

/// Vectors of `size` items (0 counts as 1); the last may be shorter. An item that the source gives as an rvalue (Yield
/// is T&&, or `*item` a value) is moved, an lvalue copied: its generator may still use it. What cannot be copied, such
/// as a std::unique_ptr, is moved in any case.
template <async_iterable Source>
auto chunk(Source&& source, std::size_t size) {
  return detail::chunked<Source>(static_cast<Source&&>(source), size);
}
/// For a pipe: `source | chunk(size)`.
inline auto chunk(std::size_t size) {
  return detail::pipe{[size]<class Source>(Source&& source) { return chunk(static_cast<Source&&>(source), size); }};
}

/// The items of the first source, then those of the second, and so on.
template <async_iterable First, async_iterable Second>
auto chain(First&& first, Second&& second) {
  return detail::chained<First, Second>(static_cast<First&&>(first), static_cast<Second&&>(second));
}
template <async_iterable First, async_iterable Second, async_iterable... Rest>
  requires(sizeof...(Rest) != 0)
auto chain(First&& first, Second&& second, Rest&&... rest) {
  return chain(static_cast<First&&>(first), chain(static_cast<Second&&>(second), static_cast<Rest&&>(rest)...));
}
/// For a pipe: `first | chain(second)`.
template <async_iterable Second>
auto chain(Second&& second) {
  return detail::pipe{[s = std::tuple<Second>(static_cast<Second&&>(second))]<class First>(First&& first) mutable {
    return chain(static_cast<First&&>(first), static_cast<Second&&>(std::get<0>(s)));
  }};
}

/// Tuples of one item from each source, until one of them ends.
template <async_iterable First, async_iterable Second, async_iterable... Rest>
auto zip(First&& first, Second&& second, Rest&&... rest) {
  if constexpr (sizeof...(Rest) == 0) {
    auto last = detail::zipped_last<Second>(static_cast<Second&&>(second));
    return detail::zipped<First, decltype(last)>(static_cast<First&&>(first), std::move(last));
  } else {
    auto others = zip(static_cast<Second&&>(second), static_cast<Rest&&>(rest)...);
    return detail::zipped<First, decltype(others)>(static_cast<First&&>(first), std::move(others));
  }
}
/// For a pipe: `first | zip(second)`.
template <async_iterable Second>
auto zip(Second&& second) {
  return detail::pipe{[s = std::tuple<Second>(static_cast<Second&&>(second))]<class First>(First&& first) mutable {
    return zip(static_cast<First&&>(first), static_cast<Second&&>(std::get<0>(s)));
  }};
}

}  // namespace agen

#endif  // AGEN_ADAPTORS_HPP
