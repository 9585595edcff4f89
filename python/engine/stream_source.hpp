// What makes the streams of the package fast on asyncio (python/async_generator/streams/_asyncio.py): a source whose
// operation is resumed here, in the source's own task and context, and the queue of the sources that can be resumed.
// What is rare is left to the classes of Python that are made of these two: `poll_slowly()` and the like.
#ifndef ASYNC_GENERATOR_ENGINE_STREAM_SOURCE_HPP
#define ASYNC_GENERATOR_ENGINE_STREAM_SOURCE_HPP

#include "isolated.hpp"
#include "memory.hpp"
#include "objects.hpp"

namespace engine {

struct StreamQueue;

/// The base of the class Source. A null reference is None for Python.
struct StreamSource {
  IsolatedBody body;  ///< what is iterated, and where its code runs
  Object waits_for;   ///< the future that it waits for; null or None where it waits for a turn
  Object on_ready;    ///< is called with the source when it waits no longer; null or None: queue.put
  Ref<StreamQueue> queue;
  bool queued;   ///< it is in `queue`
  bool plain;    ///< nothing rare has happened: poll() need not ask Python
  bool arrived;  ///< what it waited for is there
};
extern PyType_Spec stream_source_spec;

/// The sources that can be polled, in turn.
struct StreamQueue {
  PyObject_HEAD Object loop;
  Object ring;           ///< wakes those that wait by the bell
  Object waiting;        ///< the bell's list of them
  unsigned long thread;  ///< of the loop
  Object open;           ///< a dict of the sources that are not known to have ended
  Deque<Ref<StreamSource>> ready;
  Deque<Ref<StreamSource>> turn;     ///< sources that wait until the loop comes round
  Deque<Ref<StreamSource>> refused;  ///< sources that another loop has asked, until its consumer has given up
  bool expected;                     ///< the loop will call come_round() for them, or a consumer waits for the turn
  bool begun;                        ///< a consumer does
  bool pausing;                      ///< the loop gets a turn, though sources are ready
  int in_a_row;                      ///< how many items have come without a wait
};
extern PyType_Spec stream_queue_spec;

}  // namespace engine

#endif
