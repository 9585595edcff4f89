// expects: an item aligned more strictly than memory from operator new cannot be kept in a
#include <agen/async_generator.hpp>
struct alignas(64) line {};
auto body() -> agen::async_generator<line> { co_yield line(); }
