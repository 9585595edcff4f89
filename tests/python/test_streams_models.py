"""Streams: random schedules of zip(), timeout() and chunks() against slow and obvious references in plain Python.

A schedule says how long each source takes for each item and how it ends, and how long the consumer works, and waits before it
gives up. The clocks are virtual, and no two times are the same but where items come at once. Compared are all answers, when
they come, and how often each source was asked.

AGEN_RANDOM is how many schedules are tried of each, 100 if it is not set; then they are the same in each run.
"""

import asyncio
import os
from math import inf, sqrt

import anyio
import pytest
from async_generator import aclosing, bridge, streams
from hypothesis import given, settings
from hypothesis import strategies as st
from streams_running import trio

LOOPS = ["asyncio", *(["trio"] if trio else [])]
search = settings(
    max_examples=int(os.environ.get("AGEN_RANDOM", "100")), deadline=None, derandomize="AGEN_RANDOM" not in os.environ
)
# So much is added to what the schedules say in whole seconds: then no two of their times are the same.
PATIENCE, WORK, LIMIT, WITHIN, PLACE = (sqrt(prime) / 10 for prime in (2, 3, 5, 7, 11))

SCRIPT = st.tuples(st.lists(st.integers(0, 5), max_size=6), st.integers(0, 5), st.sampled_from(["end", "end", "error"]))
ACTIONS = st.lists(st.tuples(st.sampled_from(["ask", "ask", "work"]), st.integers(0, 7)), max_size=10)


class Boom(Exception):
    pass


# The streams ---------------------------------------------------------------------------------------------------------------


class Source:
    def __init__(self, script):
        self.delays, self.last_delay, self.how = script
        self.asked = self.begun = self.closed = 0

    async def run(self):
        self.begun += 1
        try:
            for number, delay in enumerate(self.delays):
                await self.wait(delay)
                yield number
            await self.wait(self.last_delay)
            if self.how == "error":
                raise Boom
        finally:
            self.closed += 1

    async def wait(self, delay):
        self.asked += 1
        if delay:
            await bridge.sleep(delay)


async def use(make, scripts, actions):
    """What a consumer of the stream sees, and when; and how often it has asked each source."""
    sources = [Source(script) for script in scripts]
    stream = make(*[source.run() for source in sources])
    answers, begun = [], anyio.current_time()
    for what, seconds in actions:
        if what == "work":
            await bridge.sleep(seconds + WORK)
            continue
        answer = "gave up"
        with anyio.move_on_after(seconds + PATIENCE):
            try:
                answer = await stream.__anext__()
            except (StopAsyncIteration, TimeoutError, ValueError, Boom) as error:
                answer = type(error)
        answers.append((answer, round(anyio.current_time() - begun, 6)))
    try:
        await stream.aclose()
    except Boom:
        answers.append("raised when it was closed")
    assert [source.closed for source in sources] == [source.begun for source in sources]
    return answers, [source.asked for source in sources]


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its clock goes on at once when everything waits for it."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        select = self._selector.select

        def skip(timeout):
            self.now += timeout or 0.0
            return select(0)

        self._selector.select = skip

    def time(self):
        return self.now


def run_on(loop, function, *arguments):
    if loop == "trio":
        import trio.testing

        return trio.run(function, *arguments, clock=trio.testing.MockClock(autojump_threshold=0))
    made = VirtualLoop()
    try:
        return made.run_until_complete(function(*arguments))
    finally:
        made.close()


# The references ------------------------------------------------------------------------------------------------------------


class Clock:
    now = 0.0


class Planned:
    """A source, as a plan: ``ready()`` is when what was asked for comes, and ``take()`` what that is."""

    def __init__(self, script, clock):
        delays, last_delay, how = script
        self.plan = [*enumerate(delays), (StopAsyncIteration if how == "end" else Boom, last_delay)]
        self.clock, self.asked, self.at = clock, 0, None

    def ready(self):
        if self.at is None:
            self.at = self.clock.now + self.plan[self.asked][1]
            self.asked += 1
        return self.at

    def take(self):
        self.at = None
        return self.plan[self.asked - 1][0]


# A reference yields ("wait", until) or ("answer", item). What it returns is how it ends.


def zip_plainly(clock, sources, strict):
    while True:
        row = {}
        coming = sorted(sources, key=lambda source: (source.ready(), sources.index(source)))
        ended = []
        for source in coming:
            while clock.now < source.ready():
                yield "wait", source.ready()
            item = source.take()
            if item is Boom or (item is StopAsyncIteration and not strict):
                return item
            if item is StopAsyncIteration:
                ended.append(source)
            else:
                row[source] = item
            if row and ended:
                return ValueError
        if ended or not sources:
            return StopAsyncIteration
        yield "answer", tuple(row[source] for source in sources)


def timeout_plainly(clock, sources, seconds, then):
    (source,) = sources
    deadline = None
    while True:
        if clock.now >= source.ready():
            deadline, item = None, source.take()
            if isinstance(item, type):
                return item
            yield "answer", item
        elif deadline is None:
            deadline = clock.now + seconds
        elif clock.now < deadline:
            yield "wait", min(deadline, source.ready())
        elif then == "end":
            return StopAsyncIteration
        else:
            deadline = None
            yield "answer", TimeoutError


def chunks_plainly(clock, sources, n, within):
    (source,) = sources
    chunk, due = [], inf
    while True:
        if clock.now >= source.ready():
            item = source.take()
            if isinstance(item, type):
                break
            chunk.append(item)
            due = clock.now + within if len(chunk) == 1 else due
        if len(chunk) == n or clock.now >= due:
            yield "answer", chunk
            chunk, due = [], inf
        elif clock.now < source.ready():
            yield "wait", min(source.ready(), due)
    if chunk:
        yield "answer", chunk
    return item


def expect(reference, scripts, actions, *options):
    """What ``use()`` has to answer."""
    clock = Clock()
    sources = [Planned(script, clock) for script in scripts]
    body, answers, until, over = reference(clock, sources, *options), [], 0.0, None
    for what, seconds in actions:
        if what == "work":
            clock.now += seconds + WORK
            continue
        limit = clock.now + seconds + PATIENCE
        answer = None if over is None else StopAsyncIteration
        while answer is None:
            if until > limit:
                clock.now, answer = limit, "gave up"
                continue
            clock.now = max(clock.now, until)
            try:
                kind, value = next(body)
            except StopIteration as stop:
                answer = over = stop.value
            else:
                until, answer = (value, None) if kind == "wait" else (0.0, value)
        answers.append((answer, round(clock.now, 6)))
    return answers, [source.asked for source in sources], sources, over


def apart(script, place, loop):
    """The script of one of several sources, with times that no other has. (trio takes what comes at one time in any order.)"""
    delays, last_delay, how = script
    *delays, last_delay = (delay + place * PLACE if delay or loop == "trio" else 0 for delay in (*delays, last_delay))
    return delays, last_delay, how


# They agree ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
@search
@given(scripts=st.lists(SCRIPT, min_size=1, max_size=3), actions=ACTIONS, strict=st.booleans())
def test_zip_answers_as_its_reference(loop, scripts, actions, strict):
    scripts = [apart(script, place, loop) for place, script in enumerate(scripts)]
    answers, asked, _, over = expect(zip_plainly, scripts, actions, strict)
    given, really = run_on(loop, use, lambda *sources: streams.zip(*sources, strict=strict), scripts, actions)
    assert given == answers
    # A source that ends at once keeps those after it from being asked for that tuple.
    spared = {0, 1} if over is not None and loop == "asyncio" else {0}
    assert {expected - number for expected, number in zip(asked, really, strict=True)} <= spared


@pytest.mark.parametrize("loop", LOOPS)
@search
@given(script=SCRIPT, actions=ACTIONS, seconds=st.integers(0, 4), then=st.sampled_from(["raise", "end"]))
def test_timeout_answers_as_its_reference(loop, script, actions, seconds, then):
    limit = seconds + LIMIT
    expected = expect(timeout_plainly, [script], actions, limit, then)[:2]
    assert run_on(loop, use, lambda source: streams.timeout(source, limit, then=then), [script], actions) == expected


@pytest.mark.parametrize("loop", LOOPS)
@search
@given(script=SCRIPT, actions=ACTIONS, n=st.integers(1, 4), seconds=st.none() | st.integers(0, 4))
def test_chunks_answers_as_its_reference(loop, script, actions, n, seconds):
    within = None if seconds is None else seconds + WITHIN
    answers, asked, (source,), over = expect(chunks_plainly, [script], actions, n, inf if within is None else within)
    if over is None and source.asked == len(source.plan) and source.at is None and script[2] == "error":
        answers.append("raised when it was closed")
    assert run_on(loop, use, lambda source: streams.chunks(source, n, within=within), [script], actions) == (
        answers,
        asked,
    )


async def forgetful(source):
    """Loses an item when its consumer gives up."""
    async with aclosing(source):
        async for item in source:
            yield item


def test_a_lost_item_is_seen():
    script, actions = ([3, 1], 0, "end"), [("ask", 1), ("ask", 7), ("ask", 7)]
    expected = expect(timeout_plainly, [script], actions, 9, "raise")[:2]
    assert run_on("asyncio", use, lambda source: streams.timeout(source, 9), [script], actions) == expected
    assert run_on("asyncio", use, forgetful, [script], actions) != expected
