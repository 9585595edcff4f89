from collections.abc import AsyncGenerator, AsyncIterable
from typing import Literal, TypeVar, overload

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

_Item = TypeVar("_Item")

@overload
def batches(
    generator: AsyncIterable[_Item], most: int, *, array: Literal[False] = False
) -> AsyncGenerator[list[_Item]]: ...
@overload
def batches(generator: AsyncIterable[_Item], most: int, *, array: Literal[True]) -> AsyncGenerator[memoryview]: ...
def get_include() -> str: ...
def get_cmake_dir() -> str: ...
