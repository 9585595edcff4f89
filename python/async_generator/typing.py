"""Names for annotations. Nothing here runs when a generator does.

``AsyncGenerator[Item, Sent, Result]`` is the type of this package's generators.  ``Yields[Item, Sent, Result]`` is written as
the return type of a body that uses ``await yield_()``: a type checker cannot see from the calls what a body yields.
"""

from types import GenericAlias
from typing import Any

from ._engine import async_generator as AsyncGenerator

__all__ = ["AsyncGenerator", "Yields"]


class Yields:
    """What a decorated coroutine function yields, is sent and returns, for type checkers.

    ``Sent`` and ``Result`` are ``None`` when they are left out::

        @async_generator
        async def numbers(count: int) -> Yields[int, str, bool]:
            answer: str = await yield_(1)
            return True

    A call of ``numbers`` is then an ``AsyncGenerator[int, str, bool]``. To the body it is the annotation ``bool``.
    """

    __class_getitem__: Any = classmethod(GenericAlias)
