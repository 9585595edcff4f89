// aclosing: a scope that always awaits the aclose() of what it uses, as contextlib.aclosing does.
#ifndef AGEN_CLOSING_HPP
#define AGEN_CLOSING_HPP

#include "async_generator.hpp"
#include "task.hpp"
#include "traits.hpp"

namespace agen {

namespace detail {
template <class T>
inline constexpr bool is_task = false;
template <class T>
inline constexpr bool is_task<task<T>> = true;

/// The value of a call whose result may be awaitable: the result, or what awaiting it gives.
template <class Result>
struct awaited_value {
  using type = Result;
};
template <class Result>
  requires(natively_awaitable<Result>)
struct awaited_value<Result> {
  using type = await_result<Result>;
};
template <class F, class... Args>
using awaited_t = typename awaited_value<std::invoke_result_t<F, Args...>>::type;
}  // namespace detail

/// `co_await aclosing(generator, body)`: calls `body(generator)`, awaits what it returns, and awaits
/// `generator.aclose()` in every case: when the body returns, when it throws, and when it is thrown into. Gives what
/// the body gave.
///
///     int first = co_await aclosing(numbers(), [](auto& gen) -> agen::task<int> {
///       auto item = co_await gen.anext();
///       co_return *item;
///     });
///
/// An rvalue generator is kept and destroyed afterwards, an lvalue is referred to. Throws what the body throws, or what
/// aclose throws, which takes the place of the former as an exception in a `finally` does.
///
/// C++ cannot await in a destructor; a scope written as a function is the form in which nothing can be forgotten.
template <class Generator, class Body>
auto aclosing(Generator&& generator, Body body) -> task<detail::awaited_t<Body&, std::remove_reference_t<Generator>&>>;

namespace detail {

template <class Generator, class Body>
auto aclose_after(Generator generator, Body body) -> task<awaited_t<Body&, std::remove_reference_t<Generator>&>> {
  using raw = std::invoke_result_t<Body&, std::remove_reference_t<Generator>&>;
  using result = awaited_t<Body&, std::remove_reference_t<Generator>&>;
  std::exception_ptr error;
  if constexpr (std::is_void_v<result>) {
    AGEN_TRY {
      if constexpr (natively_awaitable<raw>) {
        co_await body(generator);
      } else {
        body(generator);
      }
    }
    AGEN_CATCH(...) { error = current_error(); }
    co_await generator.aclose();
    if (error) std::rethrow_exception(std::move(error));
  } else {
    task_result<result> kept;
    AGEN_TRY {
      if constexpr (natively_awaitable<raw>) {
        kept.return_value(co_await body(generator));
      } else {
        kept.return_value(body(generator));
      }
    }
    AGEN_CATCH(...) { kept.raised = current_error(); }
    co_await generator.aclose();
    co_return kept.take();
  }
}

}  // namespace detail

template <class Generator, class Body>
auto aclosing(Generator&& generator, Body body) -> task<detail::awaited_t<Body&, std::remove_reference_t<Generator>&>> {
  static_assert(
      requires(std::remove_reference_t<Generator>& g) { g.aclose(); },
      "aclosing(generator, body): the first argument needs an awaitable aclose()");
  return detail::aclose_after<Generator, Body>(static_cast<Generator&&>(generator), std::move(body));
}

}  // namespace agen

#endif  // AGEN_CLOSING_HPP
