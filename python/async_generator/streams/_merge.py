"""Several sources, one stream: ``merge``, and ``race``, where one of them is left."""

from typing import Any

from ._sources import PENDING, Sources, check_source, generator


def merge(*sources: Any) -> Any:
    return _merge([check_source(source) for source in sources])


@generator
async def _merge(iterables: list[Any]) -> Any:
    async with Sources(iterables) as sources:
        open, next = sources.open, sources.next
        while open:
            item = next()
            if item is not PENDING:
                yield item
            elif open:
                await sources.wait()


def race(*sources: Any) -> Any:
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
