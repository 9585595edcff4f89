// docs/cpp/hooks.md: what an event loop installs, and what becomes of dropped
// generators.
#include <agen/agen.hpp>
#include <cstdio>
#include <vector>

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
  ~loop() { agen::set_asyncgen_hooks(former_); }

  auto close_dropped() -> agen::task<> {
    for (auto& gen : dropped_) co_await gen.aclose();
    dropped_.clear();
  }

 private:
  agen::asyncgen_hooks former_;
  std::vector<agen::abandoned_generator> dropped_;
};
// [/loop]

// [dropped]
auto forgetful() -> agen::task<> {
  auto gen = resource();
  co_await gen.anext();
  // leaves without aclose(): the destructor hands the generator to the finalizer
}
// [/dropped]

auto main() -> int {
  loop here;
  agen::sync_wait(forgetful());
  std::printf("dropped\n");
  agen::sync_wait(here.close_dropped());
}
