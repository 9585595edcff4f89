// A great deal of everything: time grows with the amount and no faster, memory stays flat, nothing recurses. The full
// sizes, ten times those below, with AGEN_FULL=1.
#include <gtest/gtest.h>
#include <pthread.h>

#include <agen/agen.hpp>
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <new>
#include <vector>

namespace {
std::size_t living = 0;  // bytes
std::size_t peak = 0;
}  // namespace

// The size stands in front of the block: what is alive is known exactly.
auto operator new(std::size_t size) -> void* {
  auto* const block = static_cast<std::size_t*>(std::malloc(size + 16));
  if (block == nullptr) throw std::bad_alloc();
  *block = size;
  living += size;
  peak = std::max(peak, living);
  return block + 2;
}
void operator delete(void* pointer) noexcept {
  if (pointer == nullptr) return;
  auto* const block = static_cast<std::size_t*>(pointer) - 2;
  living -= *block;
  std::free(block);
}
void operator delete(void* pointer, std::size_t) noexcept { operator delete(pointer); }

namespace {

using agen::async_generator;
using agen::task;
using agen::yield_from;
using numbers = async_generator<int>;

auto full_size(int size) -> int {
  char const* const asked = std::getenv("AGEN_FULL");
  return asked != nullptr && *asked != '\0' && *asked != '0' ? size : size / 10;
}

auto count(int n) -> numbers {
  for (int i = 0; i < n; ++i) co_yield i;
}
auto passes_on(numbers inner) -> numbers { co_await yield_from(std::move(inner)); }

auto chain(int depth, numbers leaf) -> numbers {
  for (int i = 0; i < depth; ++i) leaf = passes_on(std::move(leaf));
  return leaf;
}

/// Runs `work` on a thread whose stack has room for no recursion.
void on_a_small_stack(std::function<void()> const& work) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, std::size_t{256} * 1024);
  pthread_t thread{};
  auto const entry = [](void* argument) -> void* {
    (*static_cast<std::function<void()> const*>(argument))();
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, entry, const_cast<std::function<void()>*>(&work)), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

auto seconds(std::function<void()> const& work) -> double {
  auto const begun = std::clock();
  on_a_small_stack(work);
  return static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC;
}

/// A tenth of the amount, and all of it: a step whose cost grows with the amount would show as a hundred to one.
void expect_linear(int size, std::function<void(int)> const& work) {
  double small = 1e9;
  for (int i = 0; i < 3; ++i) small = std::min(small, seconds([&] { work(size / 10); }));
  std::size_t const before = living;
  double const large = seconds([&] { work(size); });
  EXPECT_LT(large, 25 * small + 0.1);
  EXPECT_EQ(living, before);
}

auto consume(numbers g) -> task<int> {
  int n = 0;
  while (co_await g.anext()) ++n;
  co_return n;
}

TEST(Scale, ItemsCostNoMemory) {
  for (int depth : {0, 50}) {
    expect_linear(full_size(10'000'000), [&](int size) {
      peak = living;
      std::size_t const before = living;
      EXPECT_EQ(agen::sync_wait(consume(chain(depth, count(size)))), size);
      EXPECT_LT(peak - before, 4096U + 512U * static_cast<unsigned>(depth + 1));
    });
  }
}

TEST(Scale, GeneratorsAlive) {
  expect_linear(full_size(1'000'000), [](int size) {
    std::vector<numbers> all;
    all.reserve(static_cast<std::size_t>(size));
    for (int i = 0; i < size; ++i) all.push_back(count(3));
    agen::sync_wait([](auto& generators) -> task<> {
      for (int expected = 0; expected < 2; ++expected) {
        for (auto& g : generators) EXPECT_EQ(*co_await g.anext(), expected);
      }
    }(all));
  });
}

TEST(Scale, GeneratorsDroppedUnfinished) {
  expect_linear(full_size(1'000'000), [](int size) {
    agen::sync_wait([](int rounds) -> task<> {
      peak = living;
      std::size_t const before = living;
      for (int i = 0; i < rounds; ++i) {
        auto g = count(3);
        co_await g.anext();
      }
      EXPECT_LT(peak - before, 4096U);
    }(size));
  });
}

TEST(Scale, DeepChains) {
  int const depth = full_size(100'000) * 10;  // frames are small here: the full depth always, ten times that in full
  expect_linear(depth, [](int size) {
    agen::sync_wait(consume(chain(size, count(100))));  // to the end, through every level
    auto closed = chain(size, count(100));
    agen::sync_wait(closed.anext());
    agen::sync_wait(closed.aclose());
    auto thrown = chain(size / 10, count(100));  // an exception is raised anew at every level
    agen::sync_wait(thrown.anext());
    EXPECT_THROW(agen::sync_wait(thrown.athrow(std::make_exception_ptr(5))), int);
    auto dropped = chain(size, count(100));
    agen::sync_wait(dropped.anext());
  });
}

}  // namespace
