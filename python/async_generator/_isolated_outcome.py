"""What the isolated generators of asyncio and of trio have in common."""

import sys
from collections import deque
from typing import Any

from . import _implementation as _engine


class GaveUp(Exception):
    """The time is over that a consumer wants to wait."""


class Outcome:
    """What an operation ends with: an item, or an exception."""

    __slots__ = ("error", "item")

    def __init__(self, item: Any = None, error: BaseException | None = None) -> None:
        self.item = item
        self.error = error

    def get(self) -> Any:
        if self.error is None:
            return self.item
        try:
            raise self.error
        finally:
            del self  # the exception refers to this frame


def is_finished(generator: Any, error: BaseException) -> bool:
    """Whether a generator that an exception came out of has ended. It goes on where it has refused what it was given, as
    athrow() of what is no exception, and where it has yielded while it was closed."""
    return isinstance(error, (GeneratorExit, StopAsyncIteration)) or getattr(generator, "ag_frame", None) is None


def is_exit(error: BaseException) -> bool:
    """Whether an exception that came out of a body that is closed says no more than that it has ended."""
    if sys.version_info >= (3, 11) and isinstance(error, BaseExceptionGroup):  # noqa: F821
        return error.split(GeneratorExit)[1] is None
    return isinstance(error, (GeneratorExit, StopAsyncIteration))


def already_running(name: str, generator: Any, reader: "str | None") -> _engine.AlreadyRunning:
    """The error, with the notes that the engine adds to it: where the body is, and which task runs it.

    Args:
        name: of the operation that is refused.
        generator: the one inside.
        reader: the name of the task that waits for it, if any.
    """
    error = _engine.AlreadyRunning(f"{name}(): asynchronous generator is already running")
    frame = getattr(generator, "ag_frame", None)
    if sys.version_info >= (3, 11) and frame is not None:
        place = f"{frame.f_code.co_filename}, line {frame.f_lineno}, in {frame.f_code.co_name}"
        error.add_note(f"its body is at {place}")
    if sys.version_info >= (3, 11) and reader is not None:
        error.add_note(f"the task that runs it is {reader!r}")
    return error


def answer_ended(name: str) -> Outcome:
    """What an operation on a generator that has ended answers: athrow() None, as of any async generator."""
    return Outcome(None) if name == "athrow" else Outcome(error=StopAsyncIteration())


def refuse_to_take(name: str, given: bool, outcomes: "deque[Outcome]") -> None:
    """Raise RuntimeError for an operation that brings a value or an exception while an item is on its way. (An error that
    is on its way is told to whichever operation comes.)"""
    if given and not (outcomes and outcomes[0].error is not None):
        brings = "asend" if name == "anext" else name  # anext() brings nothing
        raise RuntimeError(
            f"{brings}() while an item is on its way that another consumer gave up waiting for: take that first, by anext()"
        )
