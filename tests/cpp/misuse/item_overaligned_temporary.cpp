// expects: a temporary aligned more strictly than memory from operator new cannot be kept in a frame
#include <agen/async_generator.hpp>
struct alignas(64) line {};
auto body(line const& elsewhere) -> agen::async_generator<line const&> {
  co_yield elsewhere;
  co_yield line();
}
