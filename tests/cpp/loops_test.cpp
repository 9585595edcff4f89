// agen/loops.hpp: for_each, iterators, the macro.
#include <gtest/gtest.h>

#include <stdexcept>

#include "support.hpp"

using namespace agen;
using namespace agen_test;

namespace {

auto recorded(journal& log, int n) -> async_generator<int> {
  try {
    for (int i = 0; i < n; ++i) co_yield i;
  } catch (generator_exit const&) {
    log.push_back("closed");
    throw;
  }
}

TEST(ForEach, CallsAFunctionOrAwaitsWhatItReturns) {
  std::vector<int> got;
  sync_wait(for_each(count(3), [&](int& i) { got.push_back(i); }));
  sync_wait(for_each(count(2), [&](int& i) -> task<> {
    got.push_back(i);
    co_return;
  }));
  EXPECT_EQ(got, (std::vector<int>{0, 1, 2, 0, 1}));
}

TEST(ForEach, FalseStopsItAndClosesTheSource) {
  journal log;
  int calls = 0;
  sync_wait(for_each(recorded(log, 9), [&](int i) {
    ++calls;
    return i < 1;
  }));
  sync_wait(for_each(recorded(log, 9), [&](int) -> task<bool> {
    ++calls;
    co_return false;
  }));
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(log, (journal{"closed", "closed"}));
}

TEST(ForEach, AnExceptionClosesTheSourceAndComesOut) {
  journal log;
  EXPECT_THROW(sync_wait(for_each(recorded(log, 9), [](int) { throw std::runtime_error("f"); })), std::runtime_error);
  EXPECT_EQ(log, journal{"closed"});
}

TEST(ForEach, AnLvalueIsOnlyIterated) {
  journal log;
  auto gen = recorded(log, 9);
  sync_wait(for_each(gen, [](int i) { return i != 2; }));
  EXPECT_EQ(*sync_wait(gen.anext()), 3);
}

TEST(Iterator, WalksToTheEnd) {
  auto const sum = sync_wait([]() -> task<int> {
    auto gen = count(4);
    int total = 0;
    for (auto it = co_await agen::begin(gen); it != agen::end(gen); co_await ++it) total += *it;
    co_return total;
  }());
  EXPECT_EQ(sum, 6);
}

TEST(ForCoAwait, ReadsAsALoopWithBreakAndContinue) {
  auto const got = sync_wait([]() -> task<std::vector<int>> {
    std::vector<int> seen;
    AGEN_FOR_CO_AWAIT(auto& i, count(100)) {
      if (i == 1) continue;
      if (i == 4) break;
      seen.push_back(i);
    }
    if (seen.empty())
      AGEN_FOR_CO_AWAIT(int i, count(1)) seen.push_back(i);
    else
      seen.push_back(-1);
    co_return seen;
  }());
  EXPECT_EQ(got, (std::vector<int>{0, 2, 3, -1}));
}

TEST(ForCoAwait, WorksInsideAGeneratorAndNested) {
  auto pairs = []() -> async_generator<int> {
    AGEN_FOR_CO_AWAIT(int i, count(2)) {
      AGEN_FOR_CO_AWAIT(int j, count(2)) {
        int const both = i * 10 + j;
        co_yield both + 0;
      }
    }
  };
  EXPECT_EQ(sync_wait(collect(pairs())), (std::vector<int>{0, 1, 10, 11}));
}

}  // namespace
