// Wrapped items without private symbols: PyAsyncGen_Type's am_send is the raw send of the generator, and answers the
// wrapped item itself.
#include "wrapped_item.hpp"

namespace engine {

namespace {

auto take_first(PyObject* object, void* found) -> int {
  auto** slot = static_cast<PyObject**>(found);
  if (*slot == nullptr) *slot = object;
  return 0;
}

/// Made by the interpreter: the helper generator yields what it is sent.
auto wrap_by_generator(ModuleState& module, PyObject* item) -> Object {
  Object wrapped;
  PySendResult const result = PyIter_Send(module.wrapping_generator.get(), item, wrapped.out());
  if (result == PYGEN_NEXT) return wrapped;
  if (result == PYGEN_RETURN) PyErr_SetString(PyExc_SystemError, "the generator that wraps items has ended");
  return nullptr;
}

}  // namespace

auto set_up_wrapped_items(ModuleState& module, PyObject* native_generator) -> bool {
  module.wrapping_generator = borrow(native_generator);
  if (!wrap_by_generator(module, Py_None)) return false;
  auto const probe = steal(PyUnicode_FromString("an item"));
  if (!probe) return false;
  auto const sample = wrap_by_generator(module, probe.get());
  if (!sample) return false;
  module.wrapped_item_type =
      reinterpret_cast<PyTypeObject*>(Py_NewRef(reinterpret_cast<PyObject*>(Py_TYPE(sample.get()))));
  bool const known =
      module.wrapped_item_type->tp_basicsize == static_cast<Py_ssize_t>(sizeof(PyObject) + sizeof(PyObject*)) &&
      PyType_IS_GC(module.wrapped_item_type) && module.wrapped_item_type->tp_itemsize == 0 &&
      *slot_of(sample.get()) == probe.get();
  module.known_wrapped_type = known ? module.wrapped_item_type : nullptr;
  return true;
}

auto wrap(ModuleState& module, Object item) -> Object {
  if (module.known_wrapped_type == nullptr) return wrap_by_generator(module, item.get());
  PyObject* made = PyObject_GC_New(PyObject, module.wrapped_item_type);
  if (made == nullptr) return nullptr;
  *slot_of(made) = item.release();
  PyObject_GC_Track(made);
  HandedUp::forget_address(made);
  return steal(made);
}

auto unwrap(ModuleState& module, PyObject* wrapped) -> Object {
  if (module.known_wrapped_type != nullptr) return borrow(*slot_of(wrapped));
  PyObject* item = nullptr;
  module.wrapped_item_type->tp_traverse(wrapped, take_first, &item);
  return borrow(item);
}

AGEN_OUT_OF_LINE auto take_by_copy(ModuleState& module, PyObject* wrapped) -> PyObject* {
  Object item = unwrap(module, wrapped);
  Py_DECREF(wrapped);
  return item.release();
}

// Who has handed one up
// ------------------------------------------------------------------------------------------------

/// Counted from 1. Threads' addresses differ in their middle.
auto HandedUp::number_of_thread() noexcept -> std::uint8_t {
  auto const mixed = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(&this_thread)) * 0x9E3779B97F4A7C15U;
  static_assert(std::tuple_size_v<decltype(ModuleState::handed_up)> == 16);
  return static_cast<std::uint8_t>((mixed >> 60U) + 1);
}

void HandedUp::announce(Yield& yield, PyObject* item) noexcept {
  yield.announced = number_of_thread();
  HandedUp& place = yield.module->handed_up[yield.announced - 1U];
  auto kept = Ref<Yield>::borrow(&yield);  // takes what is pushed out with it, when the lock is open again
  compat::Lock const lock(place.mutex_);
  place.thread_ = &this_thread;
  place.item_ = this_thread.handed_up = item;
  std::swap(place.yield_, kept);
}

auto HandedUp::take(ModuleState& module, PyObject const* item) noexcept -> Ref<Yield> {
  HandedUp& place = module.handed_up[number_of_thread() - 1U];
  compat::Lock const lock(place.mutex_);
  this_thread.handed_up = nullptr;
  if (place.thread_ != &this_thread || place.item_ != item || !place.yield_) return nullptr;
  place.yield_->announced = 0;
  return std::move(place.yield_);
}

void HandedUp::forget(Yield& yield) noexcept {
  if (yield.announced == 0) return;
  HandedUp& place = yield.module->handed_up[std::exchange(yield.announced, 0) - 1U];
  Ref<Yield> dropped;  // outlives the lock
  compat::Lock const lock(place.mutex_);
  if (place.yield_.get() == &yield) dropped = std::move(place.yield_);
}

}  // namespace engine
