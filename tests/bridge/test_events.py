"""Events and notifiers: signals from C++ threads, awaited on every event loop, by Python and by C++ bodies."""

import asyncio
import os
import threading
import time

import extensions
import pytest
from async_generator import aclosing
from conftest import HERE
from forking import assert_refused_in_a_child
from loops import Loop, Uvloop, every_loop, open_descriptors


@pytest.fixture(scope="module")
def module():
    return extensions.load(HERE / "channels", "events")


@pytest.fixture
def events(module):
    yield module
    end = time.monotonic() + 10
    while module.running():
        assert time.monotonic() < end, "it never ended"
        time.sleep(0.001)


@pytest.fixture(params=["event", "notified"])
def both(events, request):
    """What awaits one of both kinds, and its signal."""
    events.reset(0)
    signal = {"event": events.set, "notified": events.notify}[request.param]
    return getattr(events, request.param), signal


async def awaited(made):
    return await made


@every_loop
@pytest.mark.parametrize("after", [0, 10_000], ids=["at once", "later"])
def test_an_event_that_a_thread_sets_is_awaited(loop, events, after):
    assert loop.run(awaited, events.set_after(after)) is None


@every_loop
@pytest.mark.parametrize("pause", [0, 500], ids=["at once", "paced"])
def test_notify_and_fetch(loop, events, pause):
    n = 20 if pause else 5000

    async def main():
        return [row async for row in events.rows(n, pause)]

    assert loop.run(main) == list(range(n))


@every_loop
def test_an_early_exit_from_notify_and_fetch(loop, events):
    async def main():
        async with aclosing(events.rows(10**9, 100)) as rows:
            async for row in rows:
                if row == 5:
                    break

    before = open_descriptors()
    loop.run(main)
    assert open_descriptors() == before


def test_a_signal_that_is_there_needs_no_loop(both):
    wait, signal = both
    signal(0)
    with pytest.raises(StopIteration):
        wait(0).send(None)


@every_loop
def test_an_event_wakes_all_and_a_notification_one(loop, both, events):
    wait, signal = both
    done = []

    async def main():
        async def waits(number):
            await wait(0)
            done.append(number)

        async def signals():
            await loop.sleep(0.02)
            signal(0)
            if wait is events.event:
                events.reset(0)
            else:
                await loop.sleep(0.02)
                assert len(done) == 1
                signal(0, 2)

        await loop.together(signals, *[lambda number=number: waits(number) for number in range(3)])

    loop.run(main)
    assert sorted(done) == [0, 1, 2]


@every_loop
def test_a_cancelled_wait_passes_its_notification_on(loop, events):
    async def main():
        got = []

        async def cancelled():
            assert await loop.cancel_after(0.02, lambda: events.notified(1))

        async def second():
            await loop.sleep(0.005)
            await events.notified(1)
            got.append(True)

        async def notifies():
            await loop.sleep(0.05)
            events.notify(1)

        await loop.together(cancelled, second, notifies)
        return got

    assert loop.run(main) == [True]


def test_a_notified_wait_that_is_cancelled_at_once_passes_it_on(events):
    async def main():
        first = asyncio.ensure_future(events.notified(1))
        second = asyncio.ensure_future(events.notified(1))
        await asyncio.sleep(0.01)
        events.notify(1)
        first.cancel()
        await asyncio.wait_for(second, 10)
        assert first.cancelled()

    asyncio.run(main())


@every_loop
def test_a_body_awaits_notifications(loop, events):
    async def main():
        async with aclosing(events.counts(2)) as counted:

            async def consumes():
                async for number in counted:
                    if number == 4:
                        return

            async def notifies():
                for _ in range(5):
                    await loop.sleep(0.002)
                    events.notify(2)

            await loop.together(consumes, notifies)

    loop.run(main)


@pytest.mark.parametrize("kind", [Loop, Uvloop], ids=lambda kind: kind.name)
def test_all_waits_of_a_loop_have_one_descriptor(loop, both):
    wait, signal = both

    async def main():
        before = open_descriptors()
        tasks = [asyncio.ensure_future(wait(0)) for _ in range(100)]
        await asyncio.sleep(0.01)
        added = open_descriptors() - before
        signal(0, 100)
        await asyncio.gather(*tasks)
        return added

    assert loop.run(main) == 1


def test_an_event_wakes_loops_in_several_threads(events):
    events.reset(3)
    ended = []
    began = threading.Barrier(4)

    async def main():
        waiting = [asyncio.ensure_future(events.event(3)) for _ in range(10)]
        await asyncio.sleep(0.01)
        began.wait()
        ended.extend(await asyncio.gather(*waiting))

    threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(3)]
    for thread in threads:
        thread.start()
    began.wait()
    events.set(3)
    for thread in threads:
        thread.join(10)
    assert len(ended) == 30


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
def test_a_forked_child_is_refused(both):
    wait, signal = both
    assert_refused_in_a_child(lambda: awaited(wait(0)))
    signal(0)
    asyncio.run(awaited(wait(0)))
