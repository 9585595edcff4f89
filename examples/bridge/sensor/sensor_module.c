/* The Python module of the library in sensor.h: a class whose objects are streams. */
#include <Python.h>

#include "sensor.h"

// [python]
/* Called with the GIL; takes the reading over. */
static PyObject* to_python(struct agen_stream* self, void* item) {
  struct reading const* const read = item;
  PyObject* const made = Py_BuildValue("(Id)", read->number, read->value);
  self->drop(self, item);
  return made;
}

struct sensor_object {
  PyObject_HEAD unsigned count, microseconds;
  int broken;
};

static PyObject* as_stream(PyObject* self, PyObject* none) {
  struct sensor_object const* const of = (struct sensor_object*)self;
  struct agen_stream* const made =
      sensor_stream(of->count, of->microseconds, of->broken, to_python);
  (void)none;
  return made != NULL ? agen_stream_capsule(made) : PyErr_NoMemory();
}
// [/python]

static PyObject* make(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  static char* names[] = {"count", "microseconds", "broken", NULL};
  unsigned count = 0, microseconds = 0;
  int broken = 0;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "I|Ip", names, &count, &microseconds,
                                   &broken))
    return NULL;
  struct sensor_object* const made = (struct sensor_object*)type->tp_alloc(type, 0);
  if (made == NULL) return NULL;
  made->count = count;
  made->microseconds = microseconds;
  made->broken = broken;
  return (PyObject*)made;
}

static PyMethodDef methods[] = {
    {"__agen_stream__", as_stream, METH_NOARGS,
     "A new stream of readings, in a capsule."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot slots[] = {
    {Py_tp_new, make},
    {Py_tp_methods, methods},
    {0, NULL},
};
static PyType_Spec sensor_type = {"sensor.Sensor", sizeof(struct sensor_object), 0,
                                  Py_TPFLAGS_DEFAULT, slots};

static PyObject* count_alive(PyObject* module, PyObject* none) {
  (void)module;
  (void)none;
  return PyLong_FromLong(sensor_alive());
}

static int prepare(PyObject* module) {
  PyObject* const type = PyType_FromSpec(&sensor_type);
  int const failed = type == NULL || PyModule_AddObjectRef(module, "Sensor", type) < 0;
  Py_XDECREF(type);
  return failed ? -1 : 0;
}

static PyMethodDef functions[] = {
    {"alive", count_alive, METH_NOARGS, "How many sensors and readings are alive."},
    {NULL, NULL, 0, NULL},
};
static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, (void*)prepare},
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "sensor", NULL, 0,   functions,
                             module_slots,          NULL,     NULL, NULL};

PyMODINIT_FUNC PyInit_sensor(void) { return PyModuleDef_Init(&module); }
