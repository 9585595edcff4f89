"""Async generators with ``yield from``, return values and awaited cleanup, on any event loop.

This is the successor of async_generator 1.10: the same names with the same semantics, on a C++ engine. ``docs/api.md``
is the reference, and ``docs/semantics.md`` has the rules.
"""

import os as _os
from sys import get_asyncgen_hooks, set_asyncgen_hooks

# What runs the generators. All modules take it from here: the engine, or where there is none the same in plain Python.
if _os.environ.get("ASYNC_GENERATOR_ENGINE") == "plain":
    from . import _plain as _implementation

    _has_engine = False
else:
    try:
        import async_generator._engine as _implementation  # type: ignore[no-redef]

        _has_engine = True
    except ImportError as _error:
        from . import _plain as _implementation

        _implementation.warn_of_broken_engine(_error)
        _has_engine = False

from . import _impl as _impl  # programs use async_generator._impl after a plain import
from . import _running as _running  # the engine calls it
from ._environment import instrument, isolated, preserve, structured, structured_tasks
from ._function import async_generator, isasyncgen, isasyncgenfunction
from ._guard import YieldInScopeWarning, guard
from ._operators import yield_, yield_from_
from ._util import aclosing, asynccontextmanager
from ._version import __version__ as __version__

AlreadyRunning = _implementation.AlreadyRunning


def __getattr__(name: str) -> object:
    """stream(), imported when it is first used."""
    if name != "stream":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._stream import stream

    globals()[name] = stream
    return stream


__all__ = [
    "AlreadyRunning",
    "YieldInScopeWarning",
    "aclosing",
    "async_generator",
    "asynccontextmanager",
    "get_asyncgen_hooks",
    "guard",
    "instrument",
    "isasyncgen",
    "isasyncgenfunction",
    "isolated",
    "preserve",
    "set_asyncgen_hooks",
    "stream",
    "structured",
    "structured_tasks",
    "yield_",
    "yield_from_",
]
