/* Streams for the tests, as capsules. Most are the sensor's of examples/bridge/sensor with something changed. */
#include <Python.h>

#include <agen/agen_stream_check.h>

#include "sensor.h"

static PyObject* number(struct agen_stream* self, void* item) {
  unsigned const read = ((struct reading*)item)->number;
  self->drop(self, item);
  return PyLong_FromUnsignedLong(read);
}

static PyObject* fails_at_3(struct agen_stream* self, void* item) {
  PyObject* const made = number(self, item);
  if (made == NULL || PyLong_AsLong(made) != 3) return made;
  Py_DECREF(made);
  return PyErr_Format(PyExc_LookupError, "no object for this item");
}

static int start_fails(struct agen_stream* self, void (*wake)(void* context), void* context) {
  (void)self;
  (void)wake;
  (void)context;
  return AGEN_STREAM_ERROR;
}

static PyObject* key_error(struct agen_stream* self) {
  (void)self;
  return PyObject_CallFunction(PyExc_KeyError, "s", "from the producer");
}
static PyObject* raises_instead(struct agen_stream* self) {
  (void)self;
  return PyErr_Format(PyExc_ZeroDivisionError, "exception() itself");
}
static PyObject* no_exception(struct agen_stream* self) {
  (void)self;
  return PyLong_FromLong(7);
}
static PyObject* no_object(struct agen_stream* self) {
  (void)self;
  return NULL;
}
static char const* strange_text(struct agen_stream* self) {
  (void)self;
  return "not UTF-8: \xff";
}

/* A stream that is stopped, and fails to stop. */
static int (*sensor_next)(struct agen_stream* self, size_t max, void** items, size_t* count);
static int end_fails(struct agen_stream* self, size_t max, void** items, size_t* count) {
  int const answer = sensor_next(self, max, items, count);
  return answer == AGEN_STREAM_END ? AGEN_STREAM_ERROR : answer;
}

/* stream(count, microseconds=0, how=""): a capsule. */
static PyObject* stream(PyObject* module, PyObject* args) {
  unsigned count = 0, microseconds = 0;
  char const* how = "";
  (void)module;
  if (!PyArg_ParseTuple(args, "I|Is", &count, &microseconds, &how)) return NULL;
  int const broken = strncmp(how, "broken", 6) == 0;
  struct agen_stream* made = sensor_stream(count, microseconds, broken, number);
  if (made == NULL) return PyErr_NoMemory();
  if (strcmp(how, "version 2.7") == 0) {
    made->major = 2;
    made->minor = 7;
    made->start = NULL;
  } else if (strcmp(how, "version 0.9") == 0) {
    made->major = 0;
    made->minor = 9;
  } else if (strcmp(how, "version 1.9") == 0) {
    made->minor = 9;
  } else if (strcmp(how, "no drop()") == 0) {
    made->drop = NULL;
  } else if (strcmp(how, "start fails") == 0) {
    made->start = start_fails;
  } else if (strcmp(how, "item fails") == 0) {
    made->to_python = fails_at_3;
  } else if (strcmp(how, "end fails") == 0) {
    sensor_next = made->next;
    made->next = end_fails;
  } else if (strcmp(how, "broken: KeyError") == 0) {
    made->exception = key_error;
  } else if (strcmp(how, "broken: raises") == 0) {
    made->exception = raises_instead;
  } else if (strcmp(how, "broken: no exception") == 0) {
    made->exception = no_exception;
  } else if (strcmp(how, "broken: null") == 0) {
    made->exception = no_object;
  } else if (strcmp(how, "broken: text") == 0) {
    made->error = strange_text;
  } else if (strcmp(how, "storm") == 0) {
    made = agen_stream_check_storm(made, 3);
  }
  return agen_stream_capsule(made);
}

static PyObject* other_capsule(PyObject* module, PyObject* none) {
  static int anything;
  (void)module;
  (void)none;
  return PyCapsule_New(&anything, "arrow_array_stream", NULL);
}

static PyObject* name_of(PyObject* module, PyObject* capsule) {
  (void)module;
  return PyUnicode_FromString(PyCapsule_GetName(capsule));
}

static PyObject* count_alive(PyObject* module, PyObject* none) {
  (void)module;
  (void)none;
  return PyLong_FromLong(sensor_alive());
}

static PyMethodDef functions[] = {
    {"stream", stream, METH_VARARGS, NULL},
    {"other_capsule", other_capsule, METH_NOARGS, NULL},
    {"name_of", name_of, METH_O, NULL},
    {"alive", count_alive, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static PyModuleDef_Slot slots[] = {
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};
static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "odd", NULL, 0, functions, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_odd(void) { return PyModuleDef_Init(&definition); }
