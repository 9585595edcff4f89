"""Names of async_generator 1.10's private module that other projects are known to use.

* trio tests ``function._async_gen_function == id(function)`` (set in ``_function``);
* trio-typing registers ``_impl.AsyncGenerator`` as a virtual subclass;
* stackscope reads ``AsyncGenerator._coroutine``, ``ANextIter._it`` and ``yield_.__code__``;
* 1.10's own tests use ``_wrap`` and ``_unwrap``.

New code uses the public names.
"""

from abc import ABC, abstractmethod
from typing import Any

from . import _implementation as _engine
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
#: The type of wrapped items, which an awaited ``yield_()`` hands up: the interpreter's own.
YieldWrapper = _engine.box_type


class ANextIter(ABC):
    """The base class of the awaitables of a generator. ``functools.singledispatch`` finds both types by it."""

    @property
    @abstractmethod
    def _it(self) -> Any:
        """The generator."""


ANextIter.register(_engine.async_generator_asend)
ANextIter.register(_engine.async_generator_athrow)


def _wrap(value: Any) -> Any:
    """A wrapped item with ``value``."""
    return _engine.box(value)


def _is_wrapped(box: Any) -> bool:
    """True for a wrapped item."""
    return isinstance(box, YieldWrapper)


def _unwrap(box: Any) -> Any:
    """The item of a wrapped item."""
    return _engine.unbox(box)
