// The promise of an async generator's body: what co_yield, co_await and co_return do there.
#ifndef AGEN_DETAIL_PROMISE_HPP
#define AGEN_DETAIL_PROMISE_HPP

#include "await.hpp"
#include "delegate.hpp"
#include "outcome.hpp"

namespace agen {

template <class Yield, class Send, class Return>
class async_generator;

namespace detail {

template <class Send>
AGEN_ALWAYS_INLINE auto take_sent(frame& body) -> Send {
  if (body.own.throwing) [[unlikely]]
    rethrow_thrown(body);
  if constexpr (!std::is_void_v<Send>) {
    auto* const sent = static_cast<Send*>(body.of->handed.sent());
    if constexpr (std::is_default_constructible_v<Send>) {
      if (sent == nullptr) return Send();
    }
    return static_cast<Send&&>(*sent);
  }
}

/// The awaiter of co_yield: `Result` is what the expression gives back. Its cost is the cost of an item: four stores
/// and two tests at Send = void.
template <class Send>
struct yield_awaiter {
  frame* body;

  static constexpr auto await_ready() noexcept -> bool { return false; }
  void await_suspend(std::coroutine_handle<> /*body*/) const noexcept { arrive(*body->of, phase::suspended); }
  auto await_resume() const -> Send { return take_sent<Send>(*body); }
};

/// co_yield of a const object from a generator of mutable items: the item is a copy in the body's frame.
template <class Item, class Send>
struct yield_copy_awaiter : yield_awaiter<Send> {
  Item copy;
  void await_suspend(std::coroutine_handle<> h) noexcept {
    this->body->of->handed.yield(address_of(copy));
    yield_awaiter<Send>::await_suspend(h);
  }
};

/// co_yield in the library's own bodies, which need to know whether a value was sent: gives a pointer to it, or null.
template <class Element>
struct forwarded {
  Element&& element;
};
template <class T>
inline constexpr bool is_forwarded = false;
template <class Element>
inline constexpr bool is_forwarded<forwarded<Element>> = true;
template <class Element>
auto forward_item(Element&& element) noexcept -> forwarded<Element> {
  return {static_cast<Element&&>(element)};
}
template <class Send>
struct forward_awaiter : yield_awaiter<Send> {
  auto await_resume() const -> Send* {
    if (this->body->own.throwing) rethrow_thrown(*this->body);
    return static_cast<Send*>(this->body->of->handed.sent());
  }
};
template <class Item, class Send>
struct forward_copy_awaiter : forward_awaiter<Send> {
  Item copy;
  void await_suspend(std::coroutine_handle<> h) noexcept {
    this->body->of->handed.yield(address_of(copy));
    forward_awaiter<Send>::await_suspend(h);
  }
};

/// yield_awaiter as a base of the promise, so that the frame need not hold one. Where AGEN_AWAITER_BY_REFERENCE.
template <class Send, class Return>
struct yielding_promise : promise_with_return<Return> {
  static constexpr auto await_ready() noexcept -> bool { return false; }
  void await_suspend(std::coroutine_handle<> /*body*/) const noexcept { arrive(*this->of, phase::suspended); }
  auto await_resume() -> Send { return take_sent<Send>(*this); }
};

struct final_awaiter {
  static constexpr auto await_ready() noexcept -> bool { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> h) const noexcept {
    finish(h.promise());
  }
  void await_resume() const noexcept {}
};

/// The awaiter of co_yield error(e): the end of the body, which stays suspended here.
struct failing_awaiter {
  std::exception_ptr error;

  static constexpr auto await_ready() noexcept -> bool { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> h) noexcept {
    frame& body = h.promise();
    body.own.keep(std::move(error));
    finish(body);
  }
  void await_resume() const noexcept {}
};

template <class Item>
auto erased(Item* item) noexcept -> void* {
  return const_cast<void*>(static_cast<void const volatile*>(item));
}

// A compiler that misses return_value() or return_void() in the promise prints the promise's type, and so one of these:
// an error of the library's own is not possible there.
struct declare_the_generator_with_a_return_type;
struct its_co_return_has_a_value;
template <class Return>
using advice_on_co_return =
    std::conditional_t<std::is_void_v<Return>, declare_the_generator_with_a_return_type, its_co_return_has_a_value>;

template <class Yield, class Send, class Return, class Advice>
class generator_promise : public yielding_promise<Send, Return> {
  static constexpr bool yields_by_reference = AGEN_AWAITER_BY_REFERENCE;
  using yields = std::conditional_t<yields_by_reference, yielding_promise<Send, Return>&, yield_awaiter<Send>>;
  using item_type = std::remove_reference_t<Yield>;
  static constexpr bool yields_lvalues = std::is_lvalue_reference_v<Yield>;
  /// Whether one of the overloads of yield_value takes it.
  template <class Other>
  static constexpr bool can_yield =
      is_forwarded<std::remove_cvref_t<Other>> ||
      (!std::is_rvalue_reference_v<Yield> && std::is_convertible_v<Other&&, item_type&>) ||
      ((!yields_lvalues || std::is_const_v<item_type>) && std::is_convertible_v<Other&&, item_type&&>) ||
      (!yields_lvalues && !std::is_const_v<item_type> && std::is_copy_constructible_v<item_type> &&
       std::is_convertible_v<Other&&, item_type const&>);

 public:
  generator_promise() noexcept {
    static_assert(alignof(generator_promise) <= 2 * sizeof(void*),
                  "async_generator: a Return type aligned more strictly than two pointers cannot be kept in the "
                  "frame; return a pointer to it");
    static_assert(fits_in_frame<Yield>,
                  "async_generator: an item aligned more strictly than memory from operator new cannot be kept in a "
                  "frame; yield a pointer or an lvalue reference (T&) to it");
    static_assert(fits_in_frame<Send>,
                  "async_generator: a Send type aligned more strictly than memory from operator new cannot be kept in "
                  "a frame; send a pointer to it");
    this->own.leaf = handle_of(*this);
  }

  auto get_return_object() noexcept -> async_generator<Yield, Send, Return> {
    return async_generator<Yield, Send, Return>(*this);
  }
  static auto initial_suspend() noexcept -> std::suspend_always { return {}; }
  static auto final_suspend() noexcept -> final_awaiter { return {}; }
  void unhandled_exception() noexcept { keep_current(this->own); }

  static auto yield_value(agen::error e) noexcept -> failing_awaiter { return {e.take()}; }

  // Items that are lvalues of the item type, whatever Yield is.
  auto yield_value(item_type& item) noexcept -> yields
    requires(!std::is_rvalue_reference_v<Yield>)
  {
    this->of->handed.yield(erased(address_of(item)));
    return yield();
  }
  // Temporaries, and values that convert to the item type: the temporary lives in the frame until the body is resumed.
  auto yield_value(item_type&& item) noexcept -> yields
    requires(!yields_lvalues || std::is_const_v<item_type>)
  {
    check_temporary<item_type>();
    this->of->handed.yield(erased(address_of(item)));
    return yield();
  }
  auto yield_value(item_type const& item) -> yield_copy_awaiter<item_type, Send>
    requires(!yields_lvalues && !std::is_const_v<item_type> && std::is_copy_constructible_v<item_type>)
  {
    return {{this}, item};
  }
  template <class Other>
    requires(!can_yield<Other>)
  auto yield_value(Other&& /*item*/) noexcept -> std::suspend_always {
    static_assert(can_yield<Other> || yields_lvalues,
                  "co_yield: this is no item of the generator; yield something that converts to the Yield of "
                  "async_generator<Yield>, with std::move() if it cannot be copied");
    static_assert(
        can_yield<Other> || !yields_lvalues,
        "co_yield: a generator of T& yields objects of type T that have a name; declare it async_generator<T> to "
        "yield temporaries and what converts");
    return {};
  }
  // An element to which the consumer's reference can bind is passed on as it is. Any other is converted into the frame.
  template <class Element>
  auto yield_value(forwarded<Element> item) {
    constexpr bool binds = std::is_convertible_v<std::remove_reference_t<Element>*, item_type*> &&
                           (!std::is_rvalue_reference_v<Yield> || !std::is_lvalue_reference_v<Element>);
    if constexpr (binds) {
      this->of->handed.yield(erased(static_cast<item_type*>(address_of(item.element))));
      return forward_awaiter<Send>{{this}};
    } else {
      using converted = std::remove_const_t<item_type>;
      constexpr bool by_value = !yields_lvalues || std::is_const_v<item_type>;
      constexpr bool convertible = by_value && std::is_constructible_v<converted, Element&&>;
      static_assert(by_value, "yield_from: the source's items cannot be yielded by reference from this generator");
      static_assert(
          !by_value || convertible,
          "yield_from: the source's items do not convert to this generator's; write yield_from(transform(source, f))");
      if constexpr (convertible) {
        check_temporary<converted>();
        return forward_copy_awaiter<converted, Send>{{{this}},
                                                     static_cast<converted>(static_cast<Element&&>(item.element))};
      } else {
        return forward_awaiter<Send>{{this}};
      }
    }
  }

  template <class Source>
  auto await_transform(delegated<Source>&& request) {
    return delegate_to(static_cast<Source&&>(request.source));
  }
  template <class Awaited>
  auto await_transform(Awaited&& awaited) -> decltype(auto) {
    if constexpr (asks_place<Awaited>) {
      pending const& operation = *this->of->link;
      awaited.await_in(operation.cancellable ? operation.cancellation : nullptr, operation.beside);
    }
    return await_foreign<generator_promise>(static_cast<Awaited&&>(awaited));
  }

 private:
  template <class Temporary>
  static constexpr void check_temporary() noexcept {
    // For an item that is no reference the constructor has checked this.
    static_assert(
        !yields_lvalues || fits_in_frame<Temporary>,
        "co_yield: a temporary aligned more strictly than memory from operator new cannot be kept in a frame; "
        "yield an object that lives elsewhere");
  }

  auto yield() noexcept -> yields {
    if constexpr (yields_by_reference) {
      return *this;
    } else {
      return {this};
    }
  }

  /// A consumer of this generator can take the other's items as they are: of the same type, not const where it may
  /// change them, not another's lvalues where it may move from them.
  template <class Other>
  static constexpr bool same_chain = (std::is_same_v<std::remove_reference_t<Other>, item_type> ||
                                      std::is_same_v<std::remove_reference_t<Other> const, item_type>) &&
                                     (!std::is_rvalue_reference_v<Yield> || !std::is_lvalue_reference_v<Other>);

  template <class Other, class Result>
    requires(same_chain<Other>)
  auto delegate_to(async_generator<Other, Send, Result>&& source) {
    return delegate_awaiter<async_generator<Other, Send, Result>, Send, Result>(std::move(source), *this);
  }
  template <class Other, class Result>
    requires(same_chain<Other>)
  auto delegate_to(async_generator<Other, Send, Result>& source) {
    return delegate_awaiter<async_generator<Other, Send, Result>&, Send, Result>(source, *this);
  }
  template <class Source>
  auto delegate_to(Source&& source);  // in delegation.hpp: for anything else that can be iterated
};

}  // namespace detail
}  // namespace agen

#endif  // AGEN_DETAIL_PROMISE_HPP
