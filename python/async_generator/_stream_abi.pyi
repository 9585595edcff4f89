from typing import Any

from ._engine import async_generator

def open(capsule: object, /) -> async_generator[Any, None, None]: ...
