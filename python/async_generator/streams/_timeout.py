"""``timeout``: an item that takes too long, and a source that is not given up for it."""

from typing import Any

from .. import _implementation as _engine
from .._checks import seconds as checked_seconds
from ._sources import PENDING, Sources, check_source, generator


def timeout(source: Any, seconds: float, *, then: str = "raise") -> Any:
    """The items of a source, each of which has to come in time.

    With ``then="raise"``, TimeoutError is raised, and the stream goes on: the next operation waits for the same item. So
    nothing is lost; it is the wait that was given up.

    Args:
        source: an async iterable.
        seconds: how long an item may take from when it was asked for.
        then: "raise", or "end": the source is closed, and the stream ends.

    Returns:
        An async generator.

    Raises:
        TimeoutError: from an operation, if the item has not come within ``seconds``.
        TypeError: at once, if ``source`` is no async iterable, or ``seconds`` no number.
        ValueError: at once, for another ``then``, or if ``seconds`` is nan.
        BaseException: what the source raises.
    """
    if then not in ("raise", "end"):
        raise ValueError(f"timeout(): then is 'raise' or 'end', not {then!r}")
    return _timeout(check_source(source), checked_seconds(seconds, "timeout(): seconds"), then)


@generator
async def _timeout(iterable: Any, seconds: float, then: str) -> Any:
    async with Sources((iterable,)) as sources:
        source = sources.take()
        deadline: float | None = None
        while True:
            try:
                item = source.poll()
            except StopAsyncIteration:
                return
            if item is not PENDING:
                deadline = None
                yield item
                continue
            now = sources.bell.time()
            if deadline is None:
                deadline = now + seconds
            if now < deadline:
                await sources.wait(deadline)
            elif then == "end":
                return
            else:
                deadline = None
                await _engine.give_up(TimeoutError(f"no item within {seconds} s"))
