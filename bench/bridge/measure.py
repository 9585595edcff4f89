"""What bench.py runs under callgrind: each case at two lengths, between marks.

measure.py FOLDER     FOLDER holds the compiled bodies
"""

import gc
import json
import os
import platform
import sys
import types

LOW, HIGH = 500, 2500


@types.coroutine
def pause():
    """Suspends once, as awaiting a loop would."""
    yield


async def ready():
    """Answers at once."""


async def suspending():
    await pause()


def run(coroutine):
    try:
        while True:
            coroutine.send(None)
    except StopIteration:
        pass


async def consume(generator):
    async for _ in generator:
        pass


async def native_items(n):
    for i in range(n):
        yield i


async def native_awaiting(n, function):
    for i in range(n):
        await function()
        yield i


def main():
    sys.path.insert(0, sys.argv[1])
    import agen_bench_bodies as bodies

    cases = [
        ("items", native_items, bodies.items, ()),
        ("items, in lists of 64", native_items, lambda n: bodies.items(n).batches(64), ()),
        ("items, in arrays of 64", native_items, lambda n: bodies.items(n).batches(64, array=True), ()),
        ("await a coroutine that answers at once", native_awaiting, bodies.awaiting, (ready,)),
        ("await a coroutine that suspends", native_awaiting, bodies.awaiting, (suspending,)),
    ]
    gc.collect()
    gc.disable()
    sections = []
    for name, native, ours, arguments in cases:
        for contender, function in (("native", native), ("C++", ours)):
            for n in (LOW, HIGH):
                run(consume(function(n, *arguments)))
            for n in (LOW, HIGH):
                os.getppid()  # callgrind dumps what it has counted so far
                run(consume(function(n, *arguments)))
            os.getppid()
            sections.append((name, contender, LOW, HIGH))
    json.dump({"python": platform.python_version(), "measured": sections}, sys.stdout)


if __name__ == "__main__":
    main()
