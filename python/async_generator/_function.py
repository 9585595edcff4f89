"""The decorator ``@async_generator``, and tests for async generators and async generator functions."""

import contextlib
import functools
import inspect
import sys
import weakref
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

from . import _has_engine
from . import _implementation as _engine

# An import of the package loads none of the modules that follow: they take longer than all the rest, and only a program
# that decorates something needs them.


@functools.cache  # a call at the end of the process can import nothing
def rewriting() -> Any:
    """The module that changes the code of functions."""
    if _has_engine:
        from . import _rewriting as module
    else:
        from ._plain import _code as module  # type: ignore[no-redef]
    return module


@functools.cache
def _with_blocks() -> Any:
    """The module that finds the ``with`` blocks in code."""
    if _has_engine:
        from . import _with_blocks as module
    else:
        from ._plain import _code as module  # type: ignore[no-redef]
    return module


def _load(parts: int) -> None:
    """Load what calls of a decorated function need: the first call may be where nothing can be imported."""
    rewriting()
    _with_blocks()
    if parts & _engine.LAYERED_CONTEXT:
        from . import _environment as _environment


# All functions that contextlib.asynccontextmanager makes share their code.
_CONTEXT_MANAGER_CODE = contextlib.asynccontextmanager(lambda: None).__code__  # type: ignore[arg-type, return-value]


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
    parts = _CONTEXTS[context] | (_engine.OWN_HOOKS if structured or isolated else 0) | (_engine.ISOLATED * isolated)
    return functools.partial(decorate, parts=parts) if function is _NOTHING else decorate(function, parts)


_CONTEXTS = {None: 0, "own": _engine.OWN_CONTEXT, "layered": _engine.LAYERED_CONTEXT}


def decorate(function: Any, parts: int) -> Any:
    """``async_generator()`` for an environment with these parts of its own (``python/engine/environment.hpp``)."""
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(decorate(function.__func__, parts))
    if not callable(function):
        raise TypeError(f"@async_generator goes on an `async def` function, not on {type(function).__name__}")
    if getattr(function, "_async_gen_function", None) == id(function):
        raise TypeError(f"{function!r} is decorated with @async_generator twice")
    if getattr(function, "__code__", None) is _CONTEXT_MANAGER_CODE:
        raise TypeError(f"write @asynccontextmanager on top of @async_generator, not below it: {function!r}")
    _refuse_compiled(function)
    _load(parts)
    face = _face(function)
    observed = face if isinstance(face, FunctionType) and face is not function else None
    factory = _engine.factory(function, observed, _prepare, None, parts)
    decorated: Any = _make_function(function, factory, inspect.CO_ASYNC_GENERATOR)
    functools.update_wrapper(decorated, function)
    decorated.__wrapped__ = face
    decorated._async_gen_function = _Identity(decorated)
    return decorated


def decorate_coroutine(function: Any, parts: int) -> Any:
    """The same for a coroutine function, which remains one."""
    factory = _engine.factory(function, None, _prepare_coroutine, None, parts)
    decorated: Any = _make_function(function, factory, inspect.CO_COROUTINE)
    functools.update_wrapper(decorated, function)
    decorated._structured_function = _Identity(decorated)
    return decorated


def factory_of(function: Any) -> Any:
    """What a function that was made here calls, or None for any other object."""
    if not isinstance(function, FunctionType) or function.__code__.co_freevars[-1:] != (_CELL,):
        return None
    factory = function.__closure__[-1].cell_contents  # type: ignore[index]
    return factory if type(factory) is MARK else None


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


# A function's kind ----------------------------------------------------------------------------------------------------

_KINDS = inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def kind_of(code: CodeType) -> int:
    """The flag that makes a call of the code make a coroutine, a generator or an async generator; 0 for other code."""
    return code.co_flags & _KINDS


def as_kind(code: CodeType, kind: int) -> CodeType:
    """A copy of ``code`` whose kind, a flag as ``kind_of()`` returns it, is ``kind``."""
    # A sent value takes a stack slot, which the code of a plain function does not have (3.10, where flags alone decide).
    room = 0 if kind_of(code) else 1
    return code.replace(co_flags=code.co_flags & ~_KINDS | kind, co_stacksize=code.co_stacksize + room)


# Calling ---------------------------------------------------------------------------------------------------------------
#
# A decorated function is a Python function whose code has the flag CO_ASYNC_GENERATOR, so that inspect, and tools that
# use inspect, recognise it. The code itself does not run: the engine gives the function another entry point, which finds
# the factory in the last cell of the closure. CPython 3.11 alone inlines the code of a Python function even if it has
# another entry point; there the code calls the factory. On other versions the code serves copies of the function, which
# do not have the engine's entry point, and tools that read it. Without the engine, the code calls the factory everywhere,
# and has the flag where that is for show only.

_INLINES = sys.version_info[:2] == (3, 11) or not _has_engine
# Whether a call makes what the flags of the code say. Elsewhere an instruction does, and flags are for show.
_BY_FLAGS = sys.version_info < (3, 11) or sys.implementation.name != "cpython"
_CELL = "<factory>"


def _make_function(function: Any, factory: Any, kind: int) -> FunctionType:
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
    code = rewriting().with_free_variable(as_kind(function.__code__, kind), _CELL)
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


# Identity --------------------------------------------------------------------------------------------------------------


class _Identity(int):
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
    return _Identity(function)


# Faces -----------------------------------------------------------------------------------------------------------------


def _face(function: Any, seen: tuple[Any, ...] = ()) -> Any:
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
        face = _face(function.func, seen)
        return function if face is function.func else functools.partial(face, *function.args, **function.keywords)
    if isinstance(function, MethodType):
        face = _face(function.__func__, seen)
        return function if face is function.__func__ else MethodType(face, function.__self__)
    if type(function) is not FunctionType or function.__code__.co_flags & inspect.CO_ASYNC_GENERATOR:
        return function
    wrapped = function.__dict__.get("__wrapped__")
    face_of_wrapped = _face(wrapped, seen)
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
        if kind == inspect.CO_COROUTINE and rewriting().yields_items(face.__code__):
            kind = inspect.CO_ASYNC_GENERATOR
        function.__code__ = as_kind(face.__code__, kind) if kind else face.__code__
    elif face.__code__ != _shown(function.__code__):
        face.__code__ = _shown(function.__code__)


# Bodies ----------------------------------------------------------------------------------------------------------------


_Prepared = tuple[Any, tuple[Any, ...], int]


def _prepare(function: Any, face: Any = None, face_changed: bool = False, replaced: bool = False) -> _Prepared:
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
        made, names, traits = _prepare(function.func)
        return functools.partial(made, *function.args, **function.keywords), names, traits
    if isinstance(function, MethodType):
        made, names, traits = _prepare(function.__func__)
        return MethodType(made, function.__self__), names, traits
    if type(function) is not FunctionType:  # Nuitka's functions pass isinstance(), but their code does not run
        call = type(function).__call__
        return _prepare(MethodType(call, function)) if inspect.isasyncgenfunction(call) else (function, (), 0)
    if face is not None:
        _agree(function, face, face_changed)
    code, traits = _as_body(function.__code__, replaced)
    names = ()
    if code.co_flags & inspect.CO_COROUTINE and not replaced:
        code, names, rewritten = rewriting().rewrite(code, function.__globals__)
        traits |= rewritten
    if code is function.__code__ and face is None and not replaced:  # the decorated function itself would call itself
        return function, (), 0
    if _with_blocks().yields_in_with(code):
        traits |= _engine.GUARDED
    made = _copy(function, code)
    _copy_protection(made.__code__, function.__code__, function.__code__ if face is None else face.__code__)
    return made, names, traits


def _prepare_coroutine(
    function: Any, face: Any = None, face_changed: bool = False, replaced: bool = False
) -> _Prepared:
    """The same for a structured coroutine function, which needs no preparation."""
    return (_copy(function, function.__code__) if replaced else function), (), 0


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


def _as_body(code: CodeType, replaced: bool) -> tuple[CodeType, int]:
    """The code of a coroutine function with the real yields of ``code``, if it has any; and the traits of the generators."""
    if not code.co_flags & (inspect.CO_ASYNC_GENERATOR | (inspect.CO_COROUTINE if replaced else 0)):
        return code, 0
    changes = rewriting()
    yields = not replaced or changes.yields_items(code)
    code = as_kind(code, inspect.CO_COROUTINE)
    return (changes.yielding(code), _engine.NATIVE_SYNTAX | changes.YIELDS) if yields else (code, 0)


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
