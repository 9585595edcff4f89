// expects: iterate the generator in a task, and wait for that
#include <agen/agen.hpp>
auto numbers() -> agen::async_generator<int> { co_yield 1; }
void program() { agen::sync_wait(numbers()); }
