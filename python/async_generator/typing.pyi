from typing import Generic, TypeAlias, final

from typing_extensions import TypeVar

from ._engine import async_generator as AsyncGenerator

__all__ = ["AsyncGenerator", "Yields"]

_Item_co = TypeVar("_Item_co", covariant=True)
_Sent_co = TypeVar("_Sent_co", covariant=True)
_Result_co = TypeVar("_Result_co", covariant=True)
_Item = TypeVar("_Item")
_Sent = TypeVar("_Sent", default=None)
_Result = TypeVar("_Result", default=None)

# To the body `Yields[Item, Sent, Result]` is `Result`; the other half of the union tells @async_generator the rest.
# How the decorator finds it there is in _function.pyi. Nothing is ever an instance of the two classes.
@final
class _Facts(Generic[_Item_co, _Sent_co, _Result_co]):
    def facts(self) -> tuple[_Item_co, _Sent_co, _Result_co]: ...

@final
class _Declaration(Generic[_Item_co, _Sent_co, _Result_co]):
    def __sizeof__(self) -> _Facts[_Item_co, _Sent_co, _Result_co]: ...  # type: ignore[override]

Yields: TypeAlias = _Declaration[_Item, _Sent, _Result] | _Result
