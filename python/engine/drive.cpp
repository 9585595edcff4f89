// The driver: one resumption of a generator, from the root to the leaf and back.
#include "drive.hpp"

#include "chain.hpp"
#include "errors.hpp"
#include "foreign.hpp"
#include "guard.hpp"
#include "hooks.hpp"

namespace engine {

namespace {

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

/// The general case of a resumption: what is off the hot path of drive_send().
class ChainDriver {
 public:
  ChainDriver(ModuleState& module, Resumption& resumption, Generator& root, bool starting) noexcept
      : module_(module), at_(module, resumption.member, root, starting), starting_(starting) {}

  auto send(PyObject* value) -> Step;
  auto raise(Object exception) -> Step;
  /// The root's body has answered.
  auto answered(Step step) -> Step { return settle(read(step)); }

 private:
  // What a body answered.
  auto read(Step step) -> Step;
  auto read_wrapped(Step step) -> Step;
  auto refused_item(Step step) -> Step;
  [[nodiscard]] auto is_kept() const -> bool;
  auto keep(Step item) -> Step;
  auto settle(Step step) -> Step;
  void end_body(Step step) noexcept;

  // Resuming the member.
  auto send_next(PyObject* value) noexcept -> Step;
  auto send_next(Object answer) noexcept -> Step;
  auto resume_send() -> Step;
  auto resume_send_handling(PyObject* value) -> Step;
  auto send_body(PyObject* value) -> Step;
  auto resume_throw(Object exception) -> Step;
  auto raise_current() -> Step { return resume_throw(take_raised()); }
  [[nodiscard]] auto arrives_as_error(PyObject* exception) const -> bool;
  [[nodiscard]] auto leave_at(PyObject* suspension, Object& exception) const -> bool;
  auto close_below(Object exit) -> Object;
  auto refuse_blocked(Object exception) -> Step;

  // Down and up the chain.
  auto begin_delegation(Step request) -> Step;
  [[nodiscard]] auto guard_refuses_to_delegate(Delegation& delegation) -> bool;
  auto give_up(Delegation& request) -> Step;
  auto end_foreign(Step step) -> Step;
  auto hand_up(Step step) -> Step;
  auto hand_up_result(Step step) -> Step;
  auto hand_up_closed(StepKind kind, Object exception, Object exit) -> Step;

  [[nodiscard]] auto member() const noexcept -> Generator& { return at_.member(); }
  [[nodiscard]] auto is_closed_from_above() const noexcept -> bool {
    return !at_.is_at_root() && member().state.is_being_closed();
  }
  /// A root's wait is the operation's business.
  void wait_inside() noexcept {
    if (!at_.is_at_root()) member().state.wait();
  }
  /// The member is left: the operation ends for it, too. The root's is the operation's business.
  void leave_member() noexcept {
    if (!at_.is_at_root()) member().state.end_operation();
  }

  ModuleState& module_;
  Chain::Position at_;
  PyObject* value_ = Py_None;  ///< what a body that is resumed is sent
  Object answer_;              ///< owns it, where it comes from another body
  bool starting_;
};

auto ChainDriver::send(PyObject* value) -> Step {
  if (!at_.enter()) return settle(refuse_blocked(nullptr));
  return settle(send_next(value));
}

auto ChainDriver::raise(Object exception) -> Step {
  bool const entered = at_.enter();
  if (arrives_as_error(exception.get())) {
    exception = stop_iteration_at_yield(std::move(exception));
  } else if (starting_ && at_.above() != nullptr && is_generator_exit(exception.get())) {
    exception = close_below(std::move(exception));
  } else if (starting_ && at_.above() != nullptr && at_.above()->handled) {
    // It passes through the delegating frames: what the nearest of them handles is its context.
    HandledScope const scope(at_.above());
    raise_here(std::move(exception));
    exception = compat::take_exception();
  }
  if (!exception) {  // no memory for it: nothing happened, and the leaf is free again
    leave_member();
    return Step::raised();
  }
  return settle(entered ? resume_throw(std::move(exception)) : refuse_blocked(std::move(exception)));
}

/// A StopIteration thrown in at an `await yield_()` could never leave the await: it arrives as an error, as in 1.10.
auto ChainDriver::arrives_as_error(PyObject* exception) const -> bool {
  return starting_ && at_.foreign() == nullptr && member().state.is_at_written_yield() &&
         PyErr_GivenExceptionMatches(exception, PyExc_StopIteration) != 0;
}

/// Answers for a delegate that cannot be resumed, as its own operation would (PEP 828 on top of PEP 525).
auto ChainDriver::refuse_blocked(Object exception) -> Step {
  Delegation& delegation = at_.blocked();
  bool const exits = exception && is_generator_exit(exception.get());
  auto const operation = !exception ? agen::operation::anext
                         : exits    ? agen::operation::aclose
                                    : agen::operation::athrow;
  auto const state = at_.blocked_state() == agen::state::closed ? agen::state::closed : agen::state::running;
  if (agen::admit(operation, state) == agen::admission::already_running) {
    Chain::unlink(delegation);
    set_already_running(module_, operation);
    return raise_current();
  }
  if (exception && !exits) {  // athrow() on an ended generator answers None, which is then the item
    return Step::yielded(none());
  }
  Chain::unlink(delegation);
  return exits ? resume_throw(std::move(exception)) : send_next(Py_None);
}

void ChainDriver::end_body(Step step) noexcept {
  member().state.finish_body();
  if (step.is(StepKind::raised)) translate_escape(module_);
}

/// Reads a step of the member's body, or of its foreign iterator: what it hands out may be an item, or a request.
auto ChainDriver::read(Step step) -> Step {
  bool const foreign = at_.foreign() != nullptr;
  if (step.is(StepKind::raised) && !foreign && body_ended_through_frame(member())) return Step::returned(none());
  if (!step.is(StepKind::awaits)) return step;
  if (is_handed_yield(module_, step)) return take_handed_yield(step);
  PyTypeObject* type = Py_TYPE(step.object);
  if (type == module_.wrapped_item_type) return read_wrapped(step);
  if (foreign) return step;
  if (type == module_.delegation_type) return {StepKind::delegates, step.object};
  if (member().state.has(trait::raw_yields) && body_is_at_yield(module_, member()))
    return {StepKind::yielded, step.object};
  if (step.object != Py_None && member().state.has(trait::kept_calls) && body_is_at_yield(module_, member())) {
    // A real yield that replaced an await has handed out what another function of that name returned.
    step.take().reset();
    set_name_rebound();
    return raise_current();
  }
  return step;
}

/// The guard has set an exception, which the body gets in the place of what it is sent.
AGEN_COLD auto ChainDriver::refused_item(Step step) -> Step {
  Object exception = take_raised();
  step.take().reset();
  return resume_throw(std::move(exception));
}

/// read() of a wrapped item: a real yield's, or that of a yield_() which a helper awaits.
auto ChainDriver::read_wrapped(Step step) -> Step {
  bool const foreign = at_.foreign() != nullptr;
  // The same address is no proof: a generator in between may have taken that item, and this one been made where it was.
  // The yield_() of another copy of the module needs no driver to be resumed.
  if (!foreign && HandedUp::may_be(step.object) && !body_is_at_yield(module_, member())) {
    if (auto yield = HandedUp::take(module_, step.object)) {
      yield->held = true;
      suspend_at(member(), steal(object_of(*yield.release())));
      if (guard_is_on(module_) && guard_refuses(module_, member())) return refused_item(step);
    }
  }
  PyObject* item = take_wrapped(module_, step.object);
  return {!foreign && is_wrapped_request(module_, item) ? StepKind::delegates : StepKind::yielded, item};
}

namespace {

/// The member's body is resumed. A yield_() that a frame awaits may be resumed with it; a delegation is dropped, which
/// sets its iterator free.
void release_suspension(ModuleState& module, Generator& member) noexcept {
  Object const suspension = take_suspension(member);
  if (suspension && Py_TYPE(suspension.get()) == module.yield_type) as<Yield>(suspension.get()).held = false;
}

}  // namespace

/// Sends into the member's own body. The answers of a walk come first, before read() has a look.
AGEN_ALWAYS_INLINE auto ChainDriver::send_body(PyObject* value) -> Step {
  Step step = engine::body_send(member(), value);
  if (step.is(StepKind::returned)) return step;
  if (step.is(StepKind::awaits)) {
    if (Py_TYPE(step.object) == module_.delegation_type) return {StepKind::delegates, step.object};
    if (is_own_wrapped(module_, step.object) && !HandedUp::may_be(step.object)) [[likely]] {
      PyObject* item = take_own_wrapped(step.object);
      return {is_wrapped_request(module_, item) ? StepKind::delegates : StepKind::yielded, item};
    }
  }
  return read(step);
}

/// Lets settle() send to the member: in one place, so that a walk from body to body is a loop there.
inline auto ChainDriver::send_next(PyObject* value) noexcept -> Step {
  value_ = value;
  return {StepKind::sends_next, nullptr};
}
inline auto ChainDriver::send_next(Object answer) noexcept -> Step {
  answer_ = std::move(answer);
  return send_next(answer_.get());
}

AGEN_ALWAYS_INLINE auto ChainDriver::resume_send() -> Step {
  Object const answer = std::move(answer_);
  if (at_.foreign() != nullptr || (at_.above() != nullptr && at_.above()->handled)) [[unlikely]]
    return resume_send_handling(value_);
  release_suspension(module_, member());
  return send_body(value_);
}

/// resume_send() where a foreign iterator is asked, or a body above handles an exception.
AGEN_OUT_OF_LINE auto ChainDriver::resume_send_handling(PyObject* value) -> Step {
  HandledScope const scope(at_.foreign() != nullptr ? at_.foreign() : at_.above());
  if (at_.foreign() != nullptr) {
    return read(send_foreign(*at_.foreign(), value));
  }
  release_suspension(module_, member());
  return send_body(value);
}

/// Whether an item must not leave its member, which is marked: the member is being closed, or the guard refuses. A root
/// may still be marked as closed: its parent's close was given up, and it is now asked by itself.
auto ChainDriver::is_kept() const -> bool {
  if (is_closed_from_above()) return true;
  return at_.foreign() == nullptr && guard_refuses(module_, member());
}

/// What happens instead.
AGEN_OUT_OF_LINE auto ChainDriver::keep(Step item) -> Step {
  return is_closed_from_above() ? hand_up(item) : refused_item(item);
}

/// Works through what bodies answer until something has to leave the root.
auto ChainDriver::settle(Step step) -> Step {
  for (;;) {
    if (step.is(StepKind::sends_next)) [[likely]]
      step = resume_send();
    switch (step.kind) {
      case StepKind::awaits: wait_inside(); return step;
      case StepKind::delegates: step = begin_delegation(step); break;
      case StepKind::yielded:
        if (member().state.is_being_closed_or_guarded() && is_kept()) [[unlikely]] {
          step = keep(step);
          break;
        }
        leave_member();
        return step;
      case StepKind::refused: leave_member(); return step;
      case StepKind::gives_up:
        if (at_.is_at_root()) return {StepKind::refused, nullptr};
        step = hand_up(Step::raised());
        break;
      case StepKind::returned:
      case StepKind::raised:
        if (at_.foreign() != nullptr) {
          step = end_foreign(step);
          break;
        }
        end_body(step);
        if (at_.above() == nullptr) return step;  // the root's
        step = hand_up(step);
        break;
      default: break;  // sends_next
    }
  }
}

/// Leaves `exception` at the yield_() or yield_from_() that a frame awaits, to be raised when that is resumed: so every
/// helper on the way may await while it cleans up. False, and nothing done, at a real yield; and for an exit where a
/// helper has ended already (a user closed it, or the collector came to it first): then only the body is left to close.
auto ChainDriver::leave_at(PyObject* suspension, Object& exception) const -> bool {
  bool const exits = is_generator_exit(exception.get());
  if (Py_TYPE(suspension) == module_.yield_type) {
    auto& yield = as<Yield>(suspension);
    if (exits && yield.progress != Progress::started) return false;
    yield.held = false;
    std::swap(yield.pending, exception);  // what was there goes with the caller's
    yield.handled = compat::handled_exception();
    return true;
  }
  auto& delegation = as<Delegation>(suspension);
  if (delegation.role != Role::awaited || (exits && delegation.progress != Progress::started)) return false;
  delegation.pending = std::move(exception);
  return true;
}

auto ChainDriver::resume_throw(Object exception) -> Step {
  HandledScope const scope(at_.foreign() != nullptr ? at_.foreign() : at_.above());
  if (at_.foreign() != nullptr) {
    return read(throw_foreign(*at_.foreign(), std::move(exception)));
  }
  Object suspension = take_suspension(member());
  if (suspension && leave_at(suspension.get(), exception)) return send_body(Py_None);
  suspension.reset();
  return read(body_throw(module_, member(), std::move(exception)));
}

/// PEP 828's answer to GeneratorExit at a delegation: every level closes the one below with an exit of its own, and
/// raises the one it was given when that is done. Null with an exception set, and nothing begun, when there is no
/// memory.
auto ChainDriver::close_below(Object exit) -> Object {
  auto first = steal(PyObject_CallNoArgs(PyExc_GeneratorExit));
  if (first) at_.close_below(std::move(exit));
  return first;
}

/// Asks the guard about a delegation inside a `with`, which hands out items there.
AGEN_NOINLINE auto ChainDriver::guard_refuses_to_delegate(Delegation& delegation) -> bool {
  bool const awaited = delegation.role == Role::awaited;
  if (!awaited && !member().state.has(trait::guarded)) return false;
  if (!guard_refuses(module_, member())) return false;
  if (delegation.progress == Progress::initial) delegation.progress = Progress::finished;  // it will not be used
  return true;
}

/// The member ends its operation by an exception, and stays where it is: the next operation resumes it there. What
/// delegates to it has the exception at its yield_from_(), and delegates no more.
auto ChainDriver::give_up(Delegation& request) -> Step {
  if (request.progress == Progress::initial) request.progress = Progress::started;  // a C++ body does not iterate it
  compat::restore_exception(std::move(request.iterator));
  return {StepKind::gives_up, nullptr};
}

/// The member asks to delegate, or to give up.
auto ChainDriver::begin_delegation(Step request) -> Step {
  auto delegation = Ref<Delegation>::steal(&as<Delegation>(request.object));
  if (delegation->gives_up) return give_up(*delegation);
  if (guard_is_on(module_) && guard_refuses_to_delegate(*delegation)) [[unlikely]]
    return raise_current();
  if (!at_.link(*delegation)) {
    set_reused("yield_from_()");
    return raise_current();
  }
  suspend_at(member(), borrow(delegation.object()));
  // What follows runs code of the user. The delegation is a complete link by now, at the end of a chain that executes
  // from its root to here: so it cannot be closed or thrown into, and no body on the way can be resumed
  // (Chain::leave(), Position::find_leaf(), Chain::claim_resumption()). Of the iterator anything may become: attach()
  // looks at it after the last of that code.
  if (Py_TYPE(delegation->iterator.get()) != module_.generator_type) {
    auto iterator = iterate(module_, delegation->iterator.get());
    if (!iterator) {
      Chain::unlink(*delegation);
      return raise_current();
    }
    delegation->iterator = std::move(iterator);
  }
  bool const ours = Py_TYPE(delegation->iterator.get()) == module_.generator_type;
  if (ours && !prepare_hooks(as<Generator>(delegation->iterator.get()))) {
    Chain::unlink(*delegation);
    return raise_current();
  }
  if (ours && at_.attach(*delegation, as<Generator>(delegation->iterator.get()))) return send_next(Py_None);
  at_.begin_foreign(*delegation);
  HandledScope const scope(delegation.get());
  return read(begin_foreign(*delegation));
}

/// A foreign iterator is done with: its result or exception goes to the member that delegated.
auto ChainDriver::end_foreign(Step step) -> Step {
  Object answer = step.take();
  Object exception = step.is(StepKind::raised) ? take_raised() : nullptr;
  at_.end_foreign().reset();
  return exception ? resume_throw(std::move(exception)) : send_next(std::move(answer));
}

/// hand_up() of a result where no exception is about, which is nearly always.
auto ChainDriver::hand_up_result(Step step) -> Step {
  Object answer = step.take();
  Generator& child = member();  // its parent keeps it until that is resumed
  Object const handled = at_.ascend();
  child.state.end_operation();
  return send_next(std::move(answer));
}

/// The delegate has ended, or yields while it is being closed: its parent is resumed.
auto ChainDriver::hand_up(Step step) -> Step {
  at_.forget_foreign();
  bool const closed = member().state.is_being_closed();
  if (step.is(StepKind::returned) && !at_.above()->handled && !closed) [[likely]]
    return hand_up_result(step);
  auto child = Ref<Generator>::borrow(&member());
  Object answer = step.take();
  Object exception = step.is(StepKind::raised) ? take_raised() : nullptr;
  Object exit = std::move(at_.above()->pending_exit);
  Object handled = at_.ascend();
  bool const ignored = closed && step.is(StepKind::yielded);
  if (ignored) child->state.ignore_exit();
  child->state.end_operation();
  handled.reset();
  if (closed) answer.reset();
  if (ignored) exception = ignored_exit(child.get());
  child.reset();  // the parent must not find its delegate alive because of us
  if (closed) return hand_up_closed(step.kind, std::move(exception), std::move(exit));
  return exception ? resume_throw(std::move(exception)) : send_next(std::move(answer));
}

/// hand_up() after the parent has closed its delegate. That should have ended: then the exit that the parent was given
/// is raised (PEP 828).
auto ChainDriver::hand_up_closed(StepKind kind, Object exception, Object exit) -> Step {
  bool const ended = exception && is_generator_exit(exception.get());
  switch (agen::after_exit(lifecycle_step(kind), ended)) {
    case agen::close_outcome::done:
      exception = exit ? std::move(exit) : steal(PyObject_CallNoArgs(PyExc_GeneratorExit));
      break;
    case agen::close_outcome::ignored_exit:  // which hand_up() has made
    case agen::close_outcome::pending:
    case agen::close_outcome::raises: break;
  }
  if (!exception) return raise_current();
  return resume_throw(std::move(exception));
}

}  // namespace

// A ChainDriver stays out of line: inlined, it costs an item that needs none the saving of five registers.
AGEN_OUT_OF_LINE auto drive_on(ModuleState& module, Resumption& resumption, Generator& root, Step step, bool starting)
    -> Step {
  Resuming const resuming(resumption, root);
  return ChainDriver(module, resumption, root, starting).answered(step);
}

AGEN_OUT_OF_LINE auto drive_chain(ModuleState& module, Resumption& resumption, Generator& root, PyObject* value,
                                  bool starting) -> Step {
  return ChainDriver(module, resumption, root, starting).send(value);
}

auto drive_through(ModuleState& module, Resumption& resumption, Generator& root, PyObject* value, bool starting)
    -> Step {
  Resuming const resuming(resumption, root);
  return drive_chain(module, resumption, root, value, starting);
}

auto drive_throw(ModuleState& module, Resumption& resumption, Generator& root, Object exception, bool starting)
    -> Step {
  Resuming const resuming(resumption, root);
  return ChainDriver(module, resumption, root, starting).raise(std::move(exception));
}

}  // namespace engine
