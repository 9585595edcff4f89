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

auto named_numbers() -> async_generator<std::pair<std::string, int>> {
  co_yield std::pair<std::string, int>("one", 1);
  co_yield std::pair<std::string, int>("two", 2);
}

TEST(ForCoAwait, TakesADeclarationWithCommasInParentheses) {
  auto const got = sync_wait([]() -> task<std::string> {
    std::string seen;
    AGEN_FOR_CO_AWAIT((auto& [name, number]), named_numbers()) {
      ++number;
      seen += name + std::to_string(number);
    }
    AGEN_FOR_CO_AWAIT((auto const& pair), named_numbers()) { seen += pair.first; }
    co_return seen;
  }());
  EXPECT_EQ(got, "one2two3onetwo");
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

auto raises_after_one() -> async_generator<std::string> {
  co_yield "an item that lives in the body's frame, and dies with it";
  throw std::runtime_error("after one");
}
struct refuses_nothing {
  refuses_nothing() = delete;
  explicit refuses_nothing(int) {}
};
auto wants_values() -> async_generator<int, refuses_nothing> { co_yield 1; }

/// No generator: its second operation throws at `place`, and a default answer says that it is an item.
struct throws_second {
  enum class where : unsigned char { ready, suspend, resume };
  struct answer {
    bool item = true;
    explicit operator bool() const { return item; }
    auto operator*() const -> int { return 1; }
  };
  struct operation {
    where place;
    bool throws;
    void raise_at(where here) const {
      if (throws && here == place) throw std::runtime_error("step");
    }
    [[nodiscard]] auto await_ready() const -> bool {
      raise_at(where::ready);
      return false;
    }
    [[nodiscard]] auto await_suspend(std::coroutine_handle<> /*consumer*/) const -> bool {
      raise_at(where::suspend);
      return false;
    }
    [[nodiscard]] auto await_resume() const -> answer {
      raise_at(where::resume);
      return {};
    }
  };
  where place;
  int operations = 0;
  auto anext() -> operation { return {place, ++operations == 2}; }
};

TEST(Iterator, IsAtItsEndWhateverPartOfAStepThrew) {
  using where = throws_second::where;
  for (where const place : {where::ready, where::suspend, where::resume}) {
    sync_wait([](throws_second source) -> task<> {
      auto it = co_await agen::begin(source);
      EXPECT_FALSE(it == agen::end(source));
      bool thrown = false;
      try {
        co_await ++it;
      } catch (std::runtime_error const&) {
        thrown = true;
      }
      EXPECT_TRUE(thrown);
      EXPECT_TRUE(it == agen::end(source));
      co_await ++it;
      EXPECT_FALSE(it == agen::end(source));
    }(throws_second{place}));
  }
}

TEST(Iterator, IsAtItsEndAfterAStepThatThrew) {
  sync_wait([]() -> task<> {
    auto gen = raises_after_one();
    auto it = co_await agen::begin(gen);
    EXPECT_FALSE(it == agen::end(gen));
    bool thrown = false;
    try {
      co_await ++it;
    } catch (std::runtime_error const&) {
      thrown = true;
    }
    EXPECT_TRUE(thrown);
    EXPECT_TRUE(it == agen::end(gen));
    co_await ++it;
    EXPECT_TRUE(it == agen::end(gen));
    // Refused before the body is touched, by await_ready.
    auto refusing = wants_values();
    auto other = co_await agen::begin(refusing);
    thrown = false;
    try {
      co_await ++other;
    } catch (nothing_sent const&) {
      thrown = true;
    }
    EXPECT_TRUE(thrown);
    EXPECT_TRUE(other == agen::end(refusing));
  }());
}

TEST(Loops, AnEmptyGeneratorIsNoItems) {
  sync_wait([]() -> task<> {
    async_generator<int> gen;
    auto from = count(3);
    auto const taken = std::move(from);
    for (auto* one : {&gen, &from}) {
      int items = 0;
      for (auto it = co_await agen::begin(*one); it != agen::end(*one); co_await ++it) ++items;
      AGEN_FOR_CO_AWAIT(int const& item, *one) items += item + 1;
      co_await for_each(*one, [&items](int) { ++items; });
      EXPECT_EQ(items, 0);
    }
    int items = 0;
    co_await for_each(async_generator<int>(), [&items](int) { ++items; });
    EXPECT_EQ(
        co_await aclosing(async_generator<int>(), [](auto& g) -> task<int> { co_return (co_await g.anext()) ? 1 : 2; }),
        2);
    EXPECT_EQ(items, 0);
  }());
}

}  // namespace
