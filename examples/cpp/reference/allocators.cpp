// docs/cpp/allocators.md: frames from an allocator.
#include <agen/agen.hpp>
#include <array>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <memory_resource>

// [allocator]
auto count(std::allocator_arg_t, std::pmr::polymorphic_allocator<> /*from*/, int n)
    -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) co_yield i;
}

auto in_a_buffer() -> agen::task<> {
  std::array<std::byte, 512> buffer;
  std::pmr::monotonic_buffer_resource memory(buffer.data(), buffer.size(),
                                             std::pmr::null_memory_resource());
  auto gen = count(std::allocator_arg, &memory, 2);
  while (auto item = co_await gen.anext()) std::printf("%d\n", *item);
}
// [/allocator]

// [refused]
auto without_memory() -> agen::task<> {
  try {
    auto gen = count(std::allocator_arg, std::pmr::null_memory_resource(), 2);
    co_await gen.anext();
  } catch (std::bad_alloc const&) {
    std::printf("bad_alloc at the call\n");
  }
}
// [/refused]

auto main() -> int {
  agen::sync_wait(in_a_buffer());
  agen::sync_wait(without_memory());
}
