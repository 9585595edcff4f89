// What comes out of a body when it is resumed.
#ifndef ASYNC_GENERATOR_ENGINE_OUTCOME_HPP
#define ASYNC_GENERATOR_ENGINE_OUTCOME_HPP

#include <cstdint>

namespace engine {

/// agen::step, and what only the engine knows. `refused`: an exception for the consumer from a C++ body that was not
/// resumed. `delegates`, and `sends_next` for a body that has yet to answer, never leave the driver.
enum class Outcome : std::uint8_t { awaits, yielded, returned, raised, refused, delegates, sends_next };

}  // namespace engine

#endif
