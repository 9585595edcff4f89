// expects: transform(source, f): f cannot be called with an item of source
#include <agen/agen.hpp>
#include <string>
auto numbers() -> agen::async_generator<int> { co_yield 1; }
auto body() -> agen::task<> {
  auto gen = numbers() | agen::transform([](std::string const& s) { return s.size(); });
  co_await gen.anext();
}
