"""Several async generators at once: what combines streams, splits them, or makes them of something else.

Each result is an async generator of this package. Sources are any async iterables; each has a task and a context of its
own. ``docs/streams.md`` has the rules, and what comes when.
"""

from .. import _has_engine

if not _has_engine:
    raise ImportError(
        "async_generator.streams needs the package's engine, and this is the package in plain Python: `python -m "
        "async_generator` says why"
    )

# ruff: noqa: E402
from ._broadcast import SlowReader, broadcast
from ._chunks import chunks
from ._from_thread import from_thread
from ._iterables import collect, from_iterable
from ._mapping import flat_map, scan, take_until
from ._merge import merge, race
from ._prefetch import prefetch
from ._timeout import timeout
from ._zip import zip, zip_latest

first = race

__all__ = [
    "SlowReader",
    "broadcast",
    "chunks",
    "collect",
    "first",
    "flat_map",
    "from_iterable",
    "from_thread",
    "merge",
    "prefetch",
    "race",
    "scan",
    "take_until",
    "timeout",
    "zip",
    "zip_latest",
]
