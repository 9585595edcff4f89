from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncContextDecorator, aclosing
from types import TracebackType
from typing import Any, TypeVar, overload

from typing_extensions import ParamSpec

from . import _engine
from ._isolated import isolated_generator

__all__ = ["aclosing", "asynccontextmanager"]

_P = ParamSpec("_P")
# Functions that keep their type: coroutine functions, and async generator functions of this package.
_Kept = TypeVar(
    "_Kept",
    bound=Callable[..., Awaitable[Any] | _engine.async_generator[Any, Any, Any] | isolated_generator[Any, Any, Any]],
)
_Item = TypeVar("_Item")
_Sent = TypeVar("_Sent")
_Value = TypeVar("_Value")
_Value_co = TypeVar("_Value_co", covariant=True)

def asynccontextmanager(
    func: Callable[_P, AsyncIterator[_Value]],
) -> Callable[_P, _AsyncGeneratorContextManager[_Value]]: ...

# At run time, `__enter__` exists only to raise an error that says what to write instead of a plain `with`. Without it
# here, a type checker reports the plain `with`.
class _AsyncGeneratorContextManager(AsyncContextDecorator, AbstractAsyncContextManager[_Value_co, bool | None]):
    def __init__(
        self,
        make: Callable[..., AbstractAsyncContextManager[_Value_co, Any]],
        args: tuple[Any, ...],
        kwds: dict[str, Any],
    ) -> None: ...
    @overload
    def __call__(self, func: _Kept) -> _Kept: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(
        self, func: Callable[_P, AsyncGenerator[_Item, _Sent]]
    ) -> Callable[_P, _engine.async_generator[_Item, _Sent, None]]: ...
    @overload
    def __call__(
        self, func: Callable[_P, AsyncIterable[_Item]]
    ) -> Callable[_P, _engine.async_generator[_Item, Any, None]]: ...
    @overload
    def __call__(self, func: Callable[_P, Iterator[_Item]]) -> Callable[_P, AsyncGenerator[_Item]]: ...
    async def __aenter__(self) -> _Value_co: ...
    async def __aexit__(
        self, typ: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> bool | None: ...
