// What the tests share: a way to suspend a body until the test says so, threads that it may hop to, and a global
// allocation count.
#ifndef AGEN_TESTS_SUPPORT_HPP
#define AGEN_TESTS_SUPPORT_HPP

#include <agen/agen.hpp>
#include <condition_variable>
#include <coroutine>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace agen_test {

/// Awaiting it suspends until open() is called, which resumes the awaiting coroutine inside.
class gate {
 public:
  static auto await_ready() noexcept -> bool { return false; }
  void await_suspend(std::coroutine_handle<> h) noexcept { waiting_ = h; }
  static void await_resume() noexcept {}

  void open() { std::exchange(waiting_, nullptr).resume(); }
  [[nodiscard]] auto waited_for() const noexcept -> bool { return static_cast<bool>(waiting_); }
  void forget() noexcept { waiting_ = nullptr; }

 private:
  std::coroutine_handle<> waiting_;
};

/// A coroutine that runs by itself from the start and can be destroyed while it is suspended.
class detached {
 public:
  struct promise_type {
    auto get_return_object() noexcept -> detached {
      return detached(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    static auto initial_suspend() noexcept -> std::suspend_never { return {}; }
    static auto final_suspend() noexcept -> std::suspend_always { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { error = std::current_exception(); }
    std::exception_ptr error;
  };
  detached(detached&& other) noexcept : body_(std::exchange(other.body_, nullptr)) {}
  auto operator=(detached&&) -> detached& = delete;
  ~detached() { destroy(); }
  [[nodiscard]] auto done() const -> bool { return body_.done(); }
  void destroy() {
    if (auto const body = std::exchange(body_, nullptr)) body.destroy();
  }
  /// Throws what left the coroutine.
  void rethrow() const {
    if (body_.promise().error) std::rethrow_exception(body_.promise().error);
  }

 private:
  explicit detached(std::coroutine_handle<promise_type> body) noexcept : body_(body) {}
  std::coroutine_handle<promise_type> body_;
};

/// A thread that resumes what is posted to it.
class worker {
 public:
  worker() : thread_([this] { run(); }) {}
  worker(worker const&) = delete;
  auto operator=(worker const&) -> worker& = delete;
  ~worker() {
    {
      std::lock_guard const lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  /// Awaitable: goes on on this thread.
  auto hop() noexcept {
    struct awaiter {
      worker* to;
      static auto await_ready() noexcept -> bool { return false; }
      void await_suspend(std::coroutine_handle<> h) const { to->post(h); }
      static void await_resume() noexcept {}
    };
    return awaiter{this};
  }
  void post(std::coroutine_handle<> h) {
    // Notified under the lock: whoever runs h may destroy this worker.
    std::lock_guard const lock(mutex_);
    queue_.push_back(h);
    changed_.notify_one();
  }

 private:
  void run() {
    for (std::unique_lock lock(mutex_);;) {
      changed_.wait(lock, [this] { return stopped_ || !queue_.empty(); });
      if (queue_.empty()) return;
      auto const next = queue_.front();
      queue_.pop_front();
      lock.unlock();
      next.resume();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::coroutine_handle<>> queue_;
  bool stopped_ = false;
  std::thread thread_;
};

using journal = std::vector<std::string>;

/// Writes into a journal when it is destroyed.
class leaves {
 public:
  leaves(journal& into, std::string word) : into_(&into), word_(std::move(word)) {}
  leaves(leaves const&) = delete;
  auto operator=(leaves const&) -> leaves& = delete;
  ~leaves() { into_->push_back(word_); }

 private:
  journal* into_;
  std::string word_;
};

/// All items of a source, in order.
template <class Source>
auto collect(Source source) -> agen::task<std::vector<std::remove_cvref_t<agen::async_reference_t<Source>>>> {
  std::vector<std::remove_cvref_t<agen::async_reference_t<Source>>> all;
  while (auto item = co_await source.anext()) all.push_back(*item);
  co_return all;
}

inline auto count(int n) -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) co_yield i;
}

}  // namespace agen_test

#endif  // AGEN_TESTS_SUPPORT_HPP
