// How channels wait on Python's event loops. All channels of an asyncio loop that this module drives share one
// descriptor, a hub's, which the loop watches for as long as it lives; on any other loop each channel that has to wait
// has one of its own. What Python knows of it is async_generator._event_loops.Bells.
//
// A push that finds its consumer waiting puts the consumer's bell into the hub's list, and makes the descriptor
// readable if it is the first there. The loop's callback then completes the futures of all bells in the list: one
// wakeup for many streams.
#ifndef AGEN_PYTHON_HUB_HPP
#define AGEN_PYTHON_HUB_HPP

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "../detail/wakeup.hpp"
#include "event_loop.hpp"

namespace agen::python::detail {

class hub;

/// The bell of one consumer that a hub wakes.
class hub_bell final : public agen::detail::bell, public std::enable_shared_from_this<hub_bell> {
 public:
  hub_bell(std::shared_ptr<hub> of, std::uint64_t number) noexcept : hub_(std::move(of)), number_(number) {}
  inline void ring() noexcept override;
  [[nodiscard]] auto number() const noexcept -> std::uint64_t { return number_; }

 private:
  friend hub;

  std::shared_ptr<hub> const hub_;
  std::uint64_t const number_;
  // Guarded by the hub's mutex.
  bool listed_ = false;
  std::shared_ptr<hub_bell> before_;  ///< in the list: the one that was rung before
};

/// A list of the bells that were rung and not taken yet. Used by any thread, without the GIL.
class hub {
 public:
  hub() = default;
  hub(hub const&) = delete;
  auto operator=(hub const&) -> hub& = delete;
  ~hub() = default;

  void ring(std::shared_ptr<hub_bell> rung) noexcept {
    {
      std::lock_guard const lock(mutex_);
      if (unheard_ || std::exchange(rung->listed_, true)) return;
      rung->before_ = std::move(last_);
      last_ = std::move(rung);
      if (++size_ != 1) return;
    }
    wakeup_.signal();
  }
  /// Takes what is in the list, first rung first.
  auto take() -> std::vector<std::shared_ptr<hub_bell>> {
    std::vector<std::shared_ptr<hub_bell>> taken;
    std::lock_guard const lock(mutex_);
    taken.resize(size_);
    wakeup_.drain();  // under the lock: a later signal then belongs to a bell that was put into the list after this
    for (; size_ != 0; --size_) {
      taken[size_ - 1] = std::move(last_);
      last_ = std::move(taken[size_ - 1]->before_);
      taken[size_ - 1]->listed_ = false;
    }
    return taken;
  }
  /// take() will not be called again. Drops the bells in the list, which keep the hub alive.
  void close() noexcept {
    std::lock_guard const lock(mutex_);
    unheard_ = true;
    while (last_) last_ = std::exchange(last_->before_, nullptr);
  }
  [[nodiscard]] auto descriptor() const noexcept -> int { return wakeup_.descriptor(); }

 private:
  agen::detail::wakeup const wakeup_;
  std::mutex mutex_;
  std::shared_ptr<hub_bell> last_;
  std::size_t size_ = 0;
  bool unheard_ = false;
};

inline void hub_bell::ring() noexcept { hub_->ring(shared_from_this()); }

inline constexpr char const* hub_capsule = "agen hub";

inline auto hub_of(PyObject* capsule) -> std::shared_ptr<hub> const& {
  auto* const kept = static_cast<std::shared_ptr<hub>*>(PyCapsule_GetPointer(capsule, hub_capsule));
  if (kept == nullptr) throw error::current();
  return *kept;
}

/// For the loop's callback: the numbers of the bells that were rung.
inline auto take_rung(PyObject* capsule, PyObject* /*none*/) -> PyObject* try {
  auto const& from = hub_of(capsule);
  auto rung = from->take();
  auto numbers = object::steal(PyList_New(static_cast<Py_ssize_t>(rung.size())));
  for (std::size_t i = 0; numbers && i != rung.size(); ++i) {
    PyObject* const number = PyLong_FromUnsignedLongLong(rung[i]->number());
    if (number == nullptr) {
      numbers = object();
    } else {
      list_set_item(numbers.get(), static_cast<Py_ssize_t>(i), number);
    }
  }
  if (!numbers) {  // no memory: they are taken later
    for (auto& one : rung) from->ring(std::move(one));
  }
  return numbers.release();
} catch (...) {
  raise_in_python(std::current_exception());
  return nullptr;
}

inline AGEN_PYTHON_MODULE_LOCAL PyMethodDef take_rung_method = {"take_rung", take_rung, METH_NOARGS, nullptr};

/// (descriptor, take_rung, capsule) of a new hub.
inline auto make_hub(PyObject* /*self*/, PyObject* /*none*/) -> PyObject* try {
  auto kept = std::make_unique<std::shared_ptr<hub>>(std::make_shared<hub>());
  int const descriptor = (*kept)->descriptor();
  auto const capsule = called(PyCapsule_New(kept.get(), hub_capsule, [](PyObject* dying) {
    std::unique_ptr<std::shared_ptr<hub>> const last(
        static_cast<std::shared_ptr<hub>*>(PyCapsule_GetPointer(dying, hub_capsule)));
    (*last)->close();
  }));
  (void)kept.release();
  auto const function = called(PyCFunction_New(&take_rung_method, capsule.get()));
  return Py_BuildValue("(iOO)", descriptor, function.get(), capsule.get());
} catch (...) {
  raise_in_python(std::current_exception());
  return nullptr;
}

inline AGEN_PYTHON_MODULE_LOCAL PyMethodDef make_hub_method = {"make_hub", make_hub, METH_NOARGS, nullptr};

/// How a channel waits: see agen/channel.hpp. Used in a body that Python drives.
class channel_waits {
 public:
  /// \param patience  how long the producers' end is awaited
  explicit channel_waits(std::optional<seconds> patience) noexcept : patience_(patience) {}

  template <class Arm>
  auto begin(Arm arm) -> bool {
    if (!bells_.holds()) bells_.keep(make());
    auto answer = called(PyObject_CallNoArgs, bells_.get());
    if (PyTuple_CheckExact(answer.get()) !=
        0) {  // of a loop that this channel was not on before: its hub, and a future
      heard_ = std::make_shared<hub_bell>(hub_of(tuple_item(answer.get(), 0)), number_);
      answer = object::borrow(tuple_item(answer.get(), 1));
    }
    bool const by_hub = PyCallable_Check(answer.get()) == 0;  // it is a future then
    if (!by_hub && !own_) own_ = std::make_shared<agen::detail::own_bell>();
    if (!(by_hub ? arm(heard_) : arm(own_))) return false;
    (by_hub ? future_ : wait_readable_) = std::move(answer);
    return true;
  }
  auto operator()() -> awaiting { return awaitable(begun()); }
  auto for_end() -> awaiting {
    if (patience_ && !until_) until_ = clock::now() + std::chrono::duration_cast<clock::duration>(*patience_);
    auto const limit =
        until_ ? called(PyFloat_FromDouble(seconds(*until_ - clock::now()).count())) : object::borrow(Py_None);
    auto const function = bridge_attribute("_closing");
    auto const waits = begun();
    return awaitable(called(PyObject_CallFunctionObjArgs, function.get(), waits.get(), limit.get(), nullptr));
  }
  void woken() const noexcept {
    if (own_) own_->wake().drain();
  }
  [[nodiscard]] auto gives_up() const noexcept -> bool { return until_ && clock::now() >= *until_; }

 private:
  using clock = std::chrono::steady_clock;

  [[nodiscard]] auto make() const -> object {
    auto const type = bridge_attribute("_Bells");
    auto const maker = called(PyCFunction_New(&make_hub_method, nullptr));
    return called(PyObject_CallFunction, type.get(), "KNO", static_cast<unsigned long long>(number_),
                  PyLong_FromVoidPtr(&numbers), maker.get());
  }
  /// What begin() has found to be awaited.
  auto begun() -> object {
    if (future_) return std::move(future_);
    auto const wait = std::move(wait_readable_);
    auto const descriptor = called(PyLong_FromLong(own_->wake().descriptor()));
    return called(call_one_arg, wait.get(), descriptor.get());
  }

  static inline AGEN_PYTHON_MODULE_LOCAL std::atomic<std::uint64_t> numbers = 0;  ///< its address tells modules apart

  std::optional<seconds> patience_;
  std::optional<clock::time_point> until_;
  std::uint64_t number_ = ++numbers;
  std::shared_ptr<hub_bell> heard_;
  std::shared_ptr<agen::detail::own_bell> own_;
  kept_visible bells_;
  object future_;
  object wait_readable_;
};

}  // namespace agen::python::detail

#endif  // AGEN_PYTHON_HUB_HPP
