from typing import Any

from ._engine import async_generator as _async_generator

def open(capsule: object, /) -> _async_generator[Any, None, None]: ...
