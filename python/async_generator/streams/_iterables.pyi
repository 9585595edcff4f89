from collections.abc import AsyncIterable, Callable, Generator, Iterable
from typing import TypeVar, overload

from .._engine import async_generator

_Item = TypeVar("_Item")
_Sent = TypeVar("_Sent")
_Result = TypeVar("_Result")

@overload
def from_iterable(  # type: ignore[overload-overlap]
    iterable: Generator[_Item, _Sent, _Result],
) -> async_generator[_Item, _Sent, _Result]: ...
@overload
def from_iterable(iterable: Iterable[_Item]) -> async_generator[_Item, None, None]: ...
@overload
async def collect(source: AsyncIterable[_Item]) -> list[_Item]: ...
@overload
async def collect(source: AsyncIterable[_Item], into: Callable[[list[_Item]], _Result]) -> _Result: ...
