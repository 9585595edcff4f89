// expects: a result aligned more strictly than memory from operator new cannot be kept in a frame
#include <agen/agen.hpp>
struct alignas(64) line {};
auto body() -> agen::task<line> { co_return line(); }
