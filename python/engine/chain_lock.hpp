// The lock on an interpreter's chains of delegations. With the GIL there is nothing to lock.
#ifndef ASYNC_GENERATOR_ENGINE_CHAIN_LOCK_HPP
#define ASYNC_GENERATOR_ENGINE_CHAIN_LOCK_HPP

#include "compat.hpp"
#include "per_thread.hpp"

namespace engine {

/// Guards the links between generators and what they delegate to: a generator's suspension, and the links of a
/// delegation. The lock has a part for each thread.
///
/// A driver has claimed its root (it is executing) before it takes the lock. It changes the links of its own chain
/// while it holds the part of its thread only (`Driving`), so the drivers of different chains do not wait for each
/// other. It must not look at the links of a member that another driver is inside of; that one's state says so. All
/// other code, which looks at a chain without driving it or claims a generator that another delegates to, holds all
/// parts (`Stopped`).
///
/// What needs the lock takes a `Held`, or a `Stopped` where the part of one thread is not enough.
class ChainLock {
 public:
  /// The lock is held, by either kind of holder.
  class Held {
   protected:
    Held() noexcept = default;
    ~Held() = default;

   public:
    Held(Held const&) = delete;
    auto operator=(Held const&) -> Held& = delete;
  };

#ifdef Py_GIL_DISABLED
  /// Held by the driver of a chain, for a scope.
  class Driving : public Held {
   public:
    explicit Driving(ChainLock& chains) noexcept : mutex_(chains.parts_.mine()) { PyMutex_Lock(&mutex_); }
    ~Driving() { PyMutex_Unlock(&mutex_); }
    Driving(Driving const&) = delete;
    auto operator=(Driving const&) -> Driving& = delete;

   private:
    PyMutex& mutex_;
  };

  /// Held by all others, for a scope.
  class Stopped : public Held {
   public:
    explicit Stopped(ChainLock& chains) noexcept : chains_(chains) {
      chains_.parts_.for_each([](PyMutex& mutex) { PyMutex_Lock(&mutex); });
    }
    ~Stopped() {
      chains_.parts_.for_each([](PyMutex& mutex) { PyMutex_Unlock(&mutex); });
    }
    Stopped(Stopped const&) = delete;
    auto operator=(Stopped const&) -> Stopped& = delete;

   private:
    ChainLock& chains_;
  };

 private:
  PerThread<PyMutex> parts_;
#else
  struct Driving : Held {
    explicit Driving(ChainLock&) noexcept {}
  };
  struct Stopped : Held {
    explicit Stopped(ChainLock&) noexcept {}
  };
#endif
};

}  // namespace engine

#endif
