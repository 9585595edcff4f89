"""Sources and bells on trio: each source has a real task, which asks for an item when it is told to.

The tasks are system tasks, since a nursery must not be held open across the yields of a generator. Each one runs in scopes
of its own, and lets no exception out.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import copy_context
from typing import Any

import trio

from .._isolated_outcome import Outcome, is_exit
from ._sources import PENDING


class Queue:
    """The same as the engine's ``stream_queue``."""

    def __init__(self, ring: Callable[[], object], open: dict[Any, None]) -> None:
        self.ready: deque[Source] = deque()
        self.ring = ring
        self.open = open

    def put(self, source: "Source") -> None:
        if not source.queued:
            source.queued = True
            self.ready.append(source)
        self.ring()

    def take(self) -> "Source | None":
        if not self.ready:
            return None
        source = self.ready.popleft()
        source.queued = False
        return source

    def next(self) -> Any:
        while (source := self.take()) is not None:
            try:
                item = source.poll()
            except StopAsyncIteration:
                self.open.pop(source, None)
                continue
            if item is not PENDING:
                source.queued = True
                self.ready.append(source)
                return item
        return PENDING

    def last(self) -> "Source | None":
        return self.ready[-1] if self.ready else None

    def clear(self) -> None:
        while self.take() is not None:
            pass

    def __len__(self) -> int:
        return len(self.ready)


def queue_of(bell: "Bell", open: dict[Any, None]) -> Queue:
    return Queue(bell.ring, open)


class Source:
    """The same as ``_asyncio.Source``."""

    def __init__(
        self, iterable: Any, queue: Queue, on_finished: Callable[[], object], on_ready: Callable[[Any], object] | None
    ) -> None:
        self.iterable = iterable
        self.on_ready = on_ready or queue.put
        self.on_finished = on_finished
        self.queued = False
        self.generator: Any = iterable
        self.task: Any = None
        self.outcomes: deque[Outcome] = deque()
        self.asked = False  # for an item that has not come yet
        self.request = trio.Event()
        self.scope = trio.CancelScope()  # around what asks for items
        self.cleanup = trio.CancelScope()
        self.closing = False
        self.ended = False
        self.finished = False
        self.error: BaseException | None = None  # of its cleanup
        self.left: list[Any] = []  # items that came while it was closed

    def poll(self) -> Any:
        if self.closing:
            raise StopAsyncIteration
        if self.outcomes:
            return self.outcomes.popleft().get()
        if self.ended:
            raise StopAsyncIteration
        if not self.asked:
            self.asked = True
            self.request.set()
            if self.task is None:
                self.spawn()
        return PENDING

    def spawn(self) -> None:
        name = f"source {getattr(self.iterable, '__qualname__', type(self.iterable).__name__)}"
        self.task = trio.lowlevel.spawn_system_task(self.serve, name=name, context=copy_context())

    async def serve(self) -> None:
        try:
            with self.scope:
                await self.serve_requests()
            with self.cleanup:
                await self.clean_up()
        finally:
            self.ended = self.finished = True
            self.outcomes_at_end()
            self.on_finished()

    def outcomes_at_end(self) -> None:
        if self.closing:
            self.left += [outcome.item for outcome in self.outcomes if outcome.error is None]
            self.outcomes.clear()

    async def serve_requests(self) -> None:
        try:
            if not self.closing:
                self.generator = aiter(self.iterable)
            while not self.closing:
                await self.request.wait()
                if self.closing:
                    return
                self.request = trio.Event()
                item = await self.generator.__anext__()
                self.asked = False
                self.outcomes.append(Outcome(item))
                self.on_ready(self)
        except trio.Cancelled:
            raise
        except BaseException as error:
            await self.fail(error)

    async def fail(self, error: BaseException) -> None:
        """It has ended, or raised: then it may yet have to be closed."""
        if self.closing:
            self.note(error)
            return
        self.asked = False
        self.outcomes.append(Outcome(error=error))
        self.ended = True
        self.on_ready(self)
        if not isinstance(error, StopAsyncIteration):
            while not self.closing:
                await self.request.wait()

    async def clean_up(self) -> None:
        if (aclose := getattr(self.generator, "aclose", None)) is None or not self.closing:
            return
        try:
            await aclose()
        except trio.Cancelled:
            raise
        except BaseException as error:
            self.note(error)

    def note(self, error: BaseException) -> None:
        if not is_exit(error) and self.error is None:
            self.error = error

    def close_soon(self) -> None:
        if self.finished or self.closing:
            return
        self.closing = True
        if self.asked:
            self.scope.cancel()
        self.request.set()
        if self.task is None:
            self.spawn()

    def cancel_cleanup(self) -> None:
        """The consumer that waits for the end is cancelled: so is the cleanup, as that of a nursery's tasks is."""
        self.cleanup.cancel()


class Bell:
    """The same as ``_asyncio.Bell``."""

    def __init__(self) -> None:
        self.token = trio.lowlevel.current_trio_token()
        self.time = trio.current_time
        self.waiting: list[trio.Event] = []
        self.dismantled = False

    def ring(self) -> None:
        waiting, self.waiting = self.waiting, []
        for event in waiting:
            event.set()

    def ring_from_thread(self) -> None:
        self.token.run_sync_soon(self.ring)

    async def wait(self, deadline: float | None = None) -> None:
        if trio.lowlevel.current_trio_token() is not self.token:
            raise RuntimeError("a stream belongs to the event loop that it was first iterated on; this is another one")
        event = trio.Event()
        self.waiting.append(event)
        try:
            with trio.CancelScope(deadline=math.inf if deadline is None else deadline):
                await event.wait()
        finally:
            if event in self.waiting:
                self.waiting.remove(event)

    def gave_up(self) -> None:
        """It has forgotten its event already."""

    def close_from_elsewhere(self, sources: Iterable[Any]) -> None:
        """The run of trio that they belong to has ended them, if this is another."""

    async def wait_shielded(self, done: Callable[[], bool], sources: list[Any]) -> BaseException | None:
        """Wait until ``done()``. What cancels this task cancels the cleanup of the sources, too."""
        while not done():
            try:
                await self.wait()
            except trio.Cancelled:
                for source in sources:
                    source.cancel_cleanup()
                with trio.CancelScope(shield=True):
                    while not done():
                        await self.wait()
        return None
