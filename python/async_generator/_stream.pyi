from typing import Any, Protocol, type_check_only

from ._engine import async_generator

@type_check_only
class _HasStream(Protocol):
    def __agen_stream__(self) -> object: ...

def stream(source: _HasStream) -> async_generator[Any, None, None]: ...
