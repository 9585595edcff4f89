from collections.abc import AsyncIterable, Callable
from typing import TypeVar

from .._engine import async_generator

_Item = TypeVar("_Item")

def prefetch(
    source: AsyncIterable[_Item], n: int, *, left_over: Callable[[list[_Item]], object] | None = None
) -> async_generator[_Item, None, None]: ...
