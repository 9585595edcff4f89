// expects: an item has to have a type
#include <agen/async_generator.hpp>
using nothing = agen::async_generator<void>;
auto size = sizeof(nothing);
