// expects: a Return type aligned more strictly than two pointers cannot be kept in the
#include <agen/async_generator.hpp>
struct alignas(64) line {};
auto body() -> agen::async_generator<int, void, line> {
  co_yield 1;
  co_return line();
}
