// agen_bench                         Google Benchmark over every case
// agen_bench --list                  the names of the cases
// agen_bench --count CASE ITEMS      runs one case once, for callgrind; prints the sum
// agen_bench --memory                allocations and bytes, as JSON
#include <benchmark/benchmark.h>
#include <agen/async_generator.hpp>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "cases.hpp"

namespace {

std::size_t allocations = 0;
std::size_t last_size = 0;

}  // namespace

// Out of line: if g++ inlines only one of them, it reports a mismatch.
AGEN_BENCH_NOINLINE auto operator new(std::size_t size) -> void* {
  ++allocations;
  last_size = size;
  void* const block = std::malloc(size);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}
AGEN_BENCH_NOINLINE void operator delete(void* block) noexcept { std::free(block); }
AGEN_BENCH_NOINLINE void operator delete(void* block, std::size_t /*size*/) noexcept { std::free(block); }

namespace {

/// What a frame holds besides the body's own data, which is the parameter and the local, two ints.
template <class Send, class Return>
AGEN_BENCH_NOINLINE auto two_ints(int n) -> agen::async_generator<int, Send, Return> {
  for (int i = 0; i < n; ++i) co_yield i;
  if constexpr (!std::is_void_v<Return>) co_return n;
}
template <class Send, class Return>
auto overhead() -> std::size_t {
  auto const gen = two_ints<Send, Return>(1);
  std::size_t const own = 2 * sizeof(int) + (std::is_void_v<Return> ? 0 : sizeof(int));
  return last_size - own;
}

void memory() {
  // Items allocate nothing, so the allocations of a run do not depend on its length. (The consumer's frame is the
  // second.)
  auto& all = bench::cases();
  allocations = 0;
  all.at("agen: plain")(10);
  std::size_t const few = allocations;
  allocations = 0;
  all.at("agen: plain")(1010);
  std::size_t const many = allocations;
  std::printf("{\"allocations a generator\": %zu, \"allocations in 1000 items\": %zu, ", few - 1, many - few);
  if (all.contains("agen over Asio: post in a body, item")) {
    for (char const* name : {"agen over Asio: post in a body, item", "agen over Asio: async_anext in an awaitable"}) {
      all.at(name)(10);  // afterwards the thread has the blocks that it needs
      allocations = 0;
      all.at(name)(10);
      std::size_t const short_run = allocations;
      allocations = 0;
      all.at(name)(1010);
      std::printf("\"allocations in 1000, %s\": %zu, ", name, allocations - short_run);
    }
  }
  std::printf("\"frame overhead, bytes\": {\"<int>\": %zu, \"<int, int>\": %zu, \"<int, int, int>\": %zu}}\n",
              overhead<void, void>(), overhead<int, void>(), overhead<int, int>());
}

}  // namespace

auto main(int count, char** words) -> int {
  if (count == 2 && std::strcmp(words[1], "--list") == 0) {
    for (auto const& [name, function] : bench::cases()) std::printf("%s\n", name.c_str());
    return 0;
  }
  if (count == 2 && std::strcmp(words[1], "--memory") == 0) {
    memory();
    return 0;
  }
  if (count == 4 && std::strcmp(words[1], "--count") == 0) {
    std::printf("%ld\n", bench::cases().at(words[2])(std::atol(words[3])));
    return 0;
  }
  constexpr long items = 100'000;
  for (auto const& [name, function] : bench::cases()) {
    benchmark::RegisterBenchmark(name.c_str(), [run = function](benchmark::State& state) {
      for (auto _ : state) benchmark::DoNotOptimize(run(items));
      state.SetItemsProcessed(static_cast<long>(state.iterations()) * items);
    });
  }
  benchmark::Initialize(&count, words);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
