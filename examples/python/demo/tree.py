"""The second act: a tree, walked by one generator a node."""

import asyncio
import sys
import time

from contenders import NATIVE, modules
from progress import watcher


def balanced(first, last):
    """The tree of the numbers from `first` to `last`, as (left, number, right)."""
    if first > last:
        return None
    middle = (first + last) // 2
    return balanced(first, middle - 1), middle, balanced(middle + 1, last)


async def walked(walk, tree):
    return [item async for item in walk(tree)]


def act(nodes, rounds):
    """Prints nodes a second. False when a walk left one out, or came to one twice or too late."""
    tree, expected = balanced(0, nodes - 1), list(range(nodes))
    best, right = {}, True
    with watcher() as bar:
        contenders = {name: module.walk for name, module in modules("walk").items()}
        tasks = {name: bar.add_task(f"tree, {name}", rounds) for name in contenders}
        for _ in range(rounds):
            for name, walk in contenders.items():
                start = time.perf_counter()
                items = asyncio.run(walked(walk, tree))
                spent = time.perf_counter() - start
                best[name] = min(best.get(name, spent), spent)
                bar.advance(tasks[name])
                if items != expected:
                    right = False
                    print(f"WRONG: {name} walked the tree otherwise", file=sys.stderr)
    print(f"\n2. a tree of {nodes:,} nodes, walked by a generator a node")
    for name, spent in best.items():
        print(f"  {name:31} {nodes / spent:10,.0f} nodes/s   {best[NATIVE] / spent:.2f} x native")
    return right
