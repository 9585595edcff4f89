// The driver: one resumption of a generator, from the root to the leaf and back.
#include "drive.hpp"

#include "awaiting.hpp"
#include "chain.hpp"
#include "cpp_body.hpp"
#include "errors.hpp"
#include "foreign.hpp"
#include "hooks.hpp"
#include "yield.hpp"

namespace engine {

namespace {

/// Throws into a body where it is suspended. If throw() raises StopIteration the body has returned: PEP 479 turns any
/// other StopIteration into RuntimeError.
auto body_throw(ModuleState& module, Generator& generator, PyObject* exception, PyObject** out) -> PySendResult {
  bool const unstarted = generator.state.is_created();
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
  if (compat::is_unsafe_to_throw_into(generator.body.get())) {  // a user calls its send()
    set_coroutine_executing();
    return PYGEN_ERROR;
  }
  *out = PyObject_CallMethodOneArg(generator.body.get(), module.names.throw_.get(), exception);
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

/// The general case of a resumption: what is off the hot path of drive_send().
class ChainDriver {
 public:
  ChainDriver(ModuleState& module, Resumption& resumption, Generator& root, bool starting) noexcept
      : module_(module), at_(module, resumption.member, root, starting), starting_(starting) {}

  auto send(PyObject* value, PyObject** out) -> Outcome;
  auto raise(Object exception, PyObject** out) -> Outcome;
  /// The root's body has answered.
  auto answered(PySendResult result, PyObject** out) -> Outcome { return settle(classify(result, out), out); }
  /// The same for a root in C++.
  auto answered(Outcome outcome, PyObject** out) -> Outcome { return settle(classify_cpp(outcome, out), out); }

 private:
  // What a body answered.
  auto classify(PySendResult result, PyObject** out) -> Outcome;
  auto classify_wrapped(PyObject** out) -> Outcome;
  auto classify_cpp(Outcome outcome, PyObject** out) -> Outcome;
  [[nodiscard]] auto stands_at_yield() const -> bool;
  auto settle(Outcome outcome, PyObject** out) -> Outcome;
  void end_body(Outcome outcome) noexcept;

  // Resuming the member.
  auto send_next(PyObject* value) noexcept -> Outcome;
  auto send_next(Object answer) noexcept -> Outcome;
  auto resume_send(PyObject** out) -> Outcome;
  auto resume_send_handling(PyObject* value, PyObject** out) -> Outcome;
  auto send_body(PyObject* value, PyObject** out) -> Outcome;
  auto resume_raise(Object exception, PyObject** out) -> Outcome;
  auto raise_current(PyObject** out) -> Outcome { return resume_raise(compat::take_exception(), out); }
  [[nodiscard]] auto arrives_as_error(PyObject* exception) const -> bool;
  [[nodiscard]] auto leave_at(PyObject* suspension, Object& exception) const -> bool;
  auto close_below(Object exit) -> Object;
  auto refuse_blocked(Object exception, PyObject** out) -> Outcome;

  // Down and up the chain.
  auto begin_delegation(PyObject** out) -> Outcome;
  auto end_foreign(Outcome outcome, PyObject** out) -> Outcome;
  auto hand_up(Outcome outcome, PyObject** out) -> Outcome;
  auto hand_up_result(PyObject** out) -> Outcome;
  auto hand_up_closed(Outcome outcome, Object exception, Object exit, PyObject** out) -> Outcome;

  [[nodiscard]] auto member() const noexcept -> Generator& { return at_.member(); }
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

auto ChainDriver::send(PyObject* value, PyObject** out) -> Outcome {
  *out = nullptr;
  if (!at_.enter()) return settle(refuse_blocked(nullptr, out), out);
  return settle(send_next(value), out);
}

auto ChainDriver::raise(Object exception, PyObject** out) -> Outcome {
  *out = nullptr;
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
    return Outcome::raised;
  }
  return settle(entered ? resume_raise(std::move(exception), out) : refuse_blocked(std::move(exception), out), out);
}

/// A StopIteration thrown in at an `await yield_()` could never leave the await: it arrives as an error, as in 1.10.
auto ChainDriver::arrives_as_error(PyObject* exception) const -> bool {
  return starting_ && at_.foreign() == nullptr && member().state.is_at_written_yield() &&
         PyErr_GivenExceptionMatches(exception, PyExc_StopIteration) != 0;
}

/// Answers for a delegate that cannot be resumed, as its own operation would (PEP 828 on top of PEP 525).
auto ChainDriver::refuse_blocked(Object exception, PyObject** out) -> Outcome {
  Delegation& delegation = at_.blocked();
  bool const exits = exception && is_generator_exit(exception.get());
  auto const operation = !exception ? agen::operation::anext
                         : exits    ? agen::operation::aclose
                                    : agen::operation::athrow;
  auto const state = at_.blocked_state() == agen::state::closed ? agen::state::closed : agen::state::running;
  if (agen::admit(operation, state) == agen::admission::already_running) {
    Chain::unlink(delegation);
    set_already_running(module_, operation);
    return raise_current(out);
  }
  if (exception && !exits) {  // athrow() on an ended generator answers None, which is then the item
    *out = Py_NewRef(Py_None);
    return Outcome::yielded;
  }
  Chain::unlink(delegation);
  return exits ? resume_raise(std::move(exception), out) : send_next(Py_None);
}

void ChainDriver::end_body(Outcome outcome) noexcept {
  member().state.finish_body();
  if (outcome == Outcome::raised) translate_escape(module_);
}

/// Reads an answer of the member's body, or of its foreign iterator.
auto ChainDriver::classify(PySendResult result, PyObject** out) -> Outcome {
  bool const foreign = at_.foreign() != nullptr;
  if (result == PYGEN_RETURN) return Outcome::returned;
  if (result == PYGEN_ERROR) {
    if (foreign || !take_ended_through_frame()) return Outcome::raised;
    *out = Py_NewRef(Py_None);
    return Outcome::returned;
  }
  PyObject* object = *out;
  PyTypeObject* type = Py_TYPE(object);
  if (type == module_.yield_type && as<Yield>(object).progress == Progress::initial) {
    as<Yield>(object).progress = Progress::finished;
    *out = as<Yield>(object).value.release();
    Py_DECREF(object);
    return Outcome::yielded;
  }
  if (type == module_.wrapped_item_type) return classify_wrapped(out);
  if (foreign) return Outcome::awaits;
  if (type == module_.delegation_type) return Outcome::delegates;
  if (member().state.has(trait::raw_yields) && stands_at_yield()) return Outcome::yielded;
  if (object != Py_None && member().state.has(trait::kept_calls) && stands_at_yield()) {
    // A real yield that replaced an await has handed out what another function of that name returned.
    Py_CLEAR(*out);
    set_name_rebound();
    return raise_current(out);
  }
  return Outcome::awaits;
}

/// classify() for a wrapped item: a real yield's, or that of a yield_() which a helper awaits.
auto ChainDriver::classify_wrapped(PyObject** out) -> Outcome {
  bool const foreign = at_.foreign() != nullptr;
  // The same address is no proof: a generator in between may have taken that item, and this one been made where it was.
  // The yield_() of another copy of the module needs no driver to be resumed.
  if (!foreign && HandedUp::may_be(*out) && !stands_at_yield()) {
    if (auto yield = HandedUp::take(module_, *out)) {
      yield->held = true;
      suspend_at(member(), steal(object_of(*yield.release())));
    }
  }
  *out = take_wrapped(module_, *out);
  return !foreign && is_wrapped_request(module_, *out) ? Outcome::delegates : Outcome::yielded;
}

/// True when the member's body is suspended at a real yield, not at an await.
auto ChainDriver::stands_at_yield() const -> bool {
  auto const awaited = steal(PyObject_GetAttr(member().body.get(), module_.names.cr_await.get()));
  PyErr_Clear();
  return awaited.get() == Py_None;
}

/// Of what a C++ body answered only what it awaits has to be looked at: its items are not wrapped.
auto ChainDriver::classify_cpp(Outcome outcome, PyObject** out) -> Outcome {
  return outcome == Outcome::awaits ? classify(PYGEN_NEXT, out) : outcome;
}

namespace {

/// The member's body is resumed. A yield_() that a frame awaits may be resumed with it; a delegation is dropped, which
/// sets its iterator free.
void release_suspension(ModuleState& module, Generator& member) noexcept {
  Object const suspension = take_suspension(member);
  if (suspension && Py_TYPE(suspension.get()) == module.yield_type) as<Yield>(suspension.get()).held = false;
}

}  // namespace

/// Sends into the member's own body. The answers of a walk come first, before classify() has a look.
[[gnu::always_inline]] inline auto ChainDriver::send_body(PyObject* value, PyObject** out) -> Outcome {
  PyObject* const body = member().body.get();
  if (member().state.is_cpp()) return classify_cpp(cpp_send(body, value, out), out);
  PySendResult const result = body_send(member(), value, out);
  if (result == PYGEN_RETURN) return Outcome::returned;
  if (result == PYGEN_NEXT) {
    if (Py_TYPE(*out) == module_.delegation_type) return Outcome::delegates;
    if (is_own_wrapped(module_, *out) && !HandedUp::may_be(*out)) [[likely]] {
      *out = take_own_wrapped(*out);
      return is_wrapped_request(module_, *out) ? Outcome::delegates : Outcome::yielded;
    }
  }
  return classify(result, out);
}

/// Lets settle() send to the member: in one place, so that a walk from body to body is a loop there.
inline auto ChainDriver::send_next(PyObject* value) noexcept -> Outcome {
  value_ = value;
  return Outcome::sends_next;
}
inline auto ChainDriver::send_next(Object answer) noexcept -> Outcome {
  answer_ = std::move(answer);
  return send_next(answer_.get());
}

[[gnu::always_inline]] inline auto ChainDriver::resume_send(PyObject** out) -> Outcome {
  Object const answer = std::move(answer_);
  if (at_.foreign() != nullptr || (at_.above() != nullptr && at_.above()->handled)) [[unlikely]]
    return resume_send_handling(value_, out);
  release_suspension(module_, member());
  return send_body(value_, out);
}

/// resume_send() where a foreign iterator is asked, or a body above handles an exception.
[[gnu::noinline]] auto ChainDriver::resume_send_handling(PyObject* value, PyObject** out) -> Outcome {
  HandledScope const scope(at_.foreign() != nullptr ? at_.foreign() : at_.above());
  if (at_.foreign() != nullptr) {
    Outcome const outcome = send_foreign(*at_.foreign(), value, out);
    return outcome == Outcome::awaits ? classify(PYGEN_NEXT, out) : outcome;
  }
  release_suspension(module_, member());
  return send_body(value, out);
}

/// Works through what bodies answer until something has to leave the root.
auto ChainDriver::settle(Outcome outcome, PyObject** out) -> Outcome {
  for (;;) {
    if (outcome == Outcome::sends_next) [[likely]]
      outcome = resume_send(out);
    switch (outcome) {
      case Outcome::sends_next: break;
      case Outcome::awaits:
        if (!at_.is_at_root()) member().state.wait();
        return outcome;
      case Outcome::delegates: outcome = begin_delegation(out); break;
      case Outcome::yielded:
        if (!at_.is_at_root() && member().state.is_being_closed()) {
          outcome = hand_up(outcome, out);
          break;
        }
        leave_member();
        return outcome;
      case Outcome::refused: leave_member(); return outcome;
      case Outcome::returned:
      case Outcome::raised:
        if (at_.foreign() != nullptr) {
          outcome = end_foreign(outcome, out);
          break;
        }
        end_body(outcome);
        if (at_.above() == nullptr) return outcome;  // the root's
        outcome = hand_up(outcome, out);
        break;
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

auto ChainDriver::resume_raise(Object exception, PyObject** out) -> Outcome {
  HandledScope const scope(at_.foreign() != nullptr ? at_.foreign() : at_.above());
  if (at_.foreign() != nullptr) {
    Outcome const outcome = raise_foreign(*at_.foreign(), std::move(exception), out);
    return outcome == Outcome::awaits ? classify(PYGEN_NEXT, out) : outcome;
  }
  Object suspension = take_suspension(member());
  if (suspension && leave_at(suspension.get(), exception)) return send_body(Py_None, out);
  suspension.reset();
  if (member().state.is_cpp()) return classify_cpp(cpp_raise(member().body.get(), std::move(exception), out), out);
  return classify(body_throw(module_, member(), exception.get(), out), out);
}

/// PEP 828's answer to GeneratorExit at a delegation: every level closes the one below with an exit of its own, and
/// raises the one it was given when that is done. Null with an exception set, and nothing begun, when there is no
/// memory.
auto ChainDriver::close_below(Object exit) -> Object {
  auto first = steal(PyObject_CallNoArgs(PyExc_GeneratorExit));
  if (first) at_.close_below(std::move(exit));
  return first;
}

/// The member asks to delegate: `*out` is its request.
auto ChainDriver::begin_delegation(PyObject** out) -> Outcome {
  auto delegation = Ref<Delegation>::steal(&as<Delegation>(std::exchange(*out, nullptr)));
  if (!at_.link(*delegation)) {
    set_reused("yield_from_()");
    return raise_current(out);
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
      return raise_current(out);
    }
    delegation->iterator = std::move(iterator);
  }
  bool const ours = Py_TYPE(delegation->iterator.get()) == module_.generator_type;
  if (ours && !prepare_hooks(as<Generator>(delegation->iterator.get()))) {
    Chain::unlink(*delegation);
    return raise_current(out);
  }
  if (ours && at_.attach(*delegation, as<Generator>(delegation->iterator.get()))) return send_next(Py_None);
  at_.begin_foreign(*delegation);
  HandledScope const scope(delegation.get());
  Outcome const outcome = begin_foreign(*delegation, out);
  return outcome == Outcome::awaits ? classify(PYGEN_NEXT, out) : outcome;
}

/// A foreign iterator is done with: its result or exception goes to the member that delegated.
auto ChainDriver::end_foreign(Outcome outcome, PyObject** out) -> Outcome {
  Object answer = steal(std::exchange(*out, nullptr));
  Object exception = outcome == Outcome::raised ? compat::take_exception() : nullptr;
  at_.end_foreign().reset();
  return exception ? resume_raise(std::move(exception), out) : send_next(std::move(answer));
}

/// hand_up() of a result where no exception is about, which is nearly always.
auto ChainDriver::hand_up_result(PyObject** out) -> Outcome {
  Object answer = steal(std::exchange(*out, nullptr));
  Generator& child = member();  // its parent keeps it until that is resumed
  Object const handled = at_.ascend();
  child.state.end_operation();
  return send_next(std::move(answer));
}

/// The delegate has ended, or yields while it is being closed: its parent is resumed.
auto ChainDriver::hand_up(Outcome outcome, PyObject** out) -> Outcome {
  at_.forget_foreign();
  bool const closed = member().state.is_being_closed();
  if (outcome == Outcome::returned && !at_.above()->handled && !closed) [[likely]]
    return hand_up_result(out);
  auto child = Ref<Generator>::borrow(&member());
  Object answer = steal(std::exchange(*out, nullptr));
  Object exception = outcome == Outcome::raised ? compat::take_exception() : nullptr;
  Object exit = std::move(at_.above()->pending_exit);
  Object handled = at_.ascend();
  if (closed && outcome == Outcome::yielded) child->state.ignore_exit();
  child->state.end_operation();
  handled.reset();
  child.reset();  // the parent must not find its delegate alive because of us
  if (closed) return hand_up_closed(outcome, std::move(exception), std::move(exit), out);
  return exception ? resume_raise(std::move(exception), out) : send_next(std::move(answer));
}

/// hand_up() after the parent has closed its delegate. That should have ended: then the exit that the parent was given
/// is raised (PEP 828).
auto ChainDriver::hand_up_closed(Outcome outcome, Object exception, Object exit, PyObject** out) -> Outcome {
  bool const ended = exception && is_generator_exit(exception.get());
  auto const step = outcome == Outcome::yielded ? agen::step::yielded
                    : exception                 ? agen::step::raised
                                                : agen::step::returned;
  switch (agen::after_exit(step, ended)) {
    case agen::closing::ignored_exit: exception = ignored_exit(); break;
    case agen::closing::done:
      exception = exit ? std::move(exit) : steal(PyObject_CallNoArgs(PyExc_GeneratorExit));
      break;
    case agen::closing::pending:
    case agen::closing::raises: break;
  }
  if (!exception) return raise_current(out);
  return resume_raise(std::move(exception), out);
}

}  // namespace

// A ChainDriver stays out of line: inlined, it costs an item that needs none the saving of five registers.
[[gnu::noinline]] auto drive_on(ModuleState& module, Resumption& resumption, Generator& root, PySendResult result,
                                bool starting, PyObject** out) -> Outcome {
  return ChainDriver(module, resumption, root, starting).answered(result, out);
}

namespace {

[[gnu::noinline]] auto drive_through(ModuleState& module, Resumption& resumption, Generator& root, PyObject* value,
                                     bool starting, PyObject** out) -> Outcome {
  return ChainDriver(module, resumption, root, starting).send(value, out);
}

}  // namespace

[[gnu::noinline]] auto drive_cpp_on(ModuleState& module, Resumption& resumption, Generator& root, Outcome outcome,
                                    bool starting, PyObject** out) -> Outcome {
  return ChainDriver(module, resumption, root, starting).answered(outcome, out);
}

auto drive_chain(ModuleState& module, Resumption& resumption, Generator& root, PyObject* value, bool starting,
                 PyObject** out) -> Outcome {
  if (root.state.is_waiting()) return drive_through(module, resumption, root, value, starting, out);
  // A C++ body at a yield or an await: its items need no box.
  Outcome const outcome = cpp_send(root.body.get(), value, out);
  return outcome == Outcome::yielded ? outcome : drive_cpp_on(module, resumption, root, outcome, starting, out);
}

auto drive_raise(ModuleState& module, Resumption& resumption, Generator& root, Object exception, bool starting,
                 PyObject** out) -> Outcome {
  Resuming const resuming(resumption, root);
  return ChainDriver(module, resumption, root, starting).raise(std::move(exception), out);
}

}  // namespace engine
