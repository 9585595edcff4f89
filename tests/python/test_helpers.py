"""What only the package can: yield_ in coroutines that the body awaits, and values returned by a generator."""

import asyncio
import gc
import importlib
import inspect
import types

import pytest
from async_generator import _bytecode, async_generator, yield_, yield_from_
from driving import collect, finished, outcome, run, suspend, trap


async def helper(item):
    return await yield_(item)


async def deep(depth, item):
    return await (deep(depth - 1, item) if depth else helper(item))


# Each way to have an async generator whose body awaits coroutines that yield.
def decorated(function):
    return async_generator(function)


def undecorated(function):
    """A native async generator function around `function`'s body: its yields come from the coroutine alone."""

    async def generator(*arguments):
        await function(*arguments)
        return
        yield

    return generator


def decorated_undecorated(function):
    return async_generator(undecorated(function))


EVERYWHERE = pytest.mark.parametrize("make", [decorated, undecorated, decorated_undecorated])


@EVERYWHERE
@pytest.mark.parametrize("depth", [0, 1, 5, 50])
def test_yield_works_in_coroutines_at_any_depth(make, depth):
    received = []

    @make
    async def body():
        for number in range(3):
            received.append(await deep(depth, number))

    generator = body()
    assert run(generator.__anext__()) == 0
    assert run(generator.asend("a")) == 1
    assert run(generator.asend("b")) == 2
    assert finished(generator)
    assert received == ["a", "b", None]


@EVERYWHERE
def test_exceptions_reach_the_yield_of_a_helper(make):
    seen = []

    async def catching(item):
        try:
            await yield_(item)
        except KeyError as error:
            seen.append(error.args)
            return "caught"

    @make
    async def body():
        await yield_(await catching("first"))
        await catching("last")

    generator = body()
    assert run(generator.__anext__()) == "first"
    assert run(generator.athrow(KeyError("k"))) == "caught"
    assert run(generator.__anext__()) == "last"
    assert run(generator.aclose()) is None
    assert seen == [("k",)]


@EVERYWHERE
def test_closing_runs_the_finally_of_every_helper(make):
    done = []

    async def inner():
        try:
            await yield_(1)
        finally:
            await trap()
            done.append("inner")

    async def outer():
        try:
            await inner()
        finally:
            done.append("outer")

    @make
    async def body():
        try:
            await outer()
        finally:
            done.append("body")

    generator = body()
    run(generator.__anext__())
    run(generator.aclose())
    assert done == ["inner", "outer", "body"]


@EVERYWHERE
def test_traps_and_items_of_a_helper_do_not_mix(make):
    received = []

    async def mixed(name):
        received.append(await trap(("trap", name)))
        received.append(await yield_(("item", name)))
        received.append(await trap(("trap again", name)))

    @make
    async def body():
        await mixed("a")
        await mixed("b")

    generator = body()
    first = generator.__anext__()
    assert suspend(first) == ("trap", "a")
    assert outcome(first.send, 1) == ("done", ("item", "a"))
    second = generator.asend(2)
    assert suspend(second) == ("trap again", "a")
    assert suspend(second, 3) == ("trap", "b")
    assert outcome(second.send, 4) == ("done", ("item", "b"))
    third = generator.asend(5)
    assert suspend(third) == ("trap again", "b")
    assert outcome(third.send, 6) == ("error", "StopAsyncIteration", "")
    assert received == [1, 2, 3, 4, 5, 6]


@EVERYWHERE
def test_generators_in_generators_each_take_their_own_items(make):
    @make
    async def inner():
        for number in range(3):
            await helper(number)

    @make
    async def outer():
        async for number in inner():
            await helper(("outer", number))
            await helper(("again", number))

    assert collect(outer()) == [(name, number) for number in range(3) for name in ("outer", "again")]


def test_native_yields_and_helpers_may_alternate():
    async def body():
        received = yield 1
        received = await helper(received)
        received = yield received
        await yield_(received)

    for function in (body, async_generator(body)):
        generator = function()
        assert [run(generator.asend(value)) for value in (None, "a", "b", "c")] == [1, "a", "b", "c"]
        assert finished(generator)


def test_a_yield_object_may_be_kept_and_awaited_later():
    @async_generator
    async def body():
        later = yield_("later")
        await yield_("now")
        await later

    assert collect(body()) == ["now", "later"]


def test_yield_objects_may_be_awaited_in_any_order():
    @async_generator
    async def body():
        objects = [yield_(number) for number in range(5)]
        for object_ in reversed(objects):
            await object_

    assert collect(body()) == [4, 3, 2, 1, 0]


def test_a_yield_object_cannot_be_awaited_twice():
    seen = []

    @async_generator
    async def body():
        once = yield_("once")
        await once
        try:
            await once
        except RuntimeError as error:
            seen.append(str(error))
        await yield_("went on")

    assert collect(body()) == ["once", "went on"]
    (text,) = seen
    assert text.startswith("cannot reuse already awaited ")  # 1.10 fact B8


def test_yield_takes_none_or_one_argument():
    @async_generator
    async def body():
        await yield_()
        await yield_(value="keyword")
        for arguments, keywords in (((1, 2), {}), ((1,), {"value": 1}), ((), {"item": 1})):
            with pytest.raises(TypeError):
                yield_(*arguments, **keywords)

    assert collect(body()) == [None, "keyword"]


def test_yield_looks_like_a_coroutine_to_the_abcs():
    import collections.abc

    object_ = yield_(1)
    assert isinstance(object_, collections.abc.Awaitable)
    object_.close()


def test_yield_can_be_called_with_every_form_of_call():
    import functools

    @async_generator
    async def body():
        await yield_(*[1])
        await yield_(**{"value": 2})
        await functools.partial(yield_, 3)()
        call = yield_
        await call(4)
        await (yield_)(5)
        for result in map(yield_, [6]):
            await result
        await yield_(yield_(7).close())

    assert collect(body()) == [1, 2, 3, 4, 5, 6, None]


def test_yield_under_another_name_and_from_the_module():
    import async_generator as package
    from async_generator import yield_ as give

    @async_generator
    async def body():
        await give(1)
        await package.yield_(2)

    assert collect(body()) == [1, 2]


def test_a_global_of_that_name_that_is_something_else_is_respected():
    namespace = {"async_generator": async_generator, "trap": trap}
    exec(
        "async def other(value=None):\n    return ('other', value)\n"
        "yield_ = other\n"
        "@async_generator\nasync def body():\n    results.append(await yield_(1))\n    await give(2)\n",
        namespace,
    )
    namespace["give"] = yield_
    namespace["results"] = []
    assert collect(namespace["body"]()) == [2]
    assert namespace["results"] == [("other", 1)]


def test_a_global_that_is_replaced_counts_for_generators_made_later_and_harms_none_made_before():
    namespace = {"async_generator": async_generator, "yield_": yield_, "results": []}
    exec(
        "@async_generator\nasync def body():\n"
        "    for number in range(4):\n        results.append(await yield_(number))\n",
        namespace,
    )
    before = namespace["body"]()
    assert run(before.__anext__()) == 0

    async def other(value):
        return ("other", value)

    namespace["yield_"] = other
    # Of the suspended one, each yield either is a yield still or has become the other; its coroutine never gets lost.
    items = collect(before)
    assert items in ([], [1, 2, 3])
    assert namespace["results"] == (
        [None, None, None, None] if items else [None, ("other", 1), ("other", 2), ("other", 3)]
    )
    namespace["results"].clear()
    assert collect(namespace["body"]()) == []
    assert namespace["results"] == [("other", number) for number in range(4)]


def test_awaitables_of_every_kind_where_a_yield_stood():
    """The same `await` meets a yield, a coroutine, a future-like object and a generator-based coroutine in turn."""
    received = []

    class Custom:
        def __await__(self):
            received.append((yield "custom trap"))
            return "custom"

    async def coroutine():
        return await trap("coroutine trap")

    @types.coroutine
    def old():
        return (yield "old trap")

    @async_generator
    async def body():
        makers = [lambda: yield_(1), Custom, coroutine, old, lambda: yield_(2)]
        for _ in range(3):
            for maker in makers:
                received.append(await maker())

    generator = body()
    traps, items = [], []
    for _ in range(10):
        awaiting = generator.asend("sent") if items else generator.__anext__()
        send = None
        try:
            for _ in range(10):
                traps.append(awaiting.send(send))
                send = "answer"
        except StopIteration as stop:
            items.append(stop.value)
        except StopAsyncIteration:
            break
    assert items == [1, 2] * 3
    assert traps == ["custom trap", "coroutine trap", "old trap"] * 3
    assert received == ["sent", "answer", "custom", "answer", "answer", "sent"] * 3


# --- return values ---


@pytest.mark.parametrize(
    "value", [1, "text", (), (1, 2), [], 0, False, StopIteration(1), StopAsyncIteration(2), KeyError], ids=repr
)
def test_a_returned_value_travels_in_the_stop(value):
    @async_generator
    async def body():
        await yield_(1)
        return value

    generator = body()
    assert run(generator.__anext__()) == 1
    with pytest.raises(StopAsyncIteration) as end:
        run(generator.__anext__())
    assert len(end.value.args) == 1 and end.value.args[0] is value
    assert end.value.__context__ is None and end.value.__cause__ is None
    assert finished(generator)  # once


@pytest.mark.parametrize("how", ["return None", "return", "pass"])
def test_a_plain_end_carries_nothing(how):
    namespace = {"yield_": yield_, "async_generator": async_generator}
    exec(f"@async_generator\nasync def body():\n    await yield_(1)\n    {how}\n", namespace)
    generator = namespace["body"]()
    run(generator.__anext__())
    with pytest.raises(StopAsyncIteration) as end:
        run(generator.__anext__())
    assert end.value.args == ()


def test_async_for_drops_the_returned_value():
    @async_generator
    async def body():
        await yield_(1)
        return "dropped"

    assert collect(body()) == [1]


def test_a_value_returned_after_an_athrow_travels_too():
    @async_generator
    async def body():
        try:
            await yield_(1)
        except KeyError:
            return "after the throw"

    generator = body()
    run(generator.__anext__())
    with pytest.raises(StopAsyncIteration) as end:
        run(generator.athrow(KeyError()))
    assert end.value.args == ("after the throw",)


def test_a_value_returned_by_an_aclose_is_dropped():
    @async_generator
    async def body():
        try:
            await yield_(1)
        except GeneratorExit:
            return "dropped"

    generator = body()
    run(generator.__anext__())
    assert run(generator.aclose()) is None
    assert finished(generator)


def test_a_return_is_not_seen_by_the_bodys_own_handlers():
    seen = []

    @async_generator
    async def body():
        try:
            await yield_(1)
            return "value"
        except BaseException as error:
            seen.append(error)
            raise

    generator = body()
    run(generator.__anext__())
    with pytest.raises(StopAsyncIteration):
        run(generator.__anext__())
    assert not seen


def test_a_body_that_never_yields_is_empty():
    @async_generator
    async def body():
        return 5

    assert collect(body()) == []
    with pytest.raises(StopAsyncIteration) as end:
        run(body().__anext__())
    assert end.value.args == (5,)


def test_a_body_that_never_yields_and_never_awaits_may_be_thrown_into():
    @async_generator
    async def body():
        return 5

    with pytest.raises(KeyError):
        run(body().athrow(KeyError()))
    assert run(body().aclose()) is None


def test_anext_with_a_default_drops_the_value():
    @async_generator
    async def body():
        return 5

    async def consume():
        generator = body()
        return [await anext(generator, "default"), await anext(generator, "default")]

    assert run(consume()) == ["default", "default"]
    assert asyncio.run(consume()) == ["default", "default"]  # 1.10 crashes the interpreter here, fact Z3


def test_rewriting_leaves_the_stack_that_an_ordinary_await_needs():
    """Throwing into an await takes more of the stack than anything that is seen by reading the code from the start."""

    async def ordinary():
        await trap()

    async def body():
        await trap()
        await yield_(1)

    assert async_generator(body)().ag_code.co_stacksize >= ordinary.__code__.co_stacksize


def test_an_exception_arrives_at_the_yield_where_a_generator_in_between_took_an_item():
    """The interpreter's wrapper of the outer item is, as a rule, made in the memory of the one that the inner took."""

    async def catching(item):
        try:
            return await yield_(item)
        except KeyError:
            return "thrown in at the helper"

    async def inner():
        yield await catching("item")

    @async_generator
    async def outer():
        async for item in inner():
            try:
                await yield_(item)
            except KeyError:
                await yield_("thrown in at the yield")

    generator = outer()
    assert run(generator.__anext__()) == "item"
    assert run(generator.athrow(KeyError())) == "thrown in at the yield"


def codes_within(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes_within(constant)


@pytest.mark.parametrize("module", ["asyncio.base_events", "asyncio.streams", "contextlib", "inspect", "tarfile"])
def test_the_stack_is_counted_as_the_compiler_counts_it(module):
    """Every function of these modules: loops, handlers, `with` and `async with`, comprehensions."""
    source = inspect.getsource(importlib.import_module(module))
    codes = list(codes_within(compile(source, module, "exec")))
    differing = [code for code in codes if max(_bytecode.Code(code).stack_size(), 1) != max(code.co_stacksize, 1)]
    assert len(codes) > 20 and not differing


@pytest.mark.engine(reason="nothing is rewritten")
def test_a_rewritten_body_needs_the_stack_of_its_native_twin():
    async def native(n):
        for i in range(n):
            try:
                yield i
            except KeyError:
                yield [i, *range(n)]

    @async_generator
    async def body(n):
        for i in range(n):
            try:
                await yield_(i)
            except KeyError:
                await yield_([i, *range(n)])

    assert body(1).ag_code.co_stacksize == native.__code__.co_stacksize


OVERFLOW = """
import sys
sys.path[:0] = {path!r}
from async_generator import async_generator, yield_, yield_from_
from driving import outcome, run, suspend, trap

class Context:
    async def __aenter__(self): await trap()
    async def __aexit__(self, *exc_info): await trap()

@async_generator
async def awaits():
    await trap()
    await yield_(1)

@async_generator
async def handles():
    try:
        await trap()
    except KeyError:
        await trap()
        await yield_(1)
    finally:
        await trap()

@async_generator
async def manages():
    async with Context():
        await yield_(1)

@async_generator
async def iterates():
    async for item in awaits():
        await yield_(item)

@async_generator
async def delegates():
    await yield_from_(awaits())

for function in (awaits, handles, manages, iterates, delegates):
    for error in (KeyError, GeneratorExit, ValueError):
        for steps in range(3):
            for _ in range(30):
                generator = function()
                for _ in range(steps):
                    outcome(run, generator.__anext__())
                awaiting = generator.__anext__()
                outcome(awaiting.send, None)
                outcome(awaiting.throw, error())
                outcome(awaiting.close)
                outcome(run, generator.aclose())
"""


def test_throwing_anywhere_writes_nowhere_but_into_the_frame():
    """The debugging allocator tells of every byte that was written beyond an object."""
    import os
    import subprocess
    import sys

    script = OVERFLOW.format(path=[os.path.dirname(__file__), *sys.path])
    environment = {**os.environ, "PYTHONMALLOC": "debug"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


async def one_item():
    yield "item"


async def delegating():
    await yield_from_(one_item())


@EVERYWHERE
@pytest.mark.parametrize("awaited", [lambda: helper("item"), delegating], ids=["yield_", "yield_from_"])
@pytest.mark.parametrize("end", ["aclose", "drop", "athrow", "asend"])
def test_helper_that_was_closed_by_hand_leaves_the_body_where_native_leaves_it(make, awaited, end):
    log = []
    inside = awaited()

    @make
    async def body():
        try:
            await inside
        except BaseException as error:
            log.append(repr(error))
            raise

    generator = body()
    assert run(generator.__anext__()) == "item"
    inside.close()
    reused = "cannot reuse already awaited coroutine"
    if end == "drop":
        del generator
        gc.collect()
        assert log == ["GeneratorExit()"]
    elif end == "aclose" and make is not undecorated:
        run(generator.aclose())  # docs/differences.md: what is closed already needs no second time
        assert log == ["GeneratorExit()"]
    else:
        operations = {"aclose": (), "athrow": (KeyError("thrown"),), "asend": ("sent",)}
        operation = getattr(generator, end)(*operations[end])
        assert outcome(run, operation) == ("error", "RuntimeError", reused)
        assert log == [f"RuntimeError({reused!r})"]
