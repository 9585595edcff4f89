// The lock on an interpreter's chains of delegations. With the GIL there is nothing to lock.
#ifndef ASYNC_GENERATOR_ENGINE_CHAINS_HPP
#define ASYNC_GENERATOR_ENGINE_CHAINS_HPP

#include "compat.hpp"
#include "per_thread.hpp"

namespace engine {

/// Guards the links between generators and what they delegate to: a generator's suspension, and the pointers of a
/// delegation. The lock has a part for each thread.
///
/// Who drives a root, and so has claimed it (flag::executing, set before), changes the links of its chain holding its
/// own part only: so the drivers of different chains do not wait for each other. It must not look at the links of a
/// member that somebody else drives; that one's flags say so. Whoever looks at a chain that it does not drive, or
/// claims a generator that another delegates to, holds all parts.
#ifdef Py_GIL_DISABLED
class Chains {
 public:
  /// Held by the driver of a chain, for a scope.
  class Driving {
   public:
    explicit Driving(Chains& chains) noexcept : mutex_(chains.parts_.mine()) { PyMutex_Lock(&mutex_); }
    ~Driving() { PyMutex_Unlock(&mutex_); }
    Driving(Driving const&) = delete;
    auto operator=(Driving const&) -> Driving& = delete;

   private:
    PyMutex& mutex_;
  };

  /// Held by anybody else, for a scope.
  class Stopped {
   public:
    explicit Stopped(Chains& chains) noexcept : chains_(chains) {
      chains_.parts_.for_each([](PyMutex& mutex) { PyMutex_Lock(&mutex); });
    }
    ~Stopped() {
      chains_.parts_.for_each([](PyMutex& mutex) { PyMutex_Unlock(&mutex); });
    }
    Stopped(Stopped const&) = delete;
    auto operator=(Stopped const&) -> Stopped& = delete;

   private:
    Chains& chains_;
  };

 private:
  PerThread<PyMutex> parts_;
};
#else
struct Chains {
  struct Driving {
    explicit Driving(Chains&) noexcept {}
  };
  struct Stopped {
    explicit Stopped(Chains&) noexcept {}
  };
};
#endif

}  // namespace engine

#endif
