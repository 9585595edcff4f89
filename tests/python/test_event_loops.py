"""Real event loops: asyncio (also in debug mode), uvloop, trio and anyio; cancellation, timeouts, shutdown."""

import asyncio
import contextlib
import functools
import gc
import inspect
import sys

import pytest
from driving import finished, run


class Asyncio:
    """asyncio under one of its loops."""

    sleep = staticmethod(lambda: asyncio.sleep(0))

    def __init__(self, *, debug=False, factory=None):
        self.debug, self.factory = debug, factory

    def run(self, function, *arguments):
        if self.factory is None:
            return asyncio.run(function(*arguments), debug=self.debug)
        if sys.version_info >= (3, 11):
            with asyncio.Runner(debug=self.debug, loop_factory=self.factory) as runner:
                return runner.run(function(*arguments))
        loop = self.factory()
        try:
            return loop.run_until_complete(function(*arguments))
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()


class Trio:
    def __init__(self):
        self.trio = pytest.importorskip("trio", reason="trio has no wheel for this interpreter")
        self.sleep = functools.partial(self.trio.sleep, 0)

    def run(self, function, *arguments):
        return self.trio.run(function, *arguments)


class Anyio:
    def __init__(self, backend):
        self.anyio = pytest.importorskip("anyio", reason="anyio has no wheel for this interpreter")
        if backend == "trio":
            pytest.importorskip("trio", reason="trio has no wheel for this interpreter")
        self.backend = backend
        self.sleep = functools.partial(self.anyio.sleep, 0)

    def run(self, function, *arguments):
        return self.anyio.run(function, *arguments, backend=self.backend)


def uvloop():
    module = pytest.importorskip("uvloop", reason="uvloop has no wheel for this interpreter")
    return Asyncio(factory=module.new_event_loop)


LOOPS = {
    "asyncio": Asyncio,
    "asyncio debug": lambda: Asyncio(debug=True),
    "uvloop": uvloop,
    "trio": Trio,
    "anyio on asyncio": lambda: Anyio("asyncio"),
    "anyio on trio": lambda: Anyio("trio"),
}
ASYNCIO_LOOPS = ["asyncio", "asyncio debug", "uvloop"]


@pytest.fixture(params=LOOPS)
def loop(request):
    return LOOPS[request.param]()


@pytest.fixture(params=ASYNCIO_LOOPS)
def asyncio_loop(request):
    return LOOPS[request.param]()


def test_items_come_through_every_loop(implementation, loop):
    @implementation
    async def body(count):
        for number in range(count):
            await loop.sleep()
            received = yield number
            assert received is None
        await loop.sleep()

    async def main():
        return [number async for number in body(20)]

    assert loop.run(main) == list(range(20))


def test_sends_throws_and_closes_work_on_every_loop(implementation, loop):
    log = []

    @implementation
    async def body():
        try:
            log.append((yield "first"))
            await loop.sleep()
            try:
                yield "second"
            except KeyError:
                await loop.sleep()
                yield "third"
        finally:
            await loop.sleep()
            log.append("cleanup")

    async def main():
        generator = body()
        taken = [await generator.__anext__(), await generator.asend("sent"), await generator.athrow(KeyError())]
        await generator.aclose()
        with pytest.raises(StopAsyncIteration):
            await generator.__anext__()
        return taken

    assert loop.run(main) == ["first", "second", "third"]
    assert log == ["sent", "cleanup"]


def test_many_consumers_at_once(implementation, asyncio_loop):
    @implementation
    async def body(name, count):
        for number in range(count):
            await asyncio.sleep(0)
            yield name, number

    async def consume(name):
        return [item async for item in body(name, 30)]

    async def main():
        return await asyncio.gather(*(consume(name) for name in range(20)))

    assert asyncio_loop.run(main) == [[(name, number) for number in range(30)] for name in range(20)]


def test_two_tasks_on_one_generator_are_refused(implementation, asyncio_loop):
    @implementation
    async def body():
        await asyncio.sleep(0.01)
        yield 1
        yield 2

    async def main():
        generator = body()
        first = asyncio.ensure_future(take(generator))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="already running"):
            await generator.__anext__()
        with pytest.raises(RuntimeError, match="already running"):
            await generator.aclose()
        assert await first == 1
        assert await generator.__anext__() == 2
        await generator.aclose()

    asyncio_loop.run(main)


async def take(generator):
    return await generator.__anext__()


def test_awaitables_can_be_made_into_tasks(implementation, asyncio_loop):
    @implementation
    async def body():
        received = yield 1
        await asyncio.sleep(0)
        yield received

    async def main():
        generator = body()
        # A task takes coroutines only (collections.abc.Coroutine counts): the awaitable is one to asyncio.
        assert await asyncio.ensure_future(generator.__anext__()) == 1
        assert await asyncio.get_running_loop().create_task(generator.asend("sent")) == "sent"
        assert await asyncio.wait_for(generator.aclose(), 5) is None

    asyncio_loop.run(main)


@pytest.mark.parametrize("operation", ["__anext__", "aclose"])
def test_a_task_that_is_cancelled_before_its_first_step_still_closes_the_body(implementation, asyncio_loop, operation):
    """asyncio throws the cancellation into the fresh awaitable: rules 36 and 37."""
    done = []

    @implementation
    async def body():
        try:
            yield 1
        finally:
            done.append("cleanup")

    async def main():
        generator = body()
        await generator.__anext__()
        task = asyncio.ensure_future(getattr(generator, operation)())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done == ["cleanup"]
        assert generator.ag_frame is None

    asyncio_loop.run(main)


def test_cancellation_reaches_the_await_in_the_body(implementation, asyncio_loop):
    seen = []

    @implementation
    async def body():
        try:
            yield 1
            await asyncio.sleep(60)
            yield 2
        except asyncio.CancelledError:
            seen.append("cancelled")
            await asyncio.sleep(0)
            raise
        finally:
            seen.append("cleanup")

    async def consume(generator):
        async for _ in generator:
            seen.append("item")

    async def main():
        generator = body()
        task = asyncio.ensure_future(consume(generator))
        while seen != ["item"]:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert generator.ag_running is False
        with pytest.raises(StopAsyncIteration):
            await generator.__anext__()

    asyncio_loop.run(main)
    assert seen == ["item", "cancelled", "cleanup"]


def test_a_body_may_swallow_a_cancellation_and_yield(implementation, asyncio_loop):
    @implementation
    async def body():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            yield "survived"
        yield "and on"

    async def main():
        generator = body()
        task = asyncio.ensure_future(take(generator))
        await asyncio.sleep(0)
        task.cancel()
        assert await task == "survived"
        assert await generator.__anext__() == "and on"
        await generator.aclose()

    asyncio_loop.run(main)


def test_a_timeout_ends_the_generator(implementation, asyncio_loop):
    @implementation
    async def body():
        yield 1
        await asyncio.sleep(60)
        yield 2

    async def main():
        generator = body()
        assert await asyncio.wait_for(generator.__anext__(), 5) == 1
        with pytest.raises((asyncio.TimeoutError, TimeoutError)):
            await asyncio.wait_for(generator.__anext__(), 0.01)
        with pytest.raises(StopAsyncIteration):
            await generator.__anext__()
        await generator.aclose()

    asyncio_loop.run(main)


def endless(implementation, cleaned):
    """A consumer of a body that never ends, and that notes its name in `cleaned` after it was closed."""

    @implementation
    async def body(name):
        try:
            while True:
                await asyncio.sleep(0)
                yield name
        finally:
            await asyncio.sleep(0)
            cleaned.append(name)

    async def consume(name):
        async with contextlib.aclosing(body(name)) as generator:
            async for _ in generator:
                pass

    return consume


# Two tests, as in one task the interpreter's own 3.11.2 takes the cancellation of a group that failed for a later timeout's.


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.TaskGroup is new in 3.11")
def test_task_groups(implementation, asyncio_loop):
    cleaned = []
    consume = endless(implementation, cleaned)

    async def fail():
        await asyncio.sleep(0.01)
        raise KeyError

    async def main():
        with pytest.raises(BaseExceptionGroup) as failed:  # noqa: F821 - 3.11+
            async with asyncio.TaskGroup() as group:
                for name in "abc":
                    group.create_task(consume(name))
                group.create_task(fail())
        assert [type(error) for error in failed.value.exceptions] == [KeyError]
        assert sorted(cleaned) == ["a", "b", "c"]

    asyncio_loop.run(main)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout is new in 3.11")
def test_timeouts(implementation, asyncio_loop):
    cleaned = []
    consume = endless(implementation, cleaned)

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await consume("d")
        assert cleaned == ["d"]

    asyncio_loop.run(main)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.TaskGroup is new in 3.11")
def test_a_task_group_inside_a_body(implementation, asyncio_loop):
    @implementation
    async def body():
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.sleep(0, result=number)) for number in range(3)]
        for task in tasks:
            yield task.result()

    async def main():
        return [item async for item in body()]

    assert asyncio_loop.run(main) == [0, 1, 2]


# --- shutdown and collection ---


def test_an_abandoned_generator_is_closed_by_the_loop(implementation, asyncio_loop):
    cleaned = []

    @implementation
    async def body():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    async def main():
        async for _ in body():
            break
        gc.collect()
        for _ in range(5):
            await asyncio.sleep(0)

    asyncio_loop.run(main)
    assert cleaned == [True]  # rule 53


def test_a_generator_that_is_alive_at_the_end_is_closed_by_the_loop(implementation, asyncio_loop):
    cleaned, kept = [], []

    @implementation
    async def body(name):
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            cleaned.append(name)

    async def main():
        for name in "abc":
            kept.append(body(name))
            await kept[-1].__anext__()

    asyncio_loop.run(main)  # shutdown_asyncgens
    assert sorted(cleaned) == ["a", "b", "c"]
    assert all(finished(generator) for generator in kept)


def test_abandoning_at_the_very_end_still_cleans_up(implementation, asyncio_loop):
    """1.10 loses this cleanup (fact E15): its finalizer task is cancelled before its first step."""
    cleaned = []

    @implementation
    async def body():
        try:
            yield 1
        finally:
            cleaned.append(True)

    async def main():
        async for _ in body():
            break
        gc.collect()

    asyncio_loop.run(main)
    assert cleaned == [True]


def test_debug_mode_warns_of_a_generator_first_iterated_after_shutdown(implementation):
    @implementation
    async def body():
        yield 1

    async def main():
        loop = asyncio.get_running_loop()
        await loop.shutdown_asyncgens()
        generator = body()
        with pytest.warns(ResourceWarning, match="was scheduled after loop.shutdown_asyncgens"):
            await generator.__anext__()
        await generator.aclose()

    asyncio.run(main(), debug=True)


def test_trio_warns_of_and_closes_an_abandoned_generator(implementation):
    trio = pytest.importorskip("trio", reason="trio has no wheel for this interpreter")
    cleaned = []

    @implementation
    async def body():
        try:
            yield 1
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0)
            cleaned.append(True)

    async def main():
        async for _ in body():
            break
        gc.collect()
        await trio.sleep(0.01)

    with pytest.warns(ResourceWarning, match="body.*was garbage collected before it had been exhausted"):
        trio.run(main)
    assert cleaned == [True]


def test_trio_closes_generators_at_the_end_of_a_run(implementation):
    trio = pytest.importorskip("trio", reason="trio has no wheel for this interpreter")
    cleaned, kept = [], []

    @implementation
    async def body():
        try:
            yield 1
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0)
            cleaned.append(True)

    async def main():
        kept.append(body())
        await kept[0].__anext__()

    trio.run(main)
    assert cleaned == [True]
    assert finished(kept[0])


def test_trio_cancellation_reaches_the_body(implementation):
    trio = pytest.importorskip("trio", reason="trio has no wheel for this interpreter")
    seen = []

    @implementation
    async def body():
        try:
            yield 1
            await trio.sleep_forever()
        except trio.Cancelled:
            seen.append("cancelled")
            raise
        finally:
            seen.append("cleanup")

    async def main():
        with trio.move_on_after(0.01):
            async for _ in body():
                seen.append("item")

    trio.run(main)
    assert seen == ["item", "cancelled", "cleanup"]


def test_trio_nurseries_and_memory_channels_inside_a_body(implementation):
    trio = pytest.importorskip("trio", reason="trio has no wheel for this interpreter")

    @implementation
    async def merged(*sources):
        send, receive = trio.open_memory_channel(0)

        async def pump(source, channel):
            async with channel:
                for item in source:
                    await channel.send(item)

        async with trio.open_nursery() as nursery:
            async with send:
                for source in sources:
                    nursery.start_soon(pump, source, send.clone())
            async for item in receive:
                yield item

    async def main():
        return sorted([item async for item in merged(range(5), range(10, 15))])

    assert trio.run(main) == [*range(5), *range(10, 15)]


# --- contexts and tools around a loop ---


def test_context_variables_of_a_task_are_the_bodys(implementation, asyncio_loop):
    import contextvars

    variable = contextvars.ContextVar("variable", default="unset")

    @implementation
    async def body():
        while True:
            yield variable.get()

    async def main():
        generator = body()
        assert await generator.__anext__() == "unset"
        variable.set("of main")
        assert await generator.__anext__() == "of main"

        async def other():
            variable.set("of other")
            return await generator.__anext__()

        assert await asyncio.ensure_future(other()) == "of other"
        assert await generator.__anext__() == "of main"
        await generator.aclose()

    asyncio_loop.run(main)  # rule 62


@pytest.mark.skipif(sys.version_info < (3, 14), reason="asyncio.capture_call_graph is new in 3.14")
@pytest.mark.only("decorated", "decorated_native", reason="native generators are opaque to it until 3.16 (gh-156980)")
def test_the_call_graph_sees_through_a_suspended_generator(implementation):
    @implementation
    async def body():
        await asyncio.sleep(60)
        yield 1

    async def consumer():
        async for _ in body():
            pass

    async def main():
        task = asyncio.ensure_future(consumer())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        names = [entry.frame.f_code.co_name for entry in asyncio.capture_call_graph(task).call_stack]
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return names

    names = asyncio.run(main())
    assert "consumer" in names
    assert names.index("body") < names.index("consumer")
    assert "sleep" in names


@pytest.mark.skipif(sys.version_info < (3, 14), reason="asyncio.capture_call_graph is new in 3.14")
def test_the_call_graph_shows_every_generator_of_a_delegation():
    from async_generator import async_generator, yield_, yield_from_

    @async_generator
    async def leaf():
        await yield_(1)
        await asyncio.sleep(60)

    @async_generator
    async def middle():
        await yield_from_(leaf())

    @async_generator
    async def root():
        await yield_from_(middle())

    async def consumer():
        async for _ in root():
            pass

    async def main():
        task = asyncio.ensure_future(consumer())
        await asyncio.sleep(0)
        graph = asyncio.capture_call_graph(task)
        text = asyncio.format_call_graph(task)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return [entry.frame.f_code.co_name for entry in graph.call_stack], text

    names, text = asyncio.run(main())
    assert names == ["sleep", "leaf", "middle", "root", "consumer"]
    assert [text.count(f"{name}()") for name in names] == [1] * 5


def test_reading_a_real_stream(implementation, asyncio_loop):
    """The documentation's load_json_lines over a TCP connection."""
    import json

    @implementation
    async def load_json_lines(reader):
        async for line in reader:
            yield json.loads(line)

    async def serve(reader, writer):
        for number in range(500):
            writer.write(json.dumps({"number": number}).encode() + b"\n")
            if number % 50 == 0:
                await writer.drain()
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()[:2]
        reader, writer = await asyncio.open_connection(host, port)
        numbers = [item["number"] async for item in load_json_lines(reader)]
        writer.close()
        server.close()
        return numbers

    assert asyncio_loop.run(main) == list(range(500))


def test_a_generator_moves_from_one_loop_to_the_next(implementation):
    @implementation
    async def body():
        for number in range(4):
            await asyncio.sleep(0)
            yield number

    generator = body()
    hooks = sys.get_asyncgen_hooks()

    async def step():
        # Without the loop's hooks: it would close the generator at its end.
        sys.set_asyncgen_hooks(*hooks)
        return await generator.__anext__()

    assert [asyncio.run(step()) for _ in range(3)] == [0, 1, 2]
    run(generator.aclose())


def test_async_queues_and_pipelines(implementation, asyncio_loop):
    @implementation
    async def source(count):
        queue = asyncio.Queue(3)

        async def fill():
            for number in range(count):
                await queue.put(number)
            await queue.put(None)

        task = asyncio.ensure_future(fill())
        try:
            while (item := await queue.get()) is not None:
                yield item
        finally:
            task.cancel()

    @implementation
    async def doubled(items):
        async for item in items:
            yield 2 * item

    @implementation
    async def odd(items):
        async for item in items:
            if item % 4:
                yield item

    async def main():
        return [item async for item in odd(doubled(source(50)))]

    assert asyncio_loop.run(main) == [2 * number for number in range(50) if number % 2]


def test_run_sync_in_an_executor_between_yields(implementation):
    @implementation
    async def body():
        loop = asyncio.get_running_loop()
        for number in range(3):
            yield await loop.run_in_executor(None, lambda number=number: number * number)

    async def main():
        return [item async for item in body()]

    assert asyncio.run(main()) == [0, 1, 4]


def test_inspect_sees_no_coroutine_where_asyncio_would(implementation):
    @implementation
    async def body():
        yield 1

    generator = body()
    assert not asyncio.iscoroutine(generator)
    assert not inspect.isawaitable(generator)
    with pytest.raises((TypeError, ValueError)):
        asyncio.run(generator)
