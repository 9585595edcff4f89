"""What the isolated generators of asyncio and of trio have in common."""

import sys
from typing import Any


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


def is_exit(error: BaseException) -> bool:
    """Whether an exception that came out of a body that is closed says no more than that it has ended."""
    if sys.version_info >= (3, 11) and isinstance(error, BaseExceptionGroup):  # noqa: F821
        return error.split(GeneratorExit)[1] is None
    return isinstance(error, (GeneratorExit, StopAsyncIteration))
