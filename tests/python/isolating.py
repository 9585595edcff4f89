"""Promises of other libraries, each kept in the body of an isolated generator that yields inside.

A promise is an async generator function. It says by its own assertions what asyncio or anyio promise to a task, and yields
where it holds a timeout, a task group or a scope: there its consumer runs, whatever that does. `promise()` makes tests of
it, one for each way to consume it. First of all it is run as a native generator, in one task: then it has to hold, too, or
it is no promise of theirs.
"""

import asyncio
import contextlib
import gc
import itertools
import sys

import pytest
from async_generator import isolated

try:
    import uvloop
except ImportError:
    uvloop = None
try:
    import anyio
except ImportError:
    anyio = None
try:
    import trio
except ImportError:  # no wheel for this interpreter
    trio = None

SOON = 0.005  # seconds; what promises call "soon" is over when a consumer has lingered
LINGER = 0.02
LIMIT = 5
#: Which upstream tests a module of ours has promises of.
KEPT: dict[str, set[str]] = {}


def leaves(error):
    """The exceptions of a group, and of the groups in it."""
    if isinstance(error, BaseExceptionGroup):  # noqa: F821
        return [leaf for one in error.exceptions for leaf in leaves(one)]
    return [error]


# Consumers on asyncio ----------------------------------------------------------------------------------------------------


async def natively(make):
    """No isolated generator: a native one, whose body runs in this task."""
    async for _ in make():
        pass


async def in_one_task(make):
    async for _ in isolated(make()):
        assert asyncio.current_task().cancelling() == 0
    assert asyncio.current_task().cancelling() == 0


async def take(items):
    try:
        await items.__anext__()
    except StopAsyncIteration:
        return True
    return False


async def each_in_another_task(make):
    items = isolated(make())
    while not await asyncio.create_task(take(items)):
        pass


async def giving_up(make):
    """Each wait is given up after some turns of the loop, and begun again."""
    items = isolated(make())
    for turns in itertools.cycle(range(4)):
        task = asyncio.create_task(take(items))
        for _ in range(turns):
            await asyncio.sleep(0)
        assert not task.cancelled(), "a cancellation of the body's reached the consumer"
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and task.result():
            return


async def with_patience(make):
    items = isolated(make())
    with contextlib.suppress(StopAsyncIteration):
        while True:
            await items.anext(timeout=SOON / 2, default=None)


async def lingering(make):
    """What expires, fails or is cancelled does so while the consumer holds an item."""
    async for _ in isolated(make()):
        await asyncio.sleep(LINGER)


async def beginnings(make):
    """A generator at each of its yields, and nothing at the end."""
    for number in itertools.count(1):
        items = isolated(make())
        for _ in range(number):
            if await take(items):
                return
        yield items
        del items


async def closing_at_each_yield(make):
    async for items in beginnings(make):
        await asyncio.create_task(items.aclose())
        assert await take(items)


async def dropping_at_each_yield(make):
    async for items in beginnings(make):
        del items
        for _ in range(5):
            await asyncio.sleep(0)


async def cancelled_while_it_closes(make):
    before = asyncio.all_tasks()
    async for items in beginnings(make):
        closing = asyncio.create_task(items.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])
        while asyncio.all_tasks() != before:  # the generator's task finishes it
            await asyncio.sleep(0)
        assert await take(items)


WAYS = (
    natively,
    in_one_task,
    each_in_another_task,
    giving_up,
    with_patience,
    lingering,
    closing_at_each_yield,
    dropping_at_each_yield,
    cancelled_while_it_closes,
)


# Consumers on anyio ------------------------------------------------------------------------------------------------------


async def natively_on_anyio(make):
    async for _ in make():
        pass


async def in_one_task_on_anyio(make):
    async with isolated(make()) as items:
        async for _ in items:
            await anyio.lowlevel.checkpoint()


async def each_in_another_task_on_anyio(make):
    ended = False

    async def take_one(items):
        nonlocal ended
        ended = await take(items)

    async with isolated(make()) as items:
        while not ended:
            async with anyio.create_task_group() as group:
                group.start_soon(take_one, items)


async def giving_up_on_anyio(make):
    ended = False
    async with isolated(make()) as items:
        for patience in itertools.cycle((0, SOON / 4, SOON / 2)):
            if ended:
                return
            with anyio.move_on_after(patience):
                ended = await take(items)


async def lingering_on_anyio(make):
    async with isolated(make()) as items:
        async for _ in items:
            await anyio.sleep(LINGER)


async def leaving_at_each_yield_on_anyio(make):
    for number in itertools.count(1):
        async with isolated(make()) as items:
            for _ in range(number):
                if await take(items):
                    return


async def leaving_cancelled_on_anyio(make):
    """The block is left by a cancellation of its consumer, which finds the body at each of its yields."""
    for number in itertools.count(1):
        with anyio.CancelScope() as scope:
            async with isolated(make()) as items:
                for _ in range(number):
                    if await take(items):
                        return
                scope.cancel()
                await anyio.sleep(LIMIT)
        assert scope.cancelled_caught


ANYIO_WAYS = (
    natively_on_anyio,
    in_one_task_on_anyio,
    each_in_another_task_on_anyio,
    giving_up_on_anyio,
    lingering_on_anyio,
    leaving_at_each_yield_on_anyio,
    leaving_cancelled_on_anyio,
)


# Event loops -------------------------------------------------------------------------------------------------------------


async def settled(consume, make):
    """Runs a consumer; then no task may be left and nothing may have been reported."""
    reported = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, said: reported.append(said))
    await asyncio.wait_for(consume(make), LIMIT)
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect(1)
    await asyncio.sleep(SOON / 5)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert reported == []


def on_asyncio(consume, make):
    asyncio.run(settled(consume, make))


def on_eager_tasks(consume, make):
    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        await settled(consume, make)

    asyncio.run(main())


def on_uvloop(consume, make):
    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(settled(consume, make))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def on_trio(consume, make):
    async def main():
        with trio.fail_after(LIMIT):
            await consume(make)

    trio.run(main)


LOOPS = {
    "asyncio": (on_asyncio, ()),
    "uvloop": (on_uvloop, [pytest.mark.skipif(uvloop is None, reason="uvloop has no wheel for this interpreter")]),
    "eager tasks": (
        on_eager_tasks,
        [pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in 3.12")],
    ),
    "trio": (on_trio, [pytest.mark.skipif(trio is None, reason="trio has no wheel for this interpreter")]),
}


def cases(ways, elsewhere):
    """Each way on asyncio, and some on other loops."""
    chosen = [("asyncio", way) for way in ways] + elsewhere
    return [
        pytest.param(
            LOOPS[loop][0],
            way,
            id=f"{loop}, {way.__name__.replace('_on_anyio', '').replace('_', ' ')}",
            marks=LOOPS[loop][1],
        )
        for loop, way in chosen
    ]


def _tests(cases, upstream, without):
    """A decorator that makes tests of a promise: by each case, but for the ways `without`."""

    def decorate(function):
        KEPT.setdefault(function.__module__, set()).update(upstream)
        chosen = [case for case in cases if case.values[1] not in without]

        @pytest.mark.parametrize(("run", "way"), chosen)
        def test(run, way):
            run(way, function)

        test.__name__, test.__doc__, test.__module__ = function.__name__, function.__doc__, function.__module__
        return test

    return decorate


def promise(*upstream, without=()):
    """What asyncio promises. `upstream` names the tests of CPython's that make sure of it; `without`, ways to consume it that
    it cannot have."""
    elsewhere = [
        ("uvloop", each_in_another_task),
        ("uvloop", lingering),
        ("eager tasks", each_in_another_task),
        ("eager tasks", giving_up),
    ]
    return _tests(cases(WAYS, elsewhere), upstream, without)


def anyio_promise(*upstream, without=(), native=False):
    """What anyio promises, on asyncio, uvloop and trio. `native`: it concerns asyncio's own means, and so not trio."""
    elsewhere = [("uvloop", each_in_another_task_on_anyio), ("uvloop", lingering_on_anyio)]
    if not native:
        elsewhere += [("trio", way) for way in ANYIO_WAYS]
    return _tests(cases(ANYIO_WAYS, elsewhere), upstream, without)
