#include "arrow.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { READ_AHEAD = 2 }; /* batches that wait for the consumer; they are large */

/* Belongs to the consumer and to the thread that reads; whoever leaves last frees it.
 */
struct reader {
  struct agen_stream stream;
  struct ArrowArrayStream source; /* the thread's, once it runs */
  char failed[256]; /* the text of the error; written before `reading` becomes 0 */

  pthread_mutex_t mutex; /* guards what follows */
  pthread_cond_t changed;
  struct batch* ready[READ_AHEAD];
  unsigned first, size;
  int reading; /* the thread runs */
  int stopping;
  int released;
  int waiting; /* next() has answered AGEN_STREAM_PENDING, and no wake has come since */
  void (*wake)(void* context);
  void* context;
};

void free_batch(struct batch* batch) {
  if (batch->schema.release != NULL) batch->schema.release(&batch->schema);
  if (batch->array.release != NULL) batch->array.release(&batch->array);
  free(batch);
}

static void free_reader(struct reader* r) {
  while (r->size != 0) free_batch(r->ready[(r->first + --r->size) % READ_AHEAD]);
  if (r->source.release != NULL) r->source.release(&r->source);
  pthread_cond_destroy(&r->changed);
  pthread_mutex_destroy(&r->mutex);
  free(r);
}

/* Under the lock, which release() takes, too: so no wake comes after it. */
static void tell_consumer(struct reader* r) {
  if (r->waiting && !r->released) r->wake(r->context);
  r->waiting = 0;
}

static void fail(struct reader* r, char const* text) {
  if (text == NULL || *text == '\0') text = "the Arrow stream has failed";
  strncpy(r->failed, text, sizeof r->failed - 1);
}

/* The next batch, or null at the end and after an error. Blocks; without the lock. */
static struct batch* read_batch(struct reader* r) {
  struct batch* const made = calloc(1, sizeof *made);
  if (made == NULL) {
    fail(r, "no memory for a batch");
    return NULL;
  }
  if (r->source.get_next(&r->source, &made->array) != 0 ||
      (made->array.release != NULL &&
       r->source.get_schema(&r->source, &made->schema) != 0)) {
    fail(r, r->source.get_last_error(&r->source));
  } else if (made->array.release != NULL) {
    return made;
  }
  free_batch(made);
  return NULL;
}

static void* read_all(void* context) {
  struct reader* const r = context;
  int released;
  pthread_mutex_lock(&r->mutex);
  while (!r->stopping) {
    struct batch* made;
    pthread_mutex_unlock(&r->mutex);
    made = read_batch(r);
    pthread_mutex_lock(&r->mutex);
    if (made == NULL) break;
    while (!r->stopping && r->size == READ_AHEAD)
      pthread_cond_wait(&r->changed, &r->mutex);
    if (r->stopping) {
      pthread_mutex_unlock(&r->mutex);
      free_batch(made);
      pthread_mutex_lock(&r->mutex);
      break;
    }
    r->ready[(r->first + r->size++) % READ_AHEAD] = made;
    tell_consumer(r);
  }
  r->reading = 0;
  tell_consumer(r);
  released = r->released;
  pthread_mutex_unlock(&r->mutex);
  if (released) free_reader(r);
  return NULL;
}

static int reader_start(struct agen_stream* self, void (*wake)(void* context),
                        void* context) {
  struct reader* const r = self->private_data;
  pthread_t thread;
  r->wake = wake;
  r->context = context;
  r->reading = 1;
  if (pthread_create(&thread, NULL, read_all, r) != 0) {
    r->reading = 0;
    fail(r, "no thread can be started");
    return AGEN_STREAM_ERROR;
  }
  pthread_detach(thread);
  return AGEN_STREAM_OK;
}

static int reader_next(struct agen_stream* self, size_t max, void** items,
                       size_t* count) {
  struct reader* const r = self->private_data;
  int answer = AGEN_STREAM_OK;
  pthread_mutex_lock(&r->mutex);
  for (*count = 0; *count < max && r->size != 0; --r->size) {
    items[(*count)++] = r->ready[r->first];
    r->first = (r->first + 1) % READ_AHEAD;
  }
  if (*count != 0) {
    pthread_cond_signal(&r->changed);
  } else if (r->reading) {
    r->waiting = 1;
    answer = AGEN_STREAM_PENDING;
  } else {
    answer = r->failed[0] != '\0' && !r->stopping ? AGEN_STREAM_ERROR : AGEN_STREAM_END;
  }
  pthread_mutex_unlock(&r->mutex);
  return answer;
}

static void reader_stop(struct agen_stream* self) {
  struct reader* const r = self->private_data;
  pthread_mutex_lock(&r->mutex);
  r->stopping = 1;
  pthread_cond_signal(&r->changed);
  pthread_mutex_unlock(&r->mutex);
}

static void reader_release(struct agen_stream* self) {
  struct reader* const r = self->private_data;
  int reading;
  pthread_mutex_lock(&r->mutex);
  r->stopping = r->released = 1;
  reading = r->reading;
  pthread_cond_signal(&r->changed);
  pthread_mutex_unlock(&r->mutex);
  if (!reading) free_reader(r);
}

static char const* reader_error(struct agen_stream* self) {
  struct reader const* const r = self->private_data;
  return r->failed;
}

static void drop_batch(struct agen_stream* self, void* item) {
  (void)self;
  free_batch(item);
}

struct agen_stream* arrow_stream(struct ArrowArrayStream* source,
                                 struct _object* (*to_python)(struct agen_stream* self,
                                                              void* batch)) {
  struct reader* const r = calloc(1, sizeof *r);
  if (r == NULL) return NULL;
  r->stream = (struct agen_stream){
      .major = AGEN_STREAM_MAJOR,
      .minor = AGEN_STREAM_MINOR,
      .release = reader_release,
      .private_data = r,
      .start = reader_start,
      .next = reader_next,
      .stop = reader_stop,
      .error = reader_error,
      .to_python = to_python,
      .drop = drop_batch,
  };
  r->source = *source;
  source->release = NULL;
  pthread_mutex_init(&r->mutex, NULL);
  pthread_cond_init(&r->changed, NULL);
  return &r->stream;
}
