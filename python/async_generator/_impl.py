"""Names of async_generator 1.10's private module that other projects are known to read.

* trio asks ``function._async_gen_function == id(function)`` (set in ``_function``);
* trio-typing registers ``_impl.AsyncGenerator`` as a virtual subclass;
* stackscope walks ``AsyncGenerator._coroutine``, ``ANextIter._it`` and ``yield_.__code__``;
* 1.10's own tests use ``_wrap`` and ``_unwrap``.

New code uses the public names.
"""

from abc import ABC, abstractmethod
from typing import Any

from . import _engine
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

AsyncGenerator = _engine.async_generator
#: What an awaited ``yield_()`` hands up: the interpreter's own wrapper of the items of native async generators.
YieldWrapper = _engine.box_type


class ANextIter(ABC):
    """What the operations of a generator return: single dispatch finds both types by it."""

    @property
    @abstractmethod
    def _it(self) -> Any:
        """The generator."""


ANextIter.register(_engine.async_generator_asend)
ANextIter.register(_engine.async_generator_athrow)


def _wrap(value: Any) -> Any:
    """The marker that carries ``value`` through the awaits."""
    return _engine.box(value)


def _is_wrapped(box: Any) -> bool:
    """True for such a marker."""
    return isinstance(box, YieldWrapper)


def _unwrap(box: Any) -> Any:
    """What a marker carries."""
    return _engine.unbox(box)
