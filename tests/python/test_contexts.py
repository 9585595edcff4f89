"""Contexts of their own, and what is made of them: `context="own"`, `context="layered"`, `instrument()`."""

import asyncio
import contextlib
import contextvars
import functools
import gc
import inspect
import os
import random
from contextvars import ContextVar

import pytest
from async_generator import _implementation as _engine
from async_generator import (
    async_generator,
    instrument,
    isasyncgenfunction,
    structured,
    yield_,
    yield_from_,
)
from async_generator._environment import Layer

try:
    import trio
except ImportError:  # no wheel for this interpreter
    trio = None

A = ContextVar("A", default="unset")
B = ContextVar("B", default="unset")
BOTH = pytest.mark.parametrize("context", ["own", "layered"])


def alone(function):
    """Runs a test in a context that no other test has."""

    @functools.wraps(function)
    def test():
        contextvars.copy_context().run(function)

    return test


# Both ------------------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("way", ["anext", "asend", "athrow", "aclose", "finalizer"])
def test_a_token_can_be_reset_whoever_resumes(context, way):
    log = []

    @async_generator(context=context)
    async def generator():
        token = A.set("body's")
        try:
            yield 1
        except KeyError:
            pass
        finally:
            A.reset(token)
            log.append(A.get())

    async def begin():
        made = generator()
        await made.__anext__()
        assert A.get() == "unset"
        return made

    async def end(made):
        if way == "aclose":
            return await made.aclose()
        operation = {
            "anext": made.__anext__,
            "asend": lambda: made.asend(2),
            "athrow": lambda: made.athrow(KeyError()),
        }[way]
        with contextlib.suppress(StopAsyncIteration):
            await operation()

    async def main():
        made = [await asyncio.create_task(begin())]
        if way == "finalizer":
            made.clear()
            await asyncio.sleep(0.01)
        else:
            await asyncio.create_task(end(made[0]))

    asyncio.run(main())
    assert log == ["unset"]


@BOTH
def test_what_the_body_sets_is_not_seen_outside(context):
    @async_generator(context=context)
    async def generator():
        A.set("body's")
        yield A.get()
        yield A.get()

    async def main():
        A.set("consumer's")
        seen = []
        async for x in generator():
            seen.append((x, A.get()))
        assert seen == [("body's", "consumer's")] * 2

    asyncio.run(main())


@BOTH
def test_tasks_and_threads_inherit_what_the_body_sees(context):
    async def look():
        return A.get()

    @async_generator(context=context)
    async def generator():
        A.set("body's")
        yield await asyncio.create_task(look())
        yield await asyncio.get_running_loop().run_in_executor(None, contextvars.copy_context().run, A.get)
        yield (await asyncio.gather(look()))[0]

    async def main():
        assert [x async for x in generator()] == ["body's"] * 3

    asyncio.run(main())


@BOTH
@pytest.mark.parametrize("ends", ["raise", "return"])
def test_the_consumers_context_is_current_after_each_step(context, ends):
    @async_generator(context=context)
    async def generator():
        yield 1
        await asyncio.sleep(0)
        if ends == "raise":
            raise KeyError

    async def main():
        A.set("mine")
        made = generator()
        assert await made.__anext__() == 1 and A.get() == "mine"
        with pytest.raises(KeyError if ends == "raise" else StopAsyncIteration):
            await made.__anext__()
        assert A.get() == "mine"
        token = A.set("still mine")
        A.reset(token)

    asyncio.run(main())


@BOTH
def test_delegates_run_in_the_context_of_who_delegates(context):
    @async_generator
    async def delegate():
        A.set("delegate's")
        await yield_(A.get())

    @async_generator(context=context)
    async def generator():
        A.set("body's")
        await yield_from_(delegate())
        await yield_(A.get())

    async def main():
        assert [x async for x in generator()] == ["delegate's"] * 2
        assert A.get() == "unset"

    asyncio.run(main())


@BOTH
def test_a_generator_with_a_context_can_be_delegated_to(context):
    @async_generator(context=context)
    async def delegate():
        A.set("delegate's")
        await yield_(A.get())
        return B.get()

    @async_generator
    async def generator():
        B.set("body's")
        await yield_(await yield_from_(delegate()))
        await yield_(A.get())

    async def main():
        assert [x async for x in generator()] == ["delegate's", "body's", "unset"]

    asyncio.run(main())


@pytest.mark.cpython(reason="what a structured body drops")
@BOTH
def test_a_structured_one_cleans_up_in_its_context(context):
    log = []

    async def source():
        try:
            yield 1
        finally:
            log.append(A.get())

    @structured
    @async_generator(context=context)
    async def generator():
        A.set("body's")
        async for _ in source():
            break
        await yield_(1)

    async def main():
        assert [x async for x in generator()] == [1]

    asyncio.run(main())
    assert log == ["body's"]


@BOTH
def test_trio_has_it_too(context):
    if trio is None:
        pytest.skip("trio has no wheel for this interpreter")

    @async_generator(context=context)
    async def generator():
        token = A.set("body's")
        await trio.sleep(0)
        yield A.get()
        await trio.sleep(0)
        A.reset(token)
        yield A.get()

    async def main():
        assert [x async for x in generator()] == ["body's", "unset"]

    trio.run(main)


def test_other_contexts_are_refused():
    with pytest.raises(ValueError, match='context is "own", "layered" or None, not \'mine\''):
        async_generator(context="mine")


# Layered ---------------------------------------------------------------------------------------------------------------


def step(made):
    """The next item of a generator that does not wait."""
    with pytest.raises(StopIteration) as stop:
        made.__anext__().send(None)
    return stop.value.value


@alone
def test_a_layer_follows_the_caller_but_for_what_the_body_has_set():
    @async_generator(context="layered")
    async def generator():
        while True:
            yield A.get(), B.get()
            token = A.set("body's")
            yield A.get(), B.get()
            yield A.get(), B.get()
            A.reset(token)

    made = generator()
    assert step(made) == ("unset", "unset")
    A.set(1)
    assert step(made) == ("body's", "unset")
    B.set(2)
    A.set(3)
    assert step(made) == ("body's", 2)
    assert A.get() == 3
    step(made)
    token = A.set(4)
    step(made), step(made)
    assert step(made)[0] in (3, 4)  # in the resumption that resets it, the variable is what it was when it was set
    A.reset(token)


@alone
def test_a_variable_that_the_caller_resets_is_unset_in_the_body():
    @async_generator(context="layered")
    async def generator():
        while True:
            yield A.get()

    made = generator()
    token = A.set(1)
    assert step(made) == 1
    A.reset(token)
    assert step(made) == "unset"
    A.set(2)
    assert step(made) == 2


@alone
def test_equal_values_are_not_taken_for_the_same():
    @async_generator(context="layered")
    async def generator():
        while True:
            yield A.get()

    made = generator()
    one, two = [], []
    A.set(one)
    assert step(made) is one
    A.set(two)
    assert step(made) is two

    class Hostile:
        def __eq__(self, other):
            raise AssertionError("compared")

        __hash__ = None

    for value in Hostile(), Hostile():
        A.set(value)
        assert step(made) is value


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("seed", range(int(os.environ.get("AGEN_RANDOM", 30))))
def test_layers_agree_with_a_model(seed, known):
    """Random sets and resets of both sides, against dictionaries."""
    _engine.set_layer(Layer, known)
    try:
        compare_with_a_model(seed)
    finally:
        _engine.set_layer(Layer)


def compare_with_a_model(seed):
    choose = random.Random(seed)
    variables = [ContextVar(f"v{i}", default=None) for i in range(4)]

    def in_body(own, base, tokens):
        for _ in range(choose.randint(0, 3)):
            which = choose.randrange(4)
            if choose.random() < 0.6 or not tokens[which]:
                value = object()
                before = own.get(which, base[which])
                tokens[which].append((variables[which].set(value), which in own, before))
                own[which] = value
            else:
                token, was_own, before = tokens[which].pop()
                variables[which].reset(token)
                if was_own:
                    own[which] = before
                else:
                    own.pop(which, None)
                    base[which] = before  # until the next resumption

    @async_generator(context="layered")
    async def generator():
        own, tokens = {}, [[] for _ in variables]
        while True:
            seen = yield
            base = dict(seen)
            for which, variable in enumerate(variables):
                assert variable.get() is own.get(which, base[which])
            in_body(own, base, tokens)
            for which, variable in enumerate(variables):
                assert variable.get() is own.get(which, base[which])

    def consume():
        made = generator()
        step(made)
        present, tokens = dict.fromkeys(range(4)), []
        for _ in range(60):
            for _ in range(choose.randint(0, 3)):
                if choose.random() < 0.7 or not tokens:
                    which, value = choose.randrange(4), object()
                    tokens.append((which, variables[which].set(value), present[which]))
                    present[which] = value
                else:
                    which, token, before = tokens.pop()
                    variables[which].reset(token)
                    present[which] = before
            with pytest.raises(StopIteration):
                made.asend(dict(present)).send(None)
            assert all(variable.get() is present[which] for which, variable in enumerate(variables))

    contextvars.copy_context().run(consume)


@pytest.mark.engine(reason="contexts are not compared")
def test_the_engine_compares_contexts_without_asking():
    assert _engine.fast_paths()["compared contexts"], "where a context keeps its variables was not found out"


@pytest.mark.engine(reason="contexts are not compared")
def test_a_layer_is_asked_only_when_something_has_changed(monkeypatch):
    asked = []
    for name in "follow", "left":
        method = getattr(Layer, name)
        monkeypatch.setattr(
            Layer, name, lambda self, *a, name=name, method=method: (asked.append(name), method(self, *a))[1]
        )

    @async_generator(context="layered")
    async def generator():
        while True:
            yield

    def consume():
        made = generator()
        step(made), step(made), step(made)
        assert asked == ["follow"]
        A.set(1)
        step(made), step(made)
        assert asked == ["follow"] * 2

    contextvars.copy_context().run(consume)


# instrument ------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def span(log, call):
    token = A.set(f"span of {call.function.__name__}{call.args}")
    log.append("enter")
    try:
        yield
    except BaseException as error:
        log.append(type(error).__name__)
        raise
    finally:
        A.reset(token)
        log.append("exit")


@contextlib.asynccontextmanager
async def async_span(log, call):
    with span(log, call):
        await asyncio.sleep(0)
        yield


async def native(n, *, start=0):
    """Documentation."""
    for i in range(start, n):
        try:
            got = yield i, A.get()
        except KeyError:
            got = "caught"
        if got is not None:
            yield got


@async_generator
async def ours(n, *, start=0):
    """Documentation."""
    for i in range(start, n):
        try:
            got = await yield_((i, A.get()))
        except KeyError:
            got = "caught"
        if got is not None:
            await yield_(got)
    return "result"


FUNCTIONS = pytest.mark.parametrize("function", [native, ours])
SPANS = pytest.mark.parametrize("make_span", [span, async_span])


@pytest.mark.seen(reason="inspect is asked")
@FUNCTIONS
@SPANS
def test_an_instrumented_function_is_the_same_with_something_around_it(function, make_span):
    log = []
    traced = instrument(function, around=lambda call: make_span(log, call))
    assert isasyncgenfunction(traced) and inspect.isasyncgenfunction(traced)
    assert str(inspect.signature(traced)) == str(inspect.signature(function)) == "(n, *, start=0)"
    assert traced.__name__ == function.__name__ and traced.__doc__ == "Documentation."

    async def main():
        made = traced(3, start=1)
        assert log == []
        inside = f"span of {function.__name__}(3,)"
        assert await made.__anext__() == (1, inside)
        assert A.get() == "unset" and log == ["enter"]
        assert await made.asend("sent") == "sent"
        assert await made.__anext__() == (2, inside)
        assert await made.athrow(KeyError()) == "caught"
        with pytest.raises(StopAsyncIteration) as stop:
            await made.__anext__()
        assert stop.value.args == (("result",) if function is ours else ())
        assert log == ["enter", "exit"]

    asyncio.run(main())


@FUNCTIONS
@SPANS
@pytest.mark.parametrize("way", ["aclose", "another task", "finalizer", "error"])
def test_what_is_around_ends_with_the_generator(function, make_span, way):
    log = []
    traced = instrument(function, around=lambda call: make_span(log, call))

    async def main():
        made = [traced(3)]
        await made[0].__anext__()
        if way == "aclose":
            await made[0].aclose()
        elif way == "another task":
            await asyncio.create_task(closing(made[0]))
        elif way == "finalizer":
            made.clear()
            gc.collect()
            await asyncio.sleep(0.01)
        else:
            with pytest.raises(ValueError, match="thrown"):
                await made[0].athrow(ValueError("thrown"))

    async def closing(made):
        await made.aclose()

    asyncio.run(main())
    assert log == ["enter", "ValueError" if way == "error" else "GeneratorExit", "exit"]


@FUNCTIONS
@pytest.mark.parametrize("way", ["sync", "async"])
def test_what_is_around_may_end_a_generator_quietly(function, way):
    @contextlib.asynccontextmanager
    async def quiet():
        with contextlib.suppress(ValueError):
            yield

    traced = instrument(function, around=lambda call: quiet() if way == "async" else contextlib.suppress(ValueError))

    async def main():
        made = traced(3)
        await made.__anext__()
        with pytest.raises(StopAsyncIteration) as stop:
            await made.athrow(ValueError())
        assert stop.value.args == ()

    asyncio.run(main())


def test_an_isolated_function_stays_isolated_around_what_is_in_it():
    log = []

    @async_generator(isolated=True)
    async def items():
        log.append(asyncio.current_task())
        yield 1

    @contextlib.asynccontextmanager
    async def manager():
        log.append(asyncio.current_task())
        yield

    async def main():
        async with instrument(items, around=lambda call: manager())() as stream:
            assert await stream.anext(timeout=1) == 1
        assert log[0] is log[1] is not asyncio.current_task()

    asyncio.run(main())


def test_instrument_refuses_what_it_cannot_do():
    with pytest.raises(TypeError, match="instrument\\(\\) takes an async generator function"):
        instrument(len, around=contextlib.nullcontext)
    traced = instrument(native, around=lambda call: None)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        traced()

    async def main():
        with pytest.raises(TypeError, match="around returned None, not a context manager"):
            await traced(1).__anext__()

    asyncio.run(main())
    never = instrument(ours, around=contextlib.nullcontext)
    never(1)  # not even begun: nothing is said
