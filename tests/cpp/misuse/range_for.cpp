// expects: an async generator cannot be iterated by a range-based for
#include <agen/agen.hpp>
auto numbers() -> agen::async_generator<int> { co_yield 1; }
void program() {
  auto gen = numbers();
  for (int item : gen) (void)item;
}
