"""``flat_map``, ``scan`` and ``take_until``: one source, and something else."""

import inspect
import sys
from collections.abc import Callable
from typing import Any

from ._sources import PENDING, Sources, check_source, generator

_MISSING: Any = object()


def flat_map(source: Any, function: Callable[[Any], Any]) -> Any:
    return _flat_map(check_source(source), function)


@generator
async def _flat_map(iterable: Any, function: Callable[[Any], Any]) -> Any:
    async with Sources((iterable,)) as sources:
        outer = sources.take()
        while True:
            try:
                while (item := outer.poll()) is PENDING:
                    await sources.wait()
            except StopAsyncIteration:
                return
            made = function(item)
            if not hasattr(type(made), "__aiter__"):
                for item in made:
                    yield item
                continue
            inner = sources.add(made)
            sources.take()
            while True:
                try:
                    while (item := inner.poll()) is PENDING:
                        await sources.wait()
                except StopAsyncIteration:
                    break
                yield item
            sources.end(inner)
            sources.ready.clear()


def scan(source: Any, function: Callable[[Any, Any], Any], initial: Any = _MISSING) -> Any:
    return _scan(check_source(source), function, initial)


@generator
async def _scan(iterable: Any, function: Callable[[Any, Any], Any], value: Any) -> Any:
    awaits = inspect.iscoroutinefunction(function)
    async with Sources((iterable,)) as sources:
        source = sources.take()
        if value is not _MISSING:
            yield value
        while True:
            try:
                while (item := source.poll()) is PENDING:
                    await sources.wait()
            except StopAsyncIteration:
                return
            if value is _MISSING:
                value = item
            else:
                value = function(value, item)
                if awaits:
                    value = await value
            yield value


class _Once:
    """A source without items, which ends when an awaitable does."""

    def __init__(self, awaitable: Any) -> None:
        asyncio = sys.modules.get("asyncio")
        # A future, or a task, is another's: it is not cancelled when nobody waits for it any more.
        self.awaitable = asyncio.shield(awaitable) if asyncio and asyncio.isfuture(awaitable) else awaitable

    def __aiter__(self) -> "_Once":
        return self

    async def __anext__(self) -> Any:
        return await self.awaitable


def take_until(source: Any, awaitable: Any) -> Any:
    if not inspect.isawaitable(awaitable):
        raise TypeError(f"take_until() takes an awaitable, not {type(awaitable).__name__}")
    return _take_until(check_source(source), awaitable)


@generator
async def _take_until(iterable: Any, awaitable: Any) -> Any:
    async with Sources((_Once(awaitable), iterable)) as sources:
        once = next(iter(sources.open))
        while len(sources.open) == 2:
            item = sources.next()
            if item is PENDING:
                if len(sources.open) == 2:
                    await sources.wait()
            elif sources.ready.last() is once:
                return
            else:
                yield item
