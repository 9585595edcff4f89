/* Memory that fails on request, for test_allocation.py: one chosen allocation of all that the interpreter makes, in any
   of its three domains, answers NULL. Not part of the package. */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <string.h>

static PyMemAllocatorEx original[3];
static long seen;     /* allocations since arm() */
static long chosen;   /* which of them fails; 0: none */
static int following; /* as many after it fail too */
static long failed;   /* how many have */
static long engines;  /* and of those, how many the engine asked for */

/* Whether the engine asks for memory, by itself or through the C API: it is nearer on the stack than the interpreter's
 * loop. */
static int asked_by_the_engine(void) {
  void* frames[64];
  int const depth = backtrace(frames, 64);
  for (int i = 0; i < depth; ++i) {
    Dl_info info;
    if (!dladdr(frames[i], &info)) continue;
    if (info.dli_fname && strstr(info.dli_fname, "/_engine.")) return 1;
    if (info.dli_sname && strncmp(info.dli_sname, "_PyEval_EvalFrameDefault", 24) == 0) return 0;
  }
  return 0;
}

static int fails(void) {
  if (chosen == 0) return 0;
  ++seen;
  if (seen < chosen || seen > chosen + following) return 0;
  ++failed;
  engines += asked_by_the_engine();
  return 1;
}

static void* failing_malloc(void* context, size_t size) {
  PyMemAllocatorEx* to = context;
  return fails() ? NULL : to->malloc(to->ctx, size);
}
static void* failing_calloc(void* context, size_t count, size_t size) {
  PyMemAllocatorEx* to = context;
  return fails() ? NULL : to->calloc(to->ctx, count, size);
}
static void* failing_realloc(void* context, void* block, size_t size) {
  PyMemAllocatorEx* to = context;
  return fails() ? NULL : to->realloc(to->ctx, block, size);
}
static void failing_free(void* context, void* block) {
  PyMemAllocatorEx* to = context;
  to->free(to->ctx, block);
}

/* arm(n, sticky=False): the n-th allocation from now on fails; sticky: and forty more. (Not all of them: CPython's
   unwinding tries for ever where it cannot allocate the number of an instruction.) Hooks stay in place: only counting
   begins. */
static PyObject* arm(PyObject* module, PyObject* args) {
  long n;
  int sticky = 0;
  if (!PyArg_ParseTuple(args, "l|p", &n, &sticky)) return NULL;
  seen = failed = engines = 0;
  following = sticky ? 40 : 0;
  chosen = n;
  Py_RETURN_NONE;
}

/* disarm(): none fails any more. Returns how many allocations were counted. Allocates nothing before it is done. */
static PyObject* disarm(PyObject* module, PyObject* ignored) {
  chosen = 0;
  return PyLong_FromLong(seen);
}

/* engine_alone(): whether all allocations that failed since arm() were the engine's. */
static PyObject* engine_alone(PyObject* module, PyObject* ignored) {
  return PyBool_FromLong(failed > 0 && engines == failed);
}

static PyMethodDef methods[] = {{"arm", arm, METH_VARARGS, NULL},
                                {"disarm", disarm, METH_NOARGS, NULL},
                                {"engine_alone", engine_alone, METH_NOARGS, NULL},
                                {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "failing", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_failing(void) {
  for (int domain = 0; domain < 3; ++domain) {
    PyMem_GetAllocator((PyMemAllocatorDomain)domain, &original[domain]);
    PyMemAllocatorEx hooked = {&original[domain], failing_malloc, failing_calloc, failing_realloc, failing_free};
    PyMem_SetAllocator((PyMemAllocatorDomain)domain, &hooked);
  }
  return PyModule_Create(&definition);
}
