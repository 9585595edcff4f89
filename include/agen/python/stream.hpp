// The consumer of agen_stream.h for Python: a stream of any library as an async generator. async_generator.stream() is
// made of it; a module that reads streams of others in C++ may use it, too.
#ifndef AGEN_PYTHON_STREAM_HPP
#define AGEN_PYTHON_STREAM_HPP

#include <array>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "channel.hpp"

#include "../agen_stream.h"
#include "../detail/process.hpp"

namespace agen::python {

namespace detail {

/// What a producer wakes. It remembers a wake that comes while nobody waits, until listen().
class stream_waker {
 public:
  static void wake(void* self) noexcept { static_cast<stream_waker*>(self)->ring(); }
  /// Before next(): what comes from now on counts.
  void listen() noexcept {
    std::lock_guard const lock(mutex_);
    woken_ = false;
  }
  /// False if a wake has come; otherwise the first one will ring.
  auto arm(std::shared_ptr<agen::detail::bell> const& heard) noexcept -> bool {
    std::lock_guard const lock(mutex_);
    if (!woken_) bell_ = heard;
    return !woken_;
  }

 private:
  void ring() noexcept {
    std::shared_ptr<agen::detail::bell> rung;
    {
      std::lock_guard const lock(mutex_);
      woken_ = true;
      rung = std::move(bell_);
    }
    if (rung) rung->ring();
  }

  std::mutex mutex_;
  bool woken_ = false;
  std::shared_ptr<agen::detail::bell> bell_;
};

/// Items that a producer has handed over, and nobody has taken yet.
class stream_batch {
 public:
  explicit stream_batch(agen_stream* from) noexcept : from_(from) {}
  stream_batch(stream_batch const&) = delete;
  auto operator=(stream_batch const&) -> stream_batch& = delete;
  ~stream_batch() { drop(); }

  auto fill() noexcept -> int { return from_->next(from_, items_.size(), items_.data(), &left_); }
  /// The next one as a Python object, empty if there is none. Throws error.
  auto take() -> object {
    if (at_ == left_) {
      at_ = left_ = 0;
      return {};
    }
    return called(from_->to_python(from_, items_[at_++]));
  }
  void drop() noexcept {
    if (agen::detail::process::id() != process_) return;  // a forked process leaks them: see agen_stream.h
    while (at_ != left_) from_->drop(from_, items_[at_++]);
    at_ = left_ = 0;
  }

 private:
  agen_stream* from_;
  std::array<void*, 64> items_;
  agen::detail::process::id_type const process_ = agen::detail::process::id();
  std::size_t at_ = 0;
  std::size_t left_ = 0;
};

/// A stream that was taken, until it is released.
class taken_stream {
 public:
  explicit taken_stream(agen_stream* taken) noexcept : stream_(taken) {}
  taken_stream(taken_stream&&) noexcept = default;
  auto operator=(taken_stream&&) -> taken_stream& = delete;
  ~taken_stream() {
    // A forked process leaks it: see agen_stream.h.
    if (stream_ && process_ != 0 && agen::detail::process::id() != process_) {
      (void)stream_.release();
      (void)waker_.release();
    }
  }

  [[nodiscard]] auto get() const noexcept -> agen_stream* { return stream_.get(); }
  [[nodiscard]] auto waker() const noexcept -> stream_waker& { return *waker_; }

  void start() {
    thread_ = std::this_thread::get_id();
    process_ = agen::detail::process::id();
    home_.keep(find_home());
    if (stream_->start(get(), &stream_waker::wake, waker_.get()) != AGEN_STREAM_OK) fail();
  }
  /// In a body that is resumed. Throws error if it is not where it began.
  void check_thread() const {
    if (std::this_thread::get_id() == thread_) [[likely]]
      return;
    throw error(PyExc_RuntimeError,
                "anext(): this stream began on another thread, and its producer may be used on that one only");
  }
  void check_home() {
    if (agen::detail::process::id() != process_) {
      throw error(PyExc_RuntimeError,
                  "anext(): this stream began in the process that this one was forked from, where its producer runs");
    }
    if (find_home().get() == home_.get()) return;
    throw error(
        PyExc_RuntimeError,
        "anext(): this stream began on another event loop, which its producer wakes; make a stream for each loop");
  }
  /// Whether stop() may be called: the stream has begun, here, and is not at its end.
  [[nodiscard]] auto can_stop() const noexcept -> bool {
    return !over_ && process_ == agen::detail::process::id() && std::this_thread::get_id() == thread_;
  }
  /// AGEN_STREAM_OK, PENDING or END. Throws what the stream has failed with.
  auto next(stream_batch& batch) -> int {
    waker_->listen();
    int const answer = batch.fill();
    if (answer == AGEN_STREAM_OK || answer == AGEN_STREAM_PENDING) return answer;
    if (answer != AGEN_STREAM_END) fail();
    over_ = true;
    return answer;
  }

 private:
  struct releases {
    void operator()(agen_stream* stream) const noexcept { stream->release(stream); }
  };

  /// What tells the event loop that runs from others.
  static auto find_home() -> object { return called(PyObject_CallNoArgs, bridge_attribute("_home").get()); }

  [[noreturn]] void fail() {
    over_ = true;
    auto exception = object::steal(stream_->exception != nullptr ? stream_->exception(get()) : nullptr);
    if (PyErr_Occurred() != nullptr) throw error::current();
    if (!exception) {
      auto const text = decoded(stream_->error(get()));
      if (!text) throw error::current();
      exception = called(call_one_arg, PyExc_RuntimeError, text.get());
    }
    if (PyExceptionInstance_Check(exception.get()) == 0) {
      throw error(PyExc_TypeError, "the exception() of an agen_stream gave an object that is no exception");
    }
    throw error(std::move(exception));
  }

  std::unique_ptr<stream_waker> waker_ = std::make_unique<stream_waker>();  // outlives the stream
  std::unique_ptr<agen_stream, releases> stream_;
  std::thread::id thread_;
  ::pid_t process_ = 0;
  bool over_ = false;
  kept_visible home_;
};

/// How the body of a stream waits. A consumer that is cancelled gives up waiting, and the stream does not end: the next
/// operation goes on behind the wait. It loses no item, because a stream waits with empty hands only.
template <class Begin>
auto wait_patiently(Begin begin, bool& dismantled) -> task<> {
  std::exception_ptr gave_up;
  try {
    co_await begin();
  } catch (generator_exit const&) {  // the await is closed, by something that cannot await the cleanup
    dismantled = true;
    throw;
  } catch (...) {
    gave_up = agen::detail::current_error();
  }
  if (!gave_up) co_return;
  raise_in_python(std::exchange(gave_up, nullptr));
  auto const exception = take_exception();
  auto const module = called(PyImport_ImportModule, "async_generator._engine");
  co_await awaitable(called(PyObject_CallMethod, module.get(), "give_up", "O", exception.get()));
}

/// The cleanup of a stream that is left before its end: asks the producer to stop, and waits until it has.
inline auto stop_stream(taken_stream& stream, stream_batch& batch, channel_waits& wait) -> task<> {
  batch.drop();
  stream.get()->stop(stream.get());
  for (int answer = stream.next(batch); answer != AGEN_STREAM_END; answer = stream.next(batch)) {
    batch.drop();
    if (answer != AGEN_STREAM_PENDING) continue;
    // Where waiting is impossible, as after the end of the event loop, the producer is left alone.
    agen::detail::attempt begun(
        [&] { return wait.begin([&](auto const& heard) { return stream.waker().arm(heard); }); });
    if (!begun) break;
    if (!*begun) continue;
    agen::detail::attempt awaited([&] { return wait.for_end(); });
    if (!awaited) break;
    co_await std::move(*awaited);
    wait.woken();
  }
}

inline auto stream_items(taken_stream from) -> async_generator<object> {
  using clock = std::chrono::steady_clock;
  // Locals end with the body, parameters with the generator.
  taken_stream stream = std::move(from);
  stream_batch batch(stream.get());
  channel_waits wait({});
  bool dismantled = false;
  std::exception_ptr error;
  try {
    stream.start();
    for (auto since = clock::now();;) {
      stream.check_home();
      int const answer = stream.next(batch);
      if (answer == AGEN_STREAM_END) break;
      if (answer == AGEN_STREAM_PENDING) {
        if (!wait.begin([&](auto const& heard) { return stream.waker().arm(heard); })) continue;
        co_await wait_patiently([&] { return wait(); }, dismantled);
        wait.woken();
        since = clock::now();
        continue;
      }
      while (auto item = batch.take()) {
        co_yield std::move(item);
        stream.check_thread();
      }
      if (clock::now() - since < default_slice) continue;
      co_await wait_patiently([] { return checkpoint(); }, dismantled);
      since = clock::now();
    }
  } catch (...) {
    error = agen::detail::current_error();
  }
  if (stream.can_stop() && !dismantled) co_await stop_stream(stream, batch, wait);
  if (error) std::rethrow_exception(std::move(error));
}

/// The stream in a capsule, which says from now on that it was taken; null if there is none. No Python code runs here.
inline auto claim_stream(PyObject* capsule) noexcept -> agen_stream* {
  static constinit std::mutex one_consumer;
  std::lock_guard const lock(one_consumer);
  if (PyCapsule_IsValid(capsule, AGEN_STREAM_CAPSULE) == 0) return nullptr;
  auto* const stream = static_cast<agen_stream*>(PyCapsule_GetPointer(capsule, AGEN_STREAM_CAPSULE));
  (void)PyCapsule_SetName(capsule, AGEN_STREAM_USED_CAPSULE);
  return stream;
}

/// Throws error if this header cannot read the stream.
inline void check_stream(agen_stream const& stream) {
  if (stream.major != AGEN_STREAM_MAJOR) {
    PyErr_Format(PyExc_RuntimeError,
                 "the producer of this stream has version %u.%u of agen_stream.h, this consumer reads %u: %s",
                 static_cast<unsigned>(stream.major), static_cast<unsigned>(stream.minor),
                 static_cast<unsigned>(AGEN_STREAM_MAJOR),
                 stream.major > AGEN_STREAM_MAJOR
                     ? "update async_generator (pip install -U async_generator)"
                     : "build the producer again with the header of the installed package");
    throw error::current();
  }
  if (stream.start == nullptr || stream.next == nullptr || stream.stop == nullptr || stream.error == nullptr ||
      stream.to_python == nullptr || stream.drop == nullptr) {
    throw error(PyExc_ValueError, "this agen_stream lacks a function: only exception() may be null");
  }
}

/// Takes the stream out of a capsule. One that is refused stays there.
inline auto take_stream(PyObject* capsule) -> taken_stream {
  auto* const stream = claim_stream(capsule);
  if (stream == nullptr) {
    if (PyCapsule_IsValid(capsule, AGEN_STREAM_USED_CAPSULE) != 0) {
      throw error(PyExc_RuntimeError, "the stream of this capsule was taken already: a stream has one consumer");
    }
    PyErr_Format(PyExc_TypeError, "__agen_stream__() has to return a capsule named \"%s\", not %R", AGEN_STREAM_CAPSULE,
                 capsule);
    throw error::current();
  }
  try {
    check_stream(*stream);
  } catch (...) {
    (void)PyCapsule_SetName(capsule, AGEN_STREAM_CAPSULE);
    throw;
  }
  return taken_stream(stream);
}

}  // namespace detail

/// The items of a stream of agen_stream.h as a generator, for Python to iterate. It takes the stream over.
///
/// \param capsule  what __agen_stream__() returned
///
/// Throws TypeError if that is no capsule of a stream; RuntimeError if the stream was taken already or has a major
/// version that these headers do not know; ValueError if a function is missing. Errors of the generator: those of the
/// stream; RuntimeError when it is used on another thread, event loop or process than where it began; those of
/// readable(). Closing it stops the stream and awaits its end; cancelling a wait ends nothing.
inline auto from_stream(PyObject* capsule) -> async_generator<object> {
  return detail::stream_items(detail::take_stream(capsule));
}

}  // namespace agen::python

#endif  // AGEN_PYTHON_STREAM_HPP
