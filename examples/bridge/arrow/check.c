/* Checks that streams of record batches keep the rules of agen_stream.h, with an Arrow
 * stream in plain C. Build it with -fsanitize=thread. */
#include <agen/agen_stream_check.h>

#include "arrow.h"

/* A stream of 10 batches without columns, 3 of them before an error if `context` says
 * so. */
struct source {
  int given;
  int fails;
};

static void release_schema(struct ArrowSchema* self) { self->release = NULL; }
static void release_array(struct ArrowArray* self) {
  free(self->private_data);
  self->release = NULL;
}

static int get_schema(struct ArrowArrayStream* self, struct ArrowSchema* out) {
  (void)self;
  *out = (struct ArrowSchema){.format = "+s", .release = release_schema};
  return 0;
}
static int get_next(struct ArrowArrayStream* self, struct ArrowArray* out) {
  struct source* const from = self->private_data;
  memset(out, 0, sizeof *out);
  if (from->fails && from->given == 3) return 5;
  if (from->given++ < 10)
    *out = (struct ArrowArray){.release = release_array, .private_data = malloc(1)};
  return 0;
}
static char const* get_last_error(struct ArrowArrayStream* self) {
  (void)self;
  return "the disk is gone";
}
static void release_source(struct ArrowArrayStream* self) {
  free(self->private_data);
  self->release = NULL;
}

/* No Python here: the check drops every item. */
static struct _object* no_python(struct agen_stream* self, void* item) {
  self->drop(self, item);
  return NULL;
}

static struct agen_stream* make(void* context) {
  struct source* const from = calloc(1, sizeof *from);
  struct ArrowArrayStream source = {get_schema, get_next, get_last_error,
                                    release_source, from};
  if (from == NULL) return NULL;
  from->fails = context != NULL;
  return arrow_stream(&source, no_python);
}

int main(void) {
  int fails = 1;
  int const wrong = agen_stream_check(make, NULL, NULL, stderr) +
                    agen_stream_check(make, &fails, NULL, stderr);
  return wrong != 0;
}
