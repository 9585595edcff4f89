"""Sources and bells on asyncio, and the loops that take its place.

No task is switched for an item. A source's operation is resumed in the step of whichever task asks for an item, while the
source's own task is the current one, as with isolated generators (``_isolated.py``).
"""

import asyncio
import contextlib
import sys
from asyncio import CancelledError
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from .. import _implementation as _engine
from .._isolated import Body, _cancellations, _complete, _dropped_inside, _turn
from .._isolated_outcome import Outcome, is_exit
from ._sources import PENDING


def queue_of(bell: "Bell", open: dict[Any, None]) -> Any:
    bell.queue = _engine.stream_queue(bell.loop, bell.ring, bell.waiting, open)
    return bell.queue


class Source(_engine.stream_source, Body):
    """A source, with the task and the context that its code runs in.

    The engine resumes its operations (``python/engine/stream_source.hpp``) until something rare happens: an end, an error,
    a cancellation of its task. Then ``plain`` is false, and ``poll_slowly()`` goes on where the engine stopped.

    Args:
        iterable: an async iterable.
        queue: where the source is put when it waits no longer.
        on_finished: is called when it was closed.
        on_ready: is called with this source when it waits no longer, in place of ``queue.put``.
    """

    def __init__(
        self, iterable: Any, queue: Any, on_finished: Callable[[], object], on_ready: Callable[[Any], object] | None
    ) -> None:
        Body.__init__(self, None)
        self.iterable = iterable
        self.queue = queue
        self.on_ready = on_ready
        self.on_finished = on_finished
        self.failed = False  # it has raised, and may yet have to be closed
        self.finished = False
        self.error: BaseException | None = None  # of its cleanup
        self.left: list[Any] = []  # items that came while it was closed

    def poll_slowly(self) -> Any:
        """Go on with the operation that is under way, or begin one. Returns the item, or PENDING; raises what it raises."""
        if self.closing:
            raise StopAsyncIteration
        if self.outcomes:
            outcome: Outcome | None = self.outcomes.popleft()
        elif self.is_task_to_run():
            if not self.driven:  # the end of that is told
                self.loop.call_soon(self.notify)
            outcome = None
        elif self.operation is not None:
            outcome = self.advance() if self.is_resumable() else None
        elif self.failed or self.ended:
            raise StopAsyncIteration
        elif self.task is None:
            return self.begin_source()
        else:
            self.operation = self.step(self.ask)
            outcome = self.advance()
        try:
            return PENDING if outcome is None else outcome.get()
        finally:
            del outcome  # an exception refers to this frame

    def ask(self) -> Any:
        return self.generator.__anext__().__await__()

    def begin_source(self) -> Any:
        self.make_task()
        try:
            self.operation = self.step(self.begin_operation, self.ask_first, partial(_dropped_inside, self.loop))
        except BaseException as error:
            self.end_operation(error)
            raise
        self.plain = True
        if sys.version_info < (3, 12):  # its task has to begin before anything can cancel it
            self.loop.call_soon(self)
            return PENDING
        self.arrived = True
        return self.poll()

    def ask_first(self) -> Any:
        self.generator = aiter(self.iterable)
        return self.ask()

    def make_task(self) -> None:
        self.begin_task(f"source {getattr(self.iterable, '__qualname__', type(self.iterable).__name__)}")

    def end_operation(self, raised: BaseException) -> Outcome:
        if isinstance(raised, (StopIteration, StopAsyncIteration)) or self.closing:
            return super().end_operation(raised)
        self.operation = self.waits_for = None
        self.failed = True
        return Outcome(error=raised)

    def wake_consumer(self, _: Any = None) -> None:
        self.loop.call_soon(self.notify)  # it may be called by the source's own task

    async def cancelled(self, error: BaseException) -> None:
        self.plain = False
        if self.operation is not None or (not self.failed and hasattr(self.generator, "athrow")):
            await super().cancelled(error)
            self.closing = self.closing or self.is_ended_by_cancellation()
        elif _cancellations(self.task) or sys.version_info < (3, 11):
            self.closing = True

    def is_ended_by_cancellation(self) -> bool:
        """Whether the event loop has to have asked for it. From 3.11 on the task counts what asks for its cancellation."""
        if sys.version_info >= (3, 11) or not self.failed or not self.outcomes:
            return False
        return isinstance(self.outcomes[-1].error, CancelledError)

    def close_soon(self) -> None:
        if self.ended or self.closing:
            self.finished = self.finished or self.ended
            return
        self.plain = False
        if self.task is None:
            self.make_task()
            self.generator = self.iterable
        super().close_soon()

    async def finish(self) -> None:
        """Interrupt the operation that is under way, and close the source, in its task."""
        try:
            if self.expelled or self.operation is not None:
                await self.interrupt()
            for outcome in self.outcomes:
                self.note(outcome.error) if outcome.error is not None else self.left.append(outcome.item)
            if (aclose := getattr(self.generator, "aclose", None)) is not None:
                self.operation = aclose().__await__()
                await self.drive(None)
                self.note(self.outcomes[-1].error)
        except BaseException as error:  # of what makes the operation
            self.note(error)
        finally:
            self.outcomes.clear()
            self.ended = self.finished = True
            self.on_finished()

    def note(self, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, CancelledError) and not is_exit(error) and self.error is None:
            self.error = error

    def cancel_cleanup(self) -> None:
        """The consumer that waits for the end is cancelled: it waits on, and so does the cleanup."""


class Bell:
    """Wakes those that wait by it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.time = self.loop.time
        self.waiting: list[asyncio.Future[None]] = []
        self.queue: Any = None  # of the sources that are waited for, if it is known
        self.dismantled = False

    def ring(self) -> None:
        if self.waiting:
            waiting = self.waiting.copy()
            self.waiting.clear()  # the engine looks at this list
            for future in waiting:
                _complete(future)

    def ring_from_thread(self) -> None:
        self.loop.call_soon_threadsafe(self.ring)

    def check_loop(self) -> None:
        if asyncio._get_running_loop() is not self.loop:
            raise RuntimeError(
                "a stream belongs to the event loop that it was first iterated on; this is another loop, or another thread"
            )

    def close_from_elsewhere(self, sources: Iterable[Any]) -> None:
        """Refuse to wait for these sources on another event loop. Theirs closes them."""
        open = [source for source in sources if not source.ended]
        if not open:
            return
        try:
            self.check_loop()
        except RuntimeError:
            with contextlib.suppress(RuntimeError):  # it is closed
                self.loop.call_soon_threadsafe(lambda: [source.close_soon() for source in open])
            raise

    def wait(self, deadline: float | None = None) -> Any:
        """Await the result, to wait until the bell rings, or the deadline. A future that nobody waits for any more stays
        until then."""
        self.check_loop()
        if deadline is None and self.queue is not None and self.queue.begin_turn():
            return _turn()  # without a future, as all that can be waited for comes then
        return self.wait_for_ring(deadline)

    def wait_for_ring(self, deadline: float | None = None) -> Any:
        future = self.loop.create_future()
        self.waiting.append(future)
        return future if deadline is None else self.wait_until(deadline, future)

    def gave_up(self) -> None:
        """What ``wait()`` has returned is not awaited to its end."""
        if self.queue is not None:
            self.queue.give_up_turn()

    async def wait_until(self, deadline: float, future: Any) -> None:
        timer = self.loop.call_at(deadline, _complete, future)
        try:
            await future
        finally:
            timer.cancel()

    async def wait_shielded(self, done: Callable[[], bool], sources: list[Any]) -> BaseException | None:
        """Wait until ``done()``. Returns the cancellation that has arrived meanwhile, if any, and was put off."""
        cancelled: BaseException | None = None
        while not done():
            self.check_loop()
            try:
                await self.wait_for_ring()
            except CancelledError as error:
                cancelled = error
        return cancelled
