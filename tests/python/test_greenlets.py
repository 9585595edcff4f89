"""Greenlets, which leave the middle of a body and come back: a program that mixes them with async code, and greenback."""

import contextvars
import gc
import random
import sys

import pytest
from async_generator import async_generator, structured, yield_, yield_from_
from builds import FREE_THREADED
from driving import outcome, run

if FREE_THREADED:
    pytest.skip("greenlet's own module turns the GIL on", allow_module_level=True)

greenlet = pytest.importorskip("greenlet", reason="no wheel of greenlet for this interpreter")


VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")


def switch_out(depth=3):
    if depth:
        return switch_out(depth - 1)
    return greenlet.getcurrent().parent.switch()


async def handing(item):
    return await yield_(item)


@async_generator
async def numbers(n):
    for i in range(n):
        await handing(i)
        switch_out()
        await handing(i * 10)


@async_generator
async def delegating(n):
    async def helper():
        await yield_from_(numbers(n))

    await helper()


def items_of(function):
    generator, items = function(5), []
    while True:
        try:
            items.append(run(generator.__anext__()))
        except StopAsyncIteration:
            return items


@pytest.mark.parametrize("seed", range(5))
def test_greenlets_that_take_turns_in_the_middle_of_bodies(seed):
    chance = random.Random(seed)
    running = [greenlet.greenlet(items_of) for _ in range(6)]
    for one in running:
        one.switch(chance.choice([numbers, delegating]))
    results = []
    while running:
        one = chance.choice(running)
        answer = one.switch()
        # The part of the stack that the bodies left is used by others meanwhile.
        outcome(yield_().send, None)
        outcome(yield_from_(numbers(1)).send, None)
        gc.collect(0)
        if one.dead:
            results.append(answer)
            running.remove(one)
    assert results == [[x for i in range(5) for x in (i, i * 10)]] * 6


def test_greenback_awaits_in_the_middle_of_a_body():
    """Two tasks whose bodies await from synchronous code, one after the other."""
    greenback = pytest.importorskip("greenback", reason="no greenback for this interpreter")
    trio = pytest.importorskip("trio")

    def pause():
        greenback.await_(trio.sleep(0))

    @async_generator
    async def body(n):
        for i in range(n):
            await handing(i)
            pause()
            await handing(-i)

    collected = []

    async def consume(n):
        await greenback.ensure_portal()
        collected.append([item async for item in body(n)])

    async def main():
        async with trio.open_nursery() as nursery:
            for n in (3, 5, 4):
                nursery.start_soon(consume, n)

    trio.run(main)
    assert sorted(collected, key=len) == [[x for i in range(n) for x in (i, -i)] for n in (3, 4, 5)]


# Environments ----------------------------------------------------------------------------------------------------------


def test_greenlets_may_leave_bodies_in_any_order():
    hooks = sys.get_asyncgen_hooks()
    main = greenlet.getcurrent()

    @structured
    async def body(name):
        main.switch(name)
        return sys.get_asyncgen_hooks()

    def run_body(name):
        try:
            body(name).send(None)
        except StopIteration as stop:
            return stop.value

    one, two = greenlet.greenlet(run_body), greenlet.greenlet(run_body)
    assert one.switch("one") == "one" and two.switch("two") == "two"
    one.switch()
    assert sys.get_asyncgen_hooks() != hooks  # the second body's
    two.switch()
    assert sys.get_asyncgen_hooks() == hooks


@pytest.mark.parametrize("context", ["own", "layered"])
def test_a_greenlet_that_is_switched_out_takes_its_context_along(context):
    main = greenlet.getcurrent()

    @async_generator(context=context)
    async def generator():
        VARIABLE.set("body's")
        main.switch("out")
        yield VARIABLE.get()

    def consume():
        VARIABLE.set("consumer's")
        with pytest.raises(StopIteration) as stop:
            generator().__anext__().send(None)
        return stop.value.value, VARIABLE.get()

    other = greenlet.greenlet(consume)
    other.gr_context = contextvars.copy_context()
    assert other.switch() == "out"
    assert VARIABLE.get() == "unset"
    assert other.switch() == ("body's", "consumer's")
