// The rules of PEP 525 that say which operation is legal in which state and what it answers.
//
// Both faces of the library ask these functions, so there is no Python, no coroutine and no memory here: the awaitables
// of the C++ library (detail/operations.hpp, detail/delegate.hpp) and the engine of the Python package. Code that
// decides by a test of its own, for speed, names the test that holds it to these rules.
#ifndef AGEN_LIFECYCLE_HPP
#define AGEN_LIFECYCLE_HPP

#include "detail/compiler.hpp"

namespace agen {

/// What a consumer asks of a generator (PEP 525, "Asynchronous Generator Object").
enum class operation : unsigned char { anext, asend, athrow, aclose };

/// The state of a generator. `suspended` is zero so that the common test is the cheapest one.
enum class state : unsigned char {
  suspended,  ///< at a yield
  created,    ///< the body has not begun
  running,    ///< an operation is under way: the body executes, or waits for what it awaits
  closed,     ///< the body returned, raised, or was closed before it began
};

/// What a body answers when it is resumed.
enum class step : unsigned char { awaits, yielded, returned, raised };

/// What the lifecycle answers to an operation before the body is touched.
enum class admission : unsigned char {
  resume,           ///< send the value (anext: none) or throw the exception into the body
  throw_unstarted,  ///< the body never runs: the generator is closed and the exception raised to the caller
  close_unstarted,  ///< the body never runs: the generator is closed and the operation completes
  end,              ///< iteration is over: StopAsyncIteration without a value
  nothing,          ///< the operation completes without a value and without an effect
  already_running,  ///< refused: another operation is under way
  just_started,     ///< refused: a value cannot be sent into a body that has not begun
};

/// Which answer `op` gets in state `now` (PEP 525; CPython Objects/genobject.c, async_gen_asend_send and
/// async_gen_athrow_send).
///
/// \param carries_value  asend with a value other than None
/// \param exit_ignored   an earlier aclose ended in "ignored GeneratorExit": the body is still alive and can be
/// iterated,
///                       but athrow and aclose answer `end`
constexpr auto admit(operation op, state now, bool carries_value = false, bool exit_ignored = false) noexcept
    -> admission {
  if (now == state::running) return admission::already_running;
  bool const iterates = op == operation::anext || op == operation::asend;
  if (now == state::closed) return iterates ? admission::end : admission::nothing;
  if (exit_ignored && !iterates) return admission::end;
  if (now == state::suspended || iterates) {
    return now == state::created && carries_value ? admission::just_started : admission::resume;
  }
  return op == operation::athrow ? admission::throw_unstarted : admission::close_unstarted;
}

/// What an aclose comes to after a step of the body.
enum class close_outcome : unsigned char {
  pending,       ///< cleanup awaits something: pass it on and come back
  done,          ///< the body ended; what it returned is dropped
  ignored_exit,  ///< the body yielded: RuntimeError "async generator ignored GeneratorExit"
  raises,        ///< another exception left the body: it goes to the caller
};

/// \param exit_or_end  with `step::raised`: the exception is GeneratorExit or StopAsyncIteration
constexpr auto after_exit(step answer, bool exit_or_end) noexcept -> close_outcome {
  switch (answer) {
    case step::awaits: return close_outcome::pending;
    case step::yielded: return close_outcome::ignored_exit;
    case step::returned: return close_outcome::done;
    case step::raised: break;
  }
  return exit_or_end ? close_outcome::done : close_outcome::raises;
}

}  // namespace agen

#endif  // AGEN_LIFECYCLE_HPP
