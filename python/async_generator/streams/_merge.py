"""Several sources, one stream: ``merge``, and ``race``, where one of them is left."""

from typing import Any

from ._sources import PENDING, Sources, check_source, generator


def merge(*sources: Any) -> Any:
    """Items of several sources, as they come.

    The sources are asked at the same time, and their items taken in turn. A source is asked for its next item when the
    one before was taken. The stream ends when all sources have ended.

    Args:
        sources: async iterables.

    Returns:
        An async generator. Its items are those of the sources; each source's come in their order.

    Raises:
        TypeError: at once, if a source is no async iterable.
        BaseException: what a source raises; with those that other sources raise while they are closed, an ExceptionGroup.
    """
    return _merge([check_source(source) for source in sources])


@generator
async def _merge(iterables: list[Any]) -> Any:
    async with Sources(iterables) as sources:
        open, next = sources.open, sources.next
        while True:
            item = next()
            if item is not PENDING:
                yield item
            elif open:
                await sources.wait()
            else:
                return


def race(*sources: Any) -> Any:
    """The items of whichever source answers first with an item. The others are closed before the first item is delivered.

    A source that ends without an item is out of the race. ``first`` is another name.

    Args:
        sources: async iterables.

    Returns:
        An async generator.

    Raises:
        TypeError: at once, if a source is no async iterable.
        BaseException: what a source raises; with those that other sources raise while they are closed, an ExceptionGroup.
    """
    return _race([check_source(source) for source in sources])


@generator
async def _race(iterables: list[Any]) -> Any:
    async with Sources(iterables) as sources:
        while (item := sources.next()) is PENDING:
            if not sources.open:
                return
            await sources.wait()
        winner = sources.ready.last()
        sources.ready.clear()
        await sources.close([source for source in sources.open if source is not winner])
        sources.check()
        yield item
        sources.put(winner)
        while sources.open:
            item = sources.next()
            if item is not PENDING:
                yield item
            elif sources.open:
                await sources.wait()
