// Performs scenarios on the C++ library: reads them from standard input in the line form of lowering.py, one after the
// other, and prints the answers: `step` for each line of the consumer, the answers below it, `done` at the end.
#include <agen/agen.hpp>
#include <iostream>
#include <memory>
#include <sstream>

#include "interpreter.hpp"

namespace conformance {
namespace {

auto fields_of(std::string const& line) -> std::vector<std::string> {
  std::vector<std::string> fields;
  std::istringstream in(line);
  for (std::string field; std::getline(in, field, '\t');) fields.push_back(field);
  if (line.ends_with('\t')) fields.emplace_back();
  return fields;
}

auto ended(generator::item_type const& item) -> std::string {
  try {
    value const& given = item.returned();
    return given.is_none() ? "end" : "end " + given.text;
  } catch (agen::no_return_value const&) {
    return "end";
  }
}

/// The consumer of one operation: a coroutine that begins when the operation is awaited, and may be destroyed before.
class operation {
 public:
  struct promise_type {
    auto get_return_object() noexcept -> operation {
      return operation(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    static auto initial_suspend() noexcept -> std::suspend_always { return {}; }
    static auto final_suspend() noexcept -> std::suspend_always { return {}; }
    void return_void() noexcept {}
    static void unhandled_exception() noexcept { std::terminate(); }
  };

  operation(operation&& other) noexcept
      : body_(std::exchange(other.body_, nullptr)), waits_(std::exchange(other.waits_, nullptr)) {
    if (waits_ != nullptr) waits_->belongs_to(waits_);
  }
  auto operator=(operation&&) -> operation& = delete;
  ~operation() {
    if (waits_ != nullptr) waits_->forget_owner();
    if (body_) body_.destroy();
  }

  void begin(world& in) {
    advance(in, [this] { body_.resume(); });
  }
  void send(world& in, value sent) {
    if (!started_) return begin(in);
    advance(in, [this, &sent] { waits_->send(std::move(sent)); });
  }
  void raise(world& in, std::exception_ptr error) {
    advance(in, [this, &error] { waits_->raise(std::move(error)); });
  }

 private:
  explicit operation(std::coroutine_handle<promise_type> body) noexcept : body_(body) {}

  template <class Step>
  void advance(world& in, Step step) {
    started_ = true;
    trap::latest = nullptr;
    step();
    if (body_.done() || trap::latest == nullptr) return;
    trap::latest->belongs_to(waits_);
    in.say("awaits " + waits_->said().text);
  }

  std::coroutine_handle<promise_type> body_;
  trap* waits_ = nullptr;
  bool started_ = false;
};

template <class Awaitable>
auto iterate(world& in, Awaitable asked) -> operation {
  try {
    auto item = co_await std::move(asked);
    in.say(item ? "item " + (*item).text : ended(item));
  } catch (...) {
    in.say("raises " + shown(named(std::current_exception())));
  }
}

template <class Awaitable>
auto close(world& in, Awaitable asked) -> operation {
  try {
    co_await std::move(asked);
    in.say("done");
  } catch (...) {
    in.say("raises " + shown(named(std::current_exception())));
  }
}

/// One scenario, from its first line to its last.
class run {
 public:
  run() { current_ = this; }
  run(run const&) = delete;
  auto operator=(run const&) -> run& = delete;
  ~run() {
    in_.over = true;
    operations_.clear();
    kept_.clear();
    in_.generators.clear();
    agen::set_asyncgen_hooks({});
    current_ = nullptr;
  }

  auto setting() noexcept -> world& { return in_; }

  void perform(std::vector<std::string> const& op, std::ostream& out) {
    in_.answers.clear();
    out << "step\n";
    try {
      dispatch(op);
    } catch (std::out_of_range const&) {
      in_.say("broken: no such name");
    }
    for (auto const& answer : in_.answers) out << '\t' << answer << '\n';
  }

  static void unraisable(std::exception_ptr error) noexcept {
    if (current_ != nullptr) current_->in_.say("unraisable " + shown(named(error)));
  }

 private:
  void dispatch(std::vector<std::string> const& op) {
    std::string const& verb = op[1];
    std::string const& target = op[2];
    if (verb == "start") {
      operations_.erase(target);
      make(op);
      operations_.at(target)->begin(in_);
    } else if (verb == "make") {
      make(op);
    } else if (verb == "send") {
      operations_.at(target)->send(in_, {op[4]});
    } else if (verb == "throw") {
      operations_.at(target)->raise(in_, make_error(op[4], op[5]));
    } else if (verb == "new") {
      in_.generators.insert_or_assign(target, in_.make(op[3]));
    } else if (verb == "running") {
      in_.say(in_.generators.at(target).running() ? "True" : "False");
    } else if (verb == "finished") {
      in_.say(in_.generators.at(target).closed() ? "True" : "False");
    } else if (verb == "hooks") {
      hooks(op[4]);
    } else if (verb == "del") {
      if (operations_.erase(target) + kept_.erase(target) == 0) in_.generators.erase(target);
    }
  }

  void make(std::vector<std::string> const& op) {
    auto const dot = op[3].find('.');
    std::string const name = op[3].substr(0, dot);
    std::string const what = op[3].substr(dot + 1);
    auto made = kept_.contains(name) ? close(in_, kept_.at(name).aclose()) : asked(in_.generators.at(name), what, op);
    operations_.insert_or_assign(op[2], std::make_unique<operation>(std::move(made)));
  }

  auto asked(generator& gen, std::string const& what, std::vector<std::string> const& op) -> operation {
    if (what == "anext") return iterate(in_, gen.anext());
    if (what == "asend") return iterate(in_, gen.asend(value{op[4]}));
    if (what == "athrow") return iterate(in_, gen.athrow(make_error(op[4], op[5])));
    return close(in_, gen.aclose());
  }

  void hooks(std::string const& mode) {
    if (mode == "none") return agen::set_asyncgen_hooks({});
    agen::set_asyncgen_hooks({[this, mode](agen::generator_ref gen) {
                                in_.say("firstiter " + in_.names.at(gen.id()));
                                if (mode == "raise") throw python_error{"ValueError", "firstiter"};
                              },
                              [this, mode](agen::abandoned_generator gen) {
                                in_.say("finalizer " + in_.names.at(gen.id()));
                                if (mode == "keep") kept_.insert_or_assign("kept", std::move(gen));
                                if (mode == "raise") throw python_error{"ValueError", "finalizer"};
                              }});
  }

  static inline run* current_ = nullptr;

  world in_;
  std::map<std::string, agen::abandoned_generator> kept_;
  std::map<std::string, std::unique_ptr<operation>> operations_;
};

/// Reads one scenario and performs it. False at the end of the input.
auto perform_next(std::istream& in, std::ostream& out) -> bool {
  run now;
  world& setting = now.setting();
  body* reading = nullptr;
  bool begun = false;
  for (std::string line; std::getline(in, line);) {
    auto const fields = fields_of(line);
    if (line == "run") {
      out << "done" << std::endl;
      return true;
    }
    if (line == "end") {
      reading = nullptr;
    } else if (reading != nullptr) {
      reading->push_back(fields);
    } else if (fields[0] == "class") {
      setting.classes[fields[1]] = fields.size() > 2 ? fields[2] : "";
    } else if (fields[0] == "body") {
      reading = &setting.bodies[fields[1]];
    } else if (fields[0] == "op") {
      if (!std::exchange(begun, true)) setting.generators.insert_or_assign("root", setting.make("root"));
      now.perform(fields, out);
    }
  }
  return false;
}

}  // namespace
}  // namespace conformance

auto main() -> int {
  agen::set_unraisable_handler(&conformance::run::unraisable);
  while (conformance::perform_next(std::cin, std::cout)) {
  }
  return 0;
}
