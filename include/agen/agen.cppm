// The library as a C++20 module: `import agen;`. Names what agen/agen.hpp declares; macros (AGEN_FOR_CO_AWAIT) need the
// header. Include other headers of the library, as agen/asio.hpp, before the import or in place of it.
module;

#include "agen.hpp"

export module agen;

export namespace agen {
using agen::async_generator;
using agen::attempt;
using agen::item;
using agen::task;
using agen::yield_from;

using agen::async_generator_like;
using agen::async_iterable;
using agen::async_reference_t;
using agen::await_adapter;
using agen::is_async_generator_function_v;
using agen::is_async_generator_v;

using agen::admission;
using agen::admit;
using agen::after_exit;
using agen::close_outcome;
using agen::driver;
using agen::operation;
using agen::state;
using agen::step;

using agen::already_running;
using agen::context_manager_error;
using agen::delegate_destroyed;
using agen::error;
using agen::generator_error;
using agen::generator_exit;
using agen::ignored_generator_exit;
using agen::just_started;
using agen::no_return_value;
using agen::nothing_sent;
using agen::nothing_thrown;
using agen::send_unsupported;
using agen::set_unraisable_handler;
using agen::unraisable_handler;

using agen::abandoned_generator;
using agen::asyncgen_hooks;
using agen::generator_ref;
using agen::get_asyncgen_hooks;
using agen::set_asyncgen_hooks;

using agen::aclosing;
using agen::async_context_manager;
using agen::async_iterator;
using agen::async_sentinel;
using agen::async_with;
using agen::begin;
using agen::destroyed_on_close;
using agen::end;
using agen::for_each;
using agen::sync_wait;
using agen::with_result;

using agen::chain;
using agen::chunk;
using agen::enumerate;
using agen::filter;
using agen::stage;
using agen::take;
using agen::take_while;
using agen::transform;
using agen::zip;
using agen::operator|;
}  // namespace agen
