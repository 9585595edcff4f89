"""Waits for file descriptors and times, checkpoints, and shielded cleanup, on the event loop that runs.

Each function finds the event loop when it is called: asyncio (and uvloop), trio or curio, and anyio by the loop below
it. None of them is imported for that. For any other event loop, or to replace the one that is found, see
``use_event_loop()`` and ``register_event_loop()``. The names are public in ``async_generator.bridge``, for the C++
headers and for Python code (``docs/bridge/event_loops.md``).
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from . import _checks

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


_process = os.getpid()  # kept, because each wait asks, and getpid() is a system call


def _after_fork() -> None:
    global _process
    _process = os.getpid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class EventLoop:
    """The functions by which the bridge uses one kind of event loop. Each argument is kept as an attribute.

    ``wait_writable``, ``sleep``, ``shielded`` and ``first_of`` may be left out. Code that needs one of them then gets a RuntimeError.

    Args:
        name: the name of the loop, for error messages.
        wait_readable: ``wait_readable(fd)`` returns an awaitable, which completes when the file descriptor is readable.
        checkpoint: ``checkpoint()`` returns an awaitable, which lets everything else that is ready run once.
        running: ``running()`` says whether a loop of this kind drives the calling code. Only
            ``register_event_loop()`` needs it.
        wait_writable: ``wait_writable(fd)`` returns an awaitable, which completes when the file descriptor is writable.
        sleep: ``sleep(seconds)`` returns an awaitable, which completes after that time.
        shielded: ``shielded(awaitable, limit)`` returns an awaitable, which awaits ``awaitable`` and has its result. A
            cancellation that has already arrived must not arrive in ``awaitable`` again. After ``limit`` seconds, if
            ``limit`` is not None, it cancels ``awaitable`` and raises TimeoutError.
        first_of: ``first_of(coroutines)`` returns an awaitable, which runs the coroutines at the same time, cancels those
            that have not ended when the first has, awaits their end, and has the index of the first. It raises what the
            first raises, or else what another one raises at its end.
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
        first_of: Callable[[Sequence[Coroutine[Any, Any, object]]], Awaitable[int]] | None = None,
    ) -> None:
        self.name = name
        self.wait_readable = wait_readable
        self.checkpoint = checkpoint
        self.running = running
        self.wait_writable = wait_writable
        self.sleep = sleep
        self.shielded = shielded
        self.first_of = first_of

    def __repr__(self) -> str:
        return f"<EventLoop {self.name}>"


# asyncio, and loops such as uvloop that take its place. The search asks for a task of asyncio before it asks trio, and
# for a callback of asyncio after that: if trio is a guest of asyncio, trio's tasks run in asyncio's callbacks.


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


# (id of a loop, "reader" or "writer", descriptor). add_reader() and add_writer() replace an earlier callback silently.
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
    # asyncio cancels a task once for each request. Scopes of anyio cancel each wait of a task. A shield of anyio lets the
    # cancellation by task.cancel() through, as in asyncio.
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


async def _asyncio_first_of(coroutines: Sequence[Coroutine[Any, Any, object]]) -> int:
    asyncio = sys.modules["asyncio"]
    tasks = [asyncio.ensure_future(one) for one in coroutines]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        running = [task for task in tasks if not task.done()]
        for task in running:
            task.cancel()
        if running:
            await _asyncio_shielded(asyncio.wait(running), None)
        errors = [None if task.cancelled() else task.exception() for task in tasks]  # each is seen, as asyncio wants it
    first: int = next(index for index, task in enumerate(tasks) if task in ended)
    tasks[first].result()
    return _unless_failed(first, errors)


def _unless_failed(first: int, errors: Sequence[BaseException | None]) -> int:
    for error in (errors[first], *errors):
        if error is not None:
            raise error
    return first


async def _in_scope(library: Any, awaitable: Awaitable[Any], limit: float | None) -> Any:
    """Await in a shielded scope of trio or anyio."""
    with library.CancelScope(shield=True) as scope:
        if limit is not None:
            scope.deadline = library.current_time() + limit
        return await awaitable
    raise TimeoutError(_late(limit))  # the scope has caught its own cancellation


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


async def _trio_first_of(coroutines: Sequence[Coroutine[Any, Any, object]]) -> int:
    trio = sys.modules["trio"]
    errors: list[BaseException | None] = [None] * len(coroutines)
    ended = []

    async def run(index: int, coroutine: Coroutine[Any, Any, object]) -> None:
        try:
            await coroutine
        except trio.Cancelled:
            raise
        except BaseException as error:  # a nursery would put it into a group
            errors[index] = error
        ended.append(index)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for index, coroutine in enumerate(coroutines):
            nursery.start_soon(run, index, coroutine)
    return _unless_failed(ended[0], errors)


async def _curio_first_of(coroutines: Sequence[Coroutine[Any, Any, object]]) -> int:
    curio = sys.modules["curio"]
    errors: list[BaseException | None] = [None] * len(coroutines)
    ended = []

    async def run(index: int, coroutine: Coroutine[Any, Any, object]) -> None:
        try:
            await coroutine
        except curio.CancelledError:
            raise
        except BaseException as error:
            errors[index] = error
        ended.append(index)

    async with curio.TaskGroup(wait=any) as group:
        for index, coroutine in enumerate(coroutines):
            await group.spawn(run, index, coroutine)
    return _unless_failed(ended[0], errors)


def _in_curio() -> bool:
    meta = sys.modules.get("curio.meta")
    return meta is not None and bool(meta.curio_running())


async def _curio_wait(trap: str, fd: int) -> None:
    try:
        await getattr(sys.modules["curio.traps"], trap)(fd)
    finally:
        # Curio keeps a descriptor registered after a wait. It would not notice a later descriptor with the same number.
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
    first_of=_asyncio_first_of,
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
        first_of=_trio_first_of,
    ),
    EventLoop(
        "curio",
        running=_in_curio,
        wait_readable=functools.partial(_curio_wait, "_read_wait"),
        wait_writable=functools.partial(_curio_wait, "_write_wait"),
        checkpoint=lambda: sys.modules["curio"].sleep(0),
        sleep=lambda seconds: sys.modules["curio"].sleep(seconds),
        shielded=_curio_shielded,
        first_of=_curio_first_of,
    ),
    EventLoop(
        "asyncio, outside a task",
        running=lambda: _asyncio_loop() is not None,
        wait_readable=_ASYNCIO.wait_readable,
        wait_writable=_ASYNCIO.wait_writable,
        checkpoint=_ASYNCIO.checkpoint,
        sleep=_ASYNCIO.sleep,
        shielded=_ASYNCIO.shielded,
        first_of=_ASYNCIO.first_of,
    ),
]
_registered: list[EventLoop] = []
_chosen: ContextVar[EventLoop | None] = ContextVar("async_generator.bridge.event_loop", default=None)


def register_event_loop(loop: EventLoop) -> None:
    """Add one kind of event loop to those that the bridge knows, for the whole process.

    The bridge asks the loop that was registered last first, and asyncio, trio and curio at the end.

    Args:
        loop: an ``EventLoop`` with ``running``.
    """
    _registered.insert(0, loop)


@contextlib.contextmanager
def use_event_loop(loop: EventLoop) -> Iterator[EventLoop]:
    """Use an event loop in a ``with`` block and in the tasks that are started there, without asking any loop.

    Args:
        loop: an ``EventLoop``; its ``running`` is not called.

    Returns:
        A context manager whose value is ``loop``.
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
    """Wait until a file descriptor is readable, at its end, or in error, on the event loop that runs.

    Args:
        fd: an open file descriptor, or an object with ``fileno()``. The event loop must be able to watch it; regular
            files cannot be watched.

    Raises:
        OSError: if the system refuses to watch ``fd``.
        RuntimeError: if no known event loop runs here, if this loop cannot watch descriptors, or, on asyncio, if another
            task already waits until ``fd`` is readable.
        trio.BusyResourceError: on trio, if another task already waits until ``fd`` is readable.
        curio.ReadResourceBusy: on curio, in the same case.
    """
    await _current().wait_readable(fd if isinstance(fd, int) else fd.fileno())


async def wait_writable(fd: int | _HasFileno) -> None:
    """Wait until a file descriptor is writable or in error, on the event loop that runs.

    At the same time, another task may wait until the same descriptor is readable.

    Args:
        fd: an open file descriptor, or an object with ``fileno()``, as for ``wait_readable()``.

    Raises:
        OSError: if the system refuses to watch ``fd``.
        RuntimeError: if no known event loop runs here, if this loop cannot watch descriptors, if its ``EventLoop`` was
            made without ``wait_writable``, or, on asyncio, if another task already waits until ``fd`` is writable.
        trio.BusyResourceError: on trio, if another task already waits until ``fd`` is writable.
        curio.WriteResourceBusy: on curio, in the same case.
    """
    await _ability("wait_writable")(fd if isinstance(fd, int) else fd.fileno())


async def sleep(seconds: float) -> None:
    """Wait for a time, on the event loop that runs.

    Args:
        seconds: the time, in seconds.

    Raises:
        TypeError: if ``seconds`` is no number.
        ValueError: if ``seconds`` is nan.
        RuntimeError: if no known event loop runs here, or its ``EventLoop`` was made without ``sleep``.
    """
    await _ability("sleep")(_checks.seconds(seconds, "sleep(): seconds"))


async def shielded(awaitable: Awaitable[Any], limit: float | None = None) -> Any:
    """Await ``awaitable`` so that a cancellation that has already arrived does not arrive in it again: for cleanup.

    trio and anyio cancel each wait of a cancelled scope; they do not cancel the waits of ``awaitable``. asyncio and curio
    cancel a task once for each request, so a second request cancels ``awaitable``, too. ``awaitable`` runs in the task
    that awaits this function. ``asyncio.shield()`` does something else.

    Args:
        awaitable: a coroutine or another awaitable. If it is not awaited, its ``close()`` is called, if it has one.
        limit: seconds after which ``awaitable`` is cancelled; never if it is ``None``.

    Returns:
        The result of ``awaitable``.

    Raises:
        TimeoutError: if ``awaitable`` was not done within ``limit`` seconds.
        TypeError: if ``limit`` is no number.
        ValueError: if ``limit`` is nan.
        RuntimeError: if no known event loop runs here, or its ``EventLoop`` was made without ``shielded``.
        BaseException: what ``awaitable`` raises.
    """
    try:
        shield = _ability("shielded")
        limit = None if limit is None else _checks.seconds(limit, "shielded(): limit")
    except (RuntimeError, TypeError, ValueError):
        close = getattr(awaitable, "close", None)
        if close is not None:
            close()  # this coroutine will never be awaited
        raise
    return await shield(awaitable, limit)


async def checkpoint() -> None:
    """Let everything else that is ready on the event loop run once. The awaiting task may be cancelled here.

    Raises:
        RuntimeError: if no known event loop runs here.
    """
    await _current().checkpoint()


class Watch:
    """Waits many times until one descriptor is readable. The descriptor carries only wakeups: its data may be dropped.

    On every loop but asyncio's, a wait is a ``wait_readable()``. On asyncio, the descriptor stays registered from one
    wait to the next, which takes half of the cost of a wait, and its data is read and dropped. The registered descriptor
    is a duplicate. So the registration lives exactly as long as this object, whatever happens to ``fd``, and on whichever
    thread this object is dropped.

    Args:
        fd: an open file descriptor that does not block.

    Raises:
        OSError: if ``fd`` cannot be duplicated.
    """

    def __init__(self, fd: int) -> None:
        self._fd = -1  # for __del__, if dup() raises
        self._fd = os.dup(fd)
        self._process = _process
        self._loop: AbstractEventLoop | None = None
        self._future: Future[None] | None = None

    def wait(self) -> Awaitable[object]:
        """Start to wait until the descriptor is readable. Only one wait at a time is possible.

        Returns:
            An awaitable, which completes when the descriptor is readable.

        Raises:
            RuntimeError: if no known event loop runs here, or this loop cannot watch descriptors. Awaiting the result
                raises what ``wait_readable()`` raises.
        """
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
        if self._loop is not None and not self._loop.is_closed() and self._process == _process:
            self._loop.remove_reader(self._fd)
        self._loop = None
        _add(loop, "reader", self._fd, self._ready)
        self._loop = loop

    def _ready(self) -> None:
        # The data is read here and not by the task that is woken: the loop polls the descriptor again before that task runs.
        try:
            os.read(self._fd, 64)
        except BlockingIOError:
            pass
        future = self._future
        if future is not None and not future.done():
            future.set_result(None)

    def close(self) -> None:
        """Stop watching, and close the duplicate. May be called on any thread, and more than once."""
        if sys is None or sys.is_finalizing():  # names used below may be gone; the system closes the descriptor
            return
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        loop, self._loop = self._loop, None
        # A forked process shares the selector with its parent: a removal here would also remove it from the parent's loop.
        if loop is None or loop.is_closed() or self._process != _process:
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


# Channels: see agen/python/hub.hpp. A hub lives as long as its loop watches it, or a consumer waits by it. Only the loop
# may keep a hub alive: the hub keeps futures, and these keep the loop.
_hubs: WeakKeyDictionary[AbstractEventLoop, dict[int, tuple[weakref.ref[_Hub], object]]] = WeakKeyDictionary()


class _Hub:
    """Completes the futures of the consumers whose bells were rung, on one asyncio loop.

    Args:
        loop: the loop.
        fd: the descriptor that becomes readable when a bell is rung.
        take: returns the numbers of the bells that were rung since the last call.
        handle: the object by which C++ knows the hub.
    """

    __slots__ = ("__weakref__", "_take", "handle", "loop", "process", "waiting")

    def __init__(self, loop: AbstractEventLoop, fd: int, take: Callable[[], list[int]], handle: object) -> None:
        self.handle = handle
        self.loop = weakref.ref(loop)
        self.process = _process
        self.waiting: dict[int, Future[None]] = {}
        self._take = take
        _add(loop, "reader", fd, self._ready)

    def _ready(self) -> None:
        waiting = self.waiting
        for number in self._take():
            future = waiting.pop(number, None)
            if future is not None and not future.done():
                future.set_result(None)


_last_hubs: dict[int, weakref.ref[_Hub]] = {}  # of each module, the one that was asked for last


def _hub_of(loop: AbstractEventLoop, module: int, make: Callable[[], tuple[int, Any, object]]) -> _Hub:
    last = _last_hubs.get(module)
    hub = last() if last is not None else None
    if hub is None or hub.loop() is not loop or hub.process != _process:
        hub = _find_hub(loop, module, make)
        _last_hubs[module] = weakref.ref(hub)
    return hub


def _find_hub(loop: AbstractEventLoop, module: int, make: Callable[[], tuple[int, Any, object]]) -> _Hub:
    hubs = _hubs.setdefault(loop, {})
    known = hubs.get(module)
    hub = known[0]() if known is not None else None
    # A forked process has a copy of its parent's hub, and must not take the bells that are rung in the parent.
    if hub is None or hub.process != _process:
        hub = _Hub(loop, *make())
        # The handle keeps the descriptor open as long as the loop exists. uvloop asks the system about the descriptor after
        # it has dropped the hub, and a producer that outlives the loop must not have closed it by then.
        hubs[module] = weakref.ref(hub), hub.handle
    return hub


class _Bells:
    """Waits for the consumer of one channel.

    Args:
        number: the number of the channel's bell in the hub.
        module: identifies the extension module, which has one hub for each loop.
        make: makes the arguments of a new hub: its descriptor, a function that returns the numbers of the bells that
            were rung, and the handle by which C++ knows the hub.
    """

    __slots__ = ("_hub", "_loop", "_make", "_module", "_number")

    def __init__(self, number: int, module: int, make: Callable[[], tuple[int, Any, object]]) -> None:
        self._number = number
        self._module = module
        self._make = make
        self._loop: AbstractEventLoop | None = None
        self._hub: _Hub | None = None

    def __call__(self) -> object:
        """Start to wait.

        Returns:
            A future that the hub completes. If the hub is not that of the previous call: the handle of the new hub, and
            a future. If the loop needs a descriptor for each channel: the function that waits until a descriptor is
            readable.

        Raises:
            RuntimeError: if no known event loop runs here, or this loop cannot watch descriptors.
        """
        loop: AbstractEventLoop | None = _asyncio_loop()
        if loop is None:
            return _current().wait_readable
        hub = self._hub
        usual = _chosen.get() is None and sys.modules["asyncio"].current_task(loop) is not None
        if hub is None or loop is not self._loop or not usual:
            return self._elsewhere(loop, usual and not _registered)
        future: Future[None] = loop.create_future()
        hub.waiting[self._number] = future
        return future

    def _elsewhere(self, loop: AbstractEventLoop, in_task: bool) -> object:
        current = _ASYNCIO if in_task else _current()
        if current is not _ASYNCIO:
            return current.wait_readable
        self._forget()
        try:
            self._hub = _hub_of(loop, self._module, self._make)
        except TypeError:  # a loop without weak references
            return current.wait_readable
        self._loop = loop
        future: Future[None] = loop.create_future()
        self._hub.waiting[self._number] = future
        return self._hub.handle, future

    def _forget(self) -> None:
        if self._hub is not None:
            self._hub.waiting.pop(self._number, None)
        self._hub = None

    def __del__(self) -> None:
        self._forget()


def _home() -> object:
    """What tells the event loop that runs from others; None if asyncio and trio do not run here."""
    loop = _asyncio_loop()
    if (loop is None or not _in_asyncio_task()) and _in_trio_task():
        return sys.modules["trio"].lowlevel.current_trio_token()
    return loop


def _closing(awaitable: Awaitable[object], limit: float | None) -> Awaitable[object]:
    """Shield ``awaitable``, if the loop has a shield, for the cleanup of a channel.

    Args:
        awaitable: the cleanup.
        limit: seconds after which ``awaitable`` is cancelled; never if it is None, or the loop has no shield.

    Returns:
        An awaitable; it returns None if ``awaitable`` was cancelled after ``limit``.

    Raises:
        RuntimeError: if no known event loop runs here.
    """
    shield = _current().shielded
    if shield is None:
        return awaitable
    return shield(awaitable, None) if limit is None else _patiently(shield(awaitable, limit), limit)


def _first_of(coroutines: Sequence[Coroutine[Any, Any, object]]) -> Awaitable[int]:
    """Run coroutines until the first has ended, for ``agen/python/first_of.hpp``.

    Args:
        coroutines: what C++ awaits. They are closed if this loop cannot run them.

    Returns:
        An awaitable of the index of the first to end; it raises what that raises.

    Raises:
        RuntimeError: if no known event loop runs here, or its ``EventLoop`` was made without ``first_of``.
    """
    try:
        run = _ability("first_of")
    except RuntimeError:
        for one in coroutines:
            one.close()
        raise
    return run(coroutines)


async def _patiently(shielded: Awaitable[object], limit: float) -> None:
    began = time.monotonic()
    try:
        await shielded
    except TimeoutError:
        if time.monotonic() - began < limit / 2:  # a loop's timer is never as early as this: another timeout
            raise
