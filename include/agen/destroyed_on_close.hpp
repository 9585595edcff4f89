// Generators that are closed without an exception, for bodies whose destructors do all the cleanup.
#ifndef AGEN_DESTROYED_ON_CLOSE_HPP
#define AGEN_DESTROYED_ON_CLOSE_HPP

#include "async_generator.hpp"
#include "detail/destroyed_promise.hpp"

namespace agen {

/// A parameter that says of a body: its destructors are all its cleanup. Then aclose() throws no generator_exit at the
/// co_yield, but destroys the body, as dropping the generator would: its locals, the last one first, and its
/// parameters. That costs a tenth or less, and loops that end early, as for_each and take, close their source so.
///
///     auto lines(file f, agen::destroyed_on_close = {}) -> agen::async_generator<std::string> { ... }
///
/// A body that catches generator_exit, or everything, around a co_yield, or asks std::uncaught_exceptions() in a
/// destructor, should not say so: the one does not run, the other sees nothing. What is thrown in by athrow() is thrown
/// as ever; so is the exit into a body that delegates and is reached after one that is closed by an exception. Where
/// the parameter stands, and whether the caller passes it, does not matter. It cannot be combined with an allocator.
struct destroyed_on_close {};

}  // namespace agen

#endif  // AGEN_DESTROYED_ON_CLOSE_HPP
