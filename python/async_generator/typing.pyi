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

# Within the body, `Yields[Item, Sent, Result]` means `Result`. The other member of the union tells @async_generator the
# types of the items and of the sent values; _function.pyi says how. The two classes have no instances.
@final
class _Facts(Generic[_Item_co, _Sent_co, _Result_co]):
    def facts(self) -> tuple[_Item_co, _Sent_co, _Result_co]: ...

@final
class _Declaration(Generic[_Item_co, _Sent_co, _Result_co]):
    def __sizeof__(self) -> _Facts[_Item_co, _Sent_co, _Result_co]: ...  # type: ignore[override]

Yields: TypeAlias = _Declaration[_Item, _Sent, _Result] | _Result
