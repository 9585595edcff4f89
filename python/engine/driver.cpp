// The driver: one resumption of a generator, from the root to the leaf and back.
#include "driver.hpp"

#include "awaiting.hpp"
#include "boxes.hpp"
#include "cpp_body.hpp"
#include "delegation.hpp"
#include "yield.hpp"

namespace engine {

constinit thread_local Thread this_thread;

namespace {

/// Throws into a body at the point where it stands. A StopIteration that comes out is the body's return: a coroutine
/// lets no other one out.
auto body_throw(State& state, Generator& generator, PyObject* exception, PyObject** out) -> PySendResult {
  bool const unstarted = generator.flags.has(flag::created);
  if (compat::is_taken_apart(generator.body.get())) {
    compat::restore_exception(borrow(exception));
    return PYGEN_ERROR;
  }
  Object error;
  if (unstarted && PyErr_GivenExceptionMatches(exception, PyExc_StopIteration) != 0) {
    // A coroutine that has not begun would let it out, and ends a debug build of the interpreter (gh-152685).
    error = runtime_error_from(borrow(exception), "async generator raised StopIteration");
    if (!error) return PYGEN_ERROR;
    exception = error.get();
  }
  if (compat::is_unsafe_to_throw_into(generator.body.get())) {  // it is driven by hand
    PyErr_SetString(PyExc_ValueError, "coroutine already executing");
    return PYGEN_ERROR;
  }
  *out = PyObject_CallMethodOneArg(generator.body.get(), state.names.throw_.get(), exception);
  if (*out != nullptr) return PYGEN_NEXT;
  if (!PyErr_ExceptionMatches(PyExc_StopIteration)) return PYGEN_ERROR;
  return take_stop(out);
}

/// The handled exception of a delegating body, made visible to what it delegates to (see Delegation::handled).
class HandledScope {
 public:
  explicit HandledScope(Delegation const* delegation) : active_(delegation != nullptr && delegation->handled) {
    if (!active_) [[likely]]
      return;
    before_ = compat::handled_exception();
    compat::set_handled_exception(delegation->handled);
  }
  ~HandledScope() {
    if (active_) compat::set_handled_exception(std::move(before_));
  }
  HandledScope(HandledScope const&) = delete;
  auto operator=(HandledScope const&) -> HandledScope& = delete;

 private:
  Object before_;
  bool active_;
};

/// A coroutine says "coroutine raised StopIteration". Says "async generator" instead, when it was made at the body's
/// own frame: such an error has no traceback yet.
void translate_stop_iteration(State& state) {
  auto error = compat::take_exception();
  auto const cause = steal(PyException_GetCause(error.get()));
  auto const args = steal(PyObject_GetAttr(error.get(), state.names.args.get()));
  // A subclass may answer anything for its `args`.
  if (cause && PyErr_GivenExceptionMatches(cause.get(), PyExc_StopIteration) && args && PyTuple_Check(args.get()) &&
      PyTuple_GET_SIZE(args.get()) == 1) {
    auto const traceback = steal(PyException_GetTraceback(error.get()));
    PyObject* text = PyTuple_GET_ITEM(args.get(), 0);
    if (!traceback && PyUnicode_Check(text) &&
        PyUnicode_CompareWithASCIIString(text, "coroutine raised StopIteration") == 0) {
      auto const better = steal(Py_BuildValue("(s)", "async generator raised StopIteration"));
      if (better) PyObject_SetAttr(error.get(), state.names.args.get(), better.get());
    }
  }
  PyErr_Clear();
  compat::restore_exception(std::move(error));
}

/// A coroutine that was ended through its frame says "cannot reuse already awaited coroutine"; the generator is then
/// just closed. Takes the error away and answers true in that case.
auto ended_behind_our_back() -> bool {
  if (!PyErr_ExceptionMatches(PyExc_RuntimeError)) return false;
  auto error = compat::take_exception();
  auto const traceback = steal(PyException_GetTraceback(error.get()));
  auto const text = traceback ? nullptr : steal(PyObject_Str(error.get()));
  if (text && PyUnicode_CompareWithASCIIString(text.get(), "cannot reuse already awaited coroutine") == 0) return true;
  PyErr_Clear();
  compat::restore_exception(std::move(error));
  return false;
}

/// Gives an exception that leaves a body the form that PEP 479 and PEP 525 want.
void translate_escape(State& state) {
  if (PyErr_ExceptionMatches(PyExc_StopAsyncIteration)) {
    raise_from_current("async generator raised StopAsyncIteration");
  } else if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
    raise_from_current("async generator raised StopIteration");
  } else if (PyErr_ExceptionMatches(PyExc_RuntimeError)) {
    translate_stop_iteration(state);
  }
}

}  // namespace

void Resuming::take_out(Resumption& ended) noexcept {
  Resumption** link = &this_thread.innermost;
  while (*link != nullptr && *link != &ended) link = &(*link)->outer;
  if (*link != nullptr) *link = ended.outer;
}

auto runtime_error(char const* text) -> Object {
  auto const message = steal(PyUnicode_FromString(text));
  if (!message) return nullptr;
  return steal(PyObject_CallOneArg(PyExc_RuntimeError, message.get()));
}

auto runtime_error_from(Object cause, char const* text) -> Object {
  auto error = runtime_error(text);
  if (!error) return nullptr;
  PyException_SetContext(error.get(), Object(cause).release());
  PyException_SetCause(error.get(), cause.release());
  return error;
}

void raise_from_current(char const* text) {
  if (auto error = runtime_error_from(compat::take_exception(), text)) compat::restore_exception(std::move(error));
}

void set_already_running(State& state, agen::operation operation) {
  char const* name = operation == agen::operation::athrow   ? "athrow"
                     : operation == agen::operation::aclose ? "aclose"
                                                            : "anext";
  PyErr_Format(state.already_running.get(), "%s(): asynchronous generator is already running", name);
}

auto lifecycle_state(Generator const& generator) noexcept -> agen::state {
  auto const flags = generator.flags.get();
  if ((flags & flag::running) != 0) return agen::state::running;
  if ((flags & flag::closed) != 0) return agen::state::closed;
  return (flags & flag::created) != 0 ? agen::state::created : agen::state::suspended;
}

auto delegation_of(State& state, Generator const& generator) noexcept -> Delegation* {
  PyObject* suspension = suspension_of(generator);
  if (suspension == nullptr || Py_TYPE(suspension) != state.delegation_type) return nullptr;
  auto& delegation = as<Delegation>(suspension);
  return delegation.parent != nullptr ? &delegation : nullptr;  // null: ended by hand, and the body was not told yet
}

namespace {

/// True when one of `bits` is set on a generator that delegates to this one. Says nothing of a leaf, which has no
/// delegation to look up from: an operation under way has marked it. The chains are locked.
auto has_above(State& state, Generator& generator, std::uint32_t bits) noexcept -> bool {
  Delegation* delegation = delegation_of(state, generator);
  if (delegation == nullptr) return false;
  for (delegation = delegation->outer; delegation != nullptr; delegation = delegation->outer) {
    if (delegation->parent->flags.has(bits)) return true;
  }
  return false;
}

}  // namespace

auto is_driven(Delegation const& delegation) noexcept -> bool {
  for (Delegation const* above = &delegation; above != nullptr && above->parent != nullptr; above = above->outer) {
    if (above->parent->flags.has(flag::executing)) return true;
  }
  return false;
}

auto is_driven(State& state, Generator& generator) noexcept -> bool {
  if (generator.flags.has(flag::executing)) return true;
  Chains::Stopped const lock(state.chains);
  Delegation const* delegation = delegation_of(state, generator);
  return delegation != nullptr && is_driven(*delegation);
}

auto is_running(State& state, Generator& generator) noexcept -> bool {
  if (generator.flags.has(flag::running)) return true;
  if (!generator.flags.has(flag::delegated)) return false;
  Chains::Stopped const lock(state.chains);
  return has_above(state, generator, flag::running);
}

auto claim_operation(State& state, Generator& generator, std::uint32_t against) noexcept -> bool {
  if (generator.flags.claim(flag::driven, against | flag::delegated)) return true;
  // Who drives the chain from above sets its flag before it takes its part of the lock: we see it, or it sees ours.
  Chains::Stopped const lock(state.chains);
  if (has_above(state, generator, against) || !generator.flags.claim(flag::driven, against)) return false;
  if (Delegation* own = delegation_of(state, generator)) forget_leaf(*own);
  return true;
}

auto claim_resumption(State& state, Generator& generator) noexcept -> bool {
  Chains::Stopped const lock(state.chains);
  return !has_above(state, generator, flag::executing) && generator.flags.claim(flag::executing, flag::executing);
}

void unlock_members(State& state, Generator* member) noexcept {
  while (member != nullptr && !member->flags.has(flag::executing)) {
    member->flags.clear(flag::running);
    Delegation* delegation = delegation_of(state, *member);
    member = delegation != nullptr ? delegation->delegate : nullptr;
  }
}

void unlock_chain(State& state, Generator& root) noexcept {
  Chains::Stopped const lock(state.chains);
  unlock_members(state, &root);
}

namespace {

/// The general case of a resumption: what is off the hot path of drive_send().
class Drive {
 public:
  Drive(State& state, Resumption& resumption, Generator& root, bool starting) noexcept
      : state_(state), root_(root), member_(resumption.member), starting_(starting) {}

  auto send(PyObject* value, PyObject** out) -> Outcome;
  auto raise(Object exception, PyObject** out) -> Outcome;
  /// Goes on from an answer of the root's body.
  auto go_on(PySendResult result, PyObject** out) -> Outcome { return settle(classify(result, out), out); }
  /// The same for a root in C++.
  auto go_on(Outcome outcome, PyObject** out) -> Outcome { return settle(classify_cpp(outcome, out), out); }

 private:
  auto enter(PyObject** out) -> bool;
  /// The delegation of the root, which has one.
  [[nodiscard]] auto first() const noexcept -> Delegation& { return as<Delegation>(root_.extra.get()); }
  void release(Object suspension) noexcept;
  [[nodiscard]] auto knows_leaf(Delegation const& first, bool claims) const noexcept -> bool;
  void find_leaf(Delegation& first, bool claims);
  void block(Delegation& delegation) noexcept;
  [[nodiscard]] auto claim_leaf(Generator& leaf) const noexcept -> bool;
  [[nodiscard]] auto stands_at_yield() const -> bool;
  [[nodiscard]] auto arrives_as_error(PyObject* exception) const -> bool;
  auto refused(Object exception, PyObject** out) -> Outcome;
  auto settle(Outcome outcome, PyObject** out) -> Outcome;
  auto classify(PySendResult result, PyObject** out) -> Outcome;
  auto classify_cpp(Outcome outcome, PyObject** out) -> Outcome;
  auto go_on_with(PyObject* value) noexcept -> Outcome;
  auto go_on_with(Object answer) noexcept -> Outcome;
  auto resume_send(PyObject** out) -> Outcome;
  auto resume_send_handling(PyObject* value, PyObject** out) -> Outcome;
  auto send_body(PyObject* value, PyObject** out) -> Outcome;
  [[nodiscard]] auto leave_at(PyObject* suspension, Object& exception) const -> bool;
  auto resume_raise(Object exception, PyObject** out) -> Outcome;
  auto raise_current(PyObject** out) -> Outcome;
  auto close_chain(Object exit) -> Object;
  auto begin_delegation(PyObject** out) -> Outcome;
  auto take_on(Delegation& delegation) noexcept -> bool;
  [[nodiscard]] auto detach(Delegation& delegation) -> Object;
  auto attach(Delegation& delegation, Generator& delegate) -> bool;
  auto hand_over(Outcome outcome, PyObject** out) -> Outcome;
  auto hand_over_result(PyObject** out) -> Outcome;
  [[nodiscard]] auto ascend() -> Object;
  auto leave_foreign(Outcome outcome, PyObject** out) -> Outcome;
  void finish(Outcome outcome) noexcept;

  State& state_;
  Generator& root_;
  Generator*& member_;             ///< whose body is driven
  Delegation* inner_ = nullptr;    ///< the delegation in which `member_` is the delegate; null at the root
  Delegation* foreign_ = nullptr;  ///< the member's own delegation, when its iterator is not driven directly
  Delegation* blocked_ = nullptr;  ///< its delegate runs or ended by somebody else's hand
  bool blocked_ended_ = false;     ///< it ended
  PyObject* value_ = Py_None;      ///< what a body that goes on is sent
  Object answer_;                  ///< owns it, where it comes from another body
  bool starting_;
};

auto Drive::send(PyObject* value, PyObject** out) -> Outcome {
  if (!enter(out)) return settle(refused(nullptr, out), out);
  return settle(go_on_with(value), out);
}

auto Drive::raise(Object exception, PyObject** out) -> Outcome {
  bool const entered = enter(out);
  if (arrives_as_error(exception.get())) {
    exception = stop_iteration_at_yield(std::move(exception));
  } else if (starting_ && inner_ != nullptr && is_generator_exit(exception.get())) {
    exception = close_chain(std::move(exception));
  } else if (starting_ && inner_ != nullptr && inner_->handled) {
    // It passes through the delegating frames: what the nearest of them handles is its context.
    HandledScope const scope(inner_);
    raise_here(std::move(exception));
    exception = compat::take_exception();
  }
  if (!exception) {  // no memory for it: nothing happened, and the leaf is free again
    if (member_ != &root_) member_->flags.clear(flag::driven);
    return Outcome::raised;
  }
  return settle(entered ? resume_raise(std::move(exception), out) : refused(std::move(exception), out), out);
}

/// A StopIteration thrown in at an `await yield_()` could never leave the await: it arrives as an error, as in 1.10.
auto Drive::arrives_as_error(PyObject* exception) const -> bool {
  return starting_ && foreign_ == nullptr && !member_->flags.has(flag::created | flag::native_syntax) &&
         PyErr_GivenExceptionMatches(exception, PyExc_StopIteration) != 0;
}

/// Finds the leaf. False when a delegate on the way runs, or has ended, by somebody else's hand.
auto Drive::enter(PyObject** out) -> bool {
  *out = nullptr;
  Chains::Driving const lock(state_.chains);  // first of all: another thread may close the delegation by hand
  Delegation* first = delegation_of(state_, root_);
  if (first == nullptr) return true;
  // What is driven here may be a link of a longer chain: whoever remembers its leaf must look again. (Without the GIL
  // claim_operation() has seen to that.)
  if constexpr (!compat::free_threaded) forget_leaf(*first);
  if (!knows_leaf(*first, starting_)) find_leaf(*first, starting_);
  Delegation* last = blocked_ != nullptr ? blocked_ : first->innermost;
  Generator* delegate = last->delegate;
  bool const usable = blocked_ == nullptr && (delegate == nullptr || claim_leaf(*delegate));
  if (usable && delegate != nullptr) {
    member_ = delegate;
    inner_ = last;
    return true;
  }
  member_ = last->parent;
  inner_ = member_ == &root_ ? nullptr : last->outer;  // what is above the root is none of its business
  if (usable)
    foreign_ = last;
  else
    block(*last);
  if (member_ != &root_) member_->flags.set(flag::driven);
  return usable;
}

/// An operation that goes on has marked its leaf as running already.
inline auto Drive::claim_leaf(Generator& leaf) const noexcept -> bool {
  return starting_ ? leaf.flags.claim(flag::driven, flag::driven | flag::closed)
                   : leaf.flags.claim(flag::driven, flag::executing);
}

/// Whether what `first` remembers as the end of its chain is still that. Someone may have driven the leaf by itself
/// since: then it delegates, or has ended. Without the GIL, one that somebody is driving now is not looked at: it
/// cannot be claimed.
auto Drive::knows_leaf(Delegation const& first, bool claims) const noexcept -> bool {
  Delegation const* last = first.innermost;
  if (last == nullptr || last->parent == nullptr) return false;
  if (last->delegate == nullptr) return true;
  bool const busy = compat::free_threaded && last->delegate->flags.has(claims ? flag::driven : flag::executing);
  return busy || delegation_of(state_, *last->delegate) == nullptr;
}

/// Walks the chain from the root, linking upwards, and remembers where it ends. No further than to a delegate that
/// another driver is inside of: what that goes through is its own.
/// \param claims  the leaf is to be claimed: nobody else may be at work on the way there
void Drive::find_leaf(Delegation& first, bool claims) {
  auto const against = claims ? flag::driven | flag::closed : flag::executing;
  Delegation* last = &first;
  while (last->delegate != nullptr) {
    Generator& delegate = *last->delegate;
    if (delegate.flags.has(against)) {
      block(*last);
      first.innermost = nullptr;
      return;
    }
    Delegation* next = delegation_of(state_, delegate);
    if (next == nullptr) break;
    next->outer = last;
    next->innermost = nullptr;
    last = next;
  }
  first.innermost = last;
}

/// The chain ends here for now. What the delegate is must be read while nobody can change it: it may yield any moment.
void Drive::block(Delegation& delegation) noexcept {
  blocked_ = &delegation;
  blocked_ended_ = lifecycle_state(*delegation.delegate) == agen::state::closed;
}

/// Answers for a delegate that cannot be resumed, as its own operation would (PEP 828 on top of PEP 525).
auto Drive::refused(Object exception, PyObject** out) -> Outcome {
  Delegation& delegation = *blocked_;
  bool const exits = exception && is_generator_exit(exception.get());
  auto const operation = !exception ? agen::operation::anext
                         : exits    ? agen::operation::aclose
                                    : agen::operation::athrow;
  if (agen::admit(operation, blocked_ended_ ? agen::state::closed : agen::state::running) ==
      agen::admission::already_running) {
    unlink(delegation);
    set_already_running(state_, operation);
    return raise_current(out);
  }
  if (exception && !exits) {  // athrow() on an ended generator answers None, which is then the item
    *out = Py_NewRef(Py_None);
    return Outcome::yielded;
  }
  unlink(delegation);
  return exits ? resume_raise(std::move(exception), out) : go_on_with(Py_None);
}

/// The member's body has ended.
void Drive::finish(Outcome outcome) noexcept {
  member_->flags.clear(flag::created);
  member_->flags.set(flag::closed);
  if (outcome == Outcome::raised) translate_escape(state_);
}

/// Reads an answer of the member's body.
auto Drive::classify(PySendResult result, PyObject** out) -> Outcome {
  if (result == PYGEN_RETURN) return Outcome::returned;
  if (result == PYGEN_ERROR) {
    if (foreign_ != nullptr || !ended_behind_our_back()) return Outcome::raised;
    *out = Py_NewRef(Py_None);
    return Outcome::returned;
  }
  PyObject* object = *out;
  PyTypeObject* type = Py_TYPE(object);
  if (type == state_.yield_type && as<Yield>(object).stage == Stage::initial) {
    as<Yield>(object).stage = Stage::finished;
    *out = as<Yield>(object).value.release();
    Py_DECREF(object);
    return Outcome::yielded;
  }
  if (type == state_.box_type) {
    // The same address is no proof: a generator in between may have taken that box, and this one been made where it
    // was. The yield_() of another copy of the module goes on by itself.
    if (foreign_ == nullptr && this_thread.handed_up == object && !stands_at_yield()) {
      if (auto yield = take_handed_up(state_, object)) {
        yield->held = true;
        suspend_at(*member_, steal(object_of(*yield.release())));
      }
    }
    *out = take_from_box(state_, object);
    return foreign_ == nullptr && is_boxed_request(state_, *out) ? Outcome::delegates : Outcome::yielded;
  }
  if (type == state_.delegation_type && foreign_ == nullptr) return Outcome::delegates;
  if (foreign_ == nullptr && member_->flags.has(flag::raw_yields) && stands_at_yield()) return Outcome::yielded;
  if (object != Py_None && foreign_ == nullptr && member_->flags.has(flag::kept_calls) && stands_at_yield()) {
    // A real yield that replaced an await has handed out what another function of that name returned.
    Py_CLEAR(*out);
    PyErr_SetString(
        PyExc_TypeError,
        "the name that this generator awaits as yield_() or yield_from_() now means something else; rebind it "
        "before the generator is made, not while it runs");
    return raise_current(out);
  }
  return Outcome::awaits;
}

/// True when the member's body stands at a real yield, not at an await.
auto Drive::stands_at_yield() const -> bool {
  auto const awaited = steal(PyObject_GetAttr(member_->body.get(), state_.names.cr_await.get()));
  PyErr_Clear();
  return awaited.get() == Py_None;
}

/// Lets a yield_() or yield_from_() that a frame awaits go on.
void Drive::release(Object suspension) noexcept {  // and drops it: what a delegation was to is free now
  if (suspension && Py_TYPE(suspension.get()) == state_.yield_type) as<Yield>(suspension.get()).held = false;
}

/// What a C++ body answered is no item in a box: only what it awaits has to be looked at.
auto Drive::classify_cpp(Outcome outcome, PyObject** out) -> Outcome {
  return outcome == Outcome::awaits ? classify(PYGEN_NEXT, out) : outcome;
}

/// Sends into the member's own body. The answers of a walk come first, before classify() has a look.
[[gnu::always_inline]] inline auto Drive::send_body(PyObject* value, PyObject** out) -> Outcome {
  PyObject* const body = member_->body.get();
  if (member_->flags.has(flag::cpp)) return classify_cpp(cpp_send(body, value, out), out);
  PySendResult const result = body_send(*member_, value, out);
  if (result == PYGEN_RETURN) return Outcome::returned;
  if (result == PYGEN_NEXT) {
    if (Py_TYPE(*out) == state_.delegation_type) return Outcome::delegates;
    if (is_own_box(state_, *out) && *out != this_thread.handed_up) [[likely]] {
      *out = take_from_own_box(*out);
      return is_boxed_request(state_, *out) ? Outcome::delegates : Outcome::yielded;
    }
  }
  return classify(result, out);
}

/// Lets settle() send to the member: in one place, so that a walk from body to body is a loop there.
inline auto Drive::go_on_with(PyObject* value) noexcept -> Outcome {
  value_ = value;
  return Outcome::goes_on;
}
inline auto Drive::go_on_with(Object answer) noexcept -> Outcome {
  answer_ = std::move(answer);
  return go_on_with(answer_.get());
}

[[gnu::always_inline]] inline auto Drive::resume_send(PyObject** out) -> Outcome {
  Object const answer = std::move(answer_);
  if (foreign_ != nullptr || (inner_ != nullptr && inner_->handled)) [[unlikely]]
    return resume_send_handling(value_, out);
  release(take_suspension(*member_));
  return send_body(value_, out);
}

/// resume_send() where a foreign iterator goes on, or a body above handles an exception.
[[gnu::noinline]] auto Drive::resume_send_handling(PyObject* value, PyObject** out) -> Outcome {
  HandledScope const scope(foreign_ != nullptr ? foreign_ : inner_);
  if (foreign_ != nullptr) {
    Outcome const outcome = send_foreign(*foreign_, value, out);
    return outcome == Outcome::awaits ? classify(PYGEN_NEXT, out) : outcome;
  }
  release(take_suspension(*member_));
  return send_body(value, out);
}

/// Works through what bodies answer until something has to leave the root.
auto Drive::settle(Outcome outcome, PyObject** out) -> Outcome {
  for (;;) {
    if (outcome == Outcome::goes_on) [[likely]]
      outcome = resume_send(out);
    switch (outcome) {
      case Outcome::goes_on: break;
      case Outcome::awaits:
        if (member_ != &root_) member_->flags.clear(flag::executing);
        return outcome;
      case Outcome::delegates: outcome = begin_delegation(out); break;
      case Outcome::yielded:
        if (member_ != &root_ && member_->flags.has(flag::closing)) {
          outcome = hand_over(outcome, out);
          break;
        }
        if (member_ != &root_) member_->flags.clear(flag::driven);
        return outcome;
      case Outcome::refused:
        if (member_ != &root_) member_->flags.clear(flag::driven);
        return outcome;
      case Outcome::returned:
      case Outcome::raised:
        if (foreign_ != nullptr) {
          outcome = leave_foreign(outcome, out);
          break;
        }
        finish(outcome);
        if (inner_ == nullptr) return outcome;  // the root's
        outcome = hand_over(outcome, out);
        break;
    }
  }
}

/// Leaves `exception` at the yield_() or yield_from_() that a frame awaits, to be raised when that is resumed: so every
/// helper on the way may await while it cleans up. False, and nothing done, at a real yield; and for an exit where a
/// helper has ended already (by hand, or the collector came to it first): then the body has only to be closed itself.
auto Drive::leave_at(PyObject* suspension, Object& exception) const -> bool {
  bool const exits = is_generator_exit(exception.get());
  if (Py_TYPE(suspension) == state_.yield_type) {
    auto& yield = as<Yield>(suspension);
    if (exits && yield.stage != Stage::started) return false;
    yield.held = false;
    std::swap(yield.pending, exception);  // what was there goes with the caller's
    yield.handled = compat::handled_exception();
    return true;
  }
  auto& delegation = as<Delegation>(suspension);
  if (!delegation.awaited || (exits && delegation.stage != Stage::started)) return false;
  delegation.pending = std::move(exception);
  return true;
}

auto Drive::resume_raise(Object exception, PyObject** out) -> Outcome {
  HandledScope const scope(foreign_ != nullptr ? foreign_ : inner_);
  if (foreign_ != nullptr) {
    Outcome const outcome = raise_foreign(*foreign_, std::move(exception), out);
    return outcome == Outcome::awaits ? classify(PYGEN_NEXT, out) : outcome;
  }
  Object suspension = take_suspension(*member_);
  if (suspension && leave_at(suspension.get(), exception)) return send_body(Py_None, out);
  suspension.reset();
  if (member_->flags.has(flag::cpp))
    return classify_cpp(cpp_raise(member_->body.get(), std::move(exception), out), out);
  return classify(body_throw(state_, *member_, exception.get(), out), out);
}

/// Throws the thread's current exception into the member.
auto Drive::raise_current(PyObject** out) -> Outcome { return resume_raise(compat::take_exception(), out); }

/// PEP 828's answer to GeneratorExit at a delegation: every level closes the one below with an exit of its own, and
/// raises the one it was given when that is done. Null with an exception set, and nothing begun, when there is no
/// memory.
auto Drive::close_chain(Object exit) -> Object {
  auto first = steal(PyObject_CallNoArgs(PyExc_GeneratorExit));
  if (!first) return nullptr;
  for (Delegation* delegation = inner_;; delegation = delegation->outer) {
    delegation->delegate->flags.set(flag::closing);
    if (delegation->parent == &root_) {
      delegation->pending_exit = std::move(exit);
      break;
    }
  }
  return first;
}

/// The member asks to delegate: `*out` is its request.
auto Drive::begin_delegation(PyObject** out) -> Outcome {
  auto delegation = Ref<Delegation>::steal(&as<Delegation>(std::exchange(*out, nullptr)));
  if (!take_on(*delegation)) {
    PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited yield_from_()");
    return raise_current(out);
  }
  suspend_at(*member_, borrow(delegation.object()));
  // What follows runs code of the user. The delegation is a complete link by now, at the end of a chain that executes
  // from its root to here: so nobody can close it, throw into it, or resume a body on the way (leave(), find_leaf(),
  // claim_resumption()). Of the iterator anything may become, and attach() looks at it after the last of that code.
  if (Py_TYPE(delegation->iterator.get()) != state_.generator_type) {
    auto iterator = iterate(state_, delegation->iterator.get());
    if (!iterator) {
      unlink(*delegation);
      return raise_current(out);
    }
    delegation->iterator = std::move(iterator);
  }
  bool const ours = Py_TYPE(delegation->iterator.get()) == state_.generator_type;
  if (ours && !prepare_hooks(as<Generator>(delegation->iterator.get()))) {
    unlink(*delegation);
    return raise_current(out);
  }
  if (ours && attach(*delegation, as<Generator>(delegation->iterator.get()))) return go_on_with(Py_None);
  foreign_ = delegation.get();
  {
    Chains::Driving const lock(state_.chains);
    first().innermost = foreign_;
  }
  HandledScope const scope(foreign_);
  Outcome const outcome = begin_foreign(*delegation, out);
  return outcome == Outcome::awaits ? classify(PYGEN_NEXT, out) : outcome;
}

/// Sets `bit`, and says whether it was set: drivers of two threads may be given the same object.
inline auto test_and_set(bool& bit) noexcept -> bool {
#ifdef Py_GIL_DISABLED
  return std::atomic_ref(bit).exchange(true, std::memory_order_acq_rel);
#else
  return std::exchange(bit, true);
#endif
}

/// The member becomes the one that delegates, and the delegation the end of the chain. False when it has, or had,
/// another.
auto Drive::take_on(Delegation& delegation) noexcept -> bool {
  Object const handled = delegation.handled ? compat::handled_exception() : nullptr;
  Chains::Driving const lock(state_.chains);
  if (test_and_set(delegation.taken) || delegation.stage == Stage::finished) return false;
  delegation.stage = Stage::started;
  delegation.parent = member_;
  delegation.outer = inner_;
  if (delegation.handled && delegation.handled.get() == handled.get()) delegation.handled.reset();  // not the last one
  if (!delegation.handled && inner_ != nullptr) delegation.handled = inner_->handled;
  return true;
}

/// Puts `delegate`, and all it delegates to, at the end of the chain. False when it is not free: then its own
/// operations are used, and they say why.
auto Drive::attach(Delegation& delegation, Generator& delegate) -> bool {
  Chains::Driving const lock(state_.chains);
  constexpr auto taken = flag::driven | flag::delegated | flag::closed | flag::exit_ignored;
  if (!delegate.flags.claim(flag::driven | flag::delegated, taken)) return false;
  Delegation* last = &delegation;
  if (Delegation* own = delegation_of(state_, delegate)) {  // partly consumed: its leaf becomes ours
    if (!knows_leaf(*own, true)) find_leaf(*own, true);
    bool free = blocked_ == nullptr;
    if (free) {
      last = own->innermost;
      Generator& end = last->delegate != nullptr ? *last->delegate : *last->parent;
      free = &end == &delegate || end.flags.claim(flag::driven, flag::driven | flag::closed);
    }
    blocked_ = nullptr;
    if (!free) {
      delegate.flags.clear(flag::driven | flag::delegated);
      return false;
    }
    own->innermost = nullptr;
    own->outer = &delegation;
    if (last->delegate != nullptr || last->parent != &delegate) delegate.flags.clear(flag::driven);
  }
  delegate.flags.clear(flag::created);
  if (member_ != &root_) member_->flags.clear(flag::driven);
  delegation.delegate = &delegate;
  first().innermost = last;
  if (last->delegate != nullptr) {
    inner_ = last;
    member_ = last->delegate;
  } else {
    inner_ = last->outer;
    member_ = last->parent;
    foreign_ = last;
  }
  return true;
}

/// Takes the last link, of the member, off the chain. Gives back what its body handled, to be dropped when the driver's
/// own state is complete again: that may run code.
inline auto Drive::detach(Delegation& delegation) -> Object {
  Object handled = std::move(delegation.handled);
  Chains::Driving const lock(state_.chains);
  cut(delegation);
  if (member_ != &root_) first().innermost = inner_;
  return handled;
}

/// The body that delegates to the member becomes the member. It is marked first: once its delegation is gone nothing
/// leads another thread from it to the root, which says that it is at work.
inline auto Drive::ascend() -> Object {
  Delegation& delegation = *inner_;
  member_ = delegation.parent;
  inner_ = member_ == &root_ ? nullptr : delegation.outer;
  if (member_ != &root_) member_->flags.set(flag::driven);
  return detach(delegation);
}

/// hand_over() of a result where no exception is about, which is nearly always.
auto Drive::hand_over_result(PyObject** out) -> Outcome {
  Object answer = steal(std::exchange(*out, nullptr));
  Generator& child = *member_;  // its parent keeps it until that is resumed
  Object const handled = ascend();
  child.flags.clear(flag::driven);
  return go_on_with(std::move(answer));
}

/// The delegate has ended, or yields while it is being closed: its parent goes on.
auto Drive::hand_over(Outcome outcome, PyObject** out) -> Outcome {
  foreign_ = nullptr;  // a child that yields while it is closed keeps its own delegation
  if (outcome == Outcome::returned && !inner_->handled && !member_->flags.has(flag::closing)) [[likely]]
    return hand_over_result(out);
  Delegation& delegation = *inner_;
  auto child = Ref<Generator>::borrow(member_);
  bool const closing = child->flags.has(flag::closing);
  Object answer = steal(std::exchange(*out, nullptr));
  Object exception = outcome == Outcome::raised ? compat::take_exception() : nullptr;
  Object exit = std::move(delegation.pending_exit);
  Object handled = ascend();
  if (closing && outcome == Outcome::yielded) child->flags.set(flag::exit_ignored);
  child->flags.clear(flag::driven);
  handled.reset();
  child.reset();  // the parent must not find its delegate alive because of us
  if (!closing) {
    return exception ? resume_raise(std::move(exception), out) : go_on_with(std::move(answer));
  }
  if (outcome == Outcome::yielded) {
    exception = runtime_error("async generator ignored GeneratorExit");
  } else {
    bool const ended = exception && is_generator_exit(exception.get());
    auto const step = exception ? agen::step::raised : agen::step::returned;
    if (agen::after_exit(step, ended) == agen::close_outcome::done) {
      exception = exit ? std::move(exit) : steal(PyObject_CallNoArgs(PyExc_GeneratorExit));
    }
  }
  if (!exception) return raise_current(out);
  return resume_raise(std::move(exception), out);
}

/// A foreign iterator is done with: its result or exception goes to the member that delegated.
auto Drive::leave_foreign(Outcome outcome, PyObject** out) -> Outcome {
  Object answer = steal(std::exchange(*out, nullptr));
  Object exception = outcome == Outcome::raised ? compat::take_exception() : nullptr;
  detach(*std::exchange(foreign_, nullptr)).reset();
  return exception ? resume_raise(std::move(exception), out) : go_on_with(std::move(answer));
}

}  // namespace

// A Drive stays out of line: inlined, it costs an item that needs none the saving of five registers.
[[gnu::noinline]] auto drive_on(State& state, Resumption& resumption, Generator& root, PySendResult result,
                                bool starting, PyObject** out) -> Outcome {
  return Drive(state, resumption, root, starting).go_on(result, out);
}

namespace {

[[gnu::noinline]] auto drive_through(State& state, Resumption& resumption, Generator& root, PyObject* value,
                                     bool starting, PyObject** out) -> Outcome {
  return Drive(state, resumption, root, starting).send(value, out);
}

}  // namespace

[[gnu::noinline]] auto drive_cpp_on(State& state, Resumption& resumption, Generator& root, Outcome outcome,
                                    bool starting, PyObject** out) -> Outcome {
  return Drive(state, resumption, root, starting).go_on(outcome, out);
}

auto drive_chain(State& state, Resumption& resumption, Generator& root, PyObject* value, bool starting, PyObject** out)
    -> Outcome {
  if (root.flags.has(flag::within)) return drive_through(state, resumption, root, value, starting, out);
  // A C++ body at a yield or an await: its items need no box.
  Outcome const outcome = cpp_send(root.body.get(), value, out);
  return outcome == Outcome::yielded ? outcome : drive_cpp_on(state, resumption, root, outcome, starting, out);
}

auto drive_raise(State& state, Resumption& resumption, Generator& root, Object exception, bool starting, PyObject** out)
    -> Outcome {
  Resuming const resuming(resumption, root);
  return Drive(state, resumption, root, starting).raise(std::move(exception), out);
}

}  // namespace engine
