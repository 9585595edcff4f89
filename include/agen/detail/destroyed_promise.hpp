// The promise of a body that is destroyed when it is closed.
#ifndef AGEN_DETAIL_DESTROYED_PROMISE_HPP
#define AGEN_DETAIL_DESTROYED_PROMISE_HPP

#include "../async_generator.hpp"

namespace agen {

struct destroyed_on_close;

namespace detail {

/// A parameter for which execution.hpp has a promise of its own.
template <class Parameter>
inline constexpr bool stays_on = false;
/// Whether these are the parameters of a body that is destroyed when it is closed. What stay_on adds, it adds to that.
template <class... Parameters>
concept asks_for_destruction =
    (std::is_same_v<std::remove_cvref_t<Parameters>, destroyed_on_close> || ...) && (!stays_on<Parameters> && ...);

template <class Promise>
class destroyed_promise : public Promise {
 public:
  destroyed_promise() noexcept { this->own.closing = control::destroyed_on_close; }

  // The compiler cannot elide the allocation, as it does not see where a generator is destroyed: drop() is out of line.
  static auto operator new(std::size_t size) -> void* {
    void* both = ::operator new(size + sizeof(frame_memory));
    AGEN_FORGET_ORIGIN(both);
    auto* const memory = ::new (both) frame_memory;
    return memory + 1;
  }
  static void operator delete(void* frame, std::size_t /*size*/) noexcept {
    AGEN_FORGET_ORIGIN(frame);
    if (!frame_memory::of(frame).kept) return release(frame);
    ::new (frame) destroyed{nullptr, &release};
  }

 private:
  /// What a coroutine's handle points to, once the coroutine is gone: destroying it frees the memory.
  struct destroyed {
    void (*resume)(void*);
    void (*destroy)(void*);
  };

  static void release(void* frame) noexcept { ::operator delete(static_cast<void*>(&frame_memory::of(frame))); }
};

}  // namespace detail
}  // namespace agen

template <class Yield, class Send, class Return, class... Parameters>
  requires agen::detail::asks_for_destruction<Parameters...>
struct std::coroutine_traits<agen::async_generator<Yield, Send, Return>, Parameters...> {
  using promise_type =
      agen::detail::destroyed_promise<typename agen::async_generator<Yield, Send, Return>::promise_type>;
};

#endif  // AGEN_DETAIL_DESTROYED_PROMISE_HPP
