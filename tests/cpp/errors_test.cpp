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

}  // namespace
