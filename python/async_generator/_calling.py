"""What a call of a decorated function runs.

A decorated function is a Python function whose code has the flag CO_ASYNC_GENERATOR, so that inspect, and tools that
use inspect, recognise it. The code itself does not run: the engine gives the function another entry point, which finds
the factory in the last cell of the closure. CPython 3.11 alone inlines the code of a Python function even if it has
another entry point; there the code calls the factory. On other versions the code serves copies of the function, which
do not have the engine's entry point, and tools that read it. Without the engine, the code calls the factory everywhere,
and has the flag where that is for show only.
"""

import inspect
import sys
import weakref
from types import CellType, CodeType, FunctionType
from typing import Any

from . import _has_engine
from . import _implementation as _engine
from ._code import as_kind, rewriting

_INLINES = sys.version_info[:2] == (3, 11) or not _has_engine
# Whether a call makes what the flags of the code say. Elsewhere an instruction does, and flags are for show.
_BY_FLAGS = sys.version_info < (3, 11) or sys.implementation.name != "cpython"
_CELL = "<factory>"


def make_function(function: Any, factory: Any, kind: int) -> FunctionType:
    decorated = _copy_shown(function, factory, kind) or _forwarding_function(function, factory, kind)
    defaults, by_keyword = getattr(function, "__defaults__", None), getattr(function, "__kwdefaults__", None)
    if _INLINES and isinstance(function, FunctionType):
        from ._defaults import Defaults, KeywordDefaults

        defaults = Defaults(function, len(defaults)) if defaults else None
        by_keyword = KeywordDefaults(function, list(by_keyword)) if by_keyword else None
    decorated.__defaults__ = defaults
    decorated.__kwdefaults__ = by_keyword
    bound: FunctionType = _engine.bind(decorated)
    return bound


def _copy_shown(function: Any, factory: Any, kind: int) -> FunctionType | None:
    """A function that shows the code of ``function``, with one free variable more, for the factory.

    None if ``function`` is not an async function, or if the interpreter inlines or cannot run such code.
    """
    if _INLINES or not isinstance(function, FunctionType):
        return None
    if not function.__code__.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        return None
    code = rewriting.with_free_variable(as_kind(function.__code__, kind), _CELL)
    if code is None:
        return None
    factory.shown = code
    closure = (*(function.__closure__ or ()), CellType(factory))
    return FunctionType(code, function.__globals__, function.__name__, None, closure)


def _anything(*args: Any, **kwargs: Any) -> Any: ...


class _Signature:
    """The parameters of a function as source text, and the arguments of a call that passes them on.

    Args:
        code: the code of the function.
    """

    def __init__(self, code: CodeType) -> None:
        names = iter(code.co_varnames)
        positional = [next(names) for _ in range(code.co_argcount)]
        by_keyword = [next(names) for _ in range(code.co_kwonlyargcount)]
        rest = ["*" + next(names)] if code.co_flags & inspect.CO_VARARGS else []
        keywords = ["**" + next(names)] if code.co_flags & inspect.CO_VARKEYWORDS else []
        only = code.co_posonlyargcount
        slash = ["/"] if only else []
        star = ["*"] if by_keyword and not rest else []
        named = [f"{name}={name}" for name in by_keyword]
        self.parameters = ", ".join(
            [*positional[:only], *slash, *positional[only:], *rest, *star, *by_keyword, *keywords]
        )
        self.arguments = ", ".join([*positional, *rest, *named, *keywords])
        self.mark = "_"  # the end of our own names, none of the function's
        while any(name.endswith(self.mark) for name in code.co_varnames):
            self.mark += "_"


def _forwarding_function(function: Any, factory: Any, kind: int) -> FunctionType:
    """A function with the parameters and the cells of ``function``, which calls ``factory`` with its arguments."""
    if _BY_FLAGS and not _has_engine and kind == inspect.CO_ASYNC_GENERATOR:
        kind = 0  # its code runs, and must not make a native generator
    has_code = isinstance(function, FunctionType)
    if has_code and sys.version_info >= (3, 11):  # these versions count free variables in one byte
        has_code = len(function.__code__.co_freevars) < 255
    shown_as = function if has_code else _anything
    code = shown_as.__code__
    signature = _Signature(code)
    mark = signature.mark
    # Cells are in alphabetical order: the last one has the factory, named `target`. The cells of `function` are not used
    # here, but tools look for them: `attrs` replaces the class in the cell that super() reads.
    shown = {f"free{number:03}{mark}": name for number, name in enumerate(code.co_freevars)}
    forward = _compile_forward(code.co_filename, signature, list(shown), factory, kind)
    free: tuple[str, ...] = forward.__code__.co_freevars
    made = as_kind(_show(forward.__code__, code, (*(shown.get(name, name) for name in free[:-1]), _CELL)), kind)
    cells: dict[str, Any] = dict(zip(shown, shown_as.__closure__ or (), strict=True))
    closure = tuple(cells.get(name, own) for name, own in zip(free, forward.__closure__, strict=True))
    return FunctionType(made, shown_as.__globals__, code.co_name, None, closure)


def _compile_forward(filename: str, signature: _Signature, cells: list[str], factory: Any, kind: int) -> Any:
    mark = signature.mark
    call = f"target{mark}({signature.arguments})"
    define, run = "def", f"return {call}"
    if _BY_FLAGS and kind:
        define, run = "async def", f"return await {call}"
        if kind == inspect.CO_ASYNC_GENERATOR:
            run = f"await delegate{mark}({call})"
    source = (
        f"def outer(delegate{mark}, target{mark}, {', '.join(cells)}):\n"
        f"    {define} forward({signature.parameters}):\n"
        f"        {run}\n"
        f"        if 0: ({', '.join(cells)})\n"
        f"    return forward\n"
    )
    scope: dict[str, Any] = {}
    exec(compile(source, filename, "exec"), scope)
    return scope["outer"](_engine.yield_from_, factory, *cells)


def _show(code: CodeType, shown_as: CodeType, free: tuple[str, ...]) -> CodeType:
    """``code`` with the names and the place of other code."""
    face: dict[str, Any] = {
        "co_name": shown_as.co_name,
        "co_filename": shown_as.co_filename,
        "co_firstlineno": shown_as.co_firstlineno,
        "co_freevars": free,
    }
    if sys.version_info >= (3, 11):
        face["co_qualname"] = shown_as.co_qualname
    if _INLINES:  # profilers identify a function by file, line and name; the body has the same file and line
        face["co_name"] = f"<call of {shown_as.co_name}>"
    return code.replace(**face)


#: The type of factories.
MARK: Any = type(_engine.factory(_anything, None, _anything))


def factory_of(function: Any) -> Any:
    """What a function that was made here calls, or None for any other object."""
    if not isinstance(function, FunctionType) or function.__code__.co_freevars[-1:] != (_CELL,):
        return None
    factory = function.__closure__[-1].cell_contents  # type: ignore[index]
    return factory if type(factory) is MARK else None


class Identity(int):
    """The ``id()`` of a decorated function, by which trio and async_generator 1.10 recognise such a function.

    cloudpickle and dill pickle the parts of a function that cannot be imported. The function that they make of these
    parts has another ``id()``. It gets that, and the engine's entry point, when this object is unpickled.

    Args:
        function: the decorated function.
    """

    _function: "weakref.ref[Any]"

    def __new__(cls, function: Any) -> Any:
        self = super().__new__(cls, id(function))
        self._function = weakref.ref(function)
        return self

    def __reduce__(self) -> Any:
        function = self._function()
        return (int, ()) if function is None else (_identify, (function,))


def _identify(function: Any) -> Any:
    if isinstance(function, FunctionType) and function.__code__.co_freevars[-1:] == (_CELL,):
        _engine.bind(function)
    return Identity(function)
