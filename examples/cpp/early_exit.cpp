// Leaving a loop early: aclosing awaits the cleanup of the generator in every case.
#include <agen/agen.hpp>
#include <cstdio>
#include <exception>

auto release(char const* what) -> agen::task<> {
  std::printf("released %s\n", what);
  co_return;
}

auto numbers() -> agen::async_generator<int> {
  std::exception_ptr error;
  try {
    for (int i = 1;; ++i) co_yield i;
  } catch (...) {
    error = std::current_exception();
  }
  co_await agen::shielded(release("numbers"));
  std::rethrow_exception(error);
}

// [aclosing]
auto first_above(int limit) -> agen::task<int> {
  co_return co_await agen::aclosing(numbers(), [limit](auto& gen) -> agen::task<int> {
    while (auto item = co_await gen.anext()) {
      if (*item > limit) co_return *item;
    }
    co_return 0;
  });
}
// [/aclosing]

auto main() -> int {
  std::printf("%d\n", agen::sync_wait(first_above(3)));
  auto gen = numbers();
  agen::sync_wait(gen.anext());
  agen::sync_wait(gen.aclose());
  std::printf("closed: %s\n", gen.closed() ? "yes" : "no");
}
