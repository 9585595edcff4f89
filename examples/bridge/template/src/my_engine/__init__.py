"""An engine in C++, iterated by ``async for``."""

from ._engine import readings

__all__ = ["readings"]
