// agen/hooks.hpp: firstiter, finalizer and what they get.
#include <gtest/gtest.h>

#include <stdexcept>

#include "support.hpp"

using namespace agen;
using namespace agen_test;

namespace {

/// Installs hooks for one test and takes them away again.
class Hooks : public testing::Test {
 protected:
  void install() {
    set_asyncgen_hooks({[this](generator_ref gen) { begun.push_back(gen.id()); },
                        [this](abandoned_generator gen) { dropped.push_back(std::move(gen)); }});
  }
  ~Hooks() override { set_asyncgen_hooks({}); }

  std::vector<void const*> begun;
  std::vector<abandoned_generator> dropped;
};

TEST_F(Hooks, FirstiterIsCalledOnceAtTheFirstOperation) {
  install();
  auto gen = count(3);
  EXPECT_TRUE(begun.empty());
  sync_wait(gen.anext());
  sync_wait(gen.anext());
  EXPECT_EQ(begun, std::vector<void const*>{gen.id()});
}

TEST_F(Hooks, AnUnfinishedGeneratorGoesToItsFinalizer) {
  install();
  void const* id = nullptr;
  {
    auto gen = count(3);
    id = gen.id();
    sync_wait(gen.anext());
  }
  ASSERT_EQ(dropped.size(), 1U);
  EXPECT_EQ(dropped[0].id(), id);
}

auto cleans_up(journal& log, gate& at) -> async_generator<int> {
  leaves const here(log, "destroyed");
  std::exception_ptr error;
  try {
    co_yield 1;
  } catch (...) {
    error = std::current_exception();
  }
  co_await at;
  log.push_back("cleaned");
  if (error) std::rethrow_exception(error);
}

TEST_F(Hooks, TheFinalizerCanCloseItLaterWithItsCleanupAwaited) {
  install();
  journal log;
  gate at;
  {
    auto gen = cleans_up(log, at);
    sync_wait(gen.anext());
  }
  EXPECT_TRUE(log.empty());
  auto const closer = [](abandoned_generator gen) -> detached { co_await gen.aclose(); }(std::move(dropped.at(0)));
  at.open();
  EXPECT_TRUE(closer.done());
  EXPECT_EQ(log, (journal{"cleaned", "destroyed"}));
}

TEST_F(Hooks, AFinalizerThatLetsGoOfItDestroysItAtOnce) {
  journal log;
  gate at;
  set_asyncgen_hooks({nullptr, [](abandoned_generator) {}});
  {
    auto gen = cleans_up(log, at);
    sync_wait(gen.anext());
  }
  EXPECT_EQ(log, journal{"destroyed"});
}

TEST_F(Hooks, FinishedAndUnstartedGeneratorsDoNotGoToTheFinalizer) {
  install();
  {
    auto finished = count(1);
    sync_wait(finished.anext());
    sync_wait(finished.anext());
    auto closed = count(1);
    sync_wait(closed.anext());
    sync_wait(closed.aclose());
    auto unstarted = count(1);
  }
  EXPECT_TRUE(dropped.empty());
}

TEST_F(Hooks, AGeneratorKeepsTheFinalizerThatItWasStartedUnder) {
  install();
  {
    auto gen = count(3);
    sync_wait(gen.anext());
    set_asyncgen_hooks({});
    auto other = count(3);
    sync_wait(other.anext());
  }
  EXPECT_EQ(dropped.size(), 1U);
}

auto outer(journal& log) -> async_generator<int> {
  leaves const here(log, "outer");
  co_await yield_from(count(3));
}

TEST_F(Hooks, AChainGoesToTheFinalizerAsOneAndEveryGeneratorOfItIsAnnounced) {
  install();
  journal log;
  {
    auto gen = outer(log);
    sync_wait(gen.anext());
  }
  EXPECT_EQ(begun.size(), 2U);
  ASSERT_EQ(dropped.size(), 1U);
  EXPECT_TRUE(log.empty());
  dropped.clear();
  EXPECT_EQ(log, journal{"outer"});
}

auto adopts(async_generator<int> inner) -> async_generator<int> { co_await yield_from(std::move(inner)); }

TEST_F(Hooks, AnInnerGeneratorStartedUnderHooksGoesToThemThoughItsRootHasNone) {
  install();
  auto inner = count(3);
  sync_wait(inner.anext());
  void const* const id = inner.id();
  set_asyncgen_hooks({});
  {
    auto gen = adopts(std::move(inner));
    sync_wait(gen.anext());
  }
  ASSERT_EQ(dropped.size(), 1U);
  EXPECT_EQ(dropped[0].id(), id);
  sync_wait(dropped[0].aclose());
}

std::exception_ptr unraisable;

TEST_F(Hooks, AFinalizerThatThrowsIsReportedAndTheGeneratorDestroyed) {
  auto* const former = set_unraisable_handler([](std::exception_ptr error) noexcept { unraisable = error; });
  journal log;
  gate at;
  set_asyncgen_hooks({nullptr, [](abandoned_generator) { throw std::runtime_error("finalizer"); }});
  {
    auto gen = cleans_up(log, at);
    sync_wait(gen.anext());
  }
  set_unraisable_handler(former);
  EXPECT_TRUE(std::exchange(unraisable, nullptr));
  EXPECT_EQ(log, journal{"destroyed"});
}

TEST_F(Hooks, AFirstiterThatThrowsRefusesTheOperationAndIsNotAskedAgain) {
  int asked = 0;
  set_asyncgen_hooks({[&asked](generator_ref) {
                        ++asked;
                        throw std::runtime_error("firstiter");
                      },
                      nullptr});
  auto gen = count(3);
  EXPECT_THROW(sync_wait(gen.anext()), std::runtime_error);
  EXPECT_EQ(*sync_wait(gen.anext()), 0);
  EXPECT_EQ(asked, 1);
}

TEST_F(Hooks, BelongToOneThread) {
  install();
  std::thread([] {
    EXPECT_FALSE(get_asyncgen_hooks().finalizer);
    auto gen = count(3);
    sync_wait(gen.anext());
  }).join();
  EXPECT_TRUE(begun.empty());
  EXPECT_TRUE(dropped.empty());
}

TEST_F(Hooks, WhatTheFinalizerGetsIsClosedAfterItWasMovedFrom) {
  install();
  {
    auto gen = count(3);
    sync_wait(gen.anext());
  }
  auto kept = std::move(dropped.at(0));
  EXPECT_EQ(dropped[0].id(), nullptr);
  sync_wait(dropped[0].aclose());
  sync_wait(kept.aclose());
  dropped[0] = std::move(kept);
  EXPECT_EQ(kept.id(), nullptr);
  EXPECT_NE(dropped[0].id(), nullptr);
}

}  // namespace
