// An async context manager, which is a generator that yields once, holds a resource.
// Acquiring and releasing it both await.
#include <agen/agen.hpp>
#include <cstdio>
#include <stdexcept>
#include <string>

struct connection {
  std::string name;
  auto query(int n) const -> agen::task<int> {
    if (n < 0) throw std::invalid_argument("negative");
    co_return n* n;
  }
};

auto connect(std::string name) -> agen::task<connection> {
  std::printf("connect to %s\n", name.c_str());
  co_return connection{std::move(name)};
}
auto shut_down(connection& c) -> agen::task<> {
  std::printf("shut down %s\n", c.name.c_str());
  co_return;
}

// [manager]
auto connected(std::string name) -> agen::async_generator<connection> {
  connection c = co_await connect(std::move(name));
  std::exception_ptr error;
  try {
    co_yield c;
  } catch (...) {
    error = std::current_exception();
  }
  // C++ cannot await inside a catch: clean up after it, then rethrow the exception.
  co_await agen::shielded(shut_down(c));
  if (error) std::rethrow_exception(error);
}

auto use() -> agen::task<> {
  auto const squared = co_await agen::async_with(
      connected("left"), [](connection& c) { return c.query(7); });
  std::printf("7 squared is %d\n", *squared);
}
// [/manager]

auto use_badly() -> agen::task<> {
  try {
    co_await agen::async_with(connected("right"),
                              [](connection& c) { return c.query(-1); });
  } catch (std::invalid_argument const& error) {
    std::printf("caught: %s\n", error.what());
  }
}

auto main() -> int {
  agen::sync_wait(use());
  agen::sync_wait(use_badly());
}
