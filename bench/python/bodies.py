# ruff: noqa: F821
"""The generators under test, written with the package's names. Executed once for each contender, with its names as globals.

Their native twins are in native.py; cases.py drives both, and says how often.
"""


@async_generator
async def items(n):
    for i in range(n):
        await yield_(i)


@async_generator
async def echo():
    x = await yield_(None)
    while True:
        x = await yield_(x)


@async_generator
async def awaiting(n):
    for i in range(n):
        await pause()
        await yield_(i)


def nested(depth):
    """A generator function that delegates through `depth` generators to items()."""
    function = items
    for _ in range(depth):
        function = _delegating(function)
    return function


def _delegating(inner):
    @async_generator
    async def outer(n):
        await yield_from_(inner(n))

    return outer


@async_generator
async def walk(node):
    if node is not None:
        left, value, right = node
        await yield_from_(walk(left))
        await yield_(value)
        await yield_from_(walk(right))
