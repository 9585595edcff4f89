// The generator itself. Beside it, and included with it: delegation (yield_from) and hooks. Loops, closing, context
// managers, adaptors, task and sync_wait have headers of their own, so that this one stays light: it includes
// <coroutine>, <exception>, <new> and <utility>.
//
// Writing one
//   A coroutine that returns async_generator<Yield, Send, Return> is an async generator:
//       agen::async_generator<int> count(int n) { for (int i = 0; i < n; ++i) co_yield i; }
//   Its body begins with the first operation. It may await anything awaitable (what it awaits decides on which thread
//   it continues), delegate with `co_await yield_from(source)`, and end by co_return or by an exception.
//
// Items
//   An item is handed over by reference, never copied: `co_yield x` suspends the body, and the consumer gets a
//   reference to x, or to the temporary that the expression made, valid until the next operation.
//       Yield     *item is      co_yield takes
//       T         T&            lvalues, rvalues, what converts to T; a const lvalue is copied into the body's frame
//       T const   T const&      everything that T const& binds to
//       T&        T&            lvalues of T
//       T const&  T const&      everything that T const& binds to
//       T&&       T&&           rvalues; a const lvalue is copied into the body's frame
//
// Sending
//   `co_yield` gives back what asend sent to get the body going again: a Send. After anext() that is `Send()`; use
//   std::optional or a pointer as Send to tell the two apart, as None does in Python.
//
// Ending
//   After the last item each operation answers "end", at no cost: nothing is thrown. The value of co_return is there
//   with the end (item::returned, async_generator::returned) and is the value of `co_await yield_from(...)`. An
//   exception that leaves the body comes out of the operation that resumed it, once; afterwards the generator is at its
//   end.
//
// Dropping
//   Destroying a generator at a co_yield runs the destructors of its locals in order, but awaits nothing. Cleanup that
//   has to be awaited needs aclose(): see closing.hpp, and hooks.hpp for generators that are dropped without it. A
//   generator may be destroyed while its body awaits something: what it awaits is destroyed with it. It must not be
//   destroyed by its own body while that executes.
//
// Threads
//   A generator is used like any other object: operations on it must not race, each must happen after the one before.
//   The body may be resumed on another thread by whatever it awaits; the consumer then continues there, unless
//   the operation had already answered. An operation begun while another is under way is refused with already_running,
//   which catches overlap, not races. Nothing is locked, and an item that comes at once costs no atomic operation.
//
// Sources: PEP 525 for the operations and the hooks, PEP 380 and PEP 828 for delegation and return values.
#ifndef AGEN_ASYNC_GENERATOR_HPP
#define AGEN_ASYNC_GENERATOR_HPP

#include "detail/compiler.hpp"  // first: see there

#include <coroutine>
#include <exception>
#include <new>
#include <utility>

#include "delegation.hpp"
#include "detail/allocator.hpp"
#include "detail/drop.hpp"
#include "detail/operations.hpp"
#include "detail/promise.hpp"
#include "errors.hpp"
#include "hooks.hpp"
#include "item.hpp"
#include "lifecycle.hpp"

namespace agen {

/// An async generator: owns a coroutine that yields items and that can await between them. Move-only. One that is made
/// without a coroutine, or moved from, is empty: closed, a sequence of no items without a return value.
///
/// \tparam Yield   the item; see the table at the head of this file
/// \tparam Send    what asend() sends and co_yield gives back; void: asend() does not exist
/// \tparam Return  what co_return returns, apart from the items even if the types are equal
template <class Yield, class Send = void, class Return = void>
class [[nodiscard]] async_generator {
  static_assert(!std::is_void_v<Yield>, "async_generator<void>: an item has to have a type");
  static_assert(!std::is_reference_v<Send>, "async_generator: Send is an object type; send a pointer instead");
  static_assert(!std::is_const_v<Send> && !std::is_const_v<Return>, "async_generator: Send and Return without const");

 public:
  using promise_type = detail::generator_promise<Yield, Send, Return, detail::advice_on_co_return<Return>>;
  using yield_type = Yield;
  using send_type = Send;
  using return_type = Return;
  using item_type = agen::item<Yield, Return>;

  async_generator() noexcept = default;
  async_generator(async_generator const&) = AGEN_DELETED("a generator is moved: write std::move(g)");
  auto operator=(async_generator const&) -> async_generator& = AGEN_DELETED("a generator is moved: write std::move(g)");
  async_generator(async_generator&& other) noexcept : frame_(other.release()) {}
  auto operator=(async_generator&& other) noexcept -> async_generator& {
    async_generator former(std::move(other));
    std::swap(frame_, former.frame_);
    return *this;
  }
  /// An unfinished generator goes to the finalizer that it was started under (hooks.hpp); otherwise its locals are
  /// destroyed.
  ~async_generator() {
    if (frame_ != &detail::no_generator.the_frame) detail::drop(*frame_);
  }

  /// Awaitable: the next item, or the end.
  /// Throws already_running, nothing_sent, and whatever leaves the body. (PEP 525, `__anext__`)
  auto anext() noexcept -> detail::anext_awaitable<Yield, Send, Return> {
    return detail::anext_awaitable<Yield, Send, Return>(*frame_);
  }

  /// Awaitable: as anext(), but what leaves the body is in the answer (attempt::error), without a throw. The refusals
  /// already_running and nothing_sent are thrown.
  auto try_anext() noexcept -> detail::try_anext_awaitable<Yield, Send, Return> {
    return detail::try_anext_awaitable<Yield, Send, Return>(*frame_);
  }

  /// Awaitable: makes the current co_yield give back `value`; answers the next item, or the end.
  /// Throws just_started if the body has not begun, already_running, and whatever leaves the body. (PEP 525, `asend`)
  template <class Value = Send>
  auto asend(Value&& value) -> detail::asend_awaitable<Yield, Send, Return> {
    static_assert(!std::is_void_v<Send>,
                  "asend(): this generator takes no values; declare it async_generator<Yield, Send> to send into it");
    static_assert(std::is_void_v<Send> || std::is_convertible_v<Value&&, Send>,
                  "asend(): the value does not convert to the generator's Send type");
    if constexpr (std::is_convertible_v<Value&&, Send>) {
      return detail::asend_awaitable<Yield, Send, Return>(*frame_, static_cast<Value&&>(value));
    } else {
      std::terminate();
    }
  }

  /// Awaitable: throws `error` at the current co_yield; answers the next item, or the end. On a generator that has not
  /// begun the body never runs and the error comes back; on a closed one nothing happens. Throws nothing_thrown if
  /// `error` is null, already_running, and whatever leaves the body. (PEP 525, `athrow`)
  auto athrow(std::exception_ptr error) noexcept -> detail::athrow_awaitable<Yield, Return> {
    return detail::athrow_awaitable<Yield, Return>(*frame_, std::move(error));
  }

  /// Awaitable: throws generator_exit at the current co_yield and waits until the body has ended, its cleanup awaited.
  /// Throws already_running, ignored_generator_exit if the body yields instead, and whatever but generator_exit leaves
  /// the body. On a generator that has not begun, or is closed, there is nothing to wait for. (PEP 525, `aclose`)
  auto aclose() noexcept -> detail::aclose_awaitable { return detail::aclose_awaitable(*frame_); }

  /// The state of the body.
  [[nodiscard]] auto state() const noexcept -> agen::state { return detail::state_of(frame_->own); }
  /// An operation is under way, or another generator delegates to this one (`ag_running`).
  [[nodiscard]] auto running() const noexcept -> bool { return state() == agen::state::running; }
  /// The body has ended, or was closed before it began.
  [[nodiscard]] auto closed() const noexcept -> bool { return state() == agen::state::closed; }
  /// False for an empty one.
  [[nodiscard]] explicit operator bool() const noexcept { return !detail::is_empty(*frame_); }
  /// Identifies the generator, also in the hooks. Null for an empty one.
  [[nodiscard]] auto id() const noexcept -> void const* { return *this ? frame_ : nullptr; }

  /// What the body gave to co_return, by reference into its frame. Throws no_return_value if the body did not end by
  /// that.
  auto returned() -> std::add_rvalue_reference_t<Return>
    requires(!std::is_void_v<Return>)
  {
    return detail::returned_value<Return>(*frame_);
  }

  /// \internal For the library's other headers: the frame, which the generator still owns.
  auto frame() noexcept -> detail::frame& { return *frame_; }
  /// \internal The frame, no longer owned.
  auto release() noexcept -> detail::frame* { return std::exchange(frame_, &detail::no_generator.the_frame); }

 private:
  friend promise_type;
  explicit async_generator(detail::frame& f) noexcept : frame_(&f) {}

  detail::frame* frame_ = &detail::no_generator.the_frame;
};

}  // namespace agen

#endif  // AGEN_ASYNC_GENERATOR_HPP
