from collections.abc import Iterable
from typing import TypeVar

from .._engine import async_generator

_Item = TypeVar("_Item")

def from_thread(
    iterable: Iterable[_Item], batch: int = 64, *, within: float = 0.001
) -> async_generator[_Item, None, None]: ...
