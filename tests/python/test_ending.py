"""How iteration ends: exhaustion, exceptions of the body, PEP 479, return values. Rules 17 to 22."""

import traceback

import pytest
from builds import DEBUG
from driving import collect, finished, run, trap


def empty(implementation):
    @implementation
    async def body():
        return
        yield

    return body()


# --- rules 17 and 18 ---


@pytest.mark.parametrize(
    "step",
    [lambda g: g.__anext__(), lambda g: g.asend(None), lambda g: g.asend("anything")],
    ids=["anext", "asend", "asend a value"],
)
def test_after_the_end_every_step_is_a_bare_stop(implementation, step):
    generator = empty(implementation)
    for attempt in range(3):
        awaiting = generator.__anext__() if attempt == 0 else step(generator)  # nothing is raised by the call
        with pytest.raises(StopAsyncIteration) as end:
            run(awaiting)
        assert type(end.value) is StopAsyncIteration
        assert end.value.args == ()  # rule 17
        assert end.value.__context__ is None
        assert end.value.__cause__ is None
        assert generator.ag_running is False


def test_stops_are_independent_objects(implementation):
    generator = empty(implementation)
    stops = []
    for _ in range(3):
        with pytest.raises(StopAsyncIteration) as end:
            run(generator.__anext__())
        stops.append(end.value)
    assert len({id(stop) for stop in stops}) == 3


def test_an_end_is_not_caught_up_in_what_the_consumer_handles(implementation):
    generator = empty(implementation)

    async def consume():
        try:
            raise KeyError
        except KeyError:
            return [item async for item in generator]

    assert run(consume()) == []
    assert finished(generator)


@pytest.mark.engine(reason="the package's own frames are between")
def test_traceback_of_the_end_shows_the_consumer_only(implementation):
    generator = empty(implementation)

    async def consumer():
        await generator.__anext__()

    with pytest.raises(StopAsyncIteration) as end:
        consumer().send(None)
    names = [frame.name for frame in traceback.extract_tb(end.value.__traceback__)]
    assert names[-1] == "consumer"  # rule 18
    assert "body" not in names


# --- rule 19 ---


def test_an_exception_of_the_body_is_raised_once(implementation):
    error = KeyError("once")

    @implementation
    async def body():
        yield 1
        raise error

    generator = body()
    run(generator.__anext__())
    with pytest.raises(KeyError) as raised:
        run(generator.__anext__())
    assert raised.value is error  # rule 19
    assert generator.ag_running is False
    assert generator.ag_frame is None
    assert finished(generator)
    assert run(generator.aclose()) is None


@pytest.mark.parametrize("error", [BaseException("b"), KeyboardInterrupt(), SystemExit(3), ArithmeticError()], ids=repr)
def test_exceptions_of_every_kind_leave_as_they_are(implementation, error):
    @implementation
    async def body():
        yield 1
        raise error

    generator = body()
    run(generator.__anext__())
    with pytest.raises(type(error)) as raised:
        run(generator.__anext__())
    assert raised.value is error  # rule 19
    assert raised.value.__context__ is None
    assert finished(generator)


def test_an_exception_before_the_first_yield(implementation):
    @implementation
    async def body():
        await trap()
        raise KeyError("early")
        yield

    generator = body()
    with pytest.raises(KeyError, match="early"):
        run(generator.__anext__())
    assert finished(generator)


# --- rules 20 and 21 ---


@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration])
@pytest.mark.parametrize("started", [False, True], ids=["at the start", "after an item"])
def test_a_stop_raised_by_the_body_becomes_a_runtime_error(implementation, error, started):
    stop = error("payload")

    @implementation
    async def body():
        if started:
            yield 1
        raise stop
        yield

    generator = body()
    if started:
        run(generator.__anext__())
    with pytest.raises(RuntimeError, match=f"^async generator raised {error.__name__}$") as raised:
        run(generator.__anext__())
    assert type(raised.value) is RuntimeError  # rule 20
    assert raised.value.__cause__ is stop
    assert raised.value.__context__ is stop
    assert raised.value.__suppress_context__ is True
    assert finished(generator)


@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration])
def test_a_subclass_of_a_stop_becomes_a_runtime_error_too(implementation, error):
    class Special(error):
        pass

    @implementation
    async def body():
        yield 1
        raise Special

    generator = body()
    run(generator.__anext__())
    with pytest.raises(RuntimeError, match=f"^async generator raised {error.__name__}$") as raised:
        run(generator.__anext__())
    assert type(raised.value.__cause__) is Special  # rule 20


def test_a_stop_of_a_nested_coroutine_is_not_attributed_to_the_generator(implementation):
    async def helper():
        raise StopIteration("inner")

    @implementation
    async def body():
        yield 1
        await helper()

    generator = body()
    run(generator.__anext__())
    with pytest.raises(RuntimeError, match="^coroutine raised StopIteration$") as raised:
        run(generator.__anext__())
    assert isinstance(raised.value.__cause__, StopIteration)


def test_a_stop_async_of_a_nested_coroutine_is_the_generators_own(implementation):
    async def helper():
        raise StopAsyncIteration("inner")

    @implementation
    async def body():
        yield 1
        await helper()

    generator = body()
    run(generator.__anext__())
    with pytest.raises(RuntimeError, match="^async generator raised StopAsyncIteration$") as raised:
        run(generator.__anext__())
    assert raised.value.__cause__.args == ("inner",)


def test_a_runtime_error_with_native_text_raised_by_the_body_is_left_alone(implementation):
    mine = RuntimeError("coroutine raised StopIteration")
    mine.__cause__ = StopIteration()

    @implementation
    async def body():
        yield 1
        raise mine

    generator = body()
    run(generator.__anext__())
    with pytest.raises(RuntimeError) as raised:
        run(generator.__anext__())
    assert raised.value is mine
    assert str(mine) == "coroutine raised StopIteration"


@pytest.mark.parametrize("name", ["StopIteration", "StopAsyncIteration"])
def test_a_stop_in_a_body_that_handles_another_error_keeps_the_chain(implementation, name):
    error = {"StopIteration": StopIteration, "StopAsyncIteration": StopAsyncIteration}[name]

    @implementation
    async def body():
        yield 1
        try:
            raise KeyError
        except KeyError:
            raise error("x")  # noqa: B904 - the chain is what is tested

    generator = body()
    run(generator.__anext__())
    with pytest.raises(RuntimeError, match=f"async generator raised {name}") as raised:
        run(generator.__anext__())
    assert isinstance(raised.value.__cause__, error)
    assert isinstance(raised.value.__cause__.__context__, KeyError)


def test_stop_async_iteration_thrown_in_and_not_caught_becomes_a_runtime_error(implementation):
    stop = StopAsyncIteration("thrown")

    @implementation
    async def body():
        yield 1

    generator = body()
    run(generator.__anext__())
    with pytest.raises(RuntimeError, match="^async generator raised StopAsyncIteration$") as raised:
        run(generator.athrow(stop))
    assert raised.value.__cause__ is stop  # rule 21
    assert finished(generator)


def test_stop_iteration_thrown_in_and_not_caught_becomes_a_runtime_error(implementation):
    stop = StopIteration("thrown")

    @implementation
    async def body():
        yield 1

    generator = body()
    run(generator.__anext__())
    # At an `await` the interpreter takes the StopIteration for the result: the package says so (rule 60, 1.10 fact B13).
    text = (
        "^(async )?generator raised StopIteration$"
        if implementation.rewritten
        else "^async generator raised StopIteration$"
    )
    with pytest.raises(RuntimeError, match=text) as raised:
        run(generator.athrow(stop))
    assert raised.value.__cause__ is stop  # rule 21
    assert finished(generator)


@pytest.mark.parametrize(
    "stop", [StopIteration("q"), StopAsyncIteration("q")], ids=["StopIteration", "StopAsyncIteration"]
)
def test_a_stop_thrown_before_the_start_becomes_a_runtime_error(implementation, stop):
    import sys

    @implementation
    async def body():
        yield 1

    generator = body()
    if not implementation.ours and sys.version_info >= (3, 12):
        if DEBUG:
            pytest.skip("the stop that leaks ends a debug build (gh-152685)")
        # rule 21: native leaks the stop from 3.12 on, an open defect
        if isinstance(stop, StopIteration):
            assert run(generator.athrow(stop)) == "q"
        else:
            with pytest.raises(StopAsyncIteration):
                run(generator.athrow(stop))
    else:
        with pytest.raises(RuntimeError, match=f"^async generator raised {type(stop).__name__}$") as raised:
            run(generator.athrow(stop))
        assert raised.value.__cause__ is stop
    assert finished(generator)


# --- rule 22 ---


def test_generator_exit_raised_by_the_body_leaves_as_it_is(implementation):
    error = GeneratorExit("mine")

    @implementation
    async def body():
        yield 1
        raise error

    generator = body()
    run(generator.__anext__())
    with pytest.raises(GeneratorExit) as raised:
        run(generator.__anext__())
    assert raised.value is error  # rule 22
    assert finished(generator)
    assert run(generator.aclose()) is None


def test_an_exception_that_the_body_handles_is_not_seen_outside(implementation):
    @implementation
    async def body():
        try:
            raise KeyError
        except KeyError:
            yield 1
        yield 2

    assert collect(body()) == [1, 2]
