"""The code of functions: its kind, and what changes it."""

import inspect
from types import CodeType

from . import _has_engine

if _has_engine:
    from . import _rewriting as rewriting
    from . import _with_blocks as with_blocks
else:
    from ._plain import _code as rewriting  # type: ignore[no-redef]
    from ._plain import _code as with_blocks  # type: ignore[no-redef]

__all__ = ["as_kind", "kind_of", "rewriting", "with_blocks"]

_KINDS = inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def kind_of(code: CodeType) -> int:
    """The flag that makes a call of the code make a coroutine, a generator or an async generator; 0 for other code."""
    return code.co_flags & _KINDS


def as_kind(code: CodeType, kind: int) -> CodeType:
    """A copy of ``code`` whose kind, a flag as ``kind_of()`` returns it, is ``kind``."""
    # A sent value takes a stack slot, which the code of a plain function does not have (3.10, where flags alone decide).
    room = 0 if kind_of(code) else 1
    return code.replace(co_flags=code.co_flags & ~_KINDS | kind, co_stacksize=code.co_stacksize + room)
