// expects: a Send type aligned more strictly than memory from operator new cannot be kept in
#include <agen/async_generator.hpp>
struct alignas(64) line {};
auto body() -> agen::async_generator<int, line> { co_yield 1; }
