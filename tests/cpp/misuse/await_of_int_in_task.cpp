// expects: this type is not awaitable
#include <agen/task.hpp>
auto body() -> agen::task<> { co_await 5; }
