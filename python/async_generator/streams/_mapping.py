"""``flat_map``, ``scan`` and ``take_until``: one source, and something else."""

import inspect
import sys
from collections.abc import Callable
from typing import Any

from .. import _checks
from ._sources import PENDING, Sources, check_source, generator

_MISSING: Any = object()


def flat_map(source: Any, function: Callable[[Any], Any]) -> Any:
    """All items of what a function makes of each item, one after the other.

    Args:
        source: an async iterable.
        function: is called with each item, and returns an async iterable or an iterable.

    Returns:
        An async generator.

    Raises:
        TypeError: at once, if ``source`` is no async iterable, or ``function`` cannot be called; later, if ``function``
            returns no iterable of either kind.
        BaseException: what the source, ``function``, or what that has made raises.
    """
    return _flat_map(check_source(source), _checks.function(function, "flat_map(): function"))


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
    """What has come of the items so far, as by ``itertools.accumulate()``.

    Args:
        source: an async iterable.
        function: is called with the value so far and an item, and returns the next value. If it is a coroutine function,
            it is awaited.
        initial: the first value. Without it, that is the first item.

    Returns:
        An async generator of the values.

    Raises:
        TypeError: at once, if ``source`` is no async iterable, or ``function`` cannot be called.
        BaseException: what the source, or ``function``, raises.
    """
    return _scan(check_source(source), _checks.function(function, "scan(): function"), initial)


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
    """The items of a source until an awaitable is done. Then the source is closed.

    Args:
        source: an async iterable.
        awaitable: is awaited from the first operation on, at the same time as the source. It is cancelled when the source
            ends before it, unless it is a future or a task of asyncio.

    Returns:
        An async generator.

    Raises:
        TypeError: at once, if ``source`` is no async iterable, or ``awaitable`` no awaitable.
        BaseException: what the source, or the awaitable, raises.
    """
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
