// std::stop_token as the token of with_stop() (stop.hpp). A header of its own, because <stop_token> is heavy.
#ifndef AGEN_STD_STOP_HPP
#define AGEN_STD_STOP_HPP

#include "detail/compiler.hpp"  // first: see there

#include <version>
#ifdef __cpp_lib_jthread
#include <stop_token>
#endif

#include "stop.hpp"

#ifdef __cpp_lib_jthread
/// How with_stop() registers with a std::stop_token.
template <class Function>
struct agen::stop_callback_for<std::stop_token, Function> {
  using type = std::stop_callback<Function>;
};
#endif

#endif  // AGEN_STD_STOP_HPP
