"""Streams: a model checker. Every order of up to six events, played on each combinator, with the rules checked after each.

An event is one of a source's: an item, its end, an error, a wake without an item; or one of the consumer's: it asks for
an item, is cancelled while it waits, or closes. What has to hold does not depend on the combinator's code: no item is
lost, doubled or out of order for its source, no wake is lost, no source is asked too early, and all are closed.
"""

import asyncio
import itertools
import os

import pytest
from async_generator import aclosing, streams

DEPTH = int(os.environ.get("AGEN_STREAMS_DEPTH", "0"))  # more than the number of events that a test names


class Boom(Exception):
    pass


class Script:
    """A source whose events come from outside, in an order that the test chooses."""

    def __init__(self, name):
        self.name = name
        self.posted = []
        self.future = None
        self.asked = self.sent = self.closed = 0
        self.over = None
        self.interrupted = False

    def post(self, event):
        self.posted.append(event)
        if self.future is not None and not self.future.done():
            self.future.set_result(None)

    async def event(self):
        while not self.posted:
            self.future = asyncio.get_running_loop().create_future()
            try:
                await self.future
            finally:
                self.future = None
        return self.posted.pop(0)

    async def run(self):
        try:
            self.asked += 1
            while (event := await self.event()) not in ("end", "error"):
                if event == "item":
                    self.sent += 1
                    yield (self.name, self.sent)
                    self.asked += 1
            self.over = event
            if event == "error":
                raise Boom(self.name)
        except BaseException as error:
            self.interrupted = not isinstance(error, Boom)
            raise
        finally:
            self.closed += 1


class First:
    """Awaits the first item of a source."""

    def __init__(self, source):
        self.source = source

    async def item(self):
        async with aclosing(self.source):
            return await self.source.__anext__()

    def __await__(self):
        return self.item().__await__()


class Rules:
    """What has to hold for one combinator.

    Args:
        make: makes the stream of its sources.
        sources: how many.
        flat: the items of the sources in what the stream has yielded.
        ahead: how many items of a source may have been asked for and not been delivered, while the consumer waits.
        keeps_all: whether each item of each source is delivered in the end.
    """

    def __init__(self, make, sources, *, flat=lambda item: [item], ahead=1, keeps_all=True):
        self.make, self.sources, self.flat, self.ahead, self.keeps_all = make, sources, flat, ahead, keeps_all


RULES = {
    "merge": Rules(streams.merge, 2),
    "prefetch 1": Rules(lambda source: streams.prefetch(source, 1), 1, ahead=2),
    "prefetch 2": Rules(lambda source: streams.prefetch(source, 2), 1, ahead=3),
    "chunks": Rules(lambda source: streams.chunks(source, 2), 1, flat=list, ahead=2),
    "timeout": Rules(lambda source: streams.timeout(source, 1000), 1),
    "broadcast": Rules(lambda source: streams.broadcast(source).reader(), 1),
    "scan": Rules(lambda source: streams.scan(source, lambda _, item: item), 1),
    "flat_map": Rules(lambda source: streams.flat_map(source, lambda item: [item]), 1),
    "zip": Rules(streams.zip, 2, flat=list, keeps_all=False),
    "zip strict": Rules(lambda *sources: streams.zip(*sources, strict=True), 2, flat=list, keeps_all=False),
    "zip_latest": Rules(streams.zip_latest, 2, flat=list, keeps_all=False),
    "race": Rules(streams.race, 2, keeps_all=False),
    "take_until": Rules(lambda source, until: streams.take_until(source, First(until)), 2, keeps_all=False),
    "nested": Rules(lambda a, b: streams.prefetch(streams.merge(a, b), 1), 2, ahead=3),
}


class Play:
    """One order of events, played."""

    def __init__(self, rules):
        self.rules = rules
        self.scripts = [Script(name) for name in "ab"[: rules.sources]]
        self.stream = rules.make(*[script.run() for script in self.scripts])
        self.wait = None
        self.got = []
        self.asked = 0
        self.over = None  # how the stream has ended for the consumer

    async def ask(self):
        return await self.stream.__anext__()

    async def play(self, event):
        if event == "ask":
            self.asked += 1
            self.wait = asyncio.ensure_future(self.ask())
        elif event == "cancel":
            self.wait.cancel()
        elif event == "close":
            await self.close()
            self.over = "closed"
        else:
            self.scripts[event[0]].post(event[1])
        for _ in range(6):
            await asyncio.sleep(0)
        self.collect()
        self.check()

    async def close(self):
        """An error that a source has raised ahead of the consumer is raised then, at the latest."""
        try:
            await self.stream.aclose()
        except Boom as error:
            assert self.over is None and self.rules.ahead > 1
            assert error.args[0] in [script.name for script in self.scripts if script.over == "error"]

    def collect(self):
        if self.wait is None or not self.wait.done():
            return
        wait, self.wait = self.wait, None
        try:
            self.got.append(wait.result())
        except asyncio.CancelledError:
            pass
        except StopAsyncIteration:
            self.over = self.over or "end"
        except (Boom, ValueError) as error:
            assert self.over is None, "an error is raised once"
            self.over = error

    def items(self, name):
        items = [item for got in self.got for item in self.rules.flat(got) if item[0] == name]
        if self.rules.make is streams.zip_latest:
            items = [item for item, _ in itertools.groupby(items)]
        return items

    def check(self):
        for script in self.scripts:
            items = self.items(script.name)
            numbers = [number for _, number in items]
            first = numbers[0] if numbers and self.rules.make is streams.zip_latest else 1
            assert numbers == list(range(first, first + len(numbers))) or not self.rules.keeps_all
            assert numbers == sorted(set(numbers)) and all(number <= script.sent for number in numbers)
            if self.rules.keeps_all and self.over is None:
                assert script.asked <= len(items) + self.rules.ahead, "further ahead than asked"
            assert script.asked == 0 or self.asked, "a source was asked before the consumer has"
        if self.wait is not None and self.rules.keeps_all and self.over is None:
            waiting = sum(script.sent for script in self.scripts) - sum(len(self.items(s.name)) for s in self.scripts)
            assert waiting == 0 or (self.rules.flat is list and waiting < 2), "a wake was lost"

    async def finish(self, drains):
        """Play the rest: either all sources end and the consumer takes what is left, or it closes."""
        if self.over is None and drains:
            for script in self.scripts:
                script.post("end")
            for _ in range(40):
                if self.wait is None:
                    await self.play("ask")
                else:
                    await asyncio.sleep(0)
                    self.collect()
                if self.over is not None:
                    break
            assert self.over is not None, "the stream does not end"
            if self.rules.keeps_all and self.over == "end":
                for script in self.scripts:
                    assert len(self.items(script.name)) == script.sent, "an item was lost"
        elif self.over is None:
            if self.wait is not None:
                await self.play("cancel")
            await self.close()
        assert self.wait is None
        assert all(script.closed == (script.asked > 0) for script in self.scripts), "a source was not closed"
        errors = [script for script in self.scripts if script.over == "error"]
        if isinstance(self.over, Boom):
            assert self.over.args[0] in [script.name for script in errors]
        await self.stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await self.ask()


def legal(rules, events):
    """Whether these events can come in this order, as far as that can be said without playing them."""
    ended = set()
    waits = closed = False
    for event in events:
        if closed:
            return False
        if event == "ask":
            if waits == "yes":  # it may have been answered, which play_all() finds out
                return False
            waits = "yes"
        elif event == "cancel":
            if not waits:
                return False
            waits = "no"
        elif event == "close":
            closed = True
        else:
            source, what = event
            if source in ended:
                return False
            if what in ("end", "error"):
                ended.add(source)
            if waits == "yes":
                waits = "maybe"
    return True


async def play_all(rules, depth):
    """Plays every order of so many events, and each one that ends earlier. Returns how many."""
    of_sources = [(place, what) for place in range(rules.sources) for what in ("item", "end", "error", "wake")]
    alphabet = ["ask", "cancel", "close", *of_sources]
    played = 0
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, said: reported.append(said))
    before = asyncio.all_tasks()
    for events in itertools.product(alphabet, repeat=depth):
        if not legal(rules, events):
            continue
        for drains in (True, False):
            play = Play(rules)
            try:
                if not await play_one(play, events):
                    break
                await play.finish(drains)
            except BaseException as error:
                raise AssertionError(f"{events}, {'drained' if drains else 'closed'}: {error!r}") from error
            played += 1
    await asyncio.sleep(0.01)
    assert reported == [] and asyncio.all_tasks() == before
    return played


async def play_one(play, events):
    for event in events:
        if event == "ask" and (play.wait is not None or play.over is not None):
            return await give_up(play)
        if event in ("cancel", "close") and (play.wait is None) == (event == "cancel"):
            return await give_up(play)
        await play.play(event)
    return True


async def give_up(play):
    """This order is none after all."""
    if play.wait is not None:
        await play.play("cancel")
    await play.close()
    return False


@pytest.mark.parametrize("name", [*RULES])
def test_every_order_of_events(name):
    rules = RULES[name]
    depth = max(DEPTH, 6 if rules.sources == 1 else 4)
    assert asyncio.run(play_all(rules, depth)) > 100


async def forgetful(source):
    """What everybody writes first: a consumer that gives up ends it."""
    async for item in source:
        yield item


async def hasty(source):
    """Asks before the consumer does."""
    items = [item async for item in source]
    for item in items:
        yield item


async def careless(source):
    """Does not close its source."""
    yield await source.__anext__()
    yield await source.__anext__()


@pytest.mark.parametrize("faulty", [forgetful, hasty, careless])
def test_the_checker_finds_what_is_wrong(faulty):
    with pytest.raises(AssertionError, match="ask"):
        asyncio.run(play_all(Rules(faulty, 1), 4))
