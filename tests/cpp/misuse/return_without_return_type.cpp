// expects: no member named .*return_value
#include <agen/agen.hpp>
auto body() -> agen::async_generator<int> {
  co_yield 1;
  co_return 5;
}
