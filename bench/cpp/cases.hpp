// What every contender registers: a name and a function that produces that many items (or generators) and sums them.
#ifndef AGEN_BENCH_CASES_HPP
#define AGEN_BENCH_CASES_HPP

#include <map>
#include <string>

namespace bench {

using run = long (*)(long items);

inline auto cases() -> std::map<std::string, run>& {
  static std::map<std::string, run> all;
  return all;
}

/// `static bench::add const here("name", &function);`
struct add {
  add(char const* name, run function) { cases()[name] = function; }
};

}  // namespace bench

#define AGEN_BENCH_NOINLINE __attribute__((noinline))

#endif  // AGEN_BENCH_CASES_HPP
