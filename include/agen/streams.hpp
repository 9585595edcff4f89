// Streams: several async generators as one, and one in other forms. The names and answers are those of the Python
// package's async_generator.streams.
//
//     auto all = agen::streams::merge(ticks(), orders(), control());
//     while (auto item = co_await all.anext()) use(*item);
//
// Sources
//   Anything with anext(). One given as an rvalue is kept and closed when the stream ends, raises or is closed, its
//   cleanup awaited; one that waits for something then is stopped first (stop.hpp). One given as an lvalue is only
//   iterated, and not stopped: it may still wait when the stream ends. If it is an async_generator, an item that the
//   stream has not given is there for its next operation.
//
// Errors
//   The first error closes the other sources, and is raised when they are closed. If closing raises too, all are raised
//   as an exception_group.
//
// Order
//   A source is asked for one item, and for the next when the consumer asks the stream after that item: never further
//   ahead, but for prefetch(), broadcast and channel, by as much as you allow. Sources are taken in turn. Items are
//   passed by reference, as by an adaptor.
//
// Threads
//   Each source may be resumed on a thread of its own. The stream's consumer goes on where the item came.
#ifndef AGEN_STREAMS_HPP
#define AGEN_STREAMS_HPP

#include "detail/compiler.hpp"  // first: see there

#include <chrono>
#include <optional>
#include <tuple>
#include <vector>

#include "adaptors.hpp"
#include "broadcast.hpp"
#include "coroutine_channel.hpp"
#include "detail/as_source.hpp"
#include "detail/prefetched.hpp"
#include "detail/source_group.hpp"

namespace agen {

/// No item came in time: streams::timeout().
class timed_out : public generator_error {
 public:
  using generator_error::generator_error;
};

/// A strict streams::zip() over sources of different lengths.
class uneven_zip : public generator_error {
 public:
  using generator_error::generator_error;
};

namespace detail {

template <class... Generators>
void add_all(source_group& group, std::tuple<Generators...>& sources) {
  group.expect(sizeof...(Generators));
  std::apply([&](auto&... each) { (group.add(each, !std::is_reference_v<Generators>), ...); }, sources);
}
template <class Generator>
void add_all(source_group& group, std::vector<Generator>& sources) {
  group.expect(sources.size());
  for (Generator& each : sources) group.add(each, true);
}

/// Awaits something and drops what that gives.
template <class Awaitable>
auto done(Awaitable awaited) -> task<> {
  co_await static_cast<Awaitable&&>(awaited);
}

/// A timer beside the sources, which close() stops, too.
template <class Sleep>
void start_timer(std::optional<branch<void>>& timer, source_group& group, Sleep& sleep, std::chrono::nanoseconds time) {
  using awaited = std::invoke_result_t<Sleep&, std::chrono::nanoseconds>;
  timer.emplace(done<awaited>(sleep(time)), group.arrived());
  group.also(*timer);
  timer->start();
}

template <class Yield>
auto item_of(source_slot const& slot) noexcept -> decltype(auto) {
  return static_cast<reference_of<Yield>>(*static_cast<std::remove_reference_t<Yield>*>(slot.item()));
}

template <class Yield, class Sources>
auto merged(Sources sources) -> async_generator<Yield> {
  source_group group;  // outlives the sources, which listen to its scopes
  Sources kept_sources(std::move(sources));
  add_all(group, kept_sources);
  auto closing = group.close();
  AGEN_TRY {
    frame& body = co_await this_frame();
    group.begin();
    for (;;) {
      source_slot* const slot = group.next(body);
      if (slot != nullptr) {
        co_yield item_of<Yield>(*slot);
        group.used(*slot);
      } else if (group.over()) {
        break;
      } else {
        co_await group.wait();
      }
    }
  }
  AGEN_CATCH(...) { group.failed(); }
  co_await std::move(closing);
  group.raise();
}

template <class Yield, class Sources>
auto raced(Sources sources) -> async_generator<Yield> {
  source_group group;  // outlives the sources, which listen to its scopes
  Sources kept_sources(std::move(sources));
  add_all(group, kept_sources);
  source_slot* first = nullptr;
  auto closing_others = group.close(&first);
  auto closing = group.close();
  AGEN_TRY {
    frame& body = co_await this_frame();
    group.begin();
    group.end_at_first();
    std::size_t const all = group.slots().size();
    while (first == nullptr && group.live() == all && all != 0) {
      first = group.next(body);
      if (first == nullptr && group.live() == all) co_await group.wait();
    }
    if (first != nullptr) {
      co_await std::move(closing_others);
      group.raise();
      while (first->answer() == step::yielded) {
        co_yield item_of<Yield>(*first);
        check_stop(body);
        if (first->ask() != step::awaits) continue;
        co_await group.wait();
        static_cast<source_slot&>(group.arrived().take()).arrived();
      }
      if (first->answer() == step::raised) std::rethrow_exception(first->take_error());
    }
  }
  AGEN_CATCH(...) { group.failed(); }
  co_await std::move(closing);
  group.raise();
}

/// Whether the sources of a zip have all answered, or one of them by its end.
enum class row : unsigned char { waits, complete, ended };
inline auto row_of(source_group& group) -> row {
  bool complete = true;
  for (source_slot& slot : group.slots()) {
    if (slot.waits()) {
      complete = false;
    } else if (slot.answer() == step::raised) {
      std::rethrow_exception(slot.take_error());
    } else if (slot.answer() == step::returned) {
      return row::ended;
    }
  }
  return complete ? row::complete : row::waits;
}
/// After row::ended, for a strict zip: whether another source has an item, or does not say yet.
inline auto uneven(source_group& group) -> bool {
  for (source_slot& slot : group.slots()) {
    if (!slot.waits() && slot.answer() == step::yielded) return true;
  }
  return false;
}
inline auto any_waits(source_group& group) -> bool {
  for (source_slot& slot : group.slots()) {
    if (slot.waits()) return true;
  }
  return false;
}

template <class Tuple, class... Yields, std::size_t... Index>
auto row_items(source_group& group, std::index_sequence<Index...> /*each*/) -> Tuple {
  return Tuple(item_of<Yields>(group.slots()[Index])...);
}

template <class... Yields, class Sources>
auto zipped_streams(Sources sources, bool strict) -> async_generator<std::tuple<reference_of<Yields>...>> {
  using tuple = std::tuple<reference_of<Yields>...>;
  source_group group;  // outlives the sources, which listen to its scopes
  Sources kept_sources(std::move(sources));
  add_all(group, kept_sources);
  auto closing = group.close();
  AGEN_TRY {
    frame& body = co_await this_frame();
    for (;;) {
      check_stop(body);
      for (source_slot& slot : group.slots()) slot.ask();
      row now = row_of(group);
      while (now == row::waits || (now == row::ended && strict && !uneven(group) && any_waits(group))) {
        co_await group.wait();
        group.take_arrived();
        now = row_of(group);
      }
      if (now == row::ended) {
        if (strict && uneven(group)) AGEN_THROW(uneven_zip("zip: a source is shorter than another one"));
        break;
      }
      for (source_slot& slot : group.slots()) slot.give();
      auto items = row_items<tuple, Yields...>(group, std::index_sequence_for<Yields...>());
      co_yield items;
    }
  }
  AGEN_CATCH(...) { group.failed(); }
  co_await std::move(closing);
  group.raise();
}

template <class... Values, std::size_t... Index>
void keep_latest(std::tuple<std::optional<Values>...>& latest, source_group& group, source_slot const& from,
                 std::index_sequence<Index...> /*each*/) {
  (void)((&group.slots()[Index] == &from
              ? (std::get<Index>(latest).emplace(*static_cast<Values const*>(from.item())), true)
              : false) ||
         ...);
}

template <class... Values, class Sources>
auto zipped_latest(Sources sources) -> async_generator<std::tuple<Values...>> {
  source_group group;  // outlives the sources, which listen to its scopes
  Sources kept_sources(std::move(sources));
  add_all(group, kept_sources);
  std::tuple<std::optional<Values>...> latest;
  auto closing = group.close();
  AGEN_TRY {
    frame& body = co_await this_frame();
    group.begin();
    for (;;) {
      source_slot* const slot = group.next(body);
      if (slot == nullptr) {
        if (group.over()) break;
        co_await group.wait();
        continue;
      }
      keep_latest<Values...>(latest, group, *slot, std::index_sequence_for<Values...>());
      bool const all = std::apply([](auto const&... each) { return (each.has_value() && ...); }, latest);
      if (all) co_yield std::apply([](auto const&... each) { return std::tuple<Values...>(*each...); }, latest);
      group.used(*slot);
    }
  }
  AGEN_CATCH(...) { group.failed(); }
  co_await std::move(closing);
  group.raise();
}

template <class Yield, class Source, class Awaitable>
auto taken_until(Source source, Awaitable until) -> async_generator<Yield> {
  source_group group;  // outlives the source, which listens to its scope
  std::tuple<Source> kept_source(static_cast<Source&&>(source));
  add_all(group, kept_source);
  branch<void> end(done<Awaitable>(static_cast<Awaitable&&>(until)), group.arrived());
  group.also(end);
  auto closing = group.close();
  AGEN_TRY {
    frame& body = co_await this_frame();
    end.start();
    group.accept();
    group.begin();
    while (end.running()) {
      source_slot* const slot = group.next(body);
      if (!end.running()) {
        if (slot != nullptr) slot->keep();
        break;
      }
      if (slot != nullptr) {
        co_yield item_of<Yield>(*slot);
        group.used(*slot);
        group.accept();
      } else if (group.over()) {
        break;
      } else {
        co_await group.wait();
        group.accept();
      }
    }
    if (!end.running()) end.take();
  }
  AGEN_CATCH(...) { group.failed(); }
  co_await std::move(closing);
  group.raise();
}

template <class Yield, class Source, class Sleep>
auto timed(Source source, std::chrono::nanoseconds limit, Sleep sleep, bool raises) -> async_generator<Yield> {
  source_group group;  // outlives the source, which listens to its scope
  std::tuple<Source> kept_source(static_cast<Source&&>(source));
  add_all(group, kept_source);
  std::optional<branch<void>> timer;
  auto closing = group.close();
  AGEN_TRY {
    frame& body = co_await this_frame();
    group.begin();
    for (;;) {
      source_slot* const slot = group.next(body);
      if (slot != nullptr) {
        co_yield item_of<Yield>(*slot);
        group.used(*slot);
        continue;
      }
      if (group.over()) break;
      start_timer(timer, group, sleep, limit);
      while (timer->running() && !group.in_line()) {
        co_await group.wait();
        group.accept();
      }
      if (!group.in_line()) {
        timer->take();
        if (raises) AGEN_THROW(timed_out("timeout: no item came in time"));
        break;
      }
      if (timer->running()) timer->stop();
      while (timer->running()) {
        if (!group.arrived().any()) co_await group.wait();
        group.accept();
      }
    }
  }
  AGEN_CATCH(...) { group.failed(); }
  co_await std::move(closing);
  group.raise();
}

template <class Source, class Value, class Sleep>
auto chunked_in_time(Source source, std::size_t size, std::chrono::nanoseconds within, Sleep sleep)
    -> async_generator<std::vector<Value>> {
  using yield = typename std::remove_cvref_t<Source>::yield_type;
  source_group group;  // outlives the source, which listens to its scope
  std::tuple<Source> kept_source(static_cast<Source&&>(source));
  add_all(group, kept_source);
  std::optional<branch<void>> timer;
  std::vector<Value> block;
  auto closing = group.close();
  AGEN_TRY {
    frame& body = co_await this_frame();
    group.begin();
    bool timed = false;  // the timer is that of this block
    bool last = false;   // nothing comes after this block
    while (!last) {
      source_slot* slot = nullptr;
      bool full = false;
      AGEN_TRY { slot = group.next(body); }
      AGEN_CATCH(...) {
        group.failed();
        last = true;
      }
      if (slot != nullptr) {
        block.push_back(kept(item_of<yield>(*slot)));
        group.used(*slot);
        full = block.size() >= size;
      } else if (last || group.over()) {
        last = true;
      } else if (!block.empty() && !timed) {
        start_timer(timer, group, sleep, within);
        timed = true;
        group.accept();
        continue;
      } else if (timed && !timer->running()) {
        timer->take();
        full = true;
      } else {
        co_await group.wait();
        group.accept();
      }
      if (!full && !last) continue;
      if (timed && timer->running()) timer->stop();
      while (timed && timer->running()) {
        if (!group.arrived().any()) co_await group.wait();
        group.accept();
      }
      timed = false;
      if (!block.empty()) co_yield block;
      block.clear();
    }
  }
  AGEN_CATCH(...) { group.failed(); }
  co_await std::move(closing);
  group.raise();
}

template <class Range, class Yield>
auto from_range(Range range) -> async_generator<Yield> {
  for (auto&& element : range) co_yield forward_item(static_cast<decltype(element)>(element));
}

template <class Source, class Function>
auto flat_mapped(Source source, Function function)
    -> async_generator<typename yield_of<std::remove_cvref_t<awaited_t<Function&, async_reference_t<Source>>>>::type> {
  std::exception_ptr error;
  AGEN_TRY {
    while (auto item = co_await source.anext()) co_await yield_from(function(*item));
  }
  AGEN_CATCH(...) { error = detail::current_error(); }
  co_await close_owned<Source>(source);
  if (error) std::rethrow_exception(std::move(error));
}

template <class Source, class Value, class Function>
auto scanned(Source source, Function function, Value so_far) -> async_generator<Value const&> {
  std::exception_ptr error;
  AGEN_TRY {
    while (auto item = co_await source.anext()) {
      so_far = function(std::move(so_far), *item);
      co_yield so_far;
    }
  }
  AGEN_CATCH(...) { error = detail::current_error(); }
  co_await close_owned<Source>(source);
  if (error) std::rethrow_exception(std::move(error));
}

template <class Container, class Source>
using container_for = std::conditional_t<std::is_void_v<Container>, std::vector<value_of<Source>>, Container>;
template <class Container, class Source>
auto collected(Source source) -> task<Container> {
  Container all;
  std::exception_ptr error;
  AGEN_TRY {
    while (auto item = co_await source.anext()) {
      if constexpr (requires { all.push_back(kept(*item)); }) {
        all.push_back(kept(*item));
      } else {
        all.insert(all.end(), kept(*item));
      }
    }
  }
  AGEN_CATCH(...) { error = detail::current_error(); }
  co_await close_owned<Source>(source);
  if (error) std::rethrow_exception(std::move(error));
  co_return all;
}

}  // namespace detail

namespace streams {

/// The items of all sources as they come, the sources in turn. Ends when all have ended. Raises what a source raises,
/// and what closing the others raises.
///
/// The items are of the sources' common Yield. Sources with different ones are converted, at the cost of a generator in
/// between.
template <async_iterable... Sources>
auto merge(Sources&&... sources)
  requires(sizeof...(Sources) != 0)
{
  using yield = detail::streamed<Sources...>;
  return detail::merged<yield>(detail::as_sources<yield>(static_cast<Sources&&>(sources)...));
}
/// The same for any number of generators of one type, which are kept.
template <class Yield, class Send, class Return>
auto merge(std::vector<async_generator<Yield, Send, Return>> sources) -> async_generator<Yield> {
  return detail::merged<Yield>(std::move(sources));
}

/// The items of the source that answers first, by an item or by its end; the others are closed before its first item is
/// given. An error that comes first is raised.
template <async_iterable... Sources>
auto race(Sources&&... sources)
  requires(sizeof...(Sources) != 0)
{
  using yield = detail::streamed<Sources...>;
  return detail::raced<yield>(detail::as_sources<yield>(static_cast<Sources&&>(sources)...));
}
/// The same for any number of generators of one type, which are kept.
template <class Yield, class Send, class Return>
auto race(std::vector<async_generator<Yield, Send, Return>> sources) -> async_generator<Yield> {
  return detail::raced<Yield>(std::move(sources));
}

/// With zip: all sources have to end at the same time.
struct strict_t {};
inline constexpr strict_t strict{};

/// Tuples of references to an item of each source, which are all asked at once. Ends with the first that ends.
template <async_iterable... Sources>
  requires(sizeof...(Sources) != 0)
auto zip(Sources&&... sources) {
  return detail::zipped_streams<detail::streamed<Sources>...>(
      detail::as_own_sources(static_cast<Sources&&>(sources)...), false);
}
/// The same; throws uneven_zip if a source has an item where another one has ended.
template <async_iterable... Sources>
  requires(sizeof...(Sources) != 0)
auto zip(strict_t /*strict*/, Sources&&... sources) {
  return detail::zipped_streams<detail::streamed<Sources>...>(
      detail::as_own_sources(static_cast<Sources&&>(sources)...), true);
}

/// Tuples of copies of the latest items, one for each item that comes, as soon as each source has given one. Ends when
/// all have ended.
template <async_iterable... Sources>
  requires(sizeof...(Sources) != 0)
auto zip_latest(Sources&&... sources) {
  return detail::zipped_latest<detail::value_of<Sources>...>(
      detail::as_own_sources(static_cast<Sources&&>(sources)...));
}

/// The items until `until`, anything awaitable, is done; what it raises is raised. It is begun with the first item, and
/// stopped and awaited if the source ends first.
template <async_iterable Source, class Awaitable>
auto take_until(Source&& source, Awaitable&& until) {
  using yield = detail::streamed<Source>;
  return detail::taken_until<yield, detail::source_as<yield, Source>, Awaitable>(
      detail::as_source<yield>(static_cast<Source&&>(source)), static_cast<Awaitable&&>(until));
}
/// For a pipe: `source | take_until(awaitable)`.
template <class Awaitable>
auto take_until(Awaitable&& until) {
  return detail::pipe{
      [u = std::tuple<Awaitable>(static_cast<Awaitable&&>(until))]<class Source>(Source&& source) mutable {
        return take_until(static_cast<Source&&>(source), static_cast<Awaitable&&>(std::get<0>(u)));
      }};
}

/// What timeout() does when an item takes too long.
enum class when_late : unsigned char {
  raises,  ///< throws timed_out
  ends,    ///< the stream ends
};

/// The same items; timed_out, or the end, if the next one takes longer than `limit`. The source is then closed if it
/// was given as an rvalue. As an lvalue it goes on: until it has answered, an operation on it throws already_running;
/// what it answers is there for the next one after that.
///
/// \param sleep  the customisation point for time: `sleep(nanoseconds)` returns an awaitable that takes so long and can
///               be stopped (stop.hpp), as asio_sleep (asio.hpp) does. It is called when the source waits.
template <async_iterable Source, class Sleep>
auto timeout(Source&& source, std::chrono::nanoseconds limit, Sleep sleep, when_late then = when_late::raises) {
  using yield = detail::streamed<Source>;
  return detail::timed<yield, detail::source_as<yield, Source>, Sleep>(
      detail::as_source<yield>(static_cast<Source&&>(source)), limit, std::move(sleep), then == when_late::raises);
}
/// For a pipe: `source | timeout(limit, sleep)`.
template <class Sleep>
auto timeout(std::chrono::nanoseconds limit, Sleep sleep, when_late then = when_late::raises) {
  return detail::pipe{[limit, then, s = std::move(sleep)]<class Source>(Source&& source) mutable {
    return timeout(static_cast<Source&&>(source), limit, std::move(s), then);
  }};
}

/// Vectors of `size` items (0 counts as 1), or of those that came in time: `within` after the source first waits for
/// more. The last one may be shorter; what came before an error is given before that. For `sleep` see timeout().
/// Without a time: agen::chunk().
template <async_iterable Source, class Sleep>
auto chunks(Source&& source, std::size_t size, std::chrono::nanoseconds within, Sleep sleep) {
  using yield = detail::streamed<Source>;
  using kept = detail::source_as<yield, Source>;
  return detail::chunked_in_time<kept, detail::value_of<Source>, Sleep>(
      detail::as_source<yield>(static_cast<Source&&>(source)), size, within, std::move(sleep));
}
/// For a pipe: `source | chunks(size, within, sleep)`.
template <class Sleep>
auto chunks(std::size_t size, std::chrono::nanoseconds within, Sleep sleep) {
  return detail::pipe{[size, within, s = std::move(sleep)]<class Source>(Source&& source) mutable {
    return chunks(static_cast<Source&&>(source), size, within, std::move(s));
  }};
}

/// The same items, copies of the source's (moved if they cannot be copied, or if the source gives rvalues), fetched
/// while the consumer works: the first operation begins, and from then on up to `n` are fetched before they are asked
/// for, on whichever thread the source goes on. It is asked again when half of them are taken. What came before an
/// error is given before the error; an error that nobody has come to is raised when the stream is closed.
///
/// \param left_over  is called when the stream has ended or was closed, not if it is dropped, with a std::vector of the
///                   items that were fetched and not taken, if there are any
///
/// Throws std::invalid_argument if `n` is 0.
template <async_iterable Source, class LeftOver = detail::drops_left_over>
auto prefetch(Source&& source, std::size_t n, LeftOver left_over = LeftOver())
    -> async_generator<detail::value_of<Source>> {
  using yield = detail::streamed<Source>;
  using ahead = detail::pulls<detail::items_ahead<detail::value_of<Source>>, detail::source_as<yield, Source>>;
  return detail::prefetched(std::make_shared<ahead>(detail::as_source<yield>(static_cast<Source&&>(source)), n), n,
                            std::move(left_over));
}
/// For a pipe: `source | prefetch(n)`.
template <class LeftOver = detail::drops_left_over>
auto prefetch(std::size_t n, LeftOver left_over = LeftOver()) {
  return detail::pipe{[n, f = std::move(left_over)]<class Source>(Source&& source) mutable {
    return prefetch(static_cast<Source&&>(source), n, std::move(f));
  }};
}

/// The elements of a range. An rvalue is kept, an lvalue is referred to.
template <detail::range Range>
auto from_iterable(Range&& elements) {
  using std::begin;
  using element = std::remove_reference_t<decltype(*begin(elements))>;
  using yield = std::conditional_t<std::is_reference_v<decltype(*begin(elements))>, element&, element>;
  return detail::from_range<Range, yield>(static_cast<Range&&>(elements));
}

/// All items of what `function` makes of each item: an async generator, or anything else that yield_from() takes and
/// that has anext(). One after another; the inner one is delegated to, so closing the stream closes it first.
template <async_iterable Source, class Function>
auto flat_map(Source&& source, Function function) {
  return detail::flat_mapped<Source, Function>(static_cast<Source&&>(source), std::move(function));
}
/// For a pipe: `source | flat_map(function)`.
template <class Function>
auto flat_map(Function function) {
  return detail::pipe{[f = std::move(function)]<class Source>(Source&& source) mutable {
    return flat_map(static_cast<Source&&>(source), std::move(f));
  }};
}

/// What has come of the items so far: `function(so_far, item)` for each, beginning with `initial`, which is not given
/// itself. By reference; it holds until the next operation.
template <async_iterable Source, class Value, class Function>
auto scan(Source&& source, Value initial, Function function) -> async_generator<Value const&> {
  return detail::scanned<Source, Value, Function>(static_cast<Source&&>(source), std::move(function),
                                                  std::move(initial));
}
/// For a pipe: `source | scan(initial, function)`.
template <class Value, class Function>
auto scan(Value initial, Function function) {
  return detail::pipe{[i = std::move(initial), f = std::move(function)]<class Source>(Source&& source) mutable {
    return scan(static_cast<Source&&>(source), std::move(i), std::move(f));
  }};
}

/// `co_await collect(source)`: all items in a std::vector, or by `collect<Container>(source)` in another container with
/// push_back() or insert(). An rvalue source is closed, also after an error.
template <class Container = void, async_iterable Source>
auto collect(Source&& source) -> task<detail::container_for<Container, Source>> {
  return detail::collected<detail::container_for<Container, Source>, Source>(static_cast<Source&&>(source));
}
/// For a pipe: `co_await (source | to<std::set<int>>())`.
template <class Container>
auto to() {
  return detail::pipe{[]<class Source>(Source&& source) { return collect<Container>(static_cast<Source&&>(source)); }};
}

}  // namespace streams
}  // namespace agen

#endif  // AGEN_STREAMS_HPP
