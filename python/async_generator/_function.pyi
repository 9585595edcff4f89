from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine
from types import AsyncGeneratorType
from typing import Any, Literal, Protocol, TypeAlias, TypeGuard, TypeVar, overload

from typing_extensions import ParamSpec, TypeIs

from . import _engine
from ._isolated import isolated_generator
from .typing import _Facts

_P = ParamSpec("_P")
_Item = TypeVar("_Item")
_Sent = TypeVar("_Sent")
_Result = TypeVar("_Result")
_Item_co = TypeVar("_Item_co", covariant=True)
_Sent_co = TypeVar("_Sent_co", covariant=True)
_Result_co = TypeVar("_Result_co", covariant=True)

# A type checker cannot infer two type variables from a union. So the decorator uses a method that every member of
# `Yields[Item, Sent, Result]` has: `__sizeof__`. In the declaration it returns the facts; in all other types it returns
# an int. A return type that contains a declaration is therefore not _Undeclared.
class _Undeclared(Protocol):
    def __sizeof__(self) -> int: ...

class _Declared(Protocol[_Item_co, _Sent_co, _Result_co]):
    def __sizeof__(self) -> int | _Facts[_Item_co, _Sent_co, _Result_co]: ...  # type: ignore[override]

_Plain = TypeVar("_Plain", bound=_Undeclared | type[Any] | None)

_Context: TypeAlias = Literal["own", "layered"] | None

# What `async_generator()` with options takes the function by: as without them.
class _Decorator(Protocol):
    @overload
    def __call__(
        self, function: Callable[_P, Coroutine[Any, Any, _Plain]], /
    ) -> Callable[_P, _engine.async_generator[Any, Any, _Plain]]: ...
    @overload
    def __call__(
        self, function: Callable[_P, Coroutine[Any, Any, _Declared[_Item, _Sent, _Result] | None]], /
    ) -> Callable[_P, _engine.async_generator[_Item, _Sent, _Result]]: ...
    @overload
    def __call__(
        self, function: Callable[_P, AsyncGenerator[_Item, _Sent]], /
    ) -> Callable[_P, _engine.async_generator[_Item, _Sent, None]]: ...
    @overload
    def __call__(
        self, function: Callable[_P, AsyncIterable[_Item]], /
    ) -> Callable[_P, _engine.async_generator[_Item, Any, None]]: ...

class _IsolatingDecorator(Protocol):
    @overload
    def __call__(
        self, function: Callable[_P, Coroutine[Any, Any, _Plain]], /
    ) -> Callable[_P, isolated_generator[Any, Any, _Plain]]: ...
    @overload
    def __call__(
        self, function: Callable[_P, Coroutine[Any, Any, _Declared[_Item, _Sent, _Result] | None]], /
    ) -> Callable[_P, isolated_generator[_Item, _Sent, _Result]]: ...
    @overload
    def __call__(
        self, function: Callable[_P, AsyncGenerator[_Item, _Sent]], /
    ) -> Callable[_P, isolated_generator[_Item, _Sent, None]]: ...
    @overload
    def __call__(
        self, function: Callable[_P, AsyncIterable[_Item]], /
    ) -> Callable[_P, isolated_generator[_Item, Any, None]]: ...

# A coroutine function, `async def f() -> Result`: items are Any.
@overload
def async_generator(
    function: Callable[_P, Coroutine[Any, Any, _Plain]],
    *,
    structured: bool = False,
    context: _Context = None,
    isolated: Literal[False] = False,
) -> Callable[_P, _engine.async_generator[Any, Any, _Plain]]: ...

# A coroutine function with a declaration: `async def f() -> Yields[Item, Sent, Result]`.
@overload
def async_generator(
    function: Callable[_P, Coroutine[Any, Any, _Declared[_Item, _Sent, _Result] | None]],
    *,
    structured: bool = False,
    context: _Context = None,
    isolated: Literal[False] = False,
) -> Callable[_P, _engine.async_generator[_Item, _Sent, _Result]]: ...

# A native async generator function, whose return type is an AsyncGenerator or an AsyncIterable (or AsyncIterator).
@overload
def async_generator(
    function: Callable[_P, AsyncGenerator[_Item, _Sent]],
    *,
    structured: bool = False,
    context: _Context = None,
    isolated: Literal[False] = False,
) -> Callable[_P, _engine.async_generator[_Item, _Sent, None]]: ...
@overload
def async_generator(
    function: Callable[_P, AsyncIterable[_Item]],
    *,
    structured: bool = False,
    context: _Context = None,
    isolated: Literal[False] = False,
) -> Callable[_P, _engine.async_generator[_Item, Any, None]]: ...
@overload
def async_generator(
    *, structured: bool = False, context: _Context = None, isolated: Literal[False] = False
) -> _Decorator: ...
@overload
def async_generator(
    *, structured: bool = False, context: None = None, isolated: Literal[True]
) -> _IsolatingDecorator: ...
def awaiting(function: Any, coroutine: Any) -> Any: ...
def isasyncgen(obj: object) -> TypeIs[AsyncGeneratorType[Any, Any] | _engine.async_generator[Any, Any, Any]]: ...
@overload
def isasyncgenfunction(
    obj: Callable[..., AsyncGenerator[_Item, _Sent]],
) -> TypeGuard[Callable[..., AsyncGenerator[_Item, _Sent]]]: ...
@overload
def isasyncgenfunction(obj: Callable[_P, object]) -> TypeGuard[Callable[_P, AsyncGenerator[Any, Any]]]: ...
@overload
def isasyncgenfunction(obj: object) -> TypeGuard[Callable[..., AsyncGenerator[Any, Any]]]: ...
