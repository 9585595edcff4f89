/* Any Arrow C stream as an agen_stream of record batches. The stream's blocking
 * functions are called on a thread of their own, so an event loop goes on while a query
 * runs. Nothing of Python is here. */
#ifndef ARROW_H
#define ARROW_H

#include <agen/agen_stream.h>

/* Arrow's C data interface and C stream interface:
 * https://arrow.apache.org/docs/format/CDataInterface.html */
struct ArrowSchema {
  char const *format, *name, *metadata;
  int64_t flags, n_children;
  struct ArrowSchema **children, *dictionary;
  void (*release)(struct ArrowSchema* self);
  void* private_data;
};
struct ArrowArray {
  int64_t length, null_count, offset, n_buffers, n_children;
  void const** buffers;
  struct ArrowArray **children, *dictionary;
  void (*release)(struct ArrowArray* self);
  void* private_data;
};
struct ArrowArrayStream {
  int (*get_schema)(struct ArrowArrayStream* self, struct ArrowSchema* out);
  int (*get_next)(struct ArrowArrayStream* self, struct ArrowArray* out);
  char const* (*get_last_error)(struct ArrowArrayStream* self);
  void (*release)(struct ArrowArrayStream* self);
  void* private_data;
};

/* An item: one record batch. */
struct batch {
  struct ArrowSchema schema;
  struct ArrowArray array;
};

/* Releases what the batch still owns, and frees it. */
void free_batch(struct batch* batch);

/* A stream of the batches of `source`, which it takes over: it leaves a released struct
 * there. Null: no memory. */
struct agen_stream* arrow_stream(struct ArrowArrayStream* source,
                                 struct _object* (*to_python)(struct agen_stream* self,
                                                              void* batch));

#endif
