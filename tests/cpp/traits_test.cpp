// agen/traits.hpp: what the traits and concepts say. Nearly all of it is checked when this file is compiled.
#include <gtest/gtest.h>

#include "support.hpp"

using namespace agen;

auto declared_function(int) -> async_generator<int>;

namespace {

using plain = async_generator<int>;
using full = async_generator<int, int, int>;

static_assert(is_async_generator_v<plain> && is_async_generator_v<full> && is_async_generator_v<plain const&>);
static_assert(!is_async_generator_v<int> && !is_async_generator_v<task<int>>);

struct object {
  auto operator()() const -> full;
  auto member(int) -> plain;
  auto of_lvalues(int) & -> plain;
  auto of_const_lvalues() const& noexcept -> plain;
  auto of_rvalues() && -> plain;
};
static_assert(is_async_generator_function_v<decltype(declared_function)>);
static_assert(is_async_generator_function_v<decltype(&declared_function)>);
static_assert(is_async_generator_function_v<object>);
static_assert(is_async_generator_function_v<decltype(&object::member)>);
static_assert(is_async_generator_function_v<decltype(&object::of_lvalues)>);
static_assert(is_async_generator_function_v<decltype(&object::of_const_lvalues)>);
static_assert(is_async_generator_function_v<decltype(&object::of_rvalues)>);
static_assert(!is_async_generator_function_v<decltype(&agen_test::gate::open)>);
static_assert(!is_async_generator_function_v<int>);

struct no_item {
  auto anext() -> task<int>;
};
struct not_awaitable {
  auto anext() -> int;
};
struct custom {
  auto anext() -> task<std::optional<int>>;
};
static_assert(async_iterable<plain> && async_iterable<plain&> && async_iterable<full> && async_iterable<custom>);
static_assert(!async_iterable<no_item> && !async_iterable<not_awaitable> && !async_iterable<int>);
static_assert(async_generator_like<plain> && async_generator_like<full&> && !async_generator_like<custom>);

static_assert(std::is_same_v<async_reference_t<plain>, int&>);
static_assert(std::is_same_v<async_reference_t<async_generator<int const&>>, int const&>);
static_assert(std::is_same_v<async_reference_t<async_generator<std::string&&>>, std::string&&>);

TEST(Traits, AGenericLambdaIsAskedWithItsArguments) {
  auto generic = [](auto n) -> async_generator<decltype(n)> { co_yield n; };
  EXPECT_TRUE((is_async_generator_function_v<decltype(generic), int>));
  EXPECT_FALSE((is_async_generator_function_v<decltype(generic)>));
}

}  // namespace
