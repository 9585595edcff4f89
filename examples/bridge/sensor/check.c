/* Checks that the sensor's streams keep the rules of agen_stream.h. Build it with
 * -fsanitize=thread. */
#include <agen/agen_stream_check.h>

#include "sensor.h"

/* No Python here: the check drops every item. */
static struct _object* no_python(struct agen_stream* self, void* item) {
  self->drop(self, item);
  return NULL;
}

// [check]
static struct agen_stream* quick(void* context) {
  (void)context;
  return sensor_stream(20, 0, 0, no_python);
}
static struct agen_stream* slow(void* context) {
  (void)context;
  return sensor_stream(5, 500, 0, no_python);
}
// [/check]
static struct agen_stream* broken(void* context) {
  (void)context;
  return sensor_stream(3, 0, 1, no_python);
}

int main(void) {
  int const wrong = agen_stream_check(quick, NULL, NULL, stderr) +
                    agen_stream_check(slow, NULL, NULL, stderr) +
                    agen_stream_check(broken, NULL, NULL, stderr);
  return wrong != 0;
}
