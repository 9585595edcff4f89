// See item_array.hpp.
#include "item_array.hpp"

#include <cstring>

namespace engine {

namespace {

struct ItemArray {
  PyObject_VAR_HEAD Py_ssize_t count;
  Py_ssize_t item_size;
  char const* format;
  alignas(std::max_align_t) std::byte items[1];
};

auto get_buffer(PyObject* self, Py_buffer* view, int flags) -> int {
  auto& array = as<ItemArray>(self);
  *view = {};
  view->obj = Py_NewRef(self);
  view->buf = array.items;
  view->len = array.count * array.item_size;
  view->itemsize = array.item_size;
  view->ndim = 1;
  if ((flags & PyBUF_FORMAT) != 0) view->format = const_cast<char*>(array.format);
  if ((flags & PyBUF_ND) != 0) view->shape = &array.count;
  if ((flags & PyBUF_STRIDES) == PyBUF_STRIDES) view->strides = &array.item_size;
  return 0;
}

void item_array_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}

PyType_Slot item_array_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(item_array_dealloc)},
    {Py_bf_getbuffer, reinterpret_cast<void*>(get_buffer)},
    {0, nullptr},
};

}  // namespace

PyType_Spec item_array_spec = {
    "async_generator._engine.item_array",
    offsetof(ItemArray, items),
    1,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    item_array_slots,
};

auto new_item_array(ModuleState& module, void const* items, Py_ssize_t count, Py_ssize_t item_size, char const* format)
    -> PyObject* {
  Py_ssize_t const size = count * item_size;
  auto* const array = PyObject_NewVar(ItemArray, module.item_array_type, size);
  if (array == nullptr) return nullptr;
  array->count = count;
  array->item_size = item_size;
  array->format = format;
  std::memcpy(array->items, items, static_cast<std::size_t>(size));
  auto const owner = steal(reinterpret_cast<PyObject*>(array));
  return PyMemoryView_FromObject(owner.get());
}

}  // namespace engine
