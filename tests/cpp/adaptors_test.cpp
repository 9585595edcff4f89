// agen/adaptors.hpp: what each adaptor gives, and that each closes its source.
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>

#include "support.hpp"

using namespace agen;
using namespace agen_test;

namespace {

auto even(int i) -> bool { return i % 2 == 0; }
auto is_even_later(int& i) -> task<bool> { co_return i % 2 == 0; }
auto doubled_later(int& i) -> task<int> { co_return i * 2; }

/// Counts up and writes down how it ended; its cleanup awaits.
auto recorded(journal& log, std::string name, int n) -> async_generator<int> {
  std::exception_ptr error;
  try {
    for (int i = 0; i < n; ++i) co_yield i;
  } catch (...) {
    error = std::current_exception();
  }
  co_await [](journal& into, std::string word) -> task<> {
    into.push_back(std::move(word));
    co_return;
  }(log, name + (error ? " closed" : " ended"));
  if (error) std::rethrow_exception(error);
}

/// The same over a source.
auto recorded_over(journal& log, async_generator<int>& source) -> async_generator<int> {
  std::exception_ptr error;
  try {
    while (auto item = co_await source.anext()) co_yield *item;
  } catch (...) {
    error = std::current_exception();
  }
  log.emplace_back(error ? "stage closed" : "stage ended");
  if (error) std::rethrow_exception(error);
}

using ints = std::vector<int>;

TEST(Adaptors, TransformAppliesAFunctionOrAwaitsWhatItReturns) {
  EXPECT_EQ(sync_wait(collect(count(3) | transform([](int i) { return i + 10; }))), (ints{10, 11, 12}));
  EXPECT_EQ(sync_wait(collect(count(3) | transform(doubled_later))), (ints{0, 2, 4}));
}

TEST(Adaptors, FilterKeepsWhatThePredicateAccepts) {
  EXPECT_EQ(sync_wait(collect(count(5) | filter(even))), (ints{0, 2, 4}));
  EXPECT_EQ(sync_wait(collect(count(5) | filter(is_even_later))), (ints{0, 2, 4}));
}

TEST(Adaptors, TakeStopsWithoutAskingForOneMore) {
  journal log;
  EXPECT_EQ(sync_wait(collect(recorded(log, "source", 9) | take(2))), (ints{0, 1}));
  EXPECT_EQ(log, journal{"source closed"});
  EXPECT_EQ(sync_wait(collect(count(2) | take(5))), (ints{0, 1}));
  EXPECT_EQ(sync_wait(collect(count(2) | take(0))), ints{});
}

TEST(Adaptors, TakeWhileStopsAtTheFirstRefusal) {
  EXPECT_EQ(sync_wait(collect(count(9) | take_while([](int i) { return i != 2; }))), (ints{0, 1}));
}

TEST(Adaptors, EnumerateNumbersTheItems) {
  sync_wait([]() -> task<> {
    auto gen = count(2) | transform([](int i) { return i * 5; }) | enumerate(7);
    auto first = co_await gen.anext();
    EXPECT_EQ(first->first, 7U);
    EXPECT_EQ(first->second, 0);
    auto second = co_await gen.anext();
    EXPECT_EQ(second->first, 8U);
    EXPECT_EQ(second->second, 5);
  }());
}

TEST(Adaptors, ChunkGathersItemsAndKeepsTheRest) {
  std::vector<ints> const want{{0, 1}, {2, 3}, {4}};
  EXPECT_EQ(sync_wait(collect(count(5) | chunk(2))), want);
}

TEST(Adaptors, ChainGivesOneAfterTheOther) {
  EXPECT_EQ(sync_wait(collect(chain(count(2), count(1), count(3)))), (ints{0, 1, 0, 0, 1, 2}));
  EXPECT_EQ(sync_wait(collect(count(2) | chain(count(1)))), (ints{0, 1, 0}));
}

TEST(Adaptors, ZipStopsAtTheShortestAndClosesTheOthers) {
  journal log;
  sync_wait([](journal& into) -> task<> {
    auto gen = zip(recorded(into, "a", 9), count(2), recorded(into, "c", 9));
    int n = 0;
    while (auto item = co_await gen.anext()) {
      auto& [a, b, c] = *item;
      EXPECT_EQ(a, n);
      EXPECT_EQ(b, n);
      EXPECT_EQ(c, n);
      ++n;
    }
    EXPECT_EQ(n, 2);
  }(log));
  EXPECT_EQ(log, (journal{"c closed", "a closed"}));
}

TEST(Adaptors, ClosingTheLastOfAPipeClosesAllOfItBeforeItReturns) {
  journal log;
  sync_wait([](journal& into) -> task<> {
    auto gen = recorded(into, "source", 9) | filter(even) | transform([](int i) { return i; }) | take(5) | chunk(2);
    co_await gen.anext();
    co_await gen.aclose();
    into.push_back("after");
  }(log));
  EXPECT_EQ(log, (journal{"source closed", "after"}));
}

TEST(Adaptors, ChainClosesTheSourceItIsAtAndThoseBegunBefore) {
  journal log;
  sync_wait([](journal& into) -> task<> {
    auto second = recorded(into, "second", 9);
    co_await second.anext();
    auto gen = chain(recorded(into, "first", 9), std::move(second));
    co_await gen.anext();
    co_await gen.aclose();
  }(log));
  EXPECT_EQ(log, (journal{"first closed", "second closed"}));
}

TEST(Adaptors, AnExceptionOfTheFunctionClosesTheSourceAndComesOut) {
  journal log;
  EXPECT_THROW(
      sync_wait(collect(recorded(log, "source", 3) | transform([](int) -> int { throw std::runtime_error("f"); }))),
      std::runtime_error);
  EXPECT_EQ(log, journal{"source closed"});
}

TEST(Adaptors, AnLvalueSourceStaysTheCallersAndOpen) {
  journal log;
  auto source = recorded(log, "source", 9);
  EXPECT_EQ(sync_wait(collect(source | take(2))), (ints{0, 1}));
  EXPECT_TRUE(log.empty());
  EXPECT_EQ(*sync_wait(source.anext()), 2);
}

auto pointers() -> async_generator<std::unique_ptr<int>> {
  for (int i = 0; i < 4; ++i) co_yield std::make_unique<int>(i);
}

TEST(Adaptors, PassMoveOnlyItemsByReference) {
  sync_wait([]() -> task<> {
    auto gen = pointers() | filter([](std::unique_ptr<int> const& p) { return *p % 2 == 1; }) | take(1);
    std::unique_ptr<int> const mine = std::move(*co_await gen.anext());
    EXPECT_EQ(*mine, 1);
  }());
}

auto pointers(int n) -> async_generator<std::unique_ptr<int>> {
  for (int i = 0; i < n; ++i) co_yield std::make_unique<int>(i);
}
/// What stands at `n` when it is copied or moved.
struct traced {
  int copies = 0;
  traced() = default;
  traced(traced const& other) : copies(other.copies + 1) {}
  traced(traced&&) = default;
  auto operator=(traced const&) -> traced& = delete;
  auto operator=(traced&&) -> traced& = delete;
  ~traced() = default;
};
auto rvalues() -> async_generator<traced&&> {
  for (int i = 0; i < 3; ++i) co_yield traced();
}
auto one_again() -> async_generator<std::string> {
  std::string word = "a word that is longer than any small string";
  for (int i = 0; i < 3; ++i) co_yield word;
}
/// No generator: its items are values.
class values {
 public:
  struct answer {
    int left;
    explicit operator bool() const { return left != 0; }
    auto operator*() const -> traced { return {}; }
  };
  auto anext() {
    struct operation {
      int left;
      static auto await_ready() -> bool { return true; }
      static void await_suspend(std::coroutine_handle<>) {}
      auto await_resume() const -> answer { return {left}; }
    };
    return operation{left_ == 0 ? 0 : left_--};
  }

 private:
  int left_ = 3;
};

TEST(Adaptors, ChunkMovesRvaluesAndWhatCannotBeCopiedAndCopiesOtherLvalues) {
  sync_wait([]() -> task<> {
    auto moved = pointers(3) | filter([](auto& p) { return *p != 1; }) | chunk(2);
    auto block = co_await moved.anext();
    EXPECT_EQ(block->size(), 2U);
    EXPECT_EQ(*block->at(1), 2);
    auto const copies = [](auto source) -> task<int> {
      int n = 0;
      while (auto some = co_await source.anext()) {
        for (traced const& one : *some) n += one.copies;
      }
      co_return n;
    };
    EXPECT_EQ(co_await copies(rvalues() | chunk(4)), 0);
    EXPECT_EQ(co_await copies(values() | chunk(4)), 0);
    auto words = one_again() | chunk(3);
    auto all = co_await words.anext();
    EXPECT_EQ(all->at(0), all->at(2)) << "the generator's own object is left as it was";
  }());
}

TEST(Adaptors, OfEmptyGeneratorsAreEmpty) {
  using generator = async_generator<int>;
  auto const is_empty = [](auto source) {
    bool const none = sync_wait(collect(std::move(source))).empty();
    return none;
  };
  EXPECT_TRUE(is_empty(generator() | transform([](int i) { return i; })));
  EXPECT_TRUE(is_empty(generator() | filter(even)));
  EXPECT_TRUE(is_empty(generator() | take(2) | take_while(even)));
  EXPECT_TRUE(is_empty(generator() | enumerate()));
  EXPECT_TRUE(is_empty(generator() | chunk(2)));
  EXPECT_TRUE(is_empty(generator() | chain(generator())));
  EXPECT_TRUE(is_empty(zip(count(2), generator())));
  EXPECT_TRUE(is_empty(zip(generator(), count(2))));
  EXPECT_EQ(sync_wait(collect(chain(generator(), count(2), generator()))), (ints{0, 1}));
}

TEST(Adaptors, AnyFunctionOfASourceIsAnAdaptor) {
  auto const first_two = [](auto&& source) { return take(std::forward<decltype(source)>(source), 2); };
  EXPECT_EQ(sync_wait(collect(count(9) | first_two)), (ints{0, 1}));
  auto source = count(9);
  EXPECT_EQ(sync_wait(collect(source | filter(even) | first_two)), (ints{0, 2}));
  EXPECT_EQ(sync_wait(collect(source | first_two)), (ints{3, 4}));  // an lvalue is only iterated
}

auto sums() {
  return stage([](auto& source) -> async_generator<int> {
    int sum = 0;
    while (auto item = co_await source.anext()) co_yield sum += *item;
  });
}
/// Its lambda has a capture that is no constant.
auto repeated(std::vector<int> times) {
  return stage([times = std::move(times)](auto& source) -> async_generator<int> {
    for (int n : times) {
      auto item = co_await source.anext();
      for (int i = 0; i < n; ++i) co_yield *item;
    }
  });
}
TEST(Stage, IsAPartOfAPipe) {
  EXPECT_EQ(sync_wait(collect(count(5) | filter(even) | sums())), (ints{0, 2, 6}));
  EXPECT_EQ(sync_wait(collect(count(9) | sums() | repeated({2, 0, 1}) | take(9))), (ints{0, 0, 3}));
}
TEST(Stage, ClosesWhatItKeepsAfterItself) {
  journal log;
  {
    auto gen = recorded(log, "source", 9) | stage([&log](auto& source) { return recorded_over(log, source); });
    sync_wait(gen.anext());
    sync_wait(gen.aclose());
  }
  EXPECT_EQ(log, (journal{"stage closed", "source closed"}));
  log.clear();
  auto fails = stage([](auto& source) -> async_generator<int> {
    co_await source.anext();
    throw std::runtime_error("stage");
    co_yield 0;
  });
  auto gen = recorded(log, "source", 9) | fails;
  EXPECT_THROW(sync_wait(gen.anext()), std::runtime_error);
  EXPECT_EQ(log, journal{"source closed"});
}
TEST(Stage, OnlyIteratesAnLvalue) {
  auto source = count(9);
  auto gen = source | sums();
  EXPECT_EQ(*sync_wait(gen.anext()), 0);
  sync_wait(gen.aclose());
  EXPECT_EQ(*sync_wait(source.anext()), 1);
}
TEST(Stage, TakesWhatIsSent) {
  auto echo = stage([](auto& source) -> async_generator<int, int> {
    int sent = 0;
    while (auto item = co_await source.anext()) {
      int const value = co_yield *item + sent;
      sent = value;
    }
  });
  auto gen = count(3) | echo;
  EXPECT_EQ(*sync_wait(gen.anext()), 0);
  EXPECT_EQ(*sync_wait(gen.asend(10)), 11);
}
TEST(Stage, IsUsedAgainAndComposed) {
  auto const even_sums = filter(even) | sums();
  EXPECT_EQ(sync_wait(collect(count(5) | even_sums)), (ints{0, 2, 6}));
  EXPECT_EQ(sync_wait(collect(count(7) | even_sums | take(2))), (ints{0, 2}));
  EXPECT_EQ(sync_wait(collect(count(7) | (even_sums | take(3) | enumerate() | transform([](auto const& pair) {
                                            return static_cast<int>(pair.first) + pair.second;
                                          })))),
            (ints{0, 3, 8}));
}

}  // namespace
