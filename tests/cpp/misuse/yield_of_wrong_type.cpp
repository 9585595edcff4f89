// expects: this is no item of the generator; yield something that converts to the Yield
#include <agen/async_generator.hpp>
auto body() -> agen::async_generator<int> { co_yield "text"; }
