"""Futures: one result from a C++ thread, awaited on every event loop, by Python and by C++ bodies."""

import asyncio
import os
import threading
import time
import warnings

import extensions
import pytest
from conftest import HERE
from forking import assert_refused_in_a_child
from loops import Loop, Uvloop, every_loop, open_descriptors


@pytest.fixture(scope="module")
def module():
    return extensions.load(HERE / "channels", "futures")


@pytest.fixture
def futures(module):
    stopped = module.stopped()
    yield module
    until(lambda: module.running() == 0)
    assert module.alive() == 0
    assert module.stopped() - stopped in (0, 1)


def until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.001)


async def awaited(made):
    return await made


@every_loop
@pytest.mark.parametrize("after", [0, 10_000], ids=["at once", "later"])
def test_the_value_of_a_thread_is_awaited(loop, futures, after):
    assert loop.run(awaited, futures.value(7, after)) == 7
    assert loop.run(awaited, futures.happens(0, after)) is None


def test_a_value_that_is_there_needs_no_loop(futures):
    made = futures.value(7)
    until(lambda: futures.running() == 0)
    with pytest.raises(StopIteration) as result:
        made.send(None)
    assert result.value.value == 7


@every_loop
@pytest.mark.parametrize("after", [0, 10_000], ids=["at once", "later"])
def test_an_exception_of_a_thread_is_raised(loop, futures, after):
    with pytest.raises(IndexError, match="the engine is gone"):
        loop.run(awaited, futures.fails(0, after))


@every_loop
@pytest.mark.parametrize("after", [0, 10_000], ids=["at once", "later"])
def test_an_abandoned_promise_is_an_error_with_a_name(loop, futures, after):
    with pytest.raises(RuntimeError, match="promise of this result was destroyed without setting it"):
        loop.run(awaited, futures.abandoned(0, after))


def test_no_exception_and_no_promise_are_errors(futures):
    with pytest.raises(RuntimeError, match="there is no exception"):
        asyncio.run(awaited(futures.fails_with_nothing(0, 1000)))
    with pytest.raises(RuntimeError, match="has no promise"):
        asyncio.run(awaited(futures.without_promise()))


@every_loop
def test_a_cancellation_arrives_as_a_stop_request(loop, futures):
    before = futures.stopped()
    assert loop.run(loop.cancel_after, 0.02, futures.until_stopped)
    until(lambda: futures.stopped() == before + 1)


@pytest.mark.parametrize("began", [False, True])
def test_dropping_it_is_a_stop_request(futures, began):
    before = futures.stopped()
    made = futures.until_stopped()
    if began:

        async def begins():
            made.send(None)

        asyncio.run(begins())
        made.close()
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # it was never awaited
            del made
    until(lambda: futures.stopped() == before + 1)


@every_loop
def test_a_body_awaits_futures(loop, futures):
    async def main():
        return [item async for item in futures.each(20, 300)]

    assert loop.run(awaited, futures.sum(20, 300)) == sum(range(20))
    assert loop.run(main) == list(range(20))


def test_one_of_many_threads_sets_it(futures):
    for _ in range(50):
        assert asyncio.run(awaited(futures.raced(4))) == 1


@pytest.mark.parametrize("kind", [Loop, Uvloop], ids=lambda kind: kind.name)
def test_many_at_once_have_one_descriptor(loop, futures):
    async def main():
        before = open_descriptors()
        tasks = [asyncio.ensure_future(futures.value(i, 200_000)) for i in range(200)]
        await asyncio.sleep(0.02)
        added = open_descriptors() - before
        assert await asyncio.gather(*tasks) == list(range(200))
        return added

    assert loop.run(main) == 1


def test_loops_in_threads_of_their_own(futures):
    async def main():
        return sum(await asyncio.gather(*(futures.value(i, 100 * i) for i in range(50))))

    sums = []
    threads = [threading.Thread(target=lambda: sums.append(asyncio.run(main()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums == [sum(range(50))] * 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
def test_a_forked_child_is_refused(futures):
    made = futures.value(7, 50_000)
    assert_refused_in_a_child(lambda: awaited(made))
    assert asyncio.run(awaited(made)) == 7


def test_a_bound_function_returns_a_future_as_an_awaitable(bodies):
    assert asyncio.run(awaited(bodies.from_thread("grüße", False))) == "grüße"
    with pytest.raises(ValueError, match="wrong"):
        asyncio.run(awaited(bodies.from_thread("", True)))
    assert "collections.abc.Coroutine[typing.Any, None, str]" in bodies.from_thread.__doc__
