from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar, overload

from .._engine import async_generator

_Item = TypeVar("_Item")
_Value = TypeVar("_Value")

def flat_map(
    source: AsyncIterable[_Item], function: Callable[[_Item], AsyncIterable[_Value] | Iterable[_Value]]
) -> async_generator[_Value, None, None]: ...
@overload
def scan(
    source: AsyncIterable[_Item], function: Callable[[_Value, _Item], Coroutine[Any, Any, _Value]], initial: _Value
) -> async_generator[_Value, None, None]: ...
@overload
def scan(
    source: AsyncIterable[_Item], function: Callable[[_Value, _Item], _Value], initial: _Value
) -> async_generator[_Value, None, None]: ...
@overload
def scan(
    source: AsyncIterable[_Item], function: Callable[[_Item, _Item], Coroutine[Any, Any, _Item]]
) -> async_generator[_Item, None, None]: ...
@overload
def scan(
    source: AsyncIterable[_Item], function: Callable[[_Item, _Item], _Item]
) -> async_generator[_Item, None, None]: ...
def take_until(source: AsyncIterable[_Item], awaitable: Awaitable[Any]) -> async_generator[_Item, None, None]: ...
