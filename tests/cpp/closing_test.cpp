// agen/closing.hpp: the scope that always awaits aclose.
#include <gtest/gtest.h>

#include <stdexcept>

#include "support.hpp"

using namespace agen;
using namespace agen_test;

namespace {

auto recorded(journal& log, gate* at = nullptr) -> async_generator<int> {
  leaves const here(log, "destroyed");
  std::exception_ptr error;
  try {
    for (int i = 0;; ++i) co_yield i;
  } catch (generator_exit const&) {
    error = std::current_exception();
  }
  if (at != nullptr) co_await *at;
  log.push_back("cleaned");
  std::rethrow_exception(error);
}

TEST(Aclosing, ClosesAfterTheBodyAndGivesItsValue) {
  journal log;
  int const value = sync_wait(aclosing(recorded(log), [](auto& gen) -> task<int> {
    co_await gen.anext();
    auto item = co_await gen.anext();
    co_return *item + 10;
  }));
  EXPECT_EQ(value, 11);
  EXPECT_EQ(log, (journal{"cleaned", "destroyed"}));
}

TEST(Aclosing, ClosesWhenTheBodyThrows) {
  journal log;
  EXPECT_THROW(sync_wait(aclosing(recorded(log),
                                  [](auto& gen) -> task<> {
                                    co_await gen.anext();
                                    throw std::runtime_error("body");
                                  })),
               std::runtime_error);
  EXPECT_EQ(log, (journal{"cleaned", "destroyed"}));
}

TEST(Aclosing, AwaitsACleanupThatSuspendsBeforeItGoesOn) {
  journal log;
  gate at;
  auto const consumer = [](journal& into, gate& g) -> detached {
    co_await aclosing(recorded(into, &g), [](auto& gen) -> task<> { co_await gen.anext(); });
    into.push_back("after");
  }(log, at);
  EXPECT_TRUE(log.empty());
  at.open();
  EXPECT_EQ(log, (journal{"cleaned", "destroyed", "after"}));
}

auto inside_a_generator(journal& log) -> async_generator<int> {
  auto gen = recorded(log);
  std::exception_ptr error;
  try {
    while (auto item = co_await gen.anext()) co_yield *item;
  } catch (...) {
    error = std::current_exception();
  }
  co_await aclosing(gen, [](auto& /*gen*/) {});
  if (error) std::rethrow_exception(error);
}

TEST(Aclosing, OfAnLvalueClosesItAndLeavesItToItsOwner) {
  journal log;
  sync_wait([](journal& into) -> task<> {
    auto gen = inside_a_generator(into);
    co_await gen.anext();
    co_await gen.aclose();
  }(log));
  EXPECT_EQ(log, (journal{"cleaned", "destroyed"}));
}

TEST(Aclosing, WhatTheCloseRaisesTakesThePlaceOfWhatTheBodyThrew) {
  auto bad = []() -> async_generator<int> {
    try {
      co_yield 1;
    } catch (generator_exit const&) {
      throw std::logic_error("cleanup");
    }
  };
  EXPECT_THROW(sync_wait(aclosing(bad(),
                                  [](auto& gen) -> task<> {
                                    co_await gen.anext();
                                    throw std::runtime_error("body");
                                  })),
               std::logic_error);
}

TEST(Aclosing, TakesABodyThatDoesNotAwait) {
  EXPECT_EQ(sync_wait(aclosing(count(1), [](auto& gen) { return gen.closed() ? 1 : 2; })), 2);
}

}  // namespace
