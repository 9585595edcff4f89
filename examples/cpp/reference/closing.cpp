// docs/cpp/closing.md: a body whose destructors are all its cleanup.
#include <agen/agen.hpp>
#include <cstdio>

struct connection {
  ~connection() { std::printf("disconnected\n"); }
  auto row() -> int { return ++last; }
  int last = 0;
};

// [rows]
auto rows(agen::destroyed_on_close = {}) -> agen::async_generator<int> {
  connection from;
  for (;;) co_yield from.row();
}

auto first_row() -> agen::task<> {
  co_await agen::for_each(rows(), [](int row) {
    std::printf("row %d\n", row);
    return false;  // ends the loop, which closes the generator
  });
  std::printf("after the loop\n");
}
// [/rows]

auto main() -> int { agen::sync_wait(first_row()); }
