"""Items of C++ generators in batches: gen.batches(), on every event loop."""

import array
import asyncio
import gc
import time
import warnings

import pytest
from async_generator import aclosing, async_generator, bridge, isasyncgen
from loops import Curio, Loop, Uvloop, every_loop


async def collect(stream):
    return [item async for item in stream]


def drained(stream):
    return asyncio.run(collect(stream))


def test_lists_of_up_to_so_many_items(bodies):
    assert drained(bodies.count(10).batches(4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert drained(bodies.count(8).batches(4)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert drained(bodies.count(3).batches(10**12)) == [[0, 1, 2]]
    assert drained(bodies.count(3).batches(1)) == [[0], [1], [2]]
    assert drained(bodies.count(0).batches(4)) == []
    assert drained(bodies.words(["a", "ü", "c"]).batches(2)) == [["a", "ü"], ["c"]]


def test_arrays_are_memoryviews_of_numbers(bodies):
    batches = drained(bodies.count(10).batches(4, array=True))
    assert [type(batch) for batch in batches] == [memoryview] * 3
    assert [batch.tolist() for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert batches[0].format == "i"
    assert batches[0].itemsize == array.array("i").itemsize
    assert not batches[0].readonly
    batches[0][0] = 7  # its memory is its own
    assert array.array("i", batches[0]).tolist() == [7, 1, 2, 3]


def test_an_array_is_an_ordinary_buffer_and_outlives_its_generator(bodies):
    batches = drained(bodies.count(3).batches(64, array=True))
    del bodies
    gc.collect()
    (batch,) = batches
    assert (batch.shape, batch.strides, batch.nbytes) == ((3,), (batch.itemsize,), 3 * batch.itemsize)
    assert batch.c_contiguous
    assert batch.tobytes() == array.array("i", [0, 1, 2]).tobytes()
    assert bytearray(batch.obj) == batch.tobytes()  # asks for no format
    assert batch.cast("B")[0] == batch.tobytes()[0]
    batch.release()


def test_numpy_takes_an_array_without_a_copy(bodies):
    numpy = pytest.importorskip("numpy")
    (batch,) = drained(bodies.count(100).batches(100, array=True))
    seen = numpy.asarray(batch)
    assert (seen.dtype, seen.sum()) == (numpy.dtype("i"), 4950)
    seen[0] = 50
    assert batch[0] == 50


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("flags", [True, False, True]),
        ("halves", [0.0, 0.5, 1.0]),
        ("small", [0, 255, 254]),
        ("big", [0, -(2**62), -(2**63)]),
    ],
)
def test_numbers_of_other_types(bodies, name, expected):
    make = getattr(bodies, name)
    assert drained(make().batches(3)) == [expected]
    (batch,) = drained(make().batches(3, array=True))
    assert batch.tolist() == expected


def test_it_is_refused_where_it_cannot_be(bodies):
    @async_generator
    async def of_python():
        yield 1

    stream = bodies.count(10)
    with pytest.raises(ValueError, match="batches\\(\\) of 0 items"):
        stream.batches(0)
    with pytest.raises(TypeError):
        stream.batches()
    with pytest.raises(TypeError):
        stream.batches("4")
    with pytest.raises(TypeError, match="written in C"):
        of_python().batches(4)
    with pytest.raises(TypeError, match="numbers only"):
        bodies.words(["a"]).batches(4, array=True)
    with pytest.raises(TypeError, match="one of batches"):
        stream.batches(4).batches(4)
    with pytest.raises(RuntimeError, match="was closed"):
        stream.batches(4)
    assert drained(stream) == []
    with pytest.raises(TypeError, match="takes Python objects"):
        bodies.echo_objects().batches(4)


def test_the_function_for_type_checkers(bodies):
    assert drained(bridge.batches(bodies.count(3), 2)) == [[0, 1], [2]]
    assert [batch.tolist() for batch in drained(bridge.batches(bodies.count(3), 2, array=True))] == [[0, 1], [2]]
    for other in (object(), [1]):
        with pytest.raises(TypeError, match="written in C"):
            bridge.batches(other, 2)


def test_the_first_items_may_come_one_by_one(bodies):
    async def main():
        stream = bodies.count(6)
        assert await stream.__anext__() == 0
        batches = stream.batches(4)
        assert isasyncgen(batches)
        assert batches.__name__ == stream.__name__
        return await collect(batches)

    assert asyncio.run(main()) == [[1, 2, 3, 4], [5]]


def test_an_exception_comes_after_the_items_before_it(bodies, channels):
    async def main():
        batches = channels.failing(3).batches(2)
        got = []
        with pytest.raises(IndexError, match="the broker is gone"):
            async for batch in batches:
                got += batch
        with pytest.raises(StopAsyncIteration):
            await batches.__anext__()
        return got

    assert asyncio.run(main()) == [0, 1, 2]


def test_nothing_can_be_sent(bodies):
    async def main():
        batches = bodies.count(9).batches(2)
        assert await batches.__anext__() == [0, 1]
        with pytest.raises(TypeError, match="takes no values"):
            await batches.asend(5)
        assert await batches.asend(None) == [2, 3]
        await batches.aclose()

    asyncio.run(main())


def test_what_is_thrown_in_arrives_at_the_last_items_yield(bodies):
    async def main():
        batches = bodies.catches().batches(2)
        assert await batches.__anext__() == ["ready", "nothing"]
        assert await batches.athrow(KeyError("mine")) == ["KeyError: 'mine'", "nothing"]
        await batches.aclose()
        with pytest.raises(StopAsyncIteration):
            await batches.__anext__()

    asyncio.run(main())


# A body that waits: what is there is given first.


@every_loop
def test_items_do_not_wait_for_a_full_batch(loop, channels):
    async def main():
        return await collect(channels.paced(6, 20_000).batches(100))

    batches = loop.run(main)
    assert sum(batches, []) == list(range(6))
    assert len(batches) > 1


@every_loop
def test_a_body_that_awaits_before_each_item(loop, channels):
    async def main():
        return await collect(channels.ticks(5, 1000).batches(3))

    assert loop.run(main) == [[0], [1], [2], [3], [4]]


@every_loop
@pytest.mark.parametrize("as_array", [False, True])
def test_nothing_is_lost_or_doubled(loop, channels, as_array):
    async def main():
        got = []
        async for batch in channels.many(4, 3000, 100).batches(64, array=as_array):
            assert 0 < len(batch) <= 64
            got += batch
        return got

    got = loop.run(main)
    assert len(got) == 12_000
    for producer in range(4):
        assert [item % 1_000_000 for item in got if item // 1_000_000 == producer] == list(range(3000))


@every_loop
def test_a_channel_does_not_starve_the_loop(loop, channels):
    async def main():
        turns = 0
        done = False

        async def others():
            nonlocal turns
            while not done:
                turns += 1
                await loop.sleep(0)

        async def consumes():
            nonlocal done
            end = time.monotonic() + 0.2
            async with aclosing(channels.numbers(10**9, 1024).batches(64)) as batches:
                async for _ in batches:
                    if time.monotonic() > end:
                        break
            done = True

        await loop.together(others, consumes)
        return turns

    assert loop.run(main) > 20


@every_loop
@pytest.mark.parametrize("way", ["aclose", "athrow", "cancelled"])
def test_leaving_where_the_body_is_about_to_wait(loop, channels, way):
    """The last batch was given because the body has come to an await, which has not begun."""

    async def main():
        batches = channels.busy(1000).batches(8)
        assert await batches.__anext__() == [1]
        if way == "aclose":
            await batches.aclose()
        elif way == "athrow":
            error = KeyError("mine")
            with pytest.raises(KeyError) as caught:
                await batches.athrow(error)
            assert caught.value is error
        else:
            assert await loop.cancel_after(0.01, batches.__anext__)
        assert channels.producers() == 0
        with pytest.raises(StopAsyncIteration):
            await batches.__anext__()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loop.run(main)


@pytest.mark.parametrize("kind", [Loop, Uvloop, Curio], ids=lambda kind: kind.name)
@pytest.mark.parametrize("make", ["busy", "ticks"])
def test_dropping_where_the_body_is_about_to_wait(loop, channels, make):
    async def main():
        arguments = (1000,) if make == "busy" else (9, 1000)
        batches = getattr(channels, make)(*arguments).batches(8)
        assert (await batches.__anext__())[0] in (0, 1)
        del batches
        gc.collect()
        await loop.sleep(0.05)
        assert channels.producers() == 0

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loop.run(main)


def test_dropping_without_a_loop(channels):
    batches = channels.busy(1000).batches(8)
    time.sleep(0.03)
    with pytest.raises(StopIteration) as first:
        batches.__anext__().send(None)
    assert first.value.value == [1]
    del batches
    end = time.monotonic() + 10
    while channels.producers():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_delegation_in_cpp_is_collected_and_to_python_refused(bodies):
    async def items():
        yield 1

    assert drained(bodies.deep(5, 7).batches(3)) == [[0, 1, 2], [3, 4, 5], [6]]
    with pytest.raises(RuntimeError, match="yield_from"):
        drained(bodies.mixed(items()).batches(1))


def test_an_item_that_does_not_convert_fails_in_the_body(bodies):
    one_by_one = []
    in_batches = []

    async def main():
        for stream, got in ((bodies.unconvertible(), one_by_one), (bodies.unconvertible().batches(4), in_batches)):
            try:
                got += await collect(stream)
            except Exception as error:
                got.append(type(error))

    asyncio.run(main())
    assert one_by_one == in_batches
    assert len(one_by_one) == 1


def test_a_generator_of_batches_is_iterated_by_cpp(bodies):
    with pytest.raises(TypeError):
        drained(bodies.twice(bodies.count(4).batches(2)))


def test_a_body_is_destroyed_with_its_batches(bodies):
    before = bodies.alive()
    batches = bodies.count(10).batches(3)
    assert drained(batches)
    assert bodies.alive() == before
    batches = bodies.count(10).batches(3)
    with pytest.raises(StopIteration):
        batches.__anext__().send(None)
    assert bodies.alive() == before + 1
    del batches
    gc.collect()
    assert bodies.alive() == before
