// Several awaitables at once: when_all waits for all of them, when_any for the first. Both begin all of them, in their
// order, and neither returns before all have ended.
#ifndef AGEN_WHEN_HPP
#define AGEN_WHEN_HPP

#include "detail/compiler.hpp"  // first: see there

#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "detail/branch.hpp"
#include "exception_group.hpp"

namespace agen {

namespace detail {

/// What a branch gives, as an object.
template <class T>
struct given {
  using type = T;
};
template <class T>
struct given<T&> {
  using type = std::reference_wrapper<T>;
};
template <>
struct given<void> {
  using type = std::monostate;
};
template <class Awaitable>
using given_t = typename given<await_result<Awaitable>>::type;

template <class Awaitable>
auto store_result(Awaitable awaited, std::optional<given_t<Awaitable>>& into) -> task<> {
  if constexpr (std::is_void_v<await_result<Awaitable>>) {
    co_await static_cast<Awaitable&&>(awaited);
    into.emplace();
  } else {
    into.emplace(co_await static_cast<Awaitable&&>(awaited));
  }
}

struct branches {
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  inbox ended;
  std::deque<branch<void>> all;
  std::vector<std::exception_ptr> errors;
  std::size_t first = none;  ///< that has ended

  void stop() noexcept {
    for (auto& each : all) {
      if (each.running()) each.stop();
    }
  }
  /// The next one that has ended; whether it has failed. What one raises because it was stopped is no failure.
  auto accept(bool stopping) noexcept -> bool {
    auto& one = static_cast<branch<void>&>(ended.take());
    one.arrived();
    if (first == none) {
      for (first = 0; &all[first] != &one;) ++first;
    }
    AGEN_TRY {
      one.take();
      return false;
    }
    AGEN_CATCH_FIRST(stopped const&) {
      if (!stopping) errors.push_back(current_error());
      return !stopping;
    }
    AGEN_CATCH(...) {
      errors.push_back(current_error());
      return true;
    }
  }
  /// The wait for all was stopped: in the handler.
  void give_up() noexcept {
    if (errors.empty()) errors.push_back(current_error());
  }
};

/// Runs all of them; `any`: the first to end stops the others.
inline auto run_branches(branches& run, bool any) -> task<> {
  run.errors.reserve(run.all.size() + 1);
  for (auto& each : run.all) each.start();
  bool stopping = false;
  for (std::size_t open = run.all.size(); open != 0;) {
    bool stop = false;
    AGEN_TRY {
      co_await run.ended.wait();
      stop = run.accept(stopping) || any;
      --open;
    }
    AGEN_CATCH_FIRST(stopped const&) {
      run.give_up();
      stop = true;
    }
    if (!stop || std::exchange(stopping, true)) continue;
    co_await enter_scope{nullptr};
    run.stop();
  }
  raise_all(run.errors);
}

template <class... Awaitables, std::size_t... Index>
void add_branches(branches& run, std::tuple<std::optional<given_t<Awaitables>>...>& results,
                  std::index_sequence<Index...> /*each*/, Awaitables&... awaited) {
  (run.all.emplace_back(store_result<Awaitables>(static_cast<Awaitables&&>(awaited), std::get<Index>(results)),
                        run.ended),
   ...);
}

template <class... Awaitables>
auto all_done(Awaitables... awaited) -> task<std::tuple<given_t<Awaitables>...>> {
  std::tuple<std::optional<given_t<Awaitables>>...> results;
  branches run;
  add_branches<Awaitables...>(run, results, std::index_sequence_for<Awaitables...>(), awaited...);
  co_await run_branches(run, false);
  co_return std::apply([](auto&... each) { return std::tuple<given_t<Awaitables>...>(std::move(*each)...); }, results);
}

/// The result of the branch `index`, as a variant.
template <std::size_t At, class Variant, class Results>
auto winning(Results& results, std::size_t index) -> Variant {
  if constexpr (At + 1 < std::tuple_size_v<Results>) {
    if (index != At) return winning<At + 1, Variant>(results, index);
  }
  return Variant(std::in_place_index<At>, std::move(*std::get<At>(results)));
}

template <class... Awaitables>
auto any_done(Awaitables... awaited) -> task<std::variant<given_t<Awaitables>...>> {
  std::tuple<std::optional<given_t<Awaitables>>...> results;
  branches run;
  add_branches<Awaitables...>(run, results, std::index_sequence_for<Awaitables...>(), awaited...);
  co_await run_branches(run, true);
  co_return winning<0, std::variant<given_t<Awaitables>...>>(results, run.first);
}

}  // namespace detail

/// `co_await when_all(awaitables...)`: a tuple of what each gives; std::monostate for nothing, a std::reference_wrapper
/// for a reference.
///
/// The first error stops the others (stop.hpp), which are awaited, and is raised; further errors with it as an
/// exception_group. A request to stop is passed on to all.
template <class... Awaitables>
  requires(sizeof...(Awaitables) != 0)
auto when_all(Awaitables&&... awaitables) {
  return detail::all_done<Awaitables...>(static_cast<Awaitables&&>(awaitables)...);
}

/// `co_await when_any(awaitables...)`: what the first to end gives, as a std::variant whose index() says which one it
/// was. The others are stopped and awaited; what they give is dropped.
///
/// If the first to end raises, or another one raises something that is not agen::stopped, that is raised, several as an
/// exception_group.
template <class... Awaitables>
  requires(sizeof...(Awaitables) != 0)
auto when_any(Awaitables&&... awaitables) {
  return detail::any_done<Awaitables...>(static_cast<Awaitables&&>(awaitables)...);
}

}  // namespace agen

#endif  // AGEN_WHEN_HPP
