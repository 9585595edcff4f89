// expects: what is awaited accepts only coroutines of its own library
#include <agen/async_generator.hpp>
struct their_promise;
struct theirs {
  auto await_ready() -> bool;
  void await_suspend(std::coroutine_handle<their_promise> h);
  auto await_resume() -> int;
};
auto body() -> agen::async_generator<int> {
  int const i = co_await theirs();
  co_yield i;
}
