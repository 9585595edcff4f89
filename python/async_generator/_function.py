"""The decorator ``@async_generator``, and how to recognise what it makes."""

import contextlib
import dis
import functools
import inspect
import sys
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

from . import _engine, _rewriting

# All functions that contextlib.asynccontextmanager makes share their code.
_CONTEXT_MANAGER_CODE = contextlib.asynccontextmanager(lambda: None).__code__  # type: ignore[arg-type, return-value]
_KINDS = inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def async_generator(function: Any) -> Any:
    """Make an async generator function of a coroutine function that uses ``await yield_()``.

    A native async generator function, with ``yield``, is accepted too: its generators are then this package's, with the
    same semantics, and ``await yield_from_()`` works in their bodies.

    Args:
        function: an ``async def`` function, or any callable that returns a coroutine.

    Returns:
        A function with the name, signature, documentation and attributes of ``function``; each call makes a generator.
        ``inspect.isasyncgenfunction()`` says yes to it.

    Raises:
        TypeError: if ``function`` is not callable, or was compiled by a tool in a form that cannot be driven; and from a
            call, if ``function`` returns anything but a coroutine.
    """
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(async_generator(function.__func__))
    if not callable(function):
        raise TypeError(f"@async_generator goes on an `async def` function, not on {type(function).__name__}")
    if getattr(function, "_async_gen_function", None) == id(function):
        raise TypeError(f"{function!r} is decorated with @async_generator twice")
    if getattr(function, "__code__", None) is _CONTEXT_MANAGER_CODE:
        raise TypeError(f"write @asynccontextmanager on top of @async_generator, not below it: {function!r}")
    _refuse_compiled(function)
    decorated: Any = _make_function(function, _engine.maker(function, _prepare))
    functools.update_wrapper(decorated, function)
    decorated._async_gen_function = id(decorated)
    return decorated


def isasyncgen(obj: object) -> bool:
    """True for an async generator of this package, or a native one."""
    return inspect.isasyncgen(obj) or isinstance(obj, _engine.async_generator)


def isasyncgenfunction(obj: object) -> bool:
    """True for an async generator function: decorated with ``@async_generator``, or native.

    A wrapper made by ``functools.wraps`` around one is not itself one.
    """
    return inspect.isasyncgenfunction(obj) or getattr(obj, "_async_gen_function", -1) == id(obj)


# What the functions of compilers are called. They have code objects, but what runs is machine code.
_COMPILERS = {
    "cython_function_or_method": "Cython",
    "fused_cython_function": "Cython",
    "compiled_function": "Nuitka",
    "Function compiled with mypyc": "mypyc",
}


def _refuse_compiled(function: Any) -> None:
    """Raises TypeError for a function of which a compiler has left nothing that the engine could drive."""
    while isinstance(function, (functools.partial, MethodType)):
        function = function.func if isinstance(function, functools.partial) else function.__func__
    if type(function).__name__ not in _COMPILERS:
        function = type(function).__call__
    tool = _COMPILERS.get(type(function).__name__)
    if tool == "mypyc":
        raise TypeError(
            f"{function!r} was compiled by mypyc, whose coroutines cannot be driven by @async_generator: leave its module "
            f"uncompiled"
        )
    if tool and function.__code__.co_flags & inspect.CO_ASYNC_GENERATOR:
        raise TypeError(
            f"{function!r} was compiled by {tool}, whose async generators cannot be driven by @async_generator: write "
            f"`await yield_(x)` for each `yield x`, or leave its module uncompiled"
        )


# Calling ---------------------------------------------------------------------------------------------------------------
#
# A decorated function is a Python function whose code carries CO_ASYNC_GENERATOR, so that inspect and all who ask it
# recognise it. The code itself does not run: the engine gives the function another entry point, which finds the maker in
# the last cell of the closure. Only CPython 3.11 inlines the code of a Python function whatever its entry point is; there
# the code is a call of the maker. Elsewhere the code is there for copies of the function, which have no entry point of
# ours, and for those who read it.

_INLINES = sys.version_info[:2] == (3, 11)


def _make_function(function: Any, maker: Any) -> FunctionType:
    if not isinstance(function, FunctionType) or not _has_room(function.__code__):
        decorated = _forwarding_function(_anything.__code__, _anything, maker)
    elif _INLINES and (function.__defaults__ or function.__kwdefaults__):
        decorated = _forwarding_function(_anything.__code__, function, maker)
        return _engine.bind(decorated)  # defaults are the function's own, also when they change
    elif _INLINES or not function.__code__.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        decorated = _forwarding_function(function.__code__, function, maker)
    else:
        code = maker.shown = _with_maker(_as_kind(function.__code__, inspect.CO_ASYNC_GENERATOR))
        closure = (*(function.__closure__ or ()), CellType(maker))
        decorated = FunctionType(code, function.__globals__, function.__name__, None, closure)
    decorated.__defaults__ = getattr(function, "__defaults__", None)
    decorated.__kwdefaults__ = getattr(function, "__kwdefaults__", None)
    return _engine.bind(decorated)


def _anything(*args: Any, **kwargs: Any) -> Any: ...


def _forwarding_function(code: CodeType, shown_as: Any, maker: Any) -> FunctionType:
    """A function with the parameters of ``code`` that calls ``maker`` with them."""
    names = iter(code.co_varnames)
    positional = [next(names) for _ in range(code.co_argcount)]
    by_keyword = [next(names) for _ in range(code.co_kwonlyargcount)]
    rest = "*" + next(names) if code.co_flags & inspect.CO_VARARGS else ""
    keywords = "**" + next(names) if code.co_flags & inspect.CO_VARKEYWORDS else ""
    only = code.co_posonlyargcount
    parameters = [*positional[:only], *(["/"] if only else []), *positional[only:]]
    parameters += [rest or "*"] if rest or by_keyword else []
    parameters += [*by_keyword, *([keywords] if keywords else [])]
    arguments = [*positional, *([rest] if rest else []), *(f"{name}={name}" for name in by_keyword)]
    arguments += [keywords] if keywords else []
    mark = "_"
    while f"delegate{mark}" in code.co_varnames or f"maker{mark}" in code.co_varnames:
        mark += "_"
    # Cells are in alphabetical order: the maker is in the last one.
    call = f"maker{mark}({', '.join(arguments)})"
    define, run = "def", f"return {call}"
    if sys.version_info < (3, 11):  # where the flags alone make a copy an async generator function
        define, run = "async def", f"await delegate{mark}({call})"
    source = (
        f"def factory(delegate{mark}, maker{mark}):\n"
        f"    {define} forward({', '.join(parameters)}): {run}\n"
        f"    return forward\n"
    )
    scope: dict[str, Any] = {}
    exec(compile(source, code.co_filename, "exec"), scope)
    forward = scope["factory"](_engine.yield_from_, maker)
    face = shown_as.__code__
    shown = {"co_name": face.co_name, "co_filename": face.co_filename, "co_firstlineno": face.co_firstlineno}
    if sys.version_info >= (3, 11):
        shown["co_qualname"] = face.co_qualname
    made = _as_kind(forward.__code__.replace(**shown), inspect.CO_ASYNC_GENERATOR)
    return FunctionType(made, shown_as.__globals__, face.co_name, None, forward.__closure__)


def _has_room(code: CodeType) -> bool:
    """Whether one free variable more can be counted in place."""
    return sys.version_info < (3, 11) or len(code.co_freevars) < 255


def _with_maker(code: CodeType) -> CodeType:
    """``code`` with one free variable more.

    A copy of the function, made of its code and its closure, has no entry point of ours, and runs the code. It begins with
    the number of the free variables, if it has any: the count must be right, or it takes the wrong ones.
    """
    free = code.co_freevars
    instructions = bytearray(code.co_code)
    if free and sys.version_info >= (3, 11) and instructions[0] == dis.opmap["COPY_FREE_VARS"]:
        instructions[1] = len(free) + 1
    return code.replace(co_code=bytes(instructions), co_freevars=(*free, "<maker>"))


def _as_kind(code: CodeType, kind: int) -> CodeType:
    # What a generator is sent takes a stack slot, which code of another kind has not (3.10, where flags alone decide).
    room = 0 if code.co_flags & _KINDS else 1
    return code.replace(co_flags=code.co_flags & ~_KINDS | kind, co_stacksize=code.co_stacksize + room)


# Bodies ----------------------------------------------------------------------------------------------------------------


def _prepare(function: Any, replaced: bool = False) -> tuple[Any, tuple[Any, ...], int]:
    """What the engine calls to make a body: a callable that returns a coroutine, the globals that its code relies on, and
    the flags of the generators.

    A native async generator function becomes a coroutine function by its code's flags: its yields are then real yields of
    a coroutine. A coroutine function gets real yields where its code allows it (``_rewriting``). Not one that was given
    other code after it was decorated: who does that, a profiler for one, looks for the very instructions when they run.
    Such a ``function`` may be the decorated function, whose code always has the flag of an async generator's.
    """
    if isinstance(function, functools.partial):
        made, names, flags = _prepare(function.func)
        return functools.partial(made, *function.args, **function.keywords), names, flags
    if isinstance(function, MethodType):
        made, names, flags = _prepare(function.__func__)
        return MethodType(made, function.__self__), names, flags
    if type(function) is not FunctionType:  # Nuitka's functions are instances of it, but have no code that runs
        call = type(function).__call__
        return _prepare(MethodType(call, function)) if inspect.isasyncgenfunction(call) else (function, (), 0)
    flags = 0
    code = function.__code__
    if code.co_flags & inspect.CO_ASYNC_GENERATOR:
        yields = not replaced or _rewriting.yields_items(code)
        code = _as_kind(code, inspect.CO_COROUTINE)
        if yields:
            code = _rewriting.yielding(code)
            flags = _engine.REAL_YIELDS | _engine.NATIVE_SYNTAX
    names = ()
    if code.co_flags & inspect.CO_COROUTINE and not replaced:
        code, names, rewritten = _rewriting.rewrite(code, function.__globals__)
        flags |= rewritten
    if code is function.__code__:
        return function, (), 0
    made = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    made.__kwdefaults__ = function.__kwdefaults__
    made.__qualname__ = function.__qualname__
    made.__module__ = function.__module__
    return made, names, flags
