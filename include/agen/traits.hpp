// What is an async generator, and what can be iterated like one: the C++ counterpart of inspect.isasyncgen and its kin.
#ifndef AGEN_TRAITS_HPP
#define AGEN_TRAITS_HPP

#include "detail/await.hpp"

namespace agen {

template <class Yield, class Send, class Return>
class async_generator;

template <class T>
inline constexpr bool is_async_generator_v = false;
/// T is a specialisation of async_generator (inspect.isasyncgen). References and const are looked through.
template <class T>
  requires(!std::is_same_v<T, std::remove_cvref_t<T>>)
inline constexpr bool is_async_generator_v<T> = is_async_generator_v<std::remove_cvref_t<T>>;
template <class Yield, class Send, class Return>
inline constexpr bool is_async_generator_v<async_generator<Yield, Send, Return>> = true;

namespace detail {

template <class F>
inline constexpr bool makes_generator = false;
template <class F>
  requires requires { &F::operator(); }
inline constexpr bool makes_generator<F> = makes_generator<decltype(&F::operator())>;
template <class R, class... A>
inline constexpr bool makes_generator<R(A...)> = is_async_generator_v<R>;
template <class R, class... A>
inline constexpr bool makes_generator<R(A...) noexcept> = is_async_generator_v<R>;
template <class R, class... A>
inline constexpr bool makes_generator<R (*)(A...)> = is_async_generator_v<R>;
template <class R, class... A>
inline constexpr bool makes_generator<R (*)(A...) noexcept> = is_async_generator_v<R>;
template <class R, class C, class... A>
inline constexpr bool makes_generator<R (C::*)(A...)> = is_async_generator_v<R>;
template <class R, class C, class... A>
inline constexpr bool makes_generator<R (C::*)(A...) noexcept> = is_async_generator_v<R>;
template <class R, class C, class... A>
inline constexpr bool makes_generator<R (C::*)(A...) const> = is_async_generator_v<R>;
template <class R, class C, class... A>
inline constexpr bool makes_generator<R (C::*)(A...) const noexcept> = is_async_generator_v<R>;
template <class R, class C, class... A>
inline constexpr bool makes_generator<R (C::*)(A...) &> = is_async_generator_v<R>;
template <class R, class C, class... A>
inline constexpr bool makes_generator<R (C::*)(A...) & noexcept> = is_async_generator_v<R>;
template <class R, class C, class... A>
inline constexpr bool makes_generator<R (C::*)(A...) const&> = is_async_generator_v<R>;
template <class R, class C, class... A>
inline constexpr bool makes_generator<R (C::*)(A...) const & noexcept> = is_async_generator_v<R>;
template <class R, class C, class... A>
inline constexpr bool makes_generator<R (C::*)(A...) &&> = is_async_generator_v<R>;
template <class R, class C, class... A>
inline constexpr bool makes_generator<R (C::*)(A...) && noexcept> = is_async_generator_v<R>;

template <class T>
concept range = requires(T& r) { begin(r) != end(r); } || requires(T& r) { r.begin() != r.end(); } ||
                std::is_array_v<std::remove_reference_t<T>>;

template <class T, class Value>
concept sends = requires(T& t, Value& value) { t.asend(static_cast<Value&&>(value)).await_ready(); };

}  // namespace detail

/// Calling F gives an async generator (inspect.isasyncgenfunction). F: a function, a pointer to one or to a member, a
/// lambda or an object with one operator(); for a generic lambda, or with Args, what F returns when called with Args.
template <class F, class... Args>
inline constexpr bool is_async_generator_function_v = [] {
  if constexpr (sizeof...(Args) != 0) {
    if constexpr (std::is_invocable_v<F, Args...>) {
      return is_async_generator_v<std::invoke_result_t<F, Args...>>;
    } else {
      return false;
    }
  } else {
    return detail::makes_generator<std::remove_cvref_t<F>>;
  }
}();

/// Something with an awaitable anext(), whose answer tests true for an item and gives it by `*` (the async iterator of
/// PEP 492, in C++).
template <class T>
concept async_iterable = requires(T& t) {
  requires detail::natively_awaitable<decltype(t.anext())>;
  requires requires(detail::await_result<decltype(t.anext())> answer) {
    answer ? 0 : 1;
    *answer;
  };
};

/// An async_iterable that can be thrown into and closed as PEP 525 says: an async generator, or a wrapper with
/// the same operations. asend is left out, as a generator without Send has none.
template <class T>
concept async_generator_like = async_iterable<T> && requires(T& t, std::exception_ptr error) {
  requires detail::natively_awaitable<decltype(t.athrow(error))>;
  requires detail::natively_awaitable<decltype(t.aclose())>;
};

/// `*item` of an async_iterable: a reference or a value.
template <async_iterable T>
using async_reference_t = decltype(*std::declval<detail::await_result<decltype(std::declval<T&>().anext())>&>());

}  // namespace agen

#endif  // AGEN_TRAITS_HPP
