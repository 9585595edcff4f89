// See hooks.hpp. How a thread's hooks are read without a call of Python is in compat.hpp.
#include "hooks.hpp"

#include "chain.hpp"

namespace engine {

auto prepare_hooks(Generator& generator) -> bool {
  if (!generator.state.begin_hooks() || !compat::has_asyncgen_hooks()) return true;
  auto hooks = compat::asyncgen_hooks();
  if (!generator.extra.fill(hooks.finalizer)) {  // another thread drives it already, and it waits at something
    ChainLock::Stopped const lock(state_of(object_of(generator)).chains);
    finalizer_of(generator) = std::move(hooks.finalizer);
  }
  return !hooks.firstiter || steal(PyObject_CallOneArg(hooks.firstiter.get(), object_of(generator)));
}

auto take_finalizer(Generator& generator) -> Object {
  ChainLock::Stopped const lock(state_of(object_of(generator)).chains);  // __del__() may be called while it is driven
  return std::move(finalizer_of(generator));
}

}  // namespace engine
