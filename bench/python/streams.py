"""Measures the streams against what is written by hand, and against aiostream where it is installed.

streams.py [--rounds N]    all contenders in one process, in turns; the minimum of the rounds counts, in us of CPU an item
"""

import argparse
import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor

from async_generator import streams

try:
    import aiostream
except ImportError:
    aiostream = None


async def suspending(n):
    for i in range(n):
        await asyncio.sleep(0)
        yield i


async def ready(n):
    for i in range(n):
        yield i


async def by_queue(*sources):
    """A queue, and a task a source. A source is not ahead of its consumer by more than one item."""
    queue = asyncio.Queue(1)
    end = object()

    async def pump(source):
        async for item in source:
            await queue.put(item)
        await queue.put(end)

    tasks = [asyncio.create_task(pump(source)) for source in sources]
    left = len(tasks)
    while left:
        item = await queue.get()
        if item is end:
            left -= 1
        else:
            yield item
    await asyncio.gather(*tasks)


async def by_aiostream(*sources):
    async with aiostream.stream.merge(*sources).stream() as items:
        async for item in items:
            yield item


async def by_hops(iterable):
    """As Starlette's iterate_in_threadpool: a hop to a thread and back for each item."""
    loop = asyncio.get_running_loop()
    end = object()
    iterator = iter(iterable)
    with ThreadPoolExecutor(1) as pool:
        while (item := await loop.run_in_executor(pool, next, iterator, end)) is not end:
            yield item


async def count(items):
    number = 0
    async for _ in items:
        number += 1
    return number


async def count_chunks(items):
    number = 0
    async for chunk in items:
        number += len(chunk)
    return number


def sources(function, n, items):
    return [function(items // n) for _ in range(n)]


CASES = {
    "merge of 10 that suspend": {
        "this": lambda: count(streams.merge(*sources(suspending, 10, 3000))),
        "queue and tasks": lambda: count(by_queue(*sources(suspending, 10, 3000))),
        "aiostream": lambda: count(by_aiostream(*sources(suspending, 10, 1000))),
    },
    "merge of 10 with items at once": {
        "this": lambda: count(streams.merge(*sources(ready, 10, 10000))),
        "queue and tasks": lambda: count(by_queue(*sources(ready, 10, 3000))),
        "aiostream": lambda: count(by_aiostream(*sources(ready, 10, 1000))),
    },
    "one reader": {
        "native": lambda: count(ready(20000)),
        "prefetch": lambda: count(streams.prefetch(ready(20000), 64)),
        "chunks": lambda: count_chunks(streams.chunks(ready(20000), 64)),
        "chunks by time": lambda: count_chunks(streams.chunks(ready(20000), 64, within=1)),
        "broadcast": lambda: count(streams.broadcast(ready(20000)).reader()),
        "timeout": lambda: count(streams.timeout(ready(20000), 1)),
    },
    "from a thread": {
        "this, batch 64": lambda: count(streams.from_thread(range(20000), 64)),
        "a hop an item": lambda: count(by_hops(range(1000))),
    },
}


def measure(rounds):
    results = {}
    for case, contenders in CASES.items():
        best = {}
        for _ in range(rounds):
            for name, make in contenders.items():
                if name == "aiostream" and aiostream is None:
                    continue

                async def timed(make=make):
                    begin = time.perf_counter()
                    items = await make()
                    return (time.perf_counter() - begin) / items * 1e6

                best[name] = min(best.get(name, 1e9), asyncio.run(timed()))
        results[case] = best
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    print(json.dumps(measure(parser.parse_args().rounds), indent=2))


if __name__ == "__main__":
    main()
