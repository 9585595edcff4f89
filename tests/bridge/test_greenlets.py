"""Greenlets, which leave the middle of a C++ body and come back after others, as greenback's do."""

import asyncio
import random
import sys

import pytest
from async_generator import async_generator, bridge, stream, yield_
from builds import FREE_THREADED

if FREE_THREADED and sys.version_info < (3, 14):
    pytest.skip("greenlet turns the GIL on", allow_module_level=True)

greenlet = pytest.importorskip("greenlet", reason="no wheel of greenlet for this interpreter")


async def nothing_else():
    """The turn that a stream gives to others."""


NO_LOOP = bridge.EventLoop("greenlets", wait_readable=None, checkpoint=nothing_else)


class Request:
    """An awaitable that asks the event loop for its name's sake, and expects the answer to it."""

    def __init__(self, name):
        self.name = name

    def __await__(self):
        answer = yield self.name
        assert answer == f"for {self.name}"


def step(name, generator, pause):
    """Runs one step of a generator: its item, or None at its end. Answers what it awaits."""
    awaited = generator.__anext__().__await__()
    answer = None
    while True:
        try:
            asked = awaited.send(answer)
        except StopIteration as item:
            return item.value
        except StopAsyncIteration:
            return None
        assert asked == name
        answer = f"for {asked}"
        pause()


def switch_out():
    greenlet.getcurrent().parent.switch()


def consume(name, make, pause=switch_out):
    def before():
        pause()
        return Request(name)

    generator, items = make(before), []
    with bridge.use_event_loop(NO_LOOP):
        while (item := step(name, generator, pause)) is not None:
            items.append(item)
            pause()
    return items


def interleave(consumers, rng):
    """Runs each in a greenlet of its own, in a random order of switches. Gives what each returned."""
    running = {name: greenlet.greenlet(lambda name=name, make=make: consume(name, make)) for name, make in consumers}
    got = {}
    while running:
        name = rng.choice(sorted(running))
        result = running[name].switch()
        if running[name].dead:
            got[name] = result
            del running[name]
    return got


@pytest.fixture
def kinds(bodies):
    """Bodies that call what they are given, and await what that gives."""

    async def through(before):
        async for item in bodies.awaits(3, before, None):
            yield item

    @async_generator
    async def through_ours(before):
        async for item in bodies.awaits_in_task(3, before):
            await yield_(item)

    async def through_stream(before):
        async for item in stream(bodies.exported_calls(3, before)):
            yield item

    def nested(make):
        """A C++ body that awaits Python, which awaits another C++ body."""

        def around(before):
            async def inner():
                async for _ in make(before):
                    pass
                await before()

            return bodies.awaits_in_task(3, inner)

        return around

    return [
        lambda before: bodies.awaits(3, before, None),
        lambda before: bodies.awaits_in_task(3, before),
        through,
        through_ours,
        through_stream,
        nested(through),
        nested(through_ours),
        nested(through_stream),
    ]


@pytest.mark.parametrize("seed", range(100))
def test_a_body_awaits_what_is_its_own_after_switches_in_any_order(seed, kinds):
    rng = random.Random(seed)
    consumers = [(f"consumer {i}", rng.choice(kinds)) for i in range(rng.randint(2, 5))]
    assert interleave(consumers, rng) == {name: [0, 1, 2] for name, _ in consumers}


def test_bodies_that_end_in_another_order_than_they_began(kinds):
    """The first to enter its body leaves it first, while the second is still in the middle of its own."""

    def body(name):
        return greenlet.greenlet(lambda: consume(name, kinds[0]))

    first, second = body("first"), body("second")
    first.switch()
    second.switch()
    while not first.dead:
        result = first.switch()
    assert result == [0, 1, 2]
    del first
    assert consume("main", kinds[0], pause=lambda: None) == [0, 1, 2]
    while not second.dead:
        result = second.switch()
    assert result == [0, 1, 2]


def test_no_body_is_the_running_one_after_all_have_ended(kinds, bodies):
    interleave([("one", kinds[1]), ("two", kinds[1])], random.Random(0))
    with pytest.raises(RuntimeError, match="no Python event loop drives"):
        bodies.fetch_undriven(Request("nobody"))


class Turn:
    def __await__(self):
        yield


def test_bodies_that_call_functions_which_wait_through_greenback(kinds):
    """Two tasks are in the middle of a C++ body at a time, each in greenback's greenlet of its task."""
    greenback = pytest.importorskip("greenback", reason="no greenback for this interpreter")
    inside = most = 0

    def before():
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        value = greenback.await_(asyncio.sleep(0, "slept"))
        inside -= 1
        assert value == "slept"
        return Turn()

    async def one(make):
        await greenback.ensure_portal()
        return [item async for item in make(before)]

    async def main():
        return await asyncio.gather(*map(one, kinds * 3))

    assert asyncio.run(main()) == [[0, 1, 2]] * len(kinds) * 3
    assert most > 1
