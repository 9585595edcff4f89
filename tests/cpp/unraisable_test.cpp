// agen/unraisable.hpp: exceptions that nobody is there to catch.
#include <gtest/gtest.h>

#include <stdexcept>

#include "support.hpp"

using namespace agen;
using namespace agen_test;

namespace {

std::string last;
void remember(std::exception_ptr error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (std::exception const& caught) {
    last = caught.what();
  }
}

/// A body that throws when its consumer is no longer there.
void throw_at_nobody() {
  gate at;
  auto gen = [](gate& g) -> async_generator<int> {
    co_await g;
    throw std::runtime_error("nobody");
    co_yield 1;
  }(at);
  {
    auto const consumer = [](async_generator<int>& g) -> detached { co_await g.anext(); }(gen);
  }
  at.open();
}

TEST(Unraisable, GoesToTheHandlerAndTheFormerOneComesBack) {
  EXPECT_EQ(set_unraisable_handler(&remember), nullptr);
  throw_at_nobody();
  EXPECT_EQ(last, "nobody");
  EXPECT_EQ(set_unraisable_handler(nullptr), &remember);
}

TEST(UnraisableDeathTest, WithoutAHandlerEndsTheProgram) { EXPECT_DEATH(throw_at_nobody(), ""); }

}  // namespace
