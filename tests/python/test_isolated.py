"""Isolated generators: a task of its own for the body, whoever resumes it."""

import asyncio
import contextlib
import contextvars
import functools
import gc
import inspect
import io
import os
import random
import subprocess
import sys
import threading
import time
import traceback
import weakref

import pytest
from async_generator import AlreadyRunning, async_generator, isasyncgenfunction, isolated, yield_, yield_from_

try:
    import uvloop
except ImportError:
    uvloop = None
try:
    import anyio
except ImportError:
    anyio = None
try:
    import trio
except ImportError:  # no wheel for this interpreter
    trio = None

isolate = async_generator(isolated=True)
NEWER = pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout() and TaskGroup are new in 3.11")


def run_uvloop(main):
    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    """Runs a coroutine, and sees to it that no task of a generator is left."""
    if request.param == "uvloop" and uvloop is None:
        pytest.skip("uvloop has no wheel for this interpreter")
    runs = asyncio.run if request.param == "asyncio" else run_uvloop

    def run(function, *arguments):
        async def main():
            reported = []
            asyncio.get_running_loop().set_exception_handler(lambda loop, said: reported.append(said))
            result = await asyncio.wait_for(function(*arguments), 10)
            for _ in range(5):
                await asyncio.sleep(0)
            for _ in range(
                1 if sys.implementation.name == "cpython" else 4
            ):  # elsewhere destructors run one collection later
                gc.collect()
                await asyncio.sleep(0.001)
                for _ in range(5):  # what the collection has dropped is closed by its task
                    await asyncio.sleep(0)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert left == set() and reported == []
            return result

        return runs(main())

    return run


@isolate
async def count(n, log=None):
    try:
        for i in range(n):
            await asyncio.sleep(0)
            yield i
    finally:
        if log is not None:
            await asyncio.sleep(0)
            log.append(asyncio.current_task())


# It is an async generator ----------------------------------------------------------------------------------------------


@pytest.mark.seen(reason="inspect is asked")
def test_it_is_one():
    assert isasyncgenfunction(count) and inspect.isasyncgenfunction(count)
    generator = count(1)
    assert inspect.isasyncgen(generator) and generator.ag_frame is not None and not generator.ag_running
    assert "isolated" in repr(generator) and generator.__name__ == "count"


def test_all_operations(run):
    log = []

    @isolate
    async def echo():
        """Documentation."""
        got = None
        while got != "end":
            try:
                got = await yield_(got)
            except KeyError as error:
                got = error.args[0]
        return "result"

    async def main():
        generator = echo()
        with pytest.raises(TypeError, match="can't send non-None value to a just-started async generator"):
            await generator.asend(1)
        assert await generator.__anext__() is None
        assert await generator.asend(1) == 1
        assert await generator.athrow(KeyError("thrown")) == "thrown"
        with pytest.raises(StopAsyncIteration) as stop:
            await generator.asend("end")
        assert stop.value.args == ("result",)
        with pytest.raises(StopAsyncIteration):
            await generator.__anext__()
        assert await generator.athrow(KeyError("late")) is None
        await generator.aclose()
        assert [x async for x in count(3)] == [0, 1, 2]
        generator = count(3, log)
        assert await generator.__anext__() == 0
        await generator.aclose()
        assert len(log) == 1
        with pytest.raises(StopAsyncIteration):
            await generator.__anext__()
        async with count(3) as items:
            assert [x async for x in items] == [0, 1, 2]
        never = count(3)
        await never.aclose()
        with pytest.raises(StopAsyncIteration):
            await never.__anext__()
        with pytest.raises(ValueError, match="out of the body"):
            await echo_once().athrow(ValueError("out of the body"))

    @isolate
    async def echo_once():
        yield 1

    run(main)


def test_delegation_in_both_directions(run):
    @async_generator
    async def outer():
        return (await yield_from_(inner())) + 1

    @isolate
    async def inner():
        await yield_(await yield_from_(innermost()))
        return 41

    @async_generator
    async def innermost():
        got = await yield_(asyncio.current_task().get_name())
        return got

    async def main():
        generator = outer()
        assert "inner" in await generator.__anext__()
        assert await generator.asend("sent") == "sent"
        with pytest.raises(StopAsyncIteration) as stop:
            await generator.__anext__()
        assert stop.value.args == (42,)

    run(main)


# Its task --------------------------------------------------------------------------------------------------------------


def test_the_current_task_is_its_own_whoever_resumes(run):
    seen = []

    @isolate
    async def body():
        for _ in range(4):
            seen.append(asyncio.current_task())
            await asyncio.sleep(0)
            seen.append(asyncio.current_task())
            yield

    async def main():
        generator = body()
        for _ in range(4):
            me = asyncio.current_task()
            await asyncio.create_task(generator.asend(None))
            assert asyncio.current_task() is me
        assert len(set(seen)) == 1 and seen[0] not in (me, None)
        assert "body" in seen[0].get_name()
        await generator.aclose()

    run(main)


def test_its_context_is_its_own(run):
    variable = contextvars.ContextVar("variable", default="outside")

    @isolate
    async def body():
        token = variable.set("inside")
        try:
            yield variable.get()
            await asyncio.sleep(0)
            yield variable.get()
        finally:
            variable.reset(token)

    async def main():
        generator = body()
        assert await asyncio.create_task(generator.asend(None)) == "inside"
        assert await generator.__anext__() == "inside" and variable.get() == "outside"
        await asyncio.create_task(generator.aclose())

    run(main)


@NEWER
def test_what_tasks_use_can_be_used_in_the_body(run):
    @isolate
    async def body():
        lock, queue = asyncio.Lock(), asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0.001))
            yield await asyncio.shield(asyncio.sleep(0.001, "shield"))
            yield await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2))
            yield await asyncio.wait_for(asyncio.sleep(0.001, "in time"), 1)
            yield await asyncio.to_thread(threading.get_ident) != threading.get_ident()
            async with lock:
                group.create_task(queue.put("queued"))
                yield await queue.get()
            try:
                async with asyncio.timeout(0.01):
                    await asyncio.sleep(1)
            except TimeoutError:
                yield "timeout"
            async for x in count(2):
                yield x

    async def main():
        assert [x async for x in body()] == ["shield", [1, 2], "in time", True, "queued", "timeout", 0, 1]

    run(main)


@NEWER
@pytest.mark.parametrize("waits", [False, True], ids=["at the yield", "while it waits"])
def test_a_timeout_over_yields_is_the_bodys(run, waits):
    @isolate
    async def body():
        async with asyncio.timeout(0.02):
            yield 1
            if waits:
                await asyncio.sleep(1)
            yield 2

    async def main():
        generator = body()
        assert await generator.__anext__() == 1
        if not waits:
            await asyncio.sleep(0.05)
        with pytest.raises(TimeoutError):
            await generator.__anext__()
        assert asyncio.current_task().cancelling() == 0
        with pytest.raises(StopAsyncIteration):
            await generator.__anext__()

    run(main)


@NEWER
def test_a_body_may_go_on_after_its_timeout(run):
    @isolate
    async def body():
        try:
            async with asyncio.timeout(0.01):
                yield 1
                yield 2
        except TimeoutError:
            yield "late"
        yield "after"

    async def main():
        generator = body()
        assert await generator.__anext__() == 1
        await asyncio.sleep(0.03)
        assert [x async for x in generator] == ["late", "after"]

    run(main)


@NEWER
def test_a_child_that_fails_is_told_at_the_next_operation(run):
    async def fail():
        raise ValueError("child")

    @isolate
    async def body():
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            yield 1
            yield 2

    async def main():
        generator = body()
        assert await generator.__anext__() == 1
        await asyncio.sleep(0.01)
        with pytest.raises(BaseExceptionGroup) as caught:  # noqa: F821
            await generator.__anext__()
        assert isinstance(caught.value.exceptions[0], ValueError)
        assert asyncio.current_task().cancelling() == 0
        generator = body()
        assert await generator.__anext__() == 1
        await asyncio.sleep(0.01)
        await generator.aclose()

    run(main)


@NEWER
def test_closing_joins_the_children(run):
    log = []

    async def child():
        try:
            await asyncio.sleep(10)
        finally:
            log.append("child ends")

    @isolate
    async def body():
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
            await asyncio.sleep(0)
            yield 1
            yield 2

    async def main():
        generator = body()
        assert await generator.__anext__() == 1
        await generator.aclose()
        assert log == ["child ends"]

    run(main)


@pytest.mark.skipif(anyio is None, reason="anyio is not installed")
def test_scopes_of_anyio(run):
    @isolate
    async def body():
        with anyio.move_on_after(0.01):
            yield 1
            yield 2
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 0)
            yield 3
        with anyio.fail_after(0.01):
            yield 4
            yield 5

    async def main():
        generator = body()
        assert await generator.__anext__() == 1
        before = time.thread_time()
        await asyncio.sleep(0.1)
        assert time.thread_time() - before < 0.05  # the expired scope is left at once, and not tried again and again
        assert await asyncio.create_task(generator.asend(None)) == 3
        assert await generator.__anext__() == 4
        await asyncio.sleep(0.05)
        with pytest.raises(TimeoutError):
            await generator.__anext__()

    run(main)


@pytest.mark.skipif(anyio is None, reason="anyio is not installed")
def test_closing_under_a_cancelled_scope_is_finished(run):
    log = []

    @isolate
    async def body():
        try:
            yield 1
            await anyio.sleep(10)
        finally:
            await anyio.sleep(0.01)
            log.append("closed")

    async def main():
        generator = body()
        await generator.__anext__()
        with anyio.move_on_after(0.01):
            try:
                await generator.__anext__()
            finally:
                await generator.aclose()
        await asyncio.sleep(0.05)
        assert log == ["closed"]

    run(main)


# Patience --------------------------------------------------------------------------------------------------------------


@isolate
async def slow(log=None):
    for i in range(2):
        await asyncio.sleep(0.2)
        yield i
    if log is not None:
        log.append("end")


@isolate
async def waiting_for(event, log):
    await event.wait()
    log.append("went on")
    yield "item"


def test_a_wait_that_is_given_up_loses_nothing(run):
    async def main():
        out, generator = [], slow()
        while True:
            try:
                out.append(await asyncio.wait_for(generator.__anext__(), 0.02))
            except (TimeoutError, asyncio.TimeoutError):
                out.append("ping")
            except StopAsyncIteration:
                break
        assert [x for x in out if x != "ping"] == [0, 1] and "ping" in out

    run(main)


def test_a_body_takes_its_next_step_in_an_operation_that_waits_for_it(run):
    async def main():
        event, log = asyncio.Event(), []
        generator = waiting_for(event, log)
        assert await generator.anext(timeout=0.001, default=None) is None
        event.set()
        await asyncio.sleep(0.01)
        assert log == []
        assert await generator.__anext__() == "item"
        assert log == ["went on"]
        await generator.aclose()

    run(main)


def test_anext_with_a_patience(run):
    async def main():
        out, generator = [], slow()
        with contextlib.suppress(StopAsyncIteration):
            while True:
                out.append(await generator.anext(timeout=0.02, default="ping"))
        assert [x for x in out if x != "ping"] == [0, 1] and "ping" in out
        generator = slow()
        with pytest.raises(TimeoutError, match=r"no item within 0\.001 s"):
            await generator.anext(timeout=0.001)
        assert await generator.anext() == 0
        await generator.aclose()
        with pytest.raises(StopAsyncIteration):
            await generator.anext(default=1)

    run(main)


def test_a_timeout_of_the_body_is_not_taken_for_the_patience(run):
    @isolate
    async def body():
        raise TimeoutError("the body's")
        yield

    async def main():
        with pytest.raises(TimeoutError, match="the body's"):
            await body().anext(timeout=1, default=2)

    run(main)


def test_one_consumer_at_a_time_and_no_value_for_an_item_on_its_way(run):
    async def main():
        generator = slow()
        first = asyncio.create_task(generator.asend(None))
        await asyncio.sleep(0)
        assert generator.ag_running
        with pytest.raises(AlreadyRunning, match="anext\\(\\): asynchronous generator is already running"):
            await generator.__anext__()
        first.cancel()
        await asyncio.wait([first])
        with pytest.raises(RuntimeError, match=r"^asend\(\) while an item is on its way"):
            await generator.asend("value")
        assert await generator.__anext__() == 0
        await generator.aclose()

    run(main)


def test_closing_while_a_consumer_waits(run):
    log = []

    @isolate
    async def body():
        try:
            await asyncio.sleep(10)
            yield 1
        finally:
            await asyncio.sleep(0.01)
            log.append("closed")

    async def main():
        generator = body()

        async def consume():
            with pytest.raises(StopAsyncIteration):
                await generator.__anext__()
            log.append("consumer saw the end")

        consumer = asyncio.create_task(consume())
        await asyncio.sleep(0.01)
        await asyncio.gather(generator.aclose(), generator.aclose())
        await consumer
        assert log == ["closed", "consumer saw the end"]

    run(main)


def test_an_error_of_the_cleanup_reaches_who_closes(run):
    @isolate
    async def body():
        try:
            yield 1
        finally:
            raise ValueError("cleanup")

    @isolate
    async def stubborn():
        try:
            yield 1
        except GeneratorExit:
            yield 2

    async def main():
        generator = body()
        await generator.__anext__()
        with pytest.raises(ValueError, match="cleanup"):
            await generator.aclose()
        generator = stubborn()
        await generator.__anext__()
        with pytest.raises(RuntimeError, match="async generator ignored GeneratorExit"):
            await generator.aclose()

    run(main)


def test_closing_from_within_is_refused(run):
    box = []

    @isolate
    async def body():
        for operation in box[0].aclose, box[0].__anext__:
            with pytest.raises(AlreadyRunning):
                await operation()
        yield 1

    async def main():
        box.append(body())
        assert await box[0].__anext__() == 1
        await box.pop().aclose()

    run(main)


# Its end ---------------------------------------------------------------------------------------------------------------


@pytest.mark.cpython(reason="the generator goes with its last reference")
def test_its_task_closes_one_that_is_dropped(run):
    log = []

    async def main():
        generator = count(3, log)
        await generator.__anext__()
        del generator
        await asyncio.sleep(0.01)
        assert len(log) == 1 and "count" in log[0].get_name() and log[0] is not asyncio.current_task()

    run(main)


@pytest.mark.cpython(reason="the generator goes with its last reference")
def test_one_that_is_dropped_in_a_cycle(run):
    log = []

    @isolate
    async def body():
        me = box.pop()
        try:
            yield 1
        finally:
            log.append(me is not None)

    async def main():
        generator = body()
        box.append(generator)
        await generator.__anext__()
        del generator
        gc.collect()
        await asyncio.sleep(0.01)
        assert log == [True]

    box = []
    run(main)


@pytest.mark.cpython(reason="the generator goes with its last reference")
def test_one_that_another_thread_drops(run):
    log = []

    async def main():
        box = [count(3, log)]
        await box[0].__anext__()
        thread = threading.Thread(target=box.clear)
        thread.start()
        thread.join()
        await asyncio.sleep(0.02)
        assert len(log) == 1

    run(main)


def test_the_end_of_the_loop_closes_it():
    log = []

    async def main():
        generator = count(3, log)
        await generator.__anext__()
        kept.append(generator)
        waiting = slow(log)
        kept.append(waiting)
        kept.append(asyncio.ensure_future(waiting.asend(None)))
        await asyncio.sleep(0.05)

    kept = []
    asyncio.run(main())
    assert len(log) == 1


@NEWER
def test_a_body_that_yields_after_the_loops_cancellation_is_closed():
    log = []

    @isolate
    async def body():
        try:
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    yield 1
        finally:
            log.append("closed")

    async def main():
        generator = body()
        await generator.__anext__()
        kept.append(generator)

    kept = []
    asyncio.run(main())
    assert log == ["closed"]


def test_another_loop_or_thread_is_refused(run):
    async def use(generator):
        for operation in generator.__anext__, generator.aclose:
            with pytest.raises(RuntimeError, match="belongs to the event loop that it was first iterated on"):
                await operation()

    async def main():
        generator = count(3)
        await generator.__anext__()
        thread = threading.Thread(target=lambda: asyncio.run(use(generator)))
        thread.start()
        await asyncio.get_running_loop().run_in_executor(None, thread.join)
        assert [x async for x in generator] == [1, 2]

    run(main)


def test_nothing_keeps_it_alive(run):
    made = []

    class Kept:
        pass

    @isolate
    async def body():
        kept = Kept()
        made.append(weakref.ref(kept))
        yield kept
        await asyncio.sleep(0)
        yield kept

    async def main():
        generator = body()
        await generator.__anext__()
        await generator.__anext__()
        await generator.aclose()
        generator = body()
        await generator.__anext__()
        del generator
        await asyncio.sleep(0.01)

    run(main)
    gc.collect()
    assert made and all(one() is None for one in made)


# What others made ------------------------------------------------------------------------------------------------------


def test_a_generator_of_another_library(run):
    async def native():
        me = asyncio.current_task()
        yield me
        await asyncio.sleep(0)
        assert asyncio.current_task() is me
        yield me

    async def main():
        generator = isolated(native())
        tasks = {await asyncio.create_task(generator.asend(None)) for _ in range(2)}
        assert len(tasks) == 1 and asyncio.current_task() not in tasks
        await generator.aclose()

    run(main)
    with pytest.raises(TypeError, match=r"isolated\(\) takes an async generator or an async context manager, not int"):
        isolated(1)


@pytest.mark.parametrize("yes", [1, "yes", [0]], ids=repr)
def test_the_option_is_any_true_value(run, yes):
    @async_generator(isolated=yes)
    async def numbers():
        yield asyncio.current_task()

    async def main():
        async with numbers() as items:
            assert [item is asyncio.current_task() async for item in items] == [False]

    run(main)


@NEWER
def test_a_context_manager_entered_here_and_left_there_in_any_order(run):
    log = []

    @contextlib.asynccontextmanager
    async def resource(name):
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0.001))
            log.append(("enter", name))
            try:
                yield name
            finally:
                log.append(("exit", name))

    async def enter(manager):
        return await manager.__aenter__()

    async def leave(manager, *exception):
        return await manager.__aexit__(*exception or (None, None, None))

    async def main():
        one, two = isolated(resource(1)), isolated(resource(2))
        assert await asyncio.create_task(enter(one)) == 1
        assert await asyncio.create_task(enter(two)) == 2
        assert not await asyncio.create_task(leave(one))
        assert not await leave(two)
        assert log == [("enter", 1), ("enter", 2), ("exit", 1), ("exit", 2)]
        with pytest.raises(KeyError):
            async with isolated(contextlib.AsyncExitStack()):
                raise KeyError
        async with isolated(suppressing()):
            raise KeyError

    @contextlib.asynccontextmanager
    async def suppressing():
        with contextlib.suppress(KeyError):
            yield

    run(main)


# Debuggers -------------------------------------------------------------------------------------------------------------


async def rest_a_while():
    await asyncio.sleep(10)


def test_a_patience_is_a_number_of_seconds(run):
    async def main():
        generator = count(3, [])
        for wrong in ("1", 1j):
            with pytest.raises(TypeError, match=r"anext\(\): timeout is a number of seconds"):
                await generator.anext(timeout=wrong)
        for wrong in (float("nan"), 10**400):
            with pytest.raises(ValueError, match=r"anext\(\): timeout is"):
                await generator.anext(timeout=wrong)
        assert await generator.anext(timeout=float("inf")) == 0
        await generator.aclose()

    run(main)


def test_anext_with_a_patience_after_a_close_before_the_first_item(run):
    async def main():
        generator = resting()
        await generator.aclose()
        with pytest.raises(StopAsyncIteration):
            await generator.anext(timeout=1)

    run(main)


@isolate
async def resting():
    await asyncio.sleep(0)
    yield 1
    await rest_a_while()


def own_task():
    (task,) = (task for task in asyncio.all_tasks() if "resting" in task.get_name())
    return task


@pytest.mark.skipif(sys.version_info < (3, 14), reason="asyncio's call graph is new in 3.14")
def test_the_call_graph_of_its_task_shows_the_body(run):
    def shown():
        return [entry.frame.f_code.co_name for entry in asyncio.capture_call_graph(own_task()).call_stack]

    async def main():
        generator = resting()
        await generator.__anext__()
        assert shown() == ["resting", "_own_task"]
        consumer = asyncio.create_task(generator.asend(None), name="its consumer")
        await asyncio.sleep(0.05)
        assert shown() == ["sleep", "rest_a_while", "resting", "_own_task"]
        assert "rest_a_while" in asyncio.format_call_graph(own_task())
        # Who waits for the item is another task, which waits in its own operation.
        assert "Body.rest" in asyncio.format_call_graph(consumer)
        await generator.aclose()
        with contextlib.suppress(StopAsyncIteration):
            await consumer

    run(main)


def test_its_task_has_a_stack_and_a_name(run):
    async def main():
        generator = resting()
        await generator.__anext__()
        report = io.StringIO()
        own_task().print_stack(file=report)
        assert "_own_task" in report.getvalue() and own_task().get_name() == "generator resting"
        assert own_task().get_stack()[-1].f_code.co_name == "_own_task"
        await generator.aclose()

    run(main)


def test_a_stack_taken_in_the_body_has_it_and_its_consumer(run):
    async def main():
        generator = tells_stack()
        assert await generator.__anext__() == ["main", "tells_stack"]
        await generator.aclose()

    @isolate
    async def tells_stack():
        names = [entry.name for entry in traceback.extract_stack()]
        yield [name for name in names if name in ("main", "tells_stack")][-2:]

    run(main)


# Elsewhere -------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_child_process_may_drop_it_and_use_others():
    async def main():
        generator = count(3)
        assert await generator.__anext__() == 0
        pid = os.fork()
        if pid == 0:
            os._exit(in_child(generator))
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert [x async for x in generator] == [1, 2]

    def in_child(generator):
        try:
            asyncio._set_running_loop(None)
            asyncio.run(use())
            del generator
            gc.collect()
        except BaseException:
            traceback.print_exc()
            return 1
        return 0

    async def use():
        assert [x async for x in count(3)] == [0, 1, 2]

    asyncio.run(main())


@pytest.mark.parametrize("held", ["sys.held = generator", "main.held = generator", "generator"])
def test_the_interpreter_ends_while_one_is_suspended(held):
    program = f"""
import asyncio, sys
from async_generator import async_generator

@async_generator(isolated=True)
async def body():
    try:
        yield 1
        yield 2
    finally:
        await asyncio.sleep(0)
        print("closed")

async def main():
    asyncio.get_running_loop().slow_callback_duration = 60  # a busy machine is not reported
    generator = body()
    await generator.__anext__()
    {held}

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-X", "dev", "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "closed\n", "")


SWALLOWS = """
import asyncio
from async_generator import async_generator

all_tasks = asyncio.tasks.all_tasks  # a set: asyncio.run() cancels them in any order
asyncio.tasks.all_tasks = lambda loop: sorted(all_tasks(loop), key=lambda task: task.get_name(), reverse={reverse})

@async_generator(isolated=True)
async def body():
    try:
        if {yields}:
            yield 1
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        print("cancelled")
        yield "goes on"
    finally:
        await asyncio.sleep(0)
        print("cleaned up")

async def asks_again(generator):
    try:
        await generator.__anext__()
    except asyncio.CancelledError:
        print(await generator.__anext__())

async def main():
    asyncio.get_running_loop().slow_callback_duration = 60  # a busy machine is not reported
    generator = body()
    consumer = asyncio.ensure_future({consumer}(generator))
    consumer.set_name("consumer")
    await asyncio.sleep(0.01)
    return generator, consumer

asyncio.run(main())
"""


@pytest.mark.parametrize("reverse", [False, True], ids=["consumer first", "body first"])
@pytest.mark.parametrize(
    "yields, consumer, output",
    [(True, "anext", []), (False, "anext", []), (False, "asks_again", ["goes on"])],
    ids=["at a yield", "in an await", "in an await, the consumer asks again"],
)
def test_the_end_of_the_loop_ends_a_body_that_swallows_its_cancellation(yields, consumer, output, reverse):
    program = SWALLOWS.format(yields=yields, consumer=consumer, reverse=reverse)
    done = subprocess.run([sys.executable, "-X", "dev", "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == sorted(["cancelled", "cleaned up", *output])


async def native_inside(log, cycle):
    try:
        async with asyncio.timeout(30) if sys.version_info >= (3, 11) else contextlib.AsyncExitStack():
            for number in range(3):
                await asyncio.sleep(0)
                yield number
    finally:
        await asyncio.sleep(0)
        log.append(asyncio.current_task().get_name())


@pytest.mark.parametrize(
    "make",
    [async_generator(isolated=True)(native_inside), lambda *arguments: isolated(native_inside(*arguments))],
    ids=["decorated", "native"],
)
@pytest.mark.engine(
    reason="in a cycle the collector closes the body's coroutine by itself, and plain Python cannot hide it"
)
@pytest.mark.parametrize("waits", [False, True], ids=["at a yield", "in an await"])
def test_one_in_a_cycle_is_closed_by_its_task(make, waits):
    log = []

    async def consume(cycle):
        generator = make(log, cycle)
        cycle.append(generator)
        await generator.__anext__()
        if waits:
            await generator.anext(timeout=0, default=None)

    async def main():
        await consume([])
        gc.collect()
        for _ in range(10):
            await asyncio.sleep(0)
        assert log == ["generator native_inside"]

    asyncio.run(main())


@pytest.mark.parametrize("make", [async_generator(isolated=True), lambda function: lambda: isolated(function())])
def test_one_that_is_dropped_after_its_loop_is_closed_at_once(make, unraisable):
    log = []

    @make
    async def body():
        try:
            yield 1
        finally:
            log.append("closed")
            await asyncio.sleep(0)
            log.append("never")

    loop = asyncio.new_event_loop()
    generator = body()
    loop.run_until_complete(generator.__anext__())
    loop.close()
    del generator
    for _ in range(4):  # elsewhere than on CPython, destructors run one collection later
        gc.collect()
    assert log == ["closed"]
    assert "awaited during finalization" in str(unraisable.take(RuntimeError).exc_value)


def test_each_thread_has_its_own_loops_generators():
    results = []

    async def main():
        results.append([x async for x in count(200)])

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [list(range(200))] * 4


# Against a task and a queue --------------------------------------------------------------------------------------------


class QueueOracle:
    """A real task and hand-overs between it and the consumer: what an isolated generator is to do."""

    def __init__(self, function):
        self.function = function

    async def start(self):
        self.requests, self.answers = asyncio.Queue(), asyncio.Queue()
        self.task = asyncio.create_task(self.serve())

    async def serve(self):
        generator = self.function()
        while True:
            request = await self.requests.get()
            try:
                answer = ("item", await (generator.aclose() if request == "close" else generator.asend(request)))
            except BaseException as error:
                answer = ("raises", type(error).__name__, error.args)
            await self.answers.put(answer)
            if request == "close" or answer[0] == "raises":
                return

    async def ask(self, request):
        if self.task.done():
            return ("raises", "StopAsyncIteration", ()) if request != "close" else ("item", None)
        await self.requests.put(request)
        return await self.answers.get()


async def isolated_answer(generator, request):
    try:
        return ("item", await (generator.aclose() if request == "close" else generator.asend(request)))
    except BaseException as error:
        return ("raises", type(error).__name__, error.args)


def random_body(seed):
    choose = random.Random(seed)
    plan = [
        (choose.choice(["yield", "wait", "sleep", "task", "raise", "try"]), choose.random())
        for _ in range(choose.randint(1, 8))
    ]

    async def body():
        got = None
        for what, number in plan:
            if what == "yield":
                got = yield (number, got)
            elif what == "wait":
                await asyncio.sleep(0)
            elif what == "sleep":
                await asyncio.sleep(0.0001)
            elif what == "task":
                await asyncio.create_task(asyncio.sleep(0))
            elif what == "raise" and number < 0.3:
                raise ValueError(number)
            elif what == "try":
                try:
                    got = yield "try"
                finally:
                    await asyncio.sleep(0)

    requests = [None] + [choose.choice([None, None, "sent", "close"]) for _ in range(10)]
    return body, requests


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_random_bodies_answer_as_by_a_task_and_a_queue(first):
    async def main():
        for seed in range(first, first + 50):
            body, requests = random_body(seed)
            oracle = QueueOracle(body)
            await oracle.start()
            generator = isolate(body)()
            for request in requests:
                expected = await oracle.ask(request)
                given = await isolated_answer(generator, request)
                assert given == expected, (seed, requests, request)
            await generator.aclose()
            oracle.task.cancel()

    asyncio.run(main())


@NEWER
@pytest.mark.parametrize("seed", range(40))
def test_random_cancellations_lose_nothing(seed):
    """Consumers give up at random; every item arrives once, in order, and the generator ends clean."""
    choose = random.Random(seed)
    total = 30

    @isolate
    async def body():
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            for i in range(total):
                for _ in range(choose.randint(0, 3)):
                    await asyncio.sleep(0)
                if choose.random() < 0.2:
                    group.create_task(asyncio.sleep(0))
                yield i

    async def main():
        generator, got = body(), []

        async def take():
            got.append(await generator.__anext__())

        while len(got) < total:
            task = asyncio.create_task(take())
            for _ in range(choose.randint(0, 4)):
                await asyncio.sleep(0)
            if choose.random() < 0.5:
                task.cancel()
            await asyncio.wait([task])
        assert got == list(range(total))
        with pytest.raises(StopAsyncIteration):
            await generator.__anext__()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


async def endless(log, seconds=0.001):
    try:
        while True:
            await asyncio.sleep(seconds)
            yield
    finally:
        log.append("closed")


async def read_all(log):
    async for _ in isolated(endless(log)):
        pass


@pytest.mark.engine(reason="frames of the operation are in the traceback, too")
@pytest.mark.skipif(sys.version_info < (3, 12), reason="cancelled on 3.10, it is in a cycle that the collector closes")
def test_the_cancellation_of_its_consumer_does_not_keep_it_alive():
    """anyio's task groups put what a child was cancelled with into a cycle."""

    async def main():
        log = []
        task = asyncio.create_task(read_all(log))
        await asyncio.sleep(0.003)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as error:
            kept = error
        for _ in range(20):
            await asyncio.sleep(0)
        assert log == ["closed"], kept

    asyncio.run(main())


@pytest.mark.engine(reason="frames of the operation are in the traceback, too")
def test_one_that_is_closed_while_it_waits_leaves_no_cycle():
    async def main():
        log = []
        generator = isolated(endless(log, 10))
        task = asyncio.create_task(generator.__anext__())
        for _ in range(10):
            await asyncio.sleep(0)
        await generator.aclose()
        with pytest.raises(StopAsyncIteration):
            await task
        body = weakref.ref(generator._body)
        gc.collect()
        gc.disable()
        try:
            del generator, task
            for _ in range(20):
                await asyncio.sleep(0)
            assert log == ["closed"] and body() is None
        finally:
            gc.enable()

    asyncio.run(main())


# trio ------------------------------------------------------------------------------------------------------------------

needs_trio = pytest.mark.skipif(trio is None, reason="trio has no wheel for this interpreter")


def in_trio(function):
    """Runs a test in trio, which notices tasks that are left."""

    @needs_trio
    @functools.wraps(function)
    def test():
        async def main():
            with trio.fail_after(10):
                await function()

        trio.run(main)

    return test


@isolate
async def trio_count(n, log=None):
    try:
        for i in range(n):
            await trio.lowlevel.checkpoint()
            yield i
    finally:
        if log is not None:
            await trio.lowlevel.checkpoint()
            log.append(trio.lowlevel.current_task())


@in_trio
async def test_trio_all_operations():
    @isolate
    async def echo():
        got = None
        while got != "end":
            try:
                got = await yield_((got, trio.lowlevel.current_task()))
            except KeyError as error:
                got = error.args[0]
        return "result"

    async with echo() as items:
        with pytest.raises(TypeError, match="can't send non-None value to a just-started async generator"):
            await items.asend(1)
        got, task = await items.__anext__()
        assert got is None and task is not trio.lowlevel.current_task() and "echo" in task.name
        assert await items.asend(1) == (1, task)
        assert await items.athrow(KeyError("thrown")) == ("thrown", task)
        with pytest.raises(StopAsyncIteration) as stop:
            await items.asend("end")
        assert stop.value.args == ("result",)
        with pytest.raises(StopAsyncIteration):
            await items.__anext__()
    async with trio_count(3) as items:
        assert [x async for x in items] == [0, 1, 2]
    log = []
    async with trio_count(3, log) as items:
        async for _ in items:
            break
        await items.aclose()
        assert len(log) == 1
    with pytest.raises(RuntimeError, match="on trio, an isolated generator is used in a block"):
        await trio_count(3).__anext__()


@in_trio
async def test_trio_the_block_closes_it():
    log = []
    async with trio_count(3, log) as items:
        assert await items.__anext__() == 0
    assert len(log) == 1 and "trio_count" in log[0].name
    with pytest.raises(KeyError):
        async with trio_count(3, log) as items:
            assert await items.__anext__() == 0
            raise KeyError
    assert len(log) == 2
    async with trio_count(3):
        pass

    @isolate
    async def failing():
        try:
            yield 1
        finally:
            raise ValueError("cleanup")

    with pytest.raises(ValueError, match="cleanup"):
        async with failing() as items:
            await items.__anext__()


@in_trio
async def test_trio_scopes_over_yields():
    @isolate
    async def body():
        with trio.move_on_after(0.01):
            yield 1
            yield 2
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 0.001)
            yield 3
        with trio.fail_after(0.01):
            yield 4
            await trio.sleep(1)

    async with body() as items:
        assert await items.__anext__() == 1
        before = time.thread_time()
        await trio.sleep(0.1)
        assert time.thread_time() - before < 0.05
        assert await items.__anext__() == 3
        assert await items.__anext__() == 4
        with pytest.raises(trio.TooSlowError):
            await items.__anext__()


@in_trio
async def test_trio_a_child_that_fails_is_told_at_the_next_operation():
    async def fail():
        raise ValueError("child")

    @isolate
    async def body():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            yield 1
            yield 2

    async with body() as items:
        assert await items.__anext__() == 1
        await trio.sleep(0.01)
        with pytest.raises(BaseException) as caught:
            await items.__anext__()
        assert isinstance(caught.value.exceptions[0], ValueError)


@in_trio
async def test_trio_a_wait_that_is_given_up_loses_nothing():
    @isolate
    async def slow():
        for i in range(2):
            await trio.sleep(0.2)
            yield i

    out = []
    async with slow() as items:
        with contextlib.suppress(StopAsyncIteration):
            while True:
                out.append("ping")
                with trio.move_on_after(0.02):
                    out.append(await items.__anext__())
    assert [x for x in out if x != "ping"] == [0, 1]
    out = []
    async with slow() as items:
        with contextlib.suppress(StopAsyncIteration):
            while True:
                out.append(await items.anext(timeout=0.02, default="ping"))
        assert [x for x in out if x != "ping"] == [0, 1] and "ping" in out


@in_trio
async def test_trio_runs_the_body_also_while_nobody_waits_for_it():
    event, log = trio.Event(), []
    async with waiting_for(event, log) as items:
        assert await items.anext(timeout=0.001, default=None) is None
        event.set()
        while not log:
            await trio.sleep(0.001)
        assert await items.__anext__() == "item"


not_begun_in_a_cycle = pytest.mark.engine(
    reason="a generator that has not begun is collected in a cycle: there the interpreter warns of its coroutine"
)


@not_begun_in_a_cycle
@in_trio
async def test_trio_block_in_a_scope_that_is_cancelled():
    log = []

    @isolate
    async def body():
        try:
            yield 1
        finally:
            log.append("closed")

    with trio.CancelScope() as scope:
        scope.cancel()
        async with body() as items:
            log.append("entered")
            await items.__anext__()
            log.append("never")
    assert scope.cancelled_caught and log == ["entered"], log

    async with body() as items:
        assert await items.__anext__() == 1
    assert log == ["entered", "closed"]


@not_begun_in_a_cycle
@in_trio
async def test_trio_block_that_is_interrupted_at_its_beginning():
    async def interrupted(nursery, function, *arguments, name):
        raise KeyboardInterrupt

    @isolate
    async def body():
        yield 1

    with pytest.MonkeyPatch.context() as patch, pytest.raises(BaseException) as raised:
        patch.setattr(trio.Nursery, "start", interrupted)
        async with body():
            raise AssertionError("entered")
    assert "KeyboardInterrupt" in repr(raised.value)
    await trio.sleep(0)  # the nursery was left: trio's own state is whole


@in_trio
async def test_trio_cancelled_never_crosses():
    log = []

    @isolate
    async def body():
        try:
            yield 1
            await trio.sleep_forever()
        except BaseException as error:
            log.append((type(error).__name__, trio.lowlevel.current_task()))
            raise

    with trio.CancelScope() as scope:
        async with body() as items:
            assert await items.__anext__() == 1
            scope.deadline = trio.current_time() + 0.01
            await items.__anext__()
    assert scope.cancelled_caught and len(log) == 1

    async def consume(items):
        with pytest.raises(StopAsyncIteration):
            await items.__anext__()
        log.append("consumer saw the end")

    async with body() as items:
        await items.__anext__()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(consume, items)
            await trio.sleep(0.01)
            await items.aclose()
    assert log[-1] == "consumer saw the end"


@in_trio
async def test_trio_a_context_manager_of_others():
    log = []

    @contextlib.asynccontextmanager
    async def resource():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 0.001)
            try:
                yield trio.lowlevel.current_task()
            finally:
                log.append("exit")

    async with isolated(resource()) as task:
        assert task is not trio.lowlevel.current_task()
    assert log == ["exit"]
    with pytest.raises(KeyError):
        async with isolated(contextlib.AsyncExitStack()):
            raise KeyError
    with trio.move_on_after(0.01) as scope:
        async with isolated(resource()):
            await trio.sleep(1)
    assert scope.cancelled_caught and log == ["exit"] * 2
