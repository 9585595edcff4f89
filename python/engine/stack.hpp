// How much is left of a thread's C stack.
#ifndef ASYNC_GENERATOR_ENGINE_STACK_HPP
#define ASYNC_GENERATOR_ENGINE_STACK_HPP

#include "compat.hpp"

namespace engine {

/// A step into something that may come back to the engine, for a scope. Awaitables that await each other nest on the C
/// stack; where no frame of Python lies between, only this counts against the recursion limit. False with
/// RecursionError set.
///
/// Up to 3.13 a count is all that the interpreter has, and it does not know what our steps need of a stack, nor how
/// large a thread's is: a chain went past the end of python.exe's, and of a small thread's anywhere.
class Nested {
 public:
  explicit Nested(char const* where) noexcept : entered_(has_room(where) && Py_EnterRecursiveCall(where) == 0) {}
  ~Nested() {
    if (entered_) Py_LeaveRecursiveCall();
  }
  Nested(Nested const&) = delete;
  auto operator=(Nested const&) -> Nested& = delete;
  explicit operator bool() const noexcept { return entered_; }

  /// False with RecursionError set, when the stack is nearly used up. For a step that the interpreter counts by itself.
  static auto has_room([[maybe_unused]] char const* where) noexcept -> bool {
    if constexpr (compat::knows_its_stack)
      return true;
    else
      return stack_has_room(where);
  }

 private:
  static auto stack_has_room(char const* where) noexcept -> bool;

  bool entered_;
};

}  // namespace engine

#endif
