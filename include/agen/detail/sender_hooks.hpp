// How operations and tasks become senders once agen/execution.hpp is included, without a word about senders here.
#ifndef AGEN_DETAIL_SENDER_HOOKS_HPP
#define AGEN_DETAIL_SENDER_HOOKS_HPP

#include "compiler.hpp"

namespace agen::detail {

/// The two members by which the sender model asks an awaitable for more than co_await. They exist if execution.hpp is
/// included, which defines the functions that they call.
///
/// \tparam Operation  the awaitable, which derives from this
template <class Operation>
class sender_hooks {
 public:
  /// \internal
  template <class Receiver>
    requires requires(Operation& self, Receiver& receiver) {
      connect_operation(static_cast<Operation&&>(self), static_cast<Receiver&&>(receiver));
    }
  auto connect(Receiver receiver) && {
    return connect_operation(static_cast<Operation&&>(*this), static_cast<Receiver&&>(receiver));
  }
  /// \internal
  template <class Promise>
    requires requires(Operation& self, Promise& promise) { await_operation(static_cast<Operation&&>(self), promise); }
  auto as_awaitable(Promise& promise) && {
    return await_operation(static_cast<Operation&&>(*this), promise);
  }

 private:
  friend Operation;
  sender_hooks() noexcept = default;
};

}  // namespace agen::detail

#endif  // AGEN_DETAIL_SENDER_HOOKS_HPP
