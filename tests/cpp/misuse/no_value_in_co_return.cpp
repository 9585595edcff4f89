// expects: its_co_return_has_a_value
#include <agen/agen.hpp>
auto body() -> agen::async_generator<int, void, int> {
  co_yield 1;
  co_return;
}
