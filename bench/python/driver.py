"""Drives coroutines and generators without an event loop, so that only the generators cost anything."""

import types


@types.coroutine
def pause():
    """Suspends once, as awaiting a loop would."""
    yield


def run(coroutine):
    """Runs a coroutine to its end and returns its result; every await is resumed at once."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration as stop:
        return stop.value


async def consume(generator):
    async for _ in generator:
        pass


async def consume_echo(generator, n):
    send = generator.asend
    await send(None)
    for i in range(n):
        await send(i)
    await generator.aclose()


async def consume_short(function, n):
    for _ in range(n):
        async for _ in function(3):
            pass


def balanced_tree(nodes):
    """A balanced binary tree of (left, value, right) with `nodes` nodes."""

    def build(low, high):
        if low >= high:
            return None
        middle = (low + high) // 2
        return build(low, middle), middle, build(middle + 1, high)

    return build(0, nodes)
