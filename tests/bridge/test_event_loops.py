"""async_generator.bridge: waiting for file descriptors and giving way, on every event loop and on those of the user."""

import asyncio
import contextlib
import gc
import os
import socket
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


@pytest.fixture
def sockets():
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


def fill(end):
    """Writes until no more goes in."""
    while True:
        try:
            end.send(b"x" * 65536)
        except BlockingIOError:
            return


@every_loop
def test_what_is_in_a_socket_is_left_there(loop, sockets):
    ours, theirs = sockets

    async def main():
        theirs.send(b"abc")
        got = b""
        for _ in range(3):
            await bridge.wait_readable(ours)
            got += ours.recv(1)
        with pytest.raises(BlockingIOError):
            ours.recv(1)
        theirs.close()
        await bridge.wait_readable(ours)
        assert ours.recv(1) == b""
        return got

    assert loop.run(main) == b"abc"


@every_loop
def test_wait_writable_returns_when_there_is_space(loop, sockets):
    ours, theirs = sockets

    async def main():
        await bridge.wait_writable(ours)
        fill(ours)
        order = []

        async def writes():
            await bridge.wait_writable(ours.fileno())
            order.append("writes")

        async def reads():
            await loop.sleep(0.02)
            order.append("reads")
            with contextlib.suppress(BlockingIOError):
                while theirs.recv(1 << 20):
                    pass

        await loop.together(writes, reads)
        return order

    assert loop.run(main) == ["reads", "writes"]


@every_loop
def test_one_task_waits_to_read_and_one_to_write(loop, sockets):
    ours, theirs = sockets

    async def main():
        fill(ours)
        order = []

        async def reads():
            await bridge.wait_readable(ours)
            order.append("reads")
            theirs.recv(1 << 20)
            with contextlib.suppress(BlockingIOError):
                while theirs.recv(1 << 20):
                    pass

        async def writes():
            await bridge.wait_writable(ours)
            order.append("writes")

        async def begins():
            await loop.sleep(0.02)
            theirs.send(b"x")

        await loop.together(reads, writes, begins)
        return order

    assert loop.run(main) == ["reads", "writes"]


@every_loop
def test_a_cancelled_wait_leaves_no_watcher_behind(loop, sockets):
    ours, theirs = sockets

    async def main():
        fill(ours)
        assert await loop.cancel_after(0.02, lambda: bridge.wait_writable(ours))
        assert await loop.cancel_after(0.02, lambda: bridge.wait_readable(ours))
        if loop.name in ("asyncio", "uvloop"):
            running = asyncio.get_running_loop()
            assert not running.remove_reader(ours)
            assert not running.remove_writer(ours)
        theirs.send(b"x")
        await bridge.wait_readable(ours)
        assert await loop.cancel_after(0.02, lambda: bridge.wait_writable(ours))

    loop.run(main)


@every_loop
def test_two_tasks_that_wait_to_write_are_an_error_and_not_a_hang(loop, sockets):
    ours, theirs = sockets

    async def main():
        fill(ours)
        errors = []

        async def waits():
            try:
                await bridge.wait_writable(ours)
            except Exception as error:
                errors.append(error)
                with contextlib.suppress(BlockingIOError):
                    while theirs.recv(1 << 20):
                        pass

        await loop.together(waits, waits)
        return errors

    [error] = loop.run(main)
    assert type(error).__name__ in ("RuntimeError", "BusyResourceError", "WriteResourceBusy")


@every_loop
def test_sleep_lasts_and_lets_others_run(loop):
    async def main():
        order = []

        async def sleeps(seconds):
            began = time.monotonic()
            await bridge.sleep(seconds)
            assert time.monotonic() - began >= seconds * 0.9
            order.append(seconds)

        await loop.together(lambda: sleeps(0.06), lambda: sleeps(0.01))
        assert await loop.cancel_after(0.01, lambda: bridge.sleep(3600))
        return order

    assert loop.run(main) == [0.01, 0.06]


@every_loop
def test_a_time_that_is_none_is_refused(loop):
    async def main():
        for wrong, error in (("x", TypeError), (None, TypeError), (float("nan"), ValueError), (10**400, ValueError)):
            with pytest.raises(error, match=r"sleep\(\): seconds is"):
                await bridge.sleep(wrong)
        for wrong, error in (("x", TypeError), (float("nan"), ValueError), (10**400, ValueError)):
            with pytest.raises(error, match=r"shielded\(\): limit is"):
                await bridge.shielded(drains([]), wrong)  # which would warn that it was never awaited

    loop.run(main)


@every_loop
def test_a_sleep_for_ever_is_cancelled(loop):
    async def main():
        assert await loop.cancel_after(0.01, lambda: bridge.sleep(float("inf")))

    loop.run(main)


# Cleanup after a cancellation.


async def drains(done, waits=5):
    for _ in range(waits):
        await bridge.sleep(0.001)
        await bridge.checkpoint()
    done.append("drained")
    return "result"


@every_loop
def test_shielded_cleanup_goes_on_after_a_cancellation(loop):
    async def main():
        done = []

        async def body():
            try:
                await bridge.sleep(3600)
            finally:
                assert await bridge.shielded(drains(done)) == "result"

        assert await loop.cancel_after(0.01, body)
        return done

    assert loop.run(main) == ["drained"]


@every_loop
def test_shielded_hands_on_results_and_errors(loop):
    async def fails():
        await bridge.checkpoint()
        raise KeyError("of the awaitable")

    async def main():
        assert await bridge.shielded(drains([])) == "result"
        assert await bridge.shielded(drains([]), 60) == "result"
        for limit in (None, 60):
            with pytest.raises(KeyError, match="of the awaitable"):
                await bridge.shielded(fails(), limit)

    loop.run(main)


@every_loop
def test_the_limit_of_a_shield_cancels_what_it_awaits(loop):
    async def main():
        ended = []

        async def body():
            try:
                await bridge.sleep(3600)
            finally:
                try:
                    await bridge.shielded(hangs(), 0.02)
                except TimeoutError as error:
                    ended.append(str(error))

        async def hangs():
            try:
                await bridge.sleep(3600)
            finally:
                ended.append("cancelled")

        assert await loop.cancel_after(0.01, body)
        return ended

    assert loop.run(main) == ["cancelled", "it was not done within 0.02 s, the limit given to shielded()"]


def run_by_anyio(backend, main):
    anyio = pytest.importorskip("anyio")
    pytest.importorskip(backend)
    return anyio.run(main, anyio, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_shielded_cleanup_goes_on_in_a_cancelled_scope_of_anyio(backend):
    async def main(anyio):
        done = []
        with anyio.move_on_after(0.01) as scope:
            try:
                await bridge.sleep(3600)
            finally:
                await bridge.shielded(drains(done))
                with pytest.raises(TimeoutError):
                    await bridge.shielded(bridge.sleep(3600), 0.02)
        assert scope.cancel_called
        with anyio.move_on_after(0.01) as scope:
            try:
                await bridge.sleep(3600)
            finally:
                await drains(done)  # what happens without
        return done

    assert run_by_anyio(backend, main) == ["drained"]


def test_asyncio_cancels_shielded_cleanup_when_it_is_asked_to_again():
    async def main():

        async def body():
            try:
                await bridge.sleep(3600)
            finally:
                await bridge.shielded(bridge.sleep(3600))

        task = asyncio.ensure_future(body())
        for _ in range(2):
            await asyncio.sleep(0.01)
            assert not task.done()
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(main(), 20))


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
    for wait in (bridge.checkpoint(), bridge.wait_writable(0), bridge.sleep(0), bridge.shielded(bridge.sleep(0))):
        with pytest.raises(RuntimeError, match="no event loop"):
            wait.send(None)


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
        return bridge.EventLoop(
            "hand-made", running=lambda: self.inside, wait_readable=self.wait_readable, checkpoint=self.checkpoint
        )


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


def test_a_loop_says_what_it_was_made_without():
    mine = HandMade()
    without = mine.describe()
    with bridge.use_event_loop(without):
        for name, wait in (
            ("wait_writable", bridge.wait_writable(7)),
            ("sleep", bridge.sleep(1)),
            ("shielded", bridge.shielded(bridge.sleep(1))),
        ):
            with pytest.raises(RuntimeError, match=f"<EventLoop hand-made> cannot do this.*without {name}="):
                wait.send(None)


def test_a_loop_of_the_users_may_do_everything():
    mine = HandMade()

    async def sleep(seconds):
        mine.asked.append(("sleep", seconds))

    async def shielded(awaitable, limit):
        mine.asked.append(("shielded", limit))
        return await awaitable

    described = bridge.EventLoop(
        "whole",
        wait_readable=mine.wait_readable,
        checkpoint=mine.checkpoint,
        wait_writable=mine.wait_readable,
        sleep=sleep,
        shielded=shielded,
    )

    async def asks():
        await bridge.wait_writable(7)
        await bridge.shielded(bridge.sleep(1), 2)

    with bridge.use_event_loop(described):
        mine.run(asks)
    assert mine.asked == [7, ("shielded", 2), ("sleep", 1)]


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
        trio.lowlevel.start_guest_run(
            in_trio, run_sync_soon_threadsafe=loop.call_soon_threadsafe, done_callback=done.set_result
        )
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
