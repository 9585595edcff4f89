"""Streams in one C++ body over Python iterables, channels and C++ generators, which wait at the same time."""

import asyncio
import contextlib
import gc
import sys
import threading
import time
import warnings
import weakref

import extensions
import pytest
from async_generator import aclosing, streams
from conftest import HERE
from loops import Curio, Loop, Trio, make, three_loops

LONG = 1_800_000_000  # microseconds


@pytest.fixture(scope="module")
def combined():
    return extensions.load(HERE / "channels", "combined")


@pytest.fixture(autouse=True)
def nothing_is_left(combined):
    yield
    gc.collect()
    end = time.monotonic() + 10
    while combined.alive() != 0:
        assert time.monotonic() < end, "a thread, or a C++ generator, is left"
        time.sleep(0.001)


class Source:
    """An async generator that notes how it ends."""

    def __init__(self, loop, items, *, pause=0.001, fails=None, cleanup=0.0):
        self.loop = loop
        self.ends = []
        self.given = 0
        self.stream = self._items(items, pause, fails, cleanup)

    async def _items(self, items, pause, fails, cleanup):
        try:
            for item in items:
                await self.loop.sleep(pause)
                self.given += 1
                yield item
            if fails is not None:
                raise fails
            self.ends.append("end")
        except BaseException as error:
            self.ends.append(type(error).__name__)
            raise
        finally:
            if cleanup:
                await self.loop.sleep(cleanup)
                self.ends.append("cleaned up")


def endless():
    number = 0
    while True:
        yield number
        number += 1


async def collect(stream):
    return [item async for item in stream]


@three_loops
def test_sources_wait_at_the_same_time(loop, combined):
    async def main():
        sources = tuple(Source(loop, range(base, base + 5), pause=0.02).stream for base in (0, 100, 200))
        began = time.monotonic()
        got = await collect(combined.merged(sources))
        assert time.monotonic() - began < 0.25  # one after the other they take 0.3
        return got

    got = loop.run(main)
    for base in (0, 100, 200):
        assert [item for item in got if base <= item < base + 5] == list(range(base, base + 5))
    assert len(got) == 15


@three_loops
def test_python_threads_and_cpp_together(loop, combined):
    async def main():
        return await collect(combined.mixed((Source(loop, range(1, 6)).stream,), 5, 1000))

    got = loop.run(main)
    assert [item for item in got if 0 < item < 6] == [1, 2, 3, 4, 5]
    assert [item for item in got if item > 6 or item == 0] == [0, 100, 200, 300, 400]
    assert [item for item in got if item < 0] == [-1, -2, -3, -4, -5]


@three_loops
def test_the_same_items_as_the_streams_in_python(loop, combined):
    def sources():
        return [Source(loop, range(base, base + 30), pause=0).stream for base in (0, 100)]

    async def main():
        in_python = await collect(streams.merge(*sources()))
        return sorted(in_python), sorted(await collect(combined.merged(tuple(sources()))))

    in_python, in_cpp = loop.run(main)
    assert in_python == in_cpp


@three_loops
def test_combinators(loop, combined):
    def source(*items, pause=0.001):
        return Source(loop, items, pause=pause).stream

    async def main():
        fast, slow = source(7, 8), source(1, 2, pause=0.5)
        assert await collect(combined.raced((slow, fast), 3, 200_000)) == [7, 8]
        assert await collect(combined.sums((source(1, 2, 3), source(10, 20)), 9, 100)) == [11, 122]
        latest = await collect(combined.latest((source(1, 2, 3),), 2, 500))
        assert latest[-1] == 2998
        assert await collect(combined.chunked((source(1, 2, 3), source(4, 5)), 2, LONG)) == [2, 2, 1]
        assert await collect(combined.prefetched((source(*range(20)),), 4, 100)) == list(range(20))
        assert sorted(await collect(combined.flat((source(1, 2), source(3))))) == [-3, -2, -2, -1, -1, -1]
        assert await collect(combined.both((source(4), source(5)))) == [9]
        inner = combined.merged((source(1, 2), source(3)))
        assert await collect(combined.summed((inner, source(4)))) == [10]

    loop.run(main)


@three_loops
def test_a_block_is_given_in_time(loop, combined):
    async def main():
        stream = combined.chunked((Source(loop, [1, 2]).stream, Source(loop, [3], pause=60).stream), 5, 30_000)
        async with aclosing(stream):
            return await anext(stream)

    assert loop.run(main) == 2


@three_loops
def test_a_source_that_is_late(loop, combined):
    late = Source(loop, [1], pause=60)

    async def main():
        with pytest.raises(RuntimeError, match="no item came in time"):
            await collect(combined.timed((late.stream,), 0, 20_000))

    loop.run(main)
    assert late.ends == ["Cancelled" if loop.name == "trio" else "CancelledError"]


@three_loops
def test_until_something_else_is_done(loop, combined):
    one, two = Source(loop, endless(), pause=0.002), Source(loop, [5], pause=60)

    async def main():
        return await collect(combined.until((one.stream, two.stream), 0, 50_000))

    got = loop.run(main)
    assert got == list(range(len(got)))
    assert len(got) > 3
    assert [len(source.ends) for source in (one, two)] == [1, 1]


@three_loops
def test_a_source_that_raises_ends_the_others(loop, combined):
    fails = Source(loop, [1], fails=KeyError("broken"))
    waits = Source(loop, [2], pause=60, cleanup=0.01 if loop.name != "trio" else 0)

    async def main():
        got = []
        with pytest.raises(KeyError, match="broken"):
            async for item in combined.merged((fails.stream, waits.stream)):
                got.append(item)
        return got

    assert loop.run(main) == [1]
    assert fails.ends == ["KeyError"]
    assert waits.ends == (["Cancelled"] if loop.name == "trio" else ["CancelledError", "cleaned up"])


@three_loops
def test_the_body_goes_on_after_an_error(loop, combined):
    async def main():
        got = []
        with pytest.raises(KeyError, match="broken"):
            async for item in combined.resilient((Source(loop, [1], fails=KeyError("broken")).stream,)):
                got.append(item)
        return got

    assert loop.run(main) == [1, -1]


@three_loops
def test_a_source_that_does_not_iterate(loop, combined):
    class Broken:
        def __aiter__(self):
            return self

        def __anext__(self):
            raise LookupError("at once")

    class NotAwaitable(Broken):
        def __anext__(self):
            return 5

    async def main():
        waits = Source(loop, [1], pause=60)
        with pytest.raises(LookupError, match="at once"):
            await collect(combined.merged((waits.stream, Broken())))
        with pytest.raises(TypeError, match="await"):
            await collect(combined.merged((Source(loop, [1], pause=60).stream, NotAwaitable())))
        with pytest.raises(TypeError, match="takes an async iterable, not list"):
            await collect(combined.merged((Source(loop, [1], pause=60).stream, [1])))
        with pytest.raises(TypeError):
            await collect(combined.merged((Source(loop, ["no number"]).stream, Source(loop, [1], pause=60).stream)))

    loop.run(main)


@three_loops
def test_a_cancellation_ends_all_sources(loop, combined):
    sources = [Source(loop, [base], pause=60) for base in range(3)]

    async def main():
        stream = combined.merged(tuple(source.stream for source in sources))
        assert await loop.cancel_after(0.02, lambda: collect(stream))
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    loop.run(main)
    cancelled = "Cancelled" if loop.name == "trio" else "CancelledError"
    assert [source.ends for source in sources] == [[cancelled]] * 3


@three_loops
def test_a_cancellation_in_the_middle_with_threads(loop, combined):
    async def main():
        stream = combined.mixed((Source(loop, endless(), pause=0.002).stream,), 10**9, 300)
        assert await loop.cancel_after(0.05, lambda: collect(stream))

    loop.run(main)


@three_loops
def test_a_cancellation_of_what_is_not_merged(loop, combined):
    async def main():
        for function, options in [
            (combined.sums, (10**9, 100)),
            (combined.latest, (1, LONG)),
            (combined.chunked, (1000, 10_000)),
            (combined.prefetched, (4, 100)),
            (combined.until, (0, LONG)),
            (combined.both, ()),
            (combined.raced, (3, 300_000)),
            (combined.referring, ()),
        ]:
            sources = (Source(loop, endless(), pause=0.002).stream, Source(loop, [1], pause=60).stream)
            if function is combined.referring:
                sources = sources[::-1]
            assert await loop.cancel_after(0.02, lambda f=function, s=sources, o=options: collect(f(s, *o))), function

    loop.run(main)


def test_a_second_cancellation_ends_the_cleanup(combined):
    loop = make(Loop)
    source = Source(loop, [1], pause=60, cleanup=60)

    async def main():
        task = asyncio.ensure_future(collect(combined.merged((source.stream,))))
        for _ in range(2):
            await asyncio.sleep(0.01)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    loop.run(main)
    assert source.ends == ["CancelledError"]


def test_a_cancellation_is_not_lost_behind_an_item(combined):
    """Of a source that catches it."""
    loop = make(Loop)

    async def stubborn():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        yield 7

    async def main():
        return await loop.cancel_after(0.02, lambda: collect(combined.merged((stubborn(),))))

    assert loop.run(main)


@three_loops
def test_closing_in_the_middle(loop, combined):
    async def main():
        waits = Source(loop, [1], pause=60)
        gives = Source(loop, [2, 3])
        stream = combined.merged((waits.stream, gives.stream))
        assert await anext(stream) == 2
        await stream.aclose()
        return waits.ends, gives.ends

    waits, gives = loop.run(main)
    assert waits == ["Cancelled" if loop.name == "trio" else "CancelledError"]
    assert gives == ["GeneratorExit"]


@three_loops
def test_closing_a_body_that_uses_a_stream(loop, combined):
    """The stream is a local variable: it is dropped, as one in a C++ program is."""

    async def main():
        source = Source(loop, endless(), pause=0.002)
        stream = combined.mixed((source.stream,), 10**9, 200)
        for _ in range(3):
            await anext(stream)
        await stream.aclose()
        for _ in range(100):
            if source.ends:
                break
            await loop.sleep(0.01)
        return source.ends

    assert len(loop.run(main)) == 1


@three_loops
def test_dropped_in_the_middle(loop, combined):
    async def main():
        waits, gives = Source(loop, [1], pause=60), Source(loop, endless())
        stream = combined.merged((waits.stream, gives.stream))
        assert await anext(stream) == 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # trio's, of each generator that is dropped
            del stream
            gc.collect()
        for _ in range(100):
            if waits.ends and gives.ends:
                break
            await loop.sleep(0.01)
        return waits.ends, gives.ends

    waits, gives = loop.run(main)
    assert len(waits) == len(gives) == 1


def test_dropped_while_it_waits(combined):
    """The task is dropped with its loop, so nobody can await the cleanup."""
    source = Source(Loop(), [1], pause=60)
    loop = asyncio.new_event_loop()
    task = loop.create_task(collect(combined.merged((source.stream, combined.mixed((source.stream,), 10**9, 100)))))
    loop.call_later(0.02, loop.stop)
    loop.run_forever()
    loop.set_exception_handler(lambda *_: None)  # "Task was destroyed but it is pending!"
    task._log_destroy_pending = False
    for other in asyncio.all_tasks(loop):
        other._log_destroy_pending = False
        del other
    del task
    loop.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


def test_a_consumer_that_is_closed_cannot_await(combined):
    """close() of a coroutine throws GeneratorExit where it waits; the sources end without being awaited."""

    async def main():
        sources = [Source(Loop(), [1], pause=60) for _ in range(2)]
        coroutine = collect(combined.merged(tuple(source.stream for source in sources)))
        coroutine.send(None)
        await asyncio.sleep(0.01)
        coroutine.close()
        await asyncio.sleep(0.01)
        return [source.ends for source in sources]

    assert Loop().run(main) == [["CancelledError"]] * 2


@three_loops
def test_sources_that_are_only_referred_to(loop, combined):
    async def main():
        one, two = Source(loop, [1, 2], pause=0.2), Source(loop, [10, 11, 12])
        got = await collect(combined.referring((one.stream, two.stream)))
        await loop.sleep(0.01)
        return got

    assert loop.run(main) == [10, 11, 12]


@three_loops
def test_each_source_has_a_task_of_its_own(loop, combined):
    """So a timeout that a source holds across its yields ends that source only."""

    async def impatient():
        if loop.name == "trio":
            import trio

            with trio.move_on_after(0.03):
                yield 1
                await loop.sleep(60)
        else:
            with contextlib.suppress(asyncio.TimeoutError):
                async with asyncio.timeout(0.03):
                    yield 1
                    await loop.sleep(60)
        yield 2

    async def main():
        return await collect(combined.merged((impatient(), Source(loop, [5, 6], pause=0.05).stream)))

    if sys.version_info < (3, 11) and loop.name != "trio":
        pytest.skip("no asyncio.timeout")
    assert sorted(loop.run(main)) == [1, 2, 5, 6]


@three_loops
def test_in_batches(loop, combined):
    async def main():
        sources = tuple(Source(loop, range(base, base + 20)).stream for base in (0, 100))
        got = []
        async for batch in combined.merged(sources).batches(8):
            assert 0 < len(batch) <= 8
            got += batch
        closed = combined.merged((Source(loop, [1]).stream, Source(loop, [2], pause=60).stream)).batches(8)
        assert await anext(closed) == [1]
        await closed.aclose()
        return sorted(got)

    assert loop.run(main) == [*range(20), *range(100, 120)]


def test_on_another_event_loop(combined):
    async def main(stream):
        return await anext(stream)

    source = Source(Loop(), [3], pause=60)
    stream = combined.merged((Source(Loop(), [1]).stream, source.stream))
    first = asyncio.new_event_loop()
    assert first.run_until_complete(main(stream)) == 1
    for _ in range(2):  # until its sources are known to have ended
        with pytest.raises((RuntimeError, StopAsyncIteration)):
            Loop().run(main, stream)
    first.run_until_complete(asyncio.sleep(0.01))
    first.run_until_complete(first.shutdown_asyncgens())
    first.close()


def test_in_threads_of_their_own(combined):
    failed = []

    def run():
        async def main():
            for _ in range(20):
                sources = (Source(Loop(), range(20), pause=0).stream, Source(Loop(), range(20), pause=0).stream)
                assert len(await collect(combined.merged(sources))) == 40

        try:
            Loop().run(main)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_a_generator_that_has_begun_moves(combined):
    """As an argument of another one, while one of its sources waits: that source fails, and says why."""

    async def main():
        loop = Loop()
        stream = combined.merged((Source(loop, [1, 2]).stream, Source(loop, [3], pause=60).stream))
        assert await anext(stream) == 1
        with pytest.raises(RuntimeError, match="taken out of its Python object while a source of it waited"):
            await collect(combined.taken((stream,)))

    Loop().run(main)


def test_a_cycle_through_a_source_is_collected(combined):
    class Holder:
        pass

    async def source(holder):
        yield 1
        yield holder

    async def main():
        holder = Holder()
        holder.stream = combined.merged((source(holder), source(holder)))
        await anext(holder.stream)
        gone = weakref.ref(holder)
        del holder
        for _ in range(5):
            gc.collect()
            await asyncio.sleep(0.01)
        return gone() is None

    assert Loop().run(main)


def test_curio_is_refused_in_one_sentence(combined):
    loop = make(Curio)

    async def main():
        with pytest.raises(RuntimeError, match="needs asyncio .or uvloop. or trio"):
            await collect(combined.merged((Source(loop, [1]).stream,)))

    loop.run(main)


def test_cancelled_at_random(combined):
    """Cancelled, closed or dropped at any time, nothing is left and nothing else is raised."""
    loop = make(Loop)

    async def main():
        for step in range(120):
            sources = tuple(Source(loop, range(50), pause=0.0003 * (n % 3)).stream for n in range(4))
            stream = combined.merged(sources) if step % 2 else combined.mixed(sources[:1], 50, 200)
            task = asyncio.ensure_future(collect(stream))
            for _ in range(step // 2):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            if step % 3:
                await stream.aclose()
            for source in sources:
                await source.aclose()

    loop.run(main)


def test_trio_cancelled_at_random(combined):
    loop = make(Trio)

    async def main():
        for step in range(60):
            sources = tuple(Source(loop, range(50), pause=0.0003 * (n % 3)).stream for n in range(4))
            stream = combined.merged(sources) if step % 2 else combined.mixed(sources[:1], 50, 200)
            await loop.cancel_after(0.0004 * step, lambda stream=stream: collect(stream))
            if step % 3:
                await stream.aclose()

    loop.run(main)
