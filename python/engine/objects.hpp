// The layout of the engine's objects and of its per-interpreter state. How each behaves is in the file named after it.
#ifndef ASYNC_GENERATOR_ENGINE_OBJECTS_HPP
#define ASYNC_GENERATOR_ENGINE_OBJECTS_HPP

#include "compat.hpp"  // first, as Python.h has to be

#include <array>
#include <atomic>
#include <cstdint>

#include "chain_lock.hpp"
#include "freelist.hpp"
#include "resumption.hpp"
#include "state.hpp"

namespace engine {

struct ModuleState;
struct Delegation;
struct IsolatedOperation;

/// Which thread is inside an awaitable. The GIL sees to it that there is one at most, apart from a body that awaits
/// what drives it; without the GIL an Occupied has to.
class Occupancy {
#ifdef Py_GIL_DISABLED
 public:
  std::atomic<void const*> thread{nullptr};
#endif
};

/// A stay of this thread inside an awaitable, for a scope. False when another thread is inside: then nothing may be
/// touched. A thread that comes in again is let in, as with the GIL.
class Occupied {
#ifdef Py_GIL_DISABLED
 public:
  explicit Occupied(Occupancy& place) noexcept : place_(place) {
    void const* found = nullptr;
    entered_ = place.thread.compare_exchange_strong(found, &here_, std::memory_order_acq_rel);
    inside_ = entered_ || found == &here_;
  }
  ~Occupied() {
    if (entered_) place_.thread.store(nullptr, std::memory_order_release);
  }
  Occupied(Occupied const&) = delete;
  auto operator=(Occupied const&) -> Occupied& = delete;
  explicit operator bool() const noexcept { return inside_; }

 private:
  static inline thread_local char here_ = 0;  // its address is the thread
  Occupancy& place_;
  bool entered_;
  bool inside_;
#else
 public:
  explicit constexpr Occupied(Occupancy const&) noexcept {}
  explicit constexpr operator bool() const noexcept { return true; }
#endif
};

/// The object that the user iterates (generator.cpp). Kept to five words: memory per generator is a figure we promise.
struct Generator {
  PyObject_HEAD Object body;  ///< what is driven: a coroutine. Null only while the collector takes a cycle apart.
  Object
      extra;  ///< the finalizer hook captured at the first iteration; while the body waits, the Suspension that has it
  PyObject* weakrefs;
  PyObject* dict;
  GeneratorState state;
};

/// How far an awaitable of the engine has come.
enum class Progress : std::uint8_t { initial, started, finished };

/// What an operation returns (operations.cpp): an `async_generator_asend` or an `async_generator_athrow`.
struct Awaitable {
  PyObject_HEAD ModuleState* module;
  Ref<Generator> generator;
  Object argument;  ///< asend: the value, or null; athrow: the exception, or its tuple of arguments
  Resumption resumption;
  agen::operation operation;
  Progress progress;
  bool packed;   ///< `argument` is the tuple of athrow(type, value, traceback)
  bool tracked;  ///< by the cyclic collector
  [[no_unique_address]] Occupancy occupancy;
};

/// What a body can wait at besides a real yield: an awaited yield_(), or a delegation.
struct Suspension {
  PyObject_HEAD ModuleState* module;
  Object finalizer;  ///< of the generator that waits here
  bool tracked;      ///< by the cyclic collector; if not, it sees the contents through the generator that waits here
  [[no_unique_address]] Occupancy occupancy;
};

/// What yield_() returns (yield.cpp).
struct Yield : Suspension {
  Object value;    ///< the item, until it is handed out
  Object pending;  ///< an exception that the next resumption raises at the await
  Object handled;  ///< what the consumer handles while it throws `pending`
  Progress progress;
  bool held;               ///< a generator of ours is suspended here: only its driver may resume it
  std::uint8_t announced;  ///< the place in ModuleState::handed_up that may have it, counted from 1; or 0
};

/// Which yield_() has handed up a wrapped item, until the driver sees the item arrive, or the yield_() is resumed or
/// ends without that: a generator in between may take it. A place for a few threads of the interpreter, since any
/// thread may drop the yield_(). Threads that share one push out each other's: the driver then takes the item for one
/// of a helper that it does not know. (Implemented in wrapped_item.cpp.)
class HandedUp {
 public:
  /// `yield` has handed up `item`.
  static void announce(Yield& yield, PyObject* item) noexcept;
  /// False for an item that no yield_() of this thread has handed up last. Asked of each item.
  static auto may_be(PyObject const* item) noexcept -> bool { return item == this_thread.handed_up; }
  /// The yield_() that handed up `item` on this thread, unless it was resumed or ended since; or null. It is forgotten.
  static auto take(ModuleState& module, PyObject const* item) noexcept -> Ref<Yield>;
  /// `yield` is resumed, or ends.
  static void forget(Yield& yield) noexcept;
  /// A new item has this address: one that was handed up here before is gone.
  static void forget_address(PyObject const* item) noexcept {
    if (may_be(item)) this_thread.handed_up = nullptr;
  }

  // For the collector.
  [[nodiscard]] auto yield() const noexcept -> PyObject* { return yield_.object(); }
  void clear() noexcept { yield_.reset(); }

 private:
  static auto number_of_thread() noexcept -> std::uint8_t;

  [[no_unique_address]] compat::Mutex mutex_;
  void const* thread_ = nullptr;    // compared, never followed
  PyObject const* item_ = nullptr;  // the same
  Ref<Yield> yield_;
};

/// A delegation's place in its chain. Only chain.hpp looks at it.
class Links {
  friend class Chain;
  Generator* parent_ = nullptr;      // whose body delegates; it owns the Delegation. Null while that is in no chain
  Generator* delegate_ = nullptr;    // the iterator, when it is ours and driven directly; Delegation::iterator owns it
  Delegation* outer_ = nullptr;      // the enclosing delegation; valid only after a driver has walked from its root
  Delegation* innermost_ = nullptr;  // of a root's delegation: the last of the chain, or null when it must be looked up
};

/// What a delegation is to the code that holds it.
enum class Role : std::uint8_t {
  request,      ///< handed to a driver at a real yield, or not used yet: answers travel past it
  awaited,      ///< a frame waits for it in a body that a driver runs: answers travel through it
  self_driven,  ///< it takes PEP 828's steps by itself, in a native async generator or after its driver has left it
};

/// What yield_from_() returns, and the state of a delegation (yield_from.cpp).
struct Delegation : Suspension {
  Object iterator;      ///< the argument at first, then what aiter() made of it
  Object awaiting;      ///< the operation of a foreign iterator that is under way
  Object pending_exit;  ///< the GeneratorExit to raise in the delegating body when the iterator is closed
  Object pending;       ///< an exception that the next resumption raises at the await
  Object handled;       ///< the exception that the delegating body was handling, where the consumer is not
  Links links;
  agen::operation under_way;
  Progress progress;
  Role role;
  bool opening;   ///< `awaiting` is an awaitable that aiter() answered
  bool taken;     ///< a generator has delegated by it, and none does again
  bool entered;   ///< by its own methods: the interpreter or a user is inside
  bool gives_up;  ///< no delegation: `iterator` is an exception that ends the operation, and not the body (give_up())
};

/// What a decorated function calls (function.cpp): the function that makes bodies, and how to drive them.
struct Factory {
  PyObject_HEAD vectorcallfunc vectorcall;
  ModuleState* module;
  Object original;              ///< the user's function, as it was decorated
  Object face;                  ///< what its wrapper shows of it, if that is another function
  Object prepare;               ///< makes `function` of it (python/async_generator/_bodies.py)
  Object function;              ///< makes the body; null before the first call
  Object names;                 ///< (globals, name, object, name, object ...): what rewritten code relies on, or null
  Object code;                  ///< the original's code that `function` is made of, or null
  Object face_code;             ///< the face's code that was last seen
  Object shown;                 ///< the code of the decorated function, or null where that cannot be run
  Ref<Factory> replacement;     ///< what is called while the decorated function has other code than `shown`
  std::uint64_t names_version;  ///< of the globals when `names` was last found to hold, where dicts have one
  std::uint32_t traits;         ///< of the generators made
  std::uint32_t parts;          ///< of their environment; 0 where they have none (environment.hpp)
  bool replaced;                ///< the code is not the one that was decorated any more: it runs as it is
#ifdef Py_GIL_DISABLED
  std::atomic<bool> ready;          ///< the preparation is complete, and does not change any more
  std::atomic<Factory*> successor;  ///< owned; prepared anew, after the original got other code
#else
  std::uint32_t calls;  ///< under way: they use what is prepared, and may have it replaced
  Object retired;       ///< what was replaced meanwhile, or null
#endif
};

/// yield_ and yield_from_ themselves (operators.cpp): callables with the attributes of a Python function.
struct Operator {
  PyObject_HEAD vectorcallfunc vectorcall;
  ModuleState* module;
  PyObject* dict;
};

/// Interned names.
struct Names {
  Object throw_, close, asend, athrow, aclose, value, args, cr_await, cr_frame, future_blocking, add_done_callback;
};

/// What one interpreter's copy of the module owns.
struct ModuleState {
  PyTypeObject* generator_type;
  PyTypeObject* asend_type;
  PyTypeObject* athrow_type;
  PyTypeObject* yield_type;
  PyTypeObject* delegation_type;
  PyTypeObject* factory_type;
  PyTypeObject* operator_type;
  PyTypeObject* cpp_body_type;
  PyTypeObject* item_array_type;
  PyTypeObject* environment_type;
  PyTypeObject* structured_firstiter_type;
  PyTypeObject* structured_finalizer_type;
  PyTypeObject* isolated_body_type;
  PyTypeObject* isolated_generator_type;
  PyTypeObject* isolated_operation_type;
  PyTypeObject* stream_source_type;
  PyTypeObject* stream_queue_type;
  PyTypeObject* wrapped_item_type;   ///< the interpreter's async_generator_wrapped_value
  PyTypeObject* known_wrapped_type;  ///< the same where its layout was verified, else null
  Object already_running;            ///< the exception class
  Object wrapping_generator;         ///< a native async generator that wraps what is sent into it
  Object layer;                      ///< the class Layer of _environment.py
  Object isolated;                   ///< makes an isolated_generator of _isolated.py
  Object task_swap;                  ///< see module_set_task_swap()
  Object current_tasks;              ///< asyncio's dict, where that is known to have them; or null
  Object awaiting;                   ///< the function awaiting() of _function.py
  Object running_task;               ///< the function running_task() of _running.py
  Object look;                       ///< the guard's look() of _guard.py
  Object pending;                    ///< what a source of a stream answers that has no item yet
  std::atomic<std::uint32_t> traits_given{
      ~trait::guarded};          ///< traits that new generators may have: by the guard's switch
  std::size_t context_vars = 0;  ///< where a context keeps its variables; 0 where that is not known
  Names names;
  FreeList<Generator> generators;
  FreeList<Delegation> delegations;
  FreeList<Awaitable> awaitables;
  FreeList<Yield> yields;
  FreeList<IsolatedOperation> isolated_operations;
  Awaitable spent{};                ///< finished; takes the place of one that is done with
  Awaitable* last_anext = &spent;   ///< what `async for` or anext() was given last, in use or in the list; never freed
  Ref<PyStopIterationObject> stop;  ///< the recycled StopIteration
  std::array<HandedUp, 16> handed_up;
  ChainLock chains;
  compat::Mutex factories;  ///< guards what factories have prepared, until it is ready
};

/// The state of the main interpreter's module, found without a call: most programs have no other. (Of a sub-interpreter
/// nothing may be remembered: its types' addresses come back in the next one.)
struct MainInterpreter {
  std::atomic<PyTypeObject*> generator_type{nullptr};
  ModuleState* module = nullptr;
};
extern MainInterpreter main_interpreter;

/// The state of the module that an instance's type belongs to.
auto look_up_state(PyObject* instance) noexcept -> ModuleState&;

inline auto is_of_main_interpreter(PyObject* generator) noexcept -> bool {
  return Py_TYPE(generator) == main_interpreter.generator_type.load(std::memory_order_relaxed);
}

inline auto state_of(PyObject* generator) noexcept -> ModuleState& {
  if (is_of_main_interpreter(generator)) [[likely]]
    return *main_interpreter.module;
  return look_up_state(generator);
}

/// The state that a dying object may give its memory to. At the interpreter's end the collector may have freed the
/// module before what is garbage with it.
template <class T>
auto living_state(T& dying) noexcept -> ModuleState& {
  return dying.module == main_interpreter.module ? *dying.module : look_up_state(reinterpret_cast<PyObject*>(&dying));
}

template <class T>
auto as(PyObject* object) noexcept -> T& {
  return *reinterpret_cast<T*>(object);
}
/// Memory for an object of an engine's type. Null with an exception set.
template <class T>
auto allocate(PyTypeObject* type) -> T* {
  if (type == nullptr) [[unlikely]] {
    PyErr_SetString(PyExc_RuntimeError, "async_generator goes down with its interpreter");
    return nullptr;
  }
  return PyObject_GC_New(T, type);
}

/// Clears the weak references to a tracked object without references. Their callbacks run code, in which the
/// collector must not come upon it: it would take an object without references for garbage, and free it a second time.
inline void clear_weakrefs(PyObject* dying) {
  PyObject_GC_UnTrack(dying);
  PyObject_ClearWeakRefs(dying);
  PyObject_GC_Track(dying);
}

template <class T>
auto object_of(T& t) noexcept -> PyObject* {
  return reinterpret_cast<PyObject*>(&t);
}

}  // namespace engine

#endif
