"""The same generators as bodies.py in native syntax: what the language gives today."""

from driver import pause


async def items(n):
    for i in range(n):
        yield i


async def echo():
    x = yield None
    while True:
        x = yield x


async def awaiting(n):
    for i in range(n):
        await pause()
        yield i


def nested(depth):
    """Without delegation, each level is a loop that yields each item again."""
    function = items
    for _ in range(depth):
        function = _looping(function)
    return function


def _looping(inner):
    async def outer(n):
        async for x in inner(n):
            yield x

    return outer


async def walk(node):
    if node is not None:
        left, value, right = node
        async for x in walk(left):
            yield x
        yield value
        async for x in walk(right):
            yield x
