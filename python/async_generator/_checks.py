"""Checks of arguments where they are given: later, they would fail in the middle of a stream, or in an event loop."""

import math
from typing import Any


def seconds(value: Any, name: str) -> float:
    """Check a time.

    Args:
        value: what was given.
        name: the argument, for the error.

    Returns:
        The time. Infinity is never; a negative one is over.

    Raises:
        TypeError: if it is no real number.
        ValueError: if it is nan, or too large for a float.
    """
    of = type(value)
    if not (hasattr(of, "__float__") or hasattr(of, "__index__")):
        raise TypeError(f"{name} is a number of seconds, not {of.__name__}")
    try:
        time = float(value)
    except OverflowError:
        raise ValueError(f"{name} is too large; math.inf is never") from None
    if math.isnan(time):
        raise ValueError(f"{name} is a number of seconds, not nan")
    return value if isinstance(value, (int, float)) else time


def function(value: Any, name: str) -> Any:
    """Check a function.

    Args:
        value: what was given.
        name: the argument, for the error.

    Returns:
        The function.

    Raises:
        TypeError: if it cannot be called.
    """
    if not callable(value):
        raise TypeError(f"{name} is a function, not {type(value).__name__}")
    return value
