from sys import get_asyncgen_hooks, set_asyncgen_hooks

from . import _engine as _engine
from . import _impl as _impl
from . import streams as streams
from ._engine import AlreadyRunning
from ._environment import instrument, isolated, preserve, structured, structured_tasks
from ._function import async_generator, isasyncgen, isasyncgenfunction
from ._guard import YieldInScopeWarning, guard
from ._operators import yield_, yield_from_
from ._stream import stream
from ._util import aclosing, asynccontextmanager
from ._version import __version__ as __version__

_implementation = _engine
_has_engine: bool

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
