"""The bridge to C++: where a build finds the C++ headers, and what C++ generators need from the event loop that drives them.

An extension module that includes ``agen/python.hpp`` is built with one of::

    g++ ... -I$(python -m async_generator.bridge --include)
    cmake ... -Dagen_ROOT=$(python -m async_generator.bridge --cmake-dir)

``docs/bridge/event_loops.md`` describes the event loops.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from pathlib import Path
from typing import Any

from ._beside import _Beside as _Beside  # for agen/python/beside.hpp
from ._event_loops import (
    EventLoop,
    Watch,
    checkpoint,
    register_event_loop,
    shielded,
    sleep,
    use_event_loop,
    wait_readable,
    wait_writable,
)
from ._event_loops import _Bells as _Bells  # for agen/python/hub.hpp
from ._event_loops import _closing as _closing
from ._event_loops import _first_of as _first_of
from ._event_loops import _home as _home

__all__ = [
    "EventLoop",
    "Watch",
    "batches",
    "checkpoint",
    "get_cmake_dir",
    "get_include",
    "register_event_loop",
    "shielded",
    "sleep",
    "use_event_loop",
    "wait_readable",
    "wait_writable",
]


def batches(generator: AsyncIterable[Any], most: int, *, array: bool = False) -> AsyncGenerator[Any, None]:
    """``generator.batches(most)``, for type checkers, which do not know that method (``docs/bridge/batches.md``).

    What the generator has without waiting goes into a batch, up to ``most`` items.

    Args:
        generator: a generator written in C++, which is not in use. It is closed: the result has taken over its body.
        most: how many items a batch has at most.
        array: make each batch a ``memoryview`` of numbers, with memory of its own, instead of a list. The items have to be
            numbers in C++.

    Returns:
        An async generator of the batches.

    Raises:
        TypeError: if ``generator`` was not written in C++, its items cannot be sent for without a value, or ``array`` is
            true and they are no numbers.
        ValueError: if ``most`` is less than 1.
        RuntimeError: if ``generator`` is in use, or was closed.
    """
    method = getattr(generator, "batches", None)
    if method is None:
        raise TypeError(f"batches(): {type(generator).__name__!r} is no generator written in C++; see streams.chunks()")
    made: AsyncGenerator[Any, None] = method(most, array=array)
    return made


def get_include() -> str:
    """The folder with the headers of the C++ library agen, for ``#include <agen/python.hpp>``.

    Returns:
        The absolute path of the folder.
    """
    return str(Path(__file__).resolve().parent / "include")


def get_cmake_dir() -> str:
    """The folder with the CMake package of these headers: ``find_package(agen)`` defines the target ``agen::agen``.

    Returns:
        The absolute path of the folder.
    """
    return str(Path(__file__).resolve().parent / "cmake")


class _Exported:
    """What ``agen::python::export_stream()`` returns: an object for ``async_generator.stream()``.

    Args:
        capsule: the stream.
    """

    __slots__ = ("_capsule",)

    def __init__(self, capsule: object) -> None:
        self._capsule = capsule

    def __agen_stream__(self) -> object:
        """The capsule of ``agen_stream.h``; a consumer takes the stream once."""
        return self._capsule


def _main() -> None:
    import argparse

    parser = argparse.ArgumentParser(prog="python -m async_generator.bridge", description="Where the C++ headers are.")
    parser.add_argument("--include", action="store_true", help="print the folder with the C++ headers")
    parser.add_argument("--cmake-dir", action="store_true", help="print the folder for find_package(agen)")
    arguments = parser.parse_args()
    if arguments.include:
        print(get_include())
    if arguments.cmake_dir:
        print(get_cmake_dir())
    if not (arguments.include or arguments.cmake_dir):
        parser.print_help()


if __name__ == "__main__":
    _main()
