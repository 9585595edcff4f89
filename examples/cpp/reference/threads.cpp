// docs/cpp/threads.md: a body that is resumed on another thread.
#include <agen/agen.hpp>
#include <cstdio>
#include <thread>

// [hop]
/// An awaiting body continues on a new thread.
struct new_thread {
  std::thread& into;
  static auto await_ready() noexcept -> bool { return false; }
  void await_suspend(std::coroutine_handle<> body) const {
    std::thread& kept = into;  // once the thread runs, this awaiter may be gone
    kept = std::thread([body] { body.resume(); });
  }
  static void await_resume() noexcept {}
};

auto two_threads(std::thread& other) -> agen::async_generator<std::thread::id> {
  co_yield std::this_thread::get_id();
  co_await new_thread{other};
  co_yield std::this_thread::get_id();
}

auto consume(std::thread& other) -> agen::task<bool> {
  auto gen = two_threads(other);
  auto const first = *co_await gen.anext();
  auto const second = *co_await gen.anext();
  // This runs on the new thread if the consumer had suspended before the item came,
  // otherwise on the old one.
  co_return first != second;
}
// [/hop]

auto main() -> int {
  std::thread other;
  bool const moved = agen::sync_wait(consume(other));
  other.join();
  std::printf("the body changed threads: %d\n", moved);
}
