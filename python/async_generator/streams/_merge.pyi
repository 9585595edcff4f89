from collections.abc import AsyncIterable
from typing import TypeVar

from .._engine import async_generator

_Item = TypeVar("_Item")

def merge(*sources: AsyncIterable[_Item]) -> async_generator[_Item, None, None]: ...
def race(*sources: AsyncIterable[_Item]) -> async_generator[_Item, None, None]: ...
