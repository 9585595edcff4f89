// agen/version.hpp: the version that CMake has read from it is the one that programs see.
#include <agen/agen.hpp>

#include <gtest/gtest.h>

#include <string>

namespace {

TEST(version, is_that_of_the_cmake_project) {
  auto const parts = {AGEN_VERSION_MAJOR, AGEN_VERSION_MINOR, AGEN_VERSION_PATCH};
  std::string text;
  for (int const part : parts) text += (text.empty() ? "" : ".") + std::to_string(part);
  EXPECT_EQ(text, AGEN_PROJECT_VERSION);
}

TEST(version, can_be_compared_by_the_preprocessor) {
#if AGEN_VERSION >= 20000 && AGEN_VERSION < 30000
  EXPECT_EQ(AGEN_VERSION / 10000, AGEN_VERSION_MAJOR);
  EXPECT_EQ(AGEN_VERSION / 100 % 100, AGEN_VERSION_MINOR);
  EXPECT_EQ(AGEN_VERSION % 100, AGEN_VERSION_PATCH);
#else
  FAIL() << "AGEN_VERSION is " << AGEN_VERSION;
#endif
}

}  // namespace
