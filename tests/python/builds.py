"""What kind of interpreter this is, for tests that depend on it."""

import gc
import sys
import sysconfig

import pytest

try:
    from async_generator import _implementation
except ImportError:  # the oracle can be run alone
    _implementation = None

#: There is no engine: plain Python runs the generators.
PLAIN = getattr(_implementation, "__name__", "") == "async_generator._plain"
CPYTHON = sys.implementation.name == "cpython"
#: inspect.isasyncgenfunction() says no to decorated functions: the flag that it asks for decides what a call makes.
UNSEEN = PLAIN and (not CPYTHON or sys.version_info < (3, 11))
#: The code of a decorated function runs, and calls the factory.
CODE_RUNS = PLAIN or sys.version_info[:2] == (3, 11)
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
#: The interpreter was built with Py_DEBUG: its assertions end the process.
DEBUG = hasattr(sys, "gettotalrefcount")
#: For tests that count memory blocks and make functions between two counts.
counts_code = pytest.mark.skipif(
    FREE_THREADED and sys.version_info[:2] == (3, 13),
    reason="3.13 without the GIL keeps all code for ever once a thread was started (its how-to, Immortalization)",
)


def settled_blocks():
    """sys.getallocatedblocks() without garbage, and without the names that the interpreter's cache of attributes keeps alive:
    one that was given as a C string is a new object at each lookup, and thousands fit in."""
    gc.collect()
    (getattr(sys, "_clear_internal_caches", None) or sys._clear_type_cache)()
    return sys.getallocatedblocks()
