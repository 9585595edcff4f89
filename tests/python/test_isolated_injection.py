"""A cancellation and an exception at every await of an isolated generator, one at a time: of its body, its cleanup and its
consumer. Whatever is hit, what follows is the same: no item is lost or comes twice, the cleanup runs once and to its end,
and no task is left.
"""

import asyncio
import contextlib
import sys

import pytest
from async_generator import isolated

try:
    import uvloop
except ImportError:
    uvloop = None
try:
    import anyio
    import trio
except ImportError:  # no wheel for this interpreter
    anyio = trio = None

ITEMS = 3


class Injected(Exception):
    pass


class Awaits:
    """Counts the awaits of one side, and does something at one of them."""

    def __init__(self, point, how):
        self.point, self.how, self.count, self.hit = point, how, 0, False

    async def __call__(self, pause, cancel):
        self.count += 1
        if self.count == self.point:
            self.hit = True
            if self.how == "raise":
                raise Injected
            cancel()
        await pause()


def program(awaits, log, pause, cancel):
    """A body with awaits before, between and after its yields, in its cleanup, and with a nested generator."""

    async def nested():
        try:
            yield "nested"
        finally:
            log.append("nested ends")

    async def body():
        log.append("begins")
        try:
            await awaits(pause, cancel)
            async with contextlib.aclosing(nested()) as inner:
                async for _ in inner:
                    await awaits(pause, cancel)
            for number in range(ITEMS):
                await awaits(pause, cancel)
                yield number
                await awaits(pause, cancel)
        finally:
            log.append("cleans up")
            try:
                await awaits(pause, cancel)
                await awaits(pause, cancel)
            finally:
                log.append("ends")

    return body


async def sleep_zero():
    await asyncio.sleep(0)


async def sleep_a_while():
    await asyncio.sleep(0.0002)


async def injected_into_body(point, how, pause):
    """Injects at await number `point` of the body; returns the number of awaits and whether that one was reached."""
    log, got = [], []
    awaits = Awaits(point, how)
    generator = isolated(program(awaits, log, pause, lambda: asyncio.current_task().cancel())())
    ended = None
    try:
        async for item in generator:
            got.append(item)
    except (Injected, asyncio.CancelledError) as error:
        ended = type(error)
    assert got == list(range(len(got)))
    assert asyncio.current_task().cancelling() == 0
    assert ended is (None if not awaits.hit else Injected if how == "raise" else asyncio.CancelledError)
    assert [line for line in log if line != "nested ends"] == ["begins", "cleans up", "ends"] and log.count(
        "nested ends"
    ) <= 1
    with pytest.raises(StopAsyncIteration):
        await generator.__anext__()
    await generator.aclose()
    return awaits


async def injected_into_consumer(point, how, pause):
    """The same of the consumer: it is cancelled, or has an exception thrown, at await number `point` of its own or the
    operation's, counted in turns of the loop. Another one takes the rest."""
    log, got = [], []
    generator = isolated(program(Awaits(0, ""), log, pause, None)())

    async def consume():
        async for item in generator:
            got.append(item)

    consumer = asyncio.create_task(consume())
    for _ in range(point):
        if consumer.done():
            break
        await asyncio.sleep(0)
    hit = not consumer.done()
    consumer.cancel()
    await asyncio.wait([consumer])
    await consume()
    assert got == list(range(ITEMS))
    assert log == ["begins", "nested ends", "cleans up", "ends"]
    return hit


async def injected_into_close(point, how, pause):
    """The same of a task that closes; the generator's task finishes the cleanup."""
    log = []
    generator = isolated(program(Awaits(0, ""), log, pause, None)())
    assert await generator.__anext__() == 0
    closing = asyncio.create_task(generator.aclose())
    for _ in range(point):
        await asyncio.sleep(0)
    hit = not closing.done()
    closing.cancel()
    await asyncio.wait([closing])
    await generator.aclose()
    assert log == ["begins", "nested ends", "cleans up", "ends"]
    return hit


def on_asyncio(main):
    asyncio.run(main)


def on_uvloop(main):
    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(main)
    finally:
        loop.close()


async def settled():
    for _ in range(4):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


needs_counts = pytest.mark.skipif(sys.version_info < (3, 11), reason="tasks count their cancellations since 3.11")
LOOPS = [
    on_asyncio,
    pytest.param(
        on_uvloop, marks=pytest.mark.skipif(uvloop is None, reason="uvloop has no wheel for this interpreter")
    ),
]


@needs_counts
@pytest.mark.parametrize("run", LOOPS)
@pytest.mark.parametrize("pause", [sleep_zero, sleep_a_while])
@pytest.mark.parametrize("how", ["raise", "cancel"])
def test_at_every_await_of_the_body_and_its_cleanup(run, pause, how):
    async def main():
        awaits = await injected_into_body(0, how, pause)
        assert awaits.count == 2 + 2 * ITEMS + 2
        for point in range(1, awaits.count + 1):
            assert (await injected_into_body(point, how, pause)).hit
            await settled()

    run(main())


@pytest.mark.parametrize("run", LOOPS)
@pytest.mark.parametrize("pause", [sleep_zero, sleep_a_while])
@pytest.mark.parametrize("inject", [injected_into_consumer, injected_into_close])
def test_at_every_turn_of_a_consumer(run, pause, inject):
    async def main():
        point = 0
        while await inject(point, "cancel", pause):
            await settled()
            point += 1
        assert point > 3

    run(main())


# anyio, on asyncio and trio --------------------------------------------------------------------------------------------


async def anyio_pause():
    await anyio.lowlevel.checkpoint()


async def anyio_into_body(point, how):
    log, got = [], []
    awaits = Awaits(point, how)
    scopes = []
    body = program(awaits, log, anyio_pause, lambda: scopes[-1].cancel())

    async def scoped():
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            async with contextlib.aclosing(body()) as inner:
                async for item in inner:
                    yield item
        log.append("after the scope")
        yield "last"

    async with isolated(scoped()) as items:
        with contextlib.suppress(Injected):
            async for item in items:
                got.append(item)
    raised = awaits.hit and how == "raise"
    assert got == [*range(len(got) - (not raised)), *([] if raised else ["last"])]
    assert [line for line in log if line != "nested ends"] == [
        "begins",
        "cleans up",
        "ends",
        *([] if raised else ["after the scope"]),
    ]
    return awaits


async def anyio_into_consumer(point, how):
    log, got = [], []
    async with isolated(program(Awaits(0, ""), log, anyio_pause, None)()) as items:

        async def consume():
            async for item in items:
                got.append(item)

        ended = False
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(consume)
                for _ in range(point):
                    await anyio.lowlevel.checkpoint()
                ended = log[-1:] == ["ends"]
                scope.cancel()
        await consume()
    assert got == list(range(ITEMS))
    assert log == ["begins", "nested ends", "cleans up", "ends"]
    return not ended


@pytest.mark.skipif(anyio is None, reason="anyio or trio has no wheel for this interpreter")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("how", ["raise", "cancel"])
def test_at_every_await_of_a_body_on_anyio(backend, how):
    async def main():
        with anyio.fail_after(20):
            awaits = await anyio_into_body(0, how)
            for point in range(1, awaits.count + 1):
                assert (await anyio_into_body(point, how)).hit

    anyio.run(main, backend=backend)


@pytest.mark.skipif(anyio is None, reason="anyio or trio has no wheel for this interpreter")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_at_every_turn_of_a_consumer_on_anyio(backend):
    async def main():
        with anyio.fail_after(20):
            point = 0
            while await anyio_into_consumer(point, "cancel"):
                point += 1
            assert point > 3

    anyio.run(main, backend=backend)
