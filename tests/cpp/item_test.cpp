// agen/item.hpp: the answer of an operation.
#include <gtest/gtest.h>

#include "support.hpp"

using namespace agen;

namespace {

auto named() -> async_generator<std::string, void, int> {
  std::string name = "first";
  co_yield name;
  if (name != "changed") throw std::runtime_error(name);
  co_return 7;
}

TEST(Item, IsAReferenceIntoTheBody) {
  auto gen = named();
  auto const item = sync_wait(gen.anext());
  ASSERT_TRUE(item);
  EXPECT_EQ(item->size(), 5U);
  *item = "changed";
  EXPECT_FALSE(sync_wait(gen.anext()));
}

TEST(Item, GivesTheReturnValueWithTheEndAndOnlyThere) {
  auto gen = named();
  auto const item = sync_wait(gen.anext());
  EXPECT_THROW(static_cast<void>(item.returned()), no_return_value);
  *item = "changed";
  EXPECT_EQ(sync_wait(gen.anext()).returned(), 7);
}

TEST(Item, AnEndWithoutAGeneratorOrAfterAnExceptionHasNoReturnValue) {
  agen::item<std::string, int> const nothing;
  EXPECT_FALSE(nothing);
  EXPECT_THROW(static_cast<void>(nothing.returned()), no_return_value);
  auto gen = named();
  sync_wait(gen.anext());
  EXPECT_THROW(sync_wait(gen.anext()), std::runtime_error);
  EXPECT_THROW(static_cast<void>(sync_wait(gen.anext()).returned()), no_return_value);
}

}  // namespace
