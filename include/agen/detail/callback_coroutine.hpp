// A coroutine's handle that calls a function: for what waits for a generator or a task without being a coroutine.
#ifndef AGEN_DETAIL_CALLBACK_COROUTINE_HPP
#define AGEN_DETAIL_CALLBACK_COROUTINE_HPP

#include "compiler.hpp"  // first: see there

#include <coroutine>

namespace agen::detail {

/// Stands for a consumer's coroutine. In every ABI a coroutine's frame begins with pointers to the functions that
/// resume() and destroy() call, so that code of different compilers can be linked; this class begins with such
/// pointers. A body "resumes" it like any consumer: the callback costs the generator no branch, and its owner no frame.
/// The compiler must not see which functions these are. clang calls coroutines by a convention of its own, which for
/// one pointer has the same effect as the ordinary one, and treats a call whose convention it can see to be wrong as
/// unreachable.
///
/// \tparam Call  called with the context, once a wait; may destroy this object
template <void (*Call)(void* context) noexcept>
class callback_coroutine {
 public:
  explicit callback_coroutine(void* context) noexcept : context_(context) {}
  callback_coroutine(callback_coroutine const&) = delete;
  auto operator=(callback_coroutine const&) -> callback_coroutine& = delete;
  ~callback_coroutine() = default;

  /// What the awaiting side is given as its consumer.
  auto handle() noexcept -> std::coroutine_handle<> { return std::coroutine_handle<>::from_address(this); }

 private:
  static void resumed(callback_coroutine* self) noexcept { Call(self->context_); }
  static void ignored(callback_coroutine* /*self*/) noexcept {}

  void (*resume_)(callback_coroutine*) = opaque(&resumed);
  void (*destroy_)(callback_coroutine*) = opaque(&ignored);
  void* context_;
};

}  // namespace agen::detail

#endif  // AGEN_DETAIL_CALLBACK_COROUTINE_HPP
