// Async context managers made from a generator that yields once: contextlib.asynccontextmanager and `async with`.
#ifndef AGEN_CONTEXT_MANAGER_HPP
#define AGEN_CONTEXT_MANAGER_HPP

#include <optional>

#include "closing.hpp"

namespace agen {

/// A resource whose acquisition and release may await. The code before the one `co_yield` of its generator acquires it,
/// the item is the resource, and the code after the co_yield releases it.
///
///     auto connected(address a) -> agen::async_generator<connection> {
///       connection c = co_await connect(a);
///       std::exception_ptr error;
///       try { co_yield c; } catch (...) { error = std::current_exception(); }
///       co_await c.shut_down();
///       if (error) std::rethrow_exception(error);
///     }
///     co_await async_with(async_context_manager(connected(a)), [](connection& c) -> agen::task<> { ... });
///
/// Single use, as in Python.
template <class Yield>
class [[nodiscard]] async_context_manager {
 public:
  /// \param generator  yields once: what stands before the co_yield acquires, what follows releases
  explicit async_context_manager(async_generator<Yield> generator) noexcept : generator_(std::move(generator)) {}

  /// Awaitable: acquires; gives the resource, by reference into the generator's frame. Throws context_manager_error if
  /// the generator does not yield, and whatever leaves it. (contextlib, `__aenter__`)
  auto enter() -> task<detail::reference_of<Yield>> {
    auto item = co_await generator_.anext();
    if (!item) AGEN_THROW(context_manager_error("async_with: generator didn't yield"));
    co_return *item;
  }

  /// Awaitable: releases. `error` is what left the body, or null; true: the generator caught it, so the
  /// caller drops it. Throws what the generator raises instead, and context_manager_error if it yields once more.
  /// (contextlib,
  /// `__aexit__`)
  auto exit(std::exception_ptr error) -> task<bool> {
    if (!error) {
      if (co_await generator_.anext()) co_await stop_it("async_with: generator didn't stop");
      co_return false;
    }
    bool yielded = false;
    std::exception_ptr raised;
    AGEN_TRY { yielded = static_cast<bool>(co_await generator_.athrow(error)); }
    AGEN_CATCH(...) { raised = detail::current_error(); }
    if (yielded) co_await stop_it("async_with: generator didn't stop after athrow()");
    if (!raised) co_return true;
    if (raised == error) co_return false;
    std::rethrow_exception(std::move(raised));
  }

 private:
  // As in contextlib, the generator is closed first; if that raises, its exception comes out instead.
  auto stop_it(char const* text) -> task<> {
    co_await generator_.aclose();
    AGEN_THROW(context_manager_error(text));
  }

  async_generator<Yield> generator_;
};

/// The result of async_with: what the body gave, empty if the manager swallowed the body's exception; for a body
/// without a value, whether it ended normally.
template <class Result>
using with_result = std::conditional_t<std::is_void_v<Result>, bool, std::optional<std::remove_cvref_t<Result>>>;

/// `co_await async_with(manager, body)`: enters, calls `body(resource)` and awaits what it returns, exits. (PEP 492,
/// `async with`)
///
/// An exception of the body is thrown into the manager's generator at its co_yield: if that returns the exception is
/// swallowed; if it rethrows it, or raises another, that comes out. Errors: see async_context_manager.
template <class Yield, class Body>
auto async_with(async_context_manager<Yield> manager, Body body)
    -> task<with_result<detail::awaited_t<Body&, detail::reference_of<Yield>>>> {
  using raw = std::invoke_result_t<Body&, detail::reference_of<Yield>>;
  using result = detail::awaited_t<Body&, detail::reference_of<Yield>>;
  with_result<result> kept{};
  std::exception_ptr error;
  detail::reference_of<Yield> resource = co_await manager.enter();
  AGEN_TRY {
    if constexpr (detail::natively_awaitable<raw> && std::is_void_v<result>) {
      co_await body(static_cast<detail::reference_of<Yield>>(resource));
    } else if constexpr (detail::natively_awaitable<raw>) {
      kept.emplace(co_await body(static_cast<detail::reference_of<Yield>>(resource)));
    } else if constexpr (std::is_void_v<result>) {
      body(static_cast<detail::reference_of<Yield>>(resource));
    } else {
      kept.emplace(body(static_cast<detail::reference_of<Yield>>(resource)));
    }
    if constexpr (std::is_void_v<result>) kept = true;
  }
  AGEN_CATCH(...) { error = detail::current_error(); }
  bool const swallowed = co_await manager.exit(error);
  if (error && !swallowed) std::rethrow_exception(std::move(error));
  co_return std::move(kept);
}

/// The same for a generator that is to be its own manager.
template <class Yield, class Body>
auto async_with(async_generator<Yield> generator, Body body) {
  return async_with(async_context_manager<Yield>(std::move(generator)), std::move(body));
}

}  // namespace agen

#endif  // AGEN_CONTEXT_MANAGER_HPP
