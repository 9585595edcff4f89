"""Structured functions: what a body iterates and drops is closed by the body, awaited, in its task and context."""

import asyncio
import contextvars
import gc
import inspect
import os
import pickle
import random
import subprocess
import sys
import textwrap
import threading
import traceback
import weakref
from contextlib import aclosing

import pytest
from async_generator import (
    async_generator,
    isasyncgenfunction,
    preserve,
    structured,
    structured_tasks,
    yield_,
    yield_from_,
)
from driving import run as run_by_hand
from driving import trap

try:
    import trio
except ImportError:  # no wheel for this interpreter
    trio = None
try:
    import uvloop
except ImportError:
    uvloop = None


def run_asyncio(function):
    return asyncio.run(function())


def run_uvloop(function):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(function())


def run_trio(function):
    return trio.run(function)


LOOPS = {"asyncio": run_asyncio}
if uvloop is not None and sys.version_info >= (3, 11):
    LOOPS["uvloop"] = run_uvloop
if trio is not None:
    LOOPS["trio"] = run_trio


@pytest.fixture(params=LOOPS)
def run(request):
    return LOOPS[request.param]


def task():
    """Who runs: a task of asyncio or trio."""
    return trio.lowlevel.current_task() if trio and "trio" in sys.modules and in_trio() else asyncio.current_task()


def in_trio():
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True


async def wait():
    """A wait that gives others a turn."""
    await (trio.lowlevel.checkpoint() if trio and in_trio() else asyncio.sleep(0))


VARIABLE = contextvars.ContextVar("VARIABLE", default=None)


def sources(log):
    """Generator functions, native and ours, that tell where their cleanup runs."""

    async def native(name, items=3):
        try:
            for i in range(items):
                yield i
        finally:
            await wait()
            log.append((name, task(), VARIABLE.get()))

    @async_generator
    async def ours(name, items=3):
        try:
            for i in range(items):
                await yield_(i)
        finally:
            await wait()
            log.append((name, task(), VARIABLE.get()))

    return native, ours


# What closes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", [0, 1], ids=["native", "ours"])
@pytest.mark.parametrize("way", ["break", "return", "raise"])
def test_what_a_coroutine_drops_is_closed_in_its_task_and_context(run, which, way):
    log = []
    source = sources(log)[which]

    @structured
    async def body():
        VARIABLE.set("body's")
        async for _ in source("a"):
            if way == "return":
                return "result"
            if way == "raise":
                raise KeyError("body")
            break
        await wait()
        log.append("waited")
        await wait()
        return "result"

    async def main():
        if way == "raise":
            with pytest.raises(KeyError, match="body"):
                await body()
        else:
            assert await body() == "result"
        assert log[0] == ("a", task(), "body's") or log[1] == ("a", task(), "body's")
        assert len(log) == (2 if way == "break" else 1)

    run(main)


@pytest.mark.parametrize("which", [0, 1], ids=["native", "ours"])
@pytest.mark.parametrize("syntax", ["await yield_()", "yield"])
def test_closing_a_structured_generator_closes_what_it_iterates(run, which, syntax):
    log = []
    source = sources(log)[which]
    if syntax == "yield":

        @async_generator(structured=True)
        async def body():
            async for x in source("a"):
                yield x

    else:

        @structured
        @async_generator
        async def body():
            async for x in source("a"):
                await yield_(x)

    async def main():
        generator = body()
        assert await generator.__anext__() == 0
        await generator.aclose()
        assert log == [("a", task(), None)]
        assert [x async for x in body()] == [0, 1, 2]

    run(main)


def test_waits_of_asyncio_come_after_the_cleanup():
    log = []
    native, _ = sources(log)

    @structured
    async def body():
        async for _ in native("a"):
            break
        await asyncio.sleep(0.001)
        log.append("slept")

    asyncio.run(body())
    assert [one if one == "slept" else one[0] for one in log] == ["a", "slept"]


def test_the_last_one_iterated_is_closed_first(run):
    log = []
    native, ours = sources(log)

    @structured
    async def body():
        held = [native("1"), ours("2"), native("3")]
        for one in held:
            await one.__anext__()
        held.clear()
        one = None  # noqa: F841
        await wait()
        await wait()

    run(body)
    assert [name for name, *_ in log] == ["3", "2", "1"]


def test_what_is_still_held_is_not_closed(run):
    log = []
    native, _ = sources(log)

    @structured
    async def body():
        held = native("held")
        async for _ in held:
            break
        await wait()
        assert log == []
        return [x async for x in held]

    assert run(body) == [1, 2]


def test_a_generator_of_an_outer_body_is_closed_by_that(run):
    log = []
    native, _ = sources(log)

    @structured
    async def inner(one):
        async for _ in one:
            break
        del one
        VARIABLE.set("inner")
        return "inner ends"

    @structured
    async def outer():
        box = [native("outer's")]
        await box[0].__anext__()
        log.append(await inner(box.pop()))
        await wait()
        await wait()

    run(outer)
    assert [one if isinstance(one, str) else one[0] for one in log] == ["inner ends", "outer's"]


def test_preserve_takes_async_generators_only():
    for wrong in (5, [1], None, sources):
        with pytest.raises(TypeError, match=f"preserve\\(\\) takes an async generator, not {type(wrong).__name__}"):
            preserve(wrong)


def test_preserve_leaves_it_to_the_event_loop():
    log = []
    native, ours = sources(log)

    @structured
    async def body():
        for source in native, ours:
            async for x in preserve(source("preserved")):
                assert x == 0
                break
        kept = preserve(native("kept"))
        assert [x async for x in kept] == [0, 1, 2]
        assert kept.ag_frame is None and "preserve(" in repr(kept)
        await asyncio.sleep(0.01)
        return asyncio.current_task()

    running = asyncio.run(body())
    assert [name for name, *_ in log].count("preserved") == 2
    assert all((who is running) == (name == "kept") for name, who, _ in log)


# Errors ----------------------------------------------------------------------------------------------------------------


def contexts(error):
    """The types of what an exception was raised while handling, and so on."""
    found = []
    while error := error.__context__:
        found.append(type(error))
    return found


async def failing(error):
    try:
        yield 1
    finally:
        raise error


def test_an_error_of_the_cleanup_arrives_where_the_body_waits(run):
    @structured
    async def body():
        async for _ in failing(ValueError("cleanup")):
            break
        try:
            await wait()
            await wait()
        except ValueError as error:
            return str(error)

    assert run(body) == "cleanup"


def test_at_the_end_it_is_raised_with_the_bodys_own_as_context(run):
    @structured
    async def body():
        async for _ in failing(ValueError("cleanup")):
            raise KeyError("body")

    async def main():
        with pytest.raises(ValueError, match="cleanup") as caught:
            await body()
        assert KeyError in contexts(caught.value)

    run(main)


def test_errors_of_several_cleanups_are_each_others_context(run):
    @structured
    async def body():
        async for _ in failing(ValueError("first")):
            async for _ in failing(KeyError("second")):
                return

    async def main():
        with pytest.raises(ValueError, match="first") as caught:
            await body()
        assert KeyError in contexts(caught.value)

    run(main)


def test_a_cancellation_interrupts_the_cleanup_and_arrives_in_the_body():
    log = []

    async def source():
        try:
            yield 1
        finally:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                log.append("cleanup cancelled")
                await asyncio.sleep(0)
                log.append("cleanup done")
                raise

    @structured
    async def body():
        async for _ in source():
            break
        other = asyncio.ensure_future(asyncio.sleep(10))
        try:
            await other
        except asyncio.CancelledError:
            log.append("body cancelled")
            await asyncio.sleep(0)
            assert other.cancelled()
            raise

    async def main():
        running = asyncio.ensure_future(body())
        await asyncio.sleep(0.05)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())
    assert log == ["cleanup cancelled", "cleanup done", "body cancelled"]


# The same as nested blocks ---------------------------------------------------------------------------------------------


def random_program(seed):
    """The source of a body: nested loops over generators, each left in some way, with waits between."""
    choose = random.Random(seed)
    count = 0

    def block(depth):
        nonlocal count
        lines = []
        for _ in range(choose.randint(1, 2)):
            kind = choose.choice(["wait", "loop", "loop", "try"] if depth < 4 else ["wait"])
            if kind == "wait":
                lines += ["await wait()", "waited(log)"]
            elif kind == "loop":
                count += 1
                ours = choose.choice(["native", "ours"])
                lines.append(f"async for x in {ours}('g{count}'):")
                lines += ["    " + line for line in block(depth + 1)]
                lines.append("    " + choose.choice(["break", "break", "pass", "return 7", "raise KeyError"]))
            else:
                lines += ["try:", *("    " + line for line in block(depth + 1))]
                lines += ["except KeyError:", "    await wait()", "    waited(log)"]
        return lines

    return block(0)


def with_blocks(lines):
    """The same with a block around each loop that closes its generator there."""
    made, stack = [], []
    for line in lines:
        indent = len(line) - len(line.lstrip())
        while stack and indent <= stack[-1]:
            stack.pop()
        shift = "    " * len(stack)
        if line.lstrip().startswith("async for"):
            call = line.split(" in ", 1)[1].rstrip(":")
            made.append(f"{shift}{' ' * indent}async with aclosing({call}) as generator{indent}:")
            stack.append(indent)
            made.append(f"{'    ' * len(stack)}{' ' * indent}async for x in generator{indent}:")
        else:
            made.append(shift + line)
    return made


def transcript(lines, decorate, run):
    """Whose cleanup ran, and between which waits of the body; and how the body ended."""
    log = []
    native, ours = sources(log)
    space = {
        "native": native,
        "ours": ours,
        "wait": wait,
        "waited": lambda log: log.append("wait"),
        "log": log,
        "aclosing": aclosing,
    }
    exec("async def body():\n" + textwrap.indent("\n".join(lines), "    "), space)
    ended = []

    async def main():
        try:
            ended.append(await decorate(space["body"])())
        except KeyError:
            ended.append("raised")
        # Done in this task: what is left to the loop would run in another.
        ended.extend(sorted(name for name, who, _ in (one for one in log if one != "wait") if who is not task()))

    run(main)
    return [one if one == "wait" else one[0] for one in log], ended


@pytest.mark.parametrize("first", range(0, int(os.environ.get("AGEN_RANDOM", 400)), 50))
def test_random_bodies_close_what_blocks_around_their_loops_would(first):
    for seed in range(first, first + 50):
        lines = random_program(seed)
        expected, ended = transcript(with_blocks(lines), lambda function: function, run_asyncio)
        given, how = transcript(lines, structured, run_asyncio)
        assert (how, [one for one in given if one != "wait"]) == (ended, [one for one in expected if one != "wait"]), (
            "\n".join(lines)
        )
        # A cleanup comes before the wait that follows the drop.
        assert given == expected, "\n".join(lines)


# A structured coroutine function is a coroutine function ---------------------------------------------------------------


@structured
async def shown(a, b=2, *rest, c, **more):
    """Documentation."""
    await asyncio.sleep(0)
    return a, b, rest, c, more


def test_it_remains_a_coroutine_function():
    assert inspect.iscoroutinefunction(shown) and not isasyncgenfunction(shown)
    assert str(inspect.signature(shown)) == "(a, b=2, *rest, c, **more)"
    assert shown.__name__ == "shown" and shown.__doc__ == "Documentation."
    assert pickle.loads(pickle.dumps(shown)) is shown
    assert asyncio.run(shown(1, c=3)) == (1, 2, (), 3, {})
    assert asyncio.run(shown(1, 5, 6, c=3, d=4)) == (1, 5, (6,), 3, {"d": 4})
    with pytest.raises(TypeError, match=r"missing 1 required keyword-only argument: 'c'"):
        shown(1)


def test_its_coroutine_is_one():
    coroutine = shown(1, c=2)
    assert inspect.iscoroutine(coroutine) and asyncio.iscoroutine(coroutine) and inspect.isawaitable(coroutine)
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED
    assert coroutine.__qualname__ == "shown" and "coroutine object shown" in repr(coroutine)
    assert coroutine.cr_code is not None and coroutine.cr_frame.f_code is coroutine.cr_code
    assert coroutine.cr_await is None and not coroutine.cr_running and coroutine.cr_origin is None
    with pytest.raises(TypeError, match="can't send non-None value to a just-started coroutine"):
        coroutine.send(1)
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED
    assert coroutine.send(None) is None
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_SUSPENDED
    with pytest.raises(StopIteration) as stop:
        coroutine.send(None)
    assert stop.value.value == (1, 2, (), 2, {})
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        coroutine.send(None)
    coroutine.close()


def test_it_can_be_closed_and_thrown_into():
    log = []

    @structured
    async def body():
        try:
            await asyncio.sleep(0)
        except KeyError:
            log.append("caught")
            await asyncio.sleep(0)
        finally:
            log.append("end")

    coroutine = body()
    coroutine.close()
    with pytest.raises(RuntimeError, match="cannot reuse"):
        coroutine.send(None)
    coroutine = body()
    with pytest.raises(ValueError, match="early"):
        coroutine.throw(ValueError("early"))
    assert log == []
    coroutine = body()
    coroutine.send(None)
    coroutine.throw(KeyError())
    coroutine.close()
    coroutine.close()
    assert log == ["caught", "end"]


def test_one_that_is_never_awaited_warns_as_ever():
    with pytest.warns(RuntimeWarning, match="coroutine 'shown' was never awaited"):
        shown(1, c=2)
        gc.collect()


def test_one_that_ignores_its_exit_says_so():
    @structured
    async def body():
        try:
            await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)

    coroutine = body()
    coroutine.send(None)
    with pytest.raises(RuntimeError, match="coroutine ignored GeneratorExit"):
        coroutine.close()
    coroutine.close()


@pytest.mark.parametrize("held", [True, False], ids=["the wait is held", "the wait cannot be held"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_close_hands_out_what_it_cannot_close(hooks, steps, held):
    """close() cannot await. A block around each generator would end in "coroutine ignored GeneratorExit"."""
    log = []

    async def items(number):
        try:
            yield number
        finally:
            try:
                await trap()
                log.append(f"{number} closed")
            except GeneratorExit:
                log.append(f"{number} interrupted")
                raise

    @structured
    async def body():
        for number in range(3):
            async for _ in items(number):
                break
        try:
            await trap(None if held else "a wait that the event loop knows of")
        finally:
            log.append("end")

    coroutine = body()
    for _ in range(steps):
        coroutine.send(None)
    coroutine.close()
    begun = steps if held else steps - 1  # cleanups, the last one first
    closed = [f"{number} closed" for number in (2, 1, 0)[: max(begun - 1, 0)]]
    interrupted = [f"{3 - begun} interrupted"] if begun else []
    assert log == [*closed, *interrupted, "end"]
    assert len(hooks.dropped) == 3 - begun
    for generator in hooks.dropped:
        run_by_hand(generator.aclose())


@pytest.mark.engine(reason="the package's own frames are between")
def test_tracebacks_have_the_bodys_frames_and_no_more():
    @structured
    async def inner():
        raise KeyError("here")

    @structured
    async def outer():
        await inner()

    try:
        asyncio.run(outer())
    except KeyError as error:
        names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        assert names[-2:] == ["outer", "inner"]
        assert names.count("inner") == names.count("outer") == 1


def test_methods_static_methods_and_class_methods():
    class Class:
        @structured
        async def method(self):
            return self

        @structured
        @staticmethod
        async def static(x):
            return x

        @classmethod
        @structured
        async def of_class(cls):
            return cls

    one = Class()
    assert asyncio.run(one.method()) is one
    assert asyncio.run(Class.static(3)) == 3
    assert asyncio.run(Class.of_class()) is Class
    assert inspect.iscoroutinefunction(one.method) and inspect.iscoroutinefunction(Class.static)


def test_it_can_be_decorated_again_and_refuses_what_it_cannot_be():
    assert inspect.iscoroutinefunction(structured(shown))
    assert asyncio.run(structured(shown)(1, c=2)) == (1, 2, (), 2, {})
    with pytest.raises(TypeError, match="goes on a coroutine function or an async generator function"):
        structured(len)
    with pytest.raises(TypeError, match="goes on a coroutine function or an async generator function"):
        structured(lambda: None)


# A whole program -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.Runner is new in 3.11")
@pytest.mark.parametrize("eager", [False, True])
def test_all_tasks_of_a_loop_are_structured(eager):
    if eager and sys.version_info < (3, 12):
        pytest.skip("eager tasks are new in 3.12")
    log = []
    native, _ = sources(log)

    async def body():
        async for _ in native("a"):
            break
        await asyncio.sleep(0)
        return asyncio.current_task()

    async def main():
        made = asyncio.create_task(body(), name="made")
        assert await made is made and made.get_coro().__qualname__ == body.__qualname__
        async for _ in native("main's"):
            break
        await asyncio.sleep(0)
        return asyncio.current_task()

    def loop():
        made = asyncio.new_event_loop()
        made.set_task_factory(structured_tasks.over(asyncio.eager_task_factory) if eager else structured_tasks)
        return made

    with asyncio.Runner(loop_factory=loop) as runner:
        main_task = runner.run(main())
    assert [(name, who.get_name()) for name, who, _ in log] == [("a", "made"), ("main's", main_task.get_name())]


def test_a_trio_program_by_its_main_function():
    if trio is None:
        pytest.skip("trio has no wheel for this interpreter")
    log = []
    native, _ = sources(log)

    async def helper():
        async for _ in native("a"):
            return 1

    @structured
    async def main():
        await helper()
        await trio.lowlevel.checkpoint()
        return trio.lowlevel.current_task()

    who = trio.run(main)
    assert log == [("a", who, None)]


# Where else things are dropped -----------------------------------------------------------------------------------------


def test_what_is_dropped_elsewhere_goes_to_the_loops_finalizer():
    log = []
    native, _ = sources(log)
    box = []

    @structured
    async def body():
        box.append(native("escaped"))
        await box[0].__anext__()

    async def main():
        await body()
        box.clear()
        await asyncio.sleep(0.01)
        assert [name for name, *_ in log] == ["escaped"]
        assert log[0][1] is not asyncio.current_task()

    asyncio.run(main())


def test_what_another_thread_drops_goes_to_the_loops_finalizer():
    log = []
    native, _ = sources(log)

    @structured
    async def body():
        box = [native("escaped")]
        await box[0].__anext__()
        dropping = threading.Thread(target=box.clear)
        dropping.start()
        dropping.join()
        await asyncio.sleep(0.01)
        return asyncio.current_task()

    running = asyncio.run(body())
    assert [name for name, *_ in log] == ["escaped"]
    # Without the GIL, a thread's references are handed back to the thread that made the object.
    assert log[0][1] is not running or not getattr(sys, "_is_gil_enabled", lambda: True)()


def test_the_loop_still_knows_the_generators():
    async def main():
        @structured
        async def body():
            generator = source()
            await generator.__anext__()
            assert generator in asyncio.get_running_loop()._asyncgens
            await generator.aclose()

        async def source():
            yield 1

        await body()

    asyncio.run(main())


@pytest.mark.parametrize("way", ["return", "raise", "wait", "close"])
def test_the_threads_hooks_are_what_they_were(way):
    hooks = sys.get_asyncgen_hooks()

    async def source():
        yield 1

    @structured
    async def body():
        assert sys.get_asyncgen_hooks() != hooks
        async for _ in source():
            if way == "return":
                return
            if way == "raise":
                raise KeyError
            await asyncio.sleep(0)

    coroutine = body()
    try:
        coroutine.send(None)
        assert sys.get_asyncgen_hooks() == hooks
        if way == "wait":
            coroutine.send(None)
    except (StopIteration, KeyError):
        pass
    coroutine.close()
    assert sys.get_asyncgen_hooks() == hooks


def test_hooks_that_a_body_sets_for_good_stay():
    before = sys.get_asyncgen_hooks()
    mine = print

    @structured
    async def body():
        sys.set_asyncgen_hooks(firstiter=None, finalizer=mine)
        await asyncio.sleep(0)
        return sys.get_asyncgen_hooks().finalizer is not mine

    coroutine = body()
    try:
        coroutine.send(None)
        assert sys.get_asyncgen_hooks().finalizer is mine
        with pytest.raises(StopIteration) as stop:
            coroutine.send(None)
        assert stop.value.value  # its own again
        assert sys.get_asyncgen_hooks().finalizer is mine
    finally:
        sys.set_asyncgen_hooks(*before)


def test_without_hooks_what_is_dropped_elsewhere_is_closed_at_once():
    log = []

    async def source():
        try:
            yield 1
        finally:
            log.append("closed")

    @structured
    async def body():
        box.append(source())
        await box[0].__anext__()

    box = []
    with pytest.raises(StopIteration):
        body().send(None)
    assert log == []
    box.clear()
    gc.collect()
    assert log == ["closed"]


# Delegation ------------------------------------------------------------------------------------------------------------


def test_delegates_run_in_the_environment_of_who_delegates(run):
    log = []
    native, ours = sources(log)

    @async_generator
    async def delegate():
        async for x in native("dropped by a delegate"):
            await yield_(x)
            break
        sent = await yield_("sent?")
        return sent

    @structured
    @async_generator
    async def root():
        got = await yield_from_(delegate())
        await yield_(got)
        async for x in ours("direct"):
            await yield_(x)
            break

    async def main():
        generator = root()
        assert await generator.__anext__() == 0
        assert await generator.__anext__() == "sent?"
        assert log == [("dropped by a delegate", task(), None)]
        assert await generator.asend("value") == "value"
        assert await generator.__anext__() == 0
        with pytest.raises(StopAsyncIteration):
            await generator.__anext__()
        assert [name for name, *_ in log] == ["dropped by a delegate", "direct"]

    run(main)


def test_a_structured_generator_can_be_delegated_to(run):
    log = []
    native, _ = sources(log)

    @structured
    @async_generator
    async def inner():
        async for x in native("inner's"):
            await yield_(x)
            break
        return "value"

    @async_generator
    async def outer():
        await yield_(await yield_from_(inner()))

    async def main():
        assert [x async for x in outer()] == [0, "value"]
        assert log == [("inner's", task(), None)]
        generator = outer()
        await generator.__anext__()
        await generator.aclose()
        assert len(log) == 2

    run(main)


def test_a_helper_may_be_structured(run):
    log = []
    native, _ = sources(log)

    @structured
    async def helper():
        async for x in native("helper's"):
            await yield_(x)
            break
        return "value"

    @async_generator
    async def body():
        await yield_(await helper())

    async def main():
        assert [x async for x in body()] == [0, "value"]
        assert log == [("helper's", task(), None)]

    run(main)


# Memory ----------------------------------------------------------------------------------------------------------------


def test_nothing_is_left_behind():
    made = []

    class Kept:
        pass

    async def source(kept):
        yield kept

    @structured
    async def body():
        kept = Kept()
        made.append(weakref.ref(kept))
        async for _ in source(kept):
            break
        held = source(kept)
        await held.__anext__()
        await asyncio.sleep(0)

    @async_generator(structured=True, context="layered")
    async def generator():
        kept = Kept()
        made.append(weakref.ref(kept))
        VARIABLE.set(kept)
        async for x in source(kept):
            yield x

    async def main():
        await body()
        async for _ in generator():
            break
        one = generator()
        await one.__anext__()
        await one.aclose()
        waiting = body()
        waiting.send(None)
        waiting.close()
        body().close()

    asyncio.run(main())
    gc.collect()
    assert made and all(one() is None for one in made)


def test_a_cycle_through_a_body_is_collected():
    made = []

    class Kept:
        pass

    @async_generator(structured=True, context="own")
    async def generator():
        kept = Kept()
        kept.cycle = box
        made.append(weakref.ref(kept))
        yield 1

    async def main():
        box.append(generator())
        await box[0].__anext__()

    box = []
    asyncio.run(main())
    del box[:]
    gc.collect()
    box = [generator()]
    with pytest.raises(StopIteration):
        box[0].__anext__().send(None)
    box = None
    gc.collect()
    assert all(one() is None for one in made)


def test_the_end_of_the_interpreter():
    program = """
        import asyncio
        from async_generator import structured, async_generator
        async def source():
            try:
                yield 1
            finally:
                print("closed")
        @structured
        async def body():
            async for _ in source():
                await asyncio.sleep(0)
        async def main():
            global task
            task = asyncio.ensure_future(body())
            await asyncio.sleep(0)
        asyncio.run(main())
        coroutine = body()
        coroutine.send(None)
        """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count("closed") == 2, done
