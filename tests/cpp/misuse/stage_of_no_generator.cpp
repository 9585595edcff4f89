// expects: stage(body): what body(source) returns has to be an async_generator
#include <agen/agen.hpp>
auto numbers() -> agen::async_generator<int> { co_yield 1; }
auto body() -> agen::task<> {
  auto gen = numbers() | agen::stage([](auto& source) { return source.anext(); });
  co_await gen.anext();
}
