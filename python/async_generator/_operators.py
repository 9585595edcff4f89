"""The operators ``yield_`` and ``yield_from_``: callables of the engine with the attributes of coroutine functions."""

from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any

from . import _has_engine
from . import _implementation as _engine


async def _boxer() -> AsyncGenerator[Any, Any]:
    """Yields the values that it is sent. The engine learns from it how the interpreter wraps items."""
    item = None
    while True:
        item = yield item


# The boxer lives as long as the process and is never closed, so no hook may see it. The engine drives it through its raw
# send, which calls no hooks.
_engine.set_up(_boxer())


async def yield_(value: Any = None) -> Any:
    """Yield an item to the consumer of the async generator that runs: ``await yield_(value)`` is ``yield value``.

    It works in the body of an ``@async_generator`` function, in a native async generator, and in any coroutine that one
    of these awaits. The rules are those of PEP 525.

    Args:
        value: the item.

    Returns:
        The value that the consumer sends with ``asend()``; ``None`` at ``__anext__()``.

    Raises:
        RuntimeError: if it is awaited outside an async generator, or twice.
        GeneratorExit: if the consumer calls ``aclose()``.
        BaseException: the exception that the consumer throws in with ``athrow()``.
    """
    return await _engine.yield_(value)


async def yield_from_(delegate: AsyncIterable[Any]) -> Any:
    """Delegate to another async generator or async iterable: PEP 828's ``yield from``.

    Sent values, thrown exceptions and ``aclose()`` are forwarded to ``delegate``. The cost of an item does not depend on
    the length of a chain of delegations.

    Args:
        delegate: an async generator or another async iterable.

    Returns:
        The return value of ``delegate``: the value of its ``StopAsyncIteration``.

    Raises:
        TypeError: if ``delegate`` is not an async iterable.
        AttributeError: if the consumer sends a value and ``delegate`` has no ``asend()``.
        RuntimeError: if it is awaited outside an async generator, or twice, or ``delegate`` is already running.
        GeneratorExit: if the consumer calls ``aclose()``, after that of ``delegate`` is done.
        BaseException: the exception that ``delegate`` raises, or that the consumer throws in if ``delegate`` has no
            ``athrow()``.
    """
    return await _engine.yield_from_(delegate)


def _dress(operator: Any, prototype: Any) -> Any:
    """Give an operator of the engine the attributes of a coroutine function. Returns the operator."""
    names = ["__name__", "__qualname__", "__doc__", "__module__"]
    if _has_engine:  # without it, the operators are Python functions
        names += ["__code__", "__defaults__", "__kwdefaults__"]
    for name in names:
        setattr(operator, name, getattr(prototype, name))
    operator.__module__ = "async_generator"
    operator.__annotations__ = dict(prototype.__annotations__)
    operator.__wrapped__ = prototype  # for tools that accept only a Python function (stackscope)
    return operator


yield_ = _dress(_engine.yield_, yield_)
yield_from_ = _dress(_engine.yield_from_, yield_from_)
