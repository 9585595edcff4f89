// expects: destroyed_on_close: not for a generator with an allocator; leave one of the two parameters out
#include <agen/agen.hpp>
#include <memory>
auto numbers(std::allocator_arg_t, std::allocator<int>, agen::destroyed_on_close = {}) -> agen::async_generator<int> {
  co_yield 1;
}
