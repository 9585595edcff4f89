/* Producers that break one rule of agen_stream.h each, for the test of agen_stream_check.h. The argument names the
 * rule. The exit status is 1 if the check finds something. */
#include <agen/agen_stream_check.h>

static char const* rule;

struct wrong {
  struct agen_stream stream;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  pthread_t thread;
  void (*wake)(void* context);
  void* context;
  int ready; /* items that are there */
  int given;
  int stopped;
  int released;
  int ended;
};

static int is(char const* name) { return strcmp(rule, name) == 0; }

/* ... and leaves next() a moment to read what was written. */
static void write_without_lock(struct wrong* w) {
  struct timespec const until = agen_check_deadline(0.001);
  struct timespec now;
  pthread_mutex_unlock(&w->mutex);
  ++w->ready;
  do {
    (void)timespec_get(&now, TIME_UTC);
  } while (now.tv_sec < until.tv_sec || (now.tv_sec == until.tv_sec && now.tv_nsec < until.tv_nsec));
  pthread_mutex_lock(&w->mutex);
}

/* Makes 5 items, one each millisecond, then waits for the release. */
static void* run(void* context) {
  struct wrong* const w = context;
  int released;
  pthread_mutex_lock(&w->mutex);
  for (int i = 0; i < 5 && !w->released; ++i) {
    struct timespec const due = agen_check_deadline(0.0005);
    pthread_cond_timedwait(&w->changed, &w->mutex, &due);
    if (is("data race")) {
      write_without_lock(w);
    } else {
      ++w->ready;
    }
    if (!w->released && !is("lost wake")) w->wake(w->context);
  }
  w->ended = 1;
  if (!w->released && !is("lost wake")) w->wake(w->context);
  while (!w->released) pthread_cond_wait(&w->changed, &w->mutex);
  released = w->released;
  pthread_mutex_unlock(&w->mutex);
  if (released && is("late wake")) {
    struct timespec until = agen_check_deadline(0.0005);
    pthread_mutex_lock(&w->mutex);
    while (pthread_cond_timedwait(&w->changed, &w->mutex, &until) == 0) continue;
    pthread_mutex_unlock(&w->mutex);
    w->wake(w->context);
  }
  if (is("late wake")) free(w);
  return NULL;
}

static int start(struct agen_stream* self, void (*wake)(void* context), void* context) {
  struct wrong* const w = self->private_data;
  w->wake = wake;
  w->context = context;
  if (is("start fails without text")) return AGEN_STREAM_ERROR;
  if (pthread_create(&w->thread, NULL, run, w) != 0) abort();
  if (is("late wake")) pthread_detach(w->thread);
  return AGEN_STREAM_OK;
}

static int next(struct agen_stream* self, size_t max, void** items, size_t* count) {
  struct wrong* const w = self->private_data;
  int answer = AGEN_STREAM_PENDING;
  pthread_mutex_lock(&w->mutex);
  *count = 0;
  if (w->given < w->ready && !w->stopped) {
    items[(*count)++] = w;
    ++w->given;
    answer = AGEN_STREAM_OK;
  } else if (w->stopped ? !is("never ends") : w->ended) {
    answer = AGEN_STREAM_END;
    if (is("fails to stop") && w->stopped) answer = AGEN_STREAM_ERROR;
    if (is("end is taken back") && w->stopped++ != 0) answer = AGEN_STREAM_PENDING;
  }
  if (is("endless after stop") && w->stopped) {
    for (*count = 0; *count < max;) items[(*count)++] = w;
    answer = AGEN_STREAM_OK;
  }
  if (is("too many items") && answer == AGEN_STREAM_OK) *count = max + 1;
  if (is("no count")) *count = (size_t)-1;
  if (is("no items") && answer == AGEN_STREAM_OK) *count = 0;
  if (is("unknown answer") && answer == AGEN_STREAM_END) answer = 9;
  if (is("end is taken back") && answer == AGEN_STREAM_END) w->stopped = 1;
  pthread_mutex_unlock(&w->mutex);
  return answer;
}

static void stop(struct agen_stream* self) {
  struct wrong* const w = self->private_data;
  pthread_mutex_lock(&w->mutex);
  w->stopped = 1;
  pthread_mutex_unlock(&w->mutex);
  if (w->wake != NULL && !is("never ends")) w->wake(w->context);
}

static char const* error(struct agen_stream* self) {
  (void)self;
  return is("start fails without text") ? NULL : "it has failed";
}
static struct _object* to_python(struct agen_stream* self, void* item) {
  (void)self;
  (void)item;
  return NULL;
}
static void drop(struct agen_stream* self, void* item) {
  (void)self;
  (void)item;
}

static void release(struct agen_stream* self) {
  struct wrong* const w = self->private_data;
  int const started = w->wake != NULL && !is("start fails without text");
  pthread_mutex_lock(&w->mutex);
  w->released = 1;
  pthread_cond_signal(&w->changed);
  pthread_mutex_unlock(&w->mutex);
  if (is("late wake") && started) return; /* the thread frees it */
  if (started) pthread_join(w->thread, NULL);
  free(w);
}

static struct agen_stream* make(void* context) {
  struct wrong* const w = calloc(1, sizeof *w);
  (void)context;
  if (w == NULL) abort();
  pthread_mutex_init(&w->mutex, NULL);
  pthread_cond_init(&w->changed, NULL);
  w->stream = (struct agen_stream){
      .major = is("unknown version") ? 7 : AGEN_STREAM_MAJOR,
      .release = release,
      .private_data = w,
      .start = start,
      .next = next,
      .stop = stop,
      .error = error,
      .to_python = to_python,
      .drop = is("no drop()") ? NULL : drop,
  };
  return &w->stream;
}

int main(int count, char** arguments) {
  struct agen_stream_check_options const options = {8, 2, 0.5};
  rule = count > 1 ? arguments[1] : "";
  return agen_stream_check(make, NULL, &options, stderr) != 0;
}
