// The sources of a stream (streams.hpp): who is asked, who has answered, and how all of them are closed.
#ifndef AGEN_DETAIL_SOURCE_GROUP_HPP
#define AGEN_DETAIL_SOURCE_GROUP_HPP

#include "compiler.hpp"  // first: see there

#include <cstddef>
#include <deque>

#include "../closing.hpp"
#include "../driver.hpp"
#include "../stop.hpp"
#include "branch.hpp"
#include "failures.hpp"
#include "inbox.hpp"

namespace agen::detail {

/// One source: a generator, the operation under way, and what it has answered.
class source_slot : public arrival {
 public:
  source_slot(frame& f, bool sends_nothing, bool owned, inbox& into) noexcept
      : arrival(true), drive_(f, &answered, this, sends_nothing), frame_(&f), into_(&into), owned_(owned) {
    if (owned) {
      drive_.propagate_cancellation(&scope_);
    } else {
      drive_.asks_beside_others();  // without the scope, which it may outlive
    }
  }
  source_slot(source_slot const&) = delete;
  auto operator=(source_slot const&) -> source_slot& = delete;
  /// What is still to come for one that is only referred to stays there for its next operation.
  ~source_slot() {
    if (owned_) return;  // it is destroyed already
    if (!taken_ && frame_->own.now == phase::suspended && drive_.answer() == step::yielded) {
      frame_->own.now = phase::unclaimed;
      frame_->own.link = const_cast<pending*>(&no_consumer);
    }
  }

  /// After step::awaits the slot comes into the inbox, perhaps already.
  AGEN_ALWAYS_INLINE auto ask() noexcept -> step {
    taken_ = false;
    waits_ = true;
    step const answer = drive_.anext();
    if (answer != step::awaits) [[likely]]
      waits_ = false;
    return answer;
  }
  auto close() noexcept -> step {
    taken_ = true;
    closes_ = true;
    waits_ = true;
    scope_.deliver();  // a request that has found it with an item does not stop its cleanup
    step const answer = drive_.aclose();
    if (answer != step::awaits) waits_ = false;
    return answer;
  }
  void stop() noexcept { scope_.request(); }
  /// Taken out of the inbox.
  void arrived() noexcept { waits_ = false; }
  /// Its item goes to the consumer.
  void give() noexcept { taken_ = true; }

  /// Its item stays with the source after all.
  void keep() noexcept { taken_ = false; }

  [[nodiscard]] auto answer() const noexcept -> step { return drive_.answer(); }
  [[nodiscard]] auto has_answer() const noexcept -> bool { return !taken_; }
  [[nodiscard]] auto item() const noexcept -> void* { return drive_.item(); }
  [[nodiscard]] auto waits() const noexcept -> bool { return waits_; }
  [[nodiscard]] auto closes() const noexcept -> bool { return closes_; }
  [[nodiscard]] auto owned() const noexcept -> bool { return owned_; }
  [[nodiscard]] auto ended() const noexcept -> bool { return frame_->own.now == phase::closed; }
  auto take_error() noexcept -> std::exception_ptr { return drive_.take_error(); }

 private:
  static void answered(void* self) noexcept {
    auto& slot = *static_cast<source_slot*>(self);
    slot.into_->put(slot);
  }

  cancellation_scope scope_;
  driver drive_;
  frame* frame_;
  inbox* into_;
  bool owned_;
  bool waits_ = false;
  bool taken_ = true;
  bool closes_ = false;
};

/// Awaited in a body: its frame.
struct this_frame {
  frame* body = nullptr;
  static auto await_ready() noexcept -> bool { return false; }
  template <class Promise>
  auto await_suspend_in(frame& f, std::coroutine_handle<Promise> /*body*/) noexcept -> bool {
    body = &f;
    return false;
  }
  template <class Promise>
  auto await_suspend(std::coroutine_handle<Promise> /*body*/) noexcept -> bool {
    return false;
  }
  [[nodiscard]] auto await_resume() const noexcept -> frame& { return *body; }
};

/// A request to stop that has come while the body did not wait.
AGEN_ALWAYS_INLINE void check_stop(frame& body) {
  pending const& operation = *body.of->link;
  if (!operation.cancellable) [[likely]]
    return;
  if (operation.cancellation == nullptr || !operation.cancellation->must_stop()) return;
  operation.cancellation->deliver();
  AGEN_THROW(stopped("stopped before the next item"));
}

class source_group {
 public:
  /// Makes room for whatever can fail later.
  void expect(std::size_t sources) { failures_.expect(sources + 2); }
  /// `owned`: the source is closed with the group.
  auto add(frame& f, bool sends_nothing, bool owned) -> source_slot& {
    source_slot& slot = slots_.emplace_back(f, sends_nothing, owned, inbox_);
    ++live_;
    return slot;
  }
  template <class Yield, class Send, class Return>
  auto add(async_generator<Yield, Send, Return>& source, bool owned) -> source_slot& {
    return add(source.frame(), detail::sends_nothing<Send>, owned);
  }
  /// Every source is asked in turn, from now on.
  void begin() noexcept {
    for (source_slot& slot : slots_) turn_.append(slot);
  }
  /// Takes what has arrived: sources get in line.
  void accept() noexcept {
    while (inbox_.any()) {
      arrival& one = inbox_.take();
      if (!one.is_source) {
        static_cast<branch_base&>(one).arrived();
        continue;
      }
      auto& slot = static_cast<source_slot&>(one);
      slot.arrived();
      turn_.append(slot);
    }
  }
  /// The same without a line, for a zip.
  void take_arrived() noexcept {
    while (inbox_.any()) static_cast<source_slot&>(inbox_.take()).arrived();
  }
  /// A source is in line, so next() has something to do.
  [[nodiscard]] auto in_line() const noexcept -> bool { return !turn_.empty(); }
  /// Beside the sources: close() stops and awaits it.
  void also(branch_base& beside) noexcept { beside_ = &beside; }
  /// The next source that has an item; null: wait(), unless all have ended. Throws what a source raises.
  AGEN_ALWAYS_INLINE auto next(frame& body) -> source_slot* {
    check_stop(body);
    if (inbox_.any()) [[unlikely]]
      accept();
    while (!turn_.empty()) {
      auto& slot = static_cast<source_slot&>(turn_.take());
      if (!slot.has_answer() && slot.ask() == step::awaits) continue;
      if (slot.answer() == step::yielded) [[likely]] {
        slot.give();
        return &slot;
      }
      ended(slot);
      if (ends_at_first_) break;
    }
    return nullptr;
  }
  /// next() gives null at the first end, too.
  void end_at_first() noexcept { ends_at_first_ = true; }
  /// The source's item was used: it is asked again in its turn.
  AGEN_ALWAYS_INLINE void used(source_slot& slot) noexcept { turn_.append(slot); }
  [[nodiscard]] auto over() const noexcept -> bool { return live_ == 0; }
  [[nodiscard]] auto live() const noexcept -> std::size_t { return live_; }
  auto wait() noexcept -> inbox::awaiter { return inbox_.wait(); }
  auto slots() noexcept -> std::deque<source_slot>& { return slots_; }
  auto arrived() noexcept -> inbox& { return inbox_; }

  /// Closes the sources that are owned, except `spared`: one that waits is stopped first. Nothing stops this. What they
  /// raise is kept for raise().
  auto close(source_slot** spared = nullptr) -> task<> {
    co_await enter_scope{nullptr};
    std::size_t open = 0;
    for (source_slot& slot : slots_) {
      if (!slot.owned() || (spared != nullptr && &slot == *spared)) continue;
      if (!slot.waits() && slot.ended()) continue;  // while it waits, its state may be another thread's
      if (slot.waits()) {
        ++open;
        slot.stop();
      } else if (slot.close() == step::awaits) {
        ++open;
      } else {
        closed(slot);
      }
    }
    if (beside_ != nullptr && beside_->running()) {
      ++open;
      beside_->stop();
    }
    while (open != 0) {
      if (!inbox_.any()) co_await inbox_.wait();
      arrival& one = inbox_.take();
      if (!one.is_source) {
        static_cast<branch_base&>(one).arrived();
        --open;
        continue;
      }
      auto& slot = static_cast<source_slot&>(one);
      slot.arrived();
      if (!slot.owned()) continue;
      if (!slot.closes() && slot.answer() == step::yielded && slot.close() == step::awaits) continue;
      closed(slot);
      --open;
    }
  }
  /// The exception that ends the stream, in its handler.
  void failed() noexcept { failures_.failed(); }
  /// After close().
  void raise() { failures_.raise(); }

 private:
  AGEN_OUT_OF_LINE void ended(source_slot& slot) {
    --live_;
    slot.give();
    if (slot.answer() == step::raised) std::rethrow_exception(slot.take_error());
  }
  void closed(source_slot& slot) noexcept {
    if (slot.answer() == step::raised) failures_.closing_raised(slot.take_error());
  }

  inbox inbox_;
  std::deque<source_slot> slots_;
  arrivals turn_;
  branch_base* beside_ = nullptr;
  std::size_t live_ = 0;
  bool ends_at_first_ = false;
  failures failures_;
};

}  // namespace agen::detail

#endif  // AGEN_DETAIL_SOURCE_GROUP_HPP
