// expects: (Source&& source, Adaptor&& adaptor) -> decltype(auto) {  // one that is called: transform(f), take(3)
#include <agen/agen.hpp>
auto numbers() -> agen::async_generator<int> { co_yield 1; }
auto body() -> agen::task<> {
  auto gen = numbers() | agen::transform;
  co_await gen.anext();
}
