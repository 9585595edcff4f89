// See guard.hpp.
#include "guard.hpp"

#include "errors.hpp"

namespace engine {

void set_guard(ModuleState& module, bool on) noexcept {
  module.traits_given.store(on ? ~0U : ~trait::guarded, std::memory_order_relaxed);
}

AGEN_NOINLINE auto guard_refuses(ModuleState& module, Generator& generator) -> bool {
  if (!module.look) return false;  // the module is being taken apart
  Object answer;
  {
    compat::Untraced const untraced;  // who steps through a body does not want to step through this
    answer = steal(PyObject_CallOneArg(module.look.get(), object_of(generator)));
  }
  if (!answer) return true;
  if (answer.get() == Py_None) return false;
  raise_here(std::move(answer));
  return true;
}

}  // namespace engine
