"""C++ bodies that await Python, C++ tasks as Python coroutines, and cancellation."""

import asyncio
import collections.abc
import gc
import os
import subprocess
import sys
import types
import weakref

import pytest
from async_generator import async_generator, yield_
from driving import in_small_thread
from loops import Trio, every_loop, three_loops


@pytest.fixture(autouse=True)
def no_body_is_left(bodies):
    yield
    gc.collect()
    assert bodies.alive() == 0


async def collect(generator):
    return [item async for item in generator]


# Awaiting in a generator -------------------------------------------------------------------------------------------------


@every_loop
def test_a_body_awaits_through_the_loop_that_drives_it(loop, bodies):
    assert loop.run(collect, bodies.awaits(3, lambda: loop.sleep(0.001), None)) == [0, 1, 2]


@every_loop
def test_what_answers_at_once_needs_no_loop(loop, bodies):
    async def ready():
        return 1

    assert loop.run(collect, bodies.awaits(3, ready, ready)) == [0, 1, 2]


@every_loop
def test_two_bodies_wait_at_the_same_time(loop, bodies):
    got = []

    async def consume(name):
        async for item in bodies.awaits(3, lambda: loop.sleep(0.001), None):
            got.append((name, item))

    async def main():
        await loop.together(lambda: consume("a"), lambda: consume("b"))

    loop.run(main)
    assert sorted(got) == [(name, item) for name in "ab" for item in range(3)]


def test_what_is_not_awaitable_raises_in_the_body(bodies):
    async def main():
        with pytest.raises(TypeError, match="can't be used in 'await' expression"):
            await anext(bodies.awaits(1, lambda: 7, None))

    asyncio.run(main())


def test_a_helper_that_yields_yields_from_the_body(bodies):
    """As in a Python body: what yield_() hands up goes to the consumer of the innermost generator."""

    async def helper():
        await yield_("from the helper")

    assert asyncio.run(collect(bodies.awaits(2, helper, None))) == ["from the helper", 0, "from the helper", 1]


# Tasks -------------------------------------------------------------------------------------------------------------------


@every_loop
def test_a_task_is_awaited(loop, bodies):
    async def work():
        await loop.sleep(0.001)
        return "done"

    async def main():
        return await bodies.fetch(work()), await bodies.fetch_through(work(), 10)

    assert loop.run(main) == ("done", "done")


def test_a_task_is_a_coroutine(bodies):
    async def main():
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        task = bodies.fetch(future)
        assert asyncio.iscoroutine(task) and isinstance(task, collections.abc.Coroutine)
        assert weakref.ref(task)() is task
        assert repr(task).startswith("<coroutine object task at ")
        task.__name__ = task.__qualname__ = "fetch"
        scheduled = asyncio.create_task(task)
        assert "fetch" in repr(scheduled)
        await asyncio.sleep(0)
        assert task.cr_await is not None and not task.cr_running and task.cr_suspended
        future.set_result(5)
        assert await scheduled == 5

    asyncio.run(main())


def test_trio_runs_a_task_in_a_nursery(bodies):
    try:
        trio = Trio().trio
    except ImportError as missing:
        pytest.skip(str(missing))
    done = []

    async def work():
        await trio.sleep(0)
        done.append(True)

    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: bodies.fetch(work()))

    trio.run(main)
    assert done == [True]


def test_a_coroutine_is_driven_by_hand(bodies):
    class Waits:
        def __await__(self):
            return (yield "request")

    task = bodies.fetch(Waits())
    with pytest.raises(TypeError, match="just-started"):
        task.send(1)
    assert task.send(None) == "request"
    with pytest.raises(StopIteration) as stop:
        task.send("answer")
    assert stop.value.value == "answer"
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        task.send(None)
    thrown = bodies.fetch(Waits())
    thrown.send(None)
    with pytest.raises(KeyError):
        thrown.throw(KeyError("thrown"))
    closed = bodies.fetch(Waits())
    closed.send(None)
    closed.close()
    unstarted = bodies.fetch(Waits())
    unstarted.close()
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        unstarted.send(None)


def test_a_tuple_is_a_result_like_another(bodies):
    async def gives(value):
        return value

    async def main():
        for value in ((1, 2), (), StopIteration(3), None):
            assert await bodies.fetch(gives(value)) is value

    asyncio.run(main())


def test_a_task_that_nobody_awaits_warns(bodies):
    with pytest.warns(RuntimeWarning, match="coroutine 'task' was never awaited"):
        bodies.fetch(7)
        gc.collect()


def test_a_task_inside_itself_is_refused(bodies):
    async def main():
        async def inner():
            with pytest.raises(ValueError, match="already executing"):
                task.send(None)
            return "refused"

        task = bodies.fetch(inner())
        assert await task == "refused"

    asyncio.run(main())


def test_one_python_awaitable_at_a_time(bodies):
    async def main():
        with pytest.raises(RuntimeError, match="one Python awaitable at a time"):
            await bodies.two_at_once(asyncio.sleep(0), asyncio.sleep(0))

    with pytest.warns(RuntimeWarning, match="never awaited"):
        asyncio.run(main())
        gc.collect()


def test_a_task_that_waits_when_its_body_goes_on_gets_an_error(bodies):
    async def main():
        awaited = asyncio.sleep(60)
        return [told async for told in bodies.leaves_waiting(awaited)]

    before, after = asyncio.run(main())
    assert before == "" and "waited for Python when the body went on" in after


def test_one_that_waits_again_is_left_and_the_body_gets_the_error(bodies):
    async def main():
        left = bodies.leaves_retrying(lambda: asyncio.sleep(60))
        assert await anext(left) == 0
        with pytest.raises(RuntimeError, match="waited for Python when the body went on"):
            await anext(left)
        assert await collect(left) == []

    asyncio.run(main())


@pytest.mark.parametrize("with_greenlets", [False, True])
def test_the_interpreter_closes_nested_bodies_when_it_ends(bodies, with_greenlets):
    """What fork handlers refer to is dropped after the modules."""
    imports = "import greenlet" if with_greenlets else ""
    if with_greenlets:
        pytest.importorskip("greenlet", reason="no wheel of greenlet for this interpreter")
    program = f"""
import os, sys
{imports}
sys.path.insert(0, sys.argv[1])
bodies = __import__(sys.argv[2])

class Request:
    def __await__(self):
        yield

def held(inner):
    one = bodies.holding(Request, inner)
    one.send(None)
    return one

held(held(None)).close()
os.register_at_fork(before=lambda kept=held(held(None)): None)
print("ends")
"""
    command = [sys.executable, "-c", program, os.path.dirname(bodies.__file__), bodies.__name__]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "ends\n"), done.stderr


# Stop requests -----------------------------------------------------------------------------------------------------------


@three_loops
def test_what_can_be_stopped_is_awaited_as_usual(loop, bodies):
    async def answers():
        await loop.sleep(0.001)
        return "answered"

    assert loop.run(collect, bodies.until_stopped(answers())) == ["answered"]


@three_loops
def test_a_stop_request_cancels_what_is_awaited_under_its_token(loop, bodies):
    ends = []

    async def waits():
        try:
            await loop.sleep(60)
        except BaseException as e:
            ends.append(type(e))
            raise

    async def stops():
        await loop.sleep(0.01)
        bodies.request_stop()

    async def main():
        told = []

        async def consume():
            told.extend(await collect(bodies.until_stopped(waits())))

        await loop.together(consume, stops)
        return told

    assert loop.run(main) == ["stopped"]
    assert ends == [loop.cancelled]


# Cancellation ------------------------------------------------------------------------------------------------------------


@every_loop
def test_cancellation_reaches_the_body_and_its_cleanup_runs(loop, bodies):
    ends = []

    async def ending():
        ends.append(sys.exc_info()[0])

    async def main():
        async def consume():
            await collect(bodies.awaits(3, lambda: loop.sleep(10), ending))

        assert await loop.cancel_after(0.01, consume)
        assert len(ends) == 1 and bodies.alive() == 0

    loop.run(main)


@every_loop
def test_cancellation_reaches_a_task_through_others(loop, bodies):
    async def main():
        assert await loop.cancel_after(0.01, lambda: awaiting(bodies.fetch_through(loop.sleep(10), 5)))
        assert bodies.alive() == 0

    async def awaiting(task):
        return await task

    loop.run(main)


def test_cleanup_awaits_after_cancellation(bodies):
    ends = []

    async def ending():
        await asyncio.sleep(0.001)
        ends.append(True)

    async def main():
        task = asyncio.ensure_future(anext(bodies.awaits(1, lambda: asyncio.sleep(10), ending)))
        await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ends == [True]

    asyncio.run(main())


def test_a_timeout_is_a_timeout(bodies):
    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(bodies.fetch(asyncio.sleep(10)), 0.01)

    asyncio.run(main())


def test_closing_a_generator_that_awaits_closes_what_it_awaits(bodies):
    log = []

    async def before():
        try:
            await Waits()
        finally:
            log.append("closed")

    class Waits:
        def __await__(self):
            yield

    operation = bodies.awaits(1, before, None).__anext__()
    operation.send(None)
    operation.close()
    assert log == ["closed"]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_dropping_a_generator_that_awaits(bodies):
    class Waits:
        def __await__(self):
            yield

    operation = bodies.awaits(1, Waits, None).__anext__()
    operation.send(None)
    del operation
    gc.collect()
    assert bodies.alive() == 0


@async_generator
async def python_twin(n, before):
    for i in range(n):
        await before()
        await yield_(i)


def test_a_body_requests_what_a_python_body_would(bodies):
    class Asks:
        def __init__(self, n):
            self.n = n

        def __await__(self):
            got = []
            for i in range(self.n):
                got.append((yield i))
            return got

    def requests(generator):
        seen = []
        operation = generator.__anext__()
        try:
            while True:
                seen.append(operation.send(None))
        except StopIteration as stop:
            seen.append(("item", stop.value))
        return seen

    assert requests(bodies.awaits(1, lambda: Asks(3), None)) == requests(python_twin(1, lambda: Asks(3)))


@types.coroutine
def trap():
    while True:
        yield "trap"


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_a_long_chain_of_tasks_ends_in_recursion_error_not_in_the_end_of_the_stack(bodies):
    chain = trap()
    for _ in range(100_000):
        chain = bodies.fetch(chain)
    with pytest.raises(RecursionError, match=r"while a C\+\+ coroutine awaits"):
        chain.send(None)


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_nor_does_it_overflow_the_stack_of_a_small_thread(bodies):
    chain = [trap()]  # all of them, so that none is dropped inside another
    for _ in range(5_000):
        chain.append(bodies.fetch(chain[-1]))
    assert in_small_thread(lambda: chain[-1].send(None))[:2] == ("error", "RecursionError")


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_nor_where_coroutines_of_python_lie_between(bodies):
    async def down():
        return await bodies.fetch(down())

    assert in_small_thread(lambda: down().send(None))[:2] == ("error", "RecursionError")


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_a_chain_that_grew_while_it_waited_is_counted_when_it_goes_on(bodies, unraisable):
    """Or goes on to its end, by a compiler (g++ 16) that makes jumps of the calls at the ends of functions."""
    chain = trap()
    try:
        for _ in range(500):
            for _ in range(200):
                chain = bodies.fetch(chain)
            assert chain.send(None) == "trap"
    except RecursionError as error:
        assert "while a C++ coroutine awaits" in str(error)
    del chain  # which closes it from the outside in, and takes the stack in any case
    assert all(isinstance(report.exc_value, RecursionError) for report in unraisable)
    unraisable.clear()


# The end of the interpreter ----------------------------------------------------------------------------------------------

# Threads that are nearly always in Python code which C++ has called, and which waits for the GIL there when the
# interpreter ends: CPython before 3.14 unwinds their stacks.
IN_CALLS = """
import importlib, sys, threading, time
sys.path.insert(0, sys.argv[1])
bodies = importlib.import_module(sys.argv[2])

def sleep():
    time.sleep(0.002)

class Awaitable:
    def __await__(self):
        sleep()
        return iter(())

class Dropped:
    def __del__(self):
        sleep()

class Source:
    def __aiter__(self):
        sleep()
        return self
    def __anext__(self):
        sleep()
        return Awaitable()
    def __getattr__(self, name):
        sleep()
        raise AttributeError(name)

class Closed:
    def __await__(self):
        return self
    def __iter__(self):
        return self
    def __next__(self):
        return "trap"
    def close(self):
        sleep()

async def coroutine():
    sleep()

def run(awaitable):
    try:
        awaitable.send(None)
    except StopIteration:
        pass

calls = {
    "await": lambda: run(bodies.fetch(Awaitable())),
    "coroutine": lambda: run(bodies.fetch(coroutine())),
    "drop": lambda: run(bodies.keeps(Dropped()).__anext__()),
    "iterate": lambda: run(bodies.delegates(Source()).asend(None)),
    "delegate": lambda: run(bodies.mixed(Source()).__anext__()),
    "close": lambda: run(bodies.fetch(Closed())),
}

def work(call):
    while True:
        try:
            call()
        except (TypeError, ValueError, RuntimeError):
            pass

for _ in range(16):
    threading.Thread(target=work, args=(calls[sys.argv[3]],), daemon=True).start()
time.sleep(0.05)
print("ends")
"""


@pytest.mark.parametrize("call", ["await", "coroutine", "drop", "iterate", "delegate", "close"])
def test_the_interpreter_ends_while_daemon_threads_are_in_python_that_cpp_called(bodies, call):
    command = [sys.executable, "-c", IN_CALLS, os.path.dirname(bodies.__file__), bodies.__name__, call]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "ends\n"), done.stderr
