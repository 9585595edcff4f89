"""Greenlets, which leave the middle of a body and come back: a program that mixes them with async code, and greenback."""

import asyncio
import contextvars
import gc
import random
import sys
import time

import anyio
import pytest
from async_generator import async_generator, bridge, structured, yield_, yield_from_
from builds import FREE_THREADED
from driving import outcome, run
from streams_running import LOOPS, run_on

if FREE_THREADED:
    pytest.skip("greenlet's own module turns the GIL on", allow_module_level=True)

greenlet = pytest.importorskip("greenlet", reason="no wheel of greenlet for this interpreter")
try:
    import greenback
except ImportError:
    greenback = None
needs_greenback = pytest.mark.skipif(greenback is None, reason="no greenback for this interpreter")

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


@needs_greenback
def test_greenback_awaits_in_the_middle_of_a_body():
    """Two tasks whose bodies await from synchronous code, one after the other."""
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


# Isolated generators, by the way of SQLAlchemy: what runs in a greenlet awaits by a switch to the coroutine that spawned it.


async def spawn(function, *arguments):
    child = greenlet.greenlet(function)
    child.gr_context = contextvars.copy_context()
    answer = child.switch(*arguments)
    while not child.dead:
        try:
            value = await answer
        except BaseException as error:
            answer = child.throw(error)
        else:
            answer = child.switch(value)
    return answer


def await_here(awaitable):
    return greenlet.getcurrent().parent.switch(awaitable)


@async_generator(isolated=True)
async def isolated_numbers(tasks):
    def sleep(seconds):
        tasks.append(asyncio.current_task())
        await_here(asyncio.sleep(seconds))
        tasks.append(asyncio.current_task())
        return VARIABLE.get()

    VARIABLE.set("body's")
    for i in range(3):
        assert await spawn(sleep, 0) == "body's"
        yield i
        assert await spawn(sleep, 0.001) == "body's"


def test_greenlets_in_the_body_of_an_isolated_generator_wait_in_its_task():
    async def main():
        tasks = []
        assert [item async for item in isolated_numbers(tasks)] == [0, 1, 2]
        assert len(tasks) == 12 and len(set(tasks)) == 1 and tasks[0] is not asyncio.current_task()
        assert VARIABLE.get() == "unset"

    asyncio.run(main())


def test_a_greenlet_consumes_an_isolated_generator():
    def items_in_a_greenlet(generator):
        items = []
        while (item := await_here(generator.anext(timeout=10, default=None))) != 2:
            items.append(item)
        await_here(generator.aclose())
        return items

    async def main():
        tasks = []
        assert await spawn(items_in_a_greenlet, isolated_numbers(tasks)) == [0, 1]
        assert asyncio.current_task() not in tasks and VARIABLE.get() == "unset"
        for _ in range(5):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_greenlets_leave_steps_of_a_structured_body_and_its_generators_are_closed():
    closed = []

    @async_generator
    async def inner():
        try:
            await yield_(1)
            await yield_(2)
        finally:
            await spawn(lambda: closed.append(await_here(asyncio.sleep(0, "closed"))))

    @structured
    async def body():
        async for _ in inner():
            await spawn(lambda: await_here(asyncio.sleep(0)))
            break
        await spawn(lambda: await_here(asyncio.sleep(0)))
        return list(closed)

    async def main():
        return await asyncio.gather(*(body() for _ in range(3)))

    results = asyncio.run(main())
    assert closed == ["closed"] * 3 and all(results)


# greenback in the body of an isolated generator -------------------------------------------------------------------------


def current_task():
    return anyio.get_current_task().id


def pause(tasks, seconds=0.0):
    """Synchronous code that awaits, and tells which task it is in."""
    tasks.add(current_task())
    greenback.await_(bridge.sleep(seconds))
    tasks.add(current_task())


@async_generator(isolated=True)
async def numbers_by_greenback(tasks, log):
    VARIABLE.set("body's")
    await greenback.ensure_portal()
    try:
        for i in range(4):
            pause(tasks, 0.001 * (i % 2))
            log.append((yield i))
            assert VARIABLE.get() == "body's"
    finally:
        pause(tasks, 0.001)
        log.append("cleaned up")


@pytest.mark.parametrize("consumer_has_a_portal", [True, False])
@needs_greenback
@pytest.mark.parametrize("loop", LOOPS)
def test_greenback_awaits_in_the_body_of_an_isolated_generator(loop, consumer_has_a_portal):
    async def main():
        if consumer_has_a_portal:
            await greenback.ensure_portal()
        tasks, log = set(), []
        async with numbers_by_greenback(tasks, log) as items:
            got = []
            async for item in items:
                got.append(item)
                if consumer_has_a_portal:
                    greenback.await_(bridge.sleep(0))
        assert got == [0, 1, 2, 3] and log == [None] * 4 + ["cleaned up"]
        assert len(tasks) == 1 and current_task() not in tasks
        assert VARIABLE.get() == "unset"

    run_on(loop, main)


@needs_greenback
@pytest.mark.parametrize("loop", LOOPS)
def test_an_isolated_generator_with_a_portal_takes_what_is_sent_and_thrown(loop):
    async def main():
        tasks, log = set(), []
        async with numbers_by_greenback(tasks, log) as items:
            assert await items.asend(None) == 0
            assert await items.asend("sent") == 1
            with pytest.raises(KeyError):
                await items.athrow(KeyError("thrown"))
            with pytest.raises(StopAsyncIteration):
                await items.__anext__()
        assert log == ["sent", "cleaned up"] and len(tasks) == 1

    run_on(loop, main)


@needs_greenback
@pytest.mark.parametrize("loop", LOOPS)
def test_an_isolated_generator_with_a_portal_is_left_early(loop):
    async def main():
        tasks, log = set(), []
        async with numbers_by_greenback(tasks, log) as items:
            async for _ in items:
                break
        assert log == ["cleaned up"] and len(tasks) == 1

    run_on(loop, main)


@needs_greenback
@pytest.mark.parametrize("loop", LOOPS)
def test_who_gives_up_waiting_for_a_body_with_a_portal_loses_nothing(loop):
    async def main():
        tasks = set()
        async with numbers_by_greenback(tasks, []) as items:
            got = []
            while len(got) < 4:
                item = await items.anext(timeout=0.0002, default=None)
                got += [] if item is None else [item]
        assert got == [0, 1, 2, 3] and len(tasks) == 1

    run_on(loop, main)


@needs_greenback
@pytest.mark.parametrize("loop", LOOPS)
def test_a_body_with_a_portal_is_interrupted_where_it_awaits(loop):
    ended = []

    @async_generator(isolated=True)
    async def generator():
        await greenback.ensure_portal()
        yield 1
        try:
            pause(set(), 10)
        finally:
            ended.append(current_task())

    async def main():
        begun = time.monotonic()
        async with generator() as items:
            assert await items.__anext__() == 1
            assert await items.anext(timeout=0.001, default="gave up") == "gave up"
        assert len(ended) == 1 and current_task() not in ended
        assert time.monotonic() - begun < 5

    run_on(loop, main)


@needs_greenback
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("sleep", [anyio.sleep, None], ids=["await", "portal"])
def test_closing_a_body_with_a_portal_ends_the_wait_of_its_consumer(loop, sleep):
    """A wait in the portal is not the generator's: only a cancellation of its task ends that."""
    log = []

    @async_generator(isolated=True)
    async def generator():
        await greenback.ensure_portal()
        yield 1
        try:
            await sleep(10) if sleep else greenback.await_(anyio.sleep(10))
        except asyncio.CancelledError:
            log.append("cancelled")
            raise
        finally:
            greenback.await_(anyio.sleep(0))
            await anyio.sleep(0)
            log.append("cleaned up")

    async def main():
        begun = time.monotonic()
        items = generator()
        assert await items.__anext__() == 1
        waiting = asyncio.ensure_future(items.__anext__())
        await anyio.sleep(0.05)
        await items.aclose()
        with pytest.raises(StopAsyncIteration):
            await waiting
        assert log == ["cancelled", "cleaned up"] and time.monotonic() - begun < 5
        with pytest.raises(StopAsyncIteration):
            await items.__anext__()

    run_on(loop, main)


@needs_greenback
@pytest.mark.parametrize("loop", LOOPS)
def test_a_timeout_of_a_body_with_a_portal_expires_in_it(loop):
    @async_generator(isolated=True)
    async def generator():
        await greenback.ensure_portal()
        try:
            with anyio.fail_after(0.005):
                yield 1
                pause(set(), 10)
        except TimeoutError:
            yield "too slow"

    async def main():
        async with generator() as items:
            assert [item async for item in items] == [1, "too slow"]

    run_on(loop, main)


@needs_greenback
def test_the_loop_ends_while_a_body_with_a_portal_waits():
    log = []

    @async_generator(isolated=True)
    async def generator(where):
        await greenback.ensure_portal()
        try:
            if where == "yield":
                yield 1
            greenback.await_(asyncio.sleep(10))
        except asyncio.CancelledError:
            log.append("cancelled")
            yield "goes on"
        finally:
            await asyncio.sleep(0)
            log.append("cleaned up")

    async def main(where):
        made = generator(where)
        waiting = asyncio.ensure_future(made.__anext__())
        await asyncio.sleep(0.05)
        return made, waiting

    kept = [asyncio.run(main(where)) for where in ("await", "yield")]
    assert log == ["cancelled", "cleaned up"] * 2, kept
