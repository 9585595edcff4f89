// The process as its forks see it.
#include <agen/detail/process.hpp>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using agen::detail::process;

auto const before_main = process::id();

/// Whether `depth` forks, each in the child of the one before, see themselves.
auto forks_see_themselves(int depth) -> bool {
  if (process::id() != ::getpid()) return false;
  if (depth == 0) return true;
  auto const child = ::fork();
  if (child == 0) ::_exit(forks_see_themselves(depth - 1) ? 0 : 1);
  int status = -1;
  return ::waitpid(child, &status, 0) == child && status == 0 && process::id() == ::getpid();
}

TEST(Process, IsTheOneThatRuns) {
  EXPECT_EQ(before_main, ::getpid());
  EXPECT_EQ(process::id(), ::getpid());
}

TEST(Process, IsAnotherOneAfterEachFork) { EXPECT_TRUE(forks_see_themselves(3)); }

}  // namespace
