// Allocation: how often, from where, and what happens when there is no memory.
#include <gtest/gtest.h>
#include <agen/recycling_allocator.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <memory_resource>
#include <new>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "support.hpp"

namespace {
std::size_t allocations = 0;
std::size_t allocated_bytes = 0;
bool refuse = false;
}  // namespace

__attribute__((noinline)) auto operator new(std::size_t size) -> void* {
  if (refuse) throw std::bad_alloc();
  ++allocations;
  allocated_bytes += size;
  if (void* const p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
__attribute__((noinline)) void operator delete(void* p) noexcept { std::free(p); }
__attribute__((noinline)) void operator delete(void* p, std::size_t) noexcept { std::free(p); }

using namespace agen;
using namespace agen_test;

namespace {

[[gnu::noinline]] auto numbers() -> async_generator<int> {
  for (int i = 0;; ++i) co_yield i;
}

TEST(Allocation, OneAGeneratorAndNoneAnItem) {
  sync_wait([]() -> task<> {
    std::size_t const before = allocations;
    auto gen = numbers();
    EXPECT_EQ(allocations - before, 1U);
    for (int i = 0; i < 1000; ++i) co_await gen.anext();
    EXPECT_EQ(allocations - before, 1U);
  }());
}

TEST(Allocation, AnIteratorAllocatesNothing) {
  sync_wait([]() -> task<> {
    auto gen = numbers();
    std::size_t const before = allocations;
    auto it = co_await agen::begin(gen);
    for (int i = 0; i < 1000; ++i) co_await ++it;
    EXPECT_EQ(*it, 1000);
    EXPECT_EQ(allocations, before);
  }());
}

TEST(Allocation, AFrameHasAtMost128BytesBesideTheLocalsOfItsBody) {
  std::size_t const before = allocated_bytes;
  auto gen = numbers();
#ifdef NDEBUG
  EXPECT_LE(allocated_bytes - before - sizeof(int), 128U);
#endif
  RecordProperty("bytes", static_cast<int>(allocated_bytes - before - sizeof(int)));
}

TEST(Allocation, AFailureIsBadAllocAtTheCallAndLeaksNothing) {
  auto with_parameter = [](std::shared_ptr<int> p) -> async_generator<int> { co_yield *p; };
  auto const shared = std::make_shared<int>(1);
  refuse = true;
  EXPECT_THROW(static_cast<void>(with_parameter(shared)), std::bad_alloc);
  refuse = false;
  EXPECT_EQ(shared.use_count(), 1);
}

auto passes_on() -> async_generator<int> {
  co_yield 1;
  refuse = true;
  try {
    co_await yield_from(count(1));
  } catch (std::bad_alloc const&) {
    refuse = false;
  }
  co_yield 2;
}

TEST(Allocation, AFailureInADelegationIsRaisedInTheBody) {
  sync_wait([]() -> task<> {
    auto gen = passes_on();
    co_await gen.anext();
    EXPECT_EQ(*co_await gen.anext(), 2);
  }());
}

/// Counts what is outstanding.
class counting_resource : public std::pmr::memory_resource {
 public:
  int taken = 0;
  std::size_t outstanding = 0;

 private:
  auto do_allocate(std::size_t bytes, std::size_t align) -> void* override {
    ++taken;
    outstanding += bytes;
    return std::pmr::new_delete_resource()->allocate(bytes, align);
  }
  void do_deallocate(void* p, std::size_t bytes, std::size_t align) override {
    outstanding -= bytes;
    std::pmr::new_delete_resource()->deallocate(p, bytes, align);
  }
  [[nodiscard]] auto do_is_equal(memory_resource const& other) const noexcept -> bool override {
    return this == &other;
  }
};

auto allocated(std::allocator_arg_t /*tag*/, std::pmr::polymorphic_allocator<> /*allocator*/, int n)
    -> async_generator<int, int, std::string> {
  int sum = 0;
  for (int i = 0; i < n; ++i) {
    int const sent = co_yield i;
    sum += sent;
  }
  co_return std::to_string(sum);
}

struct maker {
  auto numbers(std::allocator_arg_t /*tag*/, std::pmr::polymorphic_allocator<char> /*allocator*/) const
      -> async_generator<int> {
    co_yield start;
  }
  int start;
};

template <class T>
struct stateless {
  using value_type = T;
  stateless() = default;
  template <class U>
  explicit stateless(stateless<U> const& /*other*/) noexcept {}
  auto allocate(std::size_t n) -> T* {
    ++calls();
    return static_cast<T*>(::operator new(n * sizeof(T)));
  }
  void deallocate(T* p, std::size_t /*n*/) noexcept { ::operator delete(p); }
  static auto calls() -> int& {
    static int n = 0;
    return n;
  }
};

auto from_stateless(std::allocator_arg_t /*tag*/, stateless<int> const& /*allocator*/) -> async_generator<int> {
  co_yield 1;
}

TEST(Allocation, TakesFramesFromAPolymorphicAllocator) {
  counting_resource memory;
  {
    auto gen = allocated(std::allocator_arg, &memory, 2);
    EXPECT_EQ(memory.taken, 1);
    EXPECT_NE(memory.outstanding, 0U);
    sync_wait([](async_generator<int, int, std::string>& g) -> task<> {
      co_await g.anext();
      co_await g.asend(20);
      EXPECT_EQ((co_await g.asend(3)).returned(), "23");
    }(gen));
    maker const m{7};
    auto from_member = m.numbers(std::allocator_arg, &memory);
    EXPECT_EQ(memory.taken, 2);
    EXPECT_EQ(*sync_wait(from_member.anext()), 7);
  }
  EXPECT_EQ(memory.outstanding, 0U);
}

auto from_resource(std::allocator_arg_t /*tag*/, std::pmr::memory_resource* /*memory*/, int n) -> async_generator<int> {
  co_yield n;
}

TEST(Allocation, TakesFramesFromAPointerToAMemoryResource) {
  counting_resource memory;
  {
    auto gen = from_resource(std::allocator_arg, &memory, 4);
    EXPECT_EQ(memory.taken, 1);
    EXPECT_EQ(*sync_wait(gen.anext()), 4);
  }
  EXPECT_EQ(memory.outstanding, 0U);
}

TEST(Allocation, TakesFramesFromAnyStandardAllocator) {
  auto gen = from_stateless(std::allocator_arg, stateless<int>());
  EXPECT_EQ(*sync_wait(gen.anext()), 1);
}

auto recycled(std::allocator_arg_t /*tag*/, recycling_allocator<> /*from*/, int n) -> async_generator<int> {
  for (int i = 0; i < n; ++i) co_yield i;
}

int freed_by = 0;
/// Says which one frees. It inherits that all are equal, as some allocators do by mistake.
template <class T>
struct numbered : std::allocator<T> {
  int number = 0;
  numbered() = default;
  explicit numbered(int n) noexcept : number(n) {}
  template <class U>
  explicit numbered(numbered<U> const& other) noexcept : number(other.number) {}
  void deallocate(T* p, std::size_t n) {
    freed_by = number;
    std::allocator<T>::deallocate(p, n);
  }
};

auto from_numbered(std::allocator_arg_t /*tag*/, numbered<int> const& /*allocator*/) -> async_generator<int> {
  co_yield 1;
}

TEST(Allocation, AnAllocatorWithoutAStateIsNotKeptBehindTheFrame) {
  std::size_t before = allocated_bytes;
  {
    auto gen = from_stateless(std::allocator_arg, stateless<int>());
  }
  auto const with_allocator = allocated_bytes - before;
  before = allocated_bytes;
  {
    auto gen = [](stateless<int> const& /*none*/) -> async_generator<int> { co_yield 1; }(stateless<int>());
  }
  auto const without = allocated_bytes - before;
  before = allocated_bytes;
  {
    auto gen = from_numbered(std::allocator_arg, numbered<int>(1));
  }
  EXPECT_LT(with_allocator, without + 2 * __STDCPP_DEFAULT_NEW_ALIGNMENT__);
  EXPECT_EQ(allocated_bytes - before, with_allocator + __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}

struct empty {
  static auto start() -> int { return 1; }
  auto member(std::pmr::memory_resource* /*memory*/) const -> async_generator<int> { co_yield start(); }
};

class service {
 public:
  explicit service(int /*with*/ = 0) {}
  auto numbers(std::pmr::memory_resource* /*memory*/) const -> async_generator<int> { co_yield 3; }
};

struct explicitly_made {
  explicit explicitly_made() = default;
  auto numbers(std::pmr::memory_resource* /*memory*/) const -> async_generator<int> { co_yield 4; }
};
auto with_another_tag(std::in_place_t /*tag*/, std::pmr::memory_resource* /*memory*/) -> async_generator<int> {
  co_yield 5;
}
auto with_a_late_tag(int item, std::allocator_arg_t /*tag*/, std::pmr::memory_resource* /*memory*/)
    -> async_generator<int> {
  co_yield item;
}

TEST(Allocation, AnAllocatorWithoutTheTagIsAParameterLikeAnyOther) {
  counting_resource memory;
  auto lambda = [](std::pmr::memory_resource* /*memory*/) -> async_generator<int> { co_yield 2; };
  auto of_object = empty().member(&memory);
  auto of_lambda = lambda(&memory);
  auto of_service = service().numbers(&memory);
  EXPECT_EQ(*sync_wait(of_object.anext()), 1);
  EXPECT_EQ(*sync_wait(of_lambda.anext()), 2);
  EXPECT_EQ(*sync_wait(of_service.anext()), 3);
  auto of_tag_like = explicitly_made().numbers(&memory);
  auto of_another_tag = with_another_tag(std::in_place, &memory);
  auto of_a_late_tag = with_a_late_tag(6, std::allocator_arg, &memory);
  EXPECT_EQ(*sync_wait(of_tag_like.anext()), 4);
  EXPECT_EQ(*sync_wait(of_another_tag.anext()), 5);
  EXPECT_EQ(*sync_wait(of_a_late_tag.anext()), 6);
  EXPECT_EQ(memory.taken, 0);
}

TEST(Allocation, AnAllocatorWithAStateFreesItsOwn) {
  {
    auto gen = from_numbered(std::allocator_arg, numbered<int>(7));
  }
  EXPECT_EQ(freed_by, 7);
}

TEST(Recycling, AFrameIsTakenAgain) {
  sync_wait([]() -> task<> {
    {
      auto first = recycled(std::allocator_arg, {}, 3);
    }
    std::size_t const before = allocations;
    for (int i = 0; i < 100; ++i) {
      auto gen = recycled(std::allocator_arg, {}, 3);
      EXPECT_EQ(*(co_await gen.anext()), 0);
    }
    EXPECT_EQ(allocations - before, AGEN_SANITIZES_ADDRESS ? 100U : 0U);
  }());
}

TEST(Recycling, AThreadKeepsEightOfASize) {
  std::thread([] {
    recycling_allocator<char[64]> memory;
    std::vector<char (*)[64]> taken;
    for (int i = 0; i < 20; ++i) taken.push_back(memory.allocate(1));
    for (auto* one : taken) memory.deallocate(one, 1);
    std::size_t const before = allocations;
    for (auto*& one : taken) one = memory.allocate(1);
    EXPECT_EQ(allocations - before, AGEN_SANITIZES_ADDRESS ? 20U : 12U);
    for (auto* one : taken) memory.deallocate(one, 1);
  }).join();
}

TEST(Recycling, AFrameMayBeDestroyedOnAnotherThreadAndAfterTheCachesEnd) {
  struct late {
    std::optional<async_generator<int>> held;
    ~late() { held.reset(); }
  };
  auto gen = recycled(std::allocator_arg, {}, 3);
  EXPECT_EQ(*sync_wait(gen.anext()), 0);
  std::thread([&gen] {
    static thread_local late destroyed_last;  // begun before the cache, so destroyed after it
    destroyed_last.held.emplace(recycled(std::allocator_arg, {}, 1));
    auto const here = std::move(gen);
  }).join();
}

TEST(Recycling, SizesThatAreNotKeptComeFromElsewhere) {
  recycling_allocator<char> memory;
  for (std::size_t const n :
       {std::size_t(0), std::size_t(1), std::size_t(1024), std::size_t(1025), std::size_t(5000)}) {
    char* const block = memory.allocate(n);
    std::fill_n(block, n, 'x');
    memory.deallocate(block, n);
  }
  EXPECT_TRUE(recycling_allocator<int>() == recycling_allocator<long>());
  EXPECT_THROW(static_cast<void>(recycling_allocator<long>().allocate(std::size_t(-1) / 4)), std::bad_alloc);
  struct alignas(64) wide {
    char bytes[64];
  };
  recycling_allocator<wide> aligned;
  wide* const one = aligned.allocate(1);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(one) % 64, 0U);
  aligned.deallocate(one, 1);
}

TEST(Allocation, ALambdaTakesFramesFromAllocatorsToo) {
  std::byte storage[4096];
  std::pmr::monotonic_buffer_resource buffer(storage, sizeof storage, std::pmr::null_memory_resource());
  int three = 3;
  auto plain = [](std::allocator_arg_t, std::pmr::memory_resource*, int n) -> async_generator<int> {
    for (int i = 0; i < n; ++i) co_yield i;
  };
  auto capturing = [three](std::allocator_arg_t, std::pmr::polymorphic_allocator<>) -> async_generator<int> {
    co_yield three + 0;
  };
  auto mutating = [n = 0](std::allocator_arg_t, std::pmr::polymorphic_allocator<>&,
                          auto step) mutable -> async_generator<int> { co_yield n += step; };
  std::pmr::polymorphic_allocator<> from(&buffer);
  auto const sum = [](async_generator<int> gen) -> task<int> {
    int total = 0;
    while (auto item = co_await gen.anext()) total += *item;
    co_return total;
  };
  std::size_t const before = allocations;
  auto first = plain(std::allocator_arg, &buffer, three);
  auto second = capturing(std::allocator_arg, from);
  auto third = mutating(std::allocator_arg, from, 7);
  EXPECT_EQ(allocations, before);
  EXPECT_EQ(sync_wait(sum(std::move(first))), 3);
  EXPECT_EQ(sync_wait(sum(std::move(second))), 3);
  EXPECT_EQ(sync_wait(sum(std::move(third))), 7);
}

}  // namespace
