// Driving a generator from outside any coroutine: by plain calls, with a callback when an answer comes later, and
// without knowing the types of its items. Bridges to other languages and callback interfaces are built on it. The path
// of co_await does not become slower by it.
#ifndef AGEN_DRIVER_HPP
#define AGEN_DRIVER_HPP

#include "async_generator.hpp"
#include "detail/callback_coroutine.hpp"

namespace agen {

namespace detail {
class resuming_driver;
}

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
/// The generator must outlive the driver; the driver may be destroyed at any time, the body then continues and its
/// answer waits for the next operation. Not movable: a waiting body knows its address.
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
      : iterating_(f), arrival_(this), on_answer_(on_answer), context_(context), sends_nothing_(sends_nothing) {}
  driver(driver const&) = delete;
  auto operator=(driver const&) -> driver& = delete;
  ~driver() {
    if (!owner_resumes_) [[likely]]
      return;
    own().now = detail::phase::elsewhere;
    detail::forget_consumer(own());
  }

  /// Resumes the body until its next item.
  AGEN_ALWAYS_INLINE auto anext() noexcept -> step { return iterate(operation::anext, nullptr, sends_nothing_); }
  /// \param value  the Send object, moved from by the body when it is resumed; it must live until then
  auto asend(void* value) noexcept -> step { return iterate(operation::asend, value, true); }
  /// Throws `error` at the co_yield. A null one gives `raised` with nothing_thrown.
  auto athrow(std::exception_ptr error) noexcept -> step {
    return perform(way::throws, [this, &error] { return &throwing_.emplace(iterating_.of(), std::move(error)); });
  }
  /// Closes the generator: `returned` once its cleanup is done.
  auto aclose() noexcept -> step {
    return perform(way::closes, [this] { return &closing_.emplace(iterating_.of()); });
  }

  /// \internal What the body awaits from the next operation on finds `to`, which must outlive the operation.
  void propagate_cancellation(detail::cancellation_scope* to) noexcept { iterating_.propagate_cancellation(to); }

  /// \internal The generator is one of the sources of a stream, and only referred to: see pending::beside.
  void asks_beside_others() noexcept { iterating_.asks_beside_others(); }

  /// The step of the last operation.
  [[nodiscard]] auto answer() const noexcept -> step { return answer_; }
  /// After `yielded`: the item, as a pointer to what co_yield was given. Holds until the next operation.
  [[nodiscard]] auto item() const noexcept -> void* { return own().handed.item(); }
  /// After `raised`: the exception.
  auto take_error() noexcept -> std::exception_ptr { return std::exchange(error_, nullptr); }

 private:
  friend detail::resuming_driver;

  /// The awaitable of every anext and asend, used again and again: an item that comes at once costs the path of the
  /// body and a few stores.
  class iteration : public detail::operation_base<> {
   public:
    using operation_base::operation_base;
    auto of() const noexcept -> detail::frame& { return *frame_; }
    void asks_beside_others() noexcept { this->beside = true; }
    auto scope() const noexcept -> detail::cancellation_scope* { return cancellable ? cancellation : nullptr; }
    // detail::drive() in three parts: the answer is wanted without a call where it comes at once.
    AGEN_ALWAYS_INLINE void resume(void* value) noexcept {
      frame_->own.handed.send(value);
      detail::resume_leaf(frame_->own, *this);
    }
    auto has_arrived() const noexcept -> bool { return detail::has_arrived(*this); }
    auto waits(std::coroutine_handle<> h) noexcept -> bool { return detail::drive_on(frame_->own, *this, h); }
  };
  class throwing : public detail::throwing_operation {
   public:
    throwing(detail::frame& f, std::exception_ptr error) noexcept : throwing_operation(f, std::move(error), false) {}
    auto await_ready() -> bool { return detail::throw_is_ready(*this->frame_, this->exit); }
    using throwing_operation::finished;
  };
  using closer = detail::aclose_awaitable;
  enum class way : unsigned char { none, iterates, throws, closes };

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
    // Out of line: inlined, it makes g++ 12 warn that the value is uninitialized, which it cannot be.
    AGEN_NOINLINE void destroy() noexcept { value_.~T(); }

    union {
      T value_;
    };
    bool full_ = false;
  };

  auto own() const noexcept -> detail::control& { return iterating_.of().own; }

  [[nodiscard]] AGEN_ALWAYS_INLINE auto is_at_yield() const noexcept -> bool {
    return own().now == detail::phase::suspended;
  }
  AGEN_ALWAYS_INLINE auto iterate(operation op, void* value, bool plain) noexcept -> step {
    if (!is_at_yield() || !plain) [[unlikely]] {  // at a yield nothing is under way, and admit() answers `resume`
      if (!begins_iteration(op)) return answer_;
    }
    under_way_ = way::iterates;
    iterating_.resume(value);
    return resumed();
  }
  /// The call that resumed the body has come back: the body has answered, waits for the owner to resume it, or waits
  /// for something foreign. In the last case nothing may be touched: the callback may have run and destroyed the
  /// driver.
  AGEN_ALWAYS_INLINE auto resumed() noexcept -> step {
    if (!iterating_.has_arrived() && waits()) [[unlikely]]
      return step::awaits;
    if (own().handed.item() == nullptr) [[unlikely]]
      return owner_resumes_ ? step::awaits : complete();
    under_way_ = way::none;
    return answer_ = step::yielded;
  }
  // Out of line, because an item that comes at once does not get here.
  AGEN_NOINLINE auto waits() noexcept -> bool { return iterating_.waits(arrival_.handle()); }
  /// The slow path of iterate(): false if the answer is there already.
  AGEN_NOINLINE auto begins_iteration(operation op) noexcept -> bool {
    if (refuses()) return false;
    AGEN_TRY {
      if (op == operation::anext && own().now == detail::phase::suspended) detail::raise_nothing_sent();
      if (!detail::iteration_is_ready(op, iterating_.of(), op == operation::asend)) return true;
      answer_ = outcome();
    }
    AGEN_CATCH(...) { fail(); }
    return false;
  }

  template <class Make>
  auto perform(way which, Make make) noexcept -> step {
    if (refuses()) return step::raised;
    throwing_.clear();
    closing_.clear();
    auto* const begun = make();
    if (auto* const scope = iterating_.scope()) begun->propagate_cancellation(scope);
    under_way_ = which;
    AGEN_TRY {
      if (!begun->await_ready() && begun->await_suspend(arrival_.handle())) return step::awaits;  // see resumed()
    }
    AGEN_CATCH(...) {
      under_way_ = way::none;
      fail();
      return answer_;
    }
    return complete();
  }
  /// The operation under way has its answer.
  // Out of line, because an item that comes at once does not need it.
  AGEN_NOINLINE auto complete() noexcept -> step {
    way const which = std::exchange(under_way_, way::none);
    if (which != way::closes) {
      if (which == way::throws) (*throwing_).finished();
      return answer_ = outcome();
    }
    AGEN_TRY {
      (*closing_).await_resume();
      answer_ = step::returned;
    }
    AGEN_CATCH(...) { fail(); }
    return answer_;
  }
  AGEN_ALWAYS_INLINE auto outcome() noexcept -> step {
    detail::control& c = own();
    if (c.handed.item() != nullptr) [[likely]]
      return step::yielded;
    if (!c.has_raised) return step::returned;
    error_ = c.take();
    return step::raised;
  }
  /// One operation at a time. This is asked before the lifecycle, because an operation would replace the awaitable of
  /// the one under way. The lifecycle would refuse as well: until the callback the generator is running.
  /// Driver.CallsBackWhenTheAnswerComesLater (tests/cpp/driver_test.cpp) holds the two together.
  auto refuses() noexcept -> bool {
    if (under_way_ == way::none) return false;
    error_ = std::make_exception_ptr(already_running("driver: asynchronous generator is already running"));
    answer_ = step::raised;
    return true;
  }
  void fail() noexcept {
    error_ = detail::current_error();
    answer_ = step::raised;
  }
  static void arrived(void* of) noexcept {
    auto& self = *static_cast<driver*>(of);
    self.complete();
    self.on_answer_(self.context_);
  }

  iteration iterating_;
  detail::callback_coroutine<&driver::arrived> arrival_;
  callback on_answer_;
  void* context_;
  bool sends_nothing_;
  step answer_ = step::awaits;
  way under_way_ = way::none;
  bool owner_resumes_ = false;  ///< see detail::resuming_driver
  std::exception_ptr error_;
  place<throwing> throwing_;
  place<closer> closing_;
};

}  // namespace agen

#endif  // AGEN_DRIVER_HPP
