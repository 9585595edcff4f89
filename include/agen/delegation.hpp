// yield_from: a body delegates to another generator, to anything else with anext(), or to a range. Comes with
// async_generator.hpp, which a body needs in any case; here are templates only, and the generator is an incomplete
// type.
#ifndef AGEN_DELEGATION_HPP
#define AGEN_DELEGATION_HPP

#include "detail/promise.hpp"
#include "errors.hpp"
#include "traits.hpp"

namespace agen {

/// `co_await yield_from(source)` in a body: the consumer gets the items of `source` as if the body yielded them itself;
/// the value of the expression is the return value of `source`. (PEP 380; for async generators PEP 828)
///
/// What is sent, thrown and closed goes to `source`; what leaves it comes out of the expression, where the body may
/// catch it. Closing the body closes `source` first, then throws a generator_exit of its own into the body.
///
///   - an async_generator with the same items and Send, any Return: attached in O(1), whatever it has done so far and
///     delegates to itself; an item costs the same at any depth. While it is attached, any other operation on it finds
///     it running.
///   - anything else with anext(), whose answer is true and is dereferenced for an item: asend, athrow and aclose are
///     used where it has them, `returned()` of its last answer gives the value. A helper generator iterates it.
///   - a range: each element. What is thrown comes out of the expression. A helper generator iterates it.
///
/// An rvalue is moved into the body's frame, an lvalue is referred to and stays the caller's.
///
/// Errors: already_running if `source` is running (itself or a generator that waits for it, too); nothing_sent if it
/// has begun and its co_yield needs a value, Send having no default; send_unsupported if a value is sent to something
/// that takes none; ignored_generator_exit if `source` yields while it is closed; delegate_destroyed if its owner
/// destroys it meanwhile; no_return_value if it has a Return and was closed before it returned one.
template <class Source>
[[nodiscard("yield_from does nothing until it is awaited: write co_await yield_from(source)")]] auto yield_from(
    Source&& source) noexcept -> detail::delegated<Source> {
  static_assert(
      async_iterable<Source> || detail::range<Source>,
      "yield_from(source): source has to be an async generator, something with an awaitable anext(), or a range");
  return {static_cast<Source&&>(source)};
}

namespace detail {

template <class Yield, class Send, class Range>
auto each_of(Range source) -> async_generator<Yield, Send, void> {
  for (auto&& element : source) {
    if constexpr (std::is_void_v<Send>) {
      co_yield forward_item(static_cast<decltype(element)>(element));
    } else {
      auto* const given = co_yield forward_item(static_cast<decltype(element)>(element));
      if (given != nullptr) {
        AGEN_THROW(send_unsupported("yield_from(range): a value was sent, and a range takes none"));
      }
    }
  }
}

template <class Source>
using anext_answer = std::remove_cvref_t<await_result<decltype(std::declval<Source&>().anext())>>;

template <class Answer>
struct return_of {
  using type = void;
};
template <class Answer>
  requires requires(Answer& a) { a.returned(); }
struct return_of<Answer> {
  using type = std::remove_cvref_t<decltype(std::declval<Answer&>().returned())>;
};

/// Holds one answer of a source; the type of the answer need not be assignable.
template <class Answer>
class answer_box {
 public:
  answer_box() noexcept {}
  answer_box(answer_box const&) = delete;
  auto operator=(answer_box const&) -> answer_box& = delete;
  ~answer_box() { clear(); }
  void clear() noexcept {
    if (std::exchange(full_, false)) answer_.~Answer();
  }
  template <class From>
  void put(From&& from) {
    clear();
    ::new (static_cast<void*>(address_of(answer_))) Answer(static_cast<From&&>(from));
    full_ = true;
  }
  auto get() noexcept -> Answer& { return answer_; }

 private:
  union {
    Answer answer_;
  };
  bool full_ = false;
};

/// Forwards each operation of its consumer to `source`: the fallback where the source cannot be attached to the chain.
template <class Yield, class Send, class Source>
auto each_awaited(Source source) -> async_generator<Yield, Send, typename return_of<anext_answer<Source>>::type> {
  using returned = typename return_of<anext_answer<Source>>::type;
  answer_box<anext_answer<Source>> answer;
  answer.put(co_await source.anext());
  while (answer.get()) {
    std::exception_ptr thrown;
    [[maybe_unused]] std::conditional_t<std::is_void_v<Send>, char, Send>* sent = nullptr;
    AGEN_TRY {
      if constexpr (std::is_void_v<Send>) {
        co_yield forward_item(*answer.get());
      } else {
        auto* const given = co_yield forward_item(*answer.get());
        sent = given;  // as one expression this is an internal error of g++ 12
      }
    }
    AGEN_CATCH(...) { thrown = detail::current_error(); }
    if (thrown && is_exit(thrown)) {
      if constexpr (requires { source.aclose(); }) co_await source.aclose();
      std::rethrow_exception(thrown);
    }
    if (thrown) {
      if constexpr (requires { source.athrow(thrown); }) {
        answer.put(co_await source.athrow(thrown));
      } else {
        std::rethrow_exception(thrown);
      }
    } else if (sent == nullptr) {
      answer.put(co_await source.anext());
    } else if constexpr (!std::is_void_v<Send>) {
      if constexpr (sends<Source, Send>) {
        answer.put(co_await source.asend(static_cast<Send&&>(*sent)));
      } else {
        AGEN_THROW(send_unsupported("yield_from: a value was sent, and the source has no asend()"));
      }
    }
  }
  if constexpr (!std::is_void_v<returned>) co_return answer.get().returned();
}

template <class Yield, class Send, class Return, class Advice>
template <class Source>
auto generator_promise<Yield, Send, Return, Advice>::delegate_to(Source&& source) {
  // For an lvalue the helper's parameter is a reference, and the caller keeps the source.
  if constexpr (async_iterable<Source>) {
    auto helper = each_awaited<Yield, Send, Source>(static_cast<Source&&>(source));
    using result = typename decltype(helper)::return_type;
    return delegate_awaiter<decltype(helper), Send, result>(std::move(helper), *this);
  } else if constexpr (range<Source>) {
    auto helper = each_of<Yield, Send, Source>(static_cast<Source&&>(source));
    return delegate_awaiter<decltype(helper), Send, void>(std::move(helper), *this);
  } else {
    return std::suspend_never();  // the static_assert of yield_from reports it
  }
}

}  // namespace detail
}  // namespace agen

#endif  // AGEN_DELEGATION_HPP
