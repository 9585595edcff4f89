/* A library in plain C that measures on a thread of its own and hands the readings over
 * as an agen_stream. It knows nothing of Python. */
#ifndef SENSOR_H
#define SENSOR_H

#include <agen/agen_stream.h>

struct reading {
  unsigned number;
  double value;
};

/* How a reading becomes a Python object, and is destroyed: what the stream's
 * to_python() has to do. */
typedef struct _object* (*reading_to_python)(struct agen_stream* self, void* reading);

/* A stream of `count` readings, one each `microseconds`. With `broken`, the sensor
 * fails after them. Null: no memory. */
struct agen_stream* sensor_stream(unsigned count, unsigned microseconds, int broken,
                                  reading_to_python to_python);

/* How many readings and sensors are alive, for the tests. */
int sensor_alive(void);

#endif
