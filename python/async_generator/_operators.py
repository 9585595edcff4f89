"""``yield_`` and ``yield_from_``: the engine's callables, dressed as the coroutine functions that users see."""

from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any

from . import _engine


async def _boxer() -> AsyncGenerator[Any, Any]:
    """Yields what it is sent: the engine learns from it how the interpreter wraps the items of native generators."""
    item = None
    while True:
        item = yield item


# The boxer lives as long as the process and is never closed, so no event loop may come to know it: the engine drives it
# through its raw send, which calls no hooks.
_engine.set_up(_boxer())


async def yield_(value: Any = None) -> Any:
    """Hand ``value`` to the consumer of the async generator that runs: ``await yield_(value)`` is ``yield value``.

    Works in the body of an ``@async_generator`` function, in a native async generator, and in any coroutine that such a
    body awaits.

    Returns:
        What the consumer sends with ``asend()``, otherwise ``None``.

    Raises:
        RuntimeError: if it is awaited outside an async generator, or twice.
        BaseException: what the consumer throws in with ``athrow()``; ``GeneratorExit`` at ``aclose()``.
    """
    return await _engine.yield_(value)


async def yield_from_(delegate: AsyncIterable[Any]) -> Any:
    """Delegate to another async generator or async iterable: PEP 828's ``yield from``.

    Sent values, thrown exceptions and ``aclose()`` are forwarded to ``delegate``.  The cost of an item does not depend on
    how many generators delegate to each other.

    Returns:
        What ``delegate`` returned: the value of its ``StopAsyncIteration``.

    Raises:
        TypeError: if ``delegate`` is not an async iterable.
        AttributeError: if a value is sent and ``delegate`` has no ``asend()``.
        RuntimeError: if it is awaited outside an async generator, or twice, or ``delegate`` is already running.
        BaseException: what ``delegate`` raises.
    """
    return await _engine.yield_from_(delegate)


def _dress(operator: Any, prototype: Any) -> Any:
    """Give an engine callable the attributes of the function that it stands for."""
    for name in ("__name__", "__qualname__", "__doc__", "__module__", "__code__", "__defaults__", "__kwdefaults__"):
        setattr(operator, name, getattr(prototype, name))
    operator.__module__ = "async_generator"
    operator.__annotations__ = dict(prototype.__annotations__)
    operator.__wrapped__ = prototype  # a Python function, for who takes nothing else (stackscope)
    return operator


yield_ = _dress(_engine.yield_, yield_)
yield_from_ = _dress(_engine.yield_from_, yield_from_)
