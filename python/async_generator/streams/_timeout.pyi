from collections.abc import AsyncIterable
from typing import Literal, TypeVar

from .._engine import async_generator

_Item = TypeVar("_Item")

def timeout(
    source: AsyncIterable[_Item], seconds: float, *, then: Literal["raise", "end"] = "raise"
) -> async_generator[_Item, None, None]: ...
