// A body as instructions (lowering.py makes them), and the machine that executes those that do not suspend. What
// suspends is left to the coroutine that runs the machine: interpreter.hpp.
#ifndef AGEN_CONFORMANCE_BODY_HPP
#define AGEN_CONFORMANCE_BODY_HPP

#include <exception>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "value.hpp"

namespace conformance {

/// A name and its fields.
using instruction = std::vector<std::string>;
using body = std::vector<instruction>;

/// Executes one body. Blocks of `try` stand on a stack, as in the interpreters that Python once had: an exception or a
/// return pops them until one takes it.
class machine {
 public:
  machine(body const& code, class_tree const& classes, std::function<void(std::string)> log)
      : code_(code), classes_(classes), log_(std::move(log)) {}
  machine(machine const&) = delete;
  auto operator=(machine const&) -> machine& = delete;
  /// A body that is destroyed where it stands: what its `finally` blocks tell is what destructors of locals would do.
  /// They cannot await, yield or raise, so a block ends at the first instruction of that kind.
  ~machine() {
    while (!blocks_.empty()) {
      block const at = blocks_.back();
      blocks_.pop_back();
      if (!at.is_finally) continue;
      for (std::size_t pc = at.target; code_[pc][0] == "log"; ++pc) tell(code_[pc]);
    }
  }

  /// The next instruction that suspends, or null when the body has returned. Throws what leaves the body.
  auto next() -> instruction const* {
    while (pc_ < code_.size()) {
      instruction const& at = code_[pc_++];
      std::string const& name = at[0];
      if (name == "yield" || name == "await" || name == "delegate") return &at;
      if (name == "return") {
        give_back(operand(at[1]));
      } else if (name == "raise") {
        unwind(make_error(at[1], at[2]));
      } else if (name == "reraise") {
        unwind(handled_.empty() ? make_error("RuntimeError", "No active exception to reraise") : handled_.back());
      } else {
        execute(at);
      }
    }
    return nullptr;
  }

  [[nodiscard]] auto operand(std::string const& field) const -> value {
    if (field.starts_with("v:")) return variables_.at(field.substr(2));
    return {field.substr(2)};
  }
  void store(std::string const& name, value given) {
    if (name != "-") variables_[name] = std::move(given);
  }
  auto result() noexcept -> value& { return result_; }

  /// Goes on where an exception is caught; throws it when nowhere.
  void unwind(std::exception_ptr error) {
    while (!blocks_.empty()) {
      block const at = leave_block();
      handled_.push_back(error);
      if (at.is_finally) pending_.push_back({pending::raises, {}});
      pc_ = at.target;
      return;
    }
    std::rethrow_exception(std::move(error));
  }

 private:
  struct block {
    bool is_finally;
    std::size_t target;
    std::size_t handled;
    std::size_t pending;
    std::size_t loops;
  };
  /// How a `finally` goes on after its end.
  struct pending {
    enum { falls, raises, returns } how;
    value given;
  };

  auto leave_block() -> block {
    block const at = blocks_.back();
    blocks_.pop_back();
    handled_.resize(at.handled);
    pending_.resize(at.pending);
    loops_.resize(at.loops);
    return at;
  }

  void give_back(value given) {
    while (!blocks_.empty()) {
      block const at = leave_block();
      if (!at.is_finally) continue;
      pending_.push_back({pending::returns, std::move(given)});
      pc_ = at.target;
      return;
    }
    result_ = std::move(given);
    pc_ = code_.size();
  }

  void execute(instruction const& at) {
    std::string const& name = at[0];
    if (name == "log") {
      tell(at);
    } else if (name == "set") {
      // A constant that a body assigns: `s:text` is a str, whose repr has quotes.
      variables_[at[2]] = at[1].starts_with("s:") ? value{"'" + at[1].substr(2) + "'"} : operand(at[1]);
    } else if (name == "except" || name == "finally") {
      blocks_.push_back({name == "finally", label(at[1]), handled_.size(), pending_.size(), loops_.size()});
    } else if (name == "pop") {
      blocks_.pop_back();
    } else if (name == "jump") {
      pc_ = label(at[1]);
    } else if (name == "match") {
      if (!matches(at)) pc_ = label(at[1]);
    } else if (name == "bind") {
      variables_[at[1]] = {shown(named(handled_.back()))};
    } else if (name == "leave") {
      handled_.pop_back();
    } else if (name == "enterfinally") {
      pending_.push_back({pending::falls, {}});
    } else if (name == "endfinally") {
      end_finally();
    } else if (name == "loop") {
      loops_.push_back(std::stoul(at[1]));
    } else if (name == "next") {
      if (loops_.back()-- == 0) {
        loops_.pop_back();
        pc_ = label(at[1]);
      }
    } else if (name == "unless") {
      if (!operand(at[2]).is_true()) pc_ = label(at[1]);
    } else {
      throw std::runtime_error("no instruction: " + name);
    }
  }

  void end_finally() {
    pending const at = std::move(pending_.back());
    pending_.pop_back();
    if (at.how == pending::returns) {
      give_back(at.given);
    } else if (at.how == pending::raises) {
      auto const error = handled_.back();
      handled_.pop_back();
      unwind(error);
    }
  }

  [[nodiscard]] auto matches(instruction const& at) const -> bool {
    std::string const kind = named(handled_.back()).kind;
    for (std::size_t n = 2; n < at.size(); ++n) {
      if (derives(classes_, kind, at[n])) return true;
    }
    return false;
  }

  void tell(instruction const& at) const {
    std::string line = "log";
    for (std::size_t n = 1; n < at.size(); ++n) {
      std::string const text = at[n].substr(2);
      line += ' ';
      line += at[n].starts_with("w:") ? worded(variables_.at(text).text) : text;
    }
    log_(line);
  }

  /// A str that is logged comes without its quotes.
  static auto worded(std::string const& text) -> std::string {
    bool const quoted = text.size() > 1 && text.front() == '\'' && text.back() == '\'';
    return quoted ? text.substr(1, text.size() - 2) : text;
  }
  static auto label(std::string const& field) -> std::size_t { return std::stoul(field); }

  body const& code_;
  class_tree const& classes_;
  std::function<void(std::string)> log_;
  std::size_t pc_ = 0;
  std::vector<block> blocks_;
  std::vector<std::exception_ptr> handled_;
  std::vector<pending> pending_;
  std::vector<std::size_t> loops_;
  std::map<std::string, value> variables_;
  value result_;
};

}  // namespace conformance

#endif  // AGEN_CONFORMANCE_BODY_HPP
