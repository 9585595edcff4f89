"""C++ generators as Python async generators: items, operations, hooks, delegation, attributes, life."""

import asyncio
import collections.abc
import gc
import sys
import weakref

import pytest
from async_generator import aclosing, async_generator, isasyncgen, yield_, yield_from_
from loops import every_loop


@pytest.fixture(autouse=True)
def no_body_is_left(bodies):
    yield
    gc.collect()
    assert bodies.alive() == 0


def run(coroutine):
    """Runs a coroutine that awaits nothing that suspends."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise AssertionError("it suspended")


async def collect(generator):
    return [item async for item in generator]


# Items and operations ----------------------------------------------------------------------------------------------------


@every_loop
def test_async_for_gives_the_items(loop, bodies):
    assert loop.run(collect, bodies.count(4)) == [0, 1, 2, 3]
    assert loop.run(collect, bodies.count(0)) == []


def test_items_convert_by_the_tools_casters(bodies):
    assert run(collect(bodies.words(["a", "ü", ""]))) == ["a", "ü", ""]


def test_what_is_sent_arrives_and_the_return_value_comes_with_the_end(bodies):
    async def main():
        echo = bodies.echo()
        assert await anext(echo) == "ready"
        assert await echo.asend("one") == "one"
        assert await anext(echo) == "nothing", "nothing sent is Send()"
        assert await echo.asend("two") == "two"
        with pytest.raises(StopAsyncIteration) as stop:
            await echo.asend("end")
        assert stop.value.args == ("two",)
        with pytest.raises(StopAsyncIteration):
            await anext(echo)

    run(main())


def test_python_objects_pass_as_they_are(bodies):
    async def main():
        echo = bodies.echo_objects()
        assert await anext(echo) is None
        item = object()
        assert await echo.asend(item) is item
        assert await echo.asend(None) is None
        await echo.aclose()

    run(main())


def test_a_value_that_does_not_convert_is_refused_and_nothing_is_lost(bodies):
    async def main():
        echo = bodies.echo()
        await anext(echo)
        with pytest.raises(TypeError):
            await echo.asend(7)
        assert await echo.asend("still there") == "still there"
        await echo.aclose()
        numbers = bodies.count(2)
        assert await anext(numbers) == 0
        with pytest.raises(TypeError, match="takes no values"):
            await numbers.asend(1)
        assert await anext(numbers) == 1
        await numbers.aclose()

    run(main())


def test_a_value_before_the_body_has_begun_is_refused(bodies):
    async def main():
        echo = bodies.echo()
        with pytest.raises(TypeError, match="just-started"):
            await echo.asend("too early")
        assert await anext(echo) == "ready"
        await echo.aclose()

    run(main())


def test_an_item_that_does_not_convert_fails_in_the_body(bodies):
    async def main():
        with pytest.raises(LookupError, match="(?i)(convert|TypeError|bad_cast|RuntimeError)"):
            await anext(bodies.unconvertible())

    run(main())


def test_an_operation_while_another_is_under_way_is_refused(bodies):
    async def main():
        event = asyncio.Event()
        numbers = bodies.awaits(2, event.wait, None)
        waiting = asyncio.ensure_future(anext(numbers))
        await asyncio.sleep(0)
        assert numbers.ag_running
        with pytest.raises(RuntimeError, match="already running"):
            await anext(numbers)
        with pytest.raises(RuntimeError, match="already running"):
            await numbers.aclose()
        event.set()
        assert await waiting == 0
        await numbers.aclose()

    asyncio.run(main())


def test_a_body_that_yields_while_it_is_closed_ignored_the_exit(bodies, unraisable):
    async def main():
        stubborn = bodies.stubborn()
        assert await anext(stubborn) == 0
        with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
            await stubborn.aclose()
        assert await anext(stubborn) == 2

    run(main())
    assert "ignored GeneratorExit" in str(unraisable.pop().exc_value), "what dropping it meets, as with a native one"


def test_a_generator_is_closed_before_it_has_begun(bodies):
    async def main():
        numbers = bodies.count(3)
        await numbers.aclose()
        assert await collect(numbers) == []
        thrown = bodies.count(3)
        with pytest.raises(KeyError):
            await thrown.athrow(KeyError("unstarted"))
        assert await collect(thrown) == []

    run(main())


# What Python sees of it --------------------------------------------------------------------------------------------------


def test_it_is_the_packages_own_generator_type(bodies):
    numbers = bodies.count(1)

    @async_generator
    async def own():
        await yield_(1)

    assert type(numbers) is type(own()) and bodies.is_generator(numbers) and bodies.is_generator(own())
    assert not bodies.is_generator(7)
    assert isasyncgen(numbers) and isinstance(numbers, collections.abc.AsyncGenerator)
    assert weakref.ref(numbers)() is numbers


def test_attributes_have_sensible_answers(bodies):
    async def main():
        numbers = bodies.count(1)
        assert repr(numbers).startswith("<async_generator object async_generator at ")
        numbers.__qualname__ = numbers.__name__ = "numbers"
        assert numbers.__name__ == "numbers" and repr(numbers).startswith("<async_generator object numbers at ")
        assert numbers.ag_frame is None and not hasattr(numbers, "ag_code") and numbers.ag_await is None
        assert (numbers.ag_state, numbers.ag_running, numbers.ag_suspended) == ("AGEN_CREATED", False, False)
        assert await anext(numbers) == 0
        assert (numbers.ag_state, numbers.ag_suspended) == ("AGEN_SUSPENDED", True)
        assert await collect(numbers) == []
        assert (numbers.ag_state, numbers.ag_suspended) == ("AGEN_CLOSED", False)
        assert sys.getsizeof(numbers) > 0

    run(main())


def test_ag_await_is_what_the_body_awaits(bodies):
    async def main():
        event = asyncio.Event()
        wait = event.wait()
        numbers = bodies.awaits(1, lambda: wait, None)
        waiting = asyncio.ensure_future(anext(numbers))
        await asyncio.sleep(0)
        assert numbers.ag_await is wait and numbers.ag_state == "AGEN_SUSPENDED"
        event.set()
        assert await waiting == 0
        assert numbers.ag_await is None
        await numbers.aclose()

    asyncio.run(main())


def test_the_body_belongs_to_its_generator(bodies):
    async def main():
        numbers = bodies.count(3)
        with pytest.raises(RuntimeError, match="driven by its generator"):
            numbers._coroutine.send(None)
        assert await anext(numbers) == 0
        with pytest.raises(RuntimeError, match="driven by its generator"):
            numbers._coroutine.close()
        assert await collect(numbers) == [1, 2]
        unstarted = bodies.count(3)
        unstarted._coroutine.close()
        assert await collect(unstarted) == []

    run(main())


def test_an_unawaited_operation_is_reported(bodies):
    with pytest.warns(RuntimeWarning, match="asend.*was never awaited"):
        bodies.count(3).__anext__()


# Delegation --------------------------------------------------------------------------------------------------------------


@every_loop
def test_python_delegates_to_cpp(loop, bodies):
    @async_generator
    async def outer(inner):
        await yield_("before")
        result = await yield_from_(inner)
        await yield_(("result", result))

    async def main():
        assert await collect(outer(bodies.count(3))) == ["before", 0, 1, 2, ("result", None)]
        through = outer(bodies.echo())
        assert await anext(through) == "before"
        assert await anext(through) == "ready"
        assert await through.asend("sent through") == "sent through"
        with pytest.raises(TypeError):
            await through.asend(7)
        assert await through.asend("end") == ("result", "sent through")
        await through.aclose()
        caught = outer(bodies.catches())
        await anext(caught)
        await anext(caught)
        assert await caught.athrow(ValueError("thrown through")) == "ValueError: thrown through"
        await caught.aclose()

    loop.run(main)


@pytest.mark.parametrize("how", ["delegates", "delegates_typed"])
def test_cpp_delegates_to_python(bodies, how):
    log = []

    @async_generator
    async def inner():
        try:
            log.append(await yield_(1))
            log.append(await yield_(2))
            try:
                await yield_(3)
            except KeyError as error:
                log.append(error.args)
            await yield_(4)
        except GeneratorExit:
            log.append("exit")
            raise
        return 42

    async def native():
        log.append((yield 1))
        log.append((yield 2))

    async def main():
        for source in (inner, native):
            log.clear()
            outer = getattr(bodies, how)(source())
            if how == "delegates":
                assert await anext(outer) is None
            assert await anext(outer) == 1
            assert await outer.asend(10) == 2
            if source is inner:
                assert await anext(outer) == 3
                assert await outer.athrow(KeyError("k")) == 4
                with pytest.raises(StopAsyncIteration) as stop:
                    await anext(outer)
                assert stop.value.args == (42,) and log == [10, None, ("k",)]
            else:
                with pytest.raises(StopAsyncIteration):
                    await anext(outer)
                assert log == [10, None]
        log.clear()
        outer = getattr(bodies, how)(inner())
        if how == "delegates":
            await anext(outer)
        assert await anext(outer) == 1
        await outer.aclose()
        assert log == ["exit"]

    run(main())


def test_delegation_passes_objects_without_touching_them(bodies):
    async def main():
        items = [object(), "text", None]

        async def source():
            for item in items:
                yield item

        outer = bodies.delegates(source())
        await anext(outer)
        assert [got is item for got, item in zip([x async for x in outer], items, strict=True)] == [True] * 3

    run(main())


def test_what_is_no_async_iterable_is_refused(bodies):
    async def main():
        outer = bodies.delegates(7)
        await anext(outer)
        with pytest.raises(TypeError):
            await anext(outer)
        with pytest.raises(TypeError):
            await anext(bodies.delegates_typed(7))
        with pytest.raises(TypeError):
            bodies.twice(7)

    run(main())


def test_cpp_delegates_to_cpp_at_any_depth(bodies):
    assert run(collect(bodies.deep(500, 3))) == [0, 1, 2]


def test_chains_of_both_languages(bodies):
    @async_generator
    async def through(inner):
        return await yield_from_(inner)

    async def main():
        chain = bodies.count(3)
        for _ in range(20):
            chain = through(chain)
            chain = bodies.delegates(chain)
        assert [item async for item in chain if item is not None] == [0, 1, 2]

    run(main())


# Arguments ---------------------------------------------------------------------------------------------------------------


@every_loop
def test_an_argument_takes_any_async_iterable(loop, bodies):
    async def native():
        for i in range(3):
            await loop.sleep(0)
            yield i

    async def main():
        assert await collect(bodies.twice(native())) == [0, 2, 4]
        assert await collect(bodies.twice(bodies.count(3))) == [0, 2, 4]
        assert await collect(bodies.twice(bodies.twice(native()))) == [0, 4, 8]

    loop.run(main)


def test_a_cpp_generator_is_moved_into_the_argument(bodies):
    async def main():
        numbers = bodies.count(4)
        assert await anext(numbers) == 0
        assert await collect(bodies.twice(numbers)) == [2, 4, 6]
        assert await collect(numbers) == []

    run(main())


def test_a_generator_that_was_taken_out_outlives_its_python_object(bodies):
    """What its body keeps in a `visible`, too."""

    class Kept:
        pass

    async def main():
        kept = Kept()
        numbers = bodies.keeps(kept)
        assert await anext(numbers) == 0
        taken = bodies.outlives(numbers)
        del numbers
        gc.collect()
        assert await anext(taken) == 1
        reference = weakref.ref(kept)
        del kept
        assert reference() is not None
        await taken.aclose()
        assert reference() is None

    run(main())


def test_only_the_overload_that_is_called_takes_it(bodies):
    numbers = bodies.count(2)
    assert bodies.choose(numbers, "text") == "object and str"
    assert run(collect(numbers)) == [0, 1]


def test_the_argument_is_closed_by_the_function(bodies):
    closed = []

    async def source():
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    assert run(bodies.first(source())) == 1
    assert closed == [True]


@every_loop
@pytest.mark.parametrize("function", ["twice", "doubled"])
@pytest.mark.parametrize("of", ["Python", "C++"])
def test_aclose_returns_when_the_cleanup_of_the_argument_is_over(loop, bodies, function, of):
    closed = []

    async def cleans():
        for _ in range(3):
            await loop.sleep(0)
        closed.append(True)

    async def source():
        try:
            yield 1
            yield 2
        finally:
            await cleans()

    async def main():
        taken = source() if of == "Python" else bodies.awaits(2, lambda: loop.sleep(0), cleans)
        stream = getattr(bodies, function)(taken)
        await anext(stream)
        assert closed == []
        await stream.aclose()
        assert closed == [True]

    loop.run(main)


def test_a_generator_of_another_type_is_iterated(bodies):
    async def source():
        for i in range(3):
            yield i

    async def main():
        typed = bodies.delegates_typed(source())  # sends and returns
        stream = bodies.twice(typed)
        assert await anext(stream) == 0
        assert await anext(typed) == 1
        assert await anext(stream) == 4
        await stream.aclose()

    run(main())


def test_an_item_of_the_wrong_type_closes_the_source(bodies):
    closed = []

    async def source():
        try:
            yield "text"
        finally:
            closed.append(True)

    with pytest.raises(TypeError):
        run(collect(bodies.twice(source())))
    assert closed == [True]


# Life --------------------------------------------------------------------------------------------------------------------


@every_loop
def test_leaving_a_loop_early_closes_the_body(loop, bodies):
    ends = []

    async def ending():
        await loop.sleep(0)
        ends.append(True)

    async def main():
        async with aclosing(bodies.awaits(10, lambda: loop.sleep(0), ending)) as numbers:
            async for number in numbers:
                if number == 2:
                    break
        assert ends == [True] and bodies.alive() == 0

    loop.run(main)


def test_the_loops_finalizer_closes_a_dropped_generator(bodies):
    ends = []

    async def ending():
        await asyncio.sleep(0)
        ends.append(True)

    async def main():
        numbers = bodies.awaits(10, lambda: asyncio.sleep(0), ending)
        assert await anext(numbers) == 0
        del numbers
        gc.collect()
        for _ in range(5):
            await asyncio.sleep(0)
        assert ends == [True] and bodies.alive() == 0

    asyncio.run(main())


def test_a_generator_dropped_without_a_loop_is_destroyed(bodies):
    async def main():
        numbers = bodies.count(3)
        await anext(numbers)
        assert bodies.alive() == 1
        del numbers
        assert bodies.alive() == 0

    run(main())


def test_a_cycle_through_a_body_is_collected(bodies):
    class Owner:
        pass

    async def main():
        owner = Owner()
        owner.generator = bodies.keeps(owner)
        assert await anext(owner.generator) == 0
        return weakref.ref(owner)

    for _ in range(3):
        reference = run(main())
        gc.collect()
        assert reference() is None and bodies.alive() == 0


def test_a_body_that_suspends_in_what_no_loop_drives_says_so(bodies):
    async def main():
        hangs = bodies.hangs()
        with pytest.raises(RuntimeError, match="no Python event loop drives"):
            await anext(hangs)
        assert await collect(hangs) == []

    run(main())


def test_signatures_name_what_python_gets(bodies):
    assert "collections.abc.AsyncGenerator[int, None]" in bodies.count.__doc__
    assert "collections.abc.Coroutine[typing.Any, None, " in bodies.fetch.__doc__


def test_nothing_leaks(bodies):
    async def once():
        assert await collect(bodies.count(5)) == [0, 1, 2, 3, 4]
        echo = bodies.echo()
        await anext(echo)
        await echo.asend("text")
        with pytest.raises(TypeError):
            await echo.asend(1)
        with pytest.raises(KeyError):
            await echo.athrow(KeyError("x"))
        await collect(bodies.twice(bodies.count(3)))
        await bodies.count(3).aclose()

    def blocks():
        gc.collect()
        return sys.getallocatedblocks()

    for _ in range(20):
        run(once())
    before = blocks()
    for _ in range(200):
        run(once())
    assert blocks() - before < 100
