// What every generator's coroutine frame begins with, and the protocol by which a consumer and a body hand control to
// each other: resume, arrive, transfer. No types of items here: one generator's frame looks like every other's.
//
// The protocol in one paragraph. The awaitable of an operation lives in the consumer's frame. Its await_suspend
// resumes the leaf as an ordinary nested call and then looks at the awaitable's status byte. It says `arrived` from the
// start, and a body that yields before it ever suspends elsewhere leaves it alone: the nested call returns, and the
// consumer continues without having been suspended. A body that hands control to another of its chain writes `passed`:
// the consumer resumes that one next. Before a body suspends in something foreign, its wrapper (await.hpp) writes
// `foreign`; from then on the body may be resumed at any time and on any thread, and the two sides settle by one atomic
// exchange which of them continues the consumer. No symmetric transfer (g++ grows the stack without optimisation and
// under sanitizers), no atomic read-modify-write and no thread-local for an item that comes at once.
#ifndef AGEN_DETAIL_FRAME_HPP
#define AGEN_DETAIL_FRAME_HPP

#include "compiler.hpp"  // first: see there

#include <coroutine>
#include <exception>
#include <utility>

#include "../errors.hpp"
#include "../lifecycle.hpp"
#include "cancellation.hpp"
#include "hook.hpp"

namespace agen {
class abandoned_generator;
}

namespace agen::detail {

struct frame;

// `frame` is the first base of every promise and no promise is aligned more strictly than two pointers, so the handle
// of a coroutine can be made from its frame and back without knowing the promise's type.
using frame_handle = std::coroutine_handle<frame>;

/// How far an operation has come; see the head of this file.
enum status : unsigned char {
  arrived,  ///< the body has answered, or will before it suspends anywhere else
  passed,   ///< another frame is the leaf now, and await_suspend, which is on the stack, resumes it
  foreign,  ///< the body suspended elsewhere; await_suspend may still be on the stack
  waiting,  ///< the consumer is suspended: the body resumes it when it arrives
  severed,  ///< the consumer, or the generator, was destroyed while the consumer waited
};

/// A loop on the stack that resumes one frame after another, so that attaching and finishing never nest (see transfer).
struct resume_loop {
  frame_handle next;
};

/// The part of an awaitable that the body's side knows.
struct pending {
  unsigned char at;
  bool cancellable;     ///< `cancellation` is set
  bool observed;        ///< on_generator_destroyed is to be called: the scope is this operation's own
  bool beside = false;  ///< a stream asks its source, which waits beside others; in a word with the three above, so
                        ///< that one store initialises them
  resume_loop* loop;    ///< set when the body is `elsewhere`: the innermost transfer loop that may take the next frame
  void* consumer;       ///< set when it is `waiting`: its coroutine
  cancellation_scope* cancellation;  ///< set by a partner that can cancel; what the body awaits refers to it, too

  // What an item that comes at once does not need stays uninitialised: three stores are 5 % of its price.
  pending() noexcept
      : at(arrived), cancellable(false), observed(false) {}  // NOLINT(cppcoreguidelines-pro-type-member-init)
  pending(pending&& other) noexcept                          // NOLINT: as above
      : at(arrived), cancellable(other.cancellable), observed(other.observed), beside(other.beside) {
    if (cancellable) cancellation = other.cancellation;
  }
  auto operator=(pending&&) -> pending& = delete;
  ~pending() = default;
  constexpr explicit pending(status now) noexcept
      : at(now), cancellable(false), observed(false), loop(nullptr), consumer(nullptr), cancellation(nullptr) {}
};

/// Takes the place of the operation after its consumer was destroyed. Never written.
inline constinit pending const no_consumer{severed};

/// The state of a generator as one byte: `agen::state`, and two more.
enum class phase : unsigned char {
  suspended = static_cast<unsigned char>(state::suspended),
  created = static_cast<unsigned char>(state::created),
  running = static_cast<unsigned char>(state::running),
  closed = static_cast<unsigned char>(state::closed),
  elsewhere,  ///< running, but not as a nested call of its consumer: a foreign awaitable resumes it, or it is being
              ///< closed
  unclaimed,  ///< suspended, with an item whose consumer was destroyed before the item came
};

struct delegation;

/// What the consumer and the body hand to each other: one pointer, to an object that its owner keeps until the next
/// step. Which of the accessors is right follows from the protocol: the consumer sets what the body reads when it is
/// resumed, and the body sets what the consumer reads after it has arrived.
class handover {
 public:
  void send(void* value) noexcept { at_ = value; }
  void send_nothing() noexcept { at_ = nullptr; }
  [[nodiscard]] auto sent() const noexcept -> void* { return at_; }  ///< null: nothing

  void throw_in(std::exception_ptr* error) noexcept { at_ = error; }  ///< with control::throwing
  [[nodiscard]] auto thrown() const noexcept -> std::exception_ptr const& {
    return *static_cast<std::exception_ptr*>(at_);
  }

  void yield(void* item) noexcept { at_ = item; }
  void end() noexcept { at_ = nullptr; }
  [[nodiscard]] auto item() const noexcept -> void* { return at_; }  ///< null: the body has ended

 private:
  void* at_ = nullptr;
};

/// One generator's controls. Those of the root serve a whole chain of delegation. Those of an attached generator are
/// unused, except for the link to its parent.
struct control {
  enum : unsigned char {
    exit_ignored = 1,        ///< see admit()
    destroyed_on_close = 2,  ///< set by the body's promise: see destroyed_on_close.hpp
  };

  frame_handle leaf;
  union {
    pending* link;       ///< root: the operation under way
    delegation* parent;  ///< attached: the yield_from that this generator serves
  };
  handover handed;
  union {
    hook<abandoned_generator> finalizer;  ///< captured at the first iteration (PEP 525)
    std::exception_ptr raised;            ///< after the end, if `has_raised`
  };
  phase now;
  bool throwing = false;      ///< `handed` is an exception to throw at the body's yield
  bool exiting = false;       ///< an exit climbs the chain; `link` is an exit_pending
  unsigned char closing = 0;  ///< of the two above
  bool hooked = false;        ///< the hooks were asked
  bool attached = false;
  bool has_raised = false;
  bool has_value = false;  ///< the promise holds what co_return gave; kept here because a byte is free here

  constexpr explicit control(phase at = phase::created) noexcept : link(nullptr), finalizer(), now(at) {}
  control(control const&) = delete;
  auto operator=(control const&) -> control& = delete;
  ~control() {
    if (has_raised) {
      raised.~exception_ptr();
    } else {
      finalizer.~hook();
    }
  }

  void keep(std::exception_ptr error) noexcept {
    finalizer.~hook();
    ::new (static_cast<void*>(&raised)) std::exception_ptr(std::move(error));
    has_raised = true;
  }
  auto take() noexcept -> std::exception_ptr {
    std::exception_ptr error(std::move(raised));
    raised.~exception_ptr();
    has_raised = false;
    ::new (static_cast<void*>(&finalizer)) hook<abandoned_generator>();
    return error;
  }
};

/// First base of every promise. `of` is the only thing that the path of an item reads to find its consumer, at any
/// depth.
struct frame {
  control* of;
  control own;

  constexpr explicit frame(phase at = phase::created) noexcept : of(&own), own(at) {}
};

/// The frame of every empty generator: ended, without a coroutine, never written. Because of it an operation need not
/// test whether there is a frame.
union ended_frame {
  frame the_frame;
  constexpr ended_frame() noexcept : the_frame(phase::closed) {}
  ended_frame(ended_frame const&) = delete;
  auto operator=(ended_frame const&) -> ended_frame& = delete;
  AGEN_EMPTY_DESTRUCTOR ~ended_frame() {}  // NOLINT(modernize-use-equals-default): generators may outlive the program
};
inline constinit ended_frame no_generator;

/// Does not compare addresses, because each shared library may have a `no_generator` of its own.
inline auto is_empty(frame const& f) noexcept -> bool { return !f.own.leaf; }

/// A yield_from under way: lives in the delegating body's frame, between its generator and the one it delegates to.
struct delegation {
  frame* parent = nullptr;
  frame* child = nullptr;
  bool owns = false;       ///< the child's frame is destroyed with this delegation
  bool exit = false;       ///< the child was closed: the parent gets an exit of its own
  bool ignored = false;    ///< the child yielded while it was closed
  bool destroyed = false;  ///< the child was destroyed by its owner
};

/// The awaitable of aclose and athrow, which may throw an exit into each generator of a chain in turn.
struct exit_pending : pending {
  frame* target = nullptr;   ///< gets the exit now: the leaf first, then its parents
  std::exception_ptr exit;   ///< what the root gets; null: a generator_exit
  bool closes_root = false;  ///< aclose; otherwise it is athrow of an exit, which closes only what is below the root
  bool climbed = false;      ///< what the target delegated to is closed already: the exit is raised at its yield_from
};

inline auto handle_of(frame& f) noexcept -> frame_handle { return frame_handle::from_promise(f); }

// ------------------------------------------------------------------------------------------------ the body's side

/// Out of line, so that a body's frame on the stack needs no room for an exception.
AGEN_NOINLINE inline void keep_current(control& c) noexcept { c.keep(current_error()); }

/// Out of line: g++ 12 warns of a dangling pointer where it sees that `stand_in` is on the stack. Before the loop of
/// transfer() ends, leave_mark or arrive_elsewhere replaces the pointer.
AGEN_NOINLINE inline void stand_for_consumer(control& c, pending& stand_in) noexcept { c.link = &stand_in; }

/// Makes `c.leaf` run next, in the loop that is on the stack or else in a loop of its own. Touches nothing afterwards.
inline void transfer(control& c) noexcept {
  pending* const operation = c.link;
  if (c.now == phase::running) return store(operation->at, passed);
  if (operation->loop != nullptr) {
    operation->loop->next = c.leaf;
    return;
  }
  resume_loop here{c.leaf};
  // Without a consumer there is no awaitable that could point to the loop. A stand-in does, until the body answers or
  // suspends elsewhere.
  pending stand_in(severed);
  if (load(operation->at) == severed) {
    stand_in.loop = &here;
    stand_for_consumer(c, stand_in);
  } else {
    operation->loop = &here;
  }
  while (here.next) std::exchange(here.next, frame_handle()).resume();
}

/// The generator that is being closed, which is not the root, has yielded instead. It stays suspended outside the
/// chain, and its parent gets ignored_generator_exit.
inline void refuse_exit(control& c, exit_pending& operation) noexcept {
  frame& inner = *operation.target;
  delegation& at = *inner.own.parent;
  c.leaf.promise().of = &inner.own;
  inner.own.leaf = c.leaf;
  inner.own.now = phase::suspended;
  inner.own.closing |= control::exit_ignored;
  inner.own.attached = false;
  inner.own.link = nullptr;
  at.ignored = true;
  at.parent->of = &c;
  operation.target = at.parent;
  c.leaf = handle_of(*at.parent);
  transfer(c);
}

/// The answer goes to a consumer that is not on this stack, or that closes the generator. Touches nothing after the
/// consumer is resumed.
AGEN_NOINLINE inline void arrive_unsettled(control& c, phase after) noexcept {
  pending* const operation = c.link;
  if (c.exiting && after == phase::suspended) {
    auto& closer = static_cast<exit_pending&>(*operation);
    if (&closer.target->own != &c) return refuse_exit(c, closer);
  }
  if (load(operation->at) == severed) {
    c.now = after == phase::suspended ? phase::unclaimed : after;
    c.link = const_cast<pending*>(&no_consumer);
    return;
  }
  c.now = after;
  if (exchange(operation->at, arrived) == waiting) {
    std::coroutine_handle<>::from_address(operation->consumer).resume();
  }
}

/// The same, at first for a consumer that has been suspended long since: then nobody else writes to its awaitable.
AGEN_OUT_OF_LINE inline void arrive_elsewhere(control& c, phase after) noexcept {
  pending* const operation = c.link;
  if (load(operation->at) != waiting || c.exiting) [[unlikely]]
    return arrive_unsettled(c, after);
  c.now = after;
  store(operation->at, arrived);
  std::coroutine_handle<>::from_address(operation->consumer).resume();
}

/// The body has answered, and `c.handed` is set. The hot half of every item.
AGEN_ALWAYS_INLINE void arrive(control& c, phase after) noexcept {
  if (c.now != phase::running) [[unlikely]]
    return arrive_elsewhere(c, after);
  c.now = after;
}

/// The body of an attached generator has ended. Continues with its parent.
AGEN_OUT_OF_LINE inline void finish_attached(frame& f) noexcept {
  control& c = *f.of;
  delegation& at = *f.own.parent;
  f.own.now = phase::closed;
  f.own.attached = false;
  f.own.link = nullptr;
  f.of = &f.own;
  at.parent->of = &c;
  c.leaf = handle_of(*at.parent);
  if (c.exiting) {
    auto& closer = static_cast<exit_pending&>(*c.link);
    if (closer.target == &f) {
      closer.target = at.parent;
      at.exit = true;
    }
  }
  transfer(c);
}

AGEN_NOINLINE inline void forget_finalizer(frame& f) noexcept { f.own.finalizer.reset(); }

/// The body has ended (its outcome is in its promise and in `own.raised`). Continues with its parent, or answers the
/// consumer.
AGEN_OUT_OF_LINE inline void finish(frame& f) noexcept {
  if (!f.own.has_raised && f.own.finalizer) forget_finalizer(f);
  if (f.own.attached) return finish_attached(f);
  f.of->handed.end();
  arrive(*f.of, phase::closed);
}

/// Puts `at.child`, which is created or suspended, below the body of `at.parent`, with everything that the child itself
/// delegates to, and runs it.
inline void attach(delegation& at) noexcept {
  control& c = *at.parent->of;
  control& inner = at.child->own;
  bool const unclaimed = inner.now == phase::unclaimed;
  inner.leaf.promise().of = &c;
  inner.now = phase::running;
  inner.attached = true;
  inner.parent = &at;
  c.leaf = inner.leaf;
  if (!unclaimed) {
    c.handed.send_nothing();
    return transfer(c);
  }
  c.handed.yield(inner.handed.item());
  arrive(c, phase::suspended);
}

// --------------------------------------------------------------------------------------------- the consumer's side

/// The two sides did not agree at once that the consumer waits; see settle().
AGEN_NOINLINE inline auto settle_otherwise(pending& operation, unsigned char before) noexcept -> bool {
  store(operation.at, before);  // it has arrived; or the generator was destroyed meanwhile, and nothing will arrive
  if (before != severed) return false;
  if (operation.observed) operation.cancellation->on_generator_destroyed(*operation.cancellation);
  return true;
}

/// The call that resumed the body has returned, but the body has not arrived on this stack. Agrees with the body which
/// of the two continues the consumer. True: the consumer stays suspended, and neither it nor the generator may be
/// touched.
AGEN_ALWAYS_INLINE auto settle(pending& operation, std::coroutine_handle<> consumer) noexcept -> bool {
  operation.consumer = consumer.address();
  unsigned char const before = exchange(operation.at, waiting);
  if (before == foreign) [[likely]]
    return true;
  return settle_otherwise(operation, before);
}

/// Runs the frames that the leaf passed control to. True: the last of them has not arrived either.
AGEN_OUT_OF_LINE inline auto run_passed(control& c, pending& operation) noexcept -> bool {
  while (load(operation.at) == passed) {
    store(operation.at, arrived);
    c.leaf.resume();
  }
  return load(operation.at) != arrived;
}

/// The leaf was resumed and did not arrive. Runs the frames that it passed control to, then agrees on the consumer.
AGEN_ALWAYS_INLINE auto drive_on(control& c, pending& operation, std::coroutine_handle<> consumer) noexcept -> bool {
  if (load(operation.at) != foreign) [[unlikely]] {
    if (!run_passed(c, operation)) return false;
  }
  return settle(operation, consumer);
}

/// Begins an operation, which is `arrived` already, by resuming the body that runs next.
AGEN_ALWAYS_INLINE void resume_leaf(control& c, pending& operation) noexcept {
  c.link = &operation;
  c.now = phase::running;
  c.leaf.resume();
}
AGEN_ALWAYS_INLINE auto has_arrived(pending const& operation) noexcept -> bool { return load(operation.at) == arrived; }

/// Begins an operation and drives the body until it answers or suspends elsewhere (true). `consumer` is a reference so
/// that the handle is only read where the consumer has to wait.
template <class Promise>
AGEN_ALWAYS_INLINE auto drive(control& c, pending& operation, std::coroutine_handle<Promise> const& consumer) noexcept
    -> bool {
  resume_leaf(c, operation);
  if (has_arrived(operation)) [[likely]]
    return false;
  return drive_on(c, operation, consumer);
}

/// The consumer is destroyed while it waits. The body continues, and its answer is kept for the next operation. An exit
/// that is climbing the chain continues as an ordinary exception.
AGEN_NOINLINE inline void forget_consumer(control& c) noexcept {
  c.link = const_cast<pending*>(&no_consumer);
  c.exiting = false;
}

}  // namespace agen::detail

#endif  // AGEN_DETAIL_FRAME_HPP
