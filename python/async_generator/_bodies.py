"""What a decorated function's body is made of, and the face that shows the function to tools."""

import contextlib
import functools
import inspect
import sys
from types import CodeType, FunctionType, MethodType
from typing import Any

from . import _implementation as _engine
from ._code import as_kind, kind_of, rewriting, with_blocks

_Prepared = tuple[Any, tuple[Any, ...], int]


def prepare(function: Any, face: Any = None, face_changed: bool = False, replaced: bool = False) -> _Prepared:
    """Prepare what the engine needs to make the bodies of a function. A factory calls this (python/engine/function.cpp).

    A native async generator function becomes a coroutine function by the flags of its code: its yields are then real
    yields of a coroutine. A coroutine function gets real yields where its code allows that (``_rewriting``), unless its
    code was replaced after it was decorated: a tool that replaces code, such as a profiler, expects exactly these
    instructions to run.

    Args:
        function: what was decorated. If ``replaced`` is true, it may be the decorated function itself, whose code always
            has the flag of an async generator function.
        face: its face, if that is another function.
        face_changed: whether the face's code was replaced.
        replaced: whether any code is not the code that was decorated.

    Returns:
        A callable that returns a coroutine; the globals that its code relies on, as ``_rewriting.rewrite()`` returns
        them; and the traits of the generators.
    """
    if isinstance(function, functools.partial):
        made, names, traits = prepare(function.func)
        return functools.partial(made, *function.args, **function.keywords), names, traits
    if isinstance(function, MethodType):
        made, names, traits = prepare(function.__func__)
        return MethodType(made, function.__self__), names, traits
    if type(function) is not FunctionType:  # Nuitka's functions pass isinstance(), but their code does not run
        call = type(function).__call__
        return prepare(MethodType(call, function)) if inspect.isasyncgenfunction(call) else (function, (), 0)
    if face is not None:
        _agree(function, face, face_changed)
    code, traits = _as_body(function.__code__, replaced)
    names = ()
    if code.co_flags & inspect.CO_COROUTINE and not replaced:
        code, names, rewritten = rewriting.rewrite(code, function.__globals__)
        traits |= rewritten
    if code is function.__code__ and face is None and not replaced:  # the decorated function itself would call itself
        return function, (), 0
    if with_blocks.yields_in_with(code):
        traits |= _engine.GUARDED
    made = _copy(function, code)
    _copy_protection(made.__code__, function.__code__, function.__code__ if face is None else face.__code__)
    return made, names, traits


def prepare_coroutine(function: Any, face: Any = None, face_changed: bool = False, replaced: bool = False) -> _Prepared:
    """The same for a structured coroutine function, which needs no preparation."""
    return (_copy(function, function.__code__) if replaced else function), (), 0


def _as_body(code: CodeType, replaced: bool) -> tuple[CodeType, int]:
    """The code of a coroutine function with the real yields of ``code``, if it has any; and the traits of the generators."""
    if not code.co_flags & (inspect.CO_ASYNC_GENERATOR | (inspect.CO_COROUTINE if replaced else 0)):
        return code, 0
    yields = not replaced or rewriting.yields_items(code)
    code = as_kind(code, inspect.CO_COROUTINE)
    return (rewriting.yielding(code), _engine.NATIVE_SYNTAX | rewriting.YIELDS) if yields else (code, 0)


def _copy_protection(code: CodeType, written: CodeType, shown: CodeType) -> None:
    """Copy the protection by trio's ``enable_ki_protection`` or ``disable_ki_protection`` to the code that runs.

    trio (0.27 and later) identifies protected functions by their code, and has no public function that tells it.

    Args:
        code: the code that runs.
        written: the code of the function that was decorated.
        shown: the code of its face. If both have a protection, this one is copied.
    """
    known = getattr(sys.modules.get("trio._core._ki"), "_CODE_KI_PROTECTION_STATUS_WMAP", None)
    if known is None:
        return
    for marked in (shown, written):
        with contextlib.suppress(KeyError):
            known[code] = known[marked]
            return


def face_of(function: Any, seen: tuple[Any, ...] = ()) -> Any:
    """The face of ``function``: what ``__wrapped__`` of the decorated function shows.

    It is ``function`` itself, unless ``function`` is or wraps a coroutine function. Then it is a copy, with an async
    generator function in place of each coroutine function, for tools that unwrap a function to see its kind.

    Args:
        function: what was decorated.
        seen: the functions whose faces are being made: ``__wrapped__`` may lead back to one of them.
    """
    if any(function is one for one in seen):
        return function
    seen = (*seen, function)
    if type(function) is functools.partial:
        face = face_of(function.func, seen)
        return function if face is function.func else functools.partial(face, *function.args, **function.keywords)
    if isinstance(function, MethodType):
        face = face_of(function.__func__, seen)
        return function if face is function.__func__ else MethodType(face, function.__self__)
    if type(function) is not FunctionType or function.__code__.co_flags & inspect.CO_ASYNC_GENERATOR:
        return function
    wrapped = function.__dict__.get("__wrapped__")
    face_of_wrapped = face_of(wrapped, seen)
    code = _shown(function.__code__)
    if code is function.__code__ and face_of_wrapped is wrapped:
        return function
    made = functools.update_wrapper(_copy(function, code), function)
    del made.__wrapped__
    if "__wrapped__" in function.__dict__:
        made.__wrapped__ = face_of_wrapped
    return made


def _shown(code: CodeType) -> CodeType:
    """The code that a face shows for ``code``."""
    return as_kind(code, inspect.CO_ASYNC_GENERATOR) if code.co_flags & inspect.CO_COROUTINE else code


def _copy(function: Any, code: CodeType) -> Any:
    made = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    made.__kwdefaults__ = function.__kwdefaults__
    made.__qualname__ = function.__qualname__
    made.__module__ = function.__module__
    return made


def _agree(function: Any, face: Any, changed: bool) -> None:
    """Give a function and its face the same code again, after a user replaced the code of one of them.

    Args:
        function: the decorated function's original.
        face: its face.
        changed: whether the face's code was replaced. If not, the original's code is copied to the face.
    """
    if changed:
        kind = kind_of(function.__code__)
        # A face's code always has the flag of an async generator function. If it yields items, the function is one.
        if kind == inspect.CO_COROUTINE and rewriting.yields_items(face.__code__):
            kind = inspect.CO_ASYNC_GENERATOR
        function.__code__ = as_kind(face.__code__, kind) if kind else face.__code__
    elif face.__code__ != _shown(function.__code__):
        face.__code__ = _shown(function.__code__)
