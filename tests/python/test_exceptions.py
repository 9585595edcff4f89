"""Tracebacks, frames, exception state and context variables across the border of a generator. Rules 59, 61, 62, 63."""

import asyncio
import contextvars
import inspect
import sys
import traceback
import types

import pytest
from async_generator import AlreadyRunning, async_generator, structured, yield_from_
from driving import collect, finished, in_small_thread, outcome, run, trap


def names(error):
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def names_from(error, first):
    """The function names of the traceback from the frame of `first` on: above it is the test's own driving."""
    all_names = names(error)
    return all_names[all_names.index(first) :]


# --- rule 59 ---


@pytest.mark.engine(reason="the package's own frames are between")
def test_traceback_of_an_error_of_the_body_shows_consumer_and_body_only(implementation):
    @implementation
    async def body():
        yield 1
        raise KeyError

    async def consumer():
        async for _ in body():
            pass

    with pytest.raises(KeyError) as raised:
        run(consumer())
    assert names_from(raised.value, "consumer") == ["consumer", "body"]  # rule 59


def test_traceback_shows_the_lines_of_the_source(implementation):
    line = inspect.currentframe().f_lineno

    @implementation
    async def body():
        yield 1
        raise KeyError

    generator = body()
    run(generator.__anext__())
    with pytest.raises(KeyError) as raised:
        run(generator.__anext__())
    last = traceback.extract_tb(raised.value.__traceback__)[-1]
    assert (last.filename, last.name, last.lineno) == (__file__, "body", line + 5)
    assert last.line == "raise KeyError"


@pytest.mark.engine(reason="the package's own frames are between")
def test_traceback_through_nested_generators_shows_each_once(implementation):
    @implementation
    async def innermost():
        yield 1
        raise KeyError

    @implementation
    async def middle():
        async for item in innermost():
            yield item

    async def consumer():
        return [item async for item in middle()]

    with pytest.raises(KeyError) as raised:
        run(consumer())
    shown = [name for name in names_from(raised.value, "consumer") if name != "<listcomp>"]
    assert shown == ["consumer", "middle", "innermost"]


@pytest.mark.engine(reason="the package's own frames are between")
@pytest.mark.parametrize("operation", ["__anext__", "asend", "athrow", "aclose"])
def test_traceback_of_each_operation_shows_no_frames_but_its_own(implementation, operation):
    @implementation
    async def body():
        try:
            yield 1
        finally:
            raise ArithmeticError

    generator = body()
    run(generator.__anext__())
    arguments = {"asend": (None,), "athrow": (KeyError(),)}.get(operation, ())

    async def consumer():
        await getattr(generator, operation)(*arguments)

    with pytest.raises(ArithmeticError) as raised:
        run(consumer())
    assert names_from(raised.value, "consumer") == ["consumer", "body"]  # rule 59


@pytest.mark.engine(reason="the package's own frames are between")
def test_traceback_of_an_error_thrown_in_and_not_caught(implementation):
    @implementation
    async def body():
        yield 1

    generator = body()
    run(generator.__anext__())

    async def consumer():
        await generator.athrow(KeyError())

    with pytest.raises(KeyError) as raised:
        run(consumer())
    assert names_from(raised.value, "consumer") == ["consumer", "body"]


@pytest.mark.engine(reason="the package's own frames are between")
def test_a_swallowed_athrow_leaves_the_body_on_the_exception(implementation):
    @implementation
    async def body():
        try:
            yield 1
        except KeyError:
            yield 2

    error = KeyError()
    generator = body()
    run(generator.__anext__())
    run(generator.athrow(error))
    assert names(error) == ["body"]  # rule 59
    run(generator.aclose())


@pytest.mark.engine(reason="the package's own frames are between")
def test_traceback_of_a_runtime_error_made_of_a_stop_shows_the_body(implementation):
    @implementation
    async def body():
        yield 1
        raise StopIteration

    async def consumer():
        return [item async for item in body()]

    with pytest.raises(RuntimeError) as raised:
        run(consumer())
    assert set(names_from(raised.value, "consumer")) <= {"consumer", "body", "<listcomp>"}
    assert names(raised.value.__cause__) == ["body"]


@pytest.mark.engine(reason="the package's own frames are between")
def test_no_frames_of_the_package_are_between_body_and_consumer(implementation):
    seen = []

    @implementation
    async def body():
        frame = sys._getframe()
        seen.append([frame.f_code.co_name, frame.f_back.f_code.co_name])
        yield 1

    async def consumer():
        async for _ in body():
            pass

    run(consumer())
    assert seen == [["body", "consumer"]]  # rule 59


@pytest.mark.engine(reason="the package's own frames are between")
def test_no_frames_of_the_package_are_between_for_every_operation(implementation):
    seen = []

    @implementation
    async def body():
        while True:
            frame = sys._getframe().f_back
            seen.append(frame.f_code.co_name)
            try:
                yield
            except KeyError:
                pass
            except GeneratorExit:
                seen.append(sys._getframe().f_back.f_code.co_name)
                raise

    async def consumer(generator):
        await generator.__anext__()
        await generator.asend(1)
        await generator.athrow(KeyError())
        await generator.aclose()

    run(consumer(body()))
    assert seen == ["consumer"] * 4


def test_consumers_exception_has_no_context_of_ours(implementation):
    error = ArithmeticError()

    @implementation
    async def body():
        yield 1

    async def consumer():
        async for _ in body():
            raise error

    with pytest.raises(ArithmeticError):
        run(consumer())
    assert error.__context__ is None
    assert error.__cause__ is None


# --- rule 61 ---


def test_the_body_sees_the_exception_that_the_consumer_handles(implementation):
    seen = []

    @implementation
    async def body():
        seen.append(sys.exc_info()[1])
        yield
        seen.append(sys.exc_info()[1])
        raise KeyError("of the body")

    generator = body()
    first, second = ArithmeticError(), LookupError()
    try:
        raise first
    except ArithmeticError:
        run(generator.__anext__())
    try:
        raise second
    except LookupError:
        with pytest.raises(KeyError) as raised:
            run(generator.__anext__())
    assert seen == [first, second]  # rule 61
    assert raised.value.__context__ is second


def test_a_body_suspended_in_an_except_keeps_its_exception_to_itself(implementation):
    seen = []

    @implementation
    async def body():
        try:
            raise KeyError("of the body")
        except KeyError:
            yield 1
            seen.append(sys.exc_info()[1])
            yield 2
            seen.append(sys.exc_info()[1])
        seen.append(sys.exc_info()[1])
        yield 3

    generator = body()
    for expected in (1, 2, 3):
        assert run(generator.__anext__()) == expected
        assert sys.exc_info() == (None, None, None)  # rule 61
    assert [type(error) for error in seen] == [KeyError, KeyError, type(None)]
    run(generator.aclose())


def test_two_bodies_suspended_in_excepts_do_not_mix(implementation):
    @implementation
    async def body(error):
        try:
            raise error
        except type(error):
            while True:
                yield sys.exc_info()[1]

    first, second = KeyError(), ArithmeticError()
    a, b = body(first), body(second)
    for _ in range(3):
        assert run(a.__anext__()) is first
        assert run(b.__anext__()) is second
    run(a.aclose())
    run(b.aclose())


def test_an_error_inside_an_except_has_the_handled_one_as_context(implementation):
    @implementation
    async def body():
        try:
            raise KeyError("first")
        except KeyError:
            yield 1
            raise ArithmeticError("second")  # noqa: B904 - the chain is what is tested

    generator = body()
    run(generator.__anext__())
    try:
        raise LookupError("of the consumer")
    except LookupError:
        with pytest.raises(ArithmeticError) as raised:
            run(generator.__anext__())
    assert raised.value.__context__.args == ("first",)


def test_athrow_into_an_except_chains_the_handled_one(implementation):
    @implementation
    async def body():
        try:
            raise KeyError("first")
        except KeyError:
            yield 1

    generator = body()
    run(generator.__anext__())
    thrown = ArithmeticError("thrown")
    with pytest.raises(ArithmeticError):
        run(generator.athrow(thrown))
    assert type(thrown.__context__) is KeyError


def test_athrow_outside_of_any_except_gets_no_context(implementation):
    @implementation
    async def body():
        yield 1

    generator = body()
    run(generator.__anext__())
    thrown = ArithmeticError("thrown")
    with pytest.raises(ArithmeticError):
        run(generator.athrow(thrown))
    assert thrown.__context__ is None
    assert thrown.__cause__ is None


def test_the_exception_state_is_right_after_an_await(implementation):
    seen = []

    @implementation
    async def body():
        try:
            raise KeyError
        except KeyError:
            await trap()
            seen.append(type(sys.exc_info()[1]))
        await trap()
        seen.append(sys.exc_info()[1])
        yield

    run(body().__anext__())
    assert seen == [KeyError, None]


def test_a_bare_raise_finds_the_exception_across_a_yield(implementation):
    error = KeyError()

    @implementation
    async def body():
        try:
            raise error
        except KeyError:
            yield 1
            raise

    generator = body()
    run(generator.__anext__())
    with pytest.raises(KeyError) as raised:
        run(generator.__anext__())
    assert raised.value is error


# --- rule 62 ---


def test_context_variables_are_the_consumers(implementation):
    variable = contextvars.ContextVar("variable", default="unset")
    seen = []

    @implementation
    async def body():
        seen.append(variable.get())
        variable.set("by the body")
        yield
        seen.append(variable.get())

    def consume():
        generator = body()
        variable.set("by the consumer")
        run(generator.__anext__())
        assert variable.get() == "by the body"  # rule 62
        variable.set("by the consumer again")
        finished(generator)

    contextvars.copy_context().run(consume)
    assert seen == ["by the consumer", "by the consumer again"]


def test_each_step_runs_in_the_context_that_drives_it(implementation):
    variable = contextvars.ContextVar("variable")

    @implementation
    async def body():
        while True:
            yield variable.get()

    generator = body()
    for name in "abc":
        context = contextvars.copy_context()
        context.run(variable.set, name)
        assert context.run(run, generator.__anext__()) == name  # rule 62
    run(generator.aclose())


# --- rule 63 ---


def test_async_for_refuses_other_objects_with_the_interpreters_words(implementation):
    class Strange:
        def __aiter__(self):
            return 5

    class Stranger:
        def __aiter__(self):
            return self

        def __anext__(self):
            return 5

    @implementation
    async def body(iterable):
        async for item in iterable:
            yield item

    for iterable, text in (
        ([], "'async for' requires an object with __aiter__ method, got list"),
        (Strange(), "'async for' received an object from __aiter__ that does not implement __anext__: int"),
        (Stranger(), "'async for' received an invalid object from __anext__: int"),
    ):
        with pytest.raises(TypeError) as refused:
            collect(body(iterable))
        assert str(refused.value) == text  # rule 63


# --- tracing and profiling ---


def trace_events(call, functions):
    events = []

    def tracer(frame, event, argument):
        if frame.f_code.co_name in functions:
            events.append((frame.f_code.co_name, event, frame.f_lineno - frame.f_code.co_firstlineno))
            return tracer
        return None

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        call()
    finally:
        sys.settrace(before)
    return events


def test_items_are_the_same_with_a_trace_function(implementation):
    @implementation
    async def body():
        received = yield 1
        await trap()
        try:
            yield received
        except KeyError:
            yield 3

    def consume():
        generator = body()
        taken.append(run(generator.__anext__()))
        taken.append(run(generator.asend("sent")))
        taken.append(run(generator.athrow(KeyError())))
        assert finished(generator)

    taken = []
    events = trace_events(consume, {"body"})
    assert taken == [1, "sent", 3]
    assert [event for _, event, _ in events if event == "call"] == ["call"] * 5
    assert [event for _, event, _ in events if event == "return"] == ["return"] * 5


def test_items_are_the_same_with_a_profile_function(implementation):
    @implementation
    async def body():
        for number in range(5):
            yield number

    calls = []

    def profiler(frame, event, argument):
        if frame.f_code.co_name == "body":
            calls.append(event)

    sys.setprofile(profiler)
    try:
        taken = collect(body())
    finally:
        sys.setprofile(None)
    assert taken == list(range(5))
    assert calls == ["call", "return"] * 6


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in 3.12")
def test_monitoring_sees_the_body(implementation):
    events = []

    @implementation
    async def body():
        yield 1
        yield 2

    monitoring = sys.monitoring
    tool = 4
    monitoring.use_tool_id(tool, "test")
    try:
        code = body().ag_code
        monitoring.register_callback(
            tool, monitoring.events.LINE, lambda code, line: events.append(line - code.co_firstlineno)
        )
        monitoring.set_local_events(tool, code, monitoring.events.LINE)
        assert collect(body()) == [1, 2]
        monitoring.set_local_events(tool, code, 0)
        assert collect(body()) == [1, 2]
    finally:
        monitoring.register_callback(tool, monitoring.events.LINE, None)
        monitoring.free_tool_id(tool)
    assert len([line for line in events if line > 0]) >= 2


def test_a_deep_stack_of_generators_reports_recursion_and_not_a_crash(implementation):
    @implementation
    async def deep(depth):
        async for item in deep(depth + 1):
            yield item

    generator = deep(0)
    result = outcome(run, generator.__anext__())
    assert result[:2] == ("error", "RecursionError")
    assert finished(generator)


class Between:
    """An async iterator without a Python frame of its own while it waits: only its operations are passed on."""

    def __init__(self, generator):
        self.__anext = generator.__anext__
        self.athrow, self.aclose = generator.athrow, generator.aclose

    def __aiter__(self):
        return self

    def __anext__(self):
        return self.__anext()


@pytest.mark.engine(reason="delegations nest: each takes frames of the recursion limit")
@pytest.mark.filterwarnings("ignore:coroutine method 'asend' .* was never awaited:RuntimeWarning")  # the one refused
@pytest.mark.parametrize("operation", ["exhaust", "athrow", "aclose", "drop"])
@pytest.mark.parametrize("depth", [500, 100_000])
def test_delegation_through_other_iterators_reports_recursion_and_not_a_crash(depth, operation, unraisable):
    from async_generator import async_generator, yield_, yield_from_

    @async_generator
    async def deep(levels):
        if levels:
            await yield_from_(Between(deep(levels - 1)))
        await yield_(levels)

    generator = deep(depth)
    first = outcome(run, generator.__anext__())
    if depth > 10_000:  # more than any version allows
        assert first[:2] == ("error", "RecursionError")
        del generator
        while unraisable:  # 3.10 enters the frame of a coroutine that never ran to close it: there is no room for that
            unraisable.take(RecursionError)
        return
    assert first == ("awaits", 0)
    if operation == "exhaust":
        assert collect(generator) == list(range(1, depth + 1))
    elif operation == "athrow":
        error = KeyError("thrown")
        assert outcome(run, generator.athrow(error)) == ("error", "KeyError", "'thrown'")
    elif operation == "aclose":
        run(generator.aclose())
    del generator


@pytest.mark.engine(reason="delegations nest: each takes frames of the recursion limit")
@pytest.mark.filterwarnings("ignore:coroutine method 'asend' .* was never awaited:RuntimeWarning")  # the one refused
def test_delegation_through_other_iterators_does_not_overflow_the_stack_of_a_small_thread():
    """Up to 3.13 the interpreter only counts, and its limits are those of a first thread's stack."""
    from async_generator import async_generator, yield_, yield_from_

    @async_generator
    async def deep(levels):
        if levels:
            await yield_from_(Between(deep(levels - 1)))
        await yield_(levels)

    generator = deep(10_000)  # on Windows too much for any thread: there the size is no more than a wish
    assert in_small_thread(lambda: run(generator.__anext__()))[:2] == ("error", "RecursionError")
    assert finished(generator)


@pytest.mark.engine(reason="the package's own frames are between")
def test_a_suspended_body_can_be_resumed_at_another_depth(implementation):
    @implementation
    async def body():
        while True:
            yield sys._getframe().f_back.f_back.f_code.co_name

    generator = body()

    def one():
        return run(generator.__anext__())

    def other():
        return run(generator.__anext__())

    assert [one(), other(), one()] == ["one", "other", "one"]
    run(generator.aclose())


# Notes -----------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.version_info < (3, 11), reason="notes are new in 3.11")
def test_errors_that_name_no_frame_of_the_body_say_where_it_is():
    @async_generator
    async def stubborn():
        try:
            yield 1
        except GeneratorExit:
            yield 2

    @types.coroutine
    def wait():
        yield

    @async_generator
    async def waiting():
        await wait()
        yield 1

    def note_of(error, function, line):
        first = function.__wrapped__.__code__.co_firstlineno
        return error.__notes__ == [f"{line[1]} {__file__}, line {first + line[0]}, in {function.__name__}"]

    generator = stubborn()
    with pytest.raises(StopIteration):
        generator.__anext__().send(None)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit") as caught:
        generator.aclose().send(None)
    assert note_of(caught.value, stubborn, (5, "while it was closed, its body yielded at"))
    generator = waiting()
    operation = generator.__anext__()
    operation.send(None)
    with pytest.raises(AlreadyRunning) as caught:
        generator.__anext__().send(None)
    assert note_of(caught.value, waiting, (2, "its body is at"))
    operation.close()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="notes are new in 3.11")
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_a_delegate_that_ignores_its_exit_is_named_at_any_depth(depth):
    @async_generator
    async def stubborn():
        try:
            yield 1
        finally:
            yield 2

    @async_generator
    async def delegating(depth):
        await yield_from_(delegating(depth - 1) if depth > 1 else stubborn())

    generator = delegating(depth)
    run(generator.__anext__())
    with pytest.raises(RuntimeError, match="ignored GeneratorExit") as caught:
        run(generator.aclose())
    line = stubborn.__wrapped__.__code__.co_firstlineno + 5
    assert caught.value.__notes__ == [f"while it was closed, its body yielded at {__file__}, line {line}, in stubborn"]


async def through_a_coroutine(generator):
    return await generator.__anext__()


async def through_a_native_generator(generator):
    async def native():
        async for item in generator:
            yield item

    return await native().__anext__()


async def through_a_delegating_generator(generator):
    @async_generator
    async def delegating():
        await yield_from_(generator)

    return await delegating().__anext__()


async def through_a_structured_coroutine(generator):
    return await structured(through_a_coroutine)(generator)


WAYS_TO_A_GENERATOR = [
    through_a_coroutine, through_a_native_generator, through_a_delegating_generator, through_a_structured_coroutine
]  # fmt: skip


@async_generator
async def sleeping(sleep):
    await sleep(0.05)
    yield 1


@pytest.mark.skipif(sys.version_info < (3, 11), reason="notes are new in 3.11")
@pytest.mark.parametrize("operation", ["__anext__", "aclose"])
@pytest.mark.parametrize("way", WAYS_TO_A_GENERATOR)
def test_already_running_names_the_task_of_asyncio(way, operation):
    async def main():
        generator = sleeping(asyncio.sleep)
        others = [asyncio.create_task(asyncio.sleep(0.05)) for _ in range(5)]
        reader = asyncio.create_task(way(generator), name="the reader")
        await asyncio.sleep(0.01)
        with pytest.raises(AlreadyRunning) as caught:
            await getattr(generator, operation)()
        assert caught.value.__notes__[0].startswith(f"its body is at {__file__}, line ")
        assert caught.value.__notes__[1:] == ["the task that runs it is 'the reader'"]
        await asyncio.gather(reader, *others)
        await generator.aclose()

    asyncio.run(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="notes are new in 3.11")
def test_already_running_names_the_task_of_trio():
    trio = pytest.importorskip("trio")

    async def main():
        generator = sleeping(trio.sleep)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(through_a_coroutine, generator, name="the reader")
            await trio.sleep(0.01)
            with pytest.raises(AlreadyRunning) as caught:
                await generator.aclose()
        assert caught.value.__notes__[1:] == ["the task that runs it is 'the reader'"]
        await generator.aclose()

    trio.run(main)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="notes are new in 3.11")
def test_already_running_names_the_task_of_trio_that_waits_for_an_isolated_generator():
    trio = pytest.importorskip("trio")
    pytest.importorskip("trio.testing")

    @async_generator(isolated=True)
    async def slow():
        await trio.sleep(0.05)
        yield 1

    async def main():
        async with slow() as generator, trio.open_nursery() as nursery:
            nursery.start_soon(generator.__anext__, name="the reader")
            await trio.testing.wait_all_tasks_blocked()
            for operation in (generator.__anext__, lambda: generator.asend(1), lambda: generator.athrow(KeyError())):
                with pytest.raises(AlreadyRunning) as caught:
                    await operation()
                assert caught.value.__notes__[0].startswith(f"its body is at {__file__}, line ")
                assert caught.value.__notes__[0].endswith(", in slow")
                assert caught.value.__notes__[1:] == ["the task that runs it is 'the reader'"]

    trio.run(main)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="notes are new in 3.11")
def test_already_running_names_the_task_that_waits_for_an_isolated_generator():
    async def main():
        generator = async_generator(sleeping.__wrapped__, isolated=True)(asyncio.sleep)
        reader = asyncio.create_task(through_a_coroutine(generator), name="the reader")
        await asyncio.sleep(0.01)
        with pytest.raises(AlreadyRunning) as caught:
            await generator.__anext__()
        assert caught.value.__notes__[0].startswith(f"its body is at {__file__}, line ")
        assert caught.value.__notes__[1:] == ["the task that runs it is 'the reader'"]
        await reader
        await generator.aclose()

    asyncio.run(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="notes are new in 3.11")
def test_an_interrupt_while_the_task_is_looked_for_is_raised(monkeypatch):
    class Interrupting:
        @staticmethod
        def all_tasks():
            raise KeyboardInterrupt

    async def main():
        generator = sleeping(asyncio.sleep)
        reader = asyncio.create_task(through_a_coroutine(generator))
        await asyncio.sleep(0.01)
        with monkeypatch.context() as patched:
            patched.setitem(sys.modules, "asyncio", Interrupting)
            with pytest.raises(KeyboardInterrupt):
                generator.__anext__().send(None)
        await reader
        await generator.aclose()

    asyncio.run(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups are new in 3.11")
def test_closing_ends_in_a_group_of_exits():
    """A task group that is closed raises one (gh-135736), before 3.15.2 and in other libraries."""
    for group, closes in ((["exit"], True), (["exit", ["exit"]], True), (["exit", "error"], False)):

        def made(parts):
            return BaseExceptionGroup(  # noqa: F821
                "group",
                [made(p) if isinstance(p, list) else GeneratorExit() if p == "exit" else ValueError() for p in parts],
            )

        @async_generator
        async def body():
            try:
                yield 1
            finally:
                raise made(group)

        generator = body()
        with pytest.raises(StopIteration):
            generator.__anext__().send(None)
        with pytest.raises(StopIteration if closes else BaseException) as caught:
            generator.aclose().send(None)
        assert type(caught.value).__name__ == ("StopIteration" if closes else "BaseExceptionGroup")
