"""``from_iterable`` and ``collect``: from what is not asynchronous, and back."""

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

from .._operators import yield_
from .._util import aclosing
from ._sources import check_source, generator


def from_iterable(iterable: Iterable[Any]) -> Any:
    """The items of an iterable that is not asynchronous (the recipes of PEP 828).

    What is sent or thrown into the stream arrives in a generator, whose return value becomes the stream's. The
    generator is closed with the stream.

    Args:
        iterable: an iterable, or a generator.

    Returns:
        An async generator.

    Raises:
        TypeError: at once, if ``iterable`` is none.
        BaseException: what the iterable raises; RuntimeError for a StopAsyncIteration.
    """
    if not hasattr(type(iterable), "__iter__"):
        raise TypeError(f"from_iterable() takes an iterable, not {type(iterable).__name__}")
    return _from_generator(iterable) if hasattr(type(iterable), "send") else _from_iterable(iterable)


@generator
async def _from_iterable(iterable: Iterable[Any]) -> Any:
    for item in iterable:
        yield item


@generator
async def _from_generator(iterable: Any) -> Any:
    iterator = iter(iterable)
    step = iterator.__next__
    arguments: tuple[Any, ...] = ()
    try:
        while True:
            try:
                item = step(*arguments)
            except StopIteration as stop:
                return stop.value
            try:
                sent = await yield_(item)
            except GeneratorExit:
                raise
            except BaseException as error:
                step, arguments = iterator.throw, (error,)
            else:
                step, arguments = (iterator.__next__, ()) if sent is None else (iterator.send, (sent,))
    finally:
        iterator.close()


async def collect(source: Any, into: Callable[[list[Any]], Any] = list) -> Any:
    """All items of a source, in a container. If it fails, the source is closed.

    Args:
        source: an async iterable.
        into: is called with a list of the items: ``set``, ``dict``, ``tuple``, ``"".join`` ...

    Returns:
        What ``into`` returns; without it, the list.

    Raises:
        TypeError: if ``source`` is no async iterable.
        BaseException: what the source, or ``into``, raises.
    """
    check_source(source)
    async with aclosing(source) if hasattr(source, "aclose") else contextlib.nullcontext():
        items = [item async for item in source]
    return items if into is list else into(items)
