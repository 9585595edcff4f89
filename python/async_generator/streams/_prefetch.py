"""``prefetch``: a source that works while its consumer does."""

from collections import deque
from collections.abc import Callable
from typing import Any

from ._sources import PENDING, Sources, check_source, generator


def prefetch(source: Any, n: int, *, left_over: Callable[[list[Any]], object] | None = None) -> Any:
    """The items of a source, which works while its consumer does.

    The first operation begins it. From then on up to ``n`` items are fetched before they are asked for. It fetches again
    when half of them are taken. What came before an error is delivered before the error.

    Args:
        source: an async iterable.
        n: how many items may have been fetched and not taken.
        left_over: is called at the end with a list of the items that were fetched and not taken, if there are any.

    Returns:
        An async generator.

    Raises:
        TypeError: at once, if ``source`` is no async iterable.
        ValueError: at once, if ``n`` is less than 1.
        BaseException: what the source raises.
    """
    if n < 1:
        raise ValueError(f"prefetch() of {n} items: at least 1 has to be allowed")
    return _prefetch(_Ahead(check_source(source), n), left_over)


class _Ahead:
    """The items that were fetched and not taken."""

    def __init__(self, iterable: Any, n: int) -> None:
        self.iterable = iterable
        self.n = n
        self.items: deque[Any] = deque()
        self.over: BaseException | None = None  # how the source has ended
        self.source: Any = None

    def fetch(self, source: Any) -> None:
        """Go on as far as is allowed. The event loop calls it when the source waits no longer."""
        items, poll, append = self.items, source.poll, self.items.append
        before = len(items)
        try:
            if self.over is None:
                for _ in range(self.n - before):
                    if (item := poll()) is PENDING:
                        break
                    append(item)
        except BaseException as error:
            self.over = error
            self.bell.ring()
        if not before and items:
            self.bell.ring()

    def begin(self) -> Sources:
        sources = Sources((), self.fetch)
        self.bell = sources.bell
        self.source = sources.add(self.iterable)
        sources.take()
        return sources


@generator
async def _prefetch(ahead: _Ahead, left_over: Callable[[list[Any]], object] | None) -> Any:
    items = ahead.items
    try:
        async with ahead.begin() as sources:
            source, half = ahead.source, ahead.n // 2
            ahead.fetch(source)
            while True:
                if items:
                    item = items.popleft()
                    if len(items) <= half:  # the source may go on; not for one item, which would cost a call
                        ahead.fetch(source)
                    yield item
                elif ahead.over is None:
                    await sources.wait()
                else:
                    break
    finally:
        if ahead.source is not None:
            items.extend(ahead.source.left)
        if items and left_over is not None:
            left_over(list(items))
        over, ahead.over = ahead.over, None
        if over is not None and not isinstance(over, StopAsyncIteration):  # also if nobody has come as far as that
            raise over
