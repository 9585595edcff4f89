"""The defaults of a decorated function whose code runs: on 3.11, and in plain Python.

The code that calls the factory cannot know which arguments its own caller left out, unless the defaults are marks. The
interpreter reads the marks, and the engine replaces them by the present defaults of the wrapped function. Python code reads
the defaults themselves.
"""

from typing import Any

from ._calling import MARK


class Defaults(tuple[Any, ...]):
    """The ``__defaults__`` of a function: marks for the interpreter, the function's present defaults for Python code.

    Args:
        function: the wrapped function.
        count: the number of defaults.
    """

    _function: Any

    def __new__(cls, function: Any, count: int) -> Any:
        self = super().__new__(cls, (MARK,) * count)
        self._function = function
        return self

    def _now(self) -> tuple[Any, ...]:
        return self._function.__defaults__ or ()

    def __radd__(self, other: Any) -> Any:
        return other + self._now()

    def __reduce__(self) -> Any:
        return Defaults, (self._function, tuple.__len__(self))


class KeywordDefaults(dict[str, Any]):
    """The ``__kwdefaults__`` of a function: marks for the interpreter, the present defaults for Python code.

    Args:
        function: the wrapped function.
        names: the names of the parameters with a default.
    """

    def __init__(self, function: Any, names: list[str]) -> None:
        super().__init__(dict.fromkeys(names, MARK))
        self._function = function

    def _now(self) -> dict[str, Any]:
        return self._function.__kwdefaults__ or {}

    def __reduce__(self) -> Any:
        return KeywordDefaults, (self._function, list(dict.keys(self)))


def _reading(name: str) -> Any:
    """A method that calls the method ``name`` of the function's present defaults."""

    def method(self: Any, *arguments: Any) -> Any:
        others = [one._now() if isinstance(one, type(self)) else one for one in arguments]
        return getattr(self._now(), name)(*others)

    return method


_COMPARISONS = ["__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"]
for _name in [
    *_COMPARISONS,
    *"__len__ __iter__ __getitem__ __contains__ __repr__ __add__ __mul__ __rmul__".split(),
    "__hash__",
    "index",
    "count",
]:
    setattr(Defaults, _name, _reading(_name))
for _name in [
    *_COMPARISONS[:2],
    *"__len__ __iter__ __reversed__ __getitem__ __contains__ __repr__ __or__ __ror__".split(),
    "get",
    "keys",
    "values",
    "items",
    "copy",
]:
    setattr(KeywordDefaults, _name, _reading(_name))
