// docs/cpp/hooks.md: what an event loop installs, and where dropped
// generators go.
#include <agen/agen.hpp>
#include <cstdio>
#include <deque>
#include <utility>

auto cleanup() -> agen::task<> {
  std::printf("cleanup awaited\n");
  co_return;
}

auto resource() -> agen::async_generator<int> {
  std::exception_ptr error;
  try {
    co_yield 1;
    co_yield 2;
  } catch (...) {
    error = std::current_exception();
  }
  co_await cleanup();
  if (error) std::rethrow_exception(error);
}

// [loop]
/// The part of an event loop that looks after dropped generators.
class loop {
 public:
  loop() : former_(agen::get_asyncgen_hooks()) {
    agen::set_asyncgen_hooks(
        {[](agen::generator_ref) { std::printf("first iteration\n"); },
         [this](agen::abandoned_generator gen) {
           dropped_.push_back(std::move(gen));
         }});
  }
  loop(loop const&) = delete;
  auto operator=(loop const&) -> loop& = delete;
  ~loop() {
    agen::set_asyncgen_hooks(former_);
    // Destroying one may drop others, too.
    while (!dropped_.empty()) static_cast<void>(take());
  }

  auto close_dropped() -> agen::task<> {
    while (!dropped_.empty()) {
      auto gen = take();  // out of the list: closing one may drop others
      co_await gen.aclose();
    }
  }

 private:
  auto take() -> agen::abandoned_generator {
    auto first = std::move(dropped_.front());
    dropped_.pop_front();
    return first;
  }

  agen::asyncgen_hooks former_;
  std::deque<agen::abandoned_generator> dropped_;
};
// [/loop]

// [dropped]
auto passed_on() -> agen::async_generator<int> {
  auto numbers = resource();
  while (auto item = co_await numbers.anext()) co_yield *item;
}

auto forgetful() -> agen::task<> {
  auto gen = passed_on();
  co_await gen.anext();
  // leaves without aclose(): the destructor hands the generator to the finalizer
}
// [/dropped]

auto main() -> int {
  loop here;
  for (int i = 0; i < 2; ++i) agen::sync_wait(forgetful());
  std::printf("dropped\n");
  agen::sync_wait(here.close_dropped());
  agen::sync_wait(forgetful());  // what this drops is destroyed with the loop
}
