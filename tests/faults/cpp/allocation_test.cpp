// Memory runs out at every allocation, one at a time: `operator new` of this program throws at the n-th call. Each
// program ends in std::bad_alloc, or as if nothing had failed; nothing is leaked; its generators are closed or go on.
#include <gtest/gtest.h>

#include <agen/agen.hpp>
#include <agen/streams.hpp>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <vector>

namespace {

long allowed = -1;    // allocations before one fails; negative: none fails
bool sticky = false;  // all after it fail too
long outstanding = 0;
long counted = 0;

auto allocate(std::size_t size) -> void* {
  ++counted;
  if (allowed > 0) --allowed;
  if (allowed == 0) {
    allowed = sticky ? 0 : -1;
    throw std::bad_alloc();
  }
  void* const block = std::malloc(size != 0 ? size : 1);
  if (block == nullptr) throw std::bad_alloc();
  ++outstanding;
  return block;
}
void release(void* block) noexcept {
  if (block != nullptr) --outstanding;
  std::free(block);
}

}  // namespace

auto operator new(std::size_t size) -> void* { return allocate(size); }
auto operator new[](std::size_t size) -> void* { return allocate(size); }
void operator delete(void* block) noexcept { release(block); }
void operator delete[](void* block) noexcept { release(block); }
void operator delete(void* block, std::size_t) noexcept { release(block); }
void operator delete[](void* block, std::size_t) noexcept { release(block); }

namespace {

using agen::async_generator;
using agen::sync_wait;
using agen::task;
using agen::yield_from;
using numbers = async_generator<int, void, std::string>;

auto words(int number) -> std::string {
  return "an item that does not fit into a small string: " + std::to_string(number);
}

auto count(int from, int to) -> numbers {
  std::string const held = words(to);  // an allocation of the body's own
  for (int i = from; i < to; ++i) co_yield i;
  co_return held;
}

/// Closes with something awaited, which needs memory of its own.
auto wait_a_little() -> task<> { co_return; }
auto careful(int to) -> numbers {
  std::exception_ptr error;
  try {
    for (int i = 0; i < to; ++i) co_yield i;
  } catch (...) {
    error = std::current_exception();
  }
  co_await wait_a_little();
  if (error) std::rethrow_exception(error);
  co_return words(to);
}

auto passes_on(numbers inner) -> numbers { co_return co_await yield_from(std::move(inner)); }

auto chain(int depth) -> numbers {
  auto leaf = careful(5);
  for (int i = 0; i < depth; ++i) leaf = passes_on(std::move(leaf));
  return leaf;
}

auto over_range() -> numbers {
  std::vector<int> items(3);
  for (int i = 0; i < 3; ++i) items[static_cast<std::size_t>(i)] = i;
  co_await yield_from(std::move(items));
  co_return words(3);
}

auto longs(int to) -> async_generator<long> {
  for (int i = 0; i < to; ++i) co_yield long{i};
}
auto other_items() -> async_generator<long> { co_await yield_from(longs(4)); }

auto echo() -> async_generator<std::string, std::string> {
  std::string last = words(0);
  for (;;) {
    last.append(words(1));
    last = co_yield last;
  }
}

/// What a program has made: looked at after the failure.
struct trial {
  std::vector<numbers> kept;
  auto keep(numbers g) -> numbers& {
    kept.push_back(std::move(g));  // there is room
    return kept.back();
  }
};

/// Takes what is left, and says what is wrong with a generator that saw a failure.
auto complaint(numbers& g) -> std::string {
  if (g.running()) return "still running";
  int last = -1;
  try {
    while (auto item = sync_wait(g.anext())) {
      if (*item <= last) return "an item again";
      last = *item;
    }
  } catch (...) {  // what the body raised
    if (!g.closed()) return "not closed by what left it";
  }
  if (!g.closed()) return "not closed at its end";
  sync_wait(g.aclose());
  return "";
}

/// Runs `program` until it meets no failure; returns how many it met.
auto fail_everywhere(std::function<void(trial&)> const& program) -> int {
  for (int n = 1;; ++n) {
    bool met = false;
    {
      trial made;
      made.kept.reserve(16);
      long const before = outstanding;
      {
        long const upto = counted;
        allowed = n;
        try {
          program(made);
        } catch (std::bad_alloc const&) {
          EXPECT_GE(counted - upto, n);  // it was this failure
        } catch (std::string const& thrown) {
          EXPECT_EQ(thrown, "thrown");
        }
        allowed = -1;
        met = counted - upto >= n;
      }
      for (auto& generator : made.kept) EXPECT_EQ(complaint(generator), "") << "allocation " << n;
      made.kept.clear();
      EXPECT_EQ(outstanding, before) << "leaked at allocation " << n;
    }
    if (!met) return n - 1;
    if (n > 10'000) ADD_FAILURE() << "no end";
  }
}

void report(std::exception_ptr /*error*/) noexcept {
}  // NOLINT(performance-unnecessary-value-param): the handler's type

class Memory : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    sticky = GetParam();
    former_ = agen::set_unraisable_handler(report);
  }
  void TearDown() override { agen::set_unraisable_handler(former_); }

 private:
  agen::unraisable_handler former_ = nullptr;
};
INSTANTIATE_TEST_SUITE_P(Fails, Memory, testing::Bool(),
                         [](auto const& chosen) { return chosen.param ? "FromThereOn" : "Once"; });

TEST_P(Memory, AtCreationAndIteration) {
  EXPECT_GE(fail_everywhere([](trial& t) {
              auto& g = t.keep(count(0, 4));
              while (auto item = sync_wait(g.anext())) static_cast<void>(*item);
              static_cast<void>(std::string(g.returned()));
            }),
            5);
}

TEST_P(Memory, AtDropping) {
  EXPECT_GE(fail_everywhere([](trial&) {
              auto g = count(0, 4);
              sync_wait(g.anext());
              auto deep = chain(4);
              sync_wait(deep.anext());
            }),
            8);
}

TEST_P(Memory, AtThrowing) {
  EXPECT_GE(fail_everywhere([](trial& t) {
              for (auto* g : {&t.keep(count(0, 4)), &t.keep(careful(4)), &t.keep(chain(3))}) {
                sync_wait(g->anext());
                try {
                  sync_wait(g->athrow(std::make_exception_ptr(std::string("thrown"))));
                } catch (std::string const& thrown) {
                  EXPECT_EQ(thrown, "thrown");
                }
              }
            }),
            10);
}

TEST_P(Memory, AtClosing) {
  EXPECT_GE(fail_everywhere([](trial& t) {
              for (auto* g : {&t.keep(count(0, 4)), &t.keep(careful(4)), &t.keep(chain(3))}) {
                sync_wait(g->anext());
                sync_wait(g->aclose());
              }
            }),
            10);
}

TEST_P(Memory, AtDelegating) {
  EXPECT_GE(fail_everywhere([](trial& t) {
              for (auto* g : {&t.keep(chain(1)), &t.keep(chain(5)), &t.keep(over_range())}) {
                while (auto item = sync_wait(g->anext())) static_cast<void>(*item);
              }
              auto longer = other_items();
              while (auto item = sync_wait(longer.anext())) static_cast<void>(*item);
            }),
            15);
}

TEST_P(Memory, AtSending) {
  EXPECT_GE(fail_everywhere([](trial&) {
              auto g = echo();
              sync_wait(g.anext());
              for (int i = 0; i < 3; ++i) sync_wait(g.asend(words(i)));
              sync_wait(g.aclose());
            }),
            10);
}

TEST_P(Memory, InHooks) {
  EXPECT_GE(fail_everywhere([](trial&) {
              auto const before = agen::get_asyncgen_hooks();
              struct restore {
                agen::asyncgen_hooks hooks;
                ~restore() { agen::set_asyncgen_hooks(std::move(hooks)); }
              } const guard{before};
              std::vector<agen::abandoned_generator> dropped;
              agen::asyncgen_hooks hooks;
              hooks.firstiter = [seen = std::vector<void const*>()](agen::generator_ref g) mutable {
                seen.push_back(g.id());
              };
              hooks.finalizer = [&dropped](agen::abandoned_generator g) { dropped.push_back(std::move(g)); };
              agen::set_asyncgen_hooks(std::move(hooks));
              for (int i = 0; i < 3; ++i) {
                auto g = careful(3);
                sync_wait(g.anext());
              }
              for (auto& g : dropped) sync_wait(g.aclose());
            }),
            8);
}

TEST_P(Memory, InLoopsScopesAndContextManagers) {
  EXPECT_GE(fail_everywhere([](trial& t) {
              int total = 0;
              sync_wait(agen::for_each(careful(4), [&](int i) { total += i; }));
              auto& g = t.keep(careful(4));
              sync_wait(agen::aclosing(g, [](auto& inner) -> task<> { co_await inner.anext(); }));
              auto managed = [](int value) -> async_generator<int> {
                std::string const held = words(value);
                co_yield value + static_cast<int>(held.size());
              };
              sync_wait(agen::async_with(managed(3), [](int& resource) -> task<> {
                resource += static_cast<int>(words(resource).size());
                co_return;
              }));
            }),
            8);  // a compiler may leave out what it sees freed again: clang does at -O2
}

// Streams: their sources, those that have begun, are closed whatever fails.

/// How many sources are in their bodies.
long open_sources = 0;

auto source(int to) -> async_generator<std::string> {
  struct here {
    here() { ++open_sources; }
    here(here const&) = delete;
    auto operator=(here const&) -> here& = delete;
    ~here() { --open_sources; }
  } const guard;
  for (int i = 0; i < to; ++i) {
    std::string const item = words(i);
    co_yield item;
  }
}
namespace streams = agen::streams;

/// Iterates a stream to its end, and another one for one item, and closes that.
template <class Make>
auto fail_stream(Make make) -> int {
  return fail_everywhere([&](trial&) {
    {
      auto whole = make();
      while (auto item = sync_wait(whole.anext())) static_cast<void>(*item);
    }
    EXPECT_EQ(open_sources, 0);
    {
      auto closed = make();
      sync_wait(closed.anext());
      sync_wait(closed.aclose());
    }
    EXPECT_EQ(open_sources, 0);
  });
}

TEST_P(Memory, InStreamsOfSeveral) {
  EXPECT_GE(fail_stream([] { return streams::merge(source(2), source(3)); }), 20);
  EXPECT_GE(fail_stream([] { return streams::race(source(2), source(3)); }), 20);
  EXPECT_GE(fail_stream([] { return streams::zip(source(2), source(3)); }), 20);
  EXPECT_GE(fail_stream([] { return streams::zip(streams::strict, source(2), source(2)); }), 20);
  EXPECT_GE(fail_stream([] { return streams::zip_latest(source(2), source(3)); }), 20);
  EXPECT_EQ(open_sources, 0);
}
TEST_P(Memory, InStreamsOfOne) {
  auto sleep = [](std::chrono::nanoseconds) -> task<> { co_return; };
  using namespace std::chrono_literals;
  agen::event never;
  EXPECT_GE(fail_stream([&] { return streams::take_until(source(2), never); }), 20);
  EXPECT_GE(fail_stream([&] { return streams::timeout(source(2), 1s, sleep); }), 15);
  EXPECT_GE(fail_stream([&] { return streams::chunks(source(3), 2, 1s, sleep); }), 15);
  EXPECT_GE(fail_stream([] {
              return streams::flat_map(source(2), [](std::string const& item) {
                return streams::from_iterable(std::vector<std::string>{item});
              });
            }),
            15);
  EXPECT_GE(fail_stream([] {
              return streams::scan(source(3), std::string(),
                                   [](std::string sum, std::string const& item) { return sum.append(item); });
            }),
            15);
  EXPECT_GE(fail_stream([] {
              return source(3) | agen::stage([](auto& from) -> async_generator<std::string> {
                       while (auto item = co_await from.anext()) co_yield *item + words(0);
                     });
            }),
            15);
  EXPECT_GE(fail_everywhere([](trial&) { sync_wait(streams::collect(source(3))); }), 8);
  EXPECT_EQ(open_sources, 0);
}
TEST_P(Memory, InPrefetch) {
  EXPECT_GE(fail_stream([] { return streams::prefetch(source(5), 2); }), 20);
  // What was fetched is taken or handed back, or it is the one whose copy failed.
  EXPECT_GE(fail_everywhere([](trial&) {
              std::size_t left = 0;
              auto stream = streams::prefetch(source(9), 3, [&left](auto const& items) { left = items.size(); });
              if (!sync_wait(stream.anext())) return;
              sync_wait(stream.aclose());
              EXPECT_EQ(left, 2U);
            }),
            10);
  EXPECT_EQ(open_sources, 0);
}
TEST_P(Memory, InBroadcast) {
  for (auto then : {streams::slow::wait, streams::slow::drop, streams::slow::error}) {
    EXPECT_GE(fail_everywhere([then](trial&) {
                {
                  streams::broadcast shared(source(5), 2, then);
                  auto one = shared.reader();
                  auto other = shared.reader();
                  for (int i = 0; i < 2; ++i) {
                    sync_wait(one.anext());
                    sync_wait(other.anext());
                  }
                  sync_wait(one.aclose());
                  sync_wait(other.aclose());
                  EXPECT_EQ(open_sources, 0);
                  sync_wait(shared.aclose());
                }
                EXPECT_EQ(open_sources, 0);
              }),
              15);
  }
}
TEST_P(Memory, InChannels) {
  auto produce = [](streams::producer<std::string> from) -> task<> {
    auto const out = std::move(from);
    try {
      for (int i = 0; i < 4; ++i) co_await out.push(words(i));
    } catch (...) {
      out.fail();
    }
  };
  auto consume = [](async_generator<std::string> items) -> task<> {
    while (auto item = co_await items.anext()) static_cast<void>(*item);
  };
  EXPECT_GE(fail_everywhere([&](trial&) {
              streams::channel<std::string> of(2);
              auto out = produce(of.producer());
              sync_wait(agen::when_all(std::move(out), consume(std::move(of).items())));
            }),
            10);
}

// Once a stream has been under way for a while, an item needs no memory.

/// Takes items, and gives how many allocations the last `n` of them needed.
template <class Stream>
auto allocations_of(Stream stream, int n) -> task<long> {
  for (int i = 0; i < n; ++i) co_await stream.anext();
  long const before = counted;
  for (int i = 0; i < n; ++i) {
    if (!co_await stream.anext()) ADD_FAILURE() << "an early end";
  }
  co_return counted - before;
}
auto endless() -> async_generator<int> {
  for (int i = 0;; ++i) co_yield i;
}
TEST(Memory, AnItemNeedsNone) {
  EXPECT_EQ(sync_wait(allocations_of(streams::merge(endless(), endless()), 500)), 0);
  EXPECT_EQ(sync_wait(allocations_of(streams::prefetch(endless(), 1), 500)), 0);
  EXPECT_EQ(sync_wait(allocations_of(streams::prefetch(endless(), 200), 500)), 0);
  streams::broadcast alone(endless());
  EXPECT_EQ(sync_wait(allocations_of(alone.reader(), 500)), 0);
  streams::broadcast dropping(endless(), 100, streams::slow::drop);
  auto slow = dropping.reader();
  EXPECT_EQ(sync_wait(allocations_of(dropping.reader(), 500)), 0);
  streams::channel<int> of(3);
  auto produce = [](streams::producer<int> from) -> task<> {
    auto const out = std::move(from);
    for (int i = 0; i < 1000; ++i) co_await out.push(i);
  };
  auto out = produce(of.producer());
  auto const [nothing, needed] = sync_wait(agen::when_all(std::move(out), allocations_of(std::move(of).items(), 500)));
  EXPECT_EQ(needed, 0);
}

}  // namespace
