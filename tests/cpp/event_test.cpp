#include <agen/event.hpp>

#include "support.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace {

using agen::async_generator;
using agen::task;
using agen_test::detached;
using agen_test::journal;

auto waits(agen::event& for_it, journal& log, std::string name) -> detached {
  co_await for_it;
  log.push_back(std::move(name));
}

TEST(Event, SetWakesAllInTheirOrder) {
  agen::event event;
  journal log;
  auto const first = waits(event, log, "first");
  auto const second = waits(event, log, "second");
  EXPECT_TRUE(log.empty());
  event.set();
  EXPECT_EQ(log, (journal{"first", "second"}));
  EXPECT_TRUE(event.is_set());
  auto const third = waits(event, log, "third");
  EXPECT_EQ(log.back(), "third");
}

TEST(Event, ResetMakesTheNextWait) {
  agen::event event;
  journal log;
  event.set();
  event.reset();
  EXPECT_FALSE(event.is_set());
  auto const one = waits(event, log, "one");
  EXPECT_TRUE(log.empty());
  event.set();
  EXPECT_EQ(log, journal{"one"});
}

TEST(Event, OneThatIsDestroyedWhileItWaitsIsForgotten) {
  agen::event event;
  journal log;
  auto first = waits(event, log, "first");
  auto second = waits(event, log, "second");
  auto third = waits(event, log, "third");
  third.destroy();
  auto const fourth = waits(event, log, "fourth");
  first.destroy();
  event.set();
  EXPECT_EQ(log, (journal{"second", "fourth"}));
}

TEST(Event, WhatItWakesMayDestroyTheOthersAndTheEvent) {
  auto event = std::make_unique<agen::event>();
  journal log;
  std::optional<detached> other;
  auto const first = [](std::unique_ptr<agen::event>& e, std::optional<detached>& o) -> detached {
    co_await *e;
    o.reset();
    e.reset();
  }(event, other);
  other.emplace(waits(*event, log, "other"));
  event->set();
  EXPECT_EQ(event, nullptr);
  EXPECT_TRUE(log.empty());
}

TEST(Event, ThreadsSetAndWait) {
  for (int round = 0; round < 200; ++round) {
    agen::event event;
    std::thread setter([&] { event.set(); });
    agen::sync_wait([](agen::event& e) -> task<> { co_await e; }(event));
    setter.join();
  }
}

auto hop(agen_test::gate& gate, journal& log, std::string word) -> task<> {
  co_await gate;
  log.push_back(std::move(word));
}

TEST(WithCleanup, AwaitsTheCleanupAndGivesTheResult) {
  agen_test::gate gate;
  journal log;
  auto const body = [](agen_test::gate& g, journal& l) -> detached {
    int const n = co_await agen::with_cleanup([] { return 7; }, [&] { return hop(g, l, "cleaned"); });
    l.push_back(std::to_string(n));
  }(gate, log);
  EXPECT_TRUE(log.empty());
  gate.open();
  EXPECT_EQ(log, (journal{"cleaned", "7"}));
}

TEST(WithCleanup, TheBodysErrorComesAfterTheCleanup) {
  journal log;
  auto program = agen::with_cleanup(
      []() -> task<> {
        throw std::runtime_error("body");
        co_return;
      },
      [&] { log.emplace_back("cleaned"); });
  EXPECT_THROW(agen::sync_wait(std::move(program)), std::runtime_error);
  EXPECT_EQ(log, journal{"cleaned"});
}

TEST(WithCleanup, AnErrorOfTheCleanupTakesThePlaceOfTheBodys) {
  auto program =
      agen::with_cleanup([] { throw std::runtime_error("body"); }, [] { throw std::logic_error("cleanup"); });
  EXPECT_THROW(agen::sync_wait(std::move(program)), std::logic_error);
}

TEST(CoInvoke, KeepsTheClosureOfAGenerator) {
  std::string const text = "a text that is too long for a small string";
  auto gen = agen::co_invoke(
      [text](std::size_t n) -> async_generator<char> {
        for (char c : text.substr(0, n)) co_yield c;
      },
      std::size_t{3});
  std::string all;
  for (char c : agen::sync_wait(agen_test::collect(std::move(gen)))) all += c;
  EXPECT_EQ(all, "a t");
}

TEST(CoInvoke, KeepsTheClosureOfATask) {
  std::string const text = "a text that is too long for a small string";
  EXPECT_EQ(agen::sync_wait(agen::co_invoke([text]() -> task<std::string> { co_return text; })), text);
}

}  // namespace
