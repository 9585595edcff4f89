"""A great deal of everything: time grows with the amount and no faster, memory does not grow, nothing recurses.

Each case runs in a process of its own, at a tenth of the size and at the size, and reports seconds and peak memory.
"""

import json

import pytest
from conftest import FULL

COMMON = """
import gc, json, resource, sys, time
from async_generator import async_generator, yield_from_
from counting import by_operator, chain, numbers, passing_on, passing_on_in_helper

@async_generator
async def closing(inner, closed):
    try:
        return await yield_from_(inner)
    finally:
        closed.append(1)

def run(awaitable):
    try:
        awaitable.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("awaits")

kind, size = globals()[sys.argv[1]] if sys.argv[1] in globals() else None, int(sys.argv[2])
sys.setrecursionlimit(200)  # nothing here may need a deep stack
# How many full collections there are on the way is the interpreter's choice, and no line: none at a tenth, three at the
# size. Those that a case asks for count.
gc.set_threshold(*gc.get_threshold()[:2], 1_000_000)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB
before, begun = peak(), time.process_time()
"""
REPORT = """
print(json.dumps({"seconds": time.process_time() - begun, "grown": peak() - before}))
"""

ITEMS = """
async def consume():
    total = 0
    async for item in kind(size):
        total += 1
    return total
assert run(consume()) == size
"""

ITEMS_OF_A_CHAIN = """
async def consume():
    total = 0
    async for item in chain(50, kind(size)):
        total += 1
    return total
assert run(consume()) == size
"""

ALIVE = """
generators = [kind(3) for _ in range(size)]
for generator in generators:
    assert run(generator.__anext__()) == 0
for generator in generators:
    assert run(generator.__anext__()) == 1
del generators, generator
"""

DROPPED = """
for _ in range(size):
    assert run(kind(3).__anext__()) == 0
"""

DROPPED_AFRESH = """
for _ in range(size):
    kind(3)
"""

DEEP_ITEMS = """
root = chain(size, numbers(1000), kind)
assert [run(root.__anext__()) for _ in range(1000)] == list(range(1000))
try:
    run(root.__anext__())
except StopAsyncIteration:
    pass
assert root.ag_state == "AGEN_CLOSED"
"""

DEEP_CLOSE = """
closed = []
root = chain(size, numbers(1000), closing, closed)
assert run(root.__anext__()) == 0
assert run(root.aclose()) is None
assert len(closed) == size
"""

DEEP_THROW = """
root = chain(size, numbers(1000), kind)
assert run(root.__anext__()) == 0
try:
    run(root.athrow(KeyError("thrown")))
except KeyError as error:
    entries, traceback = 0, error.__traceback__
    while traceback is not None:
        entries, traceback = entries + 1, traceback.tb_next
    assert entries > size, entries
    del error, traceback
assert root.ag_state == "AGEN_CLOSED"
"""

DEEP_DROP = """
root = chain(size, numbers(1000), kind)
assert run(root.__anext__()) == 0
del root
gc.collect()
"""

DEEP_CYCLE = """
cell = [None]
@async_generator
async def keeping(inner, kept):
    return await yield_from_(inner)
root = cell[0] = chain(size, numbers(1000), keeping, cell)
assert run(root.__anext__()) == 0
del root, cell
gc.collect()
"""

DEEP_GROWING = """
root = numbers(size + 10)
for number in range(size):  # each new root takes one item: what was there before is delegated to when partly consumed
    assert run(root.__anext__()) == number
    root = kind(root)
assert run(root.__anext__()) == size
"""

# name: program, the kind, the size in full, megabytes that may come on top at a tenth and at that size
KINDS, LINKS = ("numbers", "by_operator"), ("passing_on", "passing_on_in_helper")
CASES = {
    **{f"items of {kind}": (ITEMS, kind, 10_000_000, 4) for kind in KINDS},
    **{f"items of a chain over {kind}": (ITEMS_OF_A_CHAIN, kind, 10_000_000, 4) for kind in KINDS},
    **{f"alive {kind}": (ALIVE, kind, 1_000_000, 1200) for kind in KINDS},
    **{f"dropped {kind}": (DROPPED, kind, 1_000_000, 4) for kind in KINDS},
    **{f"dropped afresh {kind}": (DROPPED_AFRESH, kind, 1_000_000, 4) for kind in KINDS},
    **{f"items through a deep chain of {link}": (DEEP_ITEMS, link, 100_000, 400) for link in LINKS},
    "closing a deep chain": (DEEP_CLOSE, "-", 100_000, 400),
    **{f"throwing through a deep chain of {link}": (DEEP_THROW, link, 100_000, 400) for link in LINKS},
    **{f"dropping a deep chain of {link}": (DEEP_DROP, link, 100_000, 400) for link in LINKS},
    "a deep chain in a cycle": (DEEP_CYCLE, "-", 100_000, 400),
    **{f"a chain that grows at the root by {link}": (DEEP_GROWING, link, 100_000, 400) for link in LINKS},
}


@pytest.mark.parametrize("name", CASES)
def test_time_is_linear_and_memory_flat(name, program):
    source, kind, size, megabytes = CASES[name]
    size = size if FULL else size // 20

    def measure(size):
        return json.loads(program(COMMON + source + REPORT, kind, size, timeout=900))

    large = measure(size)
    small = min((measure(size // 10) for _ in range(3)), key=lambda one: one["seconds"])
    # Ten times as much: a quadratic step would show as a hundred. A tenth of a second is noise.
    assert large["seconds"] < 25 * small["seconds"] + 0.1, (small, large)
    assert large["grown"] / 1024 < megabytes, (small, large)
