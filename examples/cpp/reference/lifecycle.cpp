// docs/cpp/lifecycle.md: states, and which operations are refused.
#include <agen/agen.hpp>
#include <cstdio>

auto echo() -> agen::async_generator<int, int> {
  int sent = 0;
  for (;;) {
    int const given = co_yield sent;
    sent = given;
  }
}

// [states]
auto states() -> agen::task<> {
  auto gen = echo();
  std::printf("created: %d\n", gen.state() == agen::state::created);
  try {
    co_await gen.asend(1);
  } catch (agen::just_started const& error) {
    std::printf("%s\n", error.what());
  }
  co_await gen.anext();
  std::printf("suspended: %d\n", gen.state() == agen::state::suspended);
  co_await gen.aclose();
  std::printf("closed: %d\n", gen.closed());
  auto item = co_await gen.anext();
  std::printf("an item: %d\n", static_cast<bool>(item));
}
// [/states]

// [ignored]
auto stubborn() -> agen::async_generator<int> {
  bool again = true;
  while (again) {
    again = false;
    try {
      co_yield 1;
    } catch (agen::generator_exit const&) {
      again = true;  // neither rethrown nor returned
    }
  }
}

auto close_stubborn() -> agen::task<> {
  auto gen = stubborn();
  co_await gen.anext();
  try {
    co_await gen.aclose();
  } catch (agen::ignored_generator_exit const& error) {
    std::printf("%s\n", error.what());
  }
}
// [/ignored]

auto main() -> int {
  agen::sync_wait(states());
  agen::sync_wait(close_stubborn());
}
