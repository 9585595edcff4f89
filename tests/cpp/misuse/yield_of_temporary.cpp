// expects: a generator of T& yields objects of type T that have a name
#include <agen/async_generator.hpp>
auto body() -> agen::async_generator<int&> { co_yield 5; }
