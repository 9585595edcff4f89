"""Waiting until a file descriptor is readable or writable or a time has passed, giving others a turn, and cleaning up in
peace after a cancellation, on whichever event loop runs.

All are found at run time for asyncio (and uvloop), trio and curio, and so for anyio, without importing any of them; for
any other event loop, or to replace what was found, see :func:`use_event_loop` and :func:`register_event_loop`. The names
are those of ``async_generator.bridge``: the C++ headers call them there, and Python code may.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from typing import Protocol

    class _HasFileno(Protocol):
        def fileno(self) -> int: ...


__all__ = [
    "EventLoop",
    "Watch",
    "checkpoint",
    "register_event_loop",
    "shielded",
    "sleep",
    "use_event_loop",
    "wait_readable",
    "wait_writable",
]


class EventLoop:
    """What the bridge has to know of one kind of event loop.

    ``wait_readable(fd)`` and ``checkpoint()`` return awaitables: the first completes when the file descriptor is readable,
    the second lets everything else that is ready run once. ``running()`` says whether the calling code is driven by such
    a loop; it is needed for :func:`register_event_loop` only.

    The others may be left out; where one is needed, its absence is then a RuntimeError. ``wait_writable(fd)`` and
    ``sleep(seconds)`` return awaitables, too. So does ``shielded(awaitable, limit)``, which awaits ``awaitable`` and gives
    its result, and keeps a cancellation that has arrived before from arriving in it again; after ``limit`` seconds, where
    that is not None, it cancels ``awaitable`` and raises TimeoutError.
    """

    def __init__(
        self,
        name: str,
        *,
        wait_readable: Callable[[int], Awaitable[object]],
        checkpoint: Callable[[], Awaitable[object]],
        running: Callable[[], bool] = lambda: False,
        wait_writable: Callable[[int], Awaitable[object]] | None = None,
        sleep: Callable[[float], Awaitable[object]] | None = None,
        shielded: Callable[[Awaitable[Any], float | None], Awaitable[Any]] | None = None,
    ) -> None:
        self.name = name
        self.wait_readable = wait_readable
        self.checkpoint = checkpoint
        self.running = running
        self.wait_writable = wait_writable
        self.sleep = sleep
        self.shielded = shielded

    def __repr__(self) -> str:
        return f"<EventLoop {self.name}>"


# asyncio and the loops that take its place. A task of it comes before trio, a callback of it after: when trio is a guest
# of asyncio, trio's tasks run in callbacks.


def _asyncio_loop() -> Any:
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    try:
        return asyncio.get_running_loop()
    except (RuntimeError, AttributeError):  # AttributeError: asyncio is being imported by another thread
        return None


def _in_asyncio_task() -> bool:
    loop = _asyncio_loop()
    return loop is not None and sys.modules["asyncio"].current_task(loop) is not None


def _add(loop: AbstractEventLoop, end: str, fd: int, *callback: Any) -> None:
    try:
        getattr(loop, f"add_{end}")(fd, *callback)
    except NotImplementedError:
        raise RuntimeError(
            f"{type(loop).__name__} cannot watch file descriptors; on Windows run the program on asyncio's "
            "SelectorEventLoop, which can watch sockets"
        ) from None


def _complete(future: Future[None]) -> None:
    if not future.done():
        future.set_result(None)


# (loop, "reader" or "writer", descriptor): add_reader() and add_writer() replace a callback without a word
_waited_for: set[tuple[int, str, int]] = set()


async def _asyncio_wait(end: str, fd: int) -> None:
    loop = _asyncio_loop()
    key = (id(loop), end, fd)
    if key in _waited_for:
        raise RuntimeError(f"another task waits already until file descriptor {fd} is {_ENDS[end]}")
    future = loop.create_future()
    _waited_for.add(key)
    try:
        _add(loop, end, fd, _complete, future)
        try:
            await future
        finally:
            if not loop.is_closed():
                getattr(loop, f"remove_{end}")(fd)
    finally:
        _waited_for.discard(key)


_ENDS = {"reader": "readable", "writer": "writable"}


def _asyncio_sleep(seconds: float) -> Any:
    return sys.modules["asyncio"].sleep(seconds)


async def _asyncio_shielded(awaitable: Awaitable[Any], limit: float | None) -> Any:
    # asyncio cancels once; it is the scopes of anyio that cancel each wait of a task. Their shields let through what
    # task.cancel() asks for, as asyncio has it.
    anyio = sys.modules.get("anyio")
    if anyio is not None and hasattr(anyio, "CancelScope") and _in_asyncio_task():
        return await _in_scope(anyio, awaitable, limit)
    if limit is None:
        return await awaitable
    asyncio = sys.modules["asyncio"]
    try:
        if sys.version_info < (3, 11):
            return await asyncio.wait_for(awaitable, limit)
        async with asyncio.timeout(limit):
            return await awaitable
    except asyncio.TimeoutError as error:
        raise TimeoutError(_late(limit)) from error


async def _in_scope(library: Any, awaitable: Awaitable[Any], limit: float | None) -> Any:
    """Awaits in a shielded scope of trio or anyio."""
    with library.CancelScope(shield=True) as scope:
        if limit is not None:
            scope.deadline = library.current_time() + limit
        return await awaitable
    raise TimeoutError(_late(limit))  # the scope keeps its own cancellation


def _late(limit: float | None) -> str:
    return f"it was not done within {limit} s, the limit given to shielded()"


def _in_trio_task() -> bool:
    trio = sys.modules.get("trio")
    if trio is None:
        return False
    try:
        trio.lowlevel.current_task()
    except (RuntimeError, AttributeError):
        return False
    return True


def _in_curio() -> bool:
    meta = sys.modules.get("curio.meta")
    return meta is not None and bool(meta.curio_running())


async def _curio_wait(trap: str, fd: int) -> None:
    try:
        await getattr(sys.modules["curio.traps"], trap)(fd)
    finally:
        # Curio keeps a descriptor that was waited for, and would not notice that another one has its number later.
        await sys.modules["curio.traps"]._io_release(fd)


async def _curio_shielded(awaitable: Awaitable[Any], limit: float | None) -> Any:
    if limit is None:  # curio cancels once
        return await awaitable
    curio = sys.modules["curio"]
    try:
        async with curio.timeout_after(limit):
            return await awaitable
    except curio.TaskTimeout as error:
        raise TimeoutError(_late(limit)) from error


_ASYNCIO = EventLoop(
    "asyncio",
    running=_in_asyncio_task,
    wait_readable=functools.partial(_asyncio_wait, "reader"),
    wait_writable=functools.partial(_asyncio_wait, "writer"),
    checkpoint=functools.partial(_asyncio_sleep, 0),
    sleep=_asyncio_sleep,
    shielded=_asyncio_shielded,
)
_FOUND = [
    _ASYNCIO,
    EventLoop(
        "trio",
        running=_in_trio_task,
        wait_readable=lambda fd: sys.modules["trio"].lowlevel.wait_readable(fd),
        wait_writable=lambda fd: sys.modules["trio"].lowlevel.wait_writable(fd),
        checkpoint=lambda: sys.modules["trio"].lowlevel.checkpoint(),
        sleep=lambda seconds: sys.modules["trio"].sleep(seconds),
        shielded=lambda awaitable, limit: _in_scope(sys.modules["trio"], awaitable, limit),
    ),
    EventLoop(
        "curio",
        running=_in_curio,
        wait_readable=functools.partial(_curio_wait, "_read_wait"),
        wait_writable=functools.partial(_curio_wait, "_write_wait"),
        checkpoint=lambda: sys.modules["curio"].sleep(0),
        sleep=lambda seconds: sys.modules["curio"].sleep(seconds),
        shielded=_curio_shielded,
    ),
    EventLoop(
        "asyncio, outside a task",
        running=lambda: _asyncio_loop() is not None,
        wait_readable=_ASYNCIO.wait_readable,
        wait_writable=_ASYNCIO.wait_writable,
        checkpoint=_ASYNCIO.checkpoint,
        sleep=_ASYNCIO.sleep,
        shielded=_ASYNCIO.shielded,
    ),
]
_registered: list[EventLoop] = []
_chosen: ContextVar[EventLoop | None] = ContextVar("async_generator.bridge.event_loop", default=None)


def register_event_loop(loop: EventLoop) -> None:
    """Teaches the bridge one more kind of event loop, for the whole process. The last one registered is asked first.

    :param loop: an :class:`EventLoop` with ``running``
    """
    _registered.insert(0, loop)


@contextlib.contextmanager
def use_event_loop(loop: EventLoop) -> Iterator[EventLoop]:
    """In the ``with`` block, and in the tasks that are started there, the bridge uses ``loop`` without asking further.

    :param loop: an :class:`EventLoop`
    """
    token = _chosen.set(loop)
    try:
        yield loop
    finally:
        _chosen.reset(token)


def _current() -> EventLoop:
    chosen = _chosen.get()
    if chosen is not None:
        return chosen
    for loop in (*_registered, *_FOUND):
        if loop.running():
            return loop
    raise RuntimeError(
        "a C++ generator has to wait, and no event loop that async_generator.bridge knows is running here (asyncio, "
        "uvloop, trio, curio); tell it of yours by use_event_loop() or register_event_loop()"
    )


def _ability(name: str) -> Callable[..., Awaitable[Any]]:
    loop = _current()
    ability: Callable[..., Awaitable[Any]] | None = getattr(loop, name, None)
    if ability is None:
        raise RuntimeError(f"{loop!r} cannot do this: its bridge.EventLoop was made without {name}=")
    return ability


async def wait_readable(fd: int | _HasFileno) -> None:
    """Waits until the file descriptor is readable (or at its end, or in error), on the event loop that runs.

    :param fd: an open file descriptor, or an object with ``fileno()``; of a kind that the event loop can watch, which
        regular files are not
    :raises RuntimeError: no event loop that is known runs here; this loop cannot watch descriptors; on asyncio, another
        task waits for this one already (trio raises ``BusyResourceError``, curio ``ReadResourceBusy``)
    """
    await _current().wait_readable(fd if isinstance(fd, int) else fd.fileno())


async def wait_writable(fd: int | _HasFileno) -> None:
    """Waits until the file descriptor is writable (or in error), on the event loop that runs. Beside it another task may
    wait until the same one is readable.

    :param fd: as for :func:`wait_readable`
    :raises RuntimeError: as :func:`wait_readable`; the loop is one of the user's that was described without this
    """
    await _ability("wait_writable")(fd if isinstance(fd, int) else fd.fileno())


async def sleep(seconds: float) -> None:
    """Waits for a time, on the event loop that runs.

    :raises RuntimeError: no event loop that is known runs here, or it is one of the user's that was described without this
    """
    await _ability("sleep")(seconds)


async def shielded(awaitable: Awaitable[Any], limit: float | None = None) -> Any:
    """Awaits ``awaitable``, and gives its result, without a cancellation that has arrived already arriving in it again: for
    cleanup that awaits. trio and anyio cancel each wait of a cancelled scope, here none; what asyncio and curio cancel,
    they cancel once, and once more if they are asked to. It runs in the task that awaits it; ``asyncio.shield()`` is
    something else.

    :param limit: seconds after which ``awaitable`` is cancelled
    :raises TimeoutError: it was not done by then
    :raises RuntimeError: as :func:`sleep`
    """
    try:
        shield = _ability("shielded")
    except RuntimeError:
        close = getattr(awaitable, "close", None)
        if close is not None:
            close()  # a coroutine that is not awaited now never will be
        raise
    return await shield(awaitable, limit)


async def checkpoint() -> None:
    """Lets everything else that is ready on the event loop run once; the awaiting task may be cancelled here.

    :raises RuntimeError: no event loop that is known runs here
    """
    await _current().checkpoint()


class Watch:
    """Waits many times for one descriptor that carries wakeups only: what is in it may be read and dropped here. It must
    not block.

    The same as :func:`wait_readable` on every loop but asyncio's: there the descriptor stays registered from one wait to
    the next, which takes half of the cost of a wait. It watches a duplicate, so that the registration lives exactly as
    long as this object, whatever becomes of ``fd`` and whichever thread drops it.
    """

    def __init__(self, fd: int) -> None:
        self._fd = -1  # what __del__ finds where there is no descriptor left
        self._fd = os.dup(fd)
        self._process = os.getpid()
        self._loop: AbstractEventLoop | None = None
        self._future: Future[None] | None = None

    def wait(self) -> Awaitable[object]:
        """Awaitable: completes when the descriptor is readable. One at a time. Raises as :func:`wait_readable`."""
        loop = _asyncio_loop()
        if loop is None or loop is not self._loop or _chosen.get() is not None or not _in_asyncio_task():
            current = _current()
            if loop is None or current is not _ASYNCIO:
                return current.wait_readable(self._fd)
            self._move_to(loop)
        future: Future[None] = loop.create_future()
        self._future = future
        return future

    def __call__(self) -> Awaitable[object]:
        return self.wait()

    def _move_to(self, loop: AbstractEventLoop) -> None:
        if loop is self._loop:
            return
        if self._loop is not None and not self._loop.is_closed() and os.getpid() == self._process:
            self._loop.remove_reader(self._fd)
        self._loop = None
        _add(loop, "reader", self._fd, self._ready)
        self._loop = loop

    def _ready(self) -> None:
        # Read here, and not by the one who is woken: the loop looks at the descriptor once more before that one runs.
        try:
            os.read(self._fd, 64)
        except BlockingIOError:
            pass
        future = self._future
        if future is not None and not future.done():
            future.set_result(None)

    def close(self) -> None:
        """Ends the watching. May be called on any thread, and more than once."""
        if sys is None or sys.is_finalizing():  # what is needed below may be gone; the system closes the descriptor
            return
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        loop, self._loop = self._loop, None
        # A forked process shares the selector: what it took out would be gone from its parent's loop.
        if loop is None or loop.is_closed() or os.getpid() != self._process:
            os.close(fd)
        elif loop is _asyncio_loop() or not loop.is_running():
            loop.remove_reader(fd)
            os.close(fd)
        else:
            try:
                loop.call_soon_threadsafe(_remove_and_close, loop, fd)
            except RuntimeError:  # closed meanwhile
                os.close(fd)

    def __del__(self) -> None:
        self.close()


def _remove_and_close(loop: AbstractEventLoop, fd: int) -> None:
    loop.remove_reader(fd)
    os.close(fd)


# Channels: see agen/python/hub.hpp. A hub lives as long as its loop watches it, or somebody waits by it. Nothing but the
# loop may keep it: it keeps futures, and these keep the loop.
_hubs: WeakKeyDictionary[AbstractEventLoop, dict[int, tuple[weakref.ref[_Hub], object]]] = WeakKeyDictionary()


class _Hub:
    """Completes the futures of the consumers whose bells were rung, on one asyncio loop."""

    def __init__(self, loop: AbstractEventLoop, fd: int, take: Callable[[], list[int]], handle: object) -> None:
        self.handle = handle  # what C++ knows it by
        self.process = os.getpid()
        self.waiting: dict[int, Future[None]] = {}
        self._take = take
        _add(loop, "reader", fd, self._ready)

    def _ready(self) -> None:
        waiting = self.waiting
        for number in self._take():
            future = waiting.pop(number, None)
            if future is not None and not future.done():
                future.set_result(None)


def _hub_of(loop: AbstractEventLoop, module: int, make: Callable[[], tuple[int, Any, object]]) -> _Hub:
    hubs = _hubs.setdefault(loop, {})
    known = hubs.get(module)
    hub = known[0]() if known is not None else None
    # A forked process has the parent's hub, and must not take what is rung there.
    if hub is None or hub.process != os.getpid():
        hub = _Hub(loop, *make())
        # The handle keeps the descriptor for as long as the loop is there: uvloop asks the system about it when it has let
        # go of the hub, and a producer that outlives the loop must not have closed it by then.
        hubs[module] = weakref.ref(hub), hub.handle
    return hub


class _Bells:
    """How the consumer of one channel waits.

    :param number: what the hub knows its bell by
    :param module: the extension module, whose hub it is
    :param make: makes that: its descriptor, a function that gives the numbers of the bells rung, the hub for C++
    """

    def __init__(self, number: int, module: int, make: Callable[[], tuple[int, Any, object]]) -> None:
        self._number = number
        self._module = module
        self._make = make
        self._loop: AbstractEventLoop | None = None
        self._hub: _Hub | None = None

    def __call__(self) -> object:
        """A future that the hub completes; or that hub's handle, if it is not the one of the call before; or, where each
        channel has a descriptor of its own, the function that waits until it is readable."""
        loop: AbstractEventLoop | None = _asyncio_loop()
        if loop is None:
            return _current().wait_readable
        hub = self._hub
        if hub is None or loop is not self._loop or _chosen.get() is not None or not _in_asyncio_task():
            return self._elsewhere(loop)
        future: Future[None] = loop.create_future()
        hub.waiting[self._number] = future
        return future

    def _elsewhere(self, loop: AbstractEventLoop) -> object:
        current = _current()
        if current is not _ASYNCIO:
            return current.wait_readable
        self._forget()
        try:
            self._hub = _hub_of(loop, self._module, self._make)
        except TypeError:  # a loop without weak references
            return current.wait_readable
        self._loop = loop
        return self._hub.handle

    def _forget(self) -> None:
        if self._hub is not None:
            self._hub.waiting.pop(self._number, None)
        self._hub = None

    def __del__(self) -> None:
        self._forget()


def _closing(awaitable: Awaitable[object], limit: float | None) -> Awaitable[object]:
    """``awaitable`` in peace, as far as the loop can do that; after ``limit`` seconds it ends without a word."""
    shield = _current().shielded
    if shield is None:
        return awaitable
    return shield(awaitable, None) if limit is None else _patiently(shield(awaitable, limit), limit)


async def _patiently(shielded: Awaitable[object], limit: float) -> None:
    began = time.monotonic()
    try:
        await shielded
    except TimeoutError:
        if time.monotonic() - began < limit / 2:  # loops' timers may be early, but not so; it is somebody else's
            raise
