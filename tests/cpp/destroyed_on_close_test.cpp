// agen/destroyed_on_close.hpp: bodies that are closed without an exception.
#include <gtest/gtest.h>
#include <agen/destroyed_on_close.hpp>

#include <functional>
#include <memory>
#include <stdexcept>

#include "support.hpp"

using namespace agen;
using namespace agen_test;

namespace {

auto plain(journal& log, std::string name, destroyed_on_close /*how*/ = {}) -> async_generator<int> {
  leaves const outer(log, name + " outer");
  leaves const inner(log, name + " inner");
  for (int i = 0;; ++i) co_yield i;
}
/// Delegates, and says what it catches at its yield_from.
auto catching(journal& log, async_generator<int> below, gate* at = nullptr) -> async_generator<int> {
  std::exception_ptr error;
  try {
    co_await yield_from(std::move(below));
  } catch (generator_exit const&) {
    error = std::current_exception();
  }
  log.push_back("caught");
  if (at != nullptr) co_await *at;
  std::rethrow_exception(error);
}
auto passing(journal& log, async_generator<int> below, destroyed_on_close /*how*/ = {}) -> async_generator<int> {
  leaves const here(log, "passing");
  co_await yield_from(std::move(below));
}

/// The first item, then aclose().
auto close_after_one(async_generator<int>& gen, journal& log) -> task<> {
  EXPECT_EQ(*co_await gen.anext(), 0);
  co_await gen.aclose();
  log.push_back("closed");
}

TEST(DestroyedOnClose, LocalsAreDestroyedBeforeAcloseReturns) {
  journal log;
  auto gen = plain(log, "body");
  auto const* const id = gen.id();
  sync_wait(close_after_one(gen, log));
  EXPECT_EQ(log, (journal{"body inner", "body outer", "closed"}));
  EXPECT_TRUE(gen.closed());
  EXPECT_TRUE(static_cast<bool>(gen));
  EXPECT_EQ(gen.id(), id);
}

TEST(DestroyedOnClose, AfterwardsEveryOperationFindsAClosedGenerator) {
  journal log;
  auto gen = plain(log, "body");
  sync_wait(close_after_one(gen, log));
  auto moved = std::move(gen);
  EXPECT_FALSE(sync_wait(moved.anext()));
  EXPECT_FALSE(sync_wait(moved.athrow(std::make_exception_ptr(1))));
  sync_wait(moved.aclose());
}

TEST(DestroyedOnClose, ParametersAreDestroyedToo) {
  auto const kept = std::make_shared<int>(7);
  auto gen = [](std::shared_ptr<int> value, destroyed_on_close) -> async_generator<int> {
    for (;;) co_yield *value;
  }(kept, {});
  EXPECT_EQ(*sync_wait(gen.anext()), 7);
  EXPECT_EQ(kept.use_count(), 2);
  sync_wait(gen.aclose());
  EXPECT_EQ(kept.use_count(), 1);
}

TEST(DestroyedOnClose, NoHandlerOfTheBodyRuns) {
  bool caught = false;
  auto gen = [](bool& into, destroyed_on_close) -> async_generator<int> {
    try {
      co_yield 1;
    } catch (...) {
      into = true;
      throw;
    }
  }(caught, {});
  sync_wait(gen.anext());
  sync_wait(gen.aclose());
  EXPECT_FALSE(caught);
}

TEST(DestroyedOnClose, WhatIsThrownInIsThrown) {
  journal log;
  auto gen = plain(log, "body");
  sync_wait(gen.anext());
  EXPECT_THROW(sync_wait(gen.athrow(std::make_exception_ptr(generator_exit()))), generator_exit);
  EXPECT_TRUE(gen.closed());
}

TEST(DestroyedOnClose, EndsAndFailsAsEveryBody) {
  auto const numbers = [](int n, destroyed_on_close) -> async_generator<int, void, int> {
    for (int i = 0; i < n; ++i) co_yield i;
    if (n == 0) throw std::runtime_error("none");
    co_return n;
  };
  auto gen = numbers(1, {});
  EXPECT_EQ(*sync_wait(gen.anext()), 0);
  EXPECT_FALSE(sync_wait(gen.anext()));
  EXPECT_EQ(gen.returned(), 1);
  sync_wait(gen.aclose());
  EXPECT_EQ(gen.returned(), 1);
  auto failing = numbers(0, {});
  EXPECT_THROW(sync_wait(failing.anext()), std::runtime_error);

  auto left = numbers(2, {});
  sync_wait(left.anext());
  sync_wait(left.aclose());
  EXPECT_THROW(left.returned(), no_return_value);
}

TEST(DestroyedOnClose, OneThatHasNotBegunNeverRuns) {
  journal log;
  auto gen = plain(log, "body");
  sync_wait(gen.aclose());
  EXPECT_TRUE(gen.closed());
  EXPECT_FALSE(sync_wait(gen.anext()));
  EXPECT_TRUE(log.empty());
}

TEST(DestroyedOnClose, DroppingDestroysIt) {
  journal log;
  {
    auto gen = plain(log, "body");
    sync_wait(gen.anext());
  }
  EXPECT_EQ(log, (journal{"body inner", "body outer"}));
}

TEST(DestroyedOnClose, AParentGetsTheExitAtItsYieldFrom) {
  journal log;
  auto gen = catching(log, plain(log, "leaf"));
  sync_wait(close_after_one(gen, log));
  EXPECT_EQ(log, (journal{"leaf inner", "leaf outer", "caught", "closed"}));
  EXPECT_TRUE(gen.closed());
}

TEST(DestroyedOnClose, AParentsCleanupIsAwaited) {
  journal log;
  gate at;
  auto gen = catching(log, plain(log, "leaf"), &at);
  auto const consumer = [](async_generator<int>& g, journal& into) -> detached { co_await close_after_one(g, into); }(
                                                                       gen, log);
  EXPECT_EQ(log.back(), "caught");
  EXPECT_TRUE(gen.running());
  at.open();
  EXPECT_EQ(log.back(), "closed");
  consumer.rethrow();
}

TEST(DestroyedOnClose, AGeneratorIsDroppedWhileItsParentsCleanupWaits) {
  journal log;
  gate at;
  auto gen = std::make_unique<async_generator<int>>(catching(log, plain(log, "leaf"), &at));
  {
    auto const consumer = [](async_generator<int>& g, journal& into) -> detached { co_await close_after_one(g, into); }(
                                                                         *gen, log);
  }
  gen.reset();
  EXPECT_EQ(log, (journal{"leaf inner", "leaf outer", "caught"}));
}

TEST(DestroyedOnClose, AWholeChainIsDestroyedTheLeafFirst) {
  journal log;
  auto gen = passing(log, passing(log, plain(log, "leaf")));
  sync_wait(close_after_one(gen, log));
  EXPECT_EQ(log, (journal{"leaf inner", "leaf outer", "passing", "passing", "closed"}));
  EXPECT_FALSE(sync_wait(gen.anext()));
}

TEST(DestroyedOnClose, AChainOfBothKindsIsClosedInOrder) {
  journal log;
  auto gen = passing(log, catching(log, passing(log, catching(log, plain(log, "leaf")))));
  sync_wait(close_after_one(gen, log));
  EXPECT_EQ(log, (journal{"leaf inner", "leaf outer", "caught", "passing", "caught", "passing", "closed"}));
  EXPECT_TRUE(gen.closed());
}

TEST(DestroyedOnClose, ADeepChainIsDestroyedWithoutRecursion) {
  journal log;
  auto gen = plain(log, "leaf");
  for (int depth = 0; depth != 100'000; ++depth) {
    gen = [](async_generator<int> below, destroyed_on_close) -> async_generator<int> {
      co_await yield_from(std::move(below));
    }(std::move(gen), {});
  }
  sync_wait(close_after_one(gen, log));
  EXPECT_EQ(log, (journal{"leaf inner", "leaf outer", "closed"}));
}

TEST(DestroyedOnClose, AParentMayAnswerTheExitByAnItem) {
  journal log;
  auto gen = [](journal& into) -> async_generator<int> {
    try {
      co_await yield_from(plain(into, "leaf"));
    } catch (generator_exit const&) {
      into.push_back("caught");
    }
    co_yield 1;
    co_yield 2;
  }(log);
  sync_wait(gen.anext());
  EXPECT_THROW(sync_wait(gen.aclose()), ignored_generator_exit);
  EXPECT_EQ(*sync_wait(gen.anext()), 2);
  EXPECT_FALSE(sync_wait(gen.anext()));
}

TEST(DestroyedOnClose, OneThatIsDelegatedToByReferenceStays) {
  journal log;
  auto leaf = plain(log, "leaf");
  auto gen = [](async_generator<int>& below, destroyed_on_close) -> async_generator<int> {
    co_await yield_from(below);
  }(leaf, {});
  sync_wait(close_after_one(gen, log));
  EXPECT_EQ(log, (journal{"leaf inner", "leaf outer", "closed"}));
  EXPECT_TRUE(leaf.closed());
  EXPECT_FALSE(sync_wait(leaf.anext()));
}

TEST(DestroyedOnClose, ADestructorThatAsksTheGeneratorIsRefused) {
  struct asks {
    std::function<void()> question;
    ~asks() { question(); }
  };
  auto gen = [](std::function<void()> question, destroyed_on_close) -> async_generator<int> {
    asks const last{std::move(question)};
    for (;;) co_yield 0;
  };
  bool refused = false;
  async_generator<int> asked;
  asked = gen(
      [&] {
        try {
          sync_wait(asked.anext());
        } catch (already_running const&) {
          refused = true;
        }
      },
      {});
  sync_wait(asked.anext());
  sync_wait(asked.aclose());
  EXPECT_TRUE(refused);
}

TEST(DestroyedOnClose, AnItemThatNobodyTookIsDestroyedWithTheBody) {
  journal log;
  gate at;
  auto gen = [](gate& g, journal& into, destroyed_on_close) -> async_generator<int> {
    leaves const here(into, "body");
    co_await g;
    co_yield 1;
  }(at, log, {});
  {
    auto const consumer = [](async_generator<int>& g) -> detached { co_await g.anext(); }(gen);
  }
  at.open();
  sync_wait(gen.aclose());
  EXPECT_EQ(log, (journal{"body"}));
  EXPECT_TRUE(gen.closed());
}

TEST(DestroyedOnClose, LoopsThatEndEarlyCloseTheirSource) {
  journal log;
  sync_wait(for_each(plain(log, "for_each"), [](int i) { return i < 2; }));
  EXPECT_EQ(log, (journal{"for_each inner", "for_each outer"}));
  log.clear();
  EXPECT_EQ(sync_wait(collect(plain(log, "take") | take(2))), (std::vector<int>{0, 1}));
  EXPECT_EQ(log, (journal{"take inner", "take outer"}));
}

TEST(DestroyedOnClose, TheFinalizerDoesNotGetWhatIsClosed) {
  int finalized = 0;
  set_asyncgen_hooks({nullptr, [&finalized](abandoned_generator) { ++finalized; }});
  journal log;
  {
    auto gen = passing(log, plain(log, "leaf"));
    sync_wait(close_after_one(gen, log));
  }
  EXPECT_EQ(finalized, 0);
  {
    auto gen = plain(log, "dropped");
    sync_wait(gen.anext());
  }
  EXPECT_EQ(finalized, 1);
  set_asyncgen_hooks({});
}

struct source {
  journal* log;
  auto numbers(destroyed_on_close /*how*/ = {}) const -> async_generator<int> {
    leaves const here(*log, "member");
    for (int i = 0;; ++i) co_yield i;
  }
};

TEST(DestroyedOnClose, TheBodyMayBeAMember) {
  journal log;
  source const from{&log};
  auto gen = from.numbers();
  sync_wait(close_after_one(gen, log));
  EXPECT_EQ(log, (journal{"member", "closed"}));
}

}  // namespace
