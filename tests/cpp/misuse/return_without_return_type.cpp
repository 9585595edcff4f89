// expects: declare_the_generator_with_a_return_type
#include <agen/agen.hpp>
auto body() -> agen::async_generator<int> {
  co_yield 1;
  co_return 5;
}
