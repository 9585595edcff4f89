/* agen_stream: one C ABI for asynchronous streams of items. A library in any language hands a `struct agen_stream`
 * over, and Python iterates it with `async for` on every event loop:
 *
 *     async for item in async_generator.stream(obj):     # obj.__agen_stream__() returns the capsule, see below
 *
 * The PRODUCER makes the struct and the items, the CONSUMER calls the functions. This header is plain C (C99) and C++;
 * it needs no other file of the project, and Python.h only for the helper at its end. agen_stream_check.h tests a
 * producer.
 *
 * Calls
 *   start() once; then next() until it answers AGEN_STREAM_END or AGEN_STREAM_ERROR; then release(). The consumer may
 *   call stop() after start(), and may call release() at any time, also without start().
 *
 *       start --> next, next, ... --> END or ERROR --> release
 *                   |                    ^
 *                   +--> stop --> next --+          release is legal everywhere
 *
 *   No function blocks, and none throws a C++ exception. None of them waits for another thread that wants the GIL: the
 *   caller may hold it. Only to_python() and exception() may count on the GIL; the others take it themselves if they
 *   need it.
 *
 * Threads
 *   The consumer calls the functions of one stream one at a time: each call happens after the one before it. start(),
 *   next(), stop(), error(), to_python() and exception() come from one thread, that of start(). release() and drop()
 *   may come from any thread. The producer does its work on threads of its own.
 *
 * Items
 *   next() hands over up to `max` items, pointers whose meaning only the producer knows. The consumer passes each of
 *   them to exactly one of to_python(), which makes the Python object of it, and drop(), which destroys it. Both take
 *   the item over, whatever they return. An item may outlive stop(), END and ERROR, but not release(): the consumer has
 *   passed on all items by then. Items come in the order in which they are to be seen.
 *
 * Waking
 *   start() gets a function `wake` and its argument. When next() has answered AGEN_STREAM_PENDING, the producer calls
 *   wake(context) at least once as soon as next() would answer something else. If that happened while next() was about
 *   to return, wake is called as well: the consumer calls next() again only after a wake. Keep the test "is there an
 *   item?" and the mark "the consumer waits" under one lock. wake may be called from any thread, with or without the
 *   GIL, at any time from start() on, more often than needed, and from inside start(), next() and stop(). It never
 *   blocks, and never calls a function of the stream: so it may be called under a lock of the producer. When release()
 *   returns, no call of wake is under way, and none will come. A producer that calls wake under the lock that release()
 *   takes gets this right.
 *
 * Stopping
 *   stop() asks the producer to come to its end: no more items are wanted. It may be called more than once, and after
 *   the end. The consumer goes on to call next(), drops the items that it still gets, and waits for END: this is the
 *   awaited cleanup of aclose(). So a stopped producer comes to END without anything from the consumer. ERROR says that
 *   stopping has failed. release() implies stop(), and waits for nothing: after it, nobody hears of the producer's end.
 *
 * Ends and errors
 *   After END, next() answers END again. After ERROR, it answers ERROR again; error() then gives the text. Items that
 *   are ready come before the end or the error. start() may fail: it returns AGEN_STREAM_ERROR, error() gives the text,
 *   and only release() follows.
 *
 * Ownership
 *   The struct belongs to whoever has to call release(), which destroys the struct, too. In Python it travels in a
 *   capsule named "agen_stream", whose destructor calls release(). A consumer that takes the stream renames the capsule
 *   to "used_agen_stream". A capsule with that name is refused: a stream has one consumer.
 *
 * Processes
 *   In a process forked after start(), the consumer calls nothing, not even release(): the producer's threads are not
 *   there, and its locks may be held for ever. Items that it holds already may still be passed to to_python().
 *
 * Versions
 *   `major`, `minor` and `release` are at the same place in every version. A consumer that does not know `major` may
 *   call release() only, and refuses the stream with an error that names both versions. A later `minor` adds members at
 *   the end: a consumer reads them only if the producer's `minor` has them, and a producer allocates the whole struct
 *   of the `minor` that it gives.
 */
#ifndef AGEN_STREAM_H
#define AGEN_STREAM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AGEN_STREAM_MAJOR 1
#define AGEN_STREAM_MINOR 0

/* The names of the capsule, before and after a consumer has taken the stream. */
#define AGEN_STREAM_CAPSULE "agen_stream"
#define AGEN_STREAM_USED_CAPSULE "used_agen_stream"

/* What next() answers; start() answers AGEN_STREAM_OK or AGEN_STREAM_ERROR. */
#define AGEN_STREAM_OK 0      /* there are items, at least one */
#define AGEN_STREAM_PENDING 1 /* nothing yet: `wake` will be called */
#define AGEN_STREAM_END 2     /* there will be no more items */
#define AGEN_STREAM_ERROR 3   /* the stream has failed: error(), exception() */

/* PyObject, without Python.h. */
struct _object;

struct agen_stream {
  uint32_t major; /* AGEN_STREAM_MAJOR of the producer's header */
  uint32_t minor; /* AGEN_STREAM_MINOR of the producer's header */
  /* Destroys the stream, this struct and what belongs to it. Implies stop(). Called exactly once. */
  void (*release)(struct agen_stream* self);

  /* The producer's own. */
  void* private_data;

  /* Begins. `wake(context)` is what the producer calls when the consumer has to call next() again: see Waking. */
  int (*start)(struct agen_stream* self, void (*wake)(void* context), void* context);
  /* Stores up to `max` items (at least 1) in `items`, and their number in `*count`. `*count` is 0 unless the answer is
   * AGEN_STREAM_OK. */
  int (*next)(struct agen_stream* self, size_t max, void** items, size_t* count);
  /* No more items are wanted: see Stopping. */
  void (*stop)(struct agen_stream* self);
  /* The text of the error, UTF-8, valid until release(). Called after AGEN_STREAM_ERROR only; never null. */
  char const* (*error)(struct agen_stream* self);

  /* A new reference to the Python object of an item, or null with a Python exception set. Takes the item over. */
  struct _object* (*to_python)(struct agen_stream* self, void* item);
  /* Destroys an item that nobody wants. */
  void (*drop)(struct agen_stream* self, void* item);
  /* May be null. A new reference to the exception object of the error, or null: then it is a RuntimeError with
   * error()'s text. Called after AGEN_STREAM_ERROR only. */
  struct _object* (*exception)(struct agen_stream* self);
};

#ifdef __cplusplus
}
#endif

#endif /* AGEN_STREAM_H */

/* For producers in files that have included Python.h before; this header may be included again for it. */
#if defined(Py_PYTHON_H) && !defined(AGEN_STREAM_PYTHON)
#define AGEN_STREAM_PYTHON

static inline void agen_stream_destroy_capsule(PyObject* capsule) {
  struct agen_stream* stream;
  if (!PyCapsule_IsValid(capsule, AGEN_STREAM_CAPSULE)) return; /* taken: its consumer releases it */
  stream = (struct agen_stream*)PyCapsule_GetPointer(capsule, AGEN_STREAM_CAPSULE);
  stream->release(stream);
}

/* A new reference to the capsule of a stream, for __agen_stream__() to return; it owns the stream. Null with a Python
 * exception set: the stream is then released already. */
static inline PyObject* agen_stream_capsule(struct agen_stream* stream) {
  PyObject* const capsule = PyCapsule_New(stream, AGEN_STREAM_CAPSULE, agen_stream_destroy_capsule);
  if (capsule == NULL) stream->release(stream);
  return capsule;
}

#endif /* AGEN_STREAM_PYTHON */
