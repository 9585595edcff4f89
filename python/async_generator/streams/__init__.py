"""Several async generators at once."""

from ._merge import merge, race

first = race

__all__ = ["first", "merge", "race"]
