"""The decorator ``@async_generator``, and tests for async generators and async generator functions."""

import functools
import inspect
from typing import Any

from . import _implementation as _engine

_NOTHING: Any = object()


def async_generator(
    function: Any = _NOTHING, *, structured: bool = False, context: str | None = None, isolated: bool = False
) -> Any:
    """Make an async generator function from a coroutine function that uses ``await yield_()``.

    The generators follow PEP 525; ``await yield_from_()`` and return values follow PEP 828 (``docs/semantics.md``). A
    native async generator function, with ``yield``, is accepted, too. Its generators are then this package's, with the
    same semantics, and ``await yield_from_()`` works in their bodies.

    Args:
        function: an ``async def`` function, any callable that returns a coroutine, or a ``staticmethod`` or
            ``classmethod`` of one. Without it, what is returned takes it: ``@async_generator(structured=True)``.
        structured: whether an async generator that the body iterates and drops is closed by the body, as with
            ``@structured``.
        context: the contextvars context that the body runs in. None: that of the code that resumes it, as with native
            generators. ``"own"``: a copy of the one that the first resumption finds; what the body sets is not seen
            outside. ``"layered"``: the variables of the code that resumes it, as they are now, and above them those that
            the body has set and not reset (PEP 568).
        isolated: whether the body has a task of its own, and with it a context and hooks: timeouts, task groups and
            cancel scopes may then be held across a yield, and a wait for an item can be given up.

    Returns:
        A function with the name, signature, documentation and attributes of ``function``; each call makes a generator.
        ``inspect.isasyncgenfunction()`` is true for it. For a ``staticmethod`` or ``classmethod``, another one.

    Raises:
        TypeError: if ``function`` is not callable, is already decorated with ``@async_generator``, was made by
            ``contextlib.asynccontextmanager()``, or was compiled by a tool in a form that cannot be driven. A call of the
            returned function raises it if ``function`` does not return a coroutine.
        ValueError: if ``context`` is none of the above, or is given with ``isolated``.
    """
    if context not in _CONTEXTS:
        raise ValueError(f'context is "own", "layered" or None, not {context!r}')
    if isolated and context is not None:
        raise ValueError("an isolated generator has a context of its own: leave `context` out")
    parts = (
        _CONTEXTS[context]
        | (_engine.OWN_HOOKS if structured or isolated else 0)
        | (_engine.ISOLATED if isolated else 0)
    )
    decorate = _decoration().decorate
    return functools.partial(decorate, parts=parts) if function is _NOTHING else decorate(function, parts)


# An import of the package does not load this: it takes longer than all the rest, and only a program that decorates
# something needs it.
@functools.cache  # a call at the end of the process can import nothing
def _decoration() -> Any:
    """The module that makes decorated functions, with all that their calls need."""
    from . import _decoration as module

    return module


_CONTEXTS = {None: 0, "own": _engine.OWN_CONTEXT, "layered": _engine.LAYERED_CONTEXT}


def isasyncgen(obj: object) -> bool:
    """Tell whether an object is an async generator, native or of this package.

    Args:
        obj: any object.

    Returns:
        True if it is one.
    """
    return inspect.isasyncgen(obj) or isinstance(obj, _engine.async_generator)


def isasyncgenfunction(obj: object) -> bool:
    """Tell whether an object is an async generator function, native or decorated with ``@async_generator``.

    Args:
        obj: any object.

    Returns:
        True if it is one. False for a wrapper that ``functools.wraps()`` has made look like one.
    """
    return inspect.isasyncgenfunction(obj) or getattr(obj, "_async_gen_function", -1) == id(obj)


def awaiting(function: Any, coroutine: Any) -> Any:
    """A native coroutine that awaits one of another kind, for what needs a native one.

    The engine calls this for bodies that it cannot send into, such as those that mypyc compiled. In these an item takes
    one await more.

    Args:
        function: what made the coroutine, which gives it its name.
        coroutine: a coroutine, by its methods.
    """
    made: Any = _await(coroutine)
    made.__name__ = getattr(function, "__name__", made.__name__)
    made.__qualname__ = getattr(function, "__qualname__", made.__name__)
    return made


async def _await(coroutine: Any) -> Any:
    return await coroutine


def _layer(context: Any) -> Any:
    """``_environment.Layer``, for the engine."""
    from ._environment import Layer

    return Layer(context)


def _isolated(generator: Any) -> Any:
    """``_isolated.isolated_generator``, for the engine."""
    from ._isolated import isolated_generator  # which imports asyncio

    return isolated_generator(generator)


def _running_task(generator: Any) -> "str | None":
    """``_running.running_task()``, for the engine. A note is not worth an error in place of another."""
    try:
        from ._running import running_task
    except Exception:
        return None
    return running_task(generator)


_engine.set_awaiting(awaiting)
_engine.set_layer(_layer)
_engine.set_isolated(_isolated)
_engine.set_running_task(_running_task)
