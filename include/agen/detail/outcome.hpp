// Where a body's return value is kept between co_return and the consumer that takes it.
#ifndef AGEN_DETAIL_OUTCOME_HPP
#define AGEN_DETAIL_OUTCOME_HPP

#include <new>
#include <type_traits>
#include <utility>

#include "../errors.hpp"
#include "frame.hpp"

namespace agen::detail {

template <class Yield>
using reference_of = std::conditional_t<std::is_reference_v<Yield>, Yield, Yield&>;

/// Whether an object can live in a coroutine's frame, which is aligned as memory from operator new is. g++ misplaces an
/// object that needs a stricter alignment, and does not warn.
template <class T>
inline constexpr bool fits_in_frame = alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__;
template <class T>
inline constexpr bool fits_in_frame<T&> = true;
template <class T>
inline constexpr bool fits_in_frame<T&&> = fits_in_frame<T>;
template <>
inline constexpr bool fits_in_frame<void> = true;

/// Second base of a promise, after `frame`.
template <class Return>
struct promise_with_return : frame {
  using stored = std::conditional_t<std::is_reference_v<Return>, std::remove_reference_t<Return>*, Return>;
  union {
    stored value;
  };

  promise_with_return() noexcept {}
  promise_with_return(promise_with_return const&) = delete;
  auto operator=(promise_with_return const&) -> promise_with_return& = delete;
  ~promise_with_return() {
    if (own.has_value) value.~stored();
  }

  template <class Value = Return>
    requires std::is_convertible_v<Value&&, Return>
  void return_value(Value&& returned) {
    if constexpr (std::is_reference_v<Return>) {
      value = detail::address_of(returned);
    } else {
      ::new (static_cast<void*>(detail::address_of(value))) stored(static_cast<Value&&>(returned));
    }
    own.has_value = true;
  }

  auto get() noexcept -> Return&& {
    if constexpr (std::is_reference_v<Return>) {
      return static_cast<Return&&>(*value);
    } else {
      return static_cast<Return&&>(value);
    }
  }
};

template <>
struct promise_with_return<void> : frame {
  void return_void() noexcept {}
};

template <class Return>
auto returned_value(frame& f) -> Return&& {
  if (!f.own.has_value)
    AGEN_THROW(no_return_value("the generator has no return value: it did not end by returning one"));
  return static_cast<promise_with_return<Return>&>(f).get();
}

/// The frame that holds the return value; an empty class where Return is void.
template <class Return>
class source_of {
 public:
  source_of() noexcept = default;
  explicit(false) source_of(frame& f) noexcept : frame_(&f) {}
  [[nodiscard]] auto get() const -> frame& {
    if (frame_ == nullptr) AGEN_THROW(no_return_value("an end without a generator has no return value"));
    return *frame_;
  }

 private:
  frame* frame_ = nullptr;
};
template <>
class source_of<void> {
 public:
  source_of() noexcept = default;
  explicit(false) source_of(frame& /*unused*/) noexcept {}
};

}  // namespace agen::detail

#endif  // AGEN_DETAIL_OUTCOME_HPP
