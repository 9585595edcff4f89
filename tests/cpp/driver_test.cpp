// agen/driver.hpp: operations by plain calls. Beside it detail/resuming_driver.hpp, which the bridge uses.
#include <gtest/gtest.h>

#include <stdexcept>

#include <agen/detail/resuming_driver.hpp>

#include "support.hpp"

using namespace agen;
using namespace agen_test;

namespace {

struct counter {
  int answers = 0;
  static void count(void* self) noexcept { ++static_cast<counter*>(self)->answers; }
};

auto echo() -> async_generator<int, int, std::string> {
  int sent = 0;
  while (sent >= 0) {
    int const next = co_yield sent;
    sent = next;
  }
  co_return "end";
}

TEST(Driver, SaysAtOnceWhatTheBodyAnswered) {
  counter seen;
  auto gen = echo();
  driver drive(gen, &counter::count, &seen);
  EXPECT_EQ(drive.anext(), step::yielded);
  EXPECT_EQ(*static_cast<int*>(drive.item()), 0);
  int value = 7;
  EXPECT_EQ(drive.asend(&value), step::yielded);
  EXPECT_EQ(*static_cast<int*>(drive.item()), 7);
  value = -1;
  EXPECT_EQ(drive.asend(&value), step::returned);
  EXPECT_EQ(gen.returned(), "end");
  EXPECT_EQ(drive.anext(), step::returned);
  EXPECT_EQ(seen.answers, 0) << "an answer that is there needs no callback";
}

TEST(Driver, ThrowsAndCloses) {
  counter seen;
  auto gen = echo();
  driver drive(gen, &counter::count, &seen);
  int value = 1;
  EXPECT_EQ(drive.asend(&value), step::raised) << "just started";
  EXPECT_THROW(std::rethrow_exception(drive.take_error()), just_started);
  drive.anext();
  EXPECT_EQ(drive.athrow(std::make_exception_ptr(std::runtime_error("in"))), step::raised);
  EXPECT_THROW(std::rethrow_exception(drive.take_error()), std::runtime_error);
  auto other = count(3);
  driver second(other, &counter::count, &seen);
  second.anext();
  EXPECT_EQ(second.aclose(), step::returned);
  EXPECT_TRUE(other.closed());
}

struct no_default {
  explicit no_default(int v) : value(v) {}
  int value;
};

TEST(Driver, RefusesToSendNothingWhereSendHasNoDefault) {
  counter seen;
  auto gen = []() -> async_generator<int, no_default> {
    for (int i = 0;;) i = (co_yield i).value;
  }();
  driver drive(gen, &counter::count, &seen);
  EXPECT_EQ(drive.anext(), step::yielded);
  EXPECT_EQ(drive.anext(), step::raised);
  EXPECT_THROW(std::rethrow_exception(drive.take_error()), nothing_sent);
  no_default value(5);
  EXPECT_EQ(drive.asend(&value), step::yielded);
  EXPECT_EQ(*static_cast<int*>(drive.item()), 5);
}

TEST(Driver, RefusesANullException) {
  counter seen;
  auto gen = count(2);
  driver drive(gen, &counter::count, &seen);
  EXPECT_EQ(drive.athrow(nullptr), step::raised);
  EXPECT_THROW(std::rethrow_exception(drive.take_error()), nothing_thrown);
  EXPECT_EQ(drive.anext(), step::yielded);
}

auto waits(gate& at) -> async_generator<int> {
  for (int i = 0; i < 2; ++i) {
    co_await at;
    co_yield i;
  }
  throw std::runtime_error("late");
}

TEST(Driver, CallsBackWhenTheAnswerComesLater) {
  counter seen;
  gate at;
  auto gen = waits(at);
  driver drive(gen, &counter::count, &seen);
  EXPECT_EQ(drive.anext(), step::awaits);
  EXPECT_EQ(drive.anext(), step::raised) << "already running";
  EXPECT_THROW(std::rethrow_exception(drive.take_error()), already_running);
  EXPECT_EQ(seen.answers, 0);
  at.open();
  EXPECT_EQ(seen.answers, 1);
  EXPECT_EQ(drive.answer(), step::yielded);
  EXPECT_EQ(*static_cast<int*>(drive.item()), 0);
  EXPECT_EQ(drive.anext(), step::awaits);
  at.open();
  EXPECT_EQ(drive.anext(), step::raised);
  EXPECT_THROW(std::rethrow_exception(drive.take_error()), std::runtime_error);
}

TEST(Driver, MayBeDestroyedWhileTheBodyAwaits) {
  counter seen;
  gate at;
  auto gen = waits(at);
  {
    driver drive(gen, &counter::count, &seen);
    EXPECT_EQ(drive.anext(), step::awaits);
  }
  at.open();
  EXPECT_EQ(seen.answers, 0);
  EXPECT_EQ(*sync_wait(gen.anext()), 0);
}

/// What the driver's owner resumes, as the bridge to Python does.
struct owner {
  agen::detail::resuming_driver* drive = nullptr;
  std::coroutine_handle<> waiting;

  struct awaiter {
    owner* by;
    static auto await_ready() noexcept -> bool { return false; }
    auto is_resumed_by_owner(agen::detail::frame& body) const noexcept -> bool { return by->drive->takes_over(body); }
    void await_suspend(std::coroutine_handle<> body) const noexcept { by->waiting = body; }
    static void await_resume() noexcept {}
  };
  auto turn() noexcept -> awaiter { return {this}; }
};

auto waits_for(owner& by) -> async_generator<int, int> {
  co_await by.turn();
  int const sent = co_yield 1;
  co_await by.turn();
  co_yield sent;
  throw std::runtime_error("after the items");
}

TEST(Driver, GoesOnWithinABodyThatItsOwnerResumes) {
  counter seen;
  owner by;
  auto gen = waits_for(by);
  agen::detail::resuming_driver drive(gen, &counter::count, &seen);
  by.drive = &drive;
  EXPECT_EQ(drive.anext(), step::awaits);
  EXPECT_TRUE(drive.awaits_owner());
  EXPECT_TRUE(gen.running());
  EXPECT_EQ(drive.anext(), step::raised);
  EXPECT_THROW(std::rethrow_exception(drive.take_error()), already_running);
  EXPECT_EQ(drive.resume(by.waiting), step::yielded);
  EXPECT_EQ(*static_cast<int*>(drive.item()), 1);
  EXPECT_FALSE(drive.awaits_owner());
  int value = 7;
  EXPECT_EQ(drive.asend(&value), step::awaits);
  EXPECT_EQ(drive.resume(by.waiting), step::yielded);
  EXPECT_EQ(*static_cast<int*>(drive.item()), 7);
  EXPECT_EQ(drive.anext(), step::raised);
  EXPECT_THROW(std::rethrow_exception(drive.take_error()), std::runtime_error);
  EXPECT_EQ(seen.answers, 0);
}

auto waits_for_both(owner& by, gate& at) -> async_generator<int> {
  co_await by.turn();
  co_await at;
  co_yield 1;
  co_await by.turn();
  co_await yield_from(count(2));
  co_await by.turn();
}

TEST(Driver, GoesOnWithinABodyThatThenWaitsElsewhereAndDelegates) {
  counter seen;
  owner by;
  gate at;
  auto gen = waits_for_both(by, at);
  agen::detail::resuming_driver drive(gen, &counter::count, &seen);
  by.drive = &drive;
  EXPECT_EQ(drive.anext(), step::awaits);
  EXPECT_EQ(drive.resume(by.waiting), step::awaits);
  EXPECT_FALSE(drive.awaits_owner());
  at.open();
  EXPECT_EQ(seen.answers, 1);
  EXPECT_EQ(drive.answer(), step::yielded);
  EXPECT_EQ(drive.anext(), step::awaits);
  EXPECT_EQ(drive.resume(by.waiting), step::yielded);
  EXPECT_EQ(drive.anext(), step::yielded);
  EXPECT_EQ(*static_cast<int*>(drive.item()), 1);
  EXPECT_EQ(drive.anext(), step::awaits);
  EXPECT_TRUE(drive.awaits_owner());
  EXPECT_EQ(drive.resume(by.waiting), step::returned);
  EXPECT_EQ(seen.answers, 1);
}

auto delegates(owner& by) -> async_generator<int, int> { co_await yield_from(waits_for(by)); }

TEST(Driver, IsCalledBackWhereWhatTheBodyDelegatesToSuspends) {
  counter seen;
  owner by;
  auto gen = delegates(by);
  agen::detail::resuming_driver drive(gen, &counter::count, &seen);
  by.drive = &drive;
  EXPECT_EQ(drive.anext(), step::awaits);
  EXPECT_FALSE(drive.awaits_owner());
  by.waiting.resume();
  EXPECT_EQ(seen.answers, 1);
  EXPECT_EQ(drive.answer(), step::yielded);
  EXPECT_EQ(drive.aclose(), step::returned);
}

TEST(Driver, MayBeDestroyedWithinABody) {
  counter seen;
  owner by;
  auto gen = waits_for(by);
  {
    agen::detail::resuming_driver drive(gen, &counter::count, &seen);
    by.drive = &drive;
    EXPECT_EQ(drive.anext(), step::awaits);
  }
  by.waiting.resume();
  EXPECT_EQ(*sync_wait(gen.anext()), 1);
  auto dropped = waits_for(by);
  agen::detail::resuming_driver drive(dropped, &counter::count, &seen);
  by.drive = &drive;
  EXPECT_EQ(drive.anext(), step::awaits);
  EXPECT_EQ(seen.answers, 0);
}

TEST(Driver, FindsAnEmptyGeneratorAtItsEnd) {
  async_generator<int, int> gen;
  driver drive(gen, nullptr, nullptr);
  int value = 1;
  EXPECT_EQ(drive.anext(), step::returned);
  EXPECT_EQ(drive.asend(&value), step::returned);
  EXPECT_EQ(drive.athrow(std::make_exception_ptr(1)), step::returned);
  EXPECT_EQ(drive.aclose(), step::returned);
}

}  // namespace
