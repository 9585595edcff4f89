// The floor for every generator: a hand-written loop, and one opaque call for each item.
#include "cases.hpp"

namespace {

AGEN_BENCH_NOINLINE auto loop(long items) -> long {
  long sum = 0;
  for (int i = 0; i < items; ++i) {
    asm volatile("" : "+r"(i));  // the sum must not become a formula
    sum += i;
  }
  return sum;
}

struct counter {
  int now = 0;
  int end = 0;
};
AGEN_BENCH_NOINLINE auto next(counter& c, int& item) -> bool {
  if (c.now == c.end) return false;
  item = c.now++;
  return true;
}
auto (*volatile opaque)(counter&, int&) -> bool = &next;

AGEN_BENCH_NOINLINE auto indirect(long items) -> long {
  counter c{0, static_cast<int>(items)};
  long sum = 0;
  for (int item = 0; opaque(c, item);) sum += item;
  return sum;
}

bench::add const first("limit: loop by hand", &loop);
bench::add const second("limit: indirect call", &indirect);

}  // namespace
