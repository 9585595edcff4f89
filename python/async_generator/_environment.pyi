from asyncio import AbstractEventLoop, Task
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from contextvars import Context
from typing import Any, Generic, NamedTuple, TypeVar, overload

from typing_extensions import ParamSpec, Self

from . import _engine
from ._isolated import isolated_generator

_P = ParamSpec("_P")
_Item = TypeVar("_Item")
_Sent = TypeVar("_Sent")
_Result = TypeVar("_Result")
_Item_co = TypeVar("_Item_co", covariant=True)
_Sent_contra = TypeVar("_Sent_contra", contravariant=True)
_Factory = TypeVar("_Factory", bound=Callable[..., Any])

class Layer:
    def __init__(self, context: Context) -> None: ...
    def follow(self, caller: Context) -> None: ...
    def left(self) -> bool: ...

# A native async generator function becomes one of this package's; all others keep their type.
@overload
def structured(  # type: ignore[overload-overlap]
    function: Callable[_P, _engine.async_generator[_Item, _Sent, _Result]],
) -> Callable[_P, _engine.async_generator[_Item, _Sent, _Result]]: ...
@overload
def structured(
    function: Callable[_P, AsyncGenerator[_Item, _Sent]],
) -> Callable[_P, _engine.async_generator[_Item, _Sent, None]]: ...
@overload
def structured(
    function: Callable[_P, Coroutine[_Sent, _Item, _Result]],
) -> Callable[_P, Coroutine[_Sent, _Item, _Result]]: ...
@overload
def structured(
    function: Callable[_P, AsyncIterable[_Item]],
) -> Callable[_P, _engine.async_generator[_Item, Any, None]]: ...

class _TaskFactory:
    __name__: str
    __qualname__: str
    def __call__(
        self, loop: AbstractEventLoop, coro: Coroutine[Any, Any, _Result], **options: Any
    ) -> Task[_Result]: ...
    def over(self, factory: _Factory) -> _Factory: ...

structured_tasks: _TaskFactory

class preserve(Generic[_Item_co, _Sent_contra]):
    def __init__(self, generator: AsyncGenerator[_Item_co, _Sent_contra]) -> None: ...
    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Coroutine[Any, Any, _Item_co]: ...
    def asend(self, value: _Sent_contra) -> Coroutine[Any, Any, _Item_co]: ...
    def athrow(self, *exception: Any) -> Coroutine[Any, Any, _Item_co]: ...
    def aclose(self) -> Coroutine[Any, Any, None]: ...
    def __getattr__(self, name: str) -> Any: ...

class Call(NamedTuple):
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

@overload
def instrument(  # type: ignore[overload-overlap]
    function: Callable[_P, _engine.async_generator[_Item, _Sent, _Result]],
    *,
    around: Callable[[Call], AbstractContextManager[Any, Any] | AbstractAsyncContextManager[Any, Any]],
) -> Callable[_P, _engine.async_generator[_Item, _Sent, _Result]]: ...
@overload
def instrument(  # type: ignore[overload-overlap]
    function: Callable[_P, isolated_generator[_Item, _Sent, _Result]],
    *,
    around: Callable[[Call], AbstractContextManager[Any, Any] | AbstractAsyncContextManager[Any, Any]],
) -> Callable[_P, isolated_generator[_Item, _Sent, _Result]]: ...
@overload
def instrument(
    function: Callable[_P, AsyncGenerator[_Item, _Sent]],
    *,
    around: Callable[[Call], AbstractContextManager[Any, Any] | AbstractAsyncContextManager[Any, Any]],
) -> Callable[_P, _engine.async_generator[_Item, _Sent, None]]: ...
def surround(function: Any, around: Callable[[Call], Any], parts: int) -> Any: ...
@overload
def isolated(obj: AsyncGenerator[_Item, _Sent]) -> isolated_generator[_Item, _Sent, None]: ...
@overload
def isolated(obj: AbstractAsyncContextManager[_Item, Any]) -> AbstractAsyncContextManager[_Item, bool]: ...
