// expects: with std::move() if it cannot be copied
#include <agen/async_generator.hpp>
#include <memory>
auto body() -> agen::async_generator<std::unique_ptr<int>> {
  auto const p = std::make_unique<int>(1);
  co_yield p;
}
