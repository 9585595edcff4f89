"""Exceptions that cross between Python and C++: which type arrives, and that none becomes another by crossing twice."""

import asyncio
import errno
import sys
import traceback

import pytest
from async_generator import AlreadyRunning
from loops import every_loop


def run(coroutine):
    return asyncio.run(coroutine)


async def collect(generator):
    return [item async for item in generator]


MAPPED = {
    "bad_alloc": (MemoryError, "^(std::bad_alloc)?$"),
    "out_of_range": (IndexError, "out"),
    "invalid_argument": (ValueError, "invalid"),
    "domain_error": (ValueError, "domain"),
    "length_error": (ValueError, "length"),
    "range_error": (ValueError, "range"),
    "overflow_error": (OverflowError, "overflow"),
    "system_error": (FileNotFoundError, "opening"),
    "logic_error": (RuntimeError, "logic"),
    "already_running": (AlreadyRunning, "running"),
    "just_started": (TypeError, "started"),
    "runtime_error": (RuntimeError, "runtime_error"),
    "int": (RuntimeError, "no std::exception|[Uu]nknown|unknown exception"),
}


@pytest.mark.parametrize("name", MAPPED)
@pytest.mark.parametrize("how", ["generator", "task"])
def test_a_cpp_exception_arrives_as_its_mapped_type(bodies, name, how):
    expected, text = MAPPED[name]
    with pytest.raises(expected, match=text) as raised:
        run(collect(bodies.raises(name)) if how == "generator" else awaited(bodies.raises_in_task(name)))
    assert type(raised.value) is expected
    if name == "system_error":
        assert raised.value.errno == errno.ENOENT


async def awaited(awaitable):
    return await awaitable


def test_what_is_registered_with_the_tool_is_asked(bodies):
    with pytest.raises(bodies.OwnError, match="own"):
        run(collect(bodies.raises("own_error")))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("runtime_error", RuntimeError),
        ("out_of_range", IndexError),
        ("system_error", FileNotFoundError),
        ("own_error", RuntimeError),
        ("py::error", KeyError),
    ],
)
@pytest.mark.parametrize("how", ["raises", "raises_in_task", "raises_at_the_call", "raises_through_a_future"])
def test_bytes_of_a_text_that_are_no_utf_8_are_escaped(bodies, name, expected, how):
    if sys.version_info < (3, 12) and name in ("runtime_error", "out_of_range", "own_error"):
        pytest.skip("before 3.12, PyErr_SetString() of the tool's own translator makes an exception without the text")

    async def main():
        await (collect if how == "raises" else awaited)(getattr(bodies, how)(f"{name} of bytes"))

    with pytest.raises(expected, match=r"bytes \\+xff") as raised:
        run(main())
    assert type(raised.value) is expected


def test_generator_exit_of_the_body_itself_is_generator_exit(bodies):
    with pytest.raises(GeneratorExit):
        run(collect(bodies.raises("generator_exit")))


@pytest.mark.parametrize("name", ["StopIteration", "StopAsyncIteration"])
def test_no_exception_ends_an_iteration_by_itself(bodies, name):
    """PEP 479 and PEP 525: it becomes a RuntimeError, with the exception as its cause."""
    with pytest.raises(RuntimeError, match=f"async generator raised {name}") as raised:
        run(collect(bodies.raises(name)))
    assert type(raised.value.__cause__).__name__ == name


def test_no_stop_iteration_leaves_a_task(bodies):
    with pytest.raises(RuntimeError, match="coroutine raised StopIteration"):
        run(awaited(bodies.raises_in_task("StopIteration")))
    with pytest.raises(StopAsyncIteration):
        run(awaited(bodies.raises_in_task("StopAsyncIteration")))


# Python's exceptions in C++ ----------------------------------------------------------------------------------------------


def test_a_python_exception_is_caught_as_error_with_its_text(bodies):
    async def main():
        catches = bodies.catches()
        assert await anext(catches) == "ready"
        assert await catches.athrow(ValueError("thrown")) == "ValueError: thrown"
        assert await catches.athrow(KeyError) == "KeyError"
        assert await catches.athrow(StopAsyncIteration("stop")) == "StopAsyncIteration: stop"
        assert await anext(catches) == "nothing"
        await catches.aclose()

    run(main())


def test_it_leaves_as_the_same_object(bodies):
    async def main():
        for thrown in (
            ValueError("x"),
            GeneratorExit("with an argument"),
            asyncio.CancelledError(),
            KeyboardInterrupt(),
        ):
            numbers = bodies.count(3)
            await anext(numbers)
            with pytest.raises(type(thrown)) as raised:
                await numbers.athrow(thrown)
            assert raised.value is thrown

    run(main())


def test_what_an_awaitable_raises_keeps_its_traceback(bodies):
    async def fails():
        raise ZeroDivisionError("in fails")

    with pytest.raises(ZeroDivisionError) as raised:
        run(awaited(bodies.fetch_through(fails(), 3)))
    assert "fails" in [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)]


@every_loop
def test_exceptions_cross_on_every_loop(loop, bodies):
    """From C++ to Python, from Python into a body and out of it, and to C++ and back through what waits on the loop."""

    async def through(inner):
        await loop.sleep(0)
        return await inner

    async def main():
        with pytest.raises(IndexError, match="out"):
            await collect(bodies.raises("out_of_range"))
        numbers = bodies.count(3)
        await anext(numbers)
        thrown = ValueError("thrown")
        with pytest.raises(ValueError) as raised:
            await numbers.athrow(thrown)
        assert raised.value is thrown
        later = bodies.rethrows_later(lambda: loop.sleep(0))
        await anext(later)
        with pytest.raises(ValueError) as raised:
            await later.athrow(thrown)
        assert raised.value is thrown
        assert await bodies.crosses_twice(through) is True

    loop.run(main)


def test_an_error_that_is_kept_over_an_await_is_the_same_later(bodies):
    async def main():
        thrown = GeneratorExit("kept")
        for exception in (ValueError("kept"), thrown):
            numbers = bodies.rethrows_later(lambda: asyncio.sleep(0))
            await anext(numbers)
            with pytest.raises(type(exception)) as raised:
                await numbers.athrow(exception)
            assert raised.value is exception

    run(main())


def test_a_cpp_exception_comes_back_from_python_as_itself(bodies):
    async def through(inner):
        try:
            return await inner
        except bodies.OwnError as error:
            assert str(error) == "there and back"
            raise

    async def through_twice(inner):
        return await bodies.fetch(through(inner))

    assert run(awaited(bodies.crosses_twice(through))) is True
    assert run(awaited(bodies.crosses_twice(through_twice))) is True


def test_another_exception_of_python_is_another(bodies):
    async def replaces(inner):
        try:
            return await inner
        except bodies.OwnError:
            raise LookupError("instead") from None

    assert run(awaited(bodies.crosses_twice(replaces))) is False


def test_an_error_may_be_used_on_a_thread_without_the_gil(bodies):
    async def fails():
        raise LookupError("told elsewhere")

    assert run(awaited(bodies.told_elsewhere(fails()))) == "LookupError: told elsewhere"
