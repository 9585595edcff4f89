"""Streams: each source keeps its own environment, and so does the consumer. Cancellation, and the end of the loop."""

import asyncio
import contextvars
import gc
import sys

import pytest
from async_generator import _engine, aclosing, async_generator, bridge, streams, yield_, yield_from_
from streams_running import LOOPS, Source, run_on, trio

NEWER = pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout() and TaskGroup are new in 3.11")
VARIABLE = contextvars.ContextVar("variable", default="outside")

ALL = {
    "merge": streams.merge,
    "prefetch": lambda source: streams.prefetch(source, 2),
    "chunks": lambda source: streams.chunks(source, 1),
    "timeout": lambda source: streams.timeout(source, 5),
    "broadcast": lambda source: streams.broadcast(source).reader(),
    "zip": streams.zip,
    "zip_latest": streams.zip_latest,
    "race": streams.race,
    "flat_map": lambda source: streams.flat_map(Source(1), lambda _: source),
    "scan": lambda source: streams.scan(source, lambda _, item: item),
    "take_until": lambda source: streams.take_until(source, bridge.sleep(5)),
}


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    if request.param not in LOOPS:
        pytest.skip("uvloop has no wheel for this interpreter")
    return lambda function, *arguments: run_on(request.param, function, *arguments)


@pytest.fixture(params=[*ALL])
def combine(request):
    return ALL[request.param]


async def all_of(stream):
    return [item async for item in stream]


def test_a_source_has_one_task_of_its_own(run, combine):
    async def main():
        seen = set()

        async def source():
            for i in range(3):
                seen.add(asyncio.current_task())
                await asyncio.sleep(0.001)
                seen.add(asyncio.current_task())
                yield i
            seen.add(asyncio.current_task())

        me = asyncio.current_task()
        async with aclosing(combine(source())) as items:
            async for _ in items:
                assert asyncio.current_task() is me
        assert len(seen) == 1 and me not in seen

    run(main)


def test_a_source_has_a_context_of_its_own(combine):
    async def source():
        token = VARIABLE.set("inside")
        try:
            for i in range(3):
                await bridge.checkpoint()
                assert VARIABLE.get() == "inside"
                yield i
        finally:
            VARIABLE.reset(token)

    async def main():
        VARIABLE.set("consumer")
        async with aclosing(combine(source())) as items:
            async for _ in items:
                assert VARIABLE.get() == "consumer"
        async with aclosing(combine(source())) as items:
            await items.__anext__()

    for loop in LOOPS:
        run_on(loop, main)


@NEWER
def test_a_timeout_in_a_source_does_not_cancel_the_consumer(run, combine):
    async def source():
        for i in range(2):
            try:
                async with asyncio.timeout(0.01):
                    await asyncio.sleep(5)
            except TimeoutError:
                yield i

    async def main():
        got = [item async for item in combine(source())]
        assert len(got) == 2 and not asyncio.current_task().cancelling()

    run(main)


@NEWER
def test_a_timeout_that_is_held_across_yields_arrives_in_the_source(run):
    async def main():
        log = []

        async def source():
            try:
                async with asyncio.timeout(0.02):
                    while True:
                        yield 1
            finally:
                log.append(asyncio.current_task().cancelling())

        async with aclosing(streams.merge(source())) as items:
            await items.__anext__()
            await asyncio.sleep(0.05)
            assert log == [0]
            with pytest.raises(TimeoutError):
                await items.__anext__()
        assert not asyncio.current_task().cancelling()

    run(main)


@NEWER
def test_a_task_group_in_a_source_belongs_to_it(run, combine):
    async def breaks():
        raise KeyError("in the group")

    async def source():
        yield 1
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(breaks())
                await asyncio.sleep(5)
        except BaseExceptionGroup as error:  # noqa: F821
            assert [*map(repr, error.exceptions)] == ["KeyError('in the group')"]
        yield 2

    async def main():
        assert len(await all_of(combine(source()))) == 2

    run(main)


def test_scopes_of_anyio_in_a_source():
    anyio = pytest.importorskip("anyio")

    async def source(tag):
        for i in range(3):
            with anyio.move_on_after(0.01):
                await anyio.sleep(5)
            yield tag, i

    async def main():
        assert len(await all_of(streams.merge(source("a"), source("b")))) == 6

    for loop in LOOPS:
        run_on(loop, main)


def test_cancelling_a_task_ends_its_wait_and_aclosing_the_sources(run, combine):
    async def main():
        source = Source(0.05, 1, 0.05, 2, 5.0, 3)
        got = []

        async def consume():
            async with aclosing(combine(source)) as items:
                async for item in items:
                    got.append(item)

        task = asyncio.ensure_future(consume())
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert got == [] and source.closed == 1
        if sys.version_info >= (3, 11):
            assert task.cancelling() == 1

    run(main)


def test_a_second_cancellation_does_not_cut_the_cleanup_short(run):
    async def main():
        log = []

        async def source():
            try:
                yield 1
            finally:
                await asyncio.sleep(0.03)
                log.append("cleaned up")

        async def consume():
            async with aclosing(streams.merge(source())) as items:
                await items.__anext__()

        task = asyncio.ensure_future(consume())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert log == ["cleaned up"]

    run(main)


def test_what_a_source_waits_for_is_cancelled_with_it(run):
    async def main():
        inner = asyncio.ensure_future(asyncio.sleep(5))

        async def source():
            yield 1
            await inner

        async with aclosing(streams.merge(source(), Source(0.01, 2))) as items:
            assert [await items.__anext__(), await items.__anext__()] == [1, 2]
        assert inner.cancelled()

    run(main)


@NEWER
def test_what_a_sources_task_was_cancelled_with_comes_before_its_next_item(run):
    async def main():
        log = []

        async def source():
            try:
                async with asyncio.timeout(5) as scope:
                    log.append(scope)
                    yield 1
                    log.append("went on")
                    yield 2
            except TimeoutError:
                yield "late"

        async with aclosing(streams.merge(source())) as items:
            assert await items.__anext__() == 1
            log.pop().reschedule(0)
            await asyncio.sleep(0)  # the source's task is cancelled, and has not run yet
            assert await items.__anext__() == "late"
            assert log == []

    run(main)


@NEWER
def test_a_source_that_was_cancelled_and_waits_for_turns_is_closed(run):
    async def main():
        log = []

        async def source():
            try:
                async with asyncio.timeout(0.001):
                    await asyncio.sleep(5)
            except TimeoutError:
                yield "late"
            try:
                while True:
                    await asyncio.sleep(0)
            finally:
                log.append("closed")

        async with aclosing(streams.merge(source(), Source(0.3, 2, 3))) as items:
            assert [await items.__anext__() for _ in range(3)] == ["late", 2, 3]
        assert log == ["closed"]

    run(main)


def test_the_consumer_may_be_another_task_each_time(run, combine):
    async def main():
        source = Source(1, None, 2, 0.001, 3)

        async def take(items):
            return await items.__anext__()

        async with aclosing(combine(source)) as items:
            for _ in range(3):
                await asyncio.ensure_future(take(items))

    run(main)


def test_dropped_streams_are_closed_by_the_loop(run, combine):
    async def main():
        source = Source(1, 2, 3)
        items = combine(source)
        await items.__anext__()
        del items
        gc.collect()
        for _ in range(100):  # a busy machine gives the loop few turns in 10 ms
            await asyncio.sleep(0)
        assert source.closed == 1

    run(main)


def test_the_end_of_the_loop_closes_what_is_left(run, combine):
    source = Source(1, 5.0, 2)
    kept = []

    async def main():
        kept.append(combine(source))
        await kept[0].__anext__()

    asyncio.run(main())
    assert source.closed == 1


@pytest.mark.parametrize("ends_while", ["it waits", "it is idle"])
def test_the_end_of_the_loop_ends_sources_that_are_no_generators(combine, ends_while):
    class Plain:
        def __aiter__(self):
            return self

        async def __anext__(self):
            if ends_while == "it waits" and kept:
                await asyncio.sleep(5)
            return 1

    kept = []

    async def main():
        items = combine(Plain())
        await items.__anext__()
        kept.append(items)
        if ends_while == "it waits":
            with pytest.raises(asyncio.TimeoutError):
                for _ in range(5):  # some may have been fetched
                    await asyncio.wait_for(next_of(items), 0.01)

    async def next_of(items):
        return await items.__anext__()

    asyncio.run(main())


def test_a_wait_that_is_closed_closes_the_sources_without_awaiting_them():
    source = Source(1, 5.0, 2)

    async def main():
        items = streams.merge(source)
        await items.__anext__()
        wait = items.__anext__()
        wait.__await__().send(None)
        wait.close()
        for _ in range(5):
            await asyncio.sleep(0)
        assert source.closed == 1

    run_on("asyncio", main)


def test_no_future_of_asyncio():
    class Odd:
        def __await__(self):
            yield "odd"

    async def source():
        try:
            await Odd()
        except RuntimeError as error:
            yield str(error)

    async def main():
        assert await all_of(streams.merge(source())) == [
            "a source of a stream got 'odd', which asyncio cannot wait for"
        ]

    run_on("asyncio", main)


def test_a_source_that_asks_for_its_own_stream_is_refused():
    async def main():
        shared = None

        async def source():
            yield 1
            await shared.reader().__anext__()

        shared = streams.broadcast(source())
        first = shared.reader()
        assert await first.__anext__() == 1
        with pytest.raises(RuntimeError, match="already running"):
            await first.__anext__()

    run_on("asyncio", main)


@pytest.mark.skipif(trio is None, reason="trio has no wheel for this interpreter")
def test_cancelling_on_trio_cancels_the_sources_and_waits_for_them():
    async def main():
        log = []

        async def source():
            try:
                yield 1
                await trio.sleep(5)
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(0.01)
                log.append("cleaned up")

        with trio.move_on_after(0.05):
            async with aclosing(streams.merge(source(), source())) as items:
                async for _ in items:
                    pass
        assert log == ["cleaned up"] * 2

    run_on("trio", main)


@pytest.mark.skipif(trio is None, reason="trio has no wheel for this interpreter")
def test_ctrl_c_and_crashes_on_trio_stay_with_the_consumer():
    async def main():
        async def source():
            yield 1
            raise SystemExit(3)

        with pytest.raises(SystemExit):
            await all_of(streams.merge(source()))

    run_on("trio", main)


def test_a_generator_that_delegates_to_a_stream_has_the_exception_where_it_delegates():
    @async_generator
    async def patient(stream):
        while True:
            try:
                return await yield_from_(stream)
            except TimeoutError:
                await yield_("late")

    @async_generator
    async def hasty(stream):
        try:
            await asyncio.wait_for(first_of(stream), 0.01)
        except asyncio.TimeoutError:
            await yield_("given up")
        await yield_from_(stream)

    async def first_of(stream):
        return await stream.__anext__()

    async def main():
        source = Source(1, 0.1, 2)
        got = [item async for item in patient(streams.timeout(source, 0.06))]
        assert got == [1, "late", 2] and source.closed == 1
        assert [item async for item in hasty(streams.merge(Source(0.03, 1)))] == ["given up", 1]
        stream = streams.merge(Source(0.03, 1))
        async with aclosing(patient(stream)) as items:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(first_of(items), 0.01)
            with pytest.raises(StopAsyncIteration):  # the cancellation has ended it, as it ends any body
                await items.__anext__()
        assert await all_of(stream) == [1]

    run_on("asyncio", main)


def test_what_gives_up_is_an_exception_and_in_a_body():
    with pytest.raises(TypeError, match="takes an exception"):
        _engine.give_up(3)

    @async_generator
    async def body():
        await yield_(1)
        await _engine.give_up(KeyError(2))
        await yield_(3)
        try:
            await _engine.give_up(KeyError(4))
        finally:
            log.append("closed")

    log = []

    async def main():
        items = body()
        assert await items.__anext__() == 1
        with pytest.raises(KeyError, match="2"):
            await items.__anext__()
        assert await items.__anext__() == 3
        with pytest.raises(KeyError, match="4"):
            await items.__anext__()
        await items.aclose()
        assert log == ["closed"]
        items = body()
        await items.__anext__()
        with pytest.raises(KeyError, match="2"):
            await items.__anext__()
        with pytest.raises(LookupError, match="thrown"):
            await items.athrow(LookupError("thrown"))

    asyncio.run(main())


def test_the_engines_parts_by_themselves():
    source = _engine.stream_source()
    with pytest.raises(RuntimeError, match="without a queue"):
        source.poll()
    source.notify()
    queue = _engine.stream_queue(None, print, [], {})
    for wrong in (None, 3, [], source):
        with pytest.raises(TypeError, match="takes a stream_queue"):
            source.queue = wrong
    source.queue = queue
    source.plain = True
    with pytest.raises(RuntimeError, match="has not begun"):
        source.poll()
    with pytest.raises(TypeError, match="takes sources"):
        queue.put(3)
    queue.put(source)
    assert queue.last() is source and len(queue) == 1 and queue.take() is source and queue.take() is None
    with pytest.raises(TypeError):
        _engine.stream_queue(None, print, (), {})
    source.queue.put(source)  # a cycle
    del source, queue
    gc.collect()


def test_the_engines_queue_needs_to_know_how_a_task_becomes_the_current_one():
    import subprocess

    code = "from async_generator import _engine; _engine.stream_queue(None, print, [], {})"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr
    assert "RuntimeError: async_generator._isolated is not imported" in told


def test_importing_the_package_does_not_import_the_streams():
    import subprocess

    code = "import sys, async_generator; assert not {'asyncio', 'async_generator.streams'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)
