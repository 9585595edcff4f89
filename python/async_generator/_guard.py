"""The guard: finds yields inside a timeout, a task group or a cancel scope, which belong to whoever asks for the item.

The engine asks ``_look()`` about a generator whose body has just yielded inside a ``with`` (``python/engine/guard.hpp``).
What the body has entered is read from its frame (``_with_blocks``); which managers are scopes, and through which helpers
one was entered, is known here. No module is imported for that: a scope's class is looked up in the modules that the
program has imported.
"""

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterable
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any, NamedTuple

from . import _has_engine
from . import _implementation as _engine
from ._util import _AsyncGeneratorContextManager

_MODES = ("off", "warn", "error")
#: Modules whose code resumes generators that are context managers or fixtures, or gives them a task of their own.
_EXEMPT = frozenset(
    {
        "aiohttp.pytest_plugin",
        "aiohttp.web_app",  # cleanup_ctx
        "anyio._backends._asyncio",  # fixtures
        "anyio._backends._trio",
        "async_generator._isolated",
        "async_generator._isolated_trio",
        "contextlib",
        "pytest_asyncio.plugin",
        "pytest_trio.plugin",
        "trio._channel",  # as_safe_channel
    }
)
_mode = "off"
_exempt = _EXEMPT
#: Called with the message of each finding and the file of the yield, before it is raised or warned of.
observers: list[Callable[[str, str], object]] = []


class YieldInScopeWarning(RuntimeWarning):
    """A generator yields while a timeout, a task group or a cancel scope is open in its body (see ``guard()``)."""


def guard(mode: str, *, exempt: Iterable[str] = ()) -> str:
    """Choose what happens when a generator yields inside a timeout, a task group or a cancel scope.

    Such a scope belongs to the task that resumes the body. It can cancel the consumer while that has an item; and if
    another task asks for the next item, or closes the generator, the scope fails (PEP 789). The guard finds the open
    scopes of asyncio, anyio, trio and async_timeout: entered by ``with`` or ``async with`` in the body or in a coroutine
    that it awaits, also through ``@contextmanager`` and ``@asynccontextmanager`` helpers, and through an ``ExitStack``
    or ``AsyncExitStack``. ``await yield_from_()`` counts as a yield.

    It looks at generators of this package that are made after the call, whenever their function was decorated. Exempt are
    isolated generators, whose scopes are their own, and generators that are the body of a context manager or of a fixture.
    Only a yield inside a ``with`` is looked at. At the start of the program the mode is ``"warn"`` in Python's
    Development Mode (``-X dev``), and ``"off"`` otherwise.

    Args:
        mode: ``"error"``: a RuntimeError is raised at that yield. ``"warn"``: a ``YieldInScopeWarning`` is issued, for
            the line of the yield. ``"off"``: nothing is looked at.
        exempt: names of further modules whose code resumes generators as if they were context managers, such as a
            dependency injection container's.

    Returns:
        The mode that was chosen before.

    Raises:
        ValueError: if ``mode`` is none of the three.
        TypeError: if ``exempt`` is a string.
        RuntimeError: in plain Python, where nothing looks at yields, for any mode but ``"off"``.
    """
    global _exempt
    if mode not in _MODES:
        raise ValueError(f'the guard\'s mode is "error", "warn" or "off", not {mode!r}')
    if isinstance(exempt, str):
        raise TypeError(f"`exempt` takes names of modules: write [{exempt!r}]")
    _exempt = _EXEMPT.union(exempt)
    return switch(mode)


def switch(mode: str) -> str:
    """Choose the mode alone, and keep what is exempt. Returns the mode that was chosen before."""
    global _mode
    _engine.set_guard(_look, mode != "off")
    before, _mode = _mode, mode
    return before


# Scopes ----------------------------------------------------------------------------------------------------------------


class _Scope(NamedTuple):
    module: str
    attribute: str
    text: str
    """What the program calls to make one."""
    deadline: str = ""
    """The attribute, or method, that is None if the scope cannot cancel anything."""


_SCOPES = (
    _Scope("asyncio", "Timeout", "asyncio.timeout()", "when"),
    _Scope("asyncio", "TaskGroup", "asyncio.TaskGroup()"),
    _Scope("async_timeout", "Timeout", "async_timeout.timeout()", "deadline"),
    _Scope("trio", "CancelScope", "a cancel scope of trio"),
    _Scope("anyio", "CancelScope", "a cancel scope of anyio"),
    _Scope("anyio.abc", "TaskGroup", "anyio.create_task_group()"),
)


def _scope_of(manager: Any) -> str | None:
    """What to call a manager that is a scope which can cancel something; None for any other."""
    classes = _classes_of(manager)
    for scope in _SCOPES:
        if getattr(sys.modules.get(scope.module), scope.attribute, _Scope) in classes:
            deadline = getattr(manager, scope.deadline) if scope.deadline else True
            return None if (deadline() if callable(deadline) else deadline) is None else scope.text
    # What trio.open_nursery() returns has no public name.
    kind = type(manager)
    return "trio.open_nursery()" if (kind.__module__, kind.__qualname__) == _NURSERY_MANAGER else None


_NURSERY_MANAGER = "trio._core._run", "NurseryManager"


def _classes_of(manager: Any) -> tuple[type, ...]:
    """The classes that a manager is an instance of. Unlike isinstance(), this runs no code of the manager."""
    return type(manager).__mro__


# Where one is open -----------------------------------------------------------------------------------------------------

_MANAGERS: set[Any] = {contextlib._GeneratorContextManager, contextlib._AsyncGeneratorContextManager}
_STACKS = {contextlib.ExitStack, contextlib.AsyncExitStack}
_DEEPEST = 50  # helpers in helpers, or coroutines that await coroutines


class _Found(NamedTuple):
    """An open scope."""

    scope: str
    place: str
    """Where it was entered: "file:line"; empty if a stack has entered it."""
    ways: tuple[str, ...]
    """Through what: helpers and stacks, the innermost first, each with where that was entered."""


def _find(suspended: Any, depth: int = 0) -> _Found | None:
    """The first scope that a suspended coroutine or generator, or one that it awaits, holds open; None without any."""
    from ._with_blocks import entered_managers  # which reads CPython's bytecode

    while suspended is not None and depth < _DEEPEST:
        prefix = _PREFIXES.get(type(suspended), "")
        frame = getattr(suspended, f"{prefix}_frame") if prefix else None
        if frame is None:
            return None
        for manager, line in entered_managers(suspended, frame):
            found = _find_in(manager, f"{frame.f_code.co_filename}:{line}", depth)
            if found is not None:
                return found
        suspended = getattr(suspended, _AWAITED[prefix], None)
        depth += 1
    return None


_PREFIXES: dict[Any, str] = {
    CoroutineType: "cr",
    GeneratorType: "gi",
    AsyncGeneratorType: "ag",
    _engine.coroutine_in_environment: "cr",
}
_AWAITED = {"cr": "cr_await", "gi": "gi_yieldfrom", "ag": "ag_await"}


def _find_in(manager: Any, place: str, depth: int) -> _Found | None:
    """The scope that a manager is, or holds open; None without any. ``place`` is where it was entered."""
    scope = _scope_of(manager)
    if scope is not None:
        return _Found(scope, place, ())
    if depth >= _DEEPEST:
        return None
    classes = _classes_of(manager)
    if _AsyncGeneratorContextManager in classes or not _MANAGERS.isdisjoint(classes):
        generator = manager._agen if _AsyncGeneratorContextManager in classes else manager.gen
        found = _find(_body_of(generator), depth + 1)
        way = f"{getattr(generator, '__qualname__', 'a context manager')}(){_entered(place)}"
        return found and found._replace(ways=(*found.ways, way))
    if not _STACKS.isdisjoint(classes):
        for _, callback in getattr(manager, "_exit_callbacks", ()):
            found = _find_in(getattr(callback, "__self__", None), "", depth + 1)
            if found is not None:
                return found._replace(ways=(*found.ways, f"{type(manager).__name__}(){_entered(place)}"))
    return None


def _body_of(generator: Any) -> Any:
    """What is suspended of a generator: of one of this package, its coroutine."""
    return generator._coroutine if type(generator) is _engine.async_generator else generator


# What to say -----------------------------------------------------------------------------------------------------------


def is_exempt(frame: FrameType | None) -> bool:
    """Whether the code that resumes the generator does so for a context manager, a fixture or an isolated generator."""
    return frame is not None and frame.f_globals.get("__name__") in _exempt


def _entered(place: str) -> str:
    return f" entered at {place}" if place else ""


def _message(name: str, frame: FrameType, found: _Found) -> str:
    through = "".join(f", through {way}" for way in found.ways)
    return (
        f"{name}() yields at {frame.f_code.co_filename}:{frame.f_lineno} inside {found.scope}{_entered(found.place)}{through}. The "
        f"scope belongs to the task that asks for this item: it can cancel that task, and fails in any other. Write "
        f"@async_generator(isolated=True), which gives the generator a task of its own, or leave the scope before the yield"
    )


def explain(generator: Any) -> tuple[str, FrameType] | None:
    """Tell what is wrong with the yield at which a generator is suspended.

    Args:
        generator: an async generator, native or of this package.

    Returns:
        The message, and the frame that yields. None if no scope is open.
    """
    body = _body_of(generator)
    found = _find(body)
    if found is None:
        return None
    frame = getattr(body, f"{_PREFIXES[type(body)]}_frame")
    return _message(generator.__qualname__, frame, found), frame


def _look(generator: Any) -> BaseException | None:
    """Called by the engine when a body has yielded. Returns the exception that it is to get, if any."""
    if _mode == "off":
        return None
    try:
        # Its own frame a function must not keep: it would be a cycle, in which the generator is held.
        if is_exempt(sys._getframe(1)):
            return None
    except ValueError:  # no Python code has resumed it
        pass
    told = explain(generator)
    if told is None:
        return None
    message, frame = told
    for observer in observers:
        observer(message, frame.f_code.co_filename)
    if _mode == "error":
        return RuntimeError(message)
    return _warn(message, frame)


def _warn(message: str, frame: FrameType) -> BaseException | None:
    """Issue the warning, at the line of the yield. Returns it where a filter makes an exception of it."""
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    module = frame.f_globals.get("__name__") or "<unknown>"
    try:
        warnings.warn_explicit(
            message, YieldInScopeWarning, frame.f_code.co_filename, frame.f_lineno or 0, module, registry
        )
    except YieldInScopeWarning as warning:
        return warning.with_traceback(None)
    return None


if sys.flags.dev_mode and _has_engine:
    guard("warn")
