from abc import ABC, abstractmethod
from typing import Any

from ._engine import async_generator as AsyncGenerator
from ._function import async_generator, isasyncgen, isasyncgenfunction
from ._operators import yield_, yield_from_

__all__ = [
    "ANextIter",
    "AsyncGenerator",
    "YieldWrapper",
    "async_generator",
    "isasyncgen",
    "isasyncgenfunction",
    "yield_",
    "yield_from_",
]

YieldWrapper: type[Any]

class ANextIter(ABC):
    @property
    @abstractmethod
    def _it(self) -> Any: ...

def _wrap(value: Any) -> Any: ...
def _is_wrapped(box: Any) -> bool: ...
def _unwrap(box: Any) -> Any: ...
