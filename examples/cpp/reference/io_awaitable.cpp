// docs/cpp/other_runtimes.md: the IoAwaitable protocol of Boost.Capy (P4003). The
// namespace `io` is a stand-in for it, written after the paper, so that the adaptors
// compile without Capy.
#include <agen/agen.hpp>
#include <coroutine>
#include <cstdio>
#include <deque>
#include <exception>
#include <stop_token>
#include <utility>

namespace io {

struct continuation {
  std::coroutine_handle<> h;
};
/// An executor: a queue that main() runs.
struct executor_ref {
  std::deque<continuation*>* queue;
  void post(continuation& c) const { queue->push_back(&c); }
};
struct io_env {
  executor_ref executor;
  std::stop_token stop_token;
};

/// An operation: completes on the executor, with -1 if a stop was requested.
struct read_some {
  int value;
  io_env const* env = nullptr;
  continuation waiting{};

  static auto await_ready() noexcept -> bool { return false; }
  auto await_suspend(std::coroutine_handle<> h, io_env const* e)
      -> std::coroutine_handle<> {
    env = e;
    waiting.h = h;
    env->executor.post(waiting);
    return std::noop_coroutine();
  }
  [[nodiscard]] auto await_resume() const -> int {
    return env->stop_token.stop_requested() ? -1 : value;
  }
};

/// A coroutine that hands its environment to all that it awaits. Here it begins at
/// once.
struct task {
  struct promise_type {
    io_env const* env;

    template <class... Others>
    explicit promise_type(io_env const* e, Others const&... /*unused*/) : env(e) {}
    static auto get_return_object() -> task { return {}; }
    static auto initial_suspend() noexcept -> std::suspend_never { return {}; }
    static auto final_suspend() noexcept -> std::suspend_never { return {}; }
    static void return_void() {}
    static void unhandled_exception() { std::terminate(); }

    template <class Awaitable>
    struct injecting {
      Awaitable inner;
      io_env const* env;
      auto await_ready() { return inner.await_ready(); }
      auto await_suspend(std::coroutine_handle<> h) {
        return inner.await_suspend(h, env);
      }
      auto await_resume() -> decltype(auto) { return inner.await_resume(); }
    };
    template <class Awaitable>
    auto await_transform(Awaitable awaited) const -> injecting<Awaitable> {
      return {std::move(awaited), env};
    }
  };
};

}  // namespace io

// [adaptors]
/// An IoAwaitable, for a body of agen's: `env` is what a task of Capy's would give it.
template <class Operation>
struct within {
  io::io_env const* env;
  Operation operation;

  auto await_ready() -> bool { return operation.await_ready(); }
  auto await_suspend(std::coroutine_handle<> body) {
    return operation.await_suspend(body, env);
  }
  auto await_resume() -> decltype(auto) { return operation.await_resume(); }
};
template <class Operation>
within(io::io_env const*, Operation) -> within<Operation>;

/// An operation of agen's as an IoAwaitable.
template <class Operation>
struct as_io {
  Operation operation;

  auto await_ready() -> bool { return operation.await_ready(); }
  auto await_suspend(std::coroutine_handle<> consumer, io::io_env const* /*env*/)
      -> std::coroutine_handle<> {
    if (operation.await_suspend(consumer)) return std::noop_coroutine();
    return consumer;
  }
  auto await_resume() -> decltype(auto) { return operation.await_resume(); }
};
template <class Operation>
as_io(Operation) -> as_io<Operation>;
// [/adaptors]

// [use]
auto lengths(io::io_env const* env) -> agen::async_generator<int> {
  for (int i = 1;; ++i) {
    int const n = co_await within{env, io::read_some{i}};
    if (n < 0) co_return;  // a stop was requested
    co_yield n;
  }
}

auto consume(io::io_env const* env, std::stop_source& stop) -> io::task {
  auto gen = lengths(env);
  while (auto item = co_await as_io{gen.anext()}) {
    std::printf("read %d\n", *item);
    if (*item == 2) stop.request_stop();
  }
  std::printf("end\n");
}
// [/use]

auto main() -> int {
  std::deque<io::continuation*> queue;
  std::stop_source stop;
  io::io_env const env{{&queue}, stop.get_token()};
  consume(&env, stop);
  while (!queue.empty()) {
    auto* const next = queue.front();
    queue.pop_front();
    next->h.resume();
  }
}
