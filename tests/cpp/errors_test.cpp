// agen/errors.hpp: what can be caught as what.
#include <gtest/gtest.h>

#include "support.hpp"

using namespace agen;

namespace {

template <class Error>
constexpr bool one_of_ours = std::is_base_of_v<generator_error, Error> && std::is_base_of_v<std::exception, Error> &&
                             std::is_nothrow_copy_constructible_v<Error>;
static_assert(one_of_ours<already_running> && one_of_ours<just_started> && one_of_ours<ignored_generator_exit> &&
              one_of_ours<nothing_sent> && one_of_ours<nothing_thrown> && one_of_ours<send_unsupported> &&
              one_of_ours<no_return_value> && one_of_ours<delegate_destroyed> && one_of_ours<context_manager_error>);

TEST(Errors, SayInWordsWhatWasWrong) {
  auto gen = agen_test::count(1);
  try {
    sync_wait(gen.athrow(nullptr));
    ADD_FAILURE() << "nothing was thrown";
  } catch (std::exception const& error) {
    EXPECT_STREQ(error.what(), "athrow(): the exception_ptr is null");
  }
}

TEST(Errors, AnExitIsNoStandardExceptionSoThatHandlersForThoseLetItPass) {
  EXPECT_FALSE((std::is_base_of_v<std::exception, generator_exit>));
  bool swallowed = false;
  auto gen = [](bool& caught) -> async_generator<int> {
    try {
      co_yield 1;
    } catch (std::exception const&) {
      caught = true;
    }
  }(swallowed);
  sync_wait(gen.anext());
  sync_wait(gen.aclose());
  EXPECT_FALSE(swallowed);
}

struct failing {
  int destroyed = 0;
  struct local {
    failing* of;
    ~local() { ++of->destroyed; }
  };
  auto after(int items) -> async_generator<int, void, int> {
    local const here{this};
    for (int i = 0; i < items; ++i) co_yield i;
    co_yield agen::error(std::runtime_error("no more"));
    co_return 7;  // never reached
  }
  auto delegating(int items) -> async_generator<int, void, int> { co_return co_await yield_from(after(items)); }
};

auto text_of(std::exception_ptr const& error) -> std::string {
  if (error == nullptr) return "none";
  try {
    std::rethrow_exception(error);
  } catch (std::exception const& e) {
    return e.what();
  }
}

TEST(ErrorsAsValues, ABodyEndsWithAnErrorAndTheConsumerGetsItAsAValue) {
  failing f;
  {
    auto gen = f.after(1);
    auto first = sync_wait(gen.try_anext());
    ASSERT_TRUE(first);
    EXPECT_EQ(*first, 0);
    EXPECT_EQ(first.error(), nullptr);
    auto second = sync_wait(gen.try_anext());
    EXPECT_FALSE(second);
    EXPECT_EQ(text_of(second.error()), "no more");
    EXPECT_THROW(static_cast<void>(second.returned()), no_return_value);
    EXPECT_TRUE(gen.closed());
    auto third = sync_wait(gen.try_anext());  // an exception comes out once
    EXPECT_FALSE(third);
    EXPECT_EQ(third.error(), nullptr);
    sync_wait(gen.aclose());
    EXPECT_EQ(f.destroyed, 0);
  }
  EXPECT_EQ(f.destroyed, 1);
}

TEST(ErrorsAsValues, AnextThrowsWhatABodyEndsWith) {
  failing f;
  auto gen = f.after(0);
  EXPECT_THROW(sync_wait(gen.anext()), std::runtime_error);
  EXPECT_FALSE(sync_wait(gen.anext()));
}

TEST(ErrorsAsValues, TryAnextGivesWhatABodyThrows) {
  auto gen = []() -> async_generator<int> {
    co_yield 1;
    throw std::runtime_error("thrown");
  }();
  EXPECT_TRUE(sync_wait(gen.try_anext()));
  EXPECT_EQ(text_of(sync_wait(gen.try_anext()).error()), "thrown");
}

TEST(ErrorsAsValues, TheErrorOfADelegateIsRaisedInItsParent) {
  failing f;
  auto gen = f.delegating(1);
  EXPECT_TRUE(sync_wait(gen.try_anext()));
  EXPECT_EQ(text_of(sync_wait(gen.try_anext()).error()), "no more");
  EXPECT_EQ(f.destroyed, 1);
}

TEST(ErrorsAsValues, ANullErrorIsAnErrorItself) {
  auto gen = []() -> async_generator<int> { co_yield agen::error(std::exception_ptr()); }();
  EXPECT_THROW(sync_wait(gen.anext()), nothing_thrown);
}

TEST(ErrorsAsValues, AnUntakenErrorIsDroppedWithTheGenerator) {
  failing f;
  {
    auto gen = f.after(0);
    auto const operation = sync_wait(gen.try_anext());
    EXPECT_FALSE(operation);
  }
  EXPECT_EQ(f.destroyed, 1);
  auto empty = async_generator<int>();
  EXPECT_FALSE(sync_wait(empty.try_anext()));
}

}  // namespace
