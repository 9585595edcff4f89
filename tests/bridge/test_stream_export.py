"""Channels and C++ generators that export themselves by agen_stream.h, on every event loop and for a consumer in C."""

import asyncio
import gc
import time
import warnings

import async_generator
import extensions
import pytest
from async_generator import aclosing
from conftest import HERE
from loops import every_loop


@pytest.fixture(scope="module")
def module():
    return extensions.load(HERE / "streams", "exported")


@pytest.fixture
def exported(module):
    yield module
    gc.collect()
    until(lambda: module.alive() == 0)


def until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.001)


async def collect(stream):
    return [item async for item in stream]


SOURCES = ["numbers", "at_once", "awaits"]


@every_loop
@pytest.mark.parametrize("source", SOURCES)
def test_all_items_come_in_order(loop, exported, source):
    made = getattr(exported, source)(50)
    assert loop.run(collect, async_generator.stream(made)) == list(range(50))


@every_loop
@pytest.mark.parametrize("source", SOURCES)
def test_closing_early_ends_the_source(loop, exported, source):
    async def main():
        async with aclosing(async_generator.stream(getattr(exported, source)(100_000))) as stream:
            async for item in stream:
                if item == 5:
                    break

    loop.run(main)


@every_loop
@pytest.mark.parametrize("source", ["failing", "awaits"])
def test_an_exception_is_the_one_of_a_bound_generator(loop, exported, source):
    async def main():
        got = []
        with pytest.raises(IndexError, match="the engine is gone"):
            async for item in async_generator.stream(getattr(exported, source)(3)):
                got.append(item)
        assert got == [0, 1, 2]

    loop.run(main)


@every_loop
def test_a_wait_of_the_body_is_stopped_and_its_cleanup_awaited(loop, exported):
    async def main():
        stream = async_generator.stream(exported.for_ever(2))
        assert [await anext(stream), await anext(stream)] == [0, 1]

        async def asks():
            await anext(stream)

        assert await loop.cancel_after(0.01, asks)
        await stream.aclose()

    loop.run(main)


@pytest.mark.parametrize("where", ["another module", "the same module"])
def test_a_body_that_awaits_python_says_that_it_cannot(exported, where):
    take = async_generator.stream if where == "another module" else exported.open_here
    with pytest.raises(RuntimeError, match="no Python event loop drives"):
        asyncio.run(collect(take(exported.python(1))))


@every_loop
@pytest.mark.parametrize("source", SOURCES)
def test_a_module_takes_its_own_streams(loop, exported, source):
    assert loop.run(collect, exported.open_here(getattr(exported, source)(50))) == list(range(50))


@pytest.mark.parametrize("source", [*SOURCES, "for_ever"])
def test_what_nobody_takes_or_finishes_is_released(exported, source):
    make = getattr(exported, source)
    make(10)
    async_generator.stream(make(10))

    async def main():
        stream = async_generator.stream(make(10))
        await anext(stream)
        await asyncio.sleep(0.001)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        asyncio.run(main())


def test_it_is_taken_once(exported):
    made = exported.at_once(1)
    assert asyncio.run(collect(async_generator.stream(made))) == [0]
    with pytest.raises(RuntimeError, match="taken already"):
        async_generator.stream(made)


@pytest.mark.parametrize("source", SOURCES)
def test_the_streams_keep_the_rules(exported, source, capfd):
    assert getattr(exported, f"check_{source}")() == 0, capfd.readouterr().err
