// agen/context_manager.hpp: contextlib's rules.
#include <gtest/gtest.h>

#include <stdexcept>

#include "support.hpp"

using namespace agen;
using namespace agen_test;

namespace {

enum class on_error { rethrow, swallow, replace, yield_again };

auto resource(journal& log, on_error what = on_error::rethrow) -> async_generator<std::string> {
  log.push_back("acquired");
  std::exception_ptr error;
  try {
    co_yield "resource";
  } catch (std::runtime_error const&) {
    error = std::current_exception();
  }
  log.push_back("released");
  if (!error) co_return;
  switch (what) {
    case on_error::rethrow: std::rethrow_exception(error);
    case on_error::replace: throw std::logic_error("another");
    case on_error::yield_again: co_yield "again"; break;
    case on_error::swallow: break;
  }
}

TEST(AsyncWith, AcquiresRunsAndReleases) {
  journal log;
  auto const result = sync_wait(async_with(async_context_manager(resource(log)), [&log](std::string& s) -> task<int> {
    log.push_back(s);
    co_return 4;
  }));
  EXPECT_EQ(result, 4);
  EXPECT_EQ(log, (journal{"acquired", "resource", "released"}));
}

TEST(AsyncWith, TakesBodiesThatDoNotAwaitAndThoseWithoutAValue) {
  journal log;
  EXPECT_EQ(sync_wait(async_with(resource(log), [](std::string& s) { return s.size(); })), 8U);
  EXPECT_TRUE(sync_wait(async_with(resource(log), [](std::string&) {})));
  EXPECT_TRUE(sync_wait(async_with(resource(log), [](std::string&) -> task<> { co_return; })));
}

auto fails(std::string& /*resource*/) -> task<int> {
  throw std::runtime_error("body");
  co_return 0;
}

TEST(AsyncWith, AnExceptionTheGeneratorRethrowsComesOut) {
  journal log;
  EXPECT_THROW(sync_wait(async_with(resource(log), fails)), std::runtime_error);
  EXPECT_EQ(log, (journal{"acquired", "released"}));
}

TEST(AsyncWith, AnExceptionTheGeneratorCatchesIsSwallowed) {
  journal log;
  EXPECT_EQ(sync_wait(async_with(resource(log, on_error::swallow), fails)), std::nullopt);
  EXPECT_FALSE(
      sync_wait(async_with(resource(log, on_error::swallow), [](std::string&) { throw std::runtime_error("body"); })));
}

TEST(AsyncWith, AnExceptionTheGeneratorReplacesComesOutReplaced) {
  journal log;
  EXPECT_THROW(sync_wait(async_with(resource(log, on_error::replace), fails)), std::logic_error);
}

TEST(AsyncWith, AGeneratorThatYieldsAgainAfterAnExceptionDidNotStop) {
  journal log;
  EXPECT_THROW(sync_wait(async_with(resource(log, on_error::yield_again), fails)), context_manager_error);
}

TEST(AsyncWith, AGeneratorThatDoesNotYieldIsAnError) {
  EXPECT_THROW(sync_wait(async_with(count(0), [](int) {})), context_manager_error);
}

TEST(AsyncWith, AGeneratorThatYieldsTwiceIsAnErrorAndIsClosed) {
  journal log;
  auto twice = [](journal& into) -> async_generator<int> {
    co_yield 1;
    try {
      co_yield 2;
    } catch (generator_exit const&) {
      into.push_back("closed");
      throw;
    }
  };
  EXPECT_THROW(sync_wait(async_with(twice(log), [](int) {})), context_manager_error);
  EXPECT_EQ(log, journal{"closed"});
}

}  // namespace
