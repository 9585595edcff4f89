"""The engine in plain Python, for interpreters and platforms without the one in C++.

It has the names of ``_engine`` that the package uses, with the same rules; nothing above knows which one it has.
``async_generator/__init__.py`` chooses. A file for each concept, as in ``python/engine``:

* ``_boxes``: how an item leaves a body: in the interpreter's own wrapper, where that can be had.
* ``_bodies``: how an exception enters a body, and native bodies of interpreters whose frames cannot be converted.
* ``_generators``: the object, its attributes and hooks, and how it is dropped.
* ``_operations``: the awaitables of anext, asend, athrow and aclose.
* ``_operators``: ``yield_`` and ``yield_from_``. A delegation nests: an item passes through each generator of a chain.
* ``_environments``, ``_hooks``: structured bodies, and contexts of their own.
* ``_isolated``: the bases of isolated generators.
* ``_factories``: what a call of a decorated function does.
* ``_errors``: all messages.
"""

import warnings
from typing import Any

from ._boxes import OwnBox as own_box_type
from ._boxes import box, box_type, set_up, unbox
from ._environments import (
    ISOLATED,
    LAYERED_CONTEXT,
    OF_COROUTINE,
    OWN_CONTEXT,
    OWN_HOOKS,
    coroutine_in_environment,
    in_environment,
    set_layer,
)
from ._errors import AlreadyRunning, set_running_task
from ._factories import bind, factory, set_awaiting, set_isolated
from ._generators import async_generator
from ._hooks import outside
from ._isolated import isolated_body, isolated_generator, set_task_swap
from ._operations import async_generator_asend, async_generator_athrow
from ._operators import yield_, yield_awaitable, yield_from_, yield_from_call

__all__ = [
    "AlreadyRunning",
    "GUARDED",
    "ISOLATED",
    "KEPT_CALLS",
    "LAYERED_CONTEXT",
    "MAIN_INTERPRETER",
    "NATIVE_SYNTAX",
    "OF_COROUTINE",
    "OWN_CONTEXT",
    "OWN_HOOKS",
    "RAW_YIELDS",
    "async_generator",
    "async_generator_asend",
    "async_generator_athrow",
    "bind",
    "box",
    "box_type",
    "coroutine_in_environment",
    "factory",
    "fast_paths",
    "in_environment",
    "isolated_body",
    "isolated_generator",
    "outside",
    "own_box_type",
    "set_awaiting",
    "set_guard",
    "set_isolated",
    "set_layer",
    "set_running_task",
    "set_task_swap",
    "set_up",
    "unbox",
    "yield_",
    "yield_awaitable",
    "yield_from_",
    "yield_from_call",
]

# The traits that the engine asks for. Nothing here depends on them.
RAW_YIELDS, NATIVE_SYNTAX, KEPT_CALLS, GUARDED = 1, 2, 4, 8
MAIN_INTERPRETER = 1


def fast_paths() -> dict[str, bool]:
    """None of the engine's fast paths."""
    return {}


def set_guard(look: Any, on: bool, /) -> None:
    """Nothing looks at yields here.

    Raises:
        RuntimeError: if the guard is to be on.
    """
    if on:
        raise RuntimeError("guard() needs the engine of async_generator: in plain Python nothing looks at yields")


def warn_of_broken_engine(error: ImportError) -> None:
    """Warn that there is an engine which cannot be loaded. Silent where there is none.

    Args:
        error: what its import has raised.
    """
    if error.name != "async_generator._engine" or not isinstance(error, ModuleNotFoundError):
        warnings.warn(
            f"the engine of async_generator cannot be loaded, so plain Python takes its place: {error}",
            RuntimeWarning,
            stacklevel=3,
        )
