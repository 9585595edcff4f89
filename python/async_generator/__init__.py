"""Async generators with ``yield from``, return values and awaited cleanup, on any event loop.

This is the successor of async_generator 1.10: the same names with the same semantics, on a C++ engine. ``docs/api.md``
is the reference, and ``docs/semantics.md`` has the rules.
"""

import os as _os
import sys as _sys
from contextlib import aclosing
from sys import get_asyncgen_hooks, set_asyncgen_hooks
from typing import Any as _Any

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

from ._function import async_generator, isasyncgen, isasyncgenfunction
from ._operators import yield_, yield_from_

AlreadyRunning = _implementation.AlreadyRunning


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


def __getattr__(name: str) -> _Any:
    """A name that many programs never ask for. Its module is loaded now, so that all others are spared that."""
    value = globals()[name] = _load(name)
    return value


def _load(name: str) -> _Any:
    if name in _IN_ENVIRONMENT:
        import async_generator._environment as environment

        return getattr(environment, name)
    if name in _IN_GUARD:
        import async_generator._guard as guard

        return getattr(guard, name)
    if name in ("__version__", "_version"):
        import async_generator._version as version

        return version if name == "_version" else version.__version__
    if name == "stream":
        from ._stream import stream

        return stream
    if name == "streams":
        import async_generator.streams as streams

        return streams
    if name in ("asynccontextmanager", "_util"):
        import async_generator._util as util

        return util if name == "_util" else util.asynccontextmanager
    if name == "_impl":  # programs use this module of the predecessor's, _util and _version after a plain import
        import async_generator._impl as impl

        return impl
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__", "_impl", "_util", "_version"})


_IN_ENVIRONMENT = {"instrument", "isolated", "preserve", "structured", "structured_tasks"}
_IN_GUARD = {"YieldInScopeWarning", "guard"}

if _sys.flags.dev_mode:
    from . import _guard as _guard  # which is on in that mode
