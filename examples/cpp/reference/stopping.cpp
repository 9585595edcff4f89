// docs/cpp/stopping.md: events, stop tokens, cleanup that awaits, closures that live
// long enough.
#include <agen/agen.hpp>
#include <agen/std_stop.hpp>
#include <cstdio>
#include <string>

// [body]
auto ticks(agen::event& tick) -> agen::async_generator<int> {
  auto const lines = [&tick]() -> agen::task<> {
    co_await tick;  // a request to stop arrives here
    tick.reset();
  };
  auto const released = []() -> agen::task<> {
    std::printf("released\n");  // may await, and is not stopped itself
    co_return;
  };
  for (int i = 0;; ++i) {
    co_await agen::with_cleanup(lines, released);
    co_yield i;
  }
}
// [/body]

// [consumer]
auto consume(agen::event& tick, std::stop_token token) -> agen::task<> {
  auto gen = ticks(tick);
  try {
    for (;;) {
      auto item = co_await agen::with_stop(token, gen.anext());
      std::printf("item %d\n", *item);
    }
  } catch (agen::stopped const&) {
    std::printf("stopped\n");
  }
}
// [/consumer]

// [asking]
auto polite(int n) -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) {
    auto const token = co_await agen::stop_token();
    if (token.stop_requested()) co_return;
    co_yield i;
  }
}
// [/asking]

// [invoke]
auto greeting(std::string name) {
  // Without co_invoke the closure, and `name` with it, would be gone when the body
  // runs.
  return agen::co_invoke([name]() -> agen::async_generator<std::string> {
    co_yield "hello";
    co_yield name;
  });
}
// [/invoke]

auto main() -> int {
  agen::event tick;
  std::stop_source source;
  agen::sync_wait(
      agen::when_all(consume(tick, source.get_token()),
                     [](agen::event& e, std::stop_source& s) -> agen::task<> {
                       e.set();
                       s.request_stop();
                       co_return;
                     }(tick, source)));
  agen::sync_wait([](std::stop_token token) -> agen::task<> {
    auto gen = polite(3);
    auto item = co_await agen::with_stop(token, gen.anext());
    std::printf("after the request: %s\n", item ? "an item" : "the end");
  }(source.get_token()));
  agen::sync_wait([]() -> agen::task<> {
    auto words = greeting("world");
    while (auto word = co_await words.anext()) std::printf("%s\n", word->c_str());
  }());
}
