// docs/cpp/task.md: task, sync_wait, and how to await other runtimes.
#include <agen/agen.hpp>
#include <cstdio>
#include <functional>
#include <queue>

// [task]
auto twice(int n) -> agen::task<int> { co_return 2 * n; }

auto doubled(int n) -> agen::async_generator<int> {
  for (int i = 1; i <= n; ++i) {
    int value = co_await twice(i);
    co_yield value;
  }
}

auto sum() -> agen::task<int> {
  auto gen = doubled(3);
  int all = 0;
  while (auto item = co_await gen.anext()) all += *item;
  co_return all;
}
// [/task]

// [adapter]
/// A callback interface of another library.
struct request {
  int number;
};
std::queue<std::function<void()>> loop;
void start(request r, std::function<void(int)> done) {
  loop.push([r, done] { done(r.number + 100); });
}

template <>
struct agen::await_adapter<request> {
  struct awaiter {
    request what;
    int answer = 0;
    static auto await_ready() noexcept -> bool { return false; }
    void await_suspend(std::coroutine_handle<> body) {
      start(what, [this, body](int value) {
        answer = value;
        body.resume();
      });
    }
    [[nodiscard]] auto await_resume() const noexcept -> int { return answer; }
  };
  static auto adapt(request what) -> awaiter { return {what}; }
};

auto answers() -> agen::async_generator<int> {
  // Awaitable in every generator and task from here on.
  int first = co_await request{1};
  co_yield first;
}
// [/adapter]

/// Runs by itself; sync_wait would block the thread that the loop runs on.
struct started {
  struct promise_type {
    static auto get_return_object() noexcept -> started { return {}; }
    static auto initial_suspend() noexcept -> std::suspend_never { return {}; }
    static auto final_suspend() noexcept -> std::suspend_never { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};
auto show(agen::async_generator<int> gen) -> started {
  while (auto item = co_await gen.anext()) std::printf("%d\n", *item);
}

auto main() -> int {
  std::printf("%d\n", agen::sync_wait(sum()));
  show(answers());
  for (; !loop.empty(); loop.pop()) loop.front()();
}
