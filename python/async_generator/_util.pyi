from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncContextDecorator, aclosing
from types import TracebackType
from typing import Any, TypeVar

from typing_extensions import ParamSpec

__all__ = ["aclosing", "asynccontextmanager"]

_P = ParamSpec("_P")
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
    async def __aenter__(self) -> _Value_co: ...
    async def __aexit__(
        self, typ: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> bool | None: ...
