"""Environments: structured functions, contexts of their own, and instrumentation made of them.

The engine enters and leaves an environment around each resumption of a body (``python/engine/environment.hpp``). What is
here is done once for each function, task or change of a variable.
"""

import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextvars import Context, ContextVar, Token
from types import CoroutineType
from typing import Any, NamedTuple

from . import _implementation as _engine
from ._calling import factory_of
from ._decoration import decorate, decorate_coroutine
from ._function import awaiting, isasyncgenfunction
from ._operators import yield_from_

_MISSING: Any = object()


class Layer:
    """The variables of a layered context: the caller's, and above them those that the body has set and not reset (PEP 568).

    The engine calls ``follow()`` when the caller's variables have changed since it did so last, and ``left()`` when the
    body has changed some in its resumption. A variable that is set to the very object that it had counts as not changed.
    """

    def __init__(self, context: Context) -> None:
        self._context = context  # what the body runs in; at first without a variable
        self._own: dict[ContextVar[Any], Any] = {}  # the body's, and what each was before the body set it
        self._tokens: dict[ContextVar[Any], Token[Any]] = {}  # to take away what the caller has no longer
        self._before: dict[ContextVar[Any], Any] = {}  # the context's variables when the body was entered

    def follow(self, caller: Context) -> None:
        """Give the context the present variables of the caller, but for those of the body's own."""
        for variable in {*caller, *self._context} - self._own.keys():
            value = caller.get(variable, _MISSING)
            if value is self._context.get(variable, _MISSING):
                continue
            if value is _MISSING:
                self._context.run(variable.reset, self._tokens.pop(variable))
            else:
                token = self._context.run(variable.set, value)
                self._tokens.setdefault(variable, token)
        self._before = dict(self._context.items())

    def left(self) -> bool:
        """See which variables the body has set or reset. Returns whether one of them follows the caller again."""
        present = dict(self._context.items())
        released = False
        for variable in present.keys() | self._before.keys():
            value = present.get(variable, _MISSING)
            before = self._before.get(variable, _MISSING)
            if value is before:
                continue
            if value is self._own.get(variable, self):  # which is no value
                del self._own[variable]
                released = True
            else:
                self._own.setdefault(variable, before)
        self._before = present
        return released


def structured(function: Any) -> Any:
    """Make a function structured: what its body drops, it closes.

    An async generator that was first iterated while the body ran, and that is dropped unfinished while the body runs, is
    closed: its ``aclose()`` is awaited in the same task and context, the last one dropped first, before the body's next
    wait reaches the event loop, or its item, result or exception leaves it. So a ``break`` closes, on any loop. An
    exception of that cleanup arrives in the body where it waits; at the end of the body it is raised, with the body's own
    as its context. A generator that is still referred to is not closed, and one that is dropped elsewhere goes to the
    event loop's finalizer, as always (PEP 525). ``preserve()`` makes an exception.

    On trio and curio a wait cannot be put off. There the cleanup begins when that wait is over, before the body goes on.

    Args:
        function: a coroutine function or an async generator function, native or decorated with ``@async_generator``.

    Returns:
        A function of the same kind. ``inspect.iscoroutinefunction()``, or ``inspect.isasyncgenfunction()``, says yes to
        it. An async generator function makes generators of this package.

    Raises:
        TypeError: if ``function`` is neither.
    """
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(structured(function.__func__))
    factory = factory_of(function)
    if factory is not None:
        again = decorate_coroutine if factory.parts & _engine.OF_COROUTINE else decorate
        return again(factory.original, factory.parts | _engine.OWN_HOOKS)
    if isasyncgenfunction(function):
        return decorate(function, _engine.OWN_HOOKS)
    if inspect.iscoroutinefunction(function):
        return decorate_coroutine(function, _engine.OWN_HOOKS | _engine.OF_COROUTINE)
    name = getattr(function, "__qualname__", type(function).__name__)
    raise TypeError(
        f"@structured goes on a coroutine function or an async generator function, not on {name}; below "
        "@asynccontextmanager and the like, and above none that makes something else of the function"
    )


def _structured_coroutine(coroutine: Any) -> Any:
    """``coroutine`` in a structured environment; one that is structured already, as it is."""
    if isinstance(coroutine, Coroutine) and not hasattr(coroutine, "cr_await"):  # mypyc compiled it
        coroutine = awaiting(coroutine, coroutine)
    if type(coroutine) is not CoroutineType:
        return coroutine
    return _engine.in_environment(coroutine, _engine.OWN_HOOKS)


class _TaskFactory:
    """A task factory of asyncio whose tasks are structured, as if ``@structured`` were on each one's function."""

    __name__ = __qualname__ = "structured_tasks"

    def __call__(self, loop: Any, coro: Any, **options: Any) -> Any:
        return sys.modules["asyncio"].Task(_structured_coroutine(coro), loop=loop, **options)

    def over(self, factory: Callable[..., Any]) -> Callable[..., Any]:
        """The same for tasks that another factory makes, such as ``asyncio.eager_task_factory``."""

        @functools.wraps(factory)
        def structured_factory(loop: Any, coro: Any, **options: Any) -> Any:
            return factory(loop, _structured_coroutine(coro), **options)

        return structured_factory

    def __repr__(self) -> str:
        return "<task factory structured_tasks>"


structured_tasks = _TaskFactory()


class preserve:
    """Iterate an async generator without giving it to the structured function that does it: ``async for x in preserve(g)``.

    If it is dropped unfinished, the event loop's finalizer gets it, as without ``@structured``. It must not have been
    iterated before.

    Args:
        generator: the async generator. What is returned has its attributes and its operations.

    Raises:
        TypeError: if ``generator`` is none.
    """

    def __init__(self, generator: Any) -> None:
        if not hasattr(generator, "__anext__"):
            raise TypeError(f"preserve() takes an async generator, not {type(generator).__name__}")
        self._generator = generator

    def __aiter__(self) -> Any:
        return self

    def __anext__(self) -> Any:
        return self._begin("__anext__")

    def asend(self, value: Any) -> Any:
        return self._begin("asend", value)

    def athrow(self, *exception: Any) -> Any:
        return self._begin("athrow", *exception)

    def aclose(self) -> Any:
        return self._begin("aclose")

    def _begin(self, operation: str, *arguments: Any) -> Any:
        # The first operation is where a generator takes the thread's hooks.
        return _engine.outside(getattr(self._generator, operation), *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)

    def __repr__(self) -> str:
        return f"preserve({self._generator!r})"


class Call(NamedTuple):
    """A call of an instrumented function, for what ``around`` makes of it."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def instrument(function: Any, *, around: Callable[[Call], Any]) -> Any:
    """Put a context manager around the life of each async generator that a function makes.

    It is entered at the generator's first resumption and left at its end. Sent values, thrown exceptions, ``aclose()`` and
    the return value are the wrapped generator's own (PEP 828). The generator and the context manager run in a context of
    their own, as with ``@async_generator(context="own")``: a token that is set at the beginning can be reset at the end.

    Args:
        function: an async generator function, native or decorated with ``@async_generator``.
        around: is called with a ``Call`` (``function``, ``args``, ``kwargs``) at the first resumption, and returns a
            context manager, sync or async.

    Returns:
        An async generator function with the name, signature and attributes of ``function``.

    Raises:
        TypeError: if ``function`` is no async generator function; from a call, for arguments that do not fit; from the
            first resumption, if ``around`` returns no context manager.
    """
    if not isasyncgenfunction(function):
        raise TypeError(f"instrument() takes an async generator function, not {function!r}")
    return surround(function, around, _engine.OWN_CONTEXT)


def surround(function: Any, around: Callable[[Call], Any], parts: int) -> Any:
    """``instrument()`` for an environment with these parts of its own. What is isolated stays so, with its manager inside."""
    make = function
    factory = factory_of(function)
    if factory is not None and factory.parts & _engine.ISOLATED:
        make, parts = decorate(factory.original, 0), factory.parts

    @functools.wraps(function)
    def begin(*args: Any, **kwargs: Any) -> Any:
        return _run_around(around, Call(function, args, kwargs), make(*args, **kwargs))

    del begin.__wrapped__  # what it calls is no part of it: it is shown below
    begin.__dict__.pop("_async_gen_function", None)
    made = decorate(begin, parts)
    made.__wrapped__ = function
    return made


async def _run_around(around: Callable[[Call], Any], call: Call, generator: Any) -> Any:
    manager = around(call)
    if hasattr(type(manager), "__aenter__"):
        async with manager:
            return await yield_from_(generator)
    elif hasattr(type(manager), "__enter__"):
        with manager:
            return await yield_from_(generator)
    else:
        raise TypeError(f"instrument(): around returned {manager!r}, not a context manager")


def isolated(obj: Any) -> Any:
    """Give an async generator, or an async context manager, that was made elsewhere a task of its own.

    Args:
        obj: an async generator that has not been iterated yet, native or of this package; or an async context manager.

    Returns:
        An async generator, as ``@async_generator(isolated=True)`` makes them. Or an async context manager, which may be
        entered in one task and left in another, in any order.

    Raises:
        TypeError: if ``obj`` is neither.
    """
    if isinstance(obj, AsyncGenerator):
        from ._isolated import isolated_generator  # which imports asyncio

        return isolated_generator(obj)
    if hasattr(type(obj), "__aenter__") and hasattr(type(obj), "__aexit__"):
        from ._isolated import isolated_manager

        return isolated_manager(obj)
    raise TypeError(f"isolated() takes an async generator or an async context manager, not {type(obj).__name__}")
