"""The work of ``@async_generator``, done once for each function."""

import contextlib
import functools
import inspect
from types import FunctionType, MethodType
from typing import Any

from . import _implementation as _engine
from ._bodies import face_of, prepare, prepare_coroutine
from ._calling import Identity, make_function

# All functions that contextlib.asynccontextmanager makes share their code.
_CONTEXT_MANAGER_CODE = contextlib.asynccontextmanager(lambda: None).__code__  # type: ignore[arg-type, return-value]


def decorate(function: Any, parts: int) -> Any:
    """``async_generator()`` for an environment with these parts of its own (``python/engine/environment.hpp``)."""
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(decorate(function.__func__, parts))
    if not callable(function):
        raise TypeError(f"@async_generator goes on an `async def` function, not on {type(function).__name__}")
    if getattr(function, "_async_gen_function", None) == id(function):
        raise TypeError(
            f"{function!r} is decorated with @async_generator twice: write one decorator, with all its options; to isolate "
            "a generator that another's function makes, write isolated(function(...))"
        )
    if getattr(function, "__code__", None) is _CONTEXT_MANAGER_CODE:
        raise TypeError(f"write @asynccontextmanager on top of @async_generator, not below it: {function!r}")
    _refuse_compiled(function)
    if parts & _engine.LAYERED_CONTEXT:  # now: the first call may be where nothing can be imported
        from . import _environment as _environment
    face = face_of(function)
    observed = face if isinstance(face, FunctionType) and face is not function else None
    factory = _engine.factory(function, observed, prepare, None, parts)
    decorated: Any = make_function(function, factory, inspect.CO_ASYNC_GENERATOR)
    functools.update_wrapper(decorated, function)
    decorated.__wrapped__ = face
    decorated._async_gen_function = Identity(decorated)
    return decorated


def decorate_coroutine(function: Any, parts: int) -> Any:
    """The same for a coroutine function, which remains one."""
    factory = _engine.factory(function, None, prepare_coroutine, None, parts)
    decorated: Any = make_function(function, factory, inspect.CO_COROUTINE)
    functools.update_wrapper(decorated, function)
    decorated._structured_function = Identity(decorated)
    return decorated


# The type names of compiled functions, and their compilers. Such a function has a code object, but runs machine code.
_COMPILERS = {
    "cython_function_or_method": "Cython",
    "fused_cython_function": "Cython",
    "compiled_function": "Nuitka",
}


def _refuse_compiled(function: Any) -> None:
    """Raise TypeError for a compiled function whose coroutines or async generators the engine cannot drive."""
    while isinstance(function, (functools.partial, MethodType)):
        function = function.func if isinstance(function, functools.partial) else function.__func__
    if type(function).__name__ not in _COMPILERS:
        function = type(function).__call__
    tool = _COMPILERS.get(type(function).__name__)
    if tool and function.__code__.co_flags & inspect.CO_ASYNC_GENERATOR:
        raise TypeError(
            f"{function!r} was compiled by {tool}, whose async generators cannot be driven by @async_generator: write "
            f"`await yield_(x)` for each `yield x`, or leave its module uncompiled"
        )
