"""Streams of other libraries: objects that hand over a struct of ``agen_stream.h`` (``docs/bridge/stream_abi.md``).

The package imports this module when ``stream`` is first used.
"""

from __future__ import annotations

from typing import Any

from . import _has_engine


def _open(capsule: object) -> Any:
    if not _has_engine:
        raise RuntimeError(
            "async_generator.stream() needs the package's engine, and this is the package in plain Python: `python -m "
            "async_generator` says why"
        )
    try:
        from ._stream_abi import open
    except ImportError as error:
        raise RuntimeError(
            "async_generator.stream() is not available on this platform: it needs a file descriptor that event loops "
            "can watch"
        ) from error
    return open(capsule)


def stream(source: Any) -> Any:
    """The stream of another library as an async generator of this package, on every event loop.

    The producer of the items works on threads of its own, in any language; ``include/agen/agen_stream.h`` says what
    the two sides promise each other. Nothing begins before the first item is asked for.

    ``aclose()`` asks the producer to stop, and waits until it has. A stream that is dropped is released. A consumer that
    is cancelled while it waits loses nothing: the stream goes on with the next item when it is asked again. A stream is
    used on the thread and the event loop where it began; elsewhere the generator raises RuntimeError, and ends.

    Args:
        source: an object whose class has ``__agen_stream__()``, which returns a capsule named ``"agen_stream"``.

    Returns:
        An async generator. Its items are the objects that the producer makes, in order. Nothing can be sent to it.

    Raises:
        TypeError: if ``source`` has no ``__agen_stream__()``, or that returns something else.
        RuntimeError: if the capsule was taken already, if the producer has a major version of the header that this
            package does not know, or if the package has no engine.
        ValueError: if functions are missing in the producer's struct.
    """
    make = getattr(type(source), "__agen_stream__", None)
    if make is None:
        hint = "; what combines async iterables is in async_generator.streams" if hasattr(source, "__aiter__") else ""
        raise TypeError(f"stream() takes an object with __agen_stream__(), and {type(source).__name__} has none{hint}")
    return _open(make(source))
