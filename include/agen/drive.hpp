// Driving a generator from outside any coroutine: by plain calls, with a callback when an answer comes later, and
// without knowing the types of its items. What a bridge to another language, or a callback interface, stands on. Costs
// the path of co_await nothing.
#ifndef AGEN_DRIVE_HPP
#define AGEN_DRIVE_HPP

#include "async_generator.hpp"

namespace agen {

/// Performs operations on one generator, one at a time, and says what its body answered.
///
///     agen::driver drive(gen, &on_answer, this);
///     agen::step s = drive.anext();            // step::awaits: on_answer(this) is called when the body answers
///     if (drive.answer() == agen::step::yielded) use(*static_cast<int*>(drive.item()));
///
/// Every operation gives the step that the body came to: `yielded` (item()), `returned`, `raised` (take_error()), or
/// `awaits`: the body has suspended in something that it awaits, and the callback will be called, once, on the thread
/// that resumes it, with answer() telling the step. Refusals of the lifecycle (already_running, just_started) come as
/// `raised`, too.
///
/// The generator must outlive the driver; the driver may be destroyed at any time, the body then goes on and its answer
/// waits for the next operation. Not movable: a waiting body knows its address.
class driver {
 public:
  using callback = void (*)(void* context) noexcept;

  /// \param on_answer  called when an answer comes after its operation has returned step::awaits; may start the next
  /// one
  template <class Yield, class Send, class Return>
  driver(async_generator<Yield, Send, Return>& generator, callback on_answer, void* context) noexcept
      : driver(generator.frame(), on_answer, context, detail::sends_nothing<Send>) {}
  /// The same for a generator whose types are forgotten. `sends_nothing`: anext() can resume it at any co_yield,
  /// because its Send is void or has a default value.
  driver(detail::frame& f, callback on_answer, void* context, bool sends_nothing = true) noexcept
      : arrival_{detail::opaque(&driver::arrived), detail::opaque(&driver::ignored), this},
        frame_(&f),
        on_answer_(on_answer),
        context_(context),
        sends_nothing_(sends_nothing) {}
  driver(driver const&) = delete;
  auto operator=(driver const&) -> driver& = delete;
  ~driver() { end(); }

  auto anext() noexcept -> step {
    return perform([this] { return &iterating_.emplace(*frame_, operation::anext, nullptr, sends_nothing_); });
  }
  /// \param value  the Send object, moved from by the body when it is resumed; it must live until then
  auto asend(void* value) noexcept -> step {
    return perform([this, value] { return &iterating_.emplace(*frame_, operation::asend, value, true); });
  }
  auto athrow(std::exception_ptr error) noexcept -> step {
    return perform([this, &error] { return &throwing_.emplace(*frame_, std::move(error)); });
  }
  auto aclose() noexcept -> step {
    return perform([this] { return &closing_.emplace(*frame_); });
  }

  /// The step of the last operation.
  [[nodiscard]] auto answer() const noexcept -> step { return answer_; }
  /// After `yielded`: the item, as a pointer to what co_yield was given. Holds until the next operation.
  [[nodiscard]] auto item() const noexcept -> void* { return frame_->own.slot; }
  /// After `raised`: the exception.
  auto take_error() noexcept -> std::exception_ptr { return std::exchange(error_, nullptr); }

 private:
  // A coroutine's frame begins with what resume() and destroy() call, in every ABI with coroutines; that is how code of
  // different compilers can be linked. A body resumes its consumer through it, and so a callback costs the generator no
  // branch of its own, and the driver no frame. The compiler must not see which functions these are: clang calls
  // coroutines by a convention of its own, the same in effect for one pointer, and takes a call that it can see to
  // disagree for one that never happens.
  struct arrival {
    void (*resume)(arrival*);
    void (*destroy)(arrival*);
    driver* self;
  };

  class iteration : public detail::operation_base<> {
   public:
    iteration(detail::frame& f, operation op, void* value, bool sends) noexcept
        : operation_base(f), op_(op), sends_(sends), value_(value) {}
    auto await_ready() -> bool {
      if (frame_->own.now == detail::stage::suspended) {
        if (!sends_) detail::raise_nothing_sent();
        return false;
      }
      return detail::iteration_is_ready(op_, *frame_, op_ == operation::asend);
    }
    auto await_suspend(std::coroutine_handle<> h) noexcept -> bool {
      frame_->own.slot = value_;
      return detail::drive(frame_->own, *this, h);
    }
    auto await_resume() -> bool {
      this->at = detail::driving;
      if (frame_->own.slot != nullptr) return true;
      detail::raise_outcome(frame_->own);
      return false;
    }

   private:
    operation op_;
    bool sends_;
    void* value_;
  };
  class throwing : public detail::throwing_operation {
   public:
    throwing(detail::frame& f, std::exception_ptr error) noexcept : throwing_operation(f, std::move(error), false) {}
    auto await_ready() -> bool { return detail::throw_is_ready(*this->frame_, this->exit); }
    auto await_resume() -> bool {
      finished();
      if (this->frame_->own.slot != nullptr) return true;
      detail::raise_outcome(this->frame_->own);
      return false;
    }
  };
  class closer : public detail::aclose_awaitable {
   public:
    using aclose_awaitable::aclose_awaitable;
    auto await_resume() -> bool {
      aclose_awaitable::await_resume();
      return false;
    }
  };

  /// std::optional without its header.
  template <class T>
  class place {
   public:
    place() noexcept {}
    place(place const&) = delete;
    auto operator=(place const&) -> place& = delete;
    ~place() { clear(); }
    template <class... Args>
    auto emplace(Args&&... args) -> T& {
      clear();
      ::new (static_cast<void*>(detail::address_of(value_))) T(static_cast<Args&&>(args)...);
      full_ = true;
      return value_;
    }
    void clear() noexcept {
      if (std::exchange(full_, false)) destroy();
    }
    explicit operator bool() const noexcept { return full_; }
    auto operator*() noexcept -> T& { return value_; }

   private:
    // Out of line: inlined, it makes g++ 12 warn of values that were never there.
    AGEN_NOINLINE void destroy() noexcept { value_.~T(); }

    union {
      T value_;
    };
    bool full_ = false;
  };

  template <class Make>
  auto perform(Make make) noexcept -> step {
    if (pending_) {  // that one's callback is still to come: its answer is left alone
      error_ = std::make_exception_ptr(already_running("driver: asynchronous generator is already running"));
      return step::raised;
    }
    end();
    auto* const begun = make();
    pending_ = true;
    try {
      if (begun->await_ready() || !begun->await_suspend(waiter())) return answer_ = result(*begun);
    } catch (...) {
      pending_ = false;
      error_ = std::current_exception();
      return answer_ = step::raised;
    }
    return step::awaits;  // touches nothing: the callback may have run, and destroyed the driver
  }
  template <class Operation>
  auto result(Operation& ended) noexcept -> step {
    pending_ = false;
    try {
      return ended.await_resume() ? step::yielded : step::returned;
    } catch (...) {
      error_ = std::current_exception();
      return step::raised;
    }
  }
  auto waiter() noexcept -> std::coroutine_handle<> { return std::coroutine_handle<>::from_address(&arrival_); }
  void end() noexcept {
    answer_ = step::awaits;
    error_ = nullptr;
    iterating_.clear();
    throwing_.clear();
    closing_.clear();
  }
  static void arrived(arrival* at) {
    driver& self = *at->self;
    if (self.iterating_) {
      self.answer_ = self.result(*self.iterating_);
    } else if (self.throwing_) {
      self.answer_ = self.result(*self.throwing_);
    } else {
      self.answer_ = self.result(*self.closing_);
    }
    self.on_answer_(self.context_);
  }
  static void ignored(arrival* /*at*/) {}

  arrival arrival_;
  detail::frame* frame_;
  callback on_answer_;
  void* context_;
  bool sends_nothing_;
  step answer_ = step::awaits;
  bool pending_ = false;
  std::exception_ptr error_;
  place<iteration> iterating_;
  place<throwing> throwing_;
  place<closer> closing_;
};

}  // namespace agen

#endif  // AGEN_DRIVE_HPP
