// agen/execution.hpp: senders awaited in generators and tasks, operations and tasks as senders, stops in both
// directions, bodies that stay on a scheduler.
#include <agen/destroyed_on_close.hpp>
#include <agen/execution.hpp>
#include <agen/std_stop.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <system_error>
#include <thread>

#include "support.hpp"

using namespace agen;
using namespace agen_test;

namespace {

/// A thread that runs what is scheduled on it.
class looping_thread {
 public:
  looping_thread() : thread_([this] { loop_.run(); }) {}
  looping_thread(looping_thread const&) = delete;
  auto operator=(looping_thread const&) -> looping_thread& = delete;
  ~looping_thread() {
    loop_.finish();
    thread_.join();
  }
  auto scheduler() { return loop_.get_scheduler(); }
  [[nodiscard]] auto id() const { return thread_.get_id(); }

 private:
  ex::run_loop loop_;
  std::thread thread_;
};

/// Completes when the test says so. A stop request ends it if it `obeys`.
class manual {
 public:
  struct operation_base {
    virtual void finish(int value) noexcept = 0;

   protected:
    ~operation_base() = default;
  };
  template <class Receiver>
  struct operation final : operation_base {
    using operation_state_concept = ex::operation_state_tag;
    struct stops {
      operation* self;
      void operator()() const noexcept {
        self->at->asked = true;
        if (self->at->obeys) self->end();
      }
    };
    using token = decltype(ex::get_stop_token(std::declval<ex::env_of_t<Receiver>>()));

    operation(manual* to, Receiver&& r) : at(to), receiver(std::move(r)), alive(to->operations) {}
    operation(operation const&) = delete;
    auto operator=(operation const&) -> operation& = delete;
    ~operation() = default;
    void start() & noexcept {
      at->waiting = this;
      callback.emplace(ex::get_stop_token(ex::get_env(receiver)), stops{this});
    }
    void finish(int value) noexcept override {
      at->waiting = nullptr;
      callback.reset();
      ex::set_value(std::move(receiver), value);
    }
    void end() noexcept {
      if (at->waiting == nullptr) return;
      at->waiting = nullptr;
      callback.reset();
      ex::set_stopped(std::move(receiver));
    }

    manual* at;
    Receiver receiver;
    std::shared_ptr<int> alive;
    std::optional<typename token::template callback_type<stops>> callback;
  };
  struct sender {
    using sender_concept = ex::sender_tag;
    using completion_signatures = ex::completion_signatures<ex::set_value_t(int), ex::set_stopped_t()>;
    template <class Self, class... Env>
    static consteval auto get_completion_signatures() -> completion_signatures {
      return {};
    }
    template <class Receiver>
    auto connect(Receiver receiver) const {
      return operation<Receiver>(at, std::move(receiver));
    }
    manual* at;
  };

  explicit manual(bool obeys_stops = true) : obeys(obeys_stops) {}
  auto wait() { return sender{this}; }
  void finish(int value) { waiting->finish(value); }
  [[nodiscard]] auto alive() const { return operations.use_count() - 1; }

  bool obeys;
  bool asked = false;
  operation_base* waiting = nullptr;
  std::shared_ptr<int> operations = std::make_shared<int>(0);
};

/// Notes what arrives.
struct noted {
  int values = 0;
  int value = 0;
  bool ended = false;
  int errors = 0;
  int stops = 0;
};
struct stop_env {
  ex::inplace_stop_token token;
  [[nodiscard]] auto query(ex::get_stop_token_t /*asks*/) const noexcept { return token; }
};
struct noting_receiver {
  using receiver_concept = ex::receiver_tag;
  noted* into;
  ex::inplace_stop_token token;

  template <class... Values>
  void set_value(Values&&... values) noexcept {
    ++into->values;
    (note(values), ...);
  }
  void set_error(std::exception_ptr const& /*error*/) noexcept { ++into->errors; }
  void set_stopped() noexcept { ++into->stops; }
  [[nodiscard]] auto get_env() const noexcept -> stop_env { return {token}; }

 private:
  template <class Item>
  void note(Item& item) noexcept {
    into->ended = !item;
    if (item) into->value = *item;
  }
  void note(int value) noexcept { into->value = value; }
};

/// A coroutine of another library, which awaits senders and has a stop token.
struct foreign_coroutine {
  struct promise_type : ex::with_awaitable_senders<promise_type> {
    auto get_return_object() noexcept -> foreign_coroutine {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    static auto initial_suspend() noexcept -> std::suspend_always { return {}; }
    static auto final_suspend() noexcept -> std::suspend_always { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
    auto unhandled_stopped() noexcept -> std::coroutine_handle<> {
      stopped = true;
      return std::noop_coroutine();
    }
    [[nodiscard]] auto get_env() const noexcept -> stop_env { return {token}; }
    ex::inplace_stop_token token;
    bool stopped = false;
  };
  std::coroutine_handle<promise_type> body;
};

}  // namespace

// ------------------------------------------------------------------------------------------------- co_await a sender

TEST(Senders, GiveWhatTheySend) {
  auto const body = []() -> task<int> {
    co_await ex::just();
    auto const [a, b] = co_await ex::just(2, 3);
    auto const moved = co_await ex::just(std::make_unique<int>(4));
    auto const named = ex::just(5);
    co_return a + b + *moved + co_await named;
  };
  EXPECT_EQ(sync_wait(body()), 14);
}

TEST(Senders, AreAwaitedInGenerators) {
  auto gen = []() -> async_generator<int> {
    for (int i = 0; i < 3; ++i) {
      int const doubled = co_await (ex::just(i) | ex::then([](int n) { return 2 * n; }));
      co_yield doubled + 0;
    }
  }();
  EXPECT_EQ(sync_wait(collect(std::move(gen))), (std::vector{0, 2, 4}));
}

TEST(Senders, ThrowTheirErrors) {
  auto const raises = [](auto sender) -> task<> { co_await std::move(sender); };
  EXPECT_THROW(sync_wait(raises(ex::just_error(std::make_exception_ptr(std::range_error("far"))))), std::range_error);
  EXPECT_THROW(sync_wait(raises(ex::just_error(std::make_error_code(std::errc::timed_out)))), std::system_error);
  EXPECT_THROW(sync_wait(raises(ex::just_error(7))), int);
  EXPECT_THROW(sync_wait(raises(ex::just() | ex::then([] { throw std::logic_error("then"); }))), std::logic_error);
}

TEST(Senders, ThatAreStoppedEndTheWait) {
  auto gen = []() -> async_generator<int> {
    bool ended = false;
    try {
      co_await ex::just_stopped();
    } catch (stopped const&) {
      ended = true;
    }
    co_yield ended ? 1 : 0;
    co_await ex::just_stopped();
  }();
  EXPECT_EQ(*sync_wait(gen.anext()), 1);
  EXPECT_THROW(sync_wait(gen.anext()), stopped);
}

TEST(Senders, ContinueTheBodyWhereTheyComplete) {
  looping_thread other;
  auto gen = [](looping_thread& on) -> async_generator<bool> {
    for (int i = 0; i < 100; ++i) {
      co_await ex::schedule(on.scheduler());
      co_yield std::this_thread::get_id() == on.id();
    }
  }(other);
  auto const all = sync_wait(collect(std::move(gen)));
  EXPECT_EQ(all, std::vector<bool>(100, true));
}

TEST(Senders, ThatCompleteElsewhereBeforeTheyHaveStartedDoSoToo) {
  looping_thread other;
  worker first;
  auto const body = [](looping_thread& on, worker& from) -> task<int> {
    int there = 0;
    for (int i = 0; i < 2000; ++i) {
      co_await from.hop();
      co_await ex::schedule(on.scheduler());
      there += std::this_thread::get_id() == on.id() ? 1 : 0;
    }
    co_return there;
  };
  EXPECT_EQ(sync_wait(body(other, first)), 2000);
}

TEST(Senders, ThatCompleteAtOnceDoNotGrowTheStack) {
  auto const body = []() -> task<long long> {
    long long sum = 0;
    for (int i = 0; i < 200'000; ++i) sum += co_await ex::just(i);
    co_return sum;
  };
  EXPECT_EQ(sync_wait(body()), 19'999'900'000LL);
}

TEST(Senders, AreStoppedByTheTokenOfTheOperation) {
  manual work;
  manual cleanup;
  std::stop_source source;
  auto gen = [](manual& w, manual& c) -> async_generator<int> {
    bool ended = false;
    try {
      co_await w.wait();
    } catch (stopped const&) {
      ended = true;
    }
    int const cleaned = co_await c.wait();  // the request has arrived, so this waits
    co_yield ended ? cleaned : -1;
  }(work, cleanup);
  noted out;
  auto const consumer = [](async_generator<int>& of, std::stop_token token, noted& into) -> detached {
    auto const item = co_await with_stop(token, of.anext());
    into.value = *item;
  }(gen, source.get_token(), out);
  ASSERT_NE(work.waiting, nullptr);
  source.request_stop();
  EXPECT_EQ(work.waiting, nullptr);
  ASSERT_NE(cleanup.waiting, nullptr);
  EXPECT_FALSE(cleanup.asked);
  cleanup.finish(9);
  EXPECT_TRUE(consumer.done());
  EXPECT_EQ(out.value, 9);
  EXPECT_EQ(work.alive() + cleanup.alive(), 0);
}

TEST(Senders, ThatIgnoreARequestLeaveItToTheNextWait) {
  manual deaf(false);
  manual next;
  std::stop_source source;
  auto gen = [](manual& d, manual& n) -> async_generator<int> {
    co_yield co_await d.wait();
    try {
      co_await n.wait();
    } catch (stopped const&) {
    }
    co_yield 2;
  }(deaf, next);
  std::vector<int> got;
  auto const consumer = [](async_generator<int>& of, std::stop_token token, std::vector<int>& into) -> detached {
    for (int i = 0; i < 2; ++i) into.push_back(*co_await with_stop(token, of.anext()));
  }(gen, source.get_token(), got);
  source.request_stop();
  EXPECT_TRUE(deaf.asked);
  deaf.finish(1);
  EXPECT_TRUE(consumer.done());
  EXPECT_EQ(got, (std::vector{1, 2}));
}

TEST(Senders, AreAskedToStopByADroppedBody) {
  manual work;
  {
    auto gen = [](manual& w) -> async_generator<int> { co_yield co_await w.wait(); }(work);
    auto consumer = [](async_generator<int>& of) -> detached { co_await of.anext(); }(gen);
    EXPECT_EQ(work.alive(), 1);
    consumer.destroy();
  }
  EXPECT_TRUE(work.asked);
  EXPECT_EQ(work.alive(), 0);
}

TEST(Senders, OutliveADroppedBodyUntilTheyComplete) {
  manual deaf(false);
  {
    auto const body = [](manual& w) -> task<> { co_await w.wait(); };
    auto consumer = [](task<> t) -> detached { co_await std::move(t); }(body(deaf));
    consumer.destroy();
  }
  EXPECT_TRUE(deaf.asked);
  EXPECT_EQ(deaf.alive(), 1);
  deaf.finish(1);
  EXPECT_EQ(deaf.alive(), 0);
}

TEST(Senders, AreStoppedFromOtherThreads) {
  for (int round = 0; round < 200; ++round) {
    looping_thread other;
    std::stop_source source;
    auto const body = [](looping_thread& on) -> task<int> {
      int turns = 0;
      try {
        for (;; ++turns) co_await ex::schedule(on.scheduler());
      } catch (stopped const&) {
      }
      co_return turns;
    };
    std::thread stops([&source] { source.request_stop(); });
    EXPECT_GE(sync_wait(with_stop(source.get_token(), body(other))), 0);
    stops.join();
  }
}

// ------------------------------------------------------------------------------------------------ operations, as
// senders

static_assert(ex::sender<decltype(std::declval<async_generator<int>&>().anext())>);
static_assert(ex::sender<decltype(std::declval<async_generator<int>&>().try_anext())>);
static_assert(ex::sender<decltype(std::declval<async_generator<int, int>&>().asend(1))>);
static_assert(ex::sender<decltype(std::declval<async_generator<int>&>().aclose())>);
static_assert(ex::sender<task<int>> && ex::sender<task<>>);

TEST(Operations, AreSenders) {
  auto gen = count(2);
  auto const [first] = *ex::sync_wait(gen.anext());
  EXPECT_EQ(*first, 0);
  auto const [second] = *ex::sync_wait(gen.anext() | ex::then([](auto got) { return *got; }));
  EXPECT_EQ(second, 1);
  auto const [end] = *ex::sync_wait(gen.anext());
  EXPECT_FALSE(end);
}

TEST(Operations, OfEachKindAreSenders) {
  auto gen = []() -> async_generator<int, int> {
    int sent = 0;
    try {
      for (;;) sent = co_yield sent + 1;
    } catch (std::range_error const&) {
    }
    co_yield -1;
    throw std::logic_error("end");
  }();
  EXPECT_EQ(*std::get<0>(*ex::sync_wait(gen.anext())), 1);
  EXPECT_EQ(*std::get<0>(*ex::sync_wait(gen.asend(4))), 5);
  EXPECT_EQ(*std::get<0>(*ex::sync_wait(gen.athrow(std::make_exception_ptr(std::range_error("in"))))), -1);
  auto const [attempt] = *ex::sync_wait(gen.try_anext());
  EXPECT_TRUE(attempt.error());
  EXPECT_TRUE(ex::sync_wait(gen.aclose()));
  EXPECT_TRUE(gen.closed());
}

TEST(Operations, SendWhatLeavesTheBody) {
  auto gen = []() -> async_generator<int> {
    co_yield 1;
    throw std::range_error("out");
  }();
  noted out;
  ex::inplace_stop_source source;
  for (int i = 0; i < 3; ++i) {
    auto operation = ex::connect(gen.anext(), noting_receiver{&out, source.get_token()});
    ex::start(operation);
  }
  EXPECT_EQ(out.value, 1);
  EXPECT_EQ(out.errors, 1);
  EXPECT_EQ(out.values, 2);
  EXPECT_TRUE(out.ended);
}

TEST(Operations, AreStoppedByTheReceiver) {
  event tick;
  auto gen = [](event& e) -> async_generator<int> {
    co_await e;
    co_yield 1;
  }(tick);
  noted out;
  ex::inplace_stop_source source;
  auto operation = ex::connect(gen.anext(), noting_receiver{&out, source.get_token()});
  ex::start(operation);
  EXPECT_EQ(out.stops, 0);
  source.request_stop();
  EXPECT_EQ(out.stops, 1);
  EXPECT_EQ(out.values + out.errors, 0);
  EXPECT_TRUE(gen.closed());
}

TEST(Operations, PassARequestOnToTheSenderThatTheBodyAwaits) {
  manual work;
  auto gen = [](manual& w) -> async_generator<int> { co_yield co_await w.wait(); }(work);
  noted out;
  ex::inplace_stop_source source;
  source.request_stop();  // before it begins
  auto operation = ex::connect(gen.anext(), noting_receiver{&out, source.get_token()});
  ex::start(operation);
  EXPECT_EQ(out.stops, 1);
  EXPECT_EQ(work.alive(), 0);
}

TEST(Operations, EndWhenTheirGeneratorIsDestroyed) {
  gate never;
  std::optional<async_generator<int>> gen = [](gate& g) -> async_generator<int> {
    co_await g;
    co_yield 1;
  }(never);
  noted out;
  ex::inplace_stop_source source;
  auto operation = ex::connect(gen->anext(), noting_receiver{&out, source.get_token()});
  ex::start(operation);
  gen.reset();
  EXPECT_EQ(out.stops, 1);
}

TEST(Operations, AnswerLater) {
  gate later;
  auto gen = [](gate& g) -> async_generator<int> {
    co_await g;
    co_yield 3;
  }(later);
  noted out;
  ex::inplace_stop_source source;
  auto operation = ex::connect(gen.anext(), noting_receiver{&out, source.get_token()});
  ex::start(operation);
  EXPECT_EQ(out.values, 0);
  later.open();
  EXPECT_EQ(out.value, 3);
}

TEST(Operations, ComeFromOtherThreads) {
  worker other;
  auto gen = [](worker& w) -> async_generator<int> {
    for (int i = 0; i < 100; ++i) {
      co_await w.hop();
      co_yield i;
    }
  }(other);
  int sum = 0;
  while (auto item = std::get<0>(*ex::sync_wait(gen.anext()))) sum += *item;
  EXPECT_EQ(sum, 4950);
}

TEST(Tasks, AreSenders) {
  auto const gives = []() -> task<std::string> { co_return "given"; };
  auto const nothing = []() -> task<> { co_return; };
  auto const raises = []() -> task<int> {
    throw std::range_error("task");
    co_return 1;
  };
  auto const ends = []() -> task<> {
    throw stopped("enough");
    co_return;
  };
  EXPECT_EQ(std::get<0>(*ex::sync_wait(gives())), "given");
  EXPECT_TRUE(ex::sync_wait(nothing()));
  EXPECT_THROW(ex::sync_wait(raises()), std::range_error);
  EXPECT_FALSE(ex::sync_wait(ends()));
  auto const [size] = *ex::sync_wait(gives() | ex::then([](std::string const& text) { return text.size(); }));
  EXPECT_EQ(size, 5U);
}

TEST(Tasks, AreStoppedByTheReceiver) {
  event tick;
  auto const waits = [](event& e) -> task<int> {
    co_await e;
    co_return 1;
  };
  noted out;
  ex::inplace_stop_source source;
  auto operation = ex::connect(waits(tick), noting_receiver{&out, source.get_token()});
  ex::start(operation);
  source.request_stop();
  EXPECT_EQ(out.stops, 1);
}

TEST(Tasks, RunBesideOthersUnderWhenAll) {
  auto const gives = [](int n) -> task<int> { co_return n; };
  auto const [a, b] = *ex::sync_wait(ex::when_all(gives(1), gives(2)));
  EXPECT_EQ(a + b, 3);
}

TEST(Operations, AreAwaitedInCoroutinesOfSenders) {
  event tick;
  auto gen = [](event& e) -> async_generator<int> {
    co_yield 1;
    co_await e;
  }(tick);
  noted out;
  ex::inplace_stop_source source;
  auto consumer = [](async_generator<int>& of, noted& into) -> foreign_coroutine {
    while (auto item = co_await of.anext()) into.value = *item;
    into.ended = true;
  }(gen, out);
  consumer.body.promise().token = source.get_token();
  consumer.body.resume();
  EXPECT_EQ(out.value, 1);
  EXPECT_FALSE(consumer.body.done());
  source.request_stop();
  EXPECT_TRUE(consumer.body.promise().stopped);
  EXPECT_FALSE(out.ended);
  consumer.body.destroy();
}

// ---------------------------------------------------------------------------------------------------------- affinity

TEST(Affinity, BringsATaskBackToItsScheduler) {
  looping_thread home;
  worker other;
  auto const body = [](auto where, looping_thread& at, worker& w) -> task<int> {
    int at_home = 0;
    auto const here = [&] { at_home += std::this_thread::get_id() == at.id() ? 1 : 0; };
    co_await ex::schedule(where.scheduler);
    here();
    co_await w.hop();
    here();
    try {
      co_await [](worker& to) -> task<> {
        co_await to.hop();
        throw std::range_error("elsewhere");
      }(w);
    } catch (std::range_error const&) {
      here();
    }
    co_await ex::just();
    here();
    int const given = co_await [](worker& to) -> task<int> {
      co_await to.hop();
      co_return 10;
    }(w);
    here();
    co_return at_home + given;
  };
  EXPECT_EQ(sync_wait(body(stay_on(home.scheduler()), home, other)), 15);
}

template <class Scheduler>
auto staying(stay_on<Scheduler> where, looping_thread& at, worker& w) -> async_generator<bool> {
  co_await ex::schedule(where.scheduler);
  for (int i = 0; i < 2000; ++i) {
    co_await w.hop();
    co_yield std::this_thread::get_id() == at.id();
  }
}
TEST(Affinity, BringsAGeneratorBackToItsScheduler) {
  looping_thread home;
  worker other;
  EXPECT_EQ(sync_wait(collect(staying(stay_on(home.scheduler()), home, other))), std::vector<bool>(2000, true));
}

TEST(Affinity, IsKeptByABodyThatIsDestroyedOnClose) {
  looping_thread home;
  worker other;
  journal log;
  auto gen = [](stay_on<decltype(home.scheduler())> where, std::thread::id at, worker& w, journal& into,
                destroyed_on_close) -> async_generator<bool> {
    leaves const here(into, "destroyed");
    co_await ex::schedule(where.scheduler);
    for (;;) {
      co_await w.hop();
      co_yield std::this_thread::get_id() == at;
    }
  }(stay_on(home.scheduler()), home.id(), other, log, {});
  EXPECT_TRUE(*sync_wait(gen.anext()));
  sync_wait(gen.aclose());
  EXPECT_EQ(log, (journal{"destroyed"}));
}

TEST(Affinity, LeavesWhatDoesNotWaitWhereItIs) {
  looping_thread home;
  auto const body = [](auto where, std::thread::id start) -> task<bool> {
    static_cast<void>(where);
    auto gen = count(3);
    int sum = 0;
    while (auto item = co_await gen.anext()) sum += *item;
    co_return sum == 3 && std::this_thread::get_id() == start;
  };
  EXPECT_TRUE(sync_wait(body(stay_on(home.scheduler()), std::this_thread::get_id())));
}

TEST(Affinity, KeepsStopRequestsAndDelegation) {
  looping_thread home;
  event never;
  std::stop_source source;
  auto gen = [](auto where, event& e, std::stop_source& asks) -> async_generator<int> {
    static_cast<void>(where);
    co_await yield_from(count(2));
    asks.request_stop();
    auto const token = co_await agen::stop_token();
    bool const seen = token.stop_requested();
    try {
      co_await e;
    } catch (stopped const&) {
      co_return;
    }
    co_yield seen ? 1 : 0;
  }(stay_on(home.scheduler()), never, source);
  auto const consumer = [](auto& of, std::stop_token token) -> task<int> {
    int items = 0;
    while (auto item = co_await with_stop(token, of.anext())) items += *item >= 0 ? 1 : 0;
    co_return items;
  };
  EXPECT_EQ(sync_wait(consumer(gen, source.get_token())), 2);
}
