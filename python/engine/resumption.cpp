// See resumption.hpp.
#include "resumption.hpp"

namespace engine {

constinit thread_local Thread this_thread;

auto Resuming::is_under_way(Resumption const& sought) noexcept -> bool {
  Resumption const* one = this_thread.innermost;
  while (one != nullptr && one != &sought) one = one->outer;
  return one != nullptr;
}

void Resuming::take_out(Resumption& ended) noexcept {
  Resumption** link = &this_thread.innermost;
  while (*link != nullptr && *link != &ended) link = &(*link)->outer;
  if (*link != nullptr) *link = ended.outer;
}

}  // namespace engine
