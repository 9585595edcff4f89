from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

__all__ = [
    "EventLoop",
    "Watch",
    "checkpoint",
    "register_event_loop",
    "shielded",
    "sleep",
    "use_event_loop",
    "wait_readable",
    "wait_writable",
]

_Result = TypeVar("_Result")

class _HasFileno(Protocol):
    def fileno(self) -> int: ...

class EventLoop:
    name: str
    running: Callable[[], bool]
    wait_readable: Callable[[int], Awaitable[object]]
    checkpoint: Callable[[], Awaitable[object]]
    wait_writable: Callable[[int], Awaitable[object]] | None
    sleep: Callable[[float], Awaitable[object]] | None
    shielded: Callable[[Awaitable[Any], float | None], Awaitable[Any]] | None
    first_of: Callable[[Sequence[Coroutine[Any, Any, object]]], Awaitable[int]] | None
    def __init__(
        self,
        name: str,
        *,
        wait_readable: Callable[[int], Awaitable[object]],
        checkpoint: Callable[[], Awaitable[object]],
        running: Callable[[], bool] = ...,
        wait_writable: Callable[[int], Awaitable[object]] | None = None,
        sleep: Callable[[float], Awaitable[object]] | None = None,
        shielded: Callable[[Awaitable[Any], float | None], Awaitable[Any]] | None = None,
        first_of: Callable[[Sequence[Coroutine[Any, Any, object]]], Awaitable[int]] | None = None,
    ) -> None: ...

class Watch:
    def __init__(self, fd: int) -> None: ...
    def wait(self) -> Awaitable[object]: ...
    def __call__(self) -> Awaitable[object]: ...
    def close(self) -> None: ...
    def __del__(self) -> None: ...

class _Bells:
    def __init__(self, number: int, module: int, make: Callable[[], tuple[int, Any, object]]) -> None: ...
    def __call__(self) -> object: ...
    def __del__(self) -> None: ...

def _closing(awaitable: Awaitable[object], limit: float | None) -> Awaitable[object]: ...
def register_event_loop(loop: EventLoop) -> None: ...
def use_event_loop(loop: EventLoop) -> AbstractContextManager[EventLoop]: ...
async def wait_readable(fd: int | _HasFileno) -> None: ...
async def checkpoint() -> None: ...
async def wait_writable(fd: int | _HasFileno) -> None: ...
async def sleep(seconds: float) -> None: ...
async def shielded(awaitable: Awaitable[_Result], limit: float | None = None) -> _Result: ...
def _in_trio_task() -> bool: ...
