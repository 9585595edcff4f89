// expects: source has to be an async generator, something with an awaitable anext(), or a range
#include <agen/async_generator.hpp>
auto body() -> agen::async_generator<int> { co_await agen::yield_from(5); }
