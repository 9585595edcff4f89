// Fairness: a generator whose next item is always there never suspends its consumer, and everything else on the event
// loop waits. fair() lets the others run in between.
#ifndef AGEN_FAIRNESS_HPP
#define AGEN_FAIRNESS_HPP

#include <chrono>

#include "adaptors.hpp"

namespace agen {

/// How long a generator may give items without a pause before fair() lets others run. A checkpoint costs an event loop
/// a few microseconds, which is 1 or 2 % of this. Other tasks wait for their turn that long, plus one round of the
/// consumer's own loop. A timer of asyncio needs three turns from its time to its task.
inline constexpr std::chrono::nanoseconds default_slice = std::chrono::microseconds(250);

namespace detail {

/// Awaits an operation and records whether it suspended.
template <class Awaiter>
struct noticing_awaiter {
  Awaiter inner;
  bool* suspended;

  auto await_ready() -> bool { return inner.await_ready() ? true : false; }
  template <class Promise>
  auto await_suspend(std::coroutine_handle<Promise> h) -> bool {
    *suspended = true;  // before: once it has suspended, the body may be running elsewhere
    if (inner.await_suspend(h)) return true;
    *suspended = false;
    return false;
  }
  auto await_resume() -> decltype(auto) { return inner.await_resume(); }
  void propagate_cancellation(cancellation_scope* to) noexcept
    requires requires(Awaiter& a) { a.propagate_cancellation(to); }
  {
    inner.propagate_cancellation(to);
  }
};

/// The item type of a generator over all of `Source`: its own, or for what is no generator what `*` gives.
template <class Source>
struct same_items {
  using type = async_reference_t<Source>;
};
template <class Yield, class Send, class Return>
struct same_items<async_generator<Yield, Send, Return>> {
  using type = Yield;
};
template <class Source>
using same_items_t = typename same_items<std::remove_cvref_t<Source>>::type;

template <class Source, class Checkpoint>
auto taking_turns(Source source, Checkpoint checkpoint, std::chrono::nanoseconds slice)
    -> async_generator<same_items_t<Source>> {
  using clock = std::chrono::steady_clock;
  std::exception_ptr error;
  AGEN_TRY {
    auto since = clock::now();
    bool paused = false;
    for (;;) {
      if (clock::now() - since >= slice) {  // before the next item is asked for: so none is lost if this throws
        co_await checkpoint();
        since = clock::now();
      }
      using operation = decltype(source.anext());
      auto item = co_await noticing_awaiter<operation>{source.anext(), &paused};
      if (!item) break;
      if (std::exchange(paused, false)) since = clock::now();
      co_yield *item;
    }
  }
  AGEN_CATCH(...) { error = detail::current_error(); }
  co_await close_owned<Source>(source);
  if (error) std::rethrow_exception(std::move(error));
}

}  // namespace detail

/// The items of `source`; when it has given items for as long as `slice` without suspending, `checkpoint()` is awaited
/// before the next one is asked for. A slice of 0 gives a checkpoint before every item.
///
/// An rvalue source is kept and closed at the end, an lvalue is only iterated, as with every adaptor. What the
/// checkpoint throws leaves the generator; no item is lost by that.
template <async_iterable Source, class Checkpoint>
auto fair(Source&& source, Checkpoint checkpoint, std::chrono::nanoseconds slice = default_slice)
    -> async_generator<detail::same_items_t<Source>> {
  return detail::taking_turns<Source, Checkpoint>(static_cast<Source&&>(source), std::move(checkpoint), slice);
}

}  // namespace agen

#endif  // AGEN_FAIRNESS_HPP
