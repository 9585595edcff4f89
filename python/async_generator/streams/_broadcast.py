"""``broadcast``: any number of readers, and one that asks the source."""

import weakref
from collections import deque
from types import TracebackType
from typing import Any

from ._sources import PENDING, Sources, check_source, generator, wait_patiently


class SlowReader(RuntimeError):
    """A reader has fallen behind the others by more items than ``broadcast()`` keeps for it."""


class _Place:
    """What one reader has still to read."""

    def __init__(self) -> None:
        self.items: deque[Any] = deque()
        self.lagged = False


class broadcast:
    """A source for any number of readers, each of which gets all items from when it was made.

    A reader that needs an item asks the source for all. ``async for item in shared`` makes a reader, too. When the last
    reader is closed, or has ended, the source is closed. So is it at the end of ``async with broadcast(...) as shared``.

    Args:
        source: an async iterable.
        n: how many items are kept for a reader that others are ahead of.
        slow: what happens when there are more: "wait": the others wait for it; "drop": it loses the oldest; "error": it
            gets those, and then SlowReader.

    Raises:
        TypeError: if ``source`` is no async iterable.
        ValueError: if ``n`` is less than 1, or for another ``slow``.
    """

    def __init__(self, source: Any, n: int = 64, *, slow: str = "wait") -> None:
        if n < 1:
            raise ValueError(f"broadcast() that keeps {n} items: at least 1 is needed")
        if slow not in ("wait", "drop", "error"):
            raise ValueError(f"broadcast(): slow is 'wait', 'drop' or 'error', not {slow!r}")
        self._iterable = check_source(source)
        self._n = n
        self._slow = slow
        self._places: dict[weakref.ref[_Place], None] = {}  # without those of readers that were dropped
        self._sources: Sources | None = None
        self._source: Any = None
        self._over: BaseException | None = None  # how the source has ended
        self._alone = False  # one reader asks the source, and has nothing else to look at

    def reader(self) -> Any:
        """Make a reader.

        Returns:
            An async generator of all items that come from now on. It raises what the source raises.
        """

        place = _Place()
        self._places[weakref.ref(place, self._forget)] = None
        self._alone = False
        return _read(self, place)

    def _forget(self, place: "weakref.ref[_Place]") -> None:
        self._places.pop(place, None)

    def _live_places(self) -> list[_Place]:
        """The places of the readers there are. (The collector tells of none that it finds in one cycle with this.)"""
        return [place for place in (found() for found in self._places) if place is not None]

    def __aiter__(self) -> Any:
        return self.reader()

    async def __aenter__(self) -> "broadcast":
        return self

    async def __aexit__(
        self, typ: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the source, and wait for that. Readers get the items that are kept for them, and end.

        Raises:
            BaseException: what the source raises.
        """
        self._alone = False
        if self._over is None:
            self._over = StopAsyncIteration()
        sources, self._sources = self._begin(), None
        try:
            await sources.__aexit__(None, None, None)
        finally:
            sources.bell.ring()

    def _begin(self) -> Sources:
        if self._sources is None:
            self._sources = Sources((self._iterable,))
            self._source = self._sources.take()
        return self._sources

    def _ask(self, asking: _Place) -> Any:
        """An item for the reader that asks; PENDING if it has to wait. The other readers find it among theirs."""
        places = self._live_places()
        if self._slow == "wait" and any(len(place.items) >= self._n for place in places):
            return PENDING
        try:
            item = self._source.poll()
        except BaseException as error:
            self._end(error)
            return PENDING
        if item is not PENDING:
            for place in places:
                if place is not asking:
                    self._give(place, item)
            self._ring()
        return item

    def _ring(self) -> None:
        if self._sources is not None:
            self._sources.bell.ring()

    def _end(self, error: BaseException) -> None:
        self._over = error
        self._alone = False
        self._ring()

    def _give(self, place: _Place, item: Any) -> None:
        if place.lagged:
            return  # it has lost an item: what follows would look as if it had not
        if len(place.items) >= self._n:
            if self._slow == "error":
                place.lagged = True
                return
            place.items.popleft()
        place.items.append(item)

    async def _leave(self, place: _Place) -> None:
        self._places.pop(weakref.ref(place), None)
        if self._sources is None:
            return
        self._ring()  # it kept others waiting, maybe
        if self._live_places():
            return
        if self._sources.bell.dismantled:
            self._source.close_soon()
        else:
            await self.aclose()


@generator
async def _read(shared: broadcast, place: _Place) -> Any:
    items, places = place.items, shared._places
    try:
        bell = shared._begin().bell if shared._over is None else None
        poll = shared._source.poll if bell is not None else None
        while True:
            if items:
                if len(items) == shared._n:
                    shared._ring()  # others may have waited for this one
                yield items.popleft()
            elif place.lagged:
                raise SlowReader(f"this reader is more than {shared._n} items behind")
            elif shared._over is not None:
                if isinstance(shared._over, StopAsyncIteration):
                    return
                raise shared._over
            elif len(places) > 1:
                if (item := shared._ask(place)) is not PENDING:
                    yield item
                elif shared._over is None:
                    await wait_patiently(bell)
            else:
                shared._alone = True
                while shared._alone:
                    try:
                        item = poll()
                    except BaseException as error:
                        shared._end(error)
                        break
                    if item is not PENDING:
                        yield item
                    else:
                        await wait_patiently(bell)
    finally:
        await shared._leave(place)
