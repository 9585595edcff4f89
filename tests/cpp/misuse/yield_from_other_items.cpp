// expects: the source's items cannot be yielded by reference from this generator
#include <agen/async_generator.hpp>
auto words() -> agen::async_generator<char const*> { co_yield "word"; }
auto body() -> agen::async_generator<int&> { co_await agen::yield_from(words()); }
