"""Finds the task that runs an async generator, for a note of the error "already running".

The engine remembers no task, which every operation would pay for. Here the tasks of the event loop are looked through, once
somebody gets the error.
"""

import gc
import sys
from collections.abc import Iterator
from itertools import islice
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from . import _implementation as _engine

_TASKS = 1000  # are looked at, and no more: a program may get the error often
_AWAITS = 100  # from a task to the generator


def running_task(generator: Any) -> str | None:
    """The name of the task of asyncio or trio whose awaits lead to the generator; None where that is not found.

    Args:
        generator: an async generator of this package with an operation under way.
    """
    try:
        for name, coroutine in islice(_tasks(), _TASKS):
            if _leads_to(coroutine, generator):
                return name
    except Exception:  # a note is not worth an error in place of another
        return None
    return None


def _tasks() -> Iterator[tuple[str, Any]]:
    """The tasks of the event loop that runs in this thread: their names and coroutines."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        try:
            running = asyncio.all_tasks()
        except RuntimeError:  # no loop of asyncio runs here
            running = ()
        for task in running:
            yield task.get_name(), task.get_coro()
    trio = sys.modules.get("trio")
    if trio is not None:
        try:
            root = trio.lowlevel.current_root_task()
        except RuntimeError:  # trio does not run here
            return
        found = [root]
        for task in found:
            yield task.name, task.coro
            for nursery in task.child_nurseries:
                found.extend(nursery.child_tasks)


def _leads_to(awaited: Any, generator: Any) -> bool:
    for _ in range(_AWAITS):
        if awaited is None or awaited is generator:
            return awaited is generator
        awaited = _awaited_by(awaited)
    return False


def _awaited_by(one: Any) -> Any:
    """What a coroutine, a generator or an operation waits for. Runs no code of the program's."""
    kind = type(one)
    if kind is CoroutineType:
        return one.cr_await
    if kind is GeneratorType:
        return one.gi_yieldfrom
    if kind is AsyncGeneratorType or kind is _engine.async_generator:
        return one.ag_await
    if kind.__module__.startswith(_engine.__name__):
        return getattr(one, "ag_gen", None) or getattr(one, "cr_await", None)
    if kind.__name__ in _NATIVE_OPERATIONS and kind.__module__ == "builtins":
        return next((it for it in gc.get_referents(one) if type(it) in (AsyncGeneratorType, CoroutineType)), None)
    return None


# Types of the interpreter that no module names, and that do not say what they wait for.
_NATIVE_OPERATIONS = {"async_generator_asend", "async_generator_athrow", "anext_awaitable", "coroutine_wrapper"}
