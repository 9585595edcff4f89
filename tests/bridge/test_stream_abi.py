"""One ABI for streams: producers in plain C on every event loop; the check of producers; Arrow's record batches."""

import asyncio
import contextlib
import gc
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import warnings

import async_generator
import extensions
import pytest
from async_generator import AlreadyRunning, aclosing, isasyncgen
from conftest import HERE
from forking import assert_refused_in_a_child
from loops import Loop, Trio, Uvloop, every_loop, open_descriptors

ROOT = HERE.parent.parent
SENSOR = ROOT / "examples" / "bridge" / "sensor"
STREAMS = HERE / "streams"


class Source:
    """An object whose stream is in a capsule."""

    def __init__(self, capsule):
        self.capsule = capsule

    def __agen_stream__(self):
        return self.capsule


@pytest.fixture(scope="module")
def module():
    return extensions.load(STREAMS, "odd")


@pytest.fixture
def odd(module):
    yield module
    gc.collect()
    until(lambda: module.alive() == 0)


def until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.001)


def stream_of(odd, *arguments):
    return async_generator.stream(Source(odd.stream(*arguments)))


async def collect(stream):
    return [item async for item in stream]


@every_loop
@pytest.mark.parametrize("pace", [0, 300], ids=["at once", "paced"])
def test_items_of_a_producer_in_c_come_in_order(loop, odd, pace):
    assert loop.run(collect, stream_of(odd, 100, pace)) == list(range(100))


@every_loop
def test_an_empty_stream_ends(loop, odd):
    assert loop.run(collect, stream_of(odd, 0)) == []


def test_anyio_on_trio_and_on_asyncio(odd):
    anyio = pytest.importorskip("anyio")
    for backend in ["asyncio", "trio"]:
        assert anyio.run(collect, stream_of(odd, 20, 100), backend=backend) == list(range(20))


def test_it_is_an_async_generator_of_the_package(odd):
    stream = stream_of(odd, 3)
    assert isasyncgen(stream)
    assert type(stream) is async_generator._implementation.async_generator
    assert stream.__name__ == "stream"
    with pytest.raises(TypeError, match="takes no values"):

        async def main():
            assert await anext(stream) == 0
            try:
                await stream.asend(1)
            finally:
                await stream.aclose()

        asyncio.run(main())


@every_loop
def test_a_body_delegates_to_a_stream(loop, odd):
    @async_generator.async_generator
    async def body():
        await async_generator.yield_(-1)
        await async_generator.yield_from_(stream_of(odd, 3, 100))

    assert loop.run(collect, body()) == [-1, 0, 1, 2]


@every_loop
def test_many_streams_at_the_same_time(loop, odd):
    got = []

    async def one():
        got.append(await collect(stream_of(odd, 40, 100)))

    loop.run(loop.together, *[one] * 30)
    assert got == [list(range(40))] * 30


@every_loop
def test_the_loop_is_free_while_a_stream_waits_and_while_it_does_not(loop, odd):
    async def main():
        ticks = []
        done = False

        async def consumes():
            nonlocal done
            await collect(stream_of(odd, 4, 20_000))
            ticks.append(len(ticks))
            waited = len(ticks)
            await collect(stream_of(odd, 20_000))
            assert len(ticks) > waited
            done = True

        async def counts():
            while not done:
                ticks.append(len(ticks))
                await loop.sleep(0.001)

        await loop.together(consumes, counts)
        return len(ticks)

    assert loop.run(main) > 20


@every_loop
def test_aclose_stops_the_producer_and_waits_for_its_end(loop, odd):
    async def main():
        stream = stream_of(odd, 1_000_000, 50)
        async with aclosing(stream):
            async for item in stream:
                if item == 3:
                    break
        assert odd.alive() == 0
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    loop.run(main)


@every_loop
def test_a_stream_that_never_began_is_released_by_aclose_and_by_dropping(loop, odd):
    async def main():
        await stream_of(odd, 5).aclose()

    loop.run(main)
    stream = stream_of(odd, 5)
    assert odd.alive() == 1
    del stream
    assert odd.alive() == 0


def test_a_stream_that_is_dropped_is_released(odd):
    stream = stream_of(odd, 1_000_000, 50)
    with contextlib.suppress(StopIteration, RuntimeError):  # RuntimeError: no item yet, and no loop to wait by
        stream.__anext__().send(None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del stream
        gc.collect()
    until(lambda: odd.alive() == 0)


@every_loop
def test_a_stream_that_its_loop_drops_is_closed(loop, odd):
    async def main():
        async for item in stream_of(odd, 1_000_000, 50):
            if item == 2:
                break
        gc.collect()
        await loop.sleep(0.05)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # trio's
        loop.run(main)
    until(lambda: odd.alive() == 0)


@every_loop
def test_a_cancelled_wait_loses_nothing(loop, odd):
    async def main():
        stream = stream_of(odd, 30, 10_000)
        got = []
        cancelled = 0

        async def asks():
            got.append(await anext(stream))

        while len(got) < 30:
            cancelled += bool(await loop.cancel_after(0.003, asks))
        assert got == list(range(30))
        assert cancelled
        assert await anext(stream, None) is None

    loop.run(main)


@every_loop
def test_a_stream_is_closed_after_a_cancelled_wait(loop, odd):
    async def main():
        stream = stream_of(odd, 1000, 500_000)

        async def asks():
            await anext(stream)

        assert await loop.cancel_after(0.01, asks)
        await stream.aclose()
        assert odd.alive() == 0

    loop.run(main)


@every_loop
def test_a_cancelled_consumer_closes_the_stream_in_peace(loop, odd):
    async def main():
        async def consumes():
            async with aclosing(stream_of(odd, 1_000_000, 5_000)) as stream:
                async for _ in stream:
                    pass

        assert await loop.cancel_after(0.03, consumes)
        assert odd.alive() == 0

    loop.run(main)


def test_a_wait_whose_coroutine_is_closed_ends_the_stream(odd):
    async def main():
        stream = stream_of(odd, 1_000_000, 500_000)
        asked = stream.__anext__()
        asked.send(None)
        asked.close()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    asyncio.run(main())


@every_loop
def test_an_error_comes_after_the_items(loop, odd):
    async def main():
        stream = stream_of(odd, 3, 100, "broken")
        got = []
        with pytest.raises(RuntimeError, match="^the sensor does not answer$"):
            async for item in stream:
                got.append(item)
        assert got == [0, 1, 2]
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    loop.run(main)


@pytest.mark.parametrize(
    "how, error, text",
    [
        ("broken: KeyError", KeyError, "from the producer"),
        ("broken: raises", ZeroDivisionError, "itself"),
        ("broken: no exception", TypeError, "no exception"),
        ("broken: null", RuntimeError, "does not answer"),
        ("broken: text", RuntimeError, r"not UTF-8: \\xff"),
        ("start fails", RuntimeError, "does not answer"),
    ],
)
def test_what_an_error_becomes(odd, how, error, text):
    with pytest.raises(error, match=text):
        asyncio.run(collect(stream_of(odd, 2, 0, how)))


@every_loop
def test_an_item_that_has_no_object_fails_and_stops_the_stream(loop, odd):
    async def main():
        got = []
        with pytest.raises(LookupError, match="no object"):
            async for item in stream_of(odd, 1_000_000, 0, "item fails"):
                got.append(item)
        assert got == [0, 1, 2]
        assert odd.alive() == 0

    loop.run(main)


@every_loop
def test_an_error_while_stopping_is_raised(loop, odd):
    async def main():
        stream = stream_of(odd, 1_000_000, 50, "end fails")
        assert await anext(stream) == 0
        with pytest.raises(RuntimeError, match="does not answer"):
            await stream.aclose()

    loop.run(main)


@every_loop
def test_a_storm_of_wakes_changes_nothing(loop, odd):
    async def main():
        assert await collect(stream_of(odd, 50, 200, "storm")) == list(range(50))
        stream = stream_of(odd, 1_000_000, 200, "storm")
        assert await anext(stream) == 0
        await stream.aclose()

    loop.run(main)


def test_a_stream_dropped_in_a_storm_is_released(odd):
    for _ in range(10):
        stream = stream_of(odd, 1_000_000, 200, "storm")
        with contextlib.suppress(StopIteration, RuntimeError):  # RuntimeError: no item yet, and no loop to wait by
            stream.__anext__().send(None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            del stream
            gc.collect()


def test_use_on_another_thread_is_refused(odd):
    async def main():
        stream = stream_of(odd, 1000, 0)
        assert await anext(stream) == 0
        raised = []

        def elsewhere():
            try:
                asyncio.run(collect(stream))
            except RuntimeError as error:
                raised.append(str(error))

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert len(raised) == 1 and "another thread" in raised[0]
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    asyncio.run(main())


def test_use_at_the_same_time_is_refused(odd):
    async def main():
        stream = stream_of(odd, 10, 20_000)
        asked = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        with pytest.raises(AlreadyRunning):
            await anext(stream)
        assert await asked == 0
        await stream.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("second", [Loop, Uvloop, Trio], ids=lambda kind: kind.name)
def test_use_on_another_loop_is_refused(odd, second):
    first = asyncio.new_event_loop()
    try:
        stream = stream_of(odd, 1000, 1000)
        assert first.run_until_complete(anext(stream)) == 0

        async def elsewhere():
            with pytest.raises(RuntimeError, match="another event loop"):
                await collect(stream)

        from loops import make

        make(second).run(elsewhere)
    finally:
        first.close()


def test_a_forked_process_may_not_use_a_stream(odd):
    async def main():
        stream = stream_of(odd, 1000, 1000)
        assert await anext(stream) == 0
        return stream

    loop = asyncio.new_event_loop()
    stream = loop.run_until_complete(main())

    async def child():
        await collect(stream)

    assert_refused_in_a_child(child)
    loop.run_until_complete(stream.aclose())
    loop.close()


def test_a_stream_is_taken_once(odd):
    source = Source(odd.stream(2))
    stream = async_generator.stream(source)
    assert odd.name_of(source.capsule) == "used_agen_stream"
    with pytest.raises(RuntimeError, match="taken already"):
        async_generator.stream(source)
    assert asyncio.run(collect(stream)) == [0, 1]


def test_one_of_many_threads_takes_a_stream(odd):
    for _ in range(20):
        source = Source(odd.stream(2))
        taken = []
        start = threading.Barrier(4)

        def takes():
            start.wait()
            with contextlib.suppress(RuntimeError):
                taken.append(async_generator.stream(source))

        threads = [threading.Thread(target=takes) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(taken) == 1


@pytest.mark.parametrize(
    "how, error, text",
    [
        ("version 2.7", RuntimeError, r"version 2\.7 of agen_stream\.h.*reads 1: update async_generator"),
        ("version 0.9", RuntimeError, r"version 0\.9 .*build the producer again"),
        ("no drop()", ValueError, "lacks a function"),
    ],
)
def test_a_stream_that_cannot_be_read_is_refused_and_released(odd, how, error, text):
    source = Source(odd.stream(2, 0, how))
    with pytest.raises(error, match=text):
        async_generator.stream(source)
    assert odd.name_of(source.capsule) == "agen_stream"
    del source
    assert odd.alive() == 0


def test_a_later_minor_version_is_read(odd):
    assert asyncio.run(collect(stream_of(odd, 3, 0, "version 1.9"))) == [0, 1, 2]


def test_what_is_no_stream_is_refused(odd):
    async def native():
        yield 1

    with pytest.raises(TypeError, match="takes an object with __agen_stream__.*list has none"):
        async_generator.stream([])
    with pytest.raises(TypeError, match=r"has none; .* async_generator\.streams"):
        async_generator.stream(native())
    with pytest.raises(TypeError, match='has to return a capsule named "agen_stream", not 7'):
        async_generator.stream(Source(7))
    with pytest.raises(TypeError, match="arrow_array_stream"):
        async_generator.stream(Source(odd.other_capsule()))
    with pytest.raises(ZeroDivisionError):

        class Raises:
            def __agen_stream__(self):
                return 1 / 0

        async_generator.stream(Raises())


def test_a_capsule_that_nobody_takes_is_released(odd):
    odd.stream(2)
    assert odd.alive() == 0


def test_streams_of_one_loop_share_a_descriptor(odd):
    async def main():
        streams = [stream_of(odd, 10, 2000) for _ in range(50)]
        before = open_descriptors()
        async with contextlib.AsyncExitStack() as stack:
            for stream in streams:
                await stack.enter_async_context(aclosing(stream))
            await asyncio.gather(*(anext(stream) for stream in streams))
            return open_descriptors() - before

    assert asyncio.run(main()) <= 1


def test_nothing_is_imported_before_a_stream_is_used():
    program = (
        "import sys, async_generator as package\n"
        "assert 'async_generator._stream' not in sys.modules\n"
        "assert 'async_generator._stream_abi' not in sys.modules\n"
        "from async_generator import *\n"
        "assert stream is package.stream\n"
        "assert 'async_generator._stream_abi' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_package_in_plain_python_says_that_it_needs_the_engine():
    program = (
        "import async_generator\n"
        "class Source:\n"
        "    def __agen_stream__(self): return None\n"
        "try: async_generator.stream(Source())\n"
        "except RuntimeError as error: assert 'needs the package\\'s engine' in str(error)\n"
        "else: raise SystemExit('no error')\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "ASYNC_GENERATOR_ENGINE": "plain"})


# The check of producers, without Python. Sanitizers see what it makes the producer do.


def compiled(folder, name, *sources, sanitizer="thread", include=()):
    compiler = shutil.which(os.environ.get("CC", "gcc"))
    if compiler is None:
        pytest.skip("no C compiler here (Debian: gcc)")
    program = folder / name
    environment = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "PYTHONPATH")}
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g", "-O1", f"-fsanitize={sanitizer}"]
    paths = [f"-I{path}" for path in (ROOT / "include", *include)]
    done = subprocess.run(
        [compiler, *flags, *paths, *map(str, sources), "-o", program, "-pthread"],
        capture_output=True,
        text=True,
        env=environment,
    )
    if "cannot find" in done.stderr and "san" in done.stderr:
        pytest.skip(f"no runtime of -fsanitize={sanitizer} here")
    assert done.returncode == 0, done.stderr
    return lambda *arguments: subprocess.run(
        [program, *arguments], capture_output=True, text=True, env=environment, timeout=120
    )


@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_the_sensor_keeps_the_rules(tmp_path, sanitizer):
    done = compiled(tmp_path, "check", SENSOR / "check.c", SENSOR / "sensor.c", sanitizer=sanitizer)()
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def wrong(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("wrong"), "wrong", STREAMS / "wrong.c")


def test_the_check_finds_nothing_in_a_producer_that_keeps_the_rules(wrong):
    done = wrong()
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "rule, told",
    [
        ("data race", "ThreadSanitizer: data race"),
        ("lost wake", "no wake came after AGEN_STREAM_PENDING"),
        ("late wake", "wake was called after release"),
        ("never ends", "stop.. at item 0: no wake came after"),
        ("fails to stop", "ERROR after stop"),
        ("end is taken back", "takes back that the stream has ended"),
        ("endless after stop", "items do not end after stop"),
        ("too many items", "more items than were asked for"),
        ("no count", "left .count alone"),
        ("no items", "comes with items"),
        ("unknown answer", "unknown answer"),
        ("start fails without text", "error.. has no text"),
        ("unknown version", "the major version is not the one"),
        ("no drop()", "a function other than exception.. is null"),
    ],
)
def test_the_check_finds_a_broken_rule(wrong, rule, told):
    done = wrong(rule)
    assert done.returncode != 0
    assert re.search(told, done.stderr), done.stderr


@pytest.mark.parametrize("language", ["c99", "c11", "c17", "c++11", "c++17", "c++20"])
def test_the_header_is_clean_in_c_and_in_cpp(tmp_path, language):
    kind = "c++" if "+" in language else "c"
    compiler = shutil.which("g++" if kind == "c++" else "gcc")
    if compiler is None:
        pytest.skip("no compiler here (Debian: g++)")
    headers = ["agen_stream.h"] + ["agen_stream_check.h"] * (language not in ("c99", "c++11"))
    for header in headers:
        source = tmp_path / f"{header}.{'cpp' if kind == 'c++' else 'c'}"
        source.write_text(f"#include <agen/{header}>\n#include <agen/{header}>\nint main(void) {{ return 0; }}\n")
        subprocess.run(
            [
                compiler,
                f"-std={language}",
                "-Wall",
                "-Wextra",
                "-Wpedantic",
                "-Werror",
                "-fsyntax-only",
                f"-I{ROOT / 'include'}",
                source,
            ],
            check=True,
        )


# The example as a user sees it.


@pytest.fixture(scope="module")
def sensor():
    return extensions.load(SENSOR, "sensor", agen_ROOT=async_generator_cmake())


def async_generator_cmake():
    from async_generator import bridge

    return bridge.get_cmake_dir()


@every_loop
def test_each_stream_of_a_sensor_is_one_of_its_own(loop, sensor):
    async def main():
        source = sensor.Sensor(4, microseconds=100)
        for _ in range(2):
            assert await collect(async_generator.stream(source)) == [(0, 0.0), (1, 0.5), (2, 1.0), (3, 1.5)]
        assert sensor.alive() == 0

    loop.run(main)
