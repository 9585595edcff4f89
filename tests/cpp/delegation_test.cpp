// agen/delegation.hpp: yield_from over generators, async iterables and ranges.
#include <gtest/gtest.h>

#include <list>
#include <stdexcept>

#include "support.hpp"

using namespace agen;
using namespace agen_test;

namespace {

auto chain_of(int depth, int n) -> async_generator<int, void, int> {
  if (depth == 0) {
    for (int i = 0; i < n; ++i) co_yield i;
    co_return 1;
  }
  int const below = co_await yield_from(chain_of(depth - 1, n));
  co_return below + 1;
}

TEST(YieldFrom, GivesTheItemsAndThenTheReturnValue) {
  sync_wait([]() -> task<> {
    auto gen = chain_of(100, 3);
    for (int want = 0; want < 3; ++want) EXPECT_EQ(*co_await gen.anext(), want);
    auto end = co_await gen.anext();
    EXPECT_FALSE(end);
    EXPECT_EQ(end.returned(), 101);
  }());
}

auto echo(int depth, journal& log) -> async_generator<int, int, std::string> {
  if (depth != 0) {
    co_await yield_from(echo(depth - 1, log));
    co_return "outer";
  }
  int sent = 0;
  while (sent >= 0) {
    try {
      sent = co_yield sent + 1;
    } catch (std::runtime_error const& error) {
      log.push_back(error.what());
      sent = 100;
    }
  }
  co_return "inner";
}

TEST(YieldFrom, ForwardsWhatIsSentAndThrownToTheLeaf) {
  journal log;
  sync_wait([](journal& into) -> task<> {
    for (int depth : {0, 1, 10}) {
      auto gen = echo(depth, into);
      co_await gen.anext();
      EXPECT_EQ(*co_await gen.asend(6), 7);
      EXPECT_EQ(*co_await gen.athrow(std::make_exception_ptr(std::runtime_error("in"))), 101);
      EXPECT_FALSE(co_await gen.asend(-1));
      EXPECT_EQ(gen.returned(), depth == 0 ? "inner" : "outer");
    }
  }(log));
  EXPECT_EQ(log, (journal{"in", "in", "in"}));
}

auto raiser() -> async_generator<int> {
  co_yield 1;
  throw std::runtime_error("leaf");
}
auto rethrower(int depth, journal& log) -> async_generator<int> {
  try {
    if (depth == 0) {
      co_await yield_from(raiser());
    } else {
      co_await yield_from(rethrower(depth - 1, log));
    }
  } catch (std::runtime_error const& error) {
    log.push_back(std::to_string(depth));
    if (depth != 2) throw;
  }
  if (depth == 2) co_yield 2;
}

TEST(YieldFrom, EveryDelegatingFrameMayCatchWhatLeavesTheInnerOne) {
  journal log;
  EXPECT_EQ(sync_wait(collect(rethrower(4, log))), (std::vector<int>{1, 2}));
  EXPECT_EQ(log, (journal{"0", "1", "2"}));
}

auto cleans(int depth, journal& log, gate& at) -> async_generator<int> {
  std::exception_ptr error;
  try {
    if (depth == 0) {
      co_yield 1;
    } else {
      co_await yield_from(cleans(depth - 1, log, at));
    }
  } catch (generator_exit const&) {
    error = std::current_exception();
  }
  co_await at;
  log.push_back(std::to_string(depth));
  if (depth != 1 && error) std::rethrow_exception(error);
}

TEST(YieldFrom, AcloseClosesFromTheLeafUpWithAFreshExitForEachLevel) {
  journal log;
  gate at;
  auto gen = cleans(3, log, at);
  auto const consumer = [](async_generator<int>& g) -> detached {
    co_await g.anext();
    co_await g.aclose();
  }(gen);
  for (int i = 0; i < 4; ++i) {
    EXPECT_TRUE(gen.running());
    at.open();
  }
  EXPECT_TRUE(consumer.done());
  consumer.rethrow();
  EXPECT_EQ(log, (journal{"0", "1", "2", "3"})) << "level 1 swallowed its exit, the others got theirs all the same";
  EXPECT_TRUE(gen.closed());
}

TEST(YieldFrom, AConsumerDestroyedWhileItAwaitsAcloseLeavesTheClosingToGoOn) {
  journal log;
  gate at;
  auto gen = cleans(3, log, at);
  {
    auto const consumer = [](async_generator<int>& g) -> detached {
      co_await g.anext();
      co_await g.aclose();
    }(gen);
    at.open();
  }
  for (int i = 0; i < 3; ++i) at.open();
  EXPECT_EQ(log, (journal{"0", "1", "2", "3"}));
  EXPECT_TRUE(gen.closed());
}

auto stubborn(int& answers) -> async_generator<int> {
  for (;;) {
    try {
      co_yield 1;
    } catch (generator_exit const&) {
      ++answers;
    }
  }
}
auto over_stubborn(int& answers, journal& log) -> async_generator<int> {
  try {
    co_await yield_from(stubborn(answers));
  } catch (ignored_generator_exit const&) {
    log.push_back("ignored");
  }
}

TEST(YieldFrom, AnInnerThatYieldsWhileItIsClosedRaisesInTheOuter) {
  journal log;
  int answers = 0;
  sync_wait([](journal& into, int& n) -> task<> {
    auto gen = over_stubborn(n, into);
    co_await gen.anext();
    co_await gen.aclose();
    EXPECT_TRUE(gen.closed());
  }(log, answers));
  EXPECT_EQ(log, journal{"ignored"});
  EXPECT_EQ(answers, 1);
}

auto yields_in_cleanup() -> async_generator<int> {
  bool exit = false;
  try {
    co_yield 1;
  } catch (generator_exit const&) {
    exit = true;
  }
  if (exit) co_await yield_from(count(2));
}
auto outer_of_cleanup(journal& log) -> async_generator<int> {
  try {
    co_await yield_from(yields_in_cleanup());
  } catch (ignored_generator_exit const&) {
    log.push_back("ignored");
  }
}

TEST(YieldFrom, DelegatingInACleanupCountsAsYieldingOfTheOneThatIsClosed) {
  journal log;
  sync_wait([](journal& into) -> task<> {
    auto root = yields_in_cleanup();
    co_await root.anext();
    EXPECT_THROW(co_await root.aclose(), ignored_generator_exit);
    EXPECT_EQ(*co_await root.anext(), 1) << "the delegate goes on";
    auto gen = outer_of_cleanup(into);
    co_await gen.anext();
    co_await gen.aclose();
  }(log));
  EXPECT_EQ(log, journal{"ignored"});
}

auto raises_in_cleanup() -> async_generator<int> {
  try {
    co_yield 1;
  } catch (generator_exit const&) {
    throw std::runtime_error("cleanup");
  }
}
auto passes_on() -> async_generator<int> { co_await yield_from(raises_in_cleanup()); }

TEST(YieldFrom, WhatACleanupRaisesTakesThePlaceOfTheExit) {
  sync_wait([]() -> task<> {
    auto gen = passes_on();
    co_await gen.anext();
    EXPECT_THROW(co_await gen.aclose(), std::runtime_error);
  }());
}

auto swallows_exit() -> async_generator<int> {
  try {
    co_yield 1;
  } catch (...) {
  }
}
auto after_exit(journal& log) -> async_generator<int> {
  try {
    co_await yield_from(swallows_exit());
  } catch (generator_exit const&) {
    log.push_back("exit in the outer");
  }
  co_yield 2;
}

TEST(YieldFrom, AnExitThrownInClosesTheInnerAndIsRaisedInTheOuter) {
  journal log;
  sync_wait([](journal& into) -> task<> {
    auto gen = after_exit(into);
    co_await gen.anext();
    auto item = co_await gen.athrow(std::make_exception_ptr(generator_exit()));
    EXPECT_EQ(*item, 2) << "athrow, unlike aclose, may be answered by an item";
    EXPECT_FALSE(co_await gen.anext());
  }(log));
  EXPECT_EQ(log, journal{"exit in the outer"});
}

auto three(async_generator<int>& shared) -> async_generator<int> {
  co_await yield_from(shared);
  co_yield 99;
}

TEST(YieldFrom, AttachesAPartlyConsumedGeneratorThatItselfDelegates) {
  sync_wait([]() -> task<> {
    auto inner_chain = []() -> async_generator<int> { co_await yield_from(count(5)); };
    auto inner = inner_chain();
    co_await inner.anext();
    co_await inner.anext();
    auto outer = three(inner);
    EXPECT_EQ(*co_await outer.anext(), 2);
    EXPECT_EQ(*co_await outer.anext(), 3);
    EXPECT_TRUE(inner.running()) << "it belongs to the outer one until it ends";
    EXPECT_THROW(static_cast<void>(co_await inner.anext()), already_running);
    EXPECT_THROW(co_await inner.aclose(), already_running);
    EXPECT_EQ(*co_await outer.anext(), 4);
    EXPECT_EQ(*co_await outer.anext(), 99);
    EXPECT_TRUE(inner.closed());
  }());
}

TEST(YieldFrom, ALvalueSurvivesTheGeneratorThatDelegatesToIt) {
  sync_wait([]() -> task<> {
    auto inner = count(5);
    {
      auto outer = three(inner);
      co_await outer.anext();
      co_await outer.anext();
    }
    EXPECT_EQ(inner.state(), state::suspended);
    EXPECT_EQ(*co_await inner.anext(), 2);
  }());
}

auto notices(async_generator<int>& inner, journal& log) -> async_generator<int> {
  try {
    co_await yield_from(inner);
  } catch (delegate_destroyed const&) {
    log.push_back("destroyed");
  } catch (int) {
    log.push_back("thrown");
  }
  co_yield 7;
}

TEST(YieldFrom, DestroyingTheDelegateBetweenItemsRaisesInTheOuter) {
  journal log;
  sync_wait([](journal& into) -> task<> {
    {
      std::optional<async_generator<int>> inner(count(5));
      auto outer = notices(*inner, into);
      co_await outer.anext();
      inner.reset();
      EXPECT_EQ(*co_await outer.anext(), 7);
    }
    {
      std::optional<async_generator<int>> inner(count(5));
      auto outer = notices(*inner, into);
      co_await outer.anext();
      inner.reset();
      EXPECT_EQ(*co_await outer.athrow(std::make_exception_ptr(1)), 7);
    }
  }(log));
  EXPECT_EQ(log, (journal{"destroyed", "thrown"}));
}

auto waits_inside(gate& at) -> async_generator<int> {
  co_await at;
  co_yield 1;
}

TEST(YieldFrom, DestroyingTheDelegateWhileItAwaitsResumesTheOuter) {
  journal log;
  gate at;
  std::optional<async_generator<int>> inner(waits_inside(at));
  auto outer = notices(*inner, log);
  int got = 0;
  auto const consumer = [](async_generator<int>& g, int& into) -> detached { into = *co_await g.anext(); }(outer, got);
  inner.reset();
  EXPECT_TRUE(consumer.done());
  EXPECT_EQ(got, 7);
  EXPECT_EQ(log, journal{"destroyed"});
}

TEST(YieldFrom, DroppingTheOuterWhileAReferencedDelegateAwaitsLeavesThatAlive) {
  gate at;
  auto inner = waits_inside(at);
  {
    journal log;
    auto outer = notices(inner, log);
    auto const consumer = [](async_generator<int>& g) -> detached { co_await g.anext(); }(outer);
    {
      auto const dropped = std::move(outer);
    }
  }
  EXPECT_TRUE(inner.running());
  at.open();
  EXPECT_EQ(*sync_wait(inner.anext()), 1);
}

/// Leaves `gen` with an item whose consumer was destroyed while it waited for it.
void desert(async_generator<int>& gen, gate& at) {
  {
    auto const consumer = [](async_generator<int>& g) -> detached { co_await g.anext(); }(gen);
  }
  at.open();
}

TEST(YieldFrom, AnItemThatNobodyTookStaysWithTheDelegateWhenTheOuterIsDropped) {
  journal log;
  gate at;
  auto inner = waits_inside(at);
  {
    auto outer = notices(inner, log);
    desert(outer, at);
  }
  auto const item = sync_wait(inner.anext());
  ASSERT_TRUE(item);
  EXPECT_EQ(*item, 1);
}

TEST(YieldFrom, AnItemThatNobodyTookIsGoneWithTheDelegateThatItBelongsTo) {
  journal log;
  gate at;
  std::optional<async_generator<int>> inner(waits_inside(at));
  auto outer = notices(*inner, log);
  desert(outer, at);
  inner.reset();
  auto const item = sync_wait(outer.anext());
  ASSERT_TRUE(item);
  EXPECT_EQ(*item, 7);
  EXPECT_EQ(log, journal{"destroyed"});
}

auto cleans_slowly(gate& at) -> async_generator<int> {
  std::exception_ptr error;
  try {
    co_yield 1;
  } catch (...) {
    error = std::current_exception();
  }
  co_await at;
  std::rethrow_exception(error);
}

TEST(YieldFrom, DestroyingTheDelegateWhileItIsClosedLeavesTheOuterTheOneThatIsClosed) {
  journal log;
  gate at;
  std::optional<async_generator<int>> inner(cleans_slowly(at));
  auto outer = [](async_generator<int>& source, journal& into) -> async_generator<int> {
    co_await yield_from(notices(source, into));
  }(*inner, log);
  auto const consumer = [](async_generator<int>& g, journal& into) -> detached {
    co_await g.anext();
    try {
      co_await g.aclose();
    } catch (ignored_generator_exit const&) {
      into.push_back("ignored");
    }
  }(outer, log);
  ASSERT_TRUE(at.waited_for());
  inner.reset();  // `notices` catches delegate_destroyed and yields, which is to ignore the exit
  EXPECT_TRUE(consumer.done());
  EXPECT_EQ(log, (journal{"destroyed", "ignored"}));
}

TEST(YieldFrom, DestroyingADelegateFurtherDownLeavesTheOneThatIsClosedTheOneThatIsClosed) {
  journal log;
  gate at;
  std::optional<async_generator<int>> inner([](gate& g) -> async_generator<int> {
    co_await g;
    co_yield 1;
  }(at));
  // Two levels stand between the delegate and the generator that is closed: only the upper one is.
  auto below = [](async_generator<int>& source, journal& into) -> async_generator<int, void, int> {
    try {
      co_await yield_from(source);
    } catch (delegate_destroyed const&) {
      into.emplace_back("destroyed");
    }
    co_return 5;
  };
  auto cleans = [&below](async_generator<int>& source, journal& into) -> async_generator<int> {
    std::exception_ptr error;
    try {
      co_yield 1;
    } catch (...) {
      error = std::current_exception();
    }
    int const got = co_await yield_from(below(source, into));
    into.push_back(std::to_string(got));
    std::rethrow_exception(error);
  };
  auto outer = [](async_generator<int> source) -> async_generator<int> {
    co_await yield_from(source);
  }(cleans(*inner, log));
  auto const consumer = [](async_generator<int>& g) -> detached {
    co_await g.anext();
    co_await g.aclose();
  }(outer);
  ASSERT_TRUE(at.waited_for());
  inner.reset();
  EXPECT_TRUE(consumer.done());
  consumer.rethrow();
  EXPECT_EQ(log, (journal{"destroyed", "5"}));
}

struct no_default {
  explicit no_default(int v) : value(v) {}
  int value;
};

TEST(YieldFrom, RefusesToSendNothingIntoAPartlyConsumedGeneratorThatNeedsAValue) {
  sync_wait([]() -> task<> {
    auto inner = []() -> async_generator<int, no_default> {
      for (int i = 0;;) i = (co_yield i).value;
    }();
    co_await inner.anext();
    auto outer = [](auto& source) -> async_generator<int, no_default> { co_await yield_from(source); }(inner);
    EXPECT_THROW(static_cast<void>(co_await outer.anext()), nothing_sent);
    EXPECT_EQ(*co_await inner.asend(no_default(5)), 5);
  }());
}

TEST(YieldFrom, RefusesADelegateThatTheHookHasSetRunning) {
  gate at;
  auto inner = waits_inside(at);
  std::optional<detached> other;
  set_asyncgen_hooks({[&](generator_ref ref) {
                        if (ref.id() != inner.id()) return;
                        other.emplace([](async_generator<int>& g) -> detached { co_await g.anext(); }(inner));
                      },
                      nullptr});
  auto outer = [](async_generator<int>& source) -> async_generator<int> { co_await yield_from(source); }(inner);
  EXPECT_THROW(static_cast<void>(sync_wait(outer.anext())), already_running);
  set_asyncgen_hooks({});
  at.open();
  EXPECT_TRUE(other->done());
}

auto by_reference(std::string& word) -> async_generator<std::string&> { co_yield word; }
auto by_const_reference(std::string const& word) -> async_generator<std::string const&> { co_yield word; }

TEST(YieldFrom, AGeneratorOfRvaluesDoesNotMoveFromTheReferencesOfTheInnerOne) {
  std::string word = "a word that is too long to be kept in place";
  auto outer = [](std::string& w) -> async_generator<std::string&&> { co_await yield_from(by_reference(w)); }(word);
  sync_wait([](auto& gen) -> task<> {
    auto item = co_await gen.anext();
    std::string const taken = *item;
    EXPECT_FALSE(taken.empty());
  }(outer));
  EXPECT_FALSE(word.empty());
}

TEST(YieldFrom, AGeneratorOfConstItemsDelegatesToOneOfMutableItemsWithoutAHelper) {
  std::string word = "word";
  int begun = 0;
  set_asyncgen_hooks({[&begun](generator_ref) { ++begun; }, nullptr});
  auto outer = [](std::string& w) -> async_generator<std::string const&> {
    co_await yield_from(by_reference(w));
  }(word);
  auto again = [](std::string& w) -> async_generator<std::string const&> {
    co_await yield_from(by_const_reference(w));
  }(word);
  EXPECT_EQ(&*sync_wait(outer.anext()), &word);
  EXPECT_EQ(&*sync_wait(again.anext()), &word);
  set_asyncgen_hooks({});
  EXPECT_EQ(begun, 4);
}

auto selfish(async_generator<int>*& self, bool& refused) -> async_generator<int> {
  try {
    co_await yield_from(*self);
  } catch (already_running const&) {
    refused = true;
  }
  co_yield 1;
}

TEST(YieldFrom, RefusesAGeneratorThatDelegatesToItself) {
  async_generator<int>* self = nullptr;
  bool refused = false;
  auto gen = selfish(self, refused);
  self = &gen;
  EXPECT_EQ(*sync_wait(gen.anext()), 1);
  EXPECT_TRUE(refused);
}

auto returns_one() -> async_generator<int, void, int> { co_return 1; }
auto asks_again(async_generator<int, void, int>& inner) -> async_generator<int, void, int> {
  int const value = co_await yield_from(inner);
  co_return value;
}

TEST(YieldFrom, OfAClosedGeneratorGivesItsReturnValueOrSaysThatThereIsNone) {
  sync_wait([]() -> task<> {
    auto inner = returns_one();
    co_await inner.anext();
    auto outer = asks_again(inner);
    EXPECT_EQ((co_await outer.anext()).returned(), 1);
    auto closed = returns_one();
    co_await closed.aclose();
    auto other = asks_again(closed);
    EXPECT_THROW(static_cast<void>(co_await other.anext()), no_return_value);
  }());
}

struct countdown {
  int left;
  auto anext() {
    struct awaiter {
      countdown* self;
      static auto await_ready() noexcept -> bool { return true; }
      static void await_suspend(std::coroutine_handle<> /*h*/) noexcept {}
      [[nodiscard]] auto await_resume() const -> std::optional<int> {
        return self->left > 0 ? std::optional(self->left--) : std::nullopt;
      }
    };
    return awaiter{this};
  }
};

auto over_iterable(countdown& source) -> async_generator<int> { co_await yield_from(source); }
auto over_range() -> async_generator<long> {
  std::vector<int> numbers(2, 5);
  co_await yield_from(numbers);
  co_await yield_from(std::list<long>(2, 6));
  int array[] = {7, 8};
  co_await yield_from(array);
}

TEST(YieldFrom, TakesAnyAsyncIterableAndAnyRange) {
  countdown source{3};
  EXPECT_EQ(sync_wait(collect(over_iterable(source))), (std::vector<int>{3, 2, 1}));
  EXPECT_EQ(sync_wait(collect(over_range())), (std::vector<long>{5, 5, 6, 6, 7, 8}));
}

auto sends_to_range() -> async_generator<int, int> {
  std::vector<int> numbers(3, 5);
  co_await yield_from(numbers);
}

TEST(YieldFrom, AValueSentToARangeIsRefusedInTheBody) {
  sync_wait([]() -> task<> {
    auto gen = sends_to_range();
    co_await gen.anext();
    co_await gen.anext();
    EXPECT_THROW(static_cast<void>(co_await gen.asend(1)), send_unsupported);
  }());
}

auto other_types(journal& log) -> async_generator<int, int, std::string> { return echo(0, log); }
auto through_helper(journal& log) -> async_generator<long, int, std::string> {
  auto value = co_await yield_from(other_types(log));
  co_return value + "!";
}

TEST(YieldFrom, ForwardsEverythingToAGeneratorWithOtherItemsToo) {
  journal log;
  sync_wait([](journal& into) -> task<> {
    auto gen = through_helper(into);
    EXPECT_EQ(*co_await gen.anext(), 1L);
    EXPECT_EQ(*co_await gen.asend(6), 7L);
    EXPECT_EQ(*co_await gen.athrow(std::make_exception_ptr(std::runtime_error("in"))), 101L);
    EXPECT_FALSE(co_await gen.asend(-1));
    EXPECT_EQ(gen.returned(), "inner!");
  }(log));
  EXPECT_EQ(log, journal{"in"});
}

auto endless_chain(int depth, journal* log) -> async_generator<int> {
  std::optional<leaves> here;
  if (log != nullptr) here.emplace(*log, std::to_string(depth));
  if (depth == 0) {
    for (int i = 1; i != 0; ++i) co_yield i;
  } else {
    co_await yield_from(endless_chain(depth - 1, log));
  }
}

TEST(Depth, DroppingAnUnfinishedChainDestroysTheLeafFirst) {
  journal log;
  {
    auto gen = endless_chain(2, &log);
    sync_wait(gen.anext());
  }
  EXPECT_EQ(log, (journal{"0", "1", "2"}));
}

TEST(Depth, AnUnfinishedChainOfAMillionIsBuiltAndDroppedWithoutRecursion) {
  auto gen = endless_chain(1'000'000, nullptr);
  EXPECT_EQ(*sync_wait(gen.anext()), 1);
}

TEST(Depth, AChainOfAMillionEndsAndReturnsThroughEveryLevelWithoutRecursion) {
  auto gen = chain_of(1'000'000, 1);
  sync_wait(gen.anext());
  auto end = sync_wait(gen.anext());
  EXPECT_EQ(end.returned(), 1'000'001);
}

auto many_empty(gate& at, int n) -> async_generator<int> {
  co_await at;  // from here on no consumer is on the stack
  for (int i = 0; i < n; ++i) co_await yield_from(count(0));
  co_yield n;
}

TEST(Depth, AMillionEmptyDelegationsInARowDoNotGrowTheStackEvenAfterATrueSuspension) {
  gate at;
  auto gen = many_empty(at, 1'000'000);
  int got = 0;
  auto const consumer = [](async_generator<int>& g, int& into) -> detached { into = *co_await g.anext(); }(gen, got);
  at.open();
  EXPECT_EQ(got, 1'000'000);
}

TEST(Depth, DelegatingDoesNotGrowTheStackWhereTheConsumerIsGoneEither) {
  gate at;
  auto gen = many_empty(at, 1'000'000);
  desert(gen, at);
  auto const item = sync_wait(gen.anext());
  ASSERT_TRUE(item);
  EXPECT_EQ(*item, 1'000'000);
}

auto async_leaf(gate& at) -> async_generator<int> {
  for (int i = 0;; ++i) {
    co_await at;
    co_yield i;
  }
}
auto async_chain(int depth, gate& at) -> async_generator<int> {
  if (depth == 0) {
    co_await yield_from(async_leaf(at));
  } else {
    co_await yield_from(async_chain(depth - 1, at));
  }
}

TEST(Depth, ALeafThatAwaitsResumesTheConsumerOfTheRootAtAnyDepth) {
  gate at;
  auto gen = async_chain(50, at);
  std::vector<int> got;
  auto const consumer = [](async_generator<int>& g, std::vector<int>& into) -> detached {
    while (auto item = co_await g.anext()) into.push_back(*item);
  }(gen, got);
  for (int i = 0; i < 5; ++i) at.open();
  EXPECT_EQ(got, (std::vector<int>{0, 1, 2, 3, 4}));
  {
    auto const dropped = std::move(gen);
  }
}

}  // namespace
