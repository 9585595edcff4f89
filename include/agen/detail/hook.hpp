// A shared callable for the hooks: what std::function would be, without the weight of <functional>. The library calls
// it with a frame, so that the code which calls a hook need not know what the hook's callable takes.
#ifndef AGEN_DETAIL_HOOK_HPP
#define AGEN_DETAIL_HOOK_HPP

#include <cstddef>
#include <type_traits>
#include <utility>

#include "compiler.hpp"

namespace agen::detail {

struct frame;

/// Holds a callable `void(Argument)`, or nothing; an Argument is made of a frame. Copies share the callable. Every
/// generator that was started under a hook holds a copy, possibly on another thread, so the count is atomic. It
/// changes once per generator, not per item.
template <class Argument>
class hook {
 public:
  constexpr hook() noexcept = default;
  hook(std::nullptr_t) noexcept {}  // NOLINT(google-explicit-constructor): `{nullptr, finalizer}` must read well

  template <class Callable>
    requires(!std::is_same_v<std::remove_cvref_t<Callable>, hook>) &&
            requires(Callable& f, Argument (*make)()) { f(make()); }
  hook(Callable&& callable)  // NOLINT(google-explicit-constructor): any callable is a hook
      : target_(new holder<std::remove_cvref_t<Callable>>(std::forward<Callable>(callable))) {}

  hook(hook const& other) noexcept : target_(other.target_) {
    if (target_ != nullptr) count_up(target_->owners);
  }
  hook(hook&& other) noexcept : target_(std::exchange(other.target_, nullptr)) {}
  auto operator=(hook other) noexcept -> hook& {
    std::swap(target_, other.target_);
    return *this;
  }
  ~hook() {
    if (target_ != nullptr && count_down(target_->owners) == 0) delete target_;
  }

  void reset() noexcept { *this = hook(); }
  explicit operator bool() const noexcept { return target_ != nullptr; }
  void operator()(frame& f) const { target_->call(f); }

 private:
  struct callee {
    callee() = default;
    callee(callee const&) = delete;
    auto operator=(callee const&) -> callee& = delete;
    virtual ~callee() = default;
    virtual void call(frame& f) = 0;
    int owners = 1;
  };
  template <class Callable>
  struct holder final : callee {
    template <class From>
      requires(!std::is_same_v<std::remove_cvref_t<From>, holder>)
    explicit holder(From&& from) : callable(std::forward<From>(from)) {}
    void call(frame& f) override { callable(Argument(f)); }
    Callable callable;
  };

  callee* target_ = nullptr;
};

}  // namespace agen::detail

#endif  // AGEN_DETAIL_HOOK_HPP
