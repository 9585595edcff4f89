"""``chunks``: batches by count or time."""

from typing import Any

from .._checks import seconds
from ._sources import PENDING, Sources, check_source, generator


def chunks(source: Any, n: int, *, within: float | None = None) -> Any:
    """Lists of items: ``n`` at a time, or those that came in time.

    The last list may be shorter. What came before an error is delivered before the error.

    Args:
        source: an async iterable.
        n: the length of a list.
        within: so many seconds after its first item, a list is delivered that is not full; None: never.

    Returns:
        An async generator of lists, none of which is empty.

    Raises:
        TypeError: at once, if ``source`` is no async iterable, or ``within`` no number.
        ValueError: at once, if ``n`` is less than 1, or ``within`` is nan.
        BaseException: what the source raises.
    """
    if n < 1:
        raise ValueError(f"chunks() of {n} items: at least 1 is needed")
    if within is not None:
        within = seconds(within, "chunks(): within")
    return _chunks(check_source(source), n, within)


@generator
async def _chunks(iterable: Any, n: int, within: float | None) -> Any:
    async with Sources((iterable,)) as sources:
        source = sources.take()
        poll, time = source.poll, sources.bell.time
        chunk: list[Any] = []
        deadline = None
        error: BaseException | None = None
        while True:
            try:
                item = poll()
            except StopAsyncIteration:
                break
            except BaseException as raised:
                error = raised
                break
            if item is not PENDING:
                chunk.append(item)
                if deadline is None and within is not None:
                    deadline = time() + within
                if len(chunk) < n and (deadline is None or time() < deadline):
                    continue
            elif deadline is None or time() < deadline:
                await sources.wait(deadline)
                continue
            full, chunk, deadline = chunk, [], None
            yield full
        try:
            if chunk:
                yield chunk
        finally:
            if error is not None:  # also if the consumer leaves before it comes to that
                raise error
