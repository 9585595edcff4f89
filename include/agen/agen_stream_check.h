/* Checks a producer of agen_stream.h, without Python: a test program in C or C++ includes this file once, hands over a
 * function that makes a new stream, and exits with the answer:
 *
 *     static struct agen_stream *make(void *context) { return my_stream(5); }
 *     int main(void) { return agen_stream_check(make, NULL, NULL, stderr) != 0; }
 *
 * Run it with -fsanitize=thread, and once more with -fsanitize=address. Every stream that `make` gives has to behave
 * alike; it may give items for ever, and may fail. The checks: release at every point, stop at every point, each by one
 * thread and by many at once; one item at a time; polling without a pause; waiting by wakes only; items that outlive
 * the end; a release and a drop on other threads; no wake after release(). C11 and C++, POSIX threads.
 *
 * For the authors of consumers: agen_stream_check_storm() puts threads that wake without a pause around any stream.
 */
#ifndef AGEN_STREAM_CHECK_H
#define AGEN_STREAM_CHECK_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agen_stream.h"

typedef struct agen_stream* (*agen_stream_maker)(void* context);

struct agen_stream_check_options {
  size_t most;      /* take no more than so many items of one stream; 0: 32 */
  unsigned threads; /* how many streams are used at the same time; 0: 4 */
  double seconds;   /* a wake, an end after stop(): no later than that; 0: 10 */
};

/* Beside the answers of next(): it broke a rule, and is not asked again. */
#define AGEN_CHECK_BROKEN (-1)

/* What the producer wakes. It outlives the stream, so that a late wake is seen. */
struct agen_check_bell {
  pthread_mutex_t mutex;
  pthread_cond_t rings;
  int rung;
  int released;
  int late;
};

struct agen_check {
  agen_stream_maker make;
  void* context;
  FILE* out;
  struct agen_stream_check_options options;
  pthread_mutex_t mutex;
  int failures;
};

/* One stream that is being checked, and the items that were taken and not dropped. */
struct agen_check_use {
  struct agen_check* check;
  char const* what; /* the check, for messages */
  size_t point;     /* the number of items at which it does it */
  struct agen_stream* stream;
  struct agen_check_bell bell;
  void** items;
  size_t held;
  size_t seen;
};

static inline void agen_check_fail(struct agen_check_use* use, char const* rule) {
  struct agen_check* const check = use->check;
  pthread_mutex_lock(&check->mutex);
  ++check->failures;
  if (check->out != NULL) fprintf(check->out, "agen_stream_check: %s at item %zu: %s\n", use->what, use->point, rule);
  pthread_mutex_unlock(&check->mutex);
}

static inline struct timespec agen_check_deadline(double seconds) {
  struct timespec at;
  long const nanoseconds = (long)((seconds - (double)(long)seconds) * 1e9);
  (void)timespec_get(&at, TIME_UTC);
  at.tv_sec += (long)seconds;
  at.tv_nsec += nanoseconds;
  if (at.tv_nsec >= 1000000000) {
    at.tv_nsec -= 1000000000;
    ++at.tv_sec;
  }
  return at;
}

static inline void agen_check_wake(void* context) {
  struct agen_check_bell* const bell = (struct agen_check_bell*)context;
  pthread_mutex_lock(&bell->mutex);
  if (bell->released) bell->late = 1;
  bell->rung = 1;
  pthread_cond_signal(&bell->rings);
  pthread_mutex_unlock(&bell->mutex);
}

/* False if no wake has come in time. */
static inline int agen_check_wait(struct agen_check_use* use) {
  struct agen_check_bell* const bell = &use->bell;
  struct timespec const until = agen_check_deadline(use->check->options.seconds);
  int in_time = 1;
  pthread_mutex_lock(&bell->mutex);
  while (!bell->rung && in_time) in_time = pthread_cond_timedwait(&bell->rings, &bell->mutex, &until) == 0;
  in_time = bell->rung;
  bell->rung = 0;
  pthread_mutex_unlock(&bell->mutex);
  return in_time;
}

/* Calls next() once, and checks the form of the answer. Items are kept. */
static inline int agen_check_poll(struct agen_check_use* use, size_t max) {
  size_t count = (size_t)-1;
  int const answer = use->stream->next(use->stream, max, use->items + use->held, &count);
  if (count > max) {
    agen_check_fail(use, "next() gave more items than were asked for, or left *count alone");
    return AGEN_CHECK_BROKEN;
  }
  if ((answer == AGEN_STREAM_OK) != (count != 0)) {
    agen_check_fail(use, "AGEN_STREAM_OK comes with items, and every other answer with none");
  }
  if (answer < AGEN_STREAM_OK || answer > AGEN_STREAM_ERROR) {
    agen_check_fail(use, "next() gave an unknown answer");
    return AGEN_CHECK_BROKEN;
  }
  use->held += count;
  use->seen += count;
  return answer;
}

/* The same, waiting by wakes only until there is an answer. */
static inline int agen_check_next(struct agen_check_use* use, size_t max) {
  for (;;) {
    int const answer = agen_check_poll(use, max);
    if (answer != AGEN_STREAM_PENDING) return answer;
    if (!agen_check_wait(use)) {
      agen_check_fail(use, "no wake came after AGEN_STREAM_PENDING: it was lost, or the producer is too slow");
      return AGEN_CHECK_BROKEN;
    }
  }
}

static inline void agen_check_drop(struct agen_check_use* use) {
  while (use->held != 0) use->stream->drop(use->stream, use->items[--use->held]);
}

static inline struct agen_check_use* agen_check_open(struct agen_check* check, char const* what, size_t point) {
  struct agen_check_use* const use = (struct agen_check_use*)calloc(1, sizeof *use);
  if (use == NULL) abort();
  use->check = check;
  use->what = what;
  use->point = point;
  use->items = (void**)calloc(2 * check->options.most + 64, sizeof *use->items);
  if (use->items == NULL) abort();
  pthread_mutex_init(&use->bell.mutex, NULL);
  pthread_cond_init(&use->bell.rings, NULL);
  use->stream = check->make(check->context);
  if (use->stream == NULL) agen_check_fail(use, "there is no stream to check");
  return use;
}

static inline int agen_check_start(struct agen_check_use* use) {
  if (use->stream == NULL) return AGEN_STREAM_ERROR;
  return use->stream->start(use->stream, agen_check_wake, &use->bell);
}

static inline void agen_check_release(struct agen_check_use* use) {
  if (use->stream == NULL) return;
  agen_check_drop(use);
  use->stream->release(use->stream);
  use->stream = NULL;
  pthread_mutex_lock(&use->bell.mutex);
  use->bell.released = 1;
  pthread_mutex_unlock(&use->bell.mutex);
}

/* Ends the use, after a moment in which a late wake is seen. */
static inline void agen_check_close(struct agen_check_use* use) {
  struct timespec const moment = agen_check_deadline(0.002);
  int late;
  agen_check_release(use);
  pthread_mutex_lock(&use->bell.mutex);
  while (pthread_cond_timedwait(&use->bell.rings, &use->bell.mutex, &moment) == 0) continue;
  late = use->bell.late;
  pthread_mutex_unlock(&use->bell.mutex);
  if (late) agen_check_fail(use, "wake was called after release() had returned");
  pthread_cond_destroy(&use->bell.rings);
  pthread_mutex_destroy(&use->bell.mutex);
  free(use->items);
  free(use);
}

/* Takes items, `max` at a time, until `point` were seen or there are no more. True if there may be more. */
static inline int agen_check_take(struct agen_check_use* use, size_t max) {
  while (use->seen < use->point) {
    size_t const left = use->point - use->seen;
    if (agen_check_next(use, max < left ? max : left) != AGEN_STREAM_OK) return 0;
  }
  return 1;
}

static inline void agen_check_text(struct agen_check_use* use) {
  char const* const text = use->stream->error(use->stream);
  if (text == NULL || *text == '\0') agen_check_fail(use, "error() has no text");
}

static inline void agen_check_last_answer(struct agen_check_use* use, int answer) {
  if (answer == AGEN_STREAM_ERROR) agen_check_text(use);
  if (agen_check_poll(use, 1) != answer) agen_check_fail(use, "next() takes back that the stream has ended or failed");
}

/* To the end, or to `most` items; `max` at a time. */
static inline void agen_check_drain(struct agen_check* check, size_t max) {
  struct agen_check_use* const use = agen_check_open(check, max == 1 ? "one item at a time" : "many at a time", 0);
  int answer = agen_check_start(use);
  if (answer == AGEN_STREAM_OK) {
    while (answer == AGEN_STREAM_OK && use->seen < check->options.most) answer = agen_check_next(use, max);
    use->point = use->seen;
    if (answer == AGEN_STREAM_END || answer == AGEN_STREAM_ERROR) agen_check_last_answer(use, answer);
  } else if (use->stream != NULL) {
    agen_check_text(use);
  }
  agen_check_close(use);
}

/* next() again and again, without waiting for a wake. */
static inline void agen_check_polling(struct agen_check* check) {
  struct agen_check_use* const use = agen_check_open(check, "polling", check->options.most);
  struct timespec const until = agen_check_deadline(check->options.seconds);
  int answer = agen_check_start(use);
  while ((answer == AGEN_STREAM_OK || answer == AGEN_STREAM_PENDING) && use->seen < use->point) {
    struct timespec now;
    answer = agen_check_poll(use, 1);
    (void)timespec_get(&now, TIME_UTC);
    if (now.tv_sec > until.tv_sec) {
      agen_check_fail(use, "nothing came");
      break;
    }
  }
  agen_check_close(use);
}

static inline void* agen_check_drop_elsewhere(void* use) {
  agen_check_drop((struct agen_check_use*)use);
  return NULL;
}
static inline void* agen_check_release_elsewhere(void* use) {
  agen_check_release((struct agen_check_use*)use);
  return NULL;
}
static inline void agen_check_elsewhere(struct agen_check_use* use, void* (*function)(void*)) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, function, use) != 0) abort();
  pthread_join(thread, NULL);
}

/* stop() after `point` items: then END, while items are still held, which are dropped on another thread. */
static inline int agen_check_stop_at(struct agen_check* check, size_t point) {
  struct agen_check_use* const use = agen_check_open(check, "stop()", point);
  int more = 0;
  if (agen_check_start(use) == AGEN_STREAM_OK) {
    int answer;
    more = agen_check_take(use, 1);
    use->stream->stop(use->stream);
    use->stream->stop(use->stream);
    do {
      size_t const before = use->held;
      answer = agen_check_next(use, 16);
      while (use->held > before) use->stream->drop(use->stream, use->items[--use->held]);
      if (use->seen > point + 1000000) {
        agen_check_fail(use, "the items do not end after stop()");
        break;
      }
    } while (answer == AGEN_STREAM_OK);
    if (more && answer == AGEN_STREAM_ERROR)
      agen_check_fail(use, "ERROR after stop(), which says that stopping failed");
    use->stream->stop(use->stream);
    agen_check_elsewhere(use, agen_check_drop_elsewhere);
  }
  agen_check_close(use);
  return more;
}

/* release() after `point` items; at a point that waits, if `waits`. */
static inline void agen_check_drop_at(struct agen_check* check, size_t point, int waits) {
  struct agen_check_use* const use = agen_check_open(check, "release()", point);
  if (agen_check_start(use) == AGEN_STREAM_OK) {
    (void)agen_check_take(use, 1);
    if (waits) (void)agen_check_poll(use, 1);
  }
  if (waits) agen_check_elsewhere(use, agen_check_release_elsewhere);
  agen_check_close(use);
}

/* What every thread does. */
static inline void* agen_check_everything(void* context) {
  struct agen_check* const check = (struct agen_check*)context;
  size_t point;
  int more = 1;
  agen_check_drain(check, 1);
  agen_check_drain(check, 32);
  agen_check_polling(check);
  for (point = 0; more && point <= check->options.most; ++point) {
    agen_check_drop_at(check, point, 0);
    agen_check_drop_at(check, point, 1);
    more = agen_check_stop_at(check, point);
  }
  return NULL;
}

/* True if the struct can be used at all. */
static inline int agen_check_struct(struct agen_check* check) {
  struct agen_check_use* const use = agen_check_open(check, "release() without start()", 0);
  struct agen_stream const* const stream = use->stream;
  int usable = 0;
  if (stream != NULL && stream->major != AGEN_STREAM_MAJOR) {
    agen_check_fail(use, "the major version is not the one that this file checks");
  } else if (stream != NULL && stream->release == NULL) {
    agen_check_fail(use, "release() is null");
    use->stream = NULL;
  } else if (stream != NULL) {
    usable = stream->start != NULL && stream->next != NULL && stream->stop != NULL && stream->error != NULL &&
             stream->to_python != NULL && stream->drop != NULL;
    if (!usable) agen_check_fail(use, "a function other than exception() is null");
  }
  agen_check_close(use);
  return usable;
}

/* How many rules are broken; each is told in a line on `out`, which may be null. `options` may be null. `make` is
 * called from several threads at the same time. */
static inline int agen_stream_check(agen_stream_maker make, void* context,
                                    struct agen_stream_check_options const* options, FILE* out) {
  struct agen_check check;
  pthread_t threads[64];
  unsigned i;
  memset(&check, 0, sizeof check);
  check.make = make;
  check.context = context;
  check.out = out;
  if (options != NULL) check.options = *options;
  if (check.options.most == 0) check.options.most = 32;
  if (check.options.threads == 0) check.options.threads = 4;
  if (check.options.threads > 64) check.options.threads = 64;
  if (check.options.seconds <= 0) check.options.seconds = 10;
  pthread_mutex_init(&check.mutex, NULL);
  if (agen_check_struct(&check)) {
    (void)agen_check_everything(&check);
    for (i = 0; check.failures == 0 && i < check.options.threads; ++i) {
      if (pthread_create(&threads[i], NULL, agen_check_everything, &check) != 0) abort();
    }
    while (i != 0) pthread_join(threads[--i], NULL);
  }
  pthread_mutex_destroy(&check.mutex);
  return check.failures;
}

/* A stream around another one, with threads that wake its consumer without a pause, until it is released. */
struct agen_check_storm {
  struct agen_stream stream;
  struct agen_stream* inner;
  void (*wake)(void* context);
  void* context;
  unsigned count;
  pthread_t threads[16];
  pthread_mutex_t mutex;
  int over;
};

static inline struct agen_check_storm* agen_check_storm_of(struct agen_stream* self) {
  return (struct agen_check_storm*)self->private_data;
}
static inline void* agen_check_storm_run(void* context) {
  struct agen_check_storm* const storm = (struct agen_check_storm*)context;
  int over = 0;
  while (!over) {
    storm->wake(storm->context);
    pthread_mutex_lock(&storm->mutex);
    over = storm->over;
    pthread_mutex_unlock(&storm->mutex);
  }
  return NULL;
}
static inline int agen_check_storm_start(struct agen_stream* self, void (*wake)(void* context), void* context) {
  struct agen_check_storm* const storm = agen_check_storm_of(self);
  unsigned const wanted = storm->count;
  storm->wake = wake;
  storm->context = context;
  for (storm->count = 0; storm->count < wanted; ++storm->count) {
    if (pthread_create(&storm->threads[storm->count], NULL, agen_check_storm_run, storm) != 0) abort();
  }
  return storm->inner->start(storm->inner, wake, context);
}
static inline int agen_check_storm_next(struct agen_stream* self, size_t max, void** items, size_t* count) {
  struct agen_stream* const inner = agen_check_storm_of(self)->inner;
  return inner->next(inner, max, items, count);
}
static inline void agen_check_storm_stop(struct agen_stream* self) {
  struct agen_stream* const inner = agen_check_storm_of(self)->inner;
  inner->stop(inner);
}
static inline char const* agen_check_storm_error(struct agen_stream* self) {
  struct agen_stream* const inner = agen_check_storm_of(self)->inner;
  return inner->error(inner);
}
static inline struct _object* agen_check_storm_to_python(struct agen_stream* self, void* item) {
  struct agen_stream* const inner = agen_check_storm_of(self)->inner;
  return inner->to_python(inner, item);
}
static inline void agen_check_storm_drop(struct agen_stream* self, void* item) {
  struct agen_stream* const inner = agen_check_storm_of(self)->inner;
  inner->drop(inner, item);
}
static inline void agen_check_storm_release(struct agen_stream* self) {
  struct agen_check_storm* const storm = agen_check_storm_of(self);
  pthread_mutex_lock(&storm->mutex);
  storm->over = 1;
  pthread_mutex_unlock(&storm->mutex);
  if (storm->wake != NULL) {
    while (storm->count != 0) pthread_join(storm->threads[--storm->count], NULL);
  }
  storm->inner->release(storm->inner);
  pthread_mutex_destroy(&storm->mutex);
  free(storm);
}

/* Takes `inner` over. At most 16 threads. */
static inline struct agen_stream* agen_stream_check_storm(struct agen_stream* inner, unsigned threads) {
  struct agen_check_storm* const storm = (struct agen_check_storm*)calloc(1, sizeof *storm);
  if (storm == NULL) abort();
  storm->stream.major = AGEN_STREAM_MAJOR;
  storm->stream.minor = AGEN_STREAM_MINOR;
  storm->stream.release = agen_check_storm_release;
  storm->stream.private_data = storm;
  storm->stream.start = agen_check_storm_start;
  storm->stream.next = agen_check_storm_next;
  storm->stream.stop = agen_check_storm_stop;
  storm->stream.error = agen_check_storm_error;
  storm->stream.to_python = agen_check_storm_to_python;
  storm->stream.drop = agen_check_storm_drop;
  storm->inner = inner;
  storm->count = threads < 16 ? threads : 16;
  pthread_mutex_init(&storm->mutex, NULL);
  return &storm->stream;
}

#endif /* AGEN_STREAM_CHECK_H */
