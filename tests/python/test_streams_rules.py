"""Streams: what each combinator answers, and the rules that hold for all, on each event loop."""

import asyncio
import gc
import itertools
import math
import re
import sys
import threading
import time
from decimal import Decimal
from fractions import Fraction

import pytest
from async_generator import aclosing, async_generator, bridge, isolated, streams, structured, yield_, yield_from_
from streams_running import LOOPS, Source, run_on


@pytest.fixture(params=LOOPS)
def run(request):
    return lambda function, *arguments: run_on(request.param, function, *arguments)


async def all_of(stream):
    return [item async for item in stream]


async def fails(stream, error):
    """What a stream yields before it fails, and the exception."""
    got = []
    with pytest.raises(error) as raised:
        async for item in stream:
            got.append(item)
    return got, raised.value


# What each answers -----------------------------------------------------------------------------------------------------


def test_merge_yields_items_as_they_come_and_ends_when_all_have_ended(run):
    async def main():
        a, b, c = Source("a1", 0.05, "a2"), Source(0.01, "b1", 0.15, "b2"), Source()
        assert await all_of(streams.merge(a, b, c)) == ["a1", "b1", "a2", "b2"]
        assert [source.closed for source in (a, b, c)] == [1, 1, 1]
        assert await all_of(streams.merge()) == []

    run(main)


def test_merge_takes_its_sources_in_turn(run):
    async def main():
        sources = [Source(*[name] * 4) for name in "abc"]
        got = "".join(await all_of(streams.merge(*sources)))  # trio takes what is ready in any order
        assert ["".join(sorted(got[i : i + 3])) for i in range(0, 12, 3)] == ["abc"] * 4

    run(main)


def test_a_source_with_items_at_once_keeps_no_other_from_its_turn():
    async def endless():
        while True:
            yield "endless"

    async def main():
        async with aclosing(streams.merge(endless(), Source(None, None, "other"))) as items:
            seen = 0
            async for item in items:
                seen += 1
                assert seen < 1000
                if item == "other":
                    break

    run_on("asyncio", main)


def test_sources_that_wait_for_a_turn_take_one_turn_of_the_loop_together():
    async def main():
        turns = 0

        async def count():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.ensure_future(count())
        got = await all_of(streams.merge(*[Source(*[None, name] * 50) for name in "abc"]))
        counting.cancel()
        assert "".join(got) == "abc" * 50
        assert 50 <= turns <= 60

    run_on("asyncio", main)


def test_the_loop_comes_round_for_a_source_while_the_consumer_works():
    async def main():
        async def waits():
            nonlocal waiting
            yield 0
            waiting = True
            await asyncio.sleep(0)
            yield 1

        waiting = False
        async with aclosing(streams.merge(waits(), Source(*"abcdefgh"))) as items:
            while not waiting:
                await items.__anext__()
            await asyncio.sleep(0.01)
            at_once = []
            for _ in range(2):
                with pytest.raises(StopIteration) as stopped:  # it does not wait
                    items.__anext__().__await__().send(None)
                at_once.append(stopped.value.value)
            assert 1 in at_once

    run_on("asyncio", main)


def test_a_wait_for_a_turn_that_is_given_up_is_waited_for_by_the_next_operation():
    async def main():
        happened = []

        async def waits():
            yield 0
            await asyncio.sleep(0)
            happened.append("goes on")
            yield 1

        async with aclosing(streams.merge(waits())) as items:
            assert await items.__anext__() == 0
            operation = items.__anext__().__await__()
            operation.send(None)
            asyncio.get_running_loop().call_soon(happened.append, "the loop")
            with pytest.raises(TimeoutError):
                operation.throw(TimeoutError())
            assert await items.__anext__() == 1
        assert happened == ["the loop", "goes on"]

    run_on("asyncio", main)


def test_race_yields_the_items_of_whichever_answers_first_and_closes_the_others_before(run):
    async def main():
        fast, slow, empty = Source(0.01, 1, 2, 3), Source(0.5, "slow"), Source()
        async with aclosing(streams.race(slow, empty, fast)) as items:
            assert await items.__anext__() == 1
            assert (slow.closed, fast.closed) == (1, 0)
            assert await all_of(items) == [2, 3]
        assert await all_of(streams.first(Source(), Source())) == []
        assert streams.first is streams.race

    run(main)


def test_zip_yields_tuples_until_the_shortest_ends(run):
    async def main():
        a, b = Source(1, 2, 3), Source(0.01, "x", None, "y")
        assert await all_of(streams.zip(a, b)) == [(1, "x"), (2, "y")]
        assert a.closed == b.closed == 1
        assert await all_of(streams.zip()) == [] == await all_of(streams.zip(strict=True))

    run(main)


def test_zip_strict_raises_for_sources_of_different_length(run):
    async def main():
        assert await all_of(streams.zip(Source(1, 2), Source(0.01, 3, 4, 0.01), strict=True)) == [(1, 3), (2, 4)]
        got, error = await fails(streams.zip(Source(1, 2), Source(3), strict=True), ValueError)
        assert got == [(1, 3)] and str(error) == "zip() source 2 is shorter than source 1"

    run(main)


def test_zip_latest_yields_the_latest_of_each_once_all_have_yielded(run):
    async def main():
        a, b = Source(1, 0.04, 2, 0.04, 3), Source(0.02, "x", 0.04, "y")
        assert await all_of(streams.zip_latest(a, b)) == [(1, "x"), (2, "x"), (2, "y"), (3, "y")]

    run(main)


@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_prefetch_is_never_more_than_n_ahead_and_works_while_its_consumer_does(run, n):
    async def main():
        source = Source(*range(10))
        taken = 0
        async with aclosing(streams.prefetch(source, n)) as items:
            async for item in items:
                assert item == taken
                taken += 1
                await bridge.sleep(0.01)
                assert source.asked - taken <= n
                assert source.asked == 10 or source.asked > taken
        assert taken == 10

    run(main)


def test_prefetch_hands_back_what_was_fetched_and_not_taken(run):
    async def main():
        source, left = Source(*range(10)), []
        async with aclosing(streams.prefetch(source, 3, left_over=left.extend)) as items:
            assert await items.__anext__() == 0
            await bridge.sleep(0.01)
        assert left == list(range(1, source.asked)) and 0 < len(left) <= 3 and source.closed == 1
        left.clear()
        assert await all_of(streams.prefetch(Source(1, 2), 3, left_over=left.extend)) == [1, 2] and left == []

    run(main)


def test_prefetch_yields_what_came_before_an_error(run):
    async def main():
        got, error = await fails(streams.prefetch(Source(1, 2, KeyError("late")), 5), KeyError)
        assert got == [1, 2] and error.args == ("late",)

    run(main)


def test_an_error_that_was_fetched_is_raised_at_the_latest_when_the_stream_is_closed(run):
    async def main():
        left = []
        with pytest.raises(KeyError, match="ahead"):
            async with aclosing(streams.prefetch(Source(1, 2, KeyError("ahead")), 5, left_over=left.extend)) as items:
                assert await items.__anext__() == 1
                await bridge.sleep(0.01)
        assert left == [2]
        with pytest.raises(KeyError, match="ahead"):
            async with aclosing(streams.chunks(Source(1, KeyError("ahead")), 5)) as items:
                assert await items.__anext__() == [1]

    run(main)


def test_chunks_are_full_but_for_the_last(run):
    async def main():
        assert await all_of(streams.chunks(Source(*range(5)), 2)) == [[0, 1], [2, 3], [4]]
        assert await all_of(streams.chunks(Source(), 2)) == []
        got, _ = await fails(streams.chunks(Source(1, 2, 3, KeyError()), 2), KeyError)
        assert got == [[1, 2], [3]]

    run(main)


def test_chunks_come_in_time(run):
    async def main():
        source = Source(1, 2, 0.3, 3, 4, 5, 6)
        assert await all_of(streams.chunks(source, 3, within=0.1)) == [[1, 2], [3, 4, 5], [6]]

    run(main)


def test_timeout_gives_up_the_wait_and_not_the_source(run):
    async def main():
        source = Source(1, 0.15, 2)
        async with aclosing(streams.timeout(source, 0.1)) as items:
            assert await items.__anext__() == 1
            with pytest.raises(TimeoutError, match=r"no item within 0\.1 s"):
                await items.__anext__()
            assert source.closed == 0
            assert await all_of(items) == [2]

    run(main)


def test_timeout_ends(run):
    async def main():
        source = Source(1, 5.0, 2)
        assert await all_of(streams.timeout(source, 0.02, then="end")) == [1]
        assert source.closed == 1
        with pytest.raises(ValueError, match="then is 'raise' or 'end', not 'stop'"):
            streams.timeout(source, 1, then="stop")

    run(main)


def test_broadcast_gives_each_reader_all_items_from_one_puller(run):
    async def main():
        source = Source(*range(50), 0.001, "last")
        shared = streams.broadcast(source, 4)
        readers = [shared.reader() for _ in range(3)]
        assert await gathered([all_of(reader) for reader in readers]) == [[*range(50), "last"]] * 3
        assert source.begun == source.closed == 1

    run(main)


async def gathered(coroutines):
    """What coroutines return that run at the same time, on any event loop."""
    results = [None] * len(coroutines)

    async def keep(place, coroutine):
        results[place] = await coroutine

    import anyio

    async with anyio.create_task_group() as group:
        for place, coroutine in enumerate(coroutines):
            group.start_soon(keep, place, coroutine)
    return results


def test_a_slow_reader_keeps_the_others_waiting(run):
    async def main():
        source = Source(*range(9))
        shared = streams.broadcast(source, 2)
        slow, fast = shared.reader(), shared.reader()

        async def read():
            return await all_of(fast)

        async def lag():
            await bridge.sleep(0.02)
            assert source.asked == 2
            return await all_of(slow)

        assert await gathered([read(), lag()]) == [list(range(9))] * 2

    run(main)


def test_a_slow_reader_loses_the_oldest_items_or_gets_an_error(run):
    async def main():
        shared = streams.broadcast(Source(*range(9)), 2, slow="drop")
        slow, fast = shared.reader(), shared.reader()
        assert await all_of(fast) == list(range(9)) and await all_of(slow) == [7, 8]
        shared = streams.broadcast(Source(*range(9)), 2, slow="error")
        slow, fast = shared.reader(), shared.reader()
        assert await all_of(fast) == list(range(9))
        got, error = await fails(slow, streams.SlowReader)
        assert got == [0, 1] and "more than 2 items behind" in str(error)
        with pytest.raises(ValueError, match="slow is 'wait', 'drop' or 'error', not 'sleep'"):
            streams.broadcast(Source(), slow="sleep")

    run(main)


def test_a_reader_that_has_lost_an_item_gets_no_later_one(run):
    async def main():
        shared = streams.broadcast(Source(*range(9)), 2, slow="error")
        slow, fast = shared.reader(), shared.reader()
        assert [await fast.__anext__() for _ in range(3)] == [0, 1, 2]  # 2 is lost to the slow one
        assert await slow.__anext__() == 0  # so there is room again
        assert await all_of(fast) == list(range(3, 9))
        assert (await fails(slow, streams.SlowReader))[0] == [1]

    run(main)


def test_the_last_reader_closes_the_source_and_a_dropped_one_keeps_nobody(run):
    async def main():
        source = Source(*range(9))
        shared = streams.broadcast(source, 2)
        one, other = shared.reader(), shared.reader()
        del other
        assert [await one.__anext__() for _ in range(5)] == list(range(5))
        assert source.closed == 0
        await one.aclose()
        assert source.closed == 1
        async with streams.broadcast(Source(1, 2, KeyError())) as shared:
            one, other = shared.reader(), shared.reader()
            assert (await fails(one, KeyError))[0] == (await fails(other, KeyError))[0] == [1, 2]
            assert (await fails(shared.reader(), KeyError))[0] == []

    run(main)


def test_from_thread_brings_all_items_in_order(run):
    async def main():
        here = threading.get_ident()
        seen = set()

        def blocking():
            for i in range(1000):
                seen.add(threading.get_ident())
                yield i

        before = threading.active_count()
        assert await all_of(streams.from_thread(blocking(), 64)) == list(range(1000))
        assert here not in seen and len(seen) == 1 and threading.active_count() == before
        assert await all_of(streams.from_thread([1, 2], 1)) == [1, 2]
        assert await all_of(streams.from_thread([])) == []

    run(main)


def test_from_thread_brings_an_item_soon_however_large_the_batch(run):
    async def main():
        def slow():
            yield 1
            time.sleep(0.2)
            yield 2

        async with aclosing(streams.from_thread(slow(), 1000)) as items:
            begin = time.perf_counter()
            assert await items.__anext__() == 1
            assert time.perf_counter() - begin < 0.15
            assert await all_of(items) == [2]

    run(main)


def test_from_thread_is_bounded_and_closing_stops_the_producer_and_awaits_it(run):
    async def main():
        made = 0
        log = []

        def endless():
            nonlocal made
            try:
                while True:
                    made += 1
                    yield made
            finally:
                log.append("closed")

        before = threading.active_count()
        async with aclosing(streams.from_thread(endless(), 8)) as items:
            assert await items.__anext__() == 1
            await bridge.sleep(0.05)
            assert made <= 8 + 16
        assert log == ["closed"] and threading.active_count() == before

        def failing():
            yield 1
            raise KeyError("in the thread")

        got, error = await fails(streams.from_thread(failing()), KeyError)
        assert got == [1] and error.args == ("in the thread",)

    run(main)


def test_from_iterable_is_pep_828s_recipes(run):
    async def main():
        assert await all_of(streams.from_iterable([1, 2])) == [1, 2]

        def echo():
            got = None
            while got != "end":
                try:
                    got = yield got
                except KeyError as error:
                    got = error.args[0]
            return "result"

        items = streams.from_iterable(echo())
        assert await items.asend(None) is None and await items.asend(1) == 1
        assert await items.athrow(KeyError("thrown")) == "thrown"
        with pytest.raises(StopAsyncIteration) as stop:
            await items.asend("end")
        assert stop.value.args == ("result",)
        inner = echo()
        items = streams.from_iterable(inner)
        await items.__anext__()
        await items.aclose()
        assert inner.gi_frame is None

        def stops():
            raise StopAsyncIteration
            yield

        with pytest.raises(RuntimeError, match="StopAsyncIteration"):
            await streams.from_iterable(stops()).__anext__()
        with pytest.raises(TypeError, match="takes an iterable, not int"):
            streams.from_iterable(1)

    run(main)


def test_collect(run):
    async def main():
        assert await streams.collect(Source(1, 2, 1)) == [1, 2, 1]
        assert await streams.collect(Source(1, 2, 1), set) == {1, 2}
        assert await streams.collect(streams.zip(Source("a"), Source(1)), dict) == {"a": 1}
        source = Source(1, KeyError())
        with pytest.raises(KeyError):
            await streams.collect(source)
        assert source.closed == 1

    run(main)


def test_flat_map_and_scan(run):
    async def main():
        made = []

        def twice(item):
            made.append(Source(item, None, item))
            return made[-1]

        assert await all_of(streams.flat_map(Source(1, None, 2), twice)) == [1, 1, 2, 2]
        assert [source.closed for source in made] == [1, 1]
        assert await all_of(streams.flat_map(Source("ab", "c"), lambda text: text)) == ["a", "b", "c"]
        assert await all_of(streams.scan(Source(1, 2, 3), lambda total, item: total + item)) == [1, 3, 6]
        assert await all_of(streams.scan(Source(1, 2), lambda total, item: total + item, 10)) == [10, 11, 13]
        assert await all_of(streams.scan(Source(), max)) == []

        async def add(total, item):
            await bridge.checkpoint()
            return total + item

        assert await all_of(streams.scan(Source(1, 2, 3), add)) == [1, 3, 6]
        with pytest.raises(TypeError):
            await all_of(streams.flat_map(Source(1), lambda item: item))

    run(main)


def test_take_until_ends_with_its_awaitable(run):
    async def main():
        source = Source(1, 2, 5.0, 3)
        assert await all_of(streams.take_until(source, bridge.sleep(0.03))) == [1, 2]
        assert source.closed == 1
        closed = []

        async def never():
            try:
                await bridge.sleep(5)
            finally:
                closed.append(True)

        assert await all_of(streams.take_until(Source(1, 2), never())) == [1, 2] and closed == [True]

        async def breaks():
            raise KeyError("broken")

        got, _ = await fails(streams.take_until(Source(0.01, 1), breaks()), KeyError)
        assert got == []
        with pytest.raises(TypeError, match="takes an awaitable, not int"):
            streams.take_until(source, 3)

    run(main)


def test_take_until_leaves_a_task_of_others_alone():
    async def main():
        task = asyncio.ensure_future(asyncio.sleep(0.05, "done"))
        assert await all_of(streams.take_until(Source(1, 2), task)) == [1, 2]
        assert await task == "done"

    run_on("asyncio", main)


@pytest.mark.parametrize("name", ["merge", "race", "zip", "zip_latest"])
def test_what_is_no_async_iterable_is_refused_at_once(name):
    with pytest.raises(TypeError, match="a source is an async iterable, not list; from_iterable"):
        getattr(streams, name)([1])
    for make in (lambda x: streams.prefetch(x, 1), lambda x: streams.chunks(x, 1), streams.broadcast):
        with pytest.raises(TypeError, match="a source is an async iterable"):
            make(3)
    for make in (streams.prefetch, streams.chunks, streams.broadcast):
        with pytest.raises(ValueError, match="at least 1"):
            make(Source(), 0)
    with pytest.raises(ValueError, match="at least 1"):
        streams.from_thread([], 0)
    with pytest.raises(TypeError, match="takes an iterable"):
        streams.from_thread(3)


TIMES = {
    "timeout(): seconds": lambda time: streams.timeout(Source(1), time),
    "chunks(): within": lambda time: streams.chunks(Source(1), 2, within=time),
    "from_thread(): within": lambda time: streams.from_thread([1], within=time),
}


@pytest.mark.parametrize("name", TIMES)
def test_a_time_that_is_none_is_refused_at_once(name):
    for wrong in ("x", 1j, [1], b"1"):
        with pytest.raises(TypeError, match=re.escape(f"{name} is a number of seconds, not {type(wrong).__name__}")):
            TIMES[name](wrong)
    with pytest.raises(ValueError, match="is a number of seconds, not nan"):
        TIMES[name](math.nan)
    with pytest.raises(ValueError, match="is too large"):
        TIMES[name](10**400)


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("time", [math.inf, 1e300, 1, True, Fraction(1, 2), Decimal("0.5")])
def test_any_real_number_is_a_time(run, name, time):
    async def main():
        assert await all_of(TIMES[name](time)) in ([1], [[1]])

    run(main)


@pytest.mark.parametrize("time", [math.inf, 10**30])
def test_a_wait_for_ever_ends_with_the_item(run, time):
    async def main():
        assert await all_of(streams.timeout(Source(0.01, 1), time)) == [1]
        assert await all_of(streams.chunks(Source(1, 0.01, 2), 2, within=time)) == [[1, 2]]

    run(main)


def test_a_function_that_is_none_is_refused_at_once():
    with pytest.raises(TypeError, match=r"flat_map\(\): function is a function, not int"):
        streams.flat_map(Source(1), 5)
    with pytest.raises(TypeError, match=r"scan\(\): function is a function, not int"):
        streams.scan(Source(1), 5, 0)


# Rules for all ---------------------------------------------------------------------------------------------------------

TWO = {
    "merge": streams.merge,
    "race": streams.race,
    "zip": streams.zip,
    "zip_latest": streams.zip_latest,
    "flat_map": lambda a, b: streams.flat_map(streams.chunks(a, 1), lambda _: b),
    "nested": lambda a, b: streams.prefetch(streams.merge(streams.chunks(a, 1), b), 2),
}
ONE = {
    "prefetch": lambda source: streams.prefetch(source, 2),
    "chunks": lambda source: streams.chunks(source, 2),
    "chunks by time": lambda source: streams.chunks(source, 2, within=5),
    "timeout": lambda source: streams.timeout(source, 5),
    "broadcast": lambda source: streams.broadcast(source).reader(),
    "scan": lambda source: streams.scan(source, lambda _, item: item),
    "take_until": lambda source: streams.take_until(source, bridge.sleep(5)),
    "merge": streams.merge,
}


@pytest.mark.parametrize("name", [*TWO])
def test_leaving_closes_all_sources_and_awaits_them(run, name):
    async def main():
        log = []

        async def source(name):
            try:
                while True:
                    await bridge.checkpoint()
                    yield name
            finally:
                with shield():
                    await bridge.sleep(0.01)
                log.append(name)

        async with aclosing(TWO[name](source("a"), source("b"))) as items:
            await items.__anext__()
            if name != "race":
                await items.__anext__()
        assert sorted(log) == ["a", "b"]

    run(main)


def shield():
    """trio's cancellation of what waits does not end when it has been delivered."""
    import anyio

    return anyio.CancelScope(shield=True)


@pytest.mark.parametrize("name", [*ONE])
def test_a_consumer_that_gives_up_loses_nothing(run, name):
    async def main():
        import anyio

        source = Source(*[x for i in range(6) for x in (0.02, i)])
        got = []
        async with aclosing(ONE[name](source)) as items:
            while True:
                try:
                    with anyio.fail_after(0.007):
                        got.append(await items.__anext__())
                except TimeoutError:
                    continue
                except StopAsyncIteration:
                    break
        if name.startswith("chunks"):
            got = [item for chunk in got for item in chunk]
        assert got == list(range(6)) and source.closed == 1 and source.error is None

    run(main)


@pytest.mark.parametrize("name", [*ONE, "zip", "zip_latest", "race"])
def test_the_first_error_closes_the_other_sources_and_is_raised(run, name):
    async def main():
        failing = Source(0.01, 1, 2, KeyError("first"))
        others = [] if name in ONE and name != "merge" else [Source(1, 2, 5.0, 3)]
        got, error = await fails({**ONE, **TWO}[name](failing, *others), KeyError)
        assert error.args == ("first",)
        if name != "race":
            assert failing.closed == 1 and all(other.closed == 1 for other in others)

    if name == "race":
        pytest.skip("an error after the race is the winner's own")
    run(main)


def test_further_errors_are_raised_with_the_first_as_a_group(run):
    async def main():
        async def source(error, of_cleanup):
            try:
                yield 1
                await bridge.sleep(0.01)
                if error is not None:
                    raise error
                await bridge.sleep(5)
            finally:
                if of_cleanup is not None:
                    raise of_cleanup

        with pytest.raises(BaseException) as raised:
            await all_of(streams.merge(source(KeyError("a"), None), source(None, ValueError("b"))))
        if isinstance(raised.value, KeyError):  # 3.10 without the backport
            assert sys.version_info < (3, 11) and "ValueError('b')" in raised.value.__notes__[0]
        else:
            assert [repr(error) for error in raised.value.exceptions] == ["KeyError('a')", "ValueError('b')"]
            assert isinstance(raised.value, Exception)
        with pytest.raises(ValueError, match="only"):
            async with aclosing(streams.merge(source(None, ValueError("only")), Source(1))) as items:
                await items.__anext__()

    run(main)


def test_a_result_is_an_async_generator_of_ours(run):
    async def main():
        items = streams.merge(Source(1, 2))
        import inspect

        assert inspect.isasyncgen(items) and items.__name__ == "merge"

        @async_generator
        async def around():
            await yield_from_(streams.merge(Source(1), streams.chunks(Source(2, 3), 2)))
            await yield_("after")

        got = await all_of(around())
        assert got[-1] == "after" and sorted(map(str, got[:-1])) == ["1", "[2, 3]"]

        @structured
        async def leaves(source):
            async for item in streams.merge(source):
                return item

        source = Source(1, 2)
        assert await leaves(source) == 1 and source.closed == 1

    run(main)


def test_an_exception_thrown_in_closes_the_sources(run):
    async def main():
        source = Source(1, 2)
        items = streams.merge(source)
        await items.__anext__()
        with pytest.raises(LookupError):
            await items.athrow(LookupError())
        assert source.closed == 1
        with pytest.raises(StopAsyncIteration):
            await items.__anext__()

    run(main)


class Plain:
    """An async iterator that is no generator, and cannot be closed."""

    def __init__(self, n):
        self.n = n

    def __aiter__(self):
        return self

    async def __anext__(self):
        await bridge.checkpoint()
        if self.n == 0:
            raise StopAsyncIteration
        self.n -= 1
        return self.n


def test_sources_are_any_async_iterables(run):
    async def main():
        @async_generator
        async def ours():
            await yield_("ours")

        @async_generator(structured=True, context="own")
        async def with_an_environment():
            await yield_("environment")

        every = [Plain(2), ours(), with_an_environment(), Source("native"), streams.from_thread(["thread"])]
        assert sorted(map(str, await all_of(streams.merge(*every)))) == [
            "0", "1", "environment", "native", "ours", "thread"
        ]  # fmt: skip
        async with aclosing(streams.merge(Plain(5), Source(5.0))) as items:
            assert await items.__anext__() == 4

    run(main)


def test_isolated_generators_are_sources_on_asyncio():
    async def main():
        closed = []

        @async_generator(isolated=True)
        async def held():
            try:
                for i in range(3):
                    await asyncio.sleep(0)
                    await yield_(i)
            finally:
                await asyncio.sleep(0)
                closed.append(True)

        assert sorted(await all_of(streams.merge(held(), isolated(Source(7).__aiter__())))) == [0, 1, 2, 7]
        async with aclosing(streams.merge(held(), held())) as items:
            await items.__anext__()
            await items.__anext__()
        assert closed == [True] * 3

    run_on("asyncio", main)


def test_many_sources_are_no_recursion(run):
    async def main():
        n = 1500
        sources = [Source(i) for i in range(n)]
        assert sorted(await all_of(streams.merge(*sources))) == list(range(n))
        assert await all_of(streams.zip(*[Source(i) for i in range(n)])) == [tuple(range(n))]
        async with aclosing(streams.merge(*[Source(i, i) for i in range(n)])) as items:
            await items.__anext__()

    run(main)


KINDS = {
    **ONE,
    **{name: lambda source, two=two: two(source, Source(1, 5.0)) for name, two in TWO.items()},
    "race": lambda source: streams.race(source, Source(5.0)),
    "zip of one": streams.zip,
}


async def ticks(log):
    """Counts for ever; its cleanup awaits, and is logged."""
    try:
        for number in itertools.count():
            await asyncio.sleep(0.001)
            yield number
    finally:
        await asyncio.sleep(0.001)
        log.append("cleaned up")


async def until_cleaned_up(log):
    for _ in range(500):
        await asyncio.sleep(0.01)
        if log:
            break
    assert log == ["cleaned up"]


@pytest.mark.cpython(reason="the collector runs when it is told to, and at once")
@pytest.mark.parametrize("loop", [loop for loop in LOOPS if loop != "trio"])
@pytest.mark.parametrize("name", [*KINDS])
def test_one_in_a_cycle_closes_its_sources_when_it_is_collected(unraisable, loop, name):
    async def main():
        log = []
        cycle = [KINDS[name](ticks(log))]
        cycle.append(cycle)
        await cycle[0].__anext__()
        del cycle
        gc.collect()
        await until_cleaned_up(log)

    run_on(loop, main)
    assert unraisable == []


@pytest.mark.cpython(reason="the stream goes with its last reference")
@pytest.mark.parametrize("loop", [loop for loop in LOOPS if loop != "trio"])
@pytest.mark.parametrize("name", [*KINDS])
def test_a_wait_that_was_given_up_keeps_no_stream(loop, name):
    async def consume(items):
        await items.__anext__()
        with pytest.raises(asyncio.TimeoutError):
            while True:  # an item may be there already
                await asyncio.wait_for(items.__anext__(), 0.0001)

    async def main():
        log = []
        await consume(KINDS[name](ticks(log)))
        await until_cleaned_up(log)

    gc.collect()
    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()


@pytest.fixture
def two_loops():
    made = asyncio.new_event_loop(), asyncio.new_event_loop()
    yield made
    for loop in made:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(asyncio.sleep(0.01))
        assert asyncio.all_tasks(loop) == set()
        loop.close()


async def take(items):
    return await items.__anext__()


async def close(items):
    await items.aclose()


async def is_refused(use, items):
    with pytest.raises(RuntimeError, match="belongs to the event loop"):
        await use(items)


def is_refused_on(other, where, use, items):
    """On another loop, or on another thread's."""
    if where == "loop":
        other.run_until_complete(is_refused(use, items))
    else:
        in_a_thread(asyncio.run, is_refused(use, items))


def in_a_thread(function, *arguments):
    failed = []

    def run():
        try:
            function(*arguments)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert failed == []


@pytest.mark.parametrize("name", sorted({*KINDS} - {"prefetch", "nested"}))  # which may have an item ready
@pytest.mark.parametrize("where", ["loop", "thread"])
def test_another_loop_is_refused_and_nothing_is_lost(two_loops, name, where):
    own, other = two_loops
    log = []
    items = KINDS[name](ticks(log))
    own.run_until_complete(take(items))
    for _ in range(2):
        is_refused_on(other, where, take, items)
    if name not in ("flat_map", "merge", "zip"):  # whose next item may be, or has to be, the other source's
        later = {"chunks": [2, 3], "chunks by time": [2, 3], "zip_latest": (1, 1), "zip of one": (1,)}
        assert own.run_until_complete(take(items)) == later.get(name, 1)
    own.run_until_complete(close(items))
    assert log == ["cleaned up"]


@pytest.mark.parametrize("name", [*KINDS])
@pytest.mark.parametrize("where", ["loop", "thread"])
def test_closing_on_another_loop_is_refused_and_its_own_closes_the_sources(two_loops, name, where):
    own, other = two_loops
    log = []
    items = KINDS[name](ticks(log))
    own.run_until_complete(take(items))
    is_refused_on(other, where, close, items)
    assert log == []
    own.run_until_complete(asyncio.sleep(0.05))
    assert log == ["cleaned up"]


@pytest.mark.parametrize("loop", LOOPS)
def test_one_whose_loop_has_ended_is_closed_on_any(loop):
    async def main():
        items.append(streams.merge(Source(1, 5.0)))
        await items[0].__anext__()

    items = []
    if loop == "trio":
        import trio

        trio.run(main)
        trio.run(items[0].aclose)
    else:
        asyncio.run(main())
        asyncio.run(items[0].aclose())


@pytest.mark.parametrize("name", sorted({*ONE, *TWO} - {"take_until"}))  # whose coroutine would never be awaited
def test_outside_of_an_event_loop(name):
    items = {**ONE, **TWO}[name](*[Source(1)] * (1 if name in ONE else 2))
    with pytest.raises(RuntimeError, match="no running event loop"):
        items.__anext__().send(None)
