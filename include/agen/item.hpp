// What anext, asend and athrow answer: an item, or the end of iteration with the generator's return value.
#ifndef AGEN_ITEM_HPP
#define AGEN_ITEM_HPP

#include "detail/outcome.hpp"
#include "errors.hpp"

namespace agen {

/// An item by reference into the body's frame, or the end: true or false.
///
/// `*item` is `Yield` itself if that is a reference type, otherwise `Yield&`; `std::move(*item)` moves the item out.
/// The reference holds until the next operation on the generator, or until the generator is destroyed.
template <class Yield, class Return>
class item {
 public:
  using reference = detail::reference_of<Yield>;
  using pointer = std::remove_reference_t<Yield>*;

  /// An end without a return value.
  item() noexcept = default;
  /// \internal What an operation answers.
  item(void* at_item, detail::frame& source) noexcept : item_(static_cast<pointer>(at_item)), source_(source) {}

  /// True: an item. False: the generator has ended.
  explicit operator bool() const noexcept { return item_ != nullptr; }

  /// The item. Only for an item that is true.
  auto operator*() const noexcept -> reference { return static_cast<reference>(*item_); }
  /// The item's members. Only for an item that is true.
  auto operator->() const noexcept -> pointer { return item_; }

  /// At the end: what the body gave to `co_return`, by reference into its frame; each end has it, not only the first.
  /// Throws no_return_value if the body did not end at a co_return, or if this is an item.
  auto returned() const -> std::add_rvalue_reference_t<Return>
    requires(!std::is_void_v<Return>)
  {
    if (item_ != nullptr) AGEN_THROW(no_return_value("the generator has yielded, not returned"));
    return detail::returned_value<Return>(source_.get());
  }

 private:
  pointer item_ = nullptr;
  [[no_unique_address]] detail::source_of<Return> source_;
};

/// What try_anext() answers: an item, the end, or the exception that left the body.
///
///     auto got = co_await gen.try_anext();
///     if (got) use(*got);
///     else if (got.error()) std::rethrow_exception(got.error());  // or whatever is to be done about it
template <class Yield, class Return>
class attempt : public item<Yield, Return> {
 public:
  attempt() noexcept = default;
  /// \internal What an operation answers.
  attempt(void* at_item, detail::frame& source, std::exception_ptr error) noexcept
      : item<Yield, Return>(at_item, source), error_(std::move(error)) {}

  /// The exception; null for an item and for an end.
  [[nodiscard]] auto error() const noexcept -> std::exception_ptr const& { return error_; }

 private:
  std::exception_ptr error_;
};

}  // namespace agen

#endif  // AGEN_ITEM_HPP
