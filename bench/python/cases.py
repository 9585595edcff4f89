"""The cases: what is run, how many items one run is, and the ratio to native that each must keep.

A case knows nothing of clocks: measure.py counts nanoseconds or instructions around `run(api, n)`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import driver
from driver import balanced_tree, consume, consume_echo, consume_short


@dataclass(frozen=True)
class Case:
    """One row. `must` and `aim` bound ours / native; `since` is the oldest version for which `must` applies."""

    name: str
    title: str
    run: Callable
    must: float | None
    aim: float | None
    # How many items a run of length n is for time, and the two lengths whose difference gives instructions.
    length: int = 2000
    spans: tuple = (500, 2500)
    # 1.10 is up to four orders of magnitude slower, and native up to two: they get this fraction of the items.
    peer_share: float = 0.1
    native_share: float = 1.0
    native_syntax: bool = False
    since: tuple = (3, 10)
    # Makes what a run of length n needs, outside the measured part.
    prepare: Callable = int

    def length_of(self, contender):
        """How many items a timed run of a contender has."""
        share = {"1.10": self.peer_share, "native": self.native_share}.get(contender, 1)
        return max(int(self.length * share), 4)

    def spans_of(self, contender):
        """The two lengths whose difference is counted; 1.10's are shorter, and never equal."""
        low, high = self.spans
        if contender != "1.10":
            return low, high
        return min(low, 2), min(low, 2) + max(int((high - low) * self.peer_share), 3)


def _items(api, n):
    driver.run(consume(api.items(n)))


def _echo(api, n):
    driver.run(consume_echo(api.echo(), n))


def _awaiting(api, n):
    driver.run(consume(api.awaiting(n)))


def _short(api, n):
    driver.run(consume_short(api.items, n))


def _nested(depth):
    functions = {}

    def run(api, n):
        if api not in functions:
            functions[api] = api.nested(depth)
        driver.run(consume(functions[api](n)))

    return run


@cache
def _tree(nodes):
    return balanced_tree(nodes)


def _walk(api, n):
    driver.run(consume(api.walk(_tree(n))))


TREE_NODES = 100_000

CASES = [
    Case("items", "async for over items", _items, 0.85, 0.65, since=(3, 11)),
    Case("items-native", "async for, native syntax", _items, 0.80, 0.55, native_syntax=True),
    Case("echo", "asend of a value", _echo, 1.0, 0.65),
    Case("echo-native", "asend, native syntax", _echo, 1.0, 0.65, native_syntax=True),
    Case("await", "await something, then yield", _awaiting, 1.0, 0.85),
    Case("await-native", "await, then yield, native syntax", _awaiting, 1.0, 0.85, native_syntax=True),
    Case("short", "create, three items, end", _short, 1.1, 0.9, length=300, spans=(100, 500)),
    Case(
        "short-native",
        "create, three, end, native syntax",
        _short,
        1.1,
        0.9,
        length=300,
        spans=(100, 500),
        native_syntax=True,
    ),
    # Long runs, so that creating the chain of generators, which does cost by depth, is no part of an item's cost.
    Case("from-1", "yield_from_ at depth 1", _nested(1), None, None, length=10_000, spans=(300, 1300)),
    Case(
        "from-10",
        "yield_from_ at depth 10",
        _nested(10),
        None,
        None,
        length=10_000,
        spans=(300, 1300),
        peer_share=0.02,
        native_share=0.2,
    ),
    Case(
        "from-100",
        "yield_from_ at depth 100",
        _nested(100),
        None,
        None,
        length=10_000,
        spans=(100, 600),
        peer_share=0.002,
        native_share=0.1,
    ),
    Case(
        "tree",
        f"walk of a tree of {TREE_NODES:,} nodes",
        _walk,
        0.25,
        0.10,
        TREE_NODES,
        (0, TREE_NODES),
        0.01,
        prepare=_tree,
    ),
]
BY_NAME = {case.name: case for case in CASES}

# Ratios that are not to native: ours at one depth against ours at another.
DEPTH_COST = ("from-100", "from-1", 1.1, 1.0)
# Bytes of one suspended generator, measured by tracemalloc.
MEMORY = ("memory", "memory of one suspended generator", 1.3, 1.0)
