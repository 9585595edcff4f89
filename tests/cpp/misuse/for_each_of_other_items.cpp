// expects: for_each(source, f): f cannot be called with an item of source
#include <agen/agen.hpp>
#include <string>
auto numbers() -> agen::async_generator<int> { co_yield 1; }
auto body() -> agen::task<> {
  co_await agen::for_each(numbers(), [](std::string s) { (void)s; });
}
