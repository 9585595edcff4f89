// See context_part.hpp.
#include "context_part.hpp"

namespace engine {

namespace {

/// Where a context keeps its variables: an immutable mapping, so two contexts with the same one have the same
/// variables. Only compared. Null where it is not known, and for no context.
auto variables_of(ModuleState const& module, PyObject* context) noexcept -> void const* {
  if (context == nullptr || module.context_vars == 0) return nullptr;
  return *reinterpret_cast<void* const*>(reinterpret_cast<char const*>(context) + module.context_vars);
}

/// True when two contexts are known to have the same variables.
auto same_variables(ModuleState const& module, PyObject* one, PyObject* other) noexcept -> bool {
  void const* variables = variables_of(module, one);
  return variables != nullptr && variables == variables_of(module, other);
}

/// Calls a method of a Layer where no tracer sees it.
auto ask(PyObject* layer, char const* method, PyObject* argument) -> Object {
  compat::Untraced const untraced;
  return steal(argument != nullptr ? PyObject_CallMethod(layer, method, "O", argument)
                                   : PyObject_CallMethod(layer, method, nullptr));
}

}  // namespace

auto ContextPart::begin(ModuleState& module) -> bool {
  context_ = steal(layered_ ? PyContext_New() : PyContext_CopyCurrent());
  if (!context_) return false;
  if (!layered_) return true;
  compat::Untraced const untraced;
  layer_ = steal(PyObject_CallOneArg(module.layer.get(), context_.get()));
  if (!layer_) context_.reset();
  return static_cast<bool>(layer_);
}

auto ContextPart::follow_caller(ModuleState& module) -> bool {
  if (same_variables(module, compat::current_context(), caller_.get())) return true;
  auto now = steal(PyContext_CopyCurrent());
  if (!now || !ask(layer_.get(), "follow", now.get())) return false;
  caller_ = std::move(now);
  left_ = steal(PyContext_Copy(context_.get()));
  return static_cast<bool>(left_);
}

auto ContextPart::enter_elsewhere(ModuleState& module) -> bool {
  if (!context_ && !begin(module)) return false;
  if (layered_ && !follow_caller(module)) return false;
  return PyContext_Enter(context_.get()) == 0;
}

/// The rest of leave(): the body may have left another context entered, or has set variables.
void ContextPart::left(ModuleState& module) noexcept {
  if (PyErr_Occurred() != nullptr) compat::write_unraisable(context_.get());
  if (!layered_ || same_variables(module, context_.get(), left_.get())) return;
  auto const released = ask(layer_.get(), "left", nullptr);
  if (!released) compat::write_unraisable(layer_.get());
  if (released.get() != Py_False) caller_.reset();  // a variable that was reset follows the caller again
  left_ = steal(PyContext_Copy(context_.get()));
  if (!left_) PyErr_Clear();  // no memory: the layer is asked again
}

auto ContextPart::traverse(visitproc visit, void* arg) const -> int {
  Py_VISIT(context_.get());
  Py_VISIT(layer_.get());
  Py_VISIT(caller_.get());
  Py_VISIT(left_.get());
  return 0;
}

namespace {

auto word(PyObject* object, std::size_t offset) noexcept -> void const* {
  return *reinterpret_cast<void* const*>(reinterpret_cast<char const*>(object) + offset);
}

/// What a context refers to.
struct Referents {
  void const* last = nullptr;
  int count = 0;

  static auto add(PyObject* object, void* referents) -> int {
    auto& found = *static_cast<Referents*>(referents);
    found.last = object;
    ++found.count;
    return 0;
  }
};

/// The one object that a context refers to while nobody is in it, its mapping; null when that is not so.
auto mapping_of(PyObject* context) -> void const* {
  Referents referents;
  if (PyContext_Type.tp_traverse(context, Referents::add, &referents) != 0) return nullptr;
  return referents.count == 1 ? referents.last : nullptr;
}

/// Sets `variable` in a context that nobody is in.
auto set_in(PyObject* context, PyObject* variable, PyObject* value) -> bool {
  if (PyContext_Enter(context) != 0) return false;
  auto const token = steal(PyContextVar_Set(variable, value));
  return PyContext_Exit(context) == 0 && token;
}

}  // namespace

auto set_up_contexts(ModuleState& module) -> bool {
  auto const variable = steal(PyContextVar_New("async_generator", nullptr));
  auto const one = steal(PyContext_New());
  if (!variable || !one || !set_in(one.get(), variable.get(), Py_None)) return false;
  auto const other = steal(PyContext_Copy(one.get()));
  if (!other) return false;
  void const* const mapping = mapping_of(one.get());
  bool const shared = mapping != nullptr && mapping == mapping_of(other.get());
  if (!set_in(other.get(), variable.get(), Py_True)) return false;
  // Shared by a copy until a variable is set in it. What lies behind the mapping is not read: there is padding.
  if (!shared || mapping_of(one.get()) != mapping || mapping_of(other.get()) == mapping) return true;
  auto const size = static_cast<std::size_t>(PyContext_Type.tp_basicsize);
  for (std::size_t offset = sizeof(PyObject); offset + sizeof(void*) <= size; offset += sizeof(void*)) {
    if (word(one.get(), offset) != mapping) continue;
    if (word(other.get(), offset) == mapping_of(other.get())) module.context_vars = offset;
    break;
  }
  return true;
}

}  // namespace engine
