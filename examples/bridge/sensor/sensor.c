#include "sensor.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { CAPACITY = 16 };

static atomic_int alive;

// [sensor]
/* Belongs to the consumer and to the thread that measures; whoever leaves last frees
 * it. */
struct sensor {
  struct agen_stream stream;
  unsigned count;
  unsigned microseconds;
  int broken;

  pthread_mutex_t mutex; /* guards what follows */
  pthread_cond_t changed;
  struct reading* ready[CAPACITY];
  unsigned first, size;
  int measuring; /* the thread runs */
  int stopping;
  int released;
  int waiting; /* next() has answered AGEN_STREAM_PENDING, and no wake has come since */
  void (*wake)(void* context);
  void* context;
};

/* Under the lock, which release() takes, too: so no wake comes after it. */
static void tell_consumer(struct sensor* s) {
  if (s->waiting && !s->released) s->wake(s->context);
  s->waiting = 0;
}
// [/sensor]

static void free_sensor(struct sensor* s) {
  while (s->size != 0)
    s->stream.drop(&s->stream, s->ready[(s->first + --s->size) % CAPACITY]);
  pthread_cond_destroy(&s->changed);
  pthread_mutex_destroy(&s->mutex);
  free(s);
  --alive;
}

/* Waits for the time of the next reading. False if no more are wanted. */
static int next_time(struct sensor* s, struct timespec* due) {
  due->tv_nsec += (long)s->microseconds * 1000;
  while (due->tv_nsec >= 1000000000) {
    due->tv_nsec -= 1000000000;
    ++due->tv_sec;
  }
  while (!s->stopping && pthread_cond_timedwait(&s->changed, &s->mutex, due) == 0)
    continue;
  while (!s->stopping && s->size == CAPACITY) pthread_cond_wait(&s->changed, &s->mutex);
  return !s->stopping;
}

static void* measure(void* context) {
  struct sensor* const s = context;
  struct timespec due;
  int released;
  timespec_get(&due, TIME_UTC);
  pthread_mutex_lock(&s->mutex);
  for (unsigned i = 0; i < s->count && next_time(s, &due); ++i) {
    struct reading* const made = malloc(sizeof *made);
    if (made == NULL) {
      s->broken = 1;
      break;
    }
    *made = (struct reading){i, i * 0.5};
    ++alive;
    s->ready[(s->first + s->size++) % CAPACITY] = made;
    tell_consumer(s);
  }
  s->measuring = 0;
  tell_consumer(s);
  released = s->released;
  pthread_mutex_unlock(&s->mutex);
  if (released) free_sensor(s);
  return NULL;
}

static int sensor_start(struct agen_stream* self, void (*wake)(void* context),
                        void* context) {
  struct sensor* const s = self->private_data;
  pthread_t thread;
  s->wake = wake;
  s->context = context;
  s->measuring = 1;
  if (pthread_create(&thread, NULL, measure, s) != 0) {
    s->measuring = 0;
    return AGEN_STREAM_ERROR;
  }
  pthread_detach(thread);
  return AGEN_STREAM_OK;
}

// [next]
static int sensor_next(struct agen_stream* self, size_t max, void** items,
                       size_t* count) {
  struct sensor* const s = self->private_data;
  int answer = AGEN_STREAM_OK;
  pthread_mutex_lock(&s->mutex);
  for (*count = 0; *count < max && s->size != 0; --s->size) {
    items[(*count)++] = s->ready[s->first];
    s->first = (s->first + 1) % CAPACITY;
  }
  if (*count != 0) {
    pthread_cond_signal(&s->changed); /* there is room again */
  } else if (s->measuring) {
    s->waiting = 1; /* under the lock under which the thread looks */
    answer = AGEN_STREAM_PENDING;
  } else {
    answer = s->broken && !s->stopping ? AGEN_STREAM_ERROR : AGEN_STREAM_END;
  }
  pthread_mutex_unlock(&s->mutex);
  return answer;
}

static void sensor_stop(struct agen_stream* self) {
  struct sensor* const s = self->private_data;
  pthread_mutex_lock(&s->mutex);
  s->stopping = 1;
  pthread_cond_signal(&s->changed);
  pthread_mutex_unlock(&s->mutex);
}

static void sensor_release(struct agen_stream* self) {
  struct sensor* const s = self->private_data;
  int measuring;
  pthread_mutex_lock(&s->mutex);
  s->stopping = s->released = 1;
  measuring = s->measuring;
  pthread_cond_signal(&s->changed);
  pthread_mutex_unlock(&s->mutex);
  if (!measuring) free_sensor(s);
}
// [/next]

static char const* sensor_error(struct agen_stream* self) {
  (void)self;
  return "the sensor does not answer";
}

static void drop_reading(struct agen_stream* self, void* item) {
  (void)self;
  free(item);
  --alive;
}

struct agen_stream* sensor_stream(unsigned count, unsigned microseconds, int broken,
                                  reading_to_python to_python) {
  struct sensor* const s = calloc(1, sizeof *s);
  if (s == NULL) return NULL;
  ++alive;
  s->stream = (struct agen_stream){
      .major = AGEN_STREAM_MAJOR,
      .minor = AGEN_STREAM_MINOR,
      .release = sensor_release,
      .private_data = s,
      .start = sensor_start,
      .next = sensor_next,
      .stop = sensor_stop,
      .error = sensor_error,
      .to_python = to_python,
      .drop = drop_reading,
  };
  s->count = count;
  s->microseconds = microseconds;
  s->broken = broken;
  pthread_mutex_init(&s->mutex, NULL);
  pthread_cond_init(&s->changed, NULL);
  return &s->stream;
}

int sensor_alive(void) { return alive; }
