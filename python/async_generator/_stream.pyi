from typing import Any, Protocol

from ._engine import async_generator as _async_generator

class _HasStream(Protocol):
    def __agen_stream__(self) -> object: ...

def stream(source: _HasStream) -> _async_generator[Any, None, None]: ...
