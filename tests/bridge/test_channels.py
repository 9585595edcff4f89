"""Channels: items from C++ threads on every event loop; closing, cancelling, dropping; and generators over descriptors."""

import asyncio
import contextlib
import gc
import logging
import os
import socket
import subprocess
import sys
import threading
import time
import warnings
import weakref

import pytest
from async_generator import _event_loops, aclosing, isasyncgen
from forking import assert_refused_in_a_child
from loops import Curio, Loop, Trio, Uvloop, every_loop, open_descriptors


@pytest.fixture(autouse=True)
def no_producer_is_left(channels):
    yield
    until(lambda: channels.producers() == 0)


def until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.001)


async def collect(stream):
    return [item async for item in stream]


@every_loop
def test_items_of_a_thread_come_in_order(loop, channels):
    assert loop.run(collect, channels.numbers(20_000, 64)) == list(range(20_000))


@every_loop
def test_nothing_is_lost_or_doubled_of_many_producers(loop, channels):
    got = loop.run(collect, channels.many(6, 3000, 32))
    assert len(got) == 18_000
    for producer in range(6):
        assert [item % 1_000_000 for item in got if item // 1_000_000 == producer] == list(range(3000))


@every_loop
def test_a_producer_that_may_not_block_is_called_back(loop, channels):
    assert loop.run(collect, channels.offered(5000, 7)) == list(range(5000))


@every_loop
def test_a_producer_that_awaits_space_hears_of_the_end(loop, channels):
    async def main():
        stream = channels.offered(10**9, 4)
        assert await stream.__anext__() == 0
        time.sleep(0.01)  # it is full now
        await stream.aclose()
        assert channels.producers() == 0

    loop.run(main)


def test_a_producer_that_awaits_space_hears_that_the_generator_was_dropped(channels):
    stream = channels.offered(10**9, 4)
    time.sleep(0.02)
    assert channels.producers() == 1
    del stream
    until(lambda: channels.producers() == 0)


@every_loop
def test_the_loop_is_free_while_the_generator_waits(loop, channels):
    async def main():
        ticks = 0
        done = False

        async def consumes():
            nonlocal done
            assert await collect(channels.paced(10, 5000)) == list(range(10))
            done = True

        async def ticker():
            nonlocal ticks
            while not done:
                await loop.sleep(0.001)
                ticks += 1

        await loop.together(consumes, ticker)
        return ticks

    assert loop.run(main) >= 10


@every_loop
def test_several_streams_at_once(loop, channels):
    async def main():
        sums = []

        async def consumes():
            sums.append(sum(await collect(channels.numbers(3000, 8))))

        await loop.together(*[consumes] * 8)
        return sums

    assert loop.run(main) == [sum(range(3000))] * 8


@every_loop
def test_a_failing_producer_raises_after_its_items(loop, channels):
    async def main():
        stream = channels.failing(3)
        got = []
        with pytest.raises(IndexError, match="the broker is gone"):
            async for item in stream:
                got.append(item)
        with pytest.raises(StopAsyncIteration):
            await stream.__anext__()
        return got

    assert loop.run(main) == [0, 1, 2]


@every_loop
def test_aclose_stops_the_producer_and_awaits_its_end(loop, channels):
    async def main():
        stream = channels.busy(30_000)
        assert await stream.__anext__() == 1
        assert channels.producers() == 1
        began = time.monotonic()
        await stream.aclose()
        assert channels.producers() == 0
        assert time.monotonic() - began >= 0.03
        with pytest.raises(StopAsyncIteration):
            await stream.__anext__()

    loop.run(main)


@every_loop
def test_an_early_exit_with_aclosing_leaves_nothing(loop, channels):
    async def main():
        async with aclosing(channels.numbers(10**9, 4)) as stream:
            async for item in stream:
                if item == 1000:
                    break
        return channels.producers()

    before = open_descriptors()
    assert loop.run(main) == 0
    assert open_descriptors() == before


@every_loop
def test_cancelling_a_wait_reaches_the_producer(loop, channels):
    async def main():
        stream = channels.silent()

        async def consumes():
            async for _ in stream:
                raise AssertionError("it is silent")

        assert await loop.cancel_after(0.03, consumes)
        assert channels.producers() == 0, "its end is awaited, on trio, too"
        with pytest.raises(StopAsyncIteration):
            await stream.__anext__()

    loop.run(main)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_scope_of_anyio_awaits_the_producer(channels, backend):
    anyio = pytest.importorskip("anyio")
    pytest.importorskip(backend)

    async def main():
        stream = channels.busy(30_000)
        with anyio.move_on_after(0.02) as scope:
            await collect(stream)
        assert scope.cancel_called
        assert channels.producers() == 0

    anyio.run(main, backend=backend)


@every_loop
@pytest.mark.parametrize("way", ["aclose", "cancelled", "raises"])
def test_a_producer_that_hangs_is_awaited_as_long_as_was_said(loop, channels, way):
    async def main():
        stream = channels.stubborn(1_000_000, 30_000)
        assert await stream.__anext__() == 1
        began = time.monotonic()
        if way == "aclose":
            await stream.aclose()
        elif way == "cancelled":
            assert await loop.cancel_after(0.01, stream.__anext__)
        else:
            error = KeyError("mine")
            with pytest.raises(KeyError) as caught:
                await stream.athrow(error)
            assert caught.value is error
        assert 0.03 <= time.monotonic() - began < 0.9
        assert channels.producers() == 1
        with pytest.raises(StopAsyncIteration):
            await stream.__anext__()

    loop.run(main)


def test_a_producer_that_ends_in_time_is_awaited(channels):
    async def main():
        stream = channels.stubborn(20_000, 60_000_000)
        await stream.__anext__()
        await stream.aclose()
        assert channels.producers() == 0

    asyncio.run(main())


def test_asyncio_cancellation_awaits_the_producer_and_a_second_one_does_not(channels):
    async def main():
        stream = channels.busy(150_000)
        await stream.__anext__()
        task = asyncio.ensure_future(stream.__anext__())
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.02)
        assert not task.done()
        assert channels.producers() == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert channels.producers() == 1

    asyncio.run(main())


@every_loop
def test_athrow_comes_back_after_the_producer_has_ended(loop, channels):
    async def main():
        stream = channels.busy(10_000)
        await stream.__anext__()
        error = KeyError("mine")
        with pytest.raises(KeyError) as caught:
            await stream.athrow(error)
        assert caught.value is error
        assert channels.producers() == 0

    loop.run(main)


def test_a_dropped_generator_is_closed_by_the_loop(channels):
    async def main():
        async for _ in channels.numbers(10**9, 4):
            break
        gc.collect()
        for _ in range(100):
            await asyncio.sleep(0.002)
            if channels.producers() == 0:
                return

    asyncio.run(main())
    assert channels.producers() == 0


def test_a_generator_dropped_without_a_loop_stops_its_producer_and_joins_nobody(channels):
    stream = channels.busy(500_000)
    time.sleep(0.03)
    with pytest.raises(StopIteration) as item:  # it is there: nothing has to wait
        stream.__anext__().send(None)
    assert item.value.value == 1
    del stream
    assert channels.producers() == 1, "it needs half a second more to end"


def test_a_generator_that_never_began_stops_its_producer_when_it_is_dropped(channels):
    stream = channels.numbers(10**9, 4)
    until(lambda: channels.producers() == 1)
    del stream
    until(lambda: channels.producers() == 0)


def test_a_loop_that_was_closed_is_not_woken(channels):
    before = open_descriptors()
    loop = asyncio.new_event_loop()
    stream = channels.paced(1000, 1000)

    async def first(stream):
        return await stream.__anext__()

    assert loop.run_until_complete(first(stream)) == 0
    loop.close()  # without shutdown_asyncgens(): the producer goes on
    time.sleep(0.02)
    assert channels.producers() == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        del stream, loop
        gc.collect()
    until(lambda: channels.producers() == 0)
    until(lambda: open_descriptors() == before)


def test_loops_in_threads_of_their_own(channels):
    async def main():
        async def consumes():
            return sum(await collect(channels.numbers(500, 4)))

        return await asyncio.gather(*(consumes() for _ in range(8)))

    sums = []
    threads = [threading.Thread(target=lambda: sums.append(asyncio.run(main()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums == [[sum(range(500))] * 8] * 3


def test_a_loop_that_cannot_be_referred_to_weakly(channels, monkeypatch):
    class Refuses:
        def setdefault(self, loop, hubs):
            raise TypeError("cannot create weak reference")

    monkeypatch.setattr(_event_loops, "_hubs", Refuses())
    assert asyncio.run(collect(channels.paced(5, 500))) == list(range(5))


def test_iteration_goes_on_in_another_loop(channels):
    stream = channels.paced(20, 1000)

    async def some(n):
        return [await stream.__anext__() for _ in range(n)]

    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(some(5)) == list(range(5))
    assert loop.run_until_complete(some(5)) == list(range(5, 10))
    loop.close()
    other = asyncio.new_event_loop()
    assert other.run_until_complete(some(5)) == list(range(10, 15))
    other.run_until_complete(stream.aclose())
    other.close()


@every_loop
def test_a_channel_is_delegated_to(loop, channels):
    assert loop.run(collect, channels.delegating(1000, 16)) == [-1, *range(1000), -2]


def test_it_is_the_packages_generator(channels):
    stream = channels.numbers(1, 1)
    assert isasyncgen(stream)
    assert stream.__name__ == "stream"
    asyncio.run(stream.aclose())


def test_an_interpreter_that_ends_while_threads_push(channels):
    code = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
import channels
kept = channels.numbers(10**9, 64)
waiting = channels.silent()
async def main():
    async for item in kept:
        if item == 100: break
    task = asyncio.ensure_future(waiting.__anext__())
    await asyncio.sleep(0.01)
    globals()['task'] = task
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
print('ends')
"""
    folder = os.path.dirname(channels.__file__)
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (0, "ends\n"), done.stderr


DAEMONS = """
import asyncio, sys, threading, time
sys.path.insert(0, sys.argv[1])
import channels, events

turns = []

def without_gil():
    while True:
        events.notify(0)
        turns.append(None)

async def consume(make, *arguments):
    while True:
        async for _ in make(*arguments):
            turns.append(None)

def in_channels():
    asyncio.run(consume(channels.numbers, 100, 4))

def in_bodies():
    asyncio.run(consume(events.sleeping, 1))

for _ in range(16):
    threading.Thread(target=globals()[sys.argv[2]], daemon=True).start()
while len(turns) < 1000:
    time.sleep(0.02)
print("ends")
"""


@pytest.mark.skipif(
    os.environ.get("AGEN_SANITIZE") == "thread",
    reason="ThreadSanitizer takes the threads that are left for a leak, and the module's destructors for a race with them",
)
@pytest.mark.parametrize("kind", ["without_gil", "in_channels", "in_bodies"])
def test_the_interpreter_ends_while_daemon_threads_are_in_cpp(channels, kind):
    folder = os.path.dirname(channels.__file__)
    for _ in range(3):
        command = [sys.executable, "-c", DAEMONS, folder, kind]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (0, "ends\n"), done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
def test_a_forked_child_is_refused_and_ends(channels):
    stream = channels.numbers(10**6, 4)

    async def first():
        return await stream.__anext__()

    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(first()) == 0
    assert_refused_in_a_child(lambda: collect(stream))
    # The child has let go of what it shares with us: our loop still hears of the channel.
    assert loop.run_until_complete(asyncio.wait_for(first(), 60)) == 1
    loop.run_until_complete(stream.aclose())
    loop.close()


# File descriptors that channels have.


async def streams_at_once(loop, channels, n):
    """Descriptors that `n` streams have which all wait."""
    before = open_descriptors()
    streams = [channels.silent() for _ in range(n)]

    async def consumes(stream):
        return await loop.cancel_after(0.5, stream.__anext__)

    added = []

    async def counts():
        await loop.sleep(0.25)
        added.append(open_descriptors() - before)

    await loop.together(counts, *[lambda stream=stream: consumes(stream) for stream in streams])
    return added[0]


@pytest.mark.parametrize("kind", [Loop, Uvloop], ids=lambda kind: kind.name)
def test_all_streams_of_a_loop_have_one_descriptor(loop, channels):
    assert loop.run(streams_at_once, loop, channels, 40) == 1


@pytest.mark.parametrize("kind", [Loop, Uvloop], ids=lambda kind: kind.name)
def test_a_thousand_open_streams_have_few_descriptors(loop, channels):
    async def main():
        before = open_descriptors()
        streams = [channels.quiet() for _ in range(1000)]
        waiting = [asyncio.ensure_future(stream.__anext__()) for stream in streams]
        await asyncio.sleep(0.05)
        added = open_descriptors() - before
        channels.speak()
        assert await asyncio.gather(*waiting) == [7] * 1000
        await asyncio.gather(*(stream.aclose() for stream in streams))
        return added

    assert loop.run(main) <= 8


@pytest.mark.parametrize("kind", [Trio, Curio], ids=lambda kind: kind.name)
def test_a_stream_has_one_descriptor_elsewhere(loop, channels):
    assert loop.run(streams_at_once, loop, channels, 40) == 40


LIMITED = """
import asyncio, errno, os, resource, sys
sys.path.insert(0, sys.argv[1])
import channels
from async_generator import bridge

def exhaust(left):
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    taken = []
    try:
        while True:
            taken.append(os.dup(0))
    except OSError:
        for fd in taken[:left]:
            os.close(fd)

async def consumes(outcomes):
    try:
        # Slow enough that the consumer has to wait, however busy the machine is.
        outcomes.append([item async for item in channels.paced(3, 100_000)])
    except BaseException as error:
        outcomes.append((type(error), getattr(error, "errno", None)))
"""


def run_limited(channels, code):
    folder = os.path.dirname(channels.__file__)
    done = subprocess.run([sys.executable, "-c", LIMITED + code, folder], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_streams_beyond_the_limit_of_descriptors_on_asyncio(channels):
    printed = run_limited(
        channels,
        """
async def main():
    exhaust(left=1)
    outcomes = []
    await asyncio.gather(*(consumes(outcomes) for _ in range(200)))
    print(*{str(outcome).replace(" ", "") for outcome in outcomes})
asyncio.run(main())
""",
    )
    assert printed == ["[0,1,2]"]


def test_no_descriptor_left_is_an_oserror_at_once(channels):
    printed = run_limited(
        channels,
        """
async def main():
    exhaust(left=0)
    outcomes = []
    await asyncio.gather(*(consumes(outcomes) for _ in range(3)))
    print(*(kind.__name__ == "OSError" and number == errno.EMFILE for kind, number in outcomes))
    try:
        bridge.Watch(0)
    except OSError as error:
        print(error.errno == errno.EMFILE)
asyncio.run(main())
""",
    )
    assert printed == ["True"] * 4


def test_no_descriptor_left_on_trio_is_an_oserror_at_once(channels):
    pytest.importorskip("trio")
    printed = run_limited(
        channels,
        """
import trio
async def main():
    exhaust(left=5)
    outcomes = []
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(consumes, outcomes)
    print(outcomes.count([0, 1, 2]), outcomes.count((OSError, errno.EMFILE)))
trio.run(main)
""",
    )
    assert printed == ["5", "5"]


@pytest.mark.parametrize("kind", [Loop, Uvloop], ids=lambda kind: kind.name)
@pytest.mark.parametrize("what", ["silent", "wakeups"])
def test_a_task_that_waits_on_a_closed_loop_is_collected(loop, channels, what):
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # "Task was destroyed but it is pending!"
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    try:

        async def forever(stream):
            async for _ in stream:
                raise AssertionError("there is nothing")

        asyncio_loop = loop.new_loop()
        stream = getattr(channels, what)(reading)
        task = asyncio_loop.create_task(forever(stream))
        asyncio_loop.call_later(0.02, asyncio_loop.stop)
        asyncio_loop.run_forever()
        asyncio_loop.close()
        gone = weakref.ref(stream), weakref.ref(task), weakref.ref(asyncio_loop)
        del stream, task, asyncio_loop
        for _ in range(3):
            gc.collect()
        assert [one() for one in gone] == [None] * 3
    finally:
        logging.getLogger("asyncio").setLevel(logging.NOTSET)
        os.close(reading)
        os.close(writing)


# Fairness.


async def rounds_beside(loop, stream, seconds):
    """How often a task got its turn while another one iterated for a while."""
    end = time.monotonic() + seconds
    rounds = -1
    done = False

    async def ticker():
        nonlocal rounds
        while not done:
            rounds += 1
            await loop.sleep(0)

    async def consumes():
        nonlocal done
        async with aclosing(stream):
            async for _ in stream:
                if time.monotonic() > end:
                    break
        done = True

    await loop.together(ticker, consumes)
    return rounds


@pytest.mark.parametrize("kind", [Loop, Uvloop, Trio], ids=lambda kind: kind.name)
def test_a_producer_that_always_has_an_item_does_not_starve_the_loop(loop, channels):
    unfair = loop.run(rounds_beside, loop, channels.counted(10**9, 0), 0.3)
    fair = loop.run(rounds_beside, loop, channels.counted(10**9, 1), 0.3)
    assert unfair <= 1
    assert 20 < fair <= 1250, "four a millisecond at most"


def test_a_channel_does_not_starve_the_loop(channels):
    assert asyncio.run(rounds_beside(Loop(), channels.numbers(10**9, 1024), 0.3)) > 20


@every_loop
def test_a_slice_of_nothing_gives_a_turn_at_every_item(loop, channels):
    async def main():
        order = []

        async def consumes(name):
            async for item in channels.counted(3, 1, 0):
                order.append((name, item))

        await loop.together(lambda: consumes("a"), lambda: consumes("b"))
        return order

    order = loop.run(main)
    assert [item for _, item in order] == [0, 0, 1, 1, 2, 2]


def test_a_checkpoint_is_a_point_of_cancellation_and_the_generator_ends(channels):
    async def main():
        stream = channels.counted(10**9, 1)

        async def consumes():
            async for _ in stream:
                pass

        task = asyncio.ensure_future(consumes())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(StopAsyncIteration):
            await stream.__anext__()

    asyncio.run(main())


# File descriptors.


@every_loop
def test_a_body_waits_for_a_descriptor(loop, channels):
    reading, writing = os.pipe()

    def writes():
        for byte in b"abc":
            time.sleep(0.005)
            os.write(writing, bytes([byte]))
        os.close(writing)

    thread = threading.Thread(target=writes)
    thread.start()
    assert bytes(loop.run(collect, channels.bytes(reading))) == b"abc"
    thread.join()
    os.close(reading)


@every_loop
def test_cancelling_a_wait_for_a_descriptor(loop, channels):
    reading, writing = os.pipe()

    async def main():
        stream = channels.bytes(reading)
        assert await loop.cancel_after(0.02, lambda: collect(stream))
        os.write(writing, b"x")
        again = channels.bytes(reading)
        assert await again.__anext__() == ord("x")
        await again.aclose()

    loop.run(main)
    os.close(reading)
    os.close(writing)


# libuv polls a regular file as always readable, and curio's kernel dies of one.
@pytest.mark.parametrize("kind", [Loop, Trio], ids=lambda kind: kind.name)
def test_a_descriptor_that_cannot_be_watched_is_the_loops_own_error(loop, channels, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"")
    with path.open("rb") as file, pytest.raises(OSError):
        loop.run(collect, channels.bytes(file.fileno()))


def test_without_an_event_loop_there_is_a_clear_error(channels):
    stream = channels.silent()
    with pytest.raises(RuntimeError, match="no event loop that async_generator.bridge knows"):
        stream.__anext__().send(None)


@every_loop
def test_bytes_of_a_socket_are_all_there(loop, channels):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(b"abcdef")
        theirs.shutdown(socket.SHUT_WR)
        assert bytes(loop.run(collect, channels.bytes(ours.fileno()))) == b"abcdef"


@every_loop
def test_a_body_waits_until_a_descriptor_is_writable(loop, channels):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        size = 4_000_000

        def reads():
            left = size
            while left:
                left -= len(theirs.recv(65536))

        thread = threading.Thread(target=reads)
        thread.start()
        taken = loop.run(collect, channels.writes(ours.fileno(), size))
        thread.join()
        assert taken[-1] == size
        assert taken == sorted(taken)


@every_loop
def test_a_body_sleeps(loop, channels):
    began = time.monotonic()
    assert loop.run(collect, channels.ticks(5, 5000)) == list(range(5))
    assert time.monotonic() - began >= 0.02


# Cleanup that awaits after a cancellation.


@every_loop
def test_a_cancelled_body_drains(loop, channels):
    channels.cleaned()

    async def main():
        assert await loop.cancel_after(0.02, lambda: collect(channels.cleans(5, 60_000)))
        return channels.cleaned()

    assert loop.run(main) == 5


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_body_that_anyio_cancels_drains(channels, backend):
    anyio = pytest.importorskip("anyio")
    pytest.importorskip(backend)
    channels.cleaned()

    async def main():
        with anyio.move_on_after(0.02) as scope:
            await collect(channels.cleans(5, 60_000))
        assert scope.cancel_called
        return channels.cleaned()

    assert anyio.run(main, backend=backend) == 5


@every_loop
def test_a_body_that_drains_for_too_long_is_a_timeout(loop, channels):
    channels.cleaned()

    async def main():
        stream = channels.cleans(10**6, 20)
        caught = []

        async def consumes():
            try:
                await collect(stream)
            except TimeoutError as error:
                caught.append(error)
                raise

        with contextlib.suppress(TimeoutError):
            await loop.cancel_after(0.02, consumes)
        return len(caught)

    assert loop.run(main) == 1


@every_loop
def test_shielded_tasks_give_what_they_return_and_throw(loop, channels):
    assert loop.run(collect, channels.sheltered()) == [2]
    with pytest.raises(IndexError, match="of the task"):
        loop.run(collect, channels.sheltered(1))
