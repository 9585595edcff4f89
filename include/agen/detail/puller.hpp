// One source that is asked ahead of its consumers: by whichever of them begins, and then, when it has answered, on the
// thread where it did. What prefetch and broadcast are made of.
#ifndef AGEN_DETAIL_PULLER_HPP
#define AGEN_DETAIL_PULLER_HPP

#include "compiler.hpp"  // first: see there

#include <memory>
#include <optional>
#include <type_traits>

#include "../adaptors.hpp"
#include "../driver.hpp"
#include "../stop.hpp"
#include "failures.hpp"
#include "waiting_line.hpp"

namespace agen::detail {

/// All that use it keep it, as the source may answer after one of them has gone.
class puller : public std::enable_shared_from_this<puller> {
 public:
  puller(puller const&) = delete;
  auto operator=(puller const&) -> puller& = delete;
  /// What a source that is only referred to has given, and nobody could take, stays there for its next operation.
  virtual ~puller() {
    if (owned_ || !untaken_ || source_->own.now != phase::suspended) return;
    source_->own.now = phase::unclaimed;
    source_->own.link = const_cast<pending*>(&no_consumer);
  }

  /// Asks the source, unless that is under way or not wanted.
  void pull() noexcept {
    {
      locked const guard(lock_);
      if (!may_ask()) return;
      busy_ = true;
    }
    if (run()) wake();
  }
  /// Awaitable: completes when `done()`, which is asked under the lock, or earlier. Throws stopped.
  template <class Done>
  auto wait(Done done) noexcept {
    return change(waiting_, lock_, done);
  }
  /// Asks the source for nothing more.
  void abandon() noexcept {
    locked const guard(lock_);
    closing_ = true;
  }
  /// Closes the source if it is owned; if it waits, it is stopped first. Nothing stops this. Raises what closing
  /// raises. Who calls it second waits for the first.
  auto close() -> task<> {
    co_await enter_scope{nullptr};
    bool first = false;
    bool waits = false;
    {
      locked const guard(lock_);
      first = !std::exchange(closing_, true);
      waits = busy_;
    }
    if (!first) {
      while (!is(closed_)) co_await wait([this] { return closed_; });
      co_return;
    }
    wake();
    if (owned_) {
      if (waits) scope_.request();
      while (is(busy_)) co_await wait([this] { return !busy_; });
      if (source_->own.now != phase::closed && !closes_now()) {
        while (is(busy_)) co_await wait([this] { return !busy_; });
      }
    }
    {
      locked const guard(lock_);
      closed_ = true;
    }
    wake();
    auto error = closes_ && drive_->answer() == step::raised ? drive_->take_error() : nullptr;
    if (error != nullptr && !is_end(error)) std::rethrow_exception(std::move(error));
  }

 protected:
  explicit puller(bool owned) noexcept : owned_(owned) {}
  /// Before anything else.
  void begin(frame& f, bool sends_nothing) noexcept {
    source_ = &f;
    drive_.emplace(f, &answered, this, sends_nothing);
    if (owned_) {
      drive_->propagate_cancellation(&scope_);
    } else {
      drive_->asks_beside_others();  // without the scope, which it may outlive
    }
  }
  /// Takes the item that the source gives. May throw.
  virtual void receive(void* item) = 0;
  /// Whether to begin to ask, and whether to go on. Under the lock.
  [[nodiscard]] virtual auto wants() const noexcept -> bool = 0;
  [[nodiscard]] virtual auto goes_on() const noexcept -> bool = 0;

  /// Resumes all that wait. The caller keeps this alive.
  void wake() noexcept {
    lock_.lock();
    waiting_.wake_all(lock_);
  }
  // Under the lock.
  [[nodiscard]] auto over() const noexcept -> bool { return over_ || closing_; }
  [[nodiscard]] auto may_ask() const noexcept -> bool { return !busy_ && !over() && wants(); }

  spin_lock lock_;  // NOLINT: these four are for what is derived
  bool over_ = false;
  bool closing_ = false;
  std::exception_ptr error_;  ///< how the source has ended, if it failed

 private:
  auto is(bool const& flag) noexcept -> bool {
    locked const guard(lock_);
    return flag;
  }
  void set_busy(bool busy) noexcept {
    locked const guard(lock_);
    busy_ = busy;
  }
  /// Whether an answer has come.
  auto run() noexcept -> bool {
    for (bool answered = false;; answered = true) {
      step const answer = drive_->anext();
      if (answer == step::awaits) return answered;  // by now it may be asked on another thread
      if (!take(answer)) return true;
    }
  }
  /// Whether the source is to be asked again.
  auto take(step answer) noexcept -> bool {
    std::exception_ptr error;
    if (answer == step::yielded) {
      AGEN_TRY { receive(drive_->item()); }
      AGEN_CATCH(...) {
        error = current_error();
        untaken_ = true;
      }
    } else if (answer == step::raised) {
      error = drive_->take_error();
      if (is(closing_) && is_end(error)) error = nullptr;  // it was told to end
    }
    locked const guard(lock_);
    if (answer == step::yielded && error == nullptr) {
      if (!closing_ && goes_on()) return true;
    } else {
      over_ = true;
      error_ = std::move(error);
    }
    busy_ = false;
    return false;
  }
  static void answered(void* context) noexcept {
    auto const self = static_cast<puller*>(context)->shared_from_this();
    if (self->closes_) {
      self->set_busy(false);
    } else if (self->take(self->drive_->answer())) {
      self->run();
    }
    self->wake();
  }
  auto closes_now() noexcept -> bool {
    set_busy(true);
    closes_ = true;
    scope_.deliver();  // a request that has found it with an item does not stop its cleanup
    if (drive_->aclose() == step::awaits) return false;
    set_busy(false);
    return true;
  }

  waiting_line waiting_;
  frame* source_ = nullptr;
  std::optional<driver> drive_;
  cancellation_scope scope_;
  bool const owned_;
  bool busy_ = false;  ///< the source is asked, or closed
  bool closes_ = false;
  bool closed_ = false;
  bool untaken_ = false;
};

/// The same with its source, a generator or a reference to one. `State` takes values by keep().
template <class State, class Source>
class pulls final : public State {
  using generator = std::remove_reference_t<Source>;
  using yield = typename generator::yield_type;

 public:
  template <class... Args>
  explicit pulls(Source&& source, Args&&... args)
      : State(!std::is_reference_v<Source>, static_cast<Args&&>(args)...), source_(static_cast<Source&&>(source)) {
    this->begin(source_.frame(), sends_nothing<typename generator::send_type>);
  }

 private:
  void receive(void* item) override {
    this->keep(kept(static_cast<reference_of<yield>>(*static_cast<std::remove_reference_t<yield>*>(item))));
  }

  Source source_;
};

}  // namespace agen::detail

#endif  // AGEN_DETAIL_PULLER_HPP
