// Bodies and consumers that change threads at every await. Meant for TSan; everywhere else it checks that nothing is
// lost.
#include <gtest/gtest.h>

#include "support.hpp"

using namespace agen;
using namespace agen_test;

namespace {

struct workers {
  worker each[2];
  auto hop(int i) { return each[i & 1].hop(); }
};

auto leaf(workers& w, int n) -> async_generator<int, int, int> {
  int sum = 0;
  for (int i = 0; i < n; ++i) {
    if (i % 3 == 0) co_await w.hop(i);
    int const sent = co_yield i;
    sum += sent;
    if (i % 7 == 0) co_await w.hop(i + 1);
  }
  co_return sum;
}

auto level(workers& w, int depth, int n) -> async_generator<int, int, int> {
  if (depth == 0) {
    int const result = co_await yield_from(leaf(w, n));
    co_return result;
  }
  co_await w.hop(depth);
  int const result = co_await yield_from(level(w, depth - 1, n));
  co_await w.hop(depth + 1);
  co_return result;
}

auto consume(workers& w, int n, bool hops) -> task<long> {
  auto gen = level(w, 4, n);
  long sum = 0;
  int received = 0;
  auto first = co_await gen.anext();
  for (bool more = static_cast<bool>(first); more; ++received) {
    if (received == 0) sum += *first;
    if (hops && received % 5 == 0) co_await w.hop(received);
    auto item = co_await gen.asend(1);
    more = static_cast<bool>(item);
    if (more) sum += *item;
  }
  EXPECT_EQ(gen.returned(), n);
  EXPECT_EQ(received, n);
  co_return sum;
}

TEST(Threads, NoItemIsLostWhenBodyAndConsumerHopAtEveryAwait) {
  workers w;
  constexpr int n = 20'000;
  EXPECT_EQ(sync_wait(consume(w, n, true)), long{n} * (n - 1) / 2);
  EXPECT_EQ(sync_wait(consume(w, n, false)), long{n} * (n - 1) / 2);
}

auto cleans(workers& w, int& closed) -> async_generator<int> {
  std::exception_ptr error;
  try {
    for (int i = 0;; ++i) {
      co_await w.hop(i);
      co_yield i;
    }
  } catch (...) {
    error = std::current_exception();
  }
  co_await w.hop(1);
  ++closed;
  std::rethrow_exception(error);
}
auto over(workers& w, int& closed) -> async_generator<int> { co_await yield_from(cleans(w, closed)); }

TEST(Threads, ClosingHopsThroughTheCleanupOfEveryLevel) {
  workers w;
  int closed = 0;
  for (int round = 0; round < 300; ++round) {
    sync_wait([](workers& all, int& n) -> task<> {
      auto gen = over(all, n);
      co_await gen.anext();
      co_await all.hop(0);
      co_await gen.anext();
      co_await gen.aclose();
    }(w, closed));
  }
  EXPECT_EQ(closed, 300);
}

TEST(Threads, ASecondConsumerIsRefusedWhileTheFirstWaits) {
  workers w;
  gate at;
  auto gen = [](gate& g) -> async_generator<int> {
    co_await g;
    co_yield 1;
  }(at);
  int got = 0;
  auto const first = [](async_generator<int>& g, int& into) -> detached { into = *co_await g.anext(); }(gen, got);
  sync_wait([](workers& all, async_generator<int>& g) -> task<> {
    co_await all.hop(0);  // ordered after the first operation by the worker's queue
    bool refused = false;
    try {
      co_await g.anext();
    } catch (already_running const&) {
      refused = true;
    }
    EXPECT_TRUE(refused);
  }(w, gen));
  at.open();
  EXPECT_EQ(got, 1);
}

auto tasks_and_items(workers& w, int n) -> async_generator<int> {
  auto hopping = [](workers& all, int i) -> task<int> {
    if (i % 2 == 0) co_await all.hop(i / 2);
    co_return i;
  };
  for (int i = 0; i < n; ++i) {
    int const value = co_await hopping(w, i);
    co_yield value + 0;
  }
}

TEST(Threads, TasksThatMayOrMayNotChangeThreadsFeedABody) {
  workers w;
  constexpr int n = 20'000;
  auto const sum = sync_wait([](workers& all) -> task<long> {
    long total = 0;
    auto gen = tasks_and_items(all, n);
    while (auto item = co_await gen.anext()) total += *item;
    co_return total;
  }(w));
  EXPECT_EQ(sum, long{n} * (n - 1) / 2);
}

}  // namespace
