// agen/async_generator.hpp: items, operations, the lifecycle, dropping.
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>

#include "support.hpp"

using namespace agen;
using namespace agen_test;

namespace {

TEST(AsyncGenerator, YieldsItemsInOrderAndThenAnswersEndForEver) {
  sync_wait([]() -> task<> {
    auto gen = count(3);
    for (int want = 0; want < 3; ++want) {
      auto item = co_await gen.anext();
      EXPECT_TRUE(item);
      EXPECT_EQ(*item, want);
    }
    EXPECT_FALSE(co_await gen.anext());
    EXPECT_FALSE(co_await gen.anext());
    EXPECT_TRUE(gen.closed());
  }());
}

TEST(AsyncGenerator, DoesNotBeginBeforeTheFirstOperation) {
  journal log;
  auto body = [&]() -> async_generator<int> {
    log.push_back("begun");
    co_yield 1;
  };
  {
    auto gen = body();
    EXPECT_EQ(gen.state(), state::created);
    auto never_awaited = gen.anext();
    EXPECT_TRUE(log.empty());
  }
  EXPECT_TRUE(log.empty());
}

struct immovable {
  explicit immovable(int v) : value(v) {}
  immovable(immovable const&) = delete;
  auto operator=(immovable const&) -> immovable& = delete;
  int value;
};

auto lvalues(immovable& a, immovable& b) -> async_generator<immovable> {
  co_yield a;
  co_yield b;
  co_yield immovable(3);
}

TEST(AsyncGenerator, HandsOverItemsByReferenceAndNeverMovesThem) {
  sync_wait([]() -> task<> {
    immovable a(1);
    immovable b(2);
    auto gen = lvalues(a, b);
    EXPECT_EQ(&*co_await gen.anext(), &a);
    EXPECT_EQ(&*co_await gen.anext(), &b);
    auto third = co_await gen.anext();
    EXPECT_EQ(third->value, 3);
  }());
}

auto moved() -> async_generator<std::unique_ptr<int>&&> {
  co_yield std::make_unique<int>(1);
  auto kept = std::make_unique<int>(2);
  co_yield std::move(kept);
  co_yield std::make_unique<int>(kept ? 0 : 3);
}

TEST(AsyncGenerator, LetsMoveOnlyItemsBeMovedOut) {
  sync_wait([]() -> task<> {
    auto gen = moved();
    int want = 1;
    while (auto item = co_await gen.anext()) {
      static_assert(std::is_same_v<decltype(*item), std::unique_ptr<int>&&>);
      std::unique_ptr<int> const mine = *item;
      EXPECT_EQ(*mine, want++);
    }
    EXPECT_EQ(want, 4);
  }());
}

auto references(int& x) -> async_generator<int&> {
  co_yield x;
  co_yield x;
}
auto constants(std::string const& s) -> async_generator<std::string const&> {
  co_yield s;
  co_yield "converted";
}
auto copies(std::string const& s) -> async_generator<std::string> {
  co_yield s;
  co_yield s;
}

TEST(AsyncGenerator, GivesMutableAndConstReferencesAsDeclared) {
  sync_wait([]() -> task<> {
    int x = 1;
    auto gen = references(x);
    *co_await gen.anext() = 7;
    EXPECT_EQ(x, 7);

    std::string const s = "constant";
    auto strings = constants(s);
    auto first = co_await strings.anext();
    static_assert(std::is_same_v<decltype(*first), std::string const&>);
    EXPECT_EQ(&*first, &s);
    EXPECT_EQ(*co_await strings.anext(), "converted");
  }());
}

TEST(AsyncGenerator, CopiesAConstLvalueIntoTheFrameWhenItemsAreMutable) {
  sync_wait([]() -> task<> {
    std::string const s = "a string too long for the small buffer";
    auto gen = copies(s);
    std::string const taken = std::move(*co_await gen.anext());
    EXPECT_EQ(taken, s);
    EXPECT_EQ(*co_await gen.anext(), s);
  }());
}

auto echo() -> async_generator<int, int> {
  int sent = 0;
  for (;;) sent = co_yield sent * 2;
}

TEST(AsyncGenerator, CoYieldGivesBackTheSentValue) {
  sync_wait([]() -> task<> {
    auto gen = echo();
    EXPECT_EQ(*co_await gen.anext(), 0);
    EXPECT_EQ(*co_await gen.asend(21), 42);
    EXPECT_EQ(*co_await gen.asend(4), 8);
    EXPECT_EQ(*co_await gen.anext(), 0) << "anext sends a default value";
  }());
}

auto tell(std::optional<int> first) -> async_generator<char, std::optional<int>> {
  for (auto sent = first;;) sent = co_yield (sent ? 'v' : 'n');
}

TEST(AsyncGenerator, AnOptionalSendTellsNothingFromSomething) {
  sync_wait([]() -> task<> {
    auto gen = tell({});
    co_await gen.anext();
    EXPECT_EQ(*co_await gen.asend(0), 'v');
    EXPECT_EQ(*co_await gen.anext(), 'n');
  }());
}

struct no_default {
  explicit no_default(int v) : value(v) {}
  int value;
};
auto needs_value() -> async_generator<int, no_default> {
  for (int i = 0;;) i = (co_yield i).value;
}

TEST(AsyncGenerator, AnextRefusesToInventAValueWithoutADefault) {
  sync_wait([]() -> task<> {
    auto gen = needs_value();
    EXPECT_EQ(*co_await gen.anext(), 0);
    EXPECT_THROW(static_cast<void>(co_await gen.anext()), nothing_sent);
    EXPECT_EQ(*co_await gen.asend(no_default(5)), 5);
  }());
}

TEST(AsyncGenerator, RefusesAValueSentBeforeItHasBegun) {
  sync_wait([]() -> task<> {
    auto gen = echo();
    EXPECT_THROW(static_cast<void>(co_await gen.asend(1)), just_started);
    EXPECT_EQ(*co_await gen.anext(), 0) << "the refusal leaves it as it was";
  }());
}

auto same_types() -> async_generator<int, void, int> {
  co_yield 1;
  co_return 2;
}

TEST(AsyncGenerator, TellsTheReturnValueFromItemsOfTheSameType) {
  sync_wait([]() -> task<> {
    auto gen = same_types();
    auto first = co_await gen.anext();
    EXPECT_EQ(*first, 1);
    EXPECT_THROW(first.returned(), no_return_value);
    EXPECT_THROW(gen.returned(), no_return_value);
    auto end = co_await gen.anext();
    EXPECT_FALSE(end);
    EXPECT_EQ(end.returned(), 2);
    EXPECT_EQ(gen.returned(), 2);
  }());
}

// clang warns that the body lacks a co_return, g++ 12 does not.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wreturn-type"
auto forgets_to_return() -> async_generator<int, void, std::string> { co_yield 1; }
#pragma GCC diagnostic pop

TEST(AsyncGenerator, ThatEndsWithoutItsReturnValueSaysSoWhenAsked) {
  sync_wait([]() -> task<> {
    auto gen = forgets_to_return();
    EXPECT_EQ(*co_await gen.anext(), 1);
    auto end = co_await gen.anext();
    EXPECT_FALSE(end);
    EXPECT_THROW(end.returned(), no_return_value);
    EXPECT_THROW(gen.returned(), no_return_value);
  }());
}

auto returns_move_only() -> async_generator<int, void, std::unique_ptr<int>> { co_return std::make_unique<int>(9); }
auto returns_reference(int& x) -> async_generator<int, void, int&> {
  co_yield x;
  co_return x;
}

TEST(AsyncGenerator, ReturnsMoveOnlyValuesAndReferences) {
  sync_wait([]() -> task<> {
    auto gen = returns_move_only();
    auto end = co_await gen.anext();
    EXPECT_FALSE(end);
    std::unique_ptr<int> const mine = end.returned();
    EXPECT_EQ(*mine, 9);
    int x = 0;
    auto refs = returns_reference(x);
    co_await refs.anext();
    co_await refs.anext();
    EXPECT_EQ(&refs.returned(), &x);
  }());
}

auto raises() -> async_generator<int> {
  co_yield 1;
  throw std::runtime_error("from the body");
}

TEST(AsyncGenerator, AnExceptionOfTheBodyComesOutOnceAndEndsIt) {
  sync_wait([]() -> task<> {
    auto gen = raises();
    co_await gen.anext();
    EXPECT_THROW(static_cast<void>(co_await gen.anext()), std::runtime_error);
    EXPECT_FALSE(co_await gen.anext());
    EXPECT_FALSE(co_await gen.athrow(std::make_exception_ptr(1)));
    co_await gen.aclose();
  }());
}

auto catches(journal& log) -> async_generator<int> {
  for (int i = 0;; ++i) {
    try {
      co_yield i;
    } catch (std::runtime_error const& error) {
      log.push_back(error.what());
    }
  }
}

TEST(Athrow, ThrowsAtTheYieldAndGivesTheNextItem) {
  journal log;
  sync_wait([](journal& into) -> task<> {
    auto gen = catches(into);
    co_await gen.anext();
    auto item = co_await gen.athrow(std::make_exception_ptr(std::runtime_error("thrown in")));
    EXPECT_EQ(*item, 1);
    EXPECT_THROW(static_cast<void>(co_await gen.athrow(std::make_exception_ptr(7))), int);
    EXPECT_TRUE(gen.closed());
  }(log));
  EXPECT_EQ(log, journal{"thrown in"});
}

TEST(Athrow, OnAGeneratorThatHasNotBegunRaisesWithoutRunningIt) {
  journal log;
  sync_wait([](journal& into) -> task<> {
    auto gen = catches(into);
    EXPECT_THROW(static_cast<void>(co_await gen.athrow(std::make_exception_ptr(7))), int);
    EXPECT_TRUE(gen.closed());
    EXPECT_FALSE(co_await gen.anext());
  }(log));
}

TEST(Athrow, RefusesANullExceptionInEveryStateAndLeavesTheBodyAlone) {
  sync_wait([]() -> task<> {
    auto gen = count(2);
    EXPECT_THROW(static_cast<void>(co_await gen.athrow(nullptr)), nothing_thrown);
    EXPECT_EQ(*co_await gen.anext(), 0);
    EXPECT_THROW(static_cast<void>(co_await gen.athrow(nullptr)), nothing_thrown);
    EXPECT_EQ(*co_await gen.anext(), 1);
    EXPECT_FALSE(co_await gen.anext());
    EXPECT_THROW(static_cast<void>(co_await gen.athrow(nullptr)), nothing_thrown);
  }());
}

TEST(Athrow, OfAnExitComesBackToItsCaller) {
  sync_wait([]() -> task<> {
    auto gen = count(3);
    co_await gen.anext();
    EXPECT_THROW(static_cast<void>(co_await gen.athrow(std::make_exception_ptr(generator_exit()))), generator_exit);
  }());
}

auto cleans_up(journal& log, gate& cleanup) -> async_generator<int> {
  std::exception_ptr error;
  try {
    co_yield 1;
    co_yield 2;
  } catch (generator_exit const&) {
    log.push_back("exit");
    error = std::current_exception();
  }
  if (error) {
    co_await cleanup;
    log.push_back("cleaned");
    std::rethrow_exception(error);
  }
}

TEST(Aclose, AwaitsTheCleanupOfTheBody) {
  journal log;
  gate cleanup;
  auto gen = cleans_up(log, cleanup);
  auto const consumer = [](async_generator<int>& g, journal& into) -> detached {
    co_await g.anext();
    co_await g.aclose();
    into.push_back("closed");
  }(gen, log);
  EXPECT_EQ(log, journal{"exit"});
  EXPECT_TRUE(gen.running());
  cleanup.open();
  EXPECT_EQ(log, (journal{"exit", "cleaned", "closed"}));
  EXPECT_TRUE(consumer.done());
  EXPECT_TRUE(gen.closed());
}

auto swallows() -> async_generator<int, void, int> {
  try {
    co_yield 1;
  } catch (...) {
  }
  co_return 5;
}

TEST(Aclose, IsDoneWhenTheBodyCatchesTheExitAndReturns) {
  sync_wait([]() -> task<> {
    auto gen = swallows();
    co_await gen.anext();
    co_await gen.aclose();
    EXPECT_TRUE(gen.closed());
    co_await gen.aclose();
    EXPECT_FALSE(co_await gen.anext());
  }());
}

auto stubborn() -> async_generator<int> {
  for (int i = 0;; ++i) {
    try {
      co_yield i;
    } catch (generator_exit const&) {
    }
  }
}

TEST(Aclose, RaisesIgnoredGeneratorExitWhenTheBodyYieldsAgain) {
  sync_wait([]() -> task<> {
    auto gen = stubborn();
    co_await gen.anext();
    EXPECT_THROW(co_await gen.aclose(), ignored_generator_exit);
    EXPECT_EQ(gen.state(), state::suspended);
    EXPECT_EQ(*co_await gen.anext(), 2) << "the body lives on";
    co_await gen.aclose();
    EXPECT_FALSE(co_await gen.athrow(std::make_exception_ptr(1)));
    EXPECT_EQ(*co_await gen.anext(), 3);
  }());
}

auto raises_on_exit() -> async_generator<int> {
  std::exception_ptr ignored;
  try {
    co_yield 1;
  } catch (generator_exit const&) {
    throw std::runtime_error("while closing");
  }
}

TEST(Aclose, RaisesWhatElseTheBodyRaises) {
  sync_wait([]() -> task<> {
    auto gen = raises_on_exit();
    co_await gen.anext();
    EXPECT_THROW(co_await gen.aclose(), std::runtime_error);
    EXPECT_TRUE(gen.closed());
  }());
}

TEST(Aclose, OnAGeneratorThatHasNotBegunClosesWithoutRunningIt) {
  sync_wait([]() -> task<> {
    auto gen = count(3);
    co_await gen.aclose();
    EXPECT_TRUE(gen.closed());
    EXPECT_FALSE(co_await gen.anext());
  }());
}

auto waits(gate& at) -> async_generator<int> {
  for (int i = 0;; ++i) {
    co_await at;
    co_yield i;
  }
}

TEST(Lifecycle, RefusesEveryOperationWhileOneIsUnderWay) {
  gate at;
  auto gen = waits(at);
  int got = -1;
  auto const first = [](async_generator<int>& g, int& into) -> detached { into = *co_await g.anext(); }(gen, got);
  EXPECT_TRUE(gen.running());
  sync_wait([](async_generator<int>& g) -> task<> {
    EXPECT_THROW(static_cast<void>(co_await g.anext()), already_running);
    EXPECT_THROW(static_cast<void>(co_await g.athrow(std::make_exception_ptr(1))), already_running);
    EXPECT_THROW(co_await g.aclose(), already_running);
  }(gen));
  at.open();
  EXPECT_TRUE(first.done());
  EXPECT_EQ(got, 0);
}

auto reenters(async_generator<int>*& self, bool& refused) -> async_generator<int> {
  try {
    co_await self->anext();
  } catch (already_running const&) {
    refused = true;
  }
  co_yield 1;
}

TEST(Lifecycle, RefusesABodyThatAdvancesItself) {
  async_generator<int>* self = nullptr;
  bool refused = false;
  auto gen = reenters(self, refused);
  self = &gen;
  EXPECT_EQ(*sync_wait(gen.anext()), 1);
  EXPECT_TRUE(refused);
}

auto with_locals(journal& log) -> async_generator<int> {
  leaves const first(log, "first");
  leaves const second(log, "second");
  co_yield 1;
  log.push_back("never");
}

TEST(Drop, DestroysTheLocalsInOrderOfScopes) {
  journal log;
  {
    auto gen = with_locals(log);
    sync_wait(gen.anext());
  }
  EXPECT_EQ(log, (journal{"second", "first"}));
}

TEST(Drop, MoveAssignmentDropsTheFormerGenerator) {
  journal log;
  auto gen = with_locals(log);
  sync_wait(gen.anext());
  gen = with_locals(log);
  EXPECT_EQ(log, (journal{"second", "first"}));
  auto& alias = gen;
  gen = std::move(alias);
  EXPECT_EQ(*sync_wait(gen.anext()), 1) << "assigning to itself changes nothing";
}

TEST(Drop, AMovedGeneratorGoesOnWhereItWas) {
  auto gen = count(3);
  sync_wait(gen.anext());
  auto other = std::move(gen);
  EXPECT_FALSE(gen);
  EXPECT_EQ(*sync_wait(other.anext()), 1);
}

auto waits_with_locals(gate& at, journal& log) -> async_generator<int> {
  leaves const here(log, "body");
  co_await at;
  co_yield 1;
}

TEST(Drop, OfABodyThatAwaitsSomethingDestroysItThere) {
  journal log;
  gate at;
  {
    auto gen = waits_with_locals(at, log);
    auto const consumer = [](async_generator<int>& g) -> detached { co_await g.anext(); }(gen);
    EXPECT_TRUE(at.waited_for());
    {
      auto const dropped = std::move(gen);
    }
    EXPECT_EQ(log, journal{"body"});
    EXPECT_FALSE(consumer.done());
  }
}

TEST(Drop, ABodyOutlivesItsConsumerAndTheItemGoesToTheNext) {
  gate at;
  auto gen = waits(at);
  {
    auto const consumer = [](async_generator<int>& g) -> detached { co_await g.anext(); }(gen);
  }
  EXPECT_TRUE(gen.running());
  at.open();
  EXPECT_EQ(gen.state(), state::suspended);
  EXPECT_EQ(*sync_wait(gen.anext()), 0) << "the item is not lost";
}

auto raises_after(gate& at) -> async_generator<int> {
  co_await at;
  throw std::runtime_error("late");
  co_yield 1;
}

std::exception_ptr unraisable;

TEST(Drop, AnExceptionThatNobodyTookGoesToTheUnraisableHandler) {
  gate at;
  auto* const former = set_unraisable_handler([](std::exception_ptr error) noexcept { unraisable = error; });
  {
    auto gen = raises_after(at);
    {
      auto const consumer = [](async_generator<int>& g) -> detached { co_await g.anext(); }(gen);
    }
    at.open();
  }
  set_unraisable_handler(former);
  EXPECT_TRUE(unraisable);
  unraisable = nullptr;
}

struct throws_in_suspend {
  static auto await_ready() noexcept -> bool { return false; }
  void await_suspend(std::coroutine_handle<> /*h*/) const { throw std::runtime_error("await_suspend"); }
  static void await_resume() noexcept {}
};
struct does_not_suspend {
  static auto await_ready() noexcept -> bool { return false; }
  static auto await_suspend(std::coroutine_handle<> /*h*/) noexcept -> bool { return false; }
  static void await_resume() noexcept {}
};
struct resumes_at_once {
  static auto await_ready() noexcept -> bool { return false; }
  static auto await_suspend(std::coroutine_handle<> h) noexcept -> std::coroutine_handle<> { return h; }
  static void await_resume() noexcept {}
};

auto awkward() -> async_generator<int> {
  for (int i = 0; i < 9; ++i) {
    if (i % 3 == 0) {
      bool caught = false;
      try {
        co_await throws_in_suspend();
      } catch (std::runtime_error const&) {
        caught = true;
      }
      EXPECT_TRUE(caught);
    }
    if (i % 3 == 1) co_await does_not_suspend();
    if (i % 3 == 2) co_await resumes_at_once();
    co_yield i;
  }
}

TEST(Awaiting, SurvivesAwaitersThatThrowDeclineOrResumeAtOnce) { EXPECT_EQ(sync_wait(collect(awkward())).size(), 9U); }

auto sees_its_promise() -> async_generator<int> {
  struct sniffer {
    static auto await_ready() noexcept -> bool { return false; }
    static auto await_suspend(std::coroutine_handle<async_generator<int>::promise_type> /*h*/) noexcept -> bool {
      return false;
    }
    static auto await_resume() noexcept -> int { return 3; }
  };
  int const seen = co_await sniffer();
  co_yield seen + 0;
}

TEST(Awaiting, GivesAwaitersTheHandleOfTheBodyItself) { EXPECT_EQ(*sync_wait(sees_its_promise().anext()), 3); }

struct ticket {
  int value;
};

}  // namespace

template <>
struct agen::await_adapter<ticket> {
  static auto adapt(ticket t) {
    struct awaiter {
      int value;
      static auto await_ready() noexcept -> bool { return true; }
      static void await_suspend(std::coroutine_handle<> /*h*/) noexcept {}
      [[nodiscard]] auto await_resume() const noexcept -> int { return value; }
    };
    return awaiter{t.value};
  }
};

namespace {

auto adapted_body() -> async_generator<int> {
  int const value = co_await ticket{11};
  co_yield value + 0;
}

TEST(Awaiting, AnAwaitAdapterMakesAForeignTypeAwaitable) { EXPECT_EQ(*sync_wait(adapted_body().anext()), 11); }

auto adapted_task() -> task<int> {
  int const value = co_await ticket{12};
  co_return value;
}

TEST(Awaiting, AnAwaitAdapterWorksInATask) { EXPECT_EQ(sync_wait(adapted_task()), 12); }

auto finishes_tasks(int n) -> async_generator<int> {
  auto at_once = [](int i) -> task<int> { co_return i; };
  for (int i = 0; i < n; ++i) {
    int const value = co_await at_once(i);
    co_yield value + 0;
  }
}

TEST(Stack, DoesNotGrowOverABodyThatAwaitsATaskBeforeEachItem) {
  sync_wait([]() -> task<> {
    auto gen = finishes_tasks(200'000);
    long long sum = 0;
    while (auto item = co_await gen.anext()) sum += *item;
    EXPECT_EQ(sum, 199'999LL * 100'000);
  }());
}

TEST(Stack, DoesNotGrowOverTenMillionItemsThatComeAtOnce) {
  sync_wait([]() -> task<> {
    auto gen = count(10'000'000);
    long long sum = 0;
    while (auto item = co_await gen.anext()) sum += *item;
    EXPECT_EQ(sum, 9'999'999LL * 5'000'000);
  }());
}

static_assert(!std::is_copy_constructible_v<async_generator<int>>);
static_assert(std::is_nothrow_move_constructible_v<async_generator<int>>);

auto returning() -> async_generator<int, int, std::string> {
  int const sent = co_yield 1;
  co_return std::to_string(sent);
}
template <class Source>
auto delegating_to(Source source) -> async_generator<int, int> {
  bool thrown = false;
  try {
    co_await yield_from(static_cast<Source&&>(source));
  } catch (no_return_value const&) {
    thrown = true;
  }
  if (thrown) co_yield -1;
}

/// Every operation on a generator that has nothing in it: as on a closed one.
template <class Generator>
auto answers_as_closed(Generator& gen) -> task<> {
  EXPECT_FALSE(gen);
  EXPECT_EQ(gen.id(), nullptr);
  EXPECT_TRUE(gen.closed());
  EXPECT_FALSE(gen.running());
  EXPECT_EQ(gen.state(), state::closed);
  for (int i = 0; i < 2; ++i) {
    EXPECT_FALSE(co_await gen.anext());
    EXPECT_FALSE(co_await gen.asend(5));
    EXPECT_FALSE(co_await gen.athrow(std::make_exception_ptr(1)));
    bool refused = false;
    try {
      co_await gen.athrow(nullptr);
    } catch (nothing_thrown const&) {
      refused = true;
    }
    EXPECT_TRUE(refused);
    co_await gen.aclose();
  }
  bool none = false;
  try {
    auto const end = co_await gen.anext();
    end.returned();
  } catch (no_return_value const&) {
    none = true;
  }
  EXPECT_TRUE(none);
  EXPECT_THROW(gen.returned(), no_return_value);
  // What delegates to it gets no value, and goes on.
  auto to_lvalue = delegating_to<Generator&>(gen);
  auto item = co_await to_lvalue.anext();
  EXPECT_TRUE(item);
  EXPECT_EQ(*item, -1);
  auto to_rvalue = delegating_to<Generator>(std::move(gen));
  item = co_await to_rvalue.anext();
  EXPECT_EQ(*item, -1);
  EXPECT_FALSE(co_await to_rvalue.anext());
}

TEST(AsyncGenerator, IsAnEndedEmptySequenceWithoutACoroutineOrAfterItWasMovedFrom) {
  sync_wait([]() -> task<> {
    async_generator<int, int, std::string> made;
    co_await answers_as_closed(made);
    auto from = returning();
    auto to = std::move(from);
    co_await answers_as_closed(from);
    EXPECT_TRUE(co_await to.anext());
    from = std::move(to);
    co_await answers_as_closed(to);
    EXPECT_TRUE(from);
    auto end = co_await from.asend(7);
    EXPECT_EQ(end.returned(), "7");
    // Swapped, assigned, destroyed.
    std::swap(from, made);
    EXPECT_TRUE(made);
    EXPECT_FALSE(from);
    from = async_generator<int, int, std::string>();
    made = {};
    EXPECT_FALSE(made);
    co_await answers_as_closed(made);
  }());
}

TEST(AsyncGenerator, AnEmptyOneCanBeUsedOnManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < 1'000; ++i) {
        async_generator<int, int, std::string> gen;
        sync_wait(answers_as_closed(gen));
      }
    });
  }
  for (auto& one : threads) one.join();
}

/// Destroyed after everything static that is made while the program runs.
struct outlives {
  async_generator<int> gen;
  outlives() = default;
  outlives(outlives const&) = delete;
  auto operator=(outlives const&) -> outlives& = delete;
  ~outlives() {
    if (gen || sync_wait(gen.anext())) std::abort();
  }
};
outlives const last;

TEST(AsyncGenerator, AContextManagerOfAnEmptyOneDoesNotYield) {
  EXPECT_THROW(sync_wait(async_with(async_generator<int>(), [](int&) {})), context_manager_error);
}

/// Every third item comes at once; the others after a wait on one of two threads.
auto hopping(worker& one, worker& other, int n) -> async_generator<int> {
  for (int i = 0; i < n; ++i) {
    if (i % 3 == 1) co_await one.hop();
    if (i % 3 == 2) co_await other.hop();
    co_yield i;
  }
}
auto hopping_task(worker& one, int i) -> task<int> {
  if (i % 2 == 1) co_await one.hop();
  co_return i;
}
/// Awaits generators and tasks in its body, at once and not, by itself and below a yield_from.
auto through(worker& one, worker& other, int depth, int n) -> async_generator<int> {
  if (depth % 2 == 1) {
    co_await yield_from(through(one, other, depth - 1, n));
    co_return;
  }
  auto source = depth == 0 ? hopping(one, other, n) : through(one, other, depth - 1, n);
  while (auto item = co_await source.anext()) {
    int const same = co_await hopping_task(one, *item);
    co_yield same;
  }
}

TEST(Awaiting, OwnOperationsThatComeAtOnceOrLaterMayBeMixedInABodyOnManyThreads) {
  worker one;
  worker other;
  for (int const depth : {0, 1, 4}) {
    auto const all = sync_wait(collect(through(one, other, depth, 300)));
    ASSERT_EQ(all.size(), 300U);
    for (int i = 0; i < 300; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)], i);
  }
}

auto after_gates(gate& one, gate& other) -> async_generator<int> {
  co_await one;
  co_yield 1;
  co_await other;
  co_yield 2;
}
auto repeats(async_generator<int> source) -> async_generator<int> {
  while (auto item = co_await source.anext()) co_yield *item;
}

TEST(Awaiting, ABodyThatWaitsForAnotherGeneratorIsRunningAndMayBeDestroyedThere) {
  gate one;
  gate other;
  std::vector<int> seen;
  auto gen = repeats(repeats(after_gates(one, other)));
  auto consumer = [](async_generator<int>& from, std::vector<int>& into) -> detached {
    while (auto item = co_await from.anext()) into.push_back(*item);
  }(gen, seen);
  EXPECT_TRUE(gen.running());
  one.open();
  EXPECT_EQ(seen, std::vector<int>{1});
  EXPECT_TRUE(gen.running());
  EXPECT_TRUE(other.waited_for());
  gen = async_generator<int>();  // destroys the bodies where they wait; the consumer never gets an answer
  EXPECT_FALSE(consumer.done());
}

struct alignas(64) cache_line {
  int value = 0;
};
auto own_lines(std::vector<cache_line>& lines) -> async_generator<cache_line&> {
  for (auto& line : lines) co_yield line;
}
auto read_lines(std::vector<cache_line> const& lines) -> async_generator<cache_line const&> {
  co_await yield_from(lines);
}

TEST(AsyncGenerator, GivesReferencesToObjectsOfAnyAlignment) {
  sync_wait([]() -> task<> {
    std::vector<cache_line> lines(2);
    auto gen = own_lines(lines);
    while (auto item = co_await gen.anext()) item->value = 1;
    auto reader = read_lines(lines);
    int sum = 0;
    while (auto item = co_await reader.anext()) sum += item->value;
    EXPECT_EQ(sum, 2);
  }());
}

}  // namespace
