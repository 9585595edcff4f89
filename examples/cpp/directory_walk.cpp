// A recursive walk over a directory by yield_from: one generator for each folder. An
// item costs the same at any depth.
#include <agen/agen.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace fs = std::filesystem;

// [walk]
auto walk(fs::path folder) -> agen::async_generator<fs::path const> {
  std::vector<fs::path> entries;
  for (auto const& entry : fs::directory_iterator(folder))
    entries.push_back(entry.path());
  std::ranges::sort(entries);
  for (auto const& entry : entries) {
    co_yield entry;
    if (fs::is_directory(entry)) co_await agen::yield_from(walk(entry));
  }
}
// [/walk]

/// A temporary folder that is removed at the end of its scope.
class scratch {
 public:
  scratch()
      : root_(fs::temp_directory_path() /
              ("agen-walk-" + std::to_string(reinterpret_cast<std::uintptr_t>(this)))) {
    fs::create_directories(root_ / "a" / "b" / "c");
    std::ofstream(root_ / "a" / "b" / "c" / "leaf.txt") << "leaf\n";
    std::ofstream(root_ / "a" / "one.txt") << "one\n";
    std::ofstream(root_ / "two.txt") << "two\n";
  }
  scratch(scratch const&) = delete;
  auto operator=(scratch const&) -> scratch& = delete;
  ~scratch() { fs::remove_all(root_); }
  [[nodiscard]] auto root() const -> fs::path const& { return root_; }

 private:
  fs::path root_;
};

auto show(fs::path const& root) -> agen::task<> {
  auto files = walk(root);
  while (auto path = co_await files.anext()) {
    auto const shown = path->lexically_relative(root);
    auto const depth = static_cast<int>(std::distance(shown.begin(), shown.end())) - 1;
    std::printf("%*s%s\n", 2 * depth, "", shown.filename().string().c_str());
  }
}

auto main() -> int {
  scratch const folder;
  agen::sync_wait(show(folder.root()));
}
