"""A walk of a tree by delegation."""

from async_generator import async_generator, yield_, yield_from_


@async_generator
async def walk(tree):
    left, value, right = tree
    if left:
        await yield_from_(walk(left))
    await yield_(value)
    if right:
        await yield_from_(walk(right))
