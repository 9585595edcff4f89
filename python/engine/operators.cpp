// yield_ and yield_from_ themselves: callables with the attributes of a Python function.
#include "operators.hpp"

#include "yield.hpp"
#include "yield_from.hpp"

namespace engine {

namespace {

/// The one argument of an operator, by position or by `name`; `fallback` when it is left out. Null with TypeError set.
auto only_argument(char const* function, char const* name, PyObject* fallback, PyObject* const* arguments, size_t count,
                   PyObject* keywords) -> PyObject* {
  Py_ssize_t const positional = PyVectorcall_NARGS(count);
  Py_ssize_t const named = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
  if (named > 0 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(keywords, 0), name) != 0) {
    PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", function,
                 PyTuple_GET_ITEM(keywords, 0));
    return nullptr;
  }
  if (positional + named == 1) return arguments[0];
  if (positional + named == 0 && fallback != nullptr) return fallback;
  if (positional + named == 0) {
    PyErr_Format(PyExc_TypeError, "%s() missing 1 required positional argument: '%s'", function, name);
  } else if (named > 0) {
    PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%s'", function, name);
  } else {
    PyErr_Format(PyExc_TypeError, "%s() takes %s but %zd were given", function,
                 fallback != nullptr ? "from 0 to 1 positional arguments" : "1 positional argument", positional);
  }
  return nullptr;
}

}  // namespace

auto yield_entry(PyObject* self, PyObject* const* arguments, size_t count, PyObject* keywords) -> PyObject* {
  ModuleState& module = *as<Operator>(self).module;
  PyObject* value = PyVectorcall_NARGS(count) == 1 && keywords == nullptr
                        ? arguments[0]
                        : only_argument("yield_", "value", Py_None, arguments, count, keywords);
  if (value == nullptr) return nullptr;
  return new_yield(module, value);
}

auto yield_from_entry(PyObject* self, PyObject* const* arguments, size_t count, PyObject* keywords) -> PyObject* {
  PyObject* source = only_argument("yield_from_", "delegate", nullptr, arguments, count, keywords);
  return source == nullptr ? nullptr : new_delegation(*as<Operator>(self).module, borrow(source));
}

namespace {

auto operator_repr(PyObject* self) -> PyObject* {
  auto const name = steal(PyObject_GetAttrString(self, "__qualname__"));
  return name ? PyUnicode_FromFormat("<function %U at %p>", name.get(), self) : nullptr;
}

/// Pickled and copied by name, as functions are.
auto operator_reduce(PyObject* self, PyObject*) -> PyObject* { return PyObject_GetAttrString(self, "__qualname__"); }

auto operator_traverse(PyObject* self, visitproc visit, void* arg) -> int {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(as<Operator>(self).dict);
  return 0;
}

auto operator_clear(PyObject* self) -> int {
  Py_CLEAR(as<Operator>(self).dict);
  return 0;
}

void operator_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  operator_clear(self);
  PyObject_GC_Del(self);
  Py_DECREF(type);
}

PyMethodDef operator_methods[] = {
    {"__reduce__", operator_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyMemberDef operator_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Operator, vectorcall), READONLY, nullptr},
    {"__dictoffset__", T_PYSSIZET, offsetof(Operator, dict), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyGetSetDef operator_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot operator_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(operator_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(operator_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(operator_clear)},
    {Py_tp_repr, reinterpret_cast<void*>(operator_repr)},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_methods, operator_methods},
    {Py_tp_members, operator_members},
    {Py_tp_getset, operator_getset},
    {0, nullptr},
};

}  // namespace

PyType_Spec operator_spec = {
    "async_generator._engine.operator",
    sizeof(Operator),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION |
        Py_TPFLAGS_IMMUTABLETYPE,
    operator_slots,
};

auto new_operator(ModuleState& module, vectorcallfunc entry) -> Object {
  auto* made = allocate<Operator>(module.operator_type);
  if (made == nullptr) return nullptr;
  made->vectorcall = entry;
  made->module = &module;
  made->dict = nullptr;
  PyObject_GC_Track(made);
  compat::share_between_threads(object_of(*made));
  return steal(object_of(*made));
}

}  // namespace engine
