/* The Python module `agen_arrow`: batches(source) is an object for
 * async_generator.stream(). `source` has __arrow_c_stream__(), as the results of
 * DuckDB, Polars and pyarrow have; each item has __arrow_c_array__(), which these take.
 */
#include <Python.h>

#include "arrow.h"

struct batch_object {
  PyObject_HEAD struct batch* batch; /* null once it was handed over */
};
struct batches_object {
  PyObject_HEAD PyObject* source;
};

static PyTypeObject* batch_type; /* made once in a process */

static void free_object(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

// [items]
static PyObject* to_python(struct agen_stream* self, void* item) {
  struct batch_object* const made =
      (struct batch_object*)batch_type->tp_alloc(batch_type, 0);
  if (made != NULL) {
    made->batch = item;
  } else {
    self->drop(self, item);
  }
  return (PyObject*)made;
}
// [/items]

static void free_batch_object(PyObject* self) {
  struct batch* const batch = ((struct batch_object*)self)->batch;
  if (batch != NULL) free_batch(batch);
  free_object(self);
}

static void release_schema(PyObject* capsule) {
  struct ArrowSchema* const schema = PyCapsule_GetPointer(capsule, "arrow_schema");
  if (schema->release != NULL) schema->release(schema);
  PyMem_Free(schema);
}
static void release_array(PyObject* capsule) {
  struct ArrowArray* const array = PyCapsule_GetPointer(capsule, "arrow_array");
  if (array->release != NULL) array->release(array);
  PyMem_Free(array);
}

/* A capsule with a copy of a struct of Arrow, which it owns from now on: `*release` is
 * null afterwards. */
static PyObject* capsule_of(void* from, size_t size, char const* name,
                            PyCapsule_Destructor destroy) {
  void* const copy = PyMem_Malloc(size);
  PyObject* made;
  if (copy == NULL) return PyErr_NoMemory();
  memcpy(copy, from, size);
  made = PyCapsule_New(copy, name, destroy);
  if (made == NULL) {
    PyMem_Free(copy);
  } else {
    memset(from, 0, size);
  }
  return made;
}

static PyObject* as_array(PyObject* self, PyObject* args, PyObject* keywords) {
  struct batch* const batch = ((struct batch_object*)self)->batch;
  PyObject *schema, *array;
  (void)args; /* requested_schema: what is not converted may be ignored */
  (void)keywords;
  if (batch == NULL)
    return PyErr_Format(PyExc_ValueError, "this batch was handed over already");
  ((struct batch_object*)self)->batch = NULL;
  schema =
      capsule_of(&batch->schema, sizeof batch->schema, "arrow_schema", release_schema);
  array = schema == NULL ? NULL
                         : capsule_of(&batch->array, sizeof batch->array, "arrow_array",
                                      release_array);
  free_batch(batch);
  if (array == NULL) {
    Py_XDECREF(schema);
    return NULL;
  }
  return Py_BuildValue("(NN)", schema, array);
}

// [stream]
static PyObject* as_stream(PyObject* self, PyObject* none) {
  PyObject* const given = PyObject_CallMethod(((struct batches_object*)self)->source,
                                              "__arrow_c_stream__", NULL);
  struct ArrowArrayStream* source;
  struct agen_stream* made = NULL;
  (void)none;
  if (given == NULL) return NULL;
  source = PyCapsule_GetPointer(given, "arrow_array_stream");
  if (source != NULL && source->release == NULL) {
    PyErr_SetString(PyExc_ValueError, "the Arrow stream was taken already");
  } else if (source != NULL) {
    made = arrow_stream(source, to_python);
    if (made == NULL) PyErr_NoMemory();
  }
  Py_DECREF(given);
  return made != NULL ? agen_stream_capsule(made) : NULL;
}
// [/stream]

static void free_batches(PyObject* self) {
  Py_DECREF(((struct batches_object*)self)->source);
  free_object(self);
}

static PyMethodDef batch_methods[] = {
    {"__arrow_c_array__", (PyCFunction)(void (*)(void))as_array,
     METH_VARARGS | METH_KEYWORDS, "Hands the record batch over, once."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot batch_slots[] = {
    {Py_tp_dealloc, free_batch_object},
    {Py_tp_methods, batch_methods},
    {0, NULL},
};
static PyType_Spec batch_spec = {"agen_arrow.Batch", sizeof(struct batch_object), 0,
                                 Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                 batch_slots};

static PyMethodDef batches_methods[] = {
    {"__agen_stream__", as_stream, METH_NOARGS,
     "The stream of record batches, in a capsule."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot batches_slots[] = {
    {Py_tp_dealloc, free_batches},
    {Py_tp_methods, batches_methods},
    {0, NULL},
};
static PyType_Spec batches_spec = {
    "agen_arrow.Batches", sizeof(struct batches_object), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, batches_slots};
static PyTypeObject* batches_type;

static PyObject* batches(PyObject* module, PyObject* source) {
  struct batches_object* const made =
      (struct batches_object*)batches_type->tp_alloc(batches_type, 0);
  (void)module;
  if (made == NULL) return NULL;
  made->source = Py_NewRef(source);
  return (PyObject*)made;
}

static PyMethodDef functions[] = {
    {"batches", batches, METH_O,
     "batches(source, /)\n--\n\nThe record batches of an Arrow stream, for stream()."},
    {NULL, NULL, 0, NULL},
};
static PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "agen_arrow", NULL, -1, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_agen_arrow(void) {
  PyObject* made;
  if (batch_type == NULL) batch_type = (PyTypeObject*)PyType_FromSpec(&batch_spec);
  if (batches_type == NULL)
    batches_type = (PyTypeObject*)PyType_FromSpec(&batches_spec);
  if (batch_type == NULL || batches_type == NULL) return NULL;
  made = PyModule_Create(&module);
#ifdef Py_GIL_DISABLED
  if (made != NULL) PyUnstable_Module_SetGIL(made, Py_MOD_GIL_NOT_USED);
#endif
  return made;
}
