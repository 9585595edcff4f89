from collections.abc import AsyncIterable
from typing import Any, TypeVar, overload

from ._engine import async_generator
from .typing import _Declaration

_Result = TypeVar("_Result")

# The type of the sent value is not known here: annotate the variable that the result is assigned to.
async def yield_(value: Any = None) -> Any: ...

# Only the type of this package's generators tells what they return. A native generator returns None, but an object of
# the abstract type AsyncGenerator may be of either kind. The union takes the result out of a declaration that a checker has
# kept as it stands, as ty does (see _function.pyi).
@overload
async def yield_from_(
    delegate: async_generator[Any, Any, _Declaration[Any, Any, _Result] | _Result],
) -> _Result: ...

# If the first overload does not fit the variable that the result is assigned to, mypy tries the next ones. Without this
# overload it would take the last one, whose Any fits every variable.
@overload
async def yield_from_(delegate: async_generator[Any, Any, object]) -> object: ...  # type: ignore[overload-cannot-match]
@overload
async def yield_from_(delegate: AsyncIterable[Any]) -> Any: ...
