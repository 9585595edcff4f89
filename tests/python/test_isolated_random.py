"""Random trees of generators under random schedules: isolated ones answer as a real task that is reached by a queue does.

AGEN_RANDOM is how many examples are tried, 300 if it is not set; then they are the same in each run. A failing one is made
smaller before it is told.
"""

import asyncio
import contextlib
import os

import pytest
from async_generator import isolated
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("AGEN_RANDOM", "300"))
search = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize="AGEN_RANDOM" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

# A body is a list of statements: a tree, where one iterates, guards or tries others.
LEAVES = st.sampled_from(["yield", "turn", "turns", "task", "raise", "swallow"])
BODIES = st.recursive(
    st.lists(LEAVES, min_size=1, max_size=4),
    lambda inner: st.lists(
        st.one_of(LEAVES, st.tuples(st.sampled_from(["try", "iterate", "leave", "except"]), inner)), max_size=4
    ),
    max_leaves=10,
)
REQUESTS = st.lists(st.sampled_from(["next", "next", "next", "send", "throw", "close"]), min_size=1, max_size=8)
SCHEDULE = st.lists(st.integers(0, 6), min_size=1, max_size=8)


def body_of(statements, log):
    """A generator function that does what the statements say, and tells what it sees."""

    async def body():
        number = 0
        for statement in statements:
            number += 1
            if statement == "yield":
                log.append(("got", (yield number)))
            elif statement == "turn":
                await asyncio.sleep(0)
            elif statement == "turns":
                for _ in range(3):
                    await asyncio.sleep(0)
            elif statement == "task":
                log.append(await asyncio.create_task(asyncio.sleep(0, "from a task")))
            elif statement == "raise":
                raise ValueError(number)
            elif statement == "swallow":
                try:
                    yield "swallows"
                except KeyError as error:
                    log.append(("swallowed", error.args))
            else:
                what, inner = statement
                async with contextlib.aclosing(guarded(what, body_of(inner, log), log)) as items:
                    async for item in items:
                        yield what, item

    return body


async def guarded(what, function, log):
    generator = function()
    try:
        async for item in generator:
            yield item
            if what == "leave":
                break
    except ValueError as error:
        if what != "except":
            raise
        log.append(("caught", error.args))
    finally:
        await generator.aclose()
        if what == "try":
            await asyncio.sleep(0)
            log.append("cleaned up")


async def perform(generator, request):
    operation = {
        "next": lambda: generator.__anext__(),
        "send": lambda: generator.asend("sent"),
        "throw": lambda: generator.athrow(KeyError("thrown")),
        "close": lambda: generator.aclose(),
    }[request]
    try:
        return "item", await operation()
    except (Exception, GeneratorExit) as error:
        return type(error).__name__, error.args


class InATask:
    """The oracle: a task that owns a native generator, and performs the requests that come through a queue."""

    def __init__(self, generator):
        self.requests = asyncio.Queue()
        self.task = asyncio.create_task(self.serve(generator))

    async def serve(self, generator):
        while True:
            request, answer = await self.requests.get()
            if request is None:
                return
            answer.set_result(await perform(generator, request))

    async def ask(self, request):
        answer = asyncio.get_running_loop().create_future()
        self.requests.put_nowait((request, answer))
        return await answer

    async def stop(self):
        self.requests.put_nowait((None, None))
        await self.task


async def by_oracle(statements, requests):
    log = []
    owner = InATask(body_of(statements, log)())
    answers = [await owner.ask(request) for request in ["next", *requests, "close"]]
    await owner.stop()
    return answers, log


async def by_isolated(statements, requests, schedule):
    """Each request comes from a task of its own. One for an item is cancelled after as many turns as the schedule says, again
    and again, until it has brought the item: what is given up is the wait."""
    log, answers, tasks = [], [], set()

    class Native:
        """Tells which task runs the body, whoever resumes it."""

        def __init__(self, function):
            self.function = function

        async def __call__(self):
            tasks.add(asyncio.current_task())
            generator = self.function()
            sent = None
            try:
                thrown = None
                while True:
                    try:
                        item = await (generator.asend(sent) if thrown is None else generator.athrow(thrown))
                    except StopAsyncIteration:
                        return
                    tasks.add(asyncio.current_task())
                    thrown = None
                    try:
                        sent = yield item
                    except KeyError as error:
                        thrown = error
            finally:
                tasks.add(asyncio.current_task())
                await generator.aclose()

    generator = isolated(Native(body_of(statements, log))())
    turns = iter(schedule * 50)
    for request in ["next", *requests, "close"]:
        while True:
            task = asyncio.create_task(perform(generator, request))
            if request == "next":
                for _ in range(next(turns, 50)):
                    await asyncio.sleep(0)
                task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                answers.append(task.result())
                break
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert len(tasks) <= 1 and asyncio.current_task() not in tasks
    return answers, log


@search
@given(BODIES, REQUESTS, SCHEDULE)
def test_random_trees_and_schedules_answer_as_by_a_task_and_a_queue(statements, requests, schedule):
    async def main():
        expected = await by_oracle(statements, requests)
        assert await by_isolated(statements, requests, schedule) == expected

    asyncio.run(main())


def test_the_search_finds_a_lost_item(monkeypatch):
    perform_well = perform

    async def perform_badly(generator, request):
        answer = await perform_well(generator, request)
        return ("item", 3) if answer == ("item", 2) and "isolated" in repr(generator) else answer

    monkeypatch.setitem(globals(), "perform", perform_badly)
    with pytest.raises(AssertionError):
        test_random_trees_and_schedules_answer_as_by_a_task_and_a_queue()
