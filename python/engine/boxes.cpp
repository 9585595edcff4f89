// Boxes without private symbols: PyAsyncGen_Type's am_send is the raw send of the generator, and answers the box
// itself.
#include "boxes.hpp"

#include "driver.hpp"

namespace engine {

namespace {

auto take_first(PyObject* object, void* found) -> int {
  auto** slot = static_cast<PyObject**>(found);
  if (*slot == nullptr) *slot = object;
  return 0;
}

/// A box made by the interpreter: the helper generator yields what it is sent.
auto box_by_generator(ModuleState& module, PyObject* item) -> Object {
  Object box;
  PySendResult const result = PyIter_Send(module.boxer.get(), item, box.out());
  if (result == PYGEN_NEXT) return box;
  if (result == PYGEN_RETURN) PyErr_SetString(PyExc_SystemError, "the generator that wraps items has ended");
  return nullptr;
}

}  // namespace

auto set_up_boxes(ModuleState& module, PyObject* native_generator) -> bool {
  module.boxer = borrow(native_generator);
  if (!box_by_generator(module, Py_None)) return false;
  auto const probe = steal(PyUnicode_FromString("what the box holds"));
  if (!probe) return false;
  auto const sample = box_by_generator(module, probe.get());
  if (!sample) return false;
  module.box_type = reinterpret_cast<PyTypeObject*>(Py_NewRef(reinterpret_cast<PyObject*>(Py_TYPE(sample.get()))));
  bool const known = module.box_type->tp_basicsize == static_cast<Py_ssize_t>(sizeof(PyObject) + sizeof(PyObject*)) &&
                     PyType_IS_GC(module.box_type) && module.box_type->tp_itemsize == 0 &&
                     *slot_of(sample.get()) == probe.get();
  module.direct_box_type = known ? module.box_type : nullptr;
  return true;
}

auto box(ModuleState& module, Object item) -> Object {
  if (module.direct_box_type == nullptr) return box_by_generator(module, item.get());
  PyObject* made = PyObject_GC_New(PyObject, module.box_type);
  if (made == nullptr) return nullptr;
  *slot_of(made) = item.release();
  PyObject_GC_Track(made);
  // A box that a generator in between took is still remembered here.
  if (this_thread.handed_up == made) this_thread.handed_up = nullptr;
  return steal(made);
}

auto unbox(ModuleState& module, PyObject* box) -> Object {
  if (module.direct_box_type != nullptr) return borrow(*slot_of(box));
  PyObject* item = nullptr;
  module.box_type->tp_traverse(box, take_first, &item);
  return borrow(item);
}

[[gnu::noinline]] auto take_by_copy(ModuleState& module, PyObject* box) -> PyObject* {
  Object item = unbox(module, box);
  Py_DECREF(box);
  return item.release();
}

}  // namespace engine
