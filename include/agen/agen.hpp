// Everything but the headers for partners (asio.hpp, python.hpp), and those that need threads or clocks (channel.hpp,
// fairness.hpp, future.hpp, streams.hpp, std_stop.hpp).
#ifndef AGEN_AGEN_HPP
#define AGEN_AGEN_HPP

#include "adaptors.hpp"
#include "async_generator.hpp"
#include "closing.hpp"
#include "context_manager.hpp"
#include "delegation.hpp"
#include "destroyed_on_close.hpp"
#include "driver.hpp"
#include "errors.hpp"
#include "event.hpp"
#include "hooks.hpp"
#include "item.hpp"
#include "lifecycle.hpp"
#include "loops.hpp"
#include "stop.hpp"
#include "sync_wait.hpp"
#include "task.hpp"
#include "traits.hpp"
#include "unraisable.hpp"
#include "version.hpp"
#include "when.hpp"

#endif  // AGEN_AGEN_HPP
