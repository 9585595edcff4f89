from collections.abc import AsyncIterable
from typing import Any, TypeVar, overload

from ._engine import async_generator

_Result = TypeVar("_Result")

# What the consumer sends is not to be known here: annotate the variable that takes it.
async def yield_(value: Any = None) -> Any: ...

# Only this package's generators say what they return. A native one returns None, but an object of the abstract type
# AsyncGenerator may be either.
@overload
async def yield_from_(delegate: async_generator[Any, Any, _Result]) -> _Result: ...

# Where the first does not fit what the result is assigned to, mypy would go on to the last, and Any fits everything.
@overload
async def yield_from_(delegate: async_generator[Any, Any, object]) -> object: ...  # type: ignore[overload-cannot-match]
@overload
async def yield_from_(delegate: AsyncIterable[Any]) -> Any: ...
