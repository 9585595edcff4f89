// The example of the Python document: agen2 delegates to agen1, whose return value is
// the value of the delegation.
#include <agen/agen.hpp>
#include <cstdio>
#include <string>

// [agen1]
auto agen1() -> agen::async_generator<int, void, std::string> {
  co_yield 1;
  co_yield 2;
  co_return "great!";
}

auto agen2() -> agen::async_generator<int> {
  std::string const value = co_await agen::yield_from(agen1());
  std::printf("value == \"%s\"\n", value.c_str());
}
// [/agen1]

// [introspection]
// isasyncgenfunction(agen2)
static_assert(agen::is_async_generator_function_v<decltype(agen2)>);
// isasyncgen(agen2())
static_assert(agen::is_async_generator_v<decltype(agen2())>);
// collections.abc.AsyncGenerator
static_assert(agen::async_generator_like<agen::async_generator<int>>);
static_assert(!agen::is_async_generator_function_v<decltype([] { return 1; })>);
// [/introspection]

auto consume() -> agen::task<> {
  auto gen = agen2();
  while (auto item = co_await gen.anext()) std::printf("%d\n", *item);
}

auto main() -> int { agen::sync_wait(consume()); }
