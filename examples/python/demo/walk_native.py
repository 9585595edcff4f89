"""The same with native generators, which have no `yield from`: every item passes through a loop at each level."""


async def walk(tree):
    left, value, right = tree
    if left:
        async for item in walk(left):
            yield item
    yield value
    if right:
        async for item in walk(right):
            yield item
