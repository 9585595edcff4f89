from collections.abc import AsyncIterable
from typing import Any, TypeVar, overload

from .._engine import async_generator

_A = TypeVar("_A")
_B = TypeVar("_B")
_C = TypeVar("_C")
_D = TypeVar("_D")

@overload
def zip(a: AsyncIterable[_A], /, *, strict: bool = False) -> async_generator[tuple[_A], None, None]: ...
@overload
def zip(
    a: AsyncIterable[_A], b: AsyncIterable[_B], /, *, strict: bool = False
) -> async_generator[tuple[_A, _B], None, None]: ...
@overload
def zip(
    a: AsyncIterable[_A], b: AsyncIterable[_B], c: AsyncIterable[_C], /, *, strict: bool = False
) -> async_generator[tuple[_A, _B, _C], None, None]: ...
@overload
def zip(
    a: AsyncIterable[_A], b: AsyncIterable[_B], c: AsyncIterable[_C], d: AsyncIterable[_D], /, *, strict: bool = False
) -> async_generator[tuple[_A, _B, _C, _D], None, None]: ...
@overload
def zip(*sources: AsyncIterable[Any], strict: bool = False) -> async_generator[tuple[Any, ...], None, None]: ...
@overload
def zip_latest(a: AsyncIterable[_A], /) -> async_generator[tuple[_A], None, None]: ...
@overload
def zip_latest(a: AsyncIterable[_A], b: AsyncIterable[_B], /) -> async_generator[tuple[_A, _B], None, None]: ...
@overload
def zip_latest(
    a: AsyncIterable[_A], b: AsyncIterable[_B], c: AsyncIterable[_C], /
) -> async_generator[tuple[_A, _B, _C], None, None]: ...
@overload
def zip_latest(
    a: AsyncIterable[_A], b: AsyncIterable[_B], c: AsyncIterable[_C], d: AsyncIterable[_D], /
) -> async_generator[tuple[_A, _B, _C, _D], None, None]: ...
@overload
def zip_latest(*sources: AsyncIterable[Any]) -> async_generator[tuple[Any, ...], None, None]: ...
