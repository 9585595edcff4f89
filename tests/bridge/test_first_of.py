"""The first of several things to happen, in a C++ body, on every event loop."""

import asyncio
import os
import warnings

import extensions
import pytest
from async_generator import bridge
from conftest import HERE
from loops import Loop, every_loop

LONG = 1_800_000_000  # microseconds, which fit into 32 bits


@pytest.fixture(scope="module")
def events():
    return extensions.load(HERE / "channels", "events")


@pytest.fixture
def pipe(events):
    reading, writing = os.pipe()
    events.reset(0)
    yield reading, writing
    os.close(reading)
    os.close(writing)


async def awaited(made):
    return await made


@every_loop
def test_a_descriptor_a_time_or_an_event(loop, events, pipe):
    reading, writing = pipe

    async def main():
        async def sets():
            await loop.sleep(0.01)
            events.set(0)

        got = []

        async def waits():
            got.append(await events.first(reading, LONG))

        got.append(await events.first(reading, 2000))
        await loop.together(sets, waits)
        events.reset(0)
        os.write(writing, b"x")
        got.append(await events.first(reading, LONG))
        return got

    assert loop.run(main) == [1, 2, 0]


@every_loop
def test_the_others_are_cancelled_and_awaited(loop, events):
    assert loop.run(awaited, events.first_result(0, 1000)) == "aa-b"
    assert loop.run(awaited, events.first_result(3, LONG)) in ("there-a-b", "there-b-a", "there")


@every_loop
def test_an_exception_of_the_first_is_raised(loop, events):
    with pytest.raises(IndexError, match="first"):
        loop.run(awaited, events.first_result(1, 1000))
    assert events.ends() == "a-b"


@every_loop
def test_an_exception_of_another_one_is_raised(loop, events):
    with pytest.raises(ValueError, match="late"):
        loop.run(awaited, events.first_result(2, 1000))


@every_loop
def test_a_cancellation_cancels_all(loop, events):
    async def main():
        return await loop.cancel_after(0.02, lambda: events.first_result(0, LONG))

    assert loop.run(main)
    assert events.ends() in ("-a-b", "-b-a")


def test_no_descriptor_is_still_watched(events, pipe):
    async def main():
        assert await events.first(pipe[0], 1000) == 1
        assert not asyncio.get_running_loop().remove_reader(pipe[0])

    asyncio.run(main())


def test_a_loop_that_cannot_run_tasks_says_so(events):
    own = bridge.EventLoop("own", wait_readable=bridge.wait_readable, checkpoint=bridge.checkpoint)

    async def main():
        with bridge.use_event_loop(own):
            await events.first_result(0, 1000)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeError, match="without first_of="):
            Loop().run(main)
