"""The bridge to C++: what a build of an extension module that uses agen/python.hpp needs to know, and what C++ generators
need of the event loop that drives them (``docs/bridge/event_loops.md``).

g++ ... -I$(python -m async_generator.bridge --include)
cmake ... -Dagen_ROOT=$(python -m async_generator.bridge --cmake-dir)
"""

from __future__ import annotations

from pathlib import Path

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

__all__ = [
    "EventLoop",
    "Watch",
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


def get_include() -> str:
    """The folder with the headers of the C++ library agen: `#include <agen/python.hpp>` is found from there."""
    return str(Path(__file__).resolve().parent / "include")


def get_cmake_dir() -> str:
    """The folder with the CMake package of those headers: find_package(agen) gives the target agen::agen."""
    return str(Path(__file__).resolve().parent / "cmake")


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
