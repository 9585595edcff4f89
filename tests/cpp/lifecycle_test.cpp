// agen/lifecycle.hpp: the whole table of admissions, and how an aclose goes on.
#include <agen/lifecycle.hpp>

#include <gtest/gtest.h>

namespace {

using agen::admission;
using agen::admit;
using agen::operation;
using agen::state;

constexpr operation operations[] = {operation::anext, operation::asend, operation::athrow, operation::aclose};

TEST(Lifecycle, ARunningGeneratorRefusesEverything) {
  for (auto op : operations) {
    for (bool flag : {false, true}) EXPECT_EQ(admit(op, state::running, flag, flag), admission::already_running);
  }
}

TEST(Lifecycle, AClosedGeneratorIsAtItsEndAndHasNothingToClose) {
  EXPECT_EQ(admit(operation::anext, state::closed), admission::end);
  EXPECT_EQ(admit(operation::asend, state::closed, true), admission::end);
  EXPECT_EQ(admit(operation::athrow, state::closed), admission::nothing);
  EXPECT_EQ(admit(operation::aclose, state::closed), admission::nothing);
}

TEST(Lifecycle, ASuspendedGeneratorIsResumedByEverything) {
  for (auto op : operations) EXPECT_EQ(admit(op, state::suspended, true), admission::resume);
}

TEST(Lifecycle, AGeneratorThatHasNotBegunTakesNoValueAndRunsForNoException) {
  EXPECT_EQ(admit(operation::anext, state::created), admission::resume);
  EXPECT_EQ(admit(operation::asend, state::created), admission::resume);
  EXPECT_EQ(admit(operation::asend, state::created, true), admission::just_started);
  EXPECT_EQ(admit(operation::athrow, state::created), admission::throw_unstarted);
  EXPECT_EQ(admit(operation::aclose, state::created), admission::close_unstarted);
}

TEST(Lifecycle, AfterAnIgnoredExitOnlyIterationGoesOn) {
  EXPECT_EQ(admit(operation::anext, state::suspended, false, true), admission::resume);
  EXPECT_EQ(admit(operation::asend, state::suspended, true, true), admission::resume);
  EXPECT_EQ(admit(operation::athrow, state::suspended, false, true), admission::end);
  EXPECT_EQ(admit(operation::aclose, state::suspended, false, true), admission::end);
}

TEST(Lifecycle, AcloseGoesOnAsTheBodyAnswers) {
  using agen::after_exit;
  using agen::close_outcome;
  using agen::step;
  EXPECT_EQ(after_exit(step::awaits, false), close_outcome::pending);
  EXPECT_EQ(after_exit(step::yielded, false), close_outcome::ignored_exit);
  EXPECT_EQ(after_exit(step::returned, false), close_outcome::done);
  EXPECT_EQ(after_exit(step::raised, true), close_outcome::done);
  EXPECT_EQ(after_exit(step::raised, false), close_outcome::raises);
}

static_assert(static_cast<int>(state::suspended) == 0, "the common test is against zero");

}  // namespace
