"""Context managers: the standard library's, with additions that users of async_generator 1.10 rely on."""

import contextlib
import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing
from typing import Any

from ._environment import surround
from ._function import isasyncgenfunction

__all__ = ["aclosing", "asynccontextmanager"]


def asynccontextmanager(func: Callable[..., AsyncGenerator[Any, Any]]) -> Callable[..., Any]:
    """Make an async context manager function from an async generator function that yields once.

    It does what ``contextlib.asynccontextmanager()`` does (CPython's Lib/contextlib.py), with four additions. The
    generator is always closed at the end of the block. A function that is not an async generator function is refused
    here, and not in the ``async with``. In a plain ``with``, the error says what to write instead. As a decorator, the
    context manager is around the iteration of generators, as in CPython 3.15, and hides none of their operations.

    Args:
        func: an async generator function, native or decorated with ``@async_generator``. ``@asynccontextmanager`` goes on
            top of ``@async_generator``.

    Returns:
        A function with the name, documentation and attributes of ``func``; each call makes a context manager, which is
        also a decorator: of coroutine functions, of async generator functions, whose ``asend()``, ``athrow()`` and return
        value go through it (PEP 828), and of generator functions, which become async. The value of its ``async with``
        is the item.

    Raises:
        TypeError: if ``func`` is not an async generator function.
    """
    if not isasyncgenfunction(func):
        raise TypeError(
            f"{func!r} is not an async generator function: @asynccontextmanager takes a native one or one from "
            "@async_generator, and goes on top of @async_generator"
        )
    make = contextlib.asynccontextmanager(func)

    @functools.wraps(func)
    def helper(*args: Any, **kwds: Any) -> _AsyncGeneratorContextManager:
        return _AsyncGeneratorContextManager(make, args, kwds)

    helper.__returns_acontextmanager__ = True  # type: ignore[attr-defined]  # sphinxcontrib-trio looks for it
    return helper


class _AsyncGeneratorContextManager(contextlib.AsyncContextDecorator, contextlib.AbstractAsyncContextManager):  # type: ignore[type-arg]
    """The context manager that one call makes: the standard library's, except that it always closes its generator.

    Args:
        make: the standard library's function that makes the context manager.
        args: the positional arguments of the call.
        kwds: its keyword arguments.
    """

    def __init__(self, make: Callable[..., Any], args: tuple[Any, ...], kwds: dict[str, Any]) -> None:
        self._call = make, args, kwds
        self._manager = make(*args, **kwds)
        self._agen = self._manager.gen
        self._func_name = make.__name__
        self.__doc__ = self._manager.__doc__

    def _recreate_cm(self) -> "_AsyncGeneratorContextManager":
        return type(self)(*self._call)  # as a decorator, it needs a new manager for each call

    def __call__(self, func: Any) -> Any:
        if isinstance(func, (staticmethod, classmethod)) and isasyncgenfunction(func.__func__):
            return type(func)(self(func.__func__))
        if isasyncgenfunction(func):
            return surround(func, lambda call: self._recreate_cm(), parts=0)
        if inspect.isgeneratorfunction(func) and not _is_awaited(func):
            return self._over_generator(func)
        as_the_interpreter_does: Any = super().__call__
        return as_the_interpreter_does(func)

    def _over_generator(
        self, func: Callable[..., Generator[Any, Any, Any]]
    ) -> Callable[..., AsyncGenerator[Any, None]]:
        @functools.wraps(func)
        async def inner(*args: Any, **kwds: Any) -> AsyncGenerator[Any, None]:
            async with self._recreate_cm():
                with contextlib.closing(func(*args, **kwds)) as items:
                    for item in items:
                        yield item

        return inner

    def __aenter__(self) -> Any:
        return self._manager.__aenter__()

    async def __aexit__(self, *exc_info: Any) -> Any:
        async with aclosing(self._agen):
            return await self._manager.__aexit__(*exc_info)

    def __enter__(self) -> Any:
        raise RuntimeError(f"use 'async with {self._func_name}(...)', not 'with {self._func_name}(...)'")

    def __exit__(self, *exc_info: Any) -> None:
        """Never called, but `with` looks it up before it calls `__enter__`."""


def _is_awaited(func: Any) -> bool:
    """Tell whether a generator function has the decorator ``types.coroutine``."""
    return bool(getattr(getattr(func, "__code__", None), "co_flags", 0) & inspect.CO_ITERABLE_COROUTINE)
