"""Names for annotations. A running generator does not use them.

``AsyncGenerator[Item, Sent, Result]`` is the type of this package's generators. ``Yields[Item, Sent, Result]`` is the
return type of a coroutine function that uses ``await yield_()``: a type checker cannot infer from the calls of
``yield_()`` what the body yields.
"""

from types import GenericAlias
from typing import Any

from . import _implementation

__all__ = ["AsyncGenerator", "Yields"]

AsyncGenerator = _implementation.async_generator


class Yields:
    """Declares, for type checkers, the types of a decorated coroutine function's items, sent values and return value.

    ``Sent`` and ``Result`` are ``None`` if they are left out::

        @async_generator
        async def numbers(count: int) -> Yields[int, str, bool]:
            answer: str = await yield_(1)
            return True

    A call of ``numbers`` is then an ``AsyncGenerator[int, str, bool]``. Within the body, ``Yields[int, str, bool]`` means
    ``bool``.
    """

    __class_getitem__: Any = classmethod(GenericAlias)
