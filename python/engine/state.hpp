// The state of a generator: one word of bits. Only this file names the bits; all other files ask its questions and
// perform its transitions, each of which is one atomic step without the GIL.
//
// What holds of the lifecycle. "At" is where the body is; a row may carry the bits on its right.
//
//   created  running  executing  closed |  at              | may also be
//   ------------------------------------+------------------+----------------------------------------------------
//      x        -         -        -    |  its beginning   | delegated (while it is being attached)
//      x        x         x        -    |  its beginning   | an operation that throws begins here
//      -        -         -        -    |  a yield         | waiting, delegated, being_closed, exit_ignored
//      -        x         -        -    |  an await        | waiting, delegated, being_closed, exit_ignored
//      -        -         x        -    |  either          | the same: the operation that is sent into has been ended
//      -        x         x        -    |  in the body     | the same
//      -        *         *        x    |  its end         | until its driver has left, any of the others
//
// So: `created` excludes `closed`, `waiting`, `being_closed` and `exit_ignored`, and of `running` and `executing` it
// has both or neither; `being_closed` comes with `delegated`. Builds with AGEN_CHECK_STATES check that at every
// transition.
#ifndef ASYNC_GENERATOR_ENGINE_STATE_HPP
#define ASYNC_GENERATOR_ENGINE_STATE_HPP

#include "compat.hpp"  // first, as Python.h has to be

#include <agen/lifecycle.hpp>
#include <atomic>
#include <cstdint>

namespace engine {

/// What never changes in the life of a generator. The first three are known to python/async_generator/_rewriting.py.
namespace trait {
inline constexpr std::uint32_t raw_yields = 1U << 0U;     ///< real yields hand out the item itself, not wrapped
inline constexpr std::uint32_t native_syntax = 1U << 1U;  ///< the body was written with `yield`
inline constexpr std::uint32_t kept_calls = 1U << 2U;     ///< rewritten code still calls yield_() or yield_from_()
inline constexpr std::uint32_t cpp = 1U << 3U;            ///< the body is a CppBody
inline constexpr std::uint32_t guarded = 1U << 14U;       ///< it yields inside a `with`, and was made under the guard
inline constexpr std::uint32_t isolated = 1U << 15U;      ///< the task of an isolated generator resumes it
inline constexpr std::uint32_t of_python = raw_yields | native_syntax | kept_calls | guarded | isolated;
inline constexpr std::uint32_t all = of_python | cpp;
}  // namespace trait

/// The parts of "an operation is under way".
enum class Activity : std::uint32_t {
  running = 1U << 4U,    ///< an operation has begun and not ended (ag_running)
  executing = 1U << 5U,  ///< a driver is inside: set on the root of a chain, and on the member whose body is resumed
  either = running | executing,
};

class GeneratorState {
  static constexpr auto running = static_cast<std::uint32_t>(Activity::running);
  static constexpr auto executing = static_cast<std::uint32_t>(Activity::executing);
  static constexpr std::uint32_t closed = 1U << 6U;         // the body has ended
  static constexpr std::uint32_t created = 1U << 7U;        // the body has not begun
  static constexpr std::uint32_t delegated = 1U << 8U;      // another generator delegates to this one
  static constexpr std::uint32_t being_closed = 1U << 9U;   // the delegating generator is closing this one
  static constexpr std::uint32_t waiting = 1U << 10U;       // the body waits at a Suspension
  static constexpr std::uint32_t exit_ignored = 1U << 11U;  // aclose() ended in "ignored GeneratorExit"
  static constexpr std::uint32_t hooked = 1U << 12U;        // firstiter was called and the finalizer captured
  static constexpr std::uint32_t owns_body = 1U << 13U;     // the collector sees the body through the generator only
  static constexpr std::uint32_t driven = running | executing;
  // What keeps an operation from the fast path.
  static constexpr std::uint32_t busy = driven | closed | created | delegated | being_closed;

 public:
  GeneratorState() noexcept = default;
  /// A generator whose body has not begun.
  GeneratorState(std::uint32_t traits, bool owns_its_body) noexcept
      : bits_((traits & trait::all) | created | (owns_its_body ? owns_body : 0)) {}

  // Questions ---------------------------------------------------------------------------------------------------------

  [[nodiscard]] auto has(std::uint32_t traits) const noexcept -> bool { return any(traits & trait::all); }
  [[nodiscard]] auto is_cpp() const noexcept -> bool { return any(trait::cpp); }
  [[nodiscard]] auto is(Activity activity) const noexcept -> bool { return any(static_cast<std::uint32_t>(activity)); }
  [[nodiscard]] auto is_running() const noexcept -> bool { return any(running); }
  [[nodiscard]] auto is_executing() const noexcept -> bool { return any(executing); }
  [[nodiscard]] auto is_created() const noexcept -> bool { return any(created); }
  [[nodiscard]] auto is_closed() const noexcept -> bool { return any(closed); }
  [[nodiscard]] auto is_delegated() const noexcept -> bool { return any(delegated); }
  [[nodiscard]] auto is_being_closed() const noexcept -> bool { return any(being_closed); }
  [[nodiscard]] auto ignored_exit() const noexcept -> bool { return any(exit_ignored); }
  [[nodiscard]] auto is_waiting() const noexcept -> bool { return any(waiting); }
  [[nodiscard]] auto is_hooked() const noexcept -> bool { return any(hooked); }
  [[nodiscard]] auto owns_its_body() const noexcept -> bool { return any(owns_body); }
  /// Its items do not leave the driver without a question.
  [[nodiscard]] auto is_being_closed_or_guarded() const noexcept -> bool { return any(being_closed | trait::guarded); }
  /// A StopIteration that is thrown in arrives at an `await yield_()`, which lets none through.
  [[nodiscard]] auto is_at_written_yield() const noexcept -> bool { return !any(created | trait::native_syntax); }
  /// The state in the words of the lifecycle.
  [[nodiscard]] auto lifecycle() const noexcept -> agen::state {
    auto const bits = get();
    if ((bits & running) != 0) return agen::state::running;
    if ((bits & closed) != 0) return agen::state::closed;
    return (bits & created) != 0 ? agen::state::created : agen::state::suspended;
  }

  // An operation ------------------------------------------------------------------------------------------------------

  /// Begins an operation on a body that is suspended at a yield of its own and is in no chain.
  /// \param unless  traits of bodies that take another way
  auto begin_at_yield(std::uint32_t unless = 0) noexcept -> bool { return claim(driven, busy | waiting | unless); }
  /// The same for a body that may wait at a Suspension.
  auto begin_idle(std::uint32_t unless) noexcept -> bool { return claim(driven, busy | unless); }
  /// Begins an operation on a generator that no other delegates to; claim_operation() knows the others.
  auto begin_undelegated(Activity unless) noexcept -> bool { return claim(driven, bits_of(unless) | delegated); }
  /// The same where the chain was looked at.
  auto begin(Activity unless) noexcept -> bool { return claim(driven, bits_of(unless)); }
  /// The operation that waits is resumed, on a generator that no other delegates to.
  /// \param unless  traits of bodies that take another way
  auto resume_undelegated(std::uint32_t unless) noexcept -> bool {
    return claim(executing, executing | delegated | unless);
  }
  /// The same where the chain was looked at.
  auto resume() noexcept -> bool { return claim(executing, executing); }
  /// The body that is about to be resumed has begun.
  void begin_body() noexcept { change(0, created); }
  /// The operation waits for the event loop.
  void wait() noexcept { change(0, executing); }
  /// The operation has its answer, or is given up by the driver that is inside.
  void end_operation() noexcept { change(0, driven); }
  /// An operation that waits is given up, from outside.
  void give_up_operation() noexcept { change(0, running); }
  /// An operation of a generator further up waits here, as its leaf, from now on.
  void inherit_operation() noexcept { change(running, 0); }

  // The body ----------------------------------------------------------------------------------------------------------

  /// The body returned, or raised.
  void finish_body() noexcept { change(closed, created); }
  /// The body could not be closed, and is given up.
  void abandon_body() noexcept { change(closed, 0); }
  /// The body is taken away from an idle generator, which is closed then.
  auto take_body() noexcept -> bool {
    return !any(waiting | exit_ignored) && claim(closed, driven | closed | delegated, created);
  }
  /// The collector sees the body itself from now on.
  void disown_body() noexcept { change(0, owns_body); }
  void ignore_exit() noexcept { change(exit_ignored, 0); }
  /// True for the one caller that is to call the hooks.
  auto begin_hooks() noexcept -> bool { return claim(hooked, hooked); }

  // In a chain: chain.hpp performs these
  // -------------------------------------------------------------------------------

  /// The body waits at a Suspension, or no longer does.
  void set_waiting() noexcept { change(waiting, 0); }
  void clear_waiting() noexcept { change(0, waiting); }
  /// A generator that is free becomes a delegate, and its body is resumed next.
  auto become_delegate() noexcept -> bool {
    return claim(driven | delegated, driven | delegated | closed | exit_ignored);
  }
  /// Takes become_delegate() back.
  void refuse_delegation() noexcept { change(0, driven | delegated); }
  void end_delegation() noexcept { change(0, delegated | being_closed); }
  /// The delegating generator closes this one: its answers are read as PEP 828 says.
  void begin_closing() noexcept { change(being_closed, 0); }
  /// The body at the end of a chain is to be resumed, by an operation that begins, or by one that is resumed.
  auto claim_leaf(bool starting) noexcept -> bool {
    return starting ? claim(driven, driven | closed) : claim(driven, executing);
  }
  /// What claim_leaf() asks.
  [[nodiscard]] auto is_claimed(bool starting) const noexcept -> bool { return any(starting ? driven : executing); }
  /// No driver can go through this member to a leaf further down.
  [[nodiscard]] auto blocks(bool starting) const noexcept -> bool {
    return any(starting ? driven | closed : executing);
  }
  /// The driver that goes through the chain resumes this body next.
  void drive() noexcept { change(driven, 0); }

 private:
  static constexpr auto bits_of(Activity activity) noexcept -> std::uint32_t {
    return static_cast<std::uint32_t>(activity);
  }

  [[nodiscard]] auto any(std::uint32_t bits) const noexcept -> bool { return (get() & bits) != 0; }

  static void check([[maybe_unused]] std::uint32_t bits) noexcept {
#if defined(Py_DEBUG) || defined(AGEN_CHECK_STATES)
    bool const starts = (bits & created) == 0 || ((bits & (closed | waiting | being_closed | exit_ignored)) == 0 &&
                                                  ((bits & driven) == 0 || (bits & driven) == driven));
    bool const closes = (bits & being_closed) == 0 || (bits & delegated) != 0;
    if (!starts || !closes) Py_FatalError("async_generator: a generator is in no state that its table has");
#endif
  }

#ifdef Py_GIL_DISABLED
  [[nodiscard]] auto get() const noexcept -> std::uint32_t { return bits_.load(std::memory_order_acquire); }
  void change(std::uint32_t set, std::uint32_t clear) noexcept {
    if (clear == 0) {
      check(bits_.fetch_or(set, std::memory_order_acq_rel) | set);
    } else if (set == 0) {
      check(bits_.fetch_and(~clear, std::memory_order_acq_rel) & ~clear);
    } else {
      (void)claim(set, 0, clear);
    }
  }
  /// Sets `set` and clears `clear` unless one of `against` is set.
  auto claim(std::uint32_t set, std::uint32_t against, std::uint32_t clear = 0) noexcept -> bool {
    std::uint32_t seen = bits_.load(std::memory_order_acquire);
    do {
      if ((seen & against) != 0) return false;
    } while (!bits_.compare_exchange_weak(seen, (seen & ~clear) | set, std::memory_order_acq_rel));
    check((seen & ~clear) | set);
    return true;
  }

  std::atomic<std::uint32_t> bits_{0};
#else
  [[nodiscard]] auto get() const noexcept -> std::uint32_t { return bits_; }
  void change(std::uint32_t set, std::uint32_t clear) noexcept {
    bits_ = (bits_ & ~clear) | set;
    check(bits_);
  }
  auto claim(std::uint32_t set, std::uint32_t against, std::uint32_t clear = 0) noexcept -> bool {
    if ((bits_ & against) != 0) return false;
    change(set, clear);
    return true;
  }

  std::uint32_t bits_ = 0;
#endif
};

}  // namespace engine

#endif
