"""Isolated generators on trio: the body runs in a real task, between the beginning and the end of an ``async with``.

trio has no public way to say which task runs, so a body with a task of its own needs a task, and an item two switches.
Requests and outcomes are handed over one at a time. What never crosses is Cancelled: it belongs to the scopes of one task.
"""

import sys
from collections import deque
from collections.abc import Callable
from typing import Any

import trio

from ._isolated_outcome import GaveUp, Outcome, already_running, answer_ended, is_exit, is_finished, refuse_to_take


class TrioBody:
    """A generator and the task that runs it; the same as ``_isolated.Body`` for asyncio."""

    def __init__(self, generator: Any) -> None:
        self.generator = generator
        self.manager = trio.open_nursery()
        self.scope = trio.CancelScope()  # around all that the task does
        self.task: Any = None
        self.request: Callable[[], Any] | None = None
        self.requested = trio.Event()
        self.outcomes: deque[Outcome] = deque()
        self.consumer: trio.Event | None = None  # what a consumer waits at
        self.reader: Any = None  # the task that does
        self.error: BaseException | None = None  # what the cleanup has raised
        self.finished = trio.Event()
        self.working = False  # a request is being served
        self.begun = False
        self.closing = False
        self.ended = False
        self.stepping = False

    async def enter(self) -> None:
        nursery = await self.manager.__aenter__()
        name = f"generator {getattr(self.generator, '__qualname__', type(self.generator).__name__)}"
        try:
            with trio.CancelScope(shield=True):  # the nursery is entered: a cancellation is for what comes in the block
                await nursery.start(self.serve, name=name)
        except BaseException as error:  # KeyboardInterrupt
            self.scope.cancel()
            if not await self.manager.__aexit__(type(error), error, error.__traceback__):
                raise

    async def leave(self, handle: Any) -> None:
        """Close the body, and end its task. Even if this task is cancelled: the other one then is, too."""
        try:
            with trio.CancelScope(shield=True):
                await self.close(handle)
        finally:
            self.scope.cancel()
            await self.manager.__aexit__(None, None, None)

    # The task ----------------------------------------------------------------------------------------------------------

    async def serve(self, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        self.task = trio.lowlevel.current_task()
        try:
            with self.scope:
                task_status.started()
                while not self.ended:
                    await self.serve_one()
        finally:
            self.ended = True
            self.finished.set()
            self.wake_consumer()

    async def serve_one(self) -> None:
        """Wait for a request, and serve it. What cancels the wait belongs to a scope in the body, or around the task."""
        request: Callable[[], Any]
        try:
            await self.requested.wait()
        except trio.Cancelled as cancelled:
            if not self.begun:
                raise
            thrown = cancelled
            await self.run(lambda: self.generator.athrow(thrown))
            return
        self.requested = trio.Event()
        if self.closing:
            await self.run(self.generator.aclose)
            self.ended = True
            told = without_cancelled(self.outcomes.pop().error)
            self.error = None if told is None or is_exit(told) else told
            return
        assert self.request is not None
        request, self.request = self.request, None
        await self.run(request)

    async def run(self, begin: Callable[[], Any]) -> None:
        self.working = self.begun = True
        try:
            self.outcomes.append(Outcome(await begin()))
        except trio.Cancelled:
            self.ended = True
            raise
        except BaseException as error:
            self.ended = is_finished(self.generator, error)
            self.outcomes.append(Outcome(error=error))
        finally:
            self.working = False
            self.wake_consumer()

    def wake_consumer(self) -> None:
        if self.consumer is not None:
            self.consumer.set()

    # An operation ------------------------------------------------------------------------------------------------------

    async def operate(
        self, handle: Any, begin: Callable[[], Any], name: str, given: bool, timeout: float | None = None
    ) -> Any:
        """The same as ``_isolated.Body.operate()``."""
        if (outcome := self.begin_or_go_on(begin, name, given)) is not None:
            return outcome.get()
        deadline = trio.current_time() + (float("inf") if timeout is None else timeout)
        while not self.outcomes:
            if self.ended and not self.working:
                raise StopAsyncIteration
            await self.wait(deadline)
        return self.outcomes.popleft().get()

    def begin_or_go_on(self, begin: Callable[[], Any], name: str, given: bool) -> Outcome | None:
        """The beginning of ``operate()``. Returns the outcome, if there is one at once."""
        if self.consumer is not None or trio.lowlevel.current_task() is self.task:
            raise self.already_running(name)
        if self.working or self.request is not None or self.outcomes:
            refuse_to_take(name, given, self.outcomes)
            return None
        if self.ended or self.closing:
            return answer_ended(name)
        if given and name == "anext" and not self.begun:
            raise TypeError("can't send non-None value to a just-started async generator")
        self.request = begin
        self.requested.set()
        return None

    def already_running(self, name: str) -> RuntimeError:
        return already_running(name, self.generator, None if self.reader is None else self.reader.name)

    async def wait(self, deadline: float) -> None:
        self.consumer = trio.Event()
        self.reader = trio.lowlevel.current_task()
        try:
            with trio.CancelScope(deadline=deadline) as scope:
                await self.consumer.wait()
        finally:
            self.consumer = self.reader = None
        if scope.cancelled_caught:
            raise GaveUp

    async def close(self, handle: Any) -> None:
        """Interrupt the body where it is, and wait for its end."""
        if trio.lowlevel.current_task() is self.task:
            raise self.already_running("aclose")
        if not self.ended and not self.closing:
            self.closing = True
            self.request = None
            if self.working:
                self.scope.cancel()  # a task of trio cannot be interrupted otherwise
            self.requested.set()
        await self.finished.wait()
        self.outcomes.clear()
        self.wake_consumer()
        error, self.error = self.error, None
        if error is not None:
            raise error

    def dropped(self) -> None:
        """Nothing refers to it any more. That is after its block, which has closed it."""


def without_cancelled(error: BaseException | None) -> BaseException | None:
    """What is left of an error when Cancelled is taken out of it: that belongs to the scopes of the task that it was in."""
    if sys.version_info >= (3, 11) and isinstance(error, BaseExceptionGroup):  # noqa: F821
        return error.split(trio.Cancelled)[1]
    return error
