"""Isolated generators that are closed while their body waits: what it awaits is cancelled, as a task's awaits are."""

import asyncio
import gc
import sys

import pytest
from async_generator import aclosing, async_generator, isolated, yield_from_
from streams_running import LOOPS, run_on

NEWER = sys.version_info >= (3, 11)
LOG = []
BEGUN = []


@pytest.fixture(params=[loop for loop in LOOPS if loop != "trio"])
def run(request):
    LOG.clear()
    BEGUN.clear()
    return lambda function, *arguments: run_on(request.param, function, *arguments)


async def until(done):
    """Gives the others turns. What run() runs has a limit of time."""
    while not done():
        await asyncio.sleep(0)


async def child():
    BEGUN.append(None)
    try:
        await asyncio.sleep(10)
    finally:
        await asyncio.sleep(0)
        LOG.append("cleaned up")


# Each is a generator function that yields once, and then waits for child(). With how often child() is run.


async def directly():
    yield 1
    await child()
    yield 2


async def in_a_generator():
    async def inner():
        await child()
        yield 2

    yield 1
    async with aclosing(inner()) as items:
        async for item in items:
            yield item


async def in_wait_for():
    yield 1
    await asyncio.wait_for(child(), 10)
    yield 2


async def in_a_task():
    yield 1
    await asyncio.ensure_future(child())
    yield 2


async def in_gather():
    yield 1
    await asyncio.gather(child(), child())
    yield 2


async def in_a_task_group():
    yield 1
    async with asyncio.TaskGroup() as group:
        group.create_task(child())
    yield 2


async def in_a_timeout():
    yield 1
    async with asyncio.timeout(10):
        await child()
    yield 2


async def in_an_isolated_generator():
    yield 1
    async with isolated(directly()) as items:
        await anext(items)
        await anext(items)
    yield 2


@async_generator
async def in_a_delegate():
    async def delegate():
        await child()
        yield 2

    yield 1
    await yield_from_(delegate())


WAITING = {
    directly: 1,
    in_a_generator: 1,
    in_wait_for: 1,
    in_a_task: 1,
    in_gather: 2,
    in_an_isolated_generator: 1,
    in_a_delegate: 1,
    **({in_a_task_group: 1, in_a_timeout: 1} if NEWER else {}),
}


async def waiting(function):
    items = isolated(function())
    assert await items.__anext__() == 1
    while len(BEGUN) < WAITING.get(function, 1):  # each time it goes on, as far as it comes in a millisecond
        assert await items.anext(timeout=0.001, default=None) is None
    await asyncio.sleep(0)
    return items


@pytest.mark.parametrize("function", WAITING, ids=lambda function: function.__name__)
def test_what_it_awaits_cleans_up_before_aclose_returns(run, function):
    async def main():
        items = await waiting(function)
        await items.aclose()
        assert LOG == ["cleaned up"] * WAITING[function]
        with pytest.raises(StopAsyncIteration):
            await items.__anext__()

    run(main)


@pytest.mark.parametrize("function", WAITING, ids=lambda function: function.__name__)
def test_what_it_awaits_cleans_up_while_a_consumer_waits(run, function):
    async def main():
        items = isolated(function())
        await items.__anext__()
        consumer = asyncio.ensure_future(anext(items, "the end"))
        await until(lambda: len(BEGUN) == WAITING[function])
        await items.aclose()
        assert LOG == ["cleaned up"] * WAITING[function]
        assert await consumer == "the end"

    run(main)


@pytest.mark.cpython(reason="the generator goes with its last reference")
@pytest.mark.parametrize("function", WAITING, ids=lambda function: function.__name__)
def test_what_it_awaits_cleans_up_when_it_is_dropped(run, function):
    async def main():
        items = await waiting(function)
        del items
        gc.collect()
        await until(lambda: len(LOG) == WAITING[function])
        assert LOG == ["cleaned up"] * WAITING[function]

    run(main)


@pytest.mark.parametrize("times", [1, 3])
def test_it_is_cancelled_once_however_often_it_is_closed(run, times):
    async def body():
        yield 1
        BEGUN.append(None)
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            LOG.append("cancelled")
            if NEWER:
                LOG.append(asyncio.current_task().cancelling())
            await asyncio.sleep(0.01)
            LOG.append("cleaned up")
            raise

    async def main():
        items = await waiting(body)
        closing = []
        for _ in range(times):
            closing.append(asyncio.ensure_future(items.aclose()))
            await asyncio.sleep(0.001)
        await asyncio.gather(*closing)
        assert LOG == ["cancelled", *([1] if NEWER else []), "cleaned up"]

    run(main)


@pytest.mark.parametrize("turns", range(5))
def test_closing_as_soon_as_its_task_is_made(run, turns):
    async def body():
        try:
            await asyncio.sleep(10)
            yield 1
        finally:
            await asyncio.sleep(0)
            LOG.append("cleaned up")

    async def main():
        items = isolated(body())
        consumer = asyncio.ensure_future(anext(items, "the end"))
        for _ in range(turns):
            await asyncio.sleep(0)
        await items.aclose()
        assert await consumer == "the end"
        assert LOG in ([], ["cleaned up"])  # it may not have begun

    run(main)


def test_what_the_cleanup_raises_is_raised_by_aclose(run):
    async def fails():
        try:
            await child()
        finally:
            raise ValueError("cleanup")

    async def body():
        yield 1
        await fails()

    async def main():
        items = await waiting(body)
        with pytest.raises(ValueError, match="cleanup"):
            await items.aclose()
        assert LOG == ["cleaned up"]

    run(main)


def test_one_that_goes_on_after_its_wait_was_cancelled_is_closed_at_its_next_yield(run):
    async def body():
        yield 1
        try:
            await child()
        except asyncio.CancelledError:
            if NEWER:
                LOG.append(asyncio.current_task().cancelling())
        try:
            yield "lost: it is being closed"
        except GeneratorExit:
            if NEWER:
                LOG.append(asyncio.current_task().cancelling())
            await asyncio.sleep(0)
            LOG.append("closed")
            raise

    async def main():
        items = await waiting(body)
        await items.aclose()
        assert LOG == ["cleaned up", *([1, 0] if NEWER else []), "closed"]

    run(main)


def test_one_that_ignores_both_is_an_error(run):
    async def body():
        yield 1
        try:
            await child()
        except asyncio.CancelledError:
            pass
        try:
            yield 2
        except GeneratorExit:
            yield 3

    async def main():
        items = await waiting(body)
        with pytest.raises(RuntimeError, match="async generator ignored GeneratorExit"):
            await items.aclose()
        await items.aclose()

    run(main)


def test_one_that_only_gives_others_a_turn_is_interrupted(run):
    async def body():
        yield 1
        BEGUN.append(None)
        try:
            while True:
                await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)
            LOG.append("cleaned up")

    async def main():
        items = await waiting(body)
        await items.aclose()
        assert LOG == ["cleaned up"]

    run(main)
