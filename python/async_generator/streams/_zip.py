"""``zip`` and ``zip_latest``: a tuple with an item of each source."""

from typing import Any

from ._sources import PENDING, Sources, check_source, generator


def zip(*sources: Any, strict: bool = False) -> Any:
    """Tuples of an item of each source, as the builtin ``zip()`` makes them. The sources are asked at the same time.

    It ends with the first source that ends. Items that others have yielded for a tuple that is not complete are dropped.

    Args:
        sources: async iterables.
        strict: the sources have to end together.

    Returns:
        An async generator of tuples.

    Raises:
        TypeError: at once, if a source is no async iterable.
        ValueError: with ``strict``, if a source ends before another.
        BaseException: what a source raises; with those that other sources raise while they are closed, an ExceptionGroup.
    """
    return _zip([check_source(source) for source in sources], strict)


def zip_latest(*sources: Any) -> Any:
    """Tuples of the latest item of each source: one for each item that comes, as soon as all sources have yielded one.

    It ends when all sources have ended.

    Args:
        sources: async iterables.

    Returns:
        An async generator of tuples.

    Raises:
        TypeError: at once, if a source is no async iterable.
        BaseException: what a source raises; with those that other sources raise while they are closed, an ExceptionGroup.
    """
    return _zip_latest([check_source(source) for source in sources])


@generator
async def _zip(iterables: list[Any], strict: bool) -> Any:
    if not iterables:
        return
    async with Sources(iterables) as sources:
        places = {source: place for place, source in enumerate(sources.open)}
        while True:
            row = [PENDING] * len(places)
            missing = len(places)
            while missing:
                if (source := sources.take()) is None:
                    await sources.wait()
                    continue
                try:
                    item = source.poll()
                except StopAsyncIteration:
                    if not strict:
                        return
                    sources.end(source)
                else:
                    row[places[source]] = item
                    missing -= item is not PENDING
                if len(sources.open) == len(places):
                    continue
                if not sources.open:
                    return
                if missing < len(places):
                    raise _uneven(row, places, sources)
            yield tuple(row)
            for source in places:
                sources.put(source)


def _uneven(row: list[Any], places: dict[Any, int], sources: Sources) -> ValueError:
    shorter = next(place for source, place in places.items() if source not in sources.open)
    longer = next(place for place, item in enumerate(row) if item is not PENDING)
    return ValueError(f"zip() source {shorter + 1} is shorter than source {longer + 1}")


@generator
async def _zip_latest(iterables: list[Any]) -> Any:
    async with Sources(iterables) as sources:
        places = {source: place for place, source in enumerate(sources.open)}
        row = [PENDING] * len(places)
        missing = len(places)
        while sources.open:
            item = sources.next()
            if item is PENDING:
                if sources.open:
                    await sources.wait()
                continue
            place = places[sources.ready.last()]
            missing -= row[place] is PENDING
            row[place] = item
            if not missing:
                yield tuple(row)
