"""Generators that count up from 0, in each syntax, and generators that delegate to one: what tests of faults, threads and
scale iterate. Ascending numbers, so that an item that is lost or comes twice shows.
"""

from async_generator import async_generator, yield_, yield_from_
from driving import trap


@async_generator
async def numbers(count):
    for number in range(count):
        yield number


@async_generator
async def by_operator(count):
    for number in range(count):
        await yield_(number)


async def hand_out(number):
    await yield_(number)


@async_generator
async def in_helper(count):
    for number in range(count):
        await hand_out(number)


@async_generator
async def after_await(count):
    for number in range(count):
        await trap()
        yield number


KINDS = (numbers, by_operator, in_helper, after_await)


@async_generator
async def passing_on(inner):
    return await yield_from_(inner)


async def keep_from(inner):
    return await yield_from_(inner)


@async_generator
async def passing_on_in_helper(inner):
    return await keep_from(inner)


def chain(depth, leaf, link=passing_on, *arguments):
    """`depth` generators that delegate to each other, down to `leaf`; returns the root."""
    for _ in range(depth):
        leaf = link(leaf, *arguments)
    return leaf
