"""Misuse gets a sentence that says what to do: never a crash, never a value in the event loop."""

import asyncio
import contextlib
import inspect
import sys

import pytest
from async_generator import async_generator, asynccontextmanager, yield_, yield_from_
from driving import Hold, collect, finished, outcome, run, suspend, trap


async def helper():
    await yield_(1)


async def delegating():
    async def native():
        yield 1

    await yield_from_(native())


@pytest.mark.parametrize("misused", [helper, delegating])
def test_yield_outside_of_any_generator_under_asyncio_is_an_error_there(misused):
    with pytest.raises(RuntimeError) as error:
        asyncio.run(misused())
    assert "async_generator" in str(error.value) or "async generator" in str(error.value), str(error.value)


@pytest.mark.parametrize("misused", [helper, delegating])
def test_yield_outside_of_any_generator_under_trio_is_an_error_there(misused):
    trio = pytest.importorskip("trio", reason="trio has no wheel for this interpreter")
    with pytest.raises((RuntimeError, TypeError)) as error:
        trio.run(misused)
    assert "async_generator" in str(error.value) or "async generator" in str(error.value), str(error.value)


def test_yield_outside_of_any_generator_can_be_survived():
    async def main():
        with contextlib.suppress(RuntimeError):
            await helper()
        return "went on"

    assert asyncio.run(main()) == "went on"


def test_yield_in_a_task_of_a_generator_is_an_error_of_the_task():
    @async_generator
    async def body():
        task = asyncio.ensure_future(helper())
        with pytest.raises(RuntimeError, match="async.generator"):
            await task
        await yield_("own item")

    async def main():
        return [item async for item in body()]

    assert asyncio.run(main()) == ["own item"]


def test_a_bare_driver_never_takes_an_item_for_a_trap():
    result = outcome(helper().send, None)
    if result[0] == "awaits":
        # What a driver without an event loop is handed names itself.
        assert "yield_" in repr(result[1]) or "async_generator" in repr(result[1])
    else:
        assert result[:2] == ("error", "RuntimeError")
        assert "async_generator" in result[2] or "async generator" in result[2]


def test_a_decorated_plain_function_is_refused_with_a_sentence():
    def plain():
        return 5

    with pytest.raises(TypeError, match="async"):
        async_generator(plain)()


def test_a_decorated_plain_generator_function_is_refused_with_a_sentence():
    def plain():
        yield 5

    with pytest.raises(TypeError, match="async"):
        async_generator(plain)()


@pytest.mark.parametrize("nonsense", [5, None, "text", object()], ids=repr)
def test_what_is_not_callable_cannot_be_decorated(nonsense):
    with pytest.raises(TypeError):
        async_generator(nonsense)


def test_decorating_twice_is_refused_or_harmless():
    async def body():
        await yield_(1)

    try:
        twice = async_generator(async_generator(body))
        items = collect(twice())
    except TypeError as error:
        assert "async_generator" in str(error)
    else:
        assert items == [1]


def test_options_for_what_is_decorated_already_are_refused_with_what_to_write():
    @async_generator
    async def body():
        await yield_(1)

    with pytest.raises(TypeError, match=r"twice: write one decorator, with all its options; .* isolated\(function"):
        async_generator(isolated=True)(body)


def test_a_function_that_calls_a_decorated_one_is_refused_with_what_to_decorate():
    @async_generator
    async def body():
        await yield_(1)

    with pytest.raises(
        TypeError, match="returned a generator of @async_generator: decorate the async generator function"
    ):
        async_generator(lambda: body())()


def test_the_decorator_on_top_of_asynccontextmanager_is_refused_with_a_sentence():
    with pytest.raises(TypeError, match="on top|asynccontextmanager"):

        @async_generator
        @asynccontextmanager
        async def manager():
            yield

        manager().__anext__()


@pytest.mark.parametrize("kind", ["plain", "plain generator", "coroutine"])
def test_asynccontextmanager_takes_async_generator_functions_only(kind):
    namespace = {}
    source = {
        "plain": "def function(): pass",
        "plain generator": "def function(): yield",
        "coroutine": "async def function(): pass",
    }
    exec(source[kind], namespace)
    with pytest.raises(TypeError):
        asynccontextmanager(namespace["function"])  # 1.10 fact K1


@pytest.mark.parametrize(
    "delegate", [[1, 2], 5, None, "text", (number for number in ())], ids=["list", "int", "None", "str", "generator"]
)
def test_delegating_to_what_is_not_async_iterable_is_a_type_error_in_the_body(delegate):
    seen = []

    @async_generator
    async def body():
        try:
            await yield_from_(delegate)
        except TypeError as error:
            seen.append(str(error))
        await yield_("went on")

    assert collect(body()) == ["went on"]
    (text,) = seen
    assert type(delegate).__name__ in text


def test_awaiting_the_generator_function_instead_of_iterating_it_is_a_type_error():
    @async_generator
    async def body():
        await yield_(1)

    async def wrong():
        await body()

    with pytest.raises(TypeError, match="await"):
        run(wrong())


def test_asyncio_run_of_a_generator_is_refused():
    @async_generator
    async def body():
        await yield_(1)

    with pytest.raises((ValueError, TypeError)):
        asyncio.run(body())


def test_a_body_that_returns_another_generators_awaitable_does_not_confuse_them():
    @async_generator
    async def other():
        await yield_("other's")

    @async_generator
    async def body():
        item = await other().__anext__()
        await yield_(("mine", item))

    assert collect(body()) == [("mine", "other's")]


def test_a_suspended_body_cannot_be_entered_through_its_own_frame(unraisable):
    """The coroutine behind a generator, if it can be reached, does not let its items into another driver."""
    import gc

    @async_generator
    async def body():
        await yield_(1)
        await yield_(2)

    generator = body()
    run(generator.__anext__())
    for referent in gc.get_referents(generator):
        if inspect.iscoroutine(referent):
            outcome(referent.send, None)
    outcome(run, generator.aclose())
    while unraisable:
        unraisable.take()


def test_the_internal_objects_cannot_be_made_by_hand():
    async def one():
        yield 1

    @async_generator
    async def body():
        await yield_(1)

    generator = body()
    object_ = yield_(1)
    awaiting = generator.__anext__()
    for instance in (object_, awaiting):
        type_ = type(instance)
        if inspect.iscoroutine(instance):
            continue
        with pytest.raises(TypeError):
            type_()
        with pytest.raises(TypeError):
            type_(1, 2, 3, 4, 5)
    object_.close()
    run(awaiting)


def test_the_generator_class_called_with_nonsense_does_not_crash(unraisable):
    @async_generator
    async def body():
        await yield_(1)

    type_ = type(body())
    for arguments in ((), (5,), (None,), ([],), (body,), (1, 2)):
        with pytest.raises((TypeError, AttributeError)):
            half_made = type_(*arguments)
            run(half_made.__anext__())
    try:
        blank = type_.__new__(type_)
    except TypeError:
        return
    for name in ("ag_running", "ag_frame", "ag_code", "ag_await", "__name__", "__qualname__"):
        outcome(getattr, blank, name)
    repr(blank)
    outcome(lambda blank=blank: blank.__anext__().send(None))
    del blank
    while unraisable:
        unraisable.take()


@pytest.mark.engine(reason="methods in Python take any object, and fail with AttributeError")
def test_methods_of_one_generator_do_not_take_another_object():
    @async_generator
    async def body():
        await yield_(1)

    async def native():
        yield 1

    generator, stranger = body(), native()
    for name in ("__anext__", "asend", "athrow", "aclose", "__aiter__", "__repr__"):
        method = getattr(type(generator), name)
        for wrong in (5, None, stranger, generator.__class__):
            if name == "__repr__" and method is object.__repr__:
                continue
            with pytest.raises(TypeError):
                method(wrong, None)
    for name in ("ag_running", "ag_frame", "ag_code", "ag_await"):
        descriptor = type(generator).__dict__[name]
        with pytest.raises(TypeError):
            descriptor.__get__(5, int)


def test_throwing_and_closing_a_yield_object_by_hand_does_no_harm():
    for method, arguments in (("close", ()), ("throw", (KeyError(),)), ("send", (5,))):
        object_ = yield_(1)
        if hasattr(object_, method):
            outcome(getattr(object_, method), *arguments)
        outcome(object_.close)
    for method, arguments in (("close", ()), ("throw", (KeyError(),)), ("send", (5,))):
        object_ = yield_from_(())
        if hasattr(object_, method):
            outcome(getattr(object_, method), *arguments)
        outcome(object_.close)


def test_a_body_that_raises_while_it_is_collected_does_not_lose_the_error(unraisable):
    @async_generator
    async def body():
        try:
            await yield_(1)
        finally:
            raise ArithmeticError("collected")

    generator = body()
    run(generator.__anext__())
    del generator
    assert unraisable.take(ArithmeticError).exc_value.args == ("collected",)


@pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="CPython only")
def test_entering_a_suspended_body_from_its_own_awaited_object_is_refused():
    seen = []

    class Entering:
        def __await__(self):
            for call in (
                lambda: generator.__anext__().send(None),
                lambda: generator.aclose().send(None),
                lambda: generator.athrow(KeyError()).send(None),
            ):
                seen.append(outcome(call)[:2])
            yield "trap"

    @async_generator
    async def body():
        await Entering()
        await yield_(1)

    generator = body()
    assert collect(generator) == [1]
    assert seen == [("error", "RuntimeError")] * 3


def test_a_yield_object_awaited_by_two_generators_is_delivered_once():
    shared = []

    @async_generator
    async def first():
        object_ = yield_("shared")
        shared.append(object_)
        await object_
        await yield_("first's own")

    @async_generator
    async def second():
        await shared[0]

    one, two = first(), second()
    assert run(one.__anext__()) == "shared"
    with pytest.raises(RuntimeError):
        run(two.__anext__())
    assert run(one.__anext__()) == "first's own"
    assert finished(one)


def test_an_awaitable_whose_send_is_called_from_inside_an_iteration_over_it():
    hold = Hold()

    @async_generator
    async def body():
        await hold
        await yield_(1)

    generator = body()
    awaiting = generator.__anext__()
    suspend(awaiting)
    assert outcome(awaiting.send, None) == ("done", 1)
    assert outcome(awaiting.send, None)[:2] == ("error", "RuntimeError")
    run(generator.aclose())


def test_a_trap_that_looks_like_an_item_is_a_trap():
    """Objects of the package handed to the event loop by a foreign awaitable are not mistaken for items."""
    foreign = object()

    @async_generator
    async def body():
        answer = await trap(foreign)
        await yield_(answer)

    generator = body()
    awaiting = generator.__anext__()
    assert suspend(awaiting) is foreign
    assert outcome(awaiting.send, "answer") == ("done", "answer")
    run(generator.aclose())


@pytest.mark.engine(reason="yield_() returns a coroutine")
def test_a_used_yield_object_handed_to_the_event_loop_is_a_trap():
    @async_generator
    async def body():
        used = yield_(1)
        await used
        await yield_(2)
        await trap(used)
        await yield_(3)

    generator = body()
    assert [run(generator.__anext__()) for _ in range(2)] == [1, 2]
    awaiting = generator.__anext__()
    assert type(suspend(awaiting)).__name__ == "yield_awaitable"
    assert outcome(awaiting.send, None) == ("done", 3)
    run(generator.aclose())


@pytest.mark.engine(reason="what __del__ raises is reported for the method, not for the generator")
def test_a_body_that_fails_to_close_is_reported_when_its_generator_is_dropped(unraisable):
    """The generator is dead by then and must not be brought back: the report names its body."""

    @async_generator
    async def inner():
        try:
            await yield_(1)
        finally:
            raise ValueError("from the end")

    @async_generator
    def stepping(generator):
        return generator.asend(None)  # any object with a coroutine's slots will do as a body

    for _ in range(3):
        generator = inner()
        run(generator.__anext__())
        outer = stepping(generator)
        body = outer._coroutine
        del outer
        report = unraisable.take(ValueError)
        assert str(report.exc_value) == "from the end" and report.object is body


@pytest.mark.parametrize("operation", ["close", "throw"])
def test_a_delegation_that_its_own_operation_ends(operation):
    delegation = None

    class Source:
        def __aiter__(self):
            return self

        async def __anext__(self):
            how = delegation.close if operation == "close" else lambda: delegation.throw(KeyError("thrown"))
            told.append(outcome(how))  # what is under way goes on to its end all the same
            return "item"

    async def native():
        nonlocal delegation
        delegation = yield_from_(Source())
        await delegation
        yield

    told = []
    generator = native()
    assert outcome(suspend, generator.__anext__()) == ("done", "item")
    assert told == [("error", "ValueError", "coroutine already executing")]
    delegation = None
    outcome(run, generator.aclose())


@pytest.mark.parametrize("victim", ["root", "middle", "leaf"])
@pytest.mark.parametrize("source", ["generator", "iterator"])
def test_finalizing_a_generator_by_hand_while_a_chain_runs_through_it(victim, source):
    generators = {}

    def finalize():
        return outcome(generators[victim].__del__)

    class Iterator:
        items = iter("ab")

        def __aiter__(self):
            return self

        async def __anext__(self):
            told.append(finalize())
            for item in self.items:
                return item
            raise StopAsyncIteration

    @async_generator
    async def leaf():
        for item in "ab":
            told.append(finalize())
            await trap()
            told.append(finalize())
            await yield_(item)
        if source == "iterator":
            await yield_from_(Iterator())

    @async_generator
    async def middle():
        generators["leaf"] = leaf()
        await yield_from_(generators["leaf"])

    @async_generator
    async def root():
        generators["middle"] = middle()
        await yield_from_(generators["middle"])

    told = []
    generators["root"] = root()
    items = collect(generators["root"])
    assert items == list("ab" + ("ab" if source == "iterator" else ""))
    allowed = {("awaits", None), ("error", "ValueError", "async generator already executing")}
    assert told and set(told) <= allowed
    generators.clear()


@pytest.mark.parametrize("way", ["yield", "helper", "delegation", "delegation in a helper"])
def test_a_body_that_never_stops_ignoring_its_exit_is_reported_and_left(unraisable, way):
    """Each time it is closed it yields again; an error at the await would have it go round for ever."""

    async def helper():
        await yield_(1)

    @async_generator
    async def once():
        await yield_(1)

    async def delegating_helper():
        await yield_from_(once())

    @async_generator
    async def stubborn():
        rounds = 0
        while rounds < 1000:
            rounds += 1
            with contextlib.suppress(BaseException):
                if way == "yield":
                    await yield_(1)
                elif way == "helper":
                    await helper()
                elif way == "delegation":
                    await yield_from_(once())
                else:
                    await delegating_helper()
        ended.append("went round")

    ended = []
    generator = stubborn()
    assert outcome(suspend, generator.__anext__()) == ("done", 1)
    del generator
    assert str(unraisable.take(RuntimeError).exc_value) == "async generator ignored GeneratorExit"
    while unraisable:
        assert str(unraisable.take(RuntimeError).exc_value).endswith("ignored GeneratorExit")
    assert ended == []


@pytest.mark.parametrize("operation", ["athrow", "aclose", "__anext__", "throw", "close", "send", "drop"])
def test_a_body_whose_frame_was_cleared_cannot_crash_its_generator(unraisable, operation):
    """`traceback.clear_frames()` does that, too. 3.10's own generators crash here."""

    async def waiting():
        await trap()

    @async_generator
    async def stubborn():
        while True:
            with contextlib.suppress(GeneratorExit):
                await waiting()

    generator = stubborn()
    awaiting = generator.__anext__()
    assert outcome(suspend, awaiting) == ("awaits", None)
    with contextlib.suppress(RuntimeError):  # from 3.13 on it is refused
        generator.ag_frame.clear()
    assert generator.ag_await is None or inspect.iscoroutine(generator.ag_await)
    if operation in ("throw", "close", "send"):
        arguments = {"throw": [KeyError("thrown")], "close": [], "send": [None]}[operation]
        outcome(getattr(awaiting, operation), *arguments)
    elif operation != "drop":
        outcome(run, getattr(generator, operation)(*([KeyError("thrown")] if operation == "athrow" else [])))
    del generator, awaiting
    while unraisable:
        unraisable.take(RuntimeError)
