from sys import get_asyncgen_hooks as get_asyncgen_hooks, set_asyncgen_hooks as set_asyncgen_hooks

from ._engine import AlreadyRunning as AlreadyRunning
from ._function import (
    async_generator as async_generator,
    isasyncgen as isasyncgen,
    isasyncgenfunction as isasyncgenfunction,
)
from ._operators import yield_ as yield_, yield_from_ as yield_from_
from ._util import aclosing as aclosing, asynccontextmanager as asynccontextmanager
from ._version import __version__ as __version__

__all__ = [
    "AlreadyRunning",
    "aclosing",
    "async_generator",
    "asynccontextmanager",
    "get_asyncgen_hooks",
    "isasyncgen",
    "isasyncgenfunction",
    "set_asyncgen_hooks",
    "yield_",
    "yield_from_",
]
