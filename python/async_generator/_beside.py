"""What a C++ body waits for beside its own await: the sources of its streams (``agen/python/beside.hpp``).

A body awaits one thing at a time, as a coroutine does. The sources of a stream wait at the same time: each in a lane, a
task that awaits one thing after the other. The body itself awaits a bell, which rings when one of them has ended. The
names and rules are those of ``streams/_sources.py``: a source has a task and a context of its own.
"""

from __future__ import annotations

import sys
import weakref
from collections import deque
from collections.abc import Awaitable
from contextvars import copy_context
from typing import Any

from ._event_loops import _asyncio_loop, _complete, _in_asyncio_task, _in_trio_task


class _Wait:
    """One awaitable, until its answer is taken.

    Args:
        beside: to whom the answer goes.
        number: by which C++ knows it.
        awaitable: what is awaited.
    """

    __slots__ = ("__weakref__", "awaitable", "beside", "cancelled", "interrupt", "is_future", "number")

    def __init__(self, beside: _Beside, number: int, awaitable: Awaitable[Any]) -> None:
        self.beside: _Beside | None = beside
        self.number = number
        self.awaitable: Awaitable[Any] | None = awaitable
        self.cancelled = False  # from here: a cancellation is then the answer to that
        self.is_future = False  # which others may await, too
        self.interrupt: Any = None  # interrupts what awaits it

    def cancel(self) -> None:
        self.cancelled = True
        if self.interrupt is not None:
            self.interrupt()

    def end(self, error: BaseException | None, result: Any = None, *, cancelled: bool = False) -> None:
        beside, self.beside = self.beside, None
        self.awaitable = self.interrupt = None
        if beside is not None:
            beside.answered(self.number, cancelled, error, result)


class _AsyncioLane:
    """A task that awaits one thing after the other. After a cancellation the next one gets another task."""

    def __init__(self) -> None:
        self.wait: _Wait | None = None
        self.idle: Any = None  # a future while the task has nothing to do
        self.closed = False
        self.loop: Any = None
        self.task: Any = None  # a weak reference

    def begin(self, wait: _Wait) -> None:
        asyncio = sys.modules["asyncio"]
        loop = asyncio.get_running_loop()
        self.wait = wait
        if self.idle is not None and not self.idle.done() and self.loop is loop:
            wait.interrupt = self.task().cancel
            self.idle.set_result(None)
            return
        self.loop = loop
        task = loop.create_task(self.serve())
        self.task = weakref.ref(task)
        wait.interrupt = task.cancel
        task.add_done_callback(self.ended)

    async def serve(self) -> None:
        while self.wait is not None:
            wait, self.wait = self.wait, None
            goes_on = await self.answer(wait)
            del wait
            if not goes_on or self.closed:
                return
            await self.be_idle()

    async def be_idle(self) -> None:
        self.idle = self.loop.create_future()
        try:
            await self.idle
        finally:
            self.idle = None

    async def answer(self, wait: _Wait) -> bool:
        awaitable: Any = wait.awaitable
        try:
            result = await awaitable
        except sys.modules["asyncio"].CancelledError as error:
            wait.end(error, cancelled=wait.cancelled)
            return False
        except BaseException as error:
            goes_on = not wait.cancelled
            wait.end(error)
            return goes_on
        goes_on = not wait.cancelled  # a cancellation that came too late may still be on its way to this task
        wait.end(None, result)
        return goes_on

    def ended(self, _: Any) -> None:
        """The task was cancelled before it has begun, or while it was idle."""
        wait, self.wait = self.wait, None
        if wait is None:
            return
        if wait.cancelled or self.loop.is_closed():
            _close(wait.awaitable)
            wait.end(sys.modules["asyncio"].CancelledError(), cancelled=wait.cancelled)
        else:
            self.begin(wait)

    def close(self) -> None:
        self.closed = True
        if self.idle is not None and not self.loop.is_closed():
            if _asyncio_loop() is self.loop:
                _complete(self.idle)
            else:
                self.loop.call_soon_threadsafe(_complete, self.idle)


class _Future:
    """A future of asyncio needs no task. The same as a lane, for one wait."""

    def begin(self, wait: _Wait) -> None:
        future: Any = wait.awaitable
        wait.interrupt = future.cancel
        wait.is_future = True
        reference = weakref.ref(wait)
        future.add_done_callback(lambda done: self.done(done, reference()))

    def done(self, future: Any, wait: _Wait | None) -> None:
        if wait is None or wait.beside is None:
            return
        if future.cancelled():
            wait.end(sys.modules["asyncio"].CancelledError(), cancelled=wait.cancelled)
        elif (error := future.exception()) is not None:
            wait.end(error)
        else:
            wait.end(None, future.result())


class _TrioLane:
    """The same as ``_AsyncioLane``: a system task, since a nursery must not be held open across the yields of a generator."""

    def __init__(self) -> None:
        self.trio = sys.modules["trio"]
        self.wait: _Wait | None = None
        self.event: Any = None
        self.closed = False
        self.token: Any = None
        self.scope: Any = None

    def begin(self, wait: _Wait) -> None:
        token = self.trio.lowlevel.current_trio_token()
        self.wait = wait
        if self.event is not None and self.token is token and not self.scope.cancel_called:
            wait.interrupt = self.scope.cancel
            self.event.set()
            return
        self.token = token
        self.scope = self.trio.CancelScope()  # around all, as a source may hold scopes of its own across its yields
        wait.interrupt = self.scope.cancel
        self.event = None
        self.trio.lowlevel.spawn_system_task(
            self.serve, self.scope, name="source of a C++ stream", context=copy_context()
        )

    async def serve(self, scope: Any) -> None:
        wait, self.wait = self.wait, None
        with scope:
            while wait is not None:
                goes_on = await self.answer(wait)
                wait = None
                if not goes_on or self.closed:
                    break
                event = self.event = self.trio.Event()
                try:
                    await event.wait()
                finally:
                    if self.event is event:
                        self.event = None
                wait, self.wait = self.wait, None
        if wait is None and self.scope is scope:
            wait, self.wait = self.wait, None  # it was cancelled before it has begun
        if wait is not None:
            _close(wait.awaitable)
            wait.end(None, cancelled=True)

    async def answer(self, wait: _Wait) -> bool:
        awaitable: Any = wait.awaitable
        try:
            result = await awaitable
        except self.trio.Cancelled:
            wait.end(None, cancelled=True)
            raise
        except BaseException as error:
            wait.end(error)
        else:
            wait.end(None, result)
        return not wait.cancelled

    def close(self) -> None:
        self.closed = True
        event = self.event
        if event is None:
            return
        if _in_trio_task() and self.trio.lowlevel.current_trio_token() is self.token:
            event.set()
            return
        try:
            self.token.run_sync_soon(event.set)
        except self.trio.RunFinishedError:
            pass


class _AsyncioBell:
    """What the body awaits."""

    def __init__(self) -> None:
        self.loop = sys.modules["asyncio"].get_running_loop()
        self.future: Any = None

    make_lane = staticmethod(_AsyncioLane)

    def is_here(self) -> bool:
        return _asyncio_loop() is self.loop

    def lane_of(self, awaitable: Any) -> Any:
        """For an awaitable without a lane of its own."""
        asyncio = sys.modules["asyncio"]
        if asyncio.isfuture(awaitable) and awaitable.get_loop() is self.loop:
            return _Future()
        lane = _AsyncioLane()
        lane.closed = True  # after this one
        return lane

    def cancels_all(self) -> bool:
        """Whether what begins to wait is cancelled at once. asyncio cancels once."""
        return False

    def wait(self, shielded: bool) -> Awaitable[object]:
        self.future = self.loop.create_future()
        future: Awaitable[object] = self.future
        return future

    def ring(self) -> None:
        if self.future is not None:
            _complete(self.future)

    def call_from_thread(self, function: Any, *arguments: Any) -> None:
        self.loop.call_soon_threadsafe(function, *arguments)


class _TrioBell:
    def __init__(self) -> None:
        self.trio = sys.modules["trio"]
        self.token = self.trio.lowlevel.current_trio_token()
        self.event: Any = None

    make_lane = staticmethod(_TrioLane)

    def is_here(self) -> bool:
        return _in_trio_task() and self.trio.lowlevel.current_trio_token() is self.token

    def lane_of(self, awaitable: Any) -> Any:
        lane = _TrioLane()
        lane.closed = True  # after this one
        return lane

    def cancels_all(self) -> bool:
        """trio cancels each wait of a cancelled scope."""
        effective: float = self.trio.current_effective_deadline()
        return effective == -float("inf")

    async def wait(self, shielded: bool) -> None:
        event = self.event = self.trio.Event()
        with self.trio.CancelScope(shield=shielded):
            await event.wait()

    def ring(self) -> None:
        if self.event is not None:
            self.event.set()

    def call_from_thread(self, function: Any, *arguments: Any) -> None:
        self.token.run_sync_soon(function, *arguments)


def _close(awaitable: Any) -> None:
    close = getattr(awaitable, "close", None)  # a coroutine that was never awaited would warn
    if close is not None:
        close()


class _Beside:
    """All that one C++ body waits for beside its own await.

    Raises:
        RuntimeError: if neither asyncio nor trio runs here.
    """

    def __init__(self) -> None:
        self.bell = self._make_bell()
        self.waits: dict[int, _Wait] = {}
        self.ended: deque[tuple[int, bool, BaseException | None, Any]] = deque()
        self.interrupted = False  # and the body has not answered since
        self.number = 0

    @staticmethod
    def _make_bell() -> Any:
        if (_asyncio_loop() is None or not _in_asyncio_task()) and _in_trio_task():
            return _TrioBell()
        if _asyncio_loop() is not None:
            return _AsyncioBell()
        raise RuntimeError(
            "the sources of a C++ stream wait for Python at the same time, which needs asyncio (or uvloop) or trio; on "
            "another event loop combine them by async_generator.streams, or one after the other"
        )

    def _check_loop(self) -> None:
        if self.bell.is_here():
            return
        if self.waits:
            raise RuntimeError("a stream belongs to the event loop that it was first iterated on; this is another one")
        self.bell = self._make_bell()

    def make_lane(self) -> Any:
        return self.bell.make_lane()

    def begin(self, awaitable: Any, lane: Any) -> int:
        """Await it in a lane, or in one of its own if that is None. Returns its number."""
        try:
            self._check_loop()
        except RuntimeError:
            _close(awaitable)
            raise
        self.number += 1
        wait = _Wait(self, self.number, awaitable)
        self.waits[wait.number] = wait
        (self.bell.lane_of(awaitable) if lane is None else lane).begin(wait)
        if self.interrupted and self.bell.cancels_all():
            wait.cancel()
        return wait.number

    def answered(self, number: int, cancelled: bool, error: BaseException | None, result: Any) -> None:
        if self.waits.pop(number, None) is not None:
            self.ended.append((number, cancelled, error, result))
            self.bell.ring()

    def take(self) -> tuple[int, bool, BaseException | None, Any] | None:
        """(number, whether it was cancelled by ``cancel()``, what it raised, its result) of one that has ended."""
        return self.ended.popleft() if self.ended else None

    def wait(self) -> Awaitable[object]:
        """Await the result, to wait until one has ended."""
        self._check_loop()
        wait: Awaitable[object] = self.bell.wait(self.interrupted)
        return wait

    def cancel(self, number: int) -> None:
        wait = self.waits.get(number)
        if wait is not None and not wait.cancelled:
            wait.cancel()

    def cancel_from_thread(self, number: int) -> None:
        self.bell.call_from_thread(self.cancel, number)

    def drop(self, number: int) -> None:
        """Its answer is not wanted any more."""
        wait = self.waits.pop(number, None)
        if wait is None:
            return
        wait.beside = None
        interrupt = wait.interrupt
        if wait.is_future:
            return  # it is forgotten, as by a coroutine that is closed
        wait.cancelled = True
        if self.bell.is_here():
            interrupt()
        else:
            try:
                self.bell.call_from_thread(interrupt)
            except RuntimeError:  # the loop has ended
                _close(wait.awaitable)

    def interrupt(self) -> None:
        """The body's own await has raised, mostly because its task is cancelled: so is all that it waits for.

        What has ended at the same time counts as cancelled, too, as behind its items the cancellation would be lost.
        """
        self.interrupted = True
        self.ended = deque((number, True, None, None) for number, *_ in self.ended)
        for wait in list(self.waits.values()):
            wait.cancel()

    def calm(self) -> None:
        """The body has answered."""
        self.interrupted = False
