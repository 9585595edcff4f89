"""async_generator.bridge: waiting for file descriptors and giving way, on every event loop and on those of the user."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
import weakref

import pytest
from async_generator import _event_loops, bridge
from loops import Loop, Trio, every_loop, make, open_descriptors


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    yield reading, writing
    os.close(reading)
    os.close(writing)


@every_loop
def test_wait_readable_returns_when_there_is_something_to_read(loop, pipe):
    reading, writing = pipe

    async def main():
        order = []

        async def reads():
            await bridge.wait_readable(reading)
            order.append(os.read(reading, 9))

        async def writes():
            await loop.sleep(0.02)
            order.append("writes")
            os.write(writing, b"1")

        await loop.together(reads, writes)
        return order

    assert loop.run(main) == ["writes", b"1"]


@every_loop
def test_a_thread_wakes_the_loop(loop, pipe):
    reading, writing = pipe

    async def main():
        threading.Timer(0.02, os.write, (writing, b"x")).start()
        await bridge.wait_readable(reading)
        return os.read(reading, 9)

    assert loop.run(main) == b"x"


@every_loop
def test_wait_readable_takes_an_object_with_fileno(loop, pipe):
    reading, writing = pipe
    os.write(writing, b"x")
    with os.fdopen(os.dup(reading), "rb", buffering=0) as file:

        async def main():
            await bridge.wait_readable(file)
            return file.read(1)

        assert loop.run(main) == b"x"


@every_loop
def test_a_cancelled_wait_leaves_the_descriptor_as_it_was(loop, pipe):
    reading, writing = pipe

    async def main():
        assert await loop.cancel_after(0.02, lambda: bridge.wait_readable(reading))
        os.write(writing, b"x")
        await loop.sleep(0.01)
        await bridge.wait_readable(reading)
        return os.read(reading, 9)

    assert loop.run(main) == b"x"


@every_loop
def test_a_number_that_is_used_again_is_another_descriptor(loop):
    async def main():
        for _ in range(3):
            reading, writing = os.pipe()
            threading.Timer(0.005, os.write, (writing, b"x")).start()
            await bridge.wait_readable(reading)
            os.close(reading)
            os.close(writing)

    loop.run(main)


@every_loop
def test_two_tasks_that_wait_for_one_descriptor_are_an_error_and_not_a_hang(loop, pipe):
    reading, writing = pipe

    async def main():
        errors = []

        async def waits():
            try:
                await bridge.wait_readable(reading)
            except Exception as error:
                errors.append(error)
                os.write(writing, b"x")

        await loop.together(waits, waits)
        return errors

    [error] = loop.run(main)
    assert type(error).__name__ in ("RuntimeError", "BusyResourceError", "ReadResourceBusy")


@every_loop
def test_checkpoint_lets_others_run_once(loop):
    async def main():
        order = []

        async def one():
            for i in range(3):
                order.append(("one", i))
                await bridge.checkpoint()

        async def two():
            for i in range(3):
                order.append(("two", i))
                await bridge.checkpoint()

        await loop.together(one, two)
        return order

    order = loop.run(main)
    assert sorted(order[:2]) == [("one", 0), ("two", 0)]
    assert sorted(order[2:4]) == [("one", 1), ("two", 1)]


@pytest.mark.parametrize("kind", [Loop, Trio], ids=lambda kind: kind.name)
def test_checkpoint_is_a_point_of_cancellation(loop):
    async def forever():
        while True:
            await bridge.checkpoint()

    assert loop.run(loop.cancel_after, 0.01, forever)


@every_loop
def test_a_watch_waits_many_times(loop, pipe):
    reading, writing = pipe

    async def main():
        watch = bridge.Watch(reading)
        for _ in range(5):
            threading.Timer(0.002, os.write, (writing, b"xyz")).start()
            await watch.wait()
            if loop.name not in ("asyncio", "uvloop"):
                os.read(reading, 9)
            with pytest.raises(BlockingIOError):
                os.read(reading, 9)

        async def waits():
            await watch.wait()

        assert await loop.cancel_after(0.01, waits)
        os.write(writing, b"x")
        await watch.wait()
        watch.close()
        watch.close()

    before = open_descriptors()
    loop.run(main)
    assert open_descriptors() == before


def test_a_wakeup_while_nobody_waits_costs_the_loop_one_round(pipe):
    reading, writing = pipe

    async def main():
        watch = bridge.Watch(reading)
        os.write(writing, b"x")
        await watch.wait()
        os.write(writing, b"x")
        rounds = 0
        until = time.monotonic() + 0.05
        before = time.process_time()
        while time.monotonic() < until:
            await asyncio.sleep(0.01)
            rounds += 1
        assert time.process_time() - before < 0.04, "the loop spins"
        watch.close()

    asyncio.run(main())


def test_a_watch_goes_with_its_consumer_from_loop_to_loop(pipe):
    reading, writing = pipe
    watch = bridge.Watch(reading)

    async def main():
        threading.Timer(0.005, os.write, (writing, b"x")).start()
        await watch.wait()

    asyncio.run(main())
    asyncio.run(main())
    make(Trio).run(main)
    asyncio.run(main())
    watch.close()


def test_a_watch_may_be_closed_on_another_thread_while_its_loop_runs(pipe):
    reading, writing = pipe

    async def main():
        before = open_descriptors()
        watch = bridge.Watch(reading)
        os.write(writing, b"x")
        await watch.wait()
        thread = threading.Thread(target=watch.close)
        thread.start()
        while thread.is_alive() or open_descriptors() > before:
            await asyncio.sleep(0.001)
        os.write(writing, b"x")  # nobody is told any more
        await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_watch_may_be_closed_after_its_loop(pipe):
    reading, writing = pipe
    watch = bridge.Watch(reading)

    async def main():
        os.write(writing, b"x")
        await watch.wait()

    asyncio.run(main())
    watch.close()
    forgotten = bridge.Watch(reading)
    gone = weakref.ref(forgotten)
    del forgotten
    gc.collect()
    assert gone() is None


def test_without_a_loop_there_is_a_clear_error():
    with pytest.raises(RuntimeError, match="no event loop that async_generator.bridge knows.*use_event_loop"):
        bridge.wait_readable(0).send(None)
    with pytest.raises(RuntimeError, match="no event loop"):
        bridge.checkpoint().send(None)


def test_a_loop_that_cannot_watch_descriptors_says_so(pipe):
    class Proactor(asyncio.SelectorEventLoop):
        def add_reader(self, fd, callback, *args):
            raise NotImplementedError

    loop = Proactor()
    try:
        with pytest.raises(RuntimeError, match="Proactor cannot watch file descriptors; on Windows.*SelectorEventLoop"):
            loop.run_until_complete(bridge.wait_readable(pipe[0]))
    finally:
        loop.close()


class HandMade:
    """An event loop that the bridge does not know: a trampoline that answers what is asked at once."""

    def __init__(self):
        self.asked = []
        self.inside = False

    async def wait_readable(self, fd):
        self.asked.append(fd)

    async def checkpoint(self):
        self.asked.append("checkpoint")

    def run(self, function):
        self.inside = True
        try:
            function().send(None)
        except StopIteration as end:
            return end.value
        finally:
            self.inside = False

    def describe(self):
        return bridge.EventLoop("hand-made", running=lambda: self.inside, wait_readable=self.wait_readable,
                                checkpoint=self.checkpoint)


def test_use_event_loop_holds_in_its_block_and_in_tasks_started_there():
    mine = HandMade()

    async def asks():
        await bridge.wait_readable(7)
        await bridge.checkpoint()

    with bridge.use_event_loop(mine.describe()) as chosen:
        assert chosen.name == "hand-made"
        mine.run(asks)
        asyncio.run(asks())
    assert mine.asked == [7, "checkpoint"] * 2
    with pytest.raises(RuntimeError, match="no event loop"):
        mine.run(asks)


def test_a_registered_loop_is_asked_first(monkeypatch):
    monkeypatch.setattr(_event_loops, "_registered", [])
    mine = HandMade()
    bridge.register_event_loop(mine.describe())

    async def asks():
        await bridge.wait_readable(8)

    mine.run(asks)
    assert mine.asked == [8]
    asyncio.run(_checkpoint())
    assert mine.asked == [8], "it does not run: asyncio does"


async def _checkpoint():
    await bridge.checkpoint()


def test_trio_as_a_guest_of_asyncio_waits_by_trio(pipe):
    trio = pytest.importorskip("trio")
    reading, writing = pipe
    seen = []

    async def in_trio():
        seen.append(_event_loops._current().name)
        threading.Timer(0.01, os.write, (writing, b"x")).start()
        await bridge.wait_readable(reading)
        await bridge.checkpoint()
        return "done"

    async def main():
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        trio.lowlevel.start_guest_run(in_trio, run_sync_soon_threadsafe=loop.call_soon_threadsafe,
                                      done_callback=done.set_result)
        seen.append(_event_loops._current().name)
        outcome = await done
        return outcome.unwrap()

    assert asyncio.run(main()) == "done"
    assert seen == ["asyncio", "trio"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_anyio_is_the_loop_below_it(pipe, backend):
    anyio = pytest.importorskip("anyio")
    pytest.importorskip(backend)
    reading, writing = pipe
    order = []

    async def reads():
        await bridge.wait_readable(reading)
        order.append(os.read(reading, 9))

    async def main():
        async with anyio.create_task_group() as group:
            group.start_soon(reads)
            await bridge.checkpoint()
            order.append("writes")
            os.write(writing, b"1")
        with anyio.move_on_after(0.01) as scope:
            await bridge.wait_readable(reading)
        assert scope.cancel_called

    anyio.run(main, backend=backend)
    assert order == ["writes", b"1"]


def test_importing_it_imports_no_event_loop():
    code = "import sys, async_generator.bridge; print(*(n for n in ('asyncio', 'trio', 'curio', 'anyio') if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
