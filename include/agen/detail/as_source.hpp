// What a stream takes as a source, as an async_generator.
#ifndef AGEN_DETAIL_AS_SOURCE_HPP
#define AGEN_DETAIL_AS_SOURCE_HPP

#include "compiler.hpp"  // first: see there

#include <tuple>
#include <type_traits>

#include "../adaptors.hpp"

namespace agen::detail {

/// The items of a source that is no async_generator, or has other items, as those of one.
template <class Yield, class Source>
auto converted(Source source) -> async_generator<Yield> {
  std::exception_ptr error;
  AGEN_TRY {
    while (auto item = co_await source.anext()) co_yield forward_item(*item);
  }
  AGEN_CATCH(...) { error = current_error(); }
  co_await close_owned<Source>(source);
  if (error) std::rethrow_exception(std::move(error));
}

/// The Yield of a stream over sources: theirs if it is the same, else what all their items convert to.
template <class... Yields>
struct common_yield {
  using type = std::common_reference_t<reference_of<Yields>...>;
};
template <class Yield, class... Same>
  requires(std::is_same_v<Yield, Same> && ...)
struct common_yield<Yield, Same...> {
  using type = Yield;
};
template <class Source>
struct yield_of {
  using type = async_reference_t<Source>;
};
template <class Yield, class Send, class Return>
struct yield_of<async_generator<Yield, Send, Return>> {
  using type = Yield;
};
template <class... Sources>
using streamed = typename common_yield<typename yield_of<std::remove_cvref_t<Sources>>::type...>::type;

/// A source as a generator of Yield: itself, by value or by reference, or a helper.
template <class Yield, class Source>
auto as_source(Source&& source) -> decltype(auto) {
  constexpr bool fits = [] {
    if constexpr (is_async_generator_v<Source>) {
      return std::is_same_v<typename std::remove_cvref_t<Source>::yield_type, Yield>;
    } else {
      return false;
    }
  }();
  if constexpr (fits) {
    return static_cast<Source&&>(source);
  } else {
    return converted<Yield, Source>(static_cast<Source&&>(source));
  }
}
template <class Yield, class Source>
using source_as = std::conditional_t<std::is_lvalue_reference_v<decltype(as_source<Yield>(std::declval<Source>()))>,
                                     decltype(as_source<Yield>(std::declval<Source>())),
                                     std::remove_cvref_t<decltype(as_source<Yield>(std::declval<Source>()))>>;
/// All sources of a stream, with one Yield.
template <class Yield, class... Sources>
auto as_sources(Sources&&... sources) {
  return std::tuple<source_as<Yield, Sources>...>(as_source<Yield>(static_cast<Sources&&>(sources))...);
}
/// The same, each with its own Yield.
template <class... Sources>
auto as_own_sources(Sources&&... sources) {
  return std::tuple<source_as<streamed<Sources>, Sources>...>(
      as_source<streamed<Sources>>(static_cast<Sources&&>(sources))...);
}

}  // namespace agen::detail

#endif  // AGEN_DETAIL_AS_SOURCE_HPP
