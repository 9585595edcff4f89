// Channels and C++ generators as streams of agen_stream.h, for consumers in any language. Nothing of it is in a
// generator that is bound in the usual way: an author asks for it by export_stream().
#ifndef AGEN_PYTHON_EXPORT_STREAM_HPP
#define AGEN_PYTHON_EXPORT_STREAM_HPP

#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "../channel.hpp"
#include "../driver.hpp"
#include "../stop.hpp"
#include "event_loop.hpp"

#include "../agen_stream.h"  // after Python.h: for agen_stream_capsule()

namespace agen::python {

namespace detail {

/// The consumer's wake. release() makes it deaf.
class export_waker final : public agen::detail::bell {
 public:
  void set(void (*wake)(void*), void* context) noexcept {
    std::lock_guard const lock(mutex_);
    wake_ = wake;
    context_ = context;
  }
  void ring() noexcept override {
    std::lock_guard const lock(mutex_);  // so that no wake is under way after release(); wake() never blocks
    if (wake_ != nullptr) wake_(context_);
  }

 private:
  std::mutex mutex_;
  void (*wake_)(void*) = nullptr;
  void* context_ = nullptr;
};

/// The functions of a stream over `Source`, which has
///   next(items)     appends items, if there are any, to an item_sink; gives an answer of agen_stream.h. Throws what
///   the
///                   stream fails with.
///   stop()          no more items are wanted
///   leave()         the stream is released. True: it is destroyed at once; false: the source calls destroy() later.
template <class T, class Converter, class Source>
class exported_stream {
 public:
  template <class From>
  static auto make(From from) -> agen_stream* {
    return &(new exported_stream(std::move(from)))->stream_;
  }

 private:
  template <class From>
  explicit exported_stream(From from)
      : waker_(std::make_shared<export_waker>()), source_(std::move(from), waker_, &destroy, this) {
    stream_.private_data = this;
  }

  static auto of(agen_stream* self) noexcept -> exported_stream& {
    return *static_cast<exported_stream*>(self->private_data);
  }
  static void destroy(void* self) noexcept {
    holding_gil const gil;
    without_exception const aside;
    delete static_cast<exported_stream*>(self);
  }

  static void release(agen_stream* self) noexcept {
    auto& me = of(self);
    me.waker_->set(nullptr, nullptr);
    holding_gil const gil;
    if (me.source_.leave()) destroy(&me);
  }
  static auto start(agen_stream* self, void (*wake)(void*), void* context) noexcept -> int {
    of(self).waker_->set(wake, context);
    return AGEN_STREAM_OK;
  }
  static auto next(agen_stream* self, std::size_t max, void** items, std::size_t* count) noexcept -> int {
    auto& me = of(self);
    holding_gil const gil;
    *count = 0;
    int answer = AGEN_STREAM_ERROR;
    try {
      if (!me.error_) answer = me.source_.next(max, items, *count);
    } catch (...) {
      me.error_ = agen::detail::current_error();
    }
    return *count != 0 ? AGEN_STREAM_OK : answer;
  }
  static void stop(agen_stream* self) noexcept {
    holding_gil const gil;
    of(self).source_.stop();
  }
  static auto error(agen_stream* self) noexcept -> char const* {
    auto& me = of(self);
    try {
      std::rethrow_exception(me.error_);
    } catch (std::exception const& e) {
      me.text_ = e.what();
    } catch (...) {
      return "a C++ exception that is no std::exception";
    }
    return me.text_.c_str();
  }
  static auto to_python(agen_stream* /*self*/, void* item) noexcept -> PyObject* try {
    std::unique_ptr<T> const taken(static_cast<T*>(item));
    return Converter::to_python(std::move(*taken));
  } catch (...) {
    raise_in_python(std::current_exception());
    return nullptr;
  }
  static void drop(agen_stream* /*self*/, void* item) noexcept {
    holding_gil const gil;
    delete static_cast<T*>(item);
  }
  static auto exception(agen_stream* self) noexcept -> PyObject* {
    raise_in_python(of(self).error_);
    return take_exception().release();
  }

  agen_stream stream_ = {
      AGEN_STREAM_MAJOR, AGEN_STREAM_MINOR, &release, nullptr, &start, &next, &stop, &error, &to_python, &drop,
      &exception};
  std::shared_ptr<export_waker> const waker_;
  std::exception_ptr error_;
  std::string text_;
  Source source_;
};

template <class T>
class channel_source {
 public:
  channel_source(channel<T> from, std::shared_ptr<export_waker> waker, void (* /*destroy*/)(void*), void* /*stream*/)
      : channel_(std::move(from)), waker_(std::move(waker)) {
    state().consume();
  }

  auto next(std::size_t max, void** items, std::size_t& count) -> int {
    if (stopped_) return state().waits_for_end(waker_) ? AGEN_STREAM_PENDING : AGEN_STREAM_END;
    while (batch_.empty()) {
      if (!state().take(batch_)) return end();
      if (batch_.empty() && state().waits_for_items(waker_)) return AGEN_STREAM_PENDING;
    }
    for (; count != max && !batch_.empty(); batch_.pop_front()) {
      items[count] = new T(std::move(batch_.front()));
      ++count;
    }
    return AGEN_STREAM_OK;
  }
  void stop() noexcept {
    stopped_ = true;
    batch_.clear();
    state().stop();
  }
  auto leave() noexcept -> bool {
    stop();
    return true;
  }

 private:
  auto state() noexcept -> agen::detail::channel_state<T>& { return agen::detail::channel_access::state(channel_); }
  auto end() -> int {
    auto error = state().error();
    stop();
    if (error) std::rethrow_exception(std::move(error));
    return AGEN_STREAM_END;
  }

  channel<T> channel_;
  std::shared_ptr<agen::detail::bell> const waker_;
  std::deque<T> batch_;
  bool stopped_ = false;
};

template <class Yield, class Return>
class generator_source {
  using item = std::remove_cvref_t<Yield>;

 public:
  generator_source(async_generator<Yield, void, Return> from, std::shared_ptr<export_waker> waker,
                   void (*destroy)(void*), void* stream)
      : generator_(std::move(from)),
        drive_(generator_, &generator_source::answered, this),
        waker_(std::move(waker)),
        destroy_(destroy),
        stream_(stream) {
    drive_.propagate_cancellation(&scope_);
  }

  auto next(std::size_t max, void** items, std::size_t& count) -> int {
    while (count != max && !over_) {
      step const came = ask();
      if (came == step::awaits) return AGEN_STREAM_PENDING;
      if (came == step::yielded) {
        if (!stopping_) {
          items[count] = new item(std::forward<Yield>(*static_cast<item*>(drive_.item())));
          ++count;
        }
        continue;
      }
      over_ = true;
      if (came == step::raised) fail(drive_.take_error());
    }
    if (error_ && count == 0) std::rethrow_exception(std::exchange(error_, nullptr));
    return AGEN_STREAM_END;
  }
  /// What the body waits for is stopped, if it can be; at its next yield it is closed.
  void stop() noexcept {
    if (std::exchange(stopping_, true)) return;
    resumption::outside const no_resumption;
    scope_.request();
  }
  auto leave() noexcept -> bool {
    stop();  // before left_ is set: from then on another thread may destroy this
    std::lock_guard const lock(mutex_);
    left_ = pending_;
    return !left_;
  }

 private:
  /// The step of the operation that was begun before, or of the next one.
  auto ask() noexcept -> step {
    {
      std::lock_guard const lock(mutex_);
      if (pending_) return step::awaits;
      if (std::exchange(late_, false)) return drive_.answer();
      pending_ = true;
    }
    resumption::outside const no_resumption;
    step const came = stopping_ ? drive_.aclose() : drive_.anext();
    if (came == step::awaits) return came;  // another thread may have answered meanwhile
    std::lock_guard const lock(mutex_);
    pending_ = false;
    return came;
  }
  void fail(std::exception_ptr error) {
    try {
      std::rethrow_exception(error);
    } catch (stopped const&) {
      if (!stopping_) error_ = std::move(error);
    } catch (...) {
      error_ = std::move(error);
    }
  }
  static void answered(void* self) noexcept {
    auto& me = *static_cast<generator_source*>(self);
    std::shared_ptr<export_waker> waker;
    {
      std::lock_guard const lock(me.mutex_);
      me.pending_ = false;
      me.late_ = true;
      if (!me.left_) waker = me.waker_;
    }
    if (waker) {
      waker->ring();  // by now the stream may be released
    } else {
      me.destroy_(me.stream_);
    }
  }

  async_generator<Yield, void, Return> generator_;
  agen::detail::cancellation_scope scope_;
  driver drive_;
  std::shared_ptr<export_waker> const waker_;
  void (*const destroy_)(void*);
  void* const stream_;
  std::exception_ptr error_;
  bool over_ = false;
  bool stopping_ = false;
  std::mutex mutex_;  ///< guards what the thread changes that resumes the body
  bool pending_ = false;
  bool late_ = false;  ///< the answer came after its operation
  bool left_ = false;
};

inline auto exported(agen_stream* made) -> object {
  auto const capsule = called(agen_stream_capsule(made));
  auto const type = bridge_attribute("_Exported");
  return called(call_one_arg, type.get(), capsule.get());
}

}  // namespace detail

/// The items of a channel as a Python object with __agen_stream__(), which async_generator.stream() and every other
/// consumer of agen_stream.h takes, once. The producers are stopped, and their end awaited, as agen/channel.hpp says.
///
/// The functions of the stream take the GIL where the consumer does not hold it: items are destroyed, and stop
/// callbacks called, with the GIL held.
/// \tparam Converter  how items become Python objects: see conversions
template <class Converter = conversions, class T>
auto export_stream(channel<T> from) -> object {
  return detail::exported(detail::exported_stream<T, Converter, detail::channel_source<T>>::make(std::move(from)));
}

/// The same for a generator. The consumer drives it, so its body may await what other C++ threads complete, and nothing
/// of Python, which would throw. It runs in the consumer's calls, with the GIL held, and behind an await on the thread
/// that ends that. stop() requests a stop from what the body awaits (stop.hpp), and closes it at its next co_yield.
template <class Converter = conversions, class Yield, class Return>
auto export_stream(async_generator<Yield, void, Return> from) -> object {
  using source = detail::generator_source<Yield, Return>;
  return detail::exported(
      detail::exported_stream<std::remove_cvref_t<Yield>, Converter, source>::make(std::move(from)));
}

}  // namespace agen::python

#endif  // AGEN_PYTHON_EXPORT_STREAM_HPP
