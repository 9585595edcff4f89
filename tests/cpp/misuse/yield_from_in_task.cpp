// expects: yield_from belongs in the body of an async generator
#include <agen/agen.hpp>
auto numbers() -> agen::async_generator<int> { co_yield 1; }
auto body() -> agen::task<> { co_await agen::yield_from(numbers()); }
