// Bodies of scenarios as async generators, and what a run of a scenario consists of: generators, the operations on
// them, and the answers.
#ifndef AGEN_CONFORMANCE_INTERPRETER_HPP
#define AGEN_CONFORMANCE_INTERPRETER_HPP

#include <agen/agen.hpp>
#include <coroutine>
#include <exception>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "body.hpp"

namespace conformance {

/// What a body awaits: suspended until the consumer resumes it with a value or an exception.
class trap {
 public:
  explicit trap(value said) : said_(std::move(said)) {}
  trap(trap const&) = delete;
  auto operator=(trap const&) -> trap& = delete;
  /// A body may be destroyed while it waits.
  ~trap() {
    if (latest == this) latest = nullptr;
    if (owner_ != nullptr) *owner_ = nullptr;
  }

  static auto await_ready() noexcept -> bool { return false; }
  void await_suspend(std::coroutine_handle<> h) noexcept {
    waiting_ = h;
    latest = this;
  }
  auto await_resume() -> value {
    if (error_) std::rethrow_exception(error_);
    return std::move(sent_);
  }

  void send(value sent) {
    sent_ = std::move(sent);
    resume();
  }
  void raise(std::exception_ptr error) {
    error_ = std::move(error);
    resume();
  }
  [[nodiscard]] auto said() const noexcept -> value const& { return said_; }
  /// `place` points to this trap, until it is resumed or destroyed.
  void belongs_to(trap*& place) noexcept { owner_ = &(place = this); }
  void forget_owner() noexcept { owner_ = nullptr; }

  /// The trap at which a body suspended last; whoever resumed that body takes it from here.
  static inline trap* latest = nullptr;

 private:
  void resume() {
    if (auto** const place = std::exchange(owner_, nullptr)) *place = nullptr;
    std::exchange(waiting_, nullptr).resume();
  }

  value said_;
  value sent_;
  std::exception_ptr error_;
  std::coroutine_handle<> waiting_;
  trap** owner_ = nullptr;
};

/// What all bodies of a run share.
struct world {
  class_tree classes;
  std::map<std::string, body> bodies;
  std::map<std::string, generator> generators;
  std::map<void const*, std::string> names;  ///< of bodies, by the generators that run them
  std::vector<std::string> answers;
  bool over = false;

  void say(std::string text) {
    if (!over) answers.push_back(std::move(text));
  }
  auto make(std::string const& name) -> generator;
};

/// A generator with some operations and no others: what `offering(g, "athrow")` is in a scenario.
template <bool Sends, bool Throws, bool Closes>
class offering {
 public:
  explicit offering(generator source) noexcept : source_(std::move(source)) {}
  auto anext() noexcept { return source_.anext(); }
  auto asend(value sent)
    requires(Sends)
  {
    return source_.asend(std::move(sent));
  }
  auto athrow(std::exception_ptr error) noexcept
    requires(Throws)
  {
    return source_.athrow(std::move(error));
  }
  auto aclose() noexcept
    requires(Closes)
  {
    return source_.aclose();
  }

 private:
  generator source_;
};

/// One body: the machine executes what does not suspend, the coroutine does the rest.
inline auto interpret(world& in, body const& code) -> generator {
  machine at(code, in.classes, [&in](std::string line) { in.say(std::move(line)); });
  while (instruction const* const now = at.next()) {
    std::exception_ptr error;
    value given;
    // In one piece with its suspensions this function would be past what g++ 12 compiles: a statement each.
    try {
      std::string const& name = (*now)[0];
      if (name == "yield") {
        value item = at.operand((*now)[1]);
        given = co_yield item;
      } else if (name == "await") {
        trap waits(at.operand((*now)[1]));
        given = co_await waits;
      } else if ((*now)[1] == "generator") {
        generator& source = in.generators.at((*now)[2]);
        given = co_await agen::yield_from(source);
      } else if ((*now)[1] == "body") {
        given = co_await agen::yield_from(in.make((*now)[2]));
      } else {
        std::string const& offers = (*now)[1];
        bool const sends = offers.find("asend") != std::string::npos;
        bool const throws = offers.find("athrow") != std::string::npos;
        bool const closes = offers.find("aclose") != std::string::npos;
        generator source = in.make((*now)[2]);
        if (sends) {
          given = co_await agen::yield_from(offering<true, false, false>(std::move(source)));
        } else if (throws && closes) {
          given = co_await agen::yield_from(offering<false, true, true>(std::move(source)));
        } else if (throws) {
          given = co_await agen::yield_from(offering<false, true, false>(std::move(source)));
        } else if (closes) {
          given = co_await agen::yield_from(offering<false, false, true>(std::move(source)));
        } else {
          given = co_await agen::yield_from(offering<false, false, false>(std::move(source)));
        }
      }
    } catch (...) {
      error = std::current_exception();
    }
    if (error) {
      at.unwind(std::move(error));
    } else {
      at.store(now->back(), std::move(given));
    }
  }
  co_return std::move(at.result());
}

inline auto world::make(std::string const& name) -> generator {
  generator made = interpret(*this, bodies.at(name));
  names[made.id()] = name;
  return made;
}

}  // namespace conformance

#endif  // AGEN_CONFORMANCE_INTERPRETER_HPP
