"""What all combinators are made of: sources that can be asked without waiting for them, and one wait for all of them.

A ``Sources`` lives in the body of a combinator. It asks its sources with ``poll()``, which never waits, and waits with
``wait()``, which a consumer can give up. Leaving its block closes the sources. The two kinds of event loop have a
``Source`` and a ``Bell`` each (``_asyncio.py``, ``_trio.py``).
"""

import sys
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Protocol

from .. import _implementation as _engine
from .._event_loops import _in_trio_task
from .._function import async_generator

PENDING: Any = _engine.PENDING  # what poll() returns when there is nothing yet


class Bell(Protocol):
    """What consumers wait by."""

    dismantled: bool  # the consumer has closed its wait: nobody awaits the cleanup

    def ring(self) -> None: ...
    def ring_from_thread(self) -> None: ...
    def time(self) -> float: ...
    def wait(self, deadline: float | None = None) -> Awaitable[None]: ...
    def gave_up(self) -> None: ...
    def close_from_elsewhere(self, sources: Iterable[Any]) -> None: ...
    async def wait_shielded(self, done: Callable[[], bool], sources: list[Any]) -> BaseException | None: ...


def loop_kind() -> Any:
    """The module for the event loop that runs: asyncio's, or trio's."""
    if _in_trio_task():
        from . import _trio

        return _trio
    from . import _asyncio

    return _asyncio


def generator(function: Any) -> Any:
    """Makes the body of a combinator an async generator of this package, which shows the combinator's name."""
    function.__name__ = function.__name__.removeprefix("_")
    function.__qualname__ = function.__name__
    return async_generator(function)


def check_source(source: Any) -> Any:
    if not hasattr(type(source), "__aiter__"):
        raise TypeError(
            f"a source is an async iterable, not {type(source).__name__}; from_iterable() makes one of an iterable"
        )
    return source


async def wait_patiently(bell: Bell, deadline: float | None = None) -> None:
    """Wait by the bell, in the body of a combinator. A consumer that is cancelled gives up waiting, and the body does not
    end: the next operation goes on after this."""
    try:
        await bell.wait(deadline)
        return
    except GeneratorExit:  # the await is closed, by something that cannot await the cleanup
        bell.dismantled = True
        raise
    except BaseException as error:
        gave_up = [error]
    bell.gave_up()
    await _engine.give_up(gave_up.pop())  # its traceback has this frame, which must not keep it meanwhile


class Sources:
    """The sources of one combinator. ``async with`` closes them, and waits for that.

    Args:
        iterables: async iterables. Each becomes a source with a task and a context of its own.
        on_ready: is called with a source that can be polled again. Without it, the source is put in the queue ``ready``,
            and the bell is rung.
    """

    def __init__(self, iterables: Iterable[Any], on_ready: Callable[[Any], object] | None = None) -> None:
        kind = loop_kind()
        self.bell: Bell = kind.Bell()
        self._make = kind.Source
        self._on_ready = on_ready
        self.open: dict[Any, None] = {}  # those that are not known to have ended, in order
        self.ready = kind.queue_of(self.bell, self.open)
        self.put = self.ready.put  # it is the turn of this source, after those that are in the queue
        self.take = self.ready.take  # the source whose turn it is; None if all have to be waited for
        self.next = (
            self.ready.next
        )  # an item of whichever source has one; PENDING if all have to be waited for, or have ended
        self.failed: list[BaseException] = []  # errors of sources that were closed on the way
        for iterable in iterables:
            self.add(iterable)

    def add(self, iterable: Any) -> Any:
        source = self._make(iterable, self.ready, self.bell.ring, self._on_ready)
        self.open[source] = None
        self.put(source)
        return source

    def end(self, source: Any) -> None:
        """This source has ended by itself."""
        self.open.pop(source, None)

    def wait(self, deadline: float | None = None) -> Awaitable[None]:
        """Await the result, to wait until a source can be polled, or the deadline. May come back without a reason."""
        return wait_patiently(self.bell, deadline)

    async def close(self, sources: Iterable[Any]) -> None:
        """Close some of them, and wait for that. Their errors are raised at the end of the block, or at ``check()``."""
        closed = [source for source in sources if source in self.open]
        gave_up = [await self._close(closed)]
        if gave_up[0] is not None:
            await _engine.give_up(gave_up.pop())

    async def _close(self, closed: list[Any]) -> BaseException | None:
        for source in closed:
            del self.open[source]
            source.close_soon()
        error = await self.bell.wait_shielded(lambda: all(source.finished for source in closed), closed)
        self.failed += [source.error for source in closed if source.error is not None]
        return error

    def check(self) -> None:
        """Raise what sources have raised that were closed on the way."""
        if self.failed:
            failed, self.failed = self.failed, []
            raise as_one(failed)

    async def __aenter__(self) -> "Sources":
        return self

    async def __aexit__(
        self, typ: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.bell.dismantled:
            for source in self.open:
                source.close_soon()
            return
        self.bell.close_from_elsewhere(self.open)
        cancelled = await self._close(list(self.open))
        raised = [error] if error is not None and not isinstance(error, GeneratorExit) else []
        if self.failed:
            raise as_one(raised + self.failed)
        if cancelled is not None and not raised:
            raise cancelled


def as_one(errors: list[BaseException]) -> BaseException:
    """One exception for all of these: the first, if it is the only one; or else a group."""
    if len(errors) == 1:
        return errors[0]
    message = "several sources of a stream have failed"
    if sys.version_info >= (3, 11):
        return BaseExceptionGroup(message, errors)  # noqa: F821
    try:
        from exceptiongroup import BaseExceptionGroup as Group
    except ImportError:
        notes = [f"{message}; this one was the first, and later: {error!r}" for error in errors[1:]]
        errors[0].__notes__ = [*getattr(errors[0], "__notes__", ()), *notes]  # type: ignore[attr-defined]
        return errors[0]
    return Group(message, errors)
