from collections.abc import AsyncIterable
from typing import TypeVar

from .._engine import async_generator

_Item = TypeVar("_Item")

def chunks(
    source: AsyncIterable[_Item], n: int, *, within: float | None = None
) -> async_generator[list[_Item], None, None]: ...
