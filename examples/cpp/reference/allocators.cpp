// docs/cpp/allocators.md: frames from an allocator.
#include <agen/agen.hpp>
#include <agen/recycling_allocator.hpp>
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

// [recycled]
auto digits(std::allocator_arg_t, agen::recycling_allocator<> /*from*/, int n)
    -> agen::async_generator<int> {
  for (; n != 0; n /= 10) co_yield n % 10;
}

auto sum_of_digits(int n) -> agen::task<int> {
  int sum = 0;
  auto gen = digits(std::allocator_arg, {}, n);
  while (auto item = co_await gen.anext()) sum += *item;
  co_return sum;
}
// [/recycled]

auto main() -> int {
  agen::sync_wait(in_a_buffer());
  agen::sync_wait(without_memory());
  std::printf("%d\n", agen::sync_wait(sum_of_digits(1234)));
}
