"""Random programs that meddle with generators wherever the engine lets code of the user run.

  meddling.py FIRST COUNT [--native] [--note FILE]

Runs the programs of COUNT seeds from FIRST on, and prints how many. A program makes generators of both syntaxes, delegations to
ours, native and foreign iterators, and operations that it drives by hand, keeps, drops, closes and enters again. At each point
where its code runs it does to any of them, or to what they are made of, what nobody expects there: POINTS counts where, ACTIONS
says what. Whatever comes out must be an exception other than SystemError; afterwards every generator still answers.

With --native the same is done to native generators, by bodies that delegate by hand: what crashes there is not the engine's.
FILE always has the seed of the program that runs, so that a crash can be told from it.
"""

import argparse
import collections
import gc
import os
import random
import sys
import threading
import types
import warnings
import weakref

from async_generator import async_generator, structured, yield_, yield_from_

NATIVE = "--native" in sys.argv
POINTS = collections.Counter()
# Points that are met so often that they are to be used less.
OFTEN = {"a collection": 0.05, "a trace function": 0.03, "an item's destructor": 0.3}
ERRORS = (Exception, GeneratorExit)
# 3.10 and 3.11 crash by themselves where a native coroutine or generator is resumed or asked what it awaits whose frame was
# cleared, that is being closed, or, traced, that yields: there no program does that by hand.
BY_HAND = sys.version_info < (3, 12)


class Harm(Exception):
    pass


class World:
    """One program: its choices, and all that its code can reach."""

    def __init__(self, seed):
        chance = random.Random(seed)
        self.random = chance.random
        self.cast = []
        self.steps = 250  # of bodies, so that every program ends
        self.meddlings = 80
        self.depth = 0
        self.eager = chance.choice((0.15, 0.4, 0.8))  # how often a point is used
        self.faults = []
        self.functions = OWN if chance.random() < 0.9 else [copied(one) for one in OWN]

    def choose(self, count):
        return int(self.random() * count)

    def one_of(self, *choices):
        return choices[self.choose(len(choices))]

    def goes_on(self):
        self.steps -= 1
        return self.steps > 0

    def keep(self, thing):
        if isinstance(thing, FRAGILE):
            return thing
        if len(self.cast) < 40 and self.random() < 0.7:
            self.cast.append(thing)
        return thing

    def pick(self, *kinds):
        found = [one for one in self.cast if isinstance(one, kinds)] if kinds else self.cast
        return found[self.choose(len(found))] if found else None

    def meddle(self, point):
        """Code of the user runs here: at times it acts, and lets nothing out. Not without end, one inside the other."""
        if self.meddlings <= 0 or self.depth > 5 or self.random() > self.eager * OFTEN.get(point, 1):
            return
        POINTS[point] += 1
        self.meddlings -= 1
        self.attempt(self.one_of(*ACTIONS))

    def attempt(self, action):
        self.depth += 1
        try:
            return action(self)
        except SystemError as error:
            self.faults.append(error)
        except ERRORS:
            return None
        finally:
            self.depth -= 1

    def may_raise(self, point):
        self.meddle(point)
        if self.random() < 0.02:
            raise self.error()

    def error(self):
        return self.one_of(Harm, GeneratorExit, StopIteration, StopAsyncIteration, RuntimeError, Constructed)(
            *(() if self.random() < 0.5 else (self.item(),))
        )

    def item(self):
        return self.one_of(None, 1, Item(self))

    def generator(self, level=0):
        return self.keep(self.one_of(*self.functions)(self, level))

    def source(self, level):
        """What a body delegates to."""
        kind = self.random()
        if kind < 0.4 and level < 5:
            return self.generator(level + 1)
        if kind < 0.6:
            return self.pick(*GENERATORS) or Source(self)
        if kind < 0.7 and level < 5:
            return native(self, level + 1)
        return self.pick() if kind > 0.97 else Source(self)


# --- what the engine meets: each method is a point ---


class Item:
    """A value whose end runs code."""

    def __init__(self, world):
        self.world = world

    def __del__(self):
        self.world.meddle("an item's destructor")


class Constructed(RuntimeError):
    """An exception whose constructor runs code, and its `args` too."""

    world = None

    def __init__(self, *arguments):
        if Constructed.world:
            Constructed.world.meddle("an exception's constructor")

    @property
    def args(self):
        if Constructed.world:
            Constructed.world.meddle("an exception's arguments")
        return 5


class Step:
    """An awaitable that is its own iterator, written in Python."""

    def __init__(self, world, result):
        self.world, self.result = world, result

    def __await__(self):
        self.world.may_raise("__await__")
        return self

    def __iter__(self):
        return self

    def __next__(self):
        return self.send(None)

    def send(self, value):
        self.world.may_raise("an awaitable's send")
        if self.world.random() < 0.4 and self.world.goes_on():
            return None
        raise StopIteration(self.result)

    def throw(self, *arguments):
        self.world.may_raise("an awaitable's throw")
        if self.world.random() < 0.2 and self.world.goes_on():
            return None
        raise arguments[0]

    def close(self):
        self.world.may_raise("an awaitable's close")

    def __del__(self):
        self.world.meddle("an awaitable's destructor")


class Hands:
    """Hands to the generator that awaits it what only the package's own awaitables should."""

    def __init__(self, thing):
        self.thing = thing

    def __await__(self):
        yield self.thing


class Source:
    """A foreign async iterator."""

    def __init__(self, world):
        self.world = world

    def __aiter__(self):
        self.world.may_raise("__aiter__")
        kind = self.world.choose(6)
        if kind == 0:
            return self.world.generator(3)
        if kind == 1:
            return self.world.pick(*GENERATORS) or self
        return Step(self.world, self) if kind == 2 else self  # as `async def __aiter__` of old

    def answer(self, point):
        self.world.may_raise(point)
        if self.world.random() < 0.12 or not self.world.goes_on():
            raise StopAsyncIteration(*(() if self.world.random() < 0.5 else (self.world.item(),)))
        kind = self.world.choose(10)
        if kind < 3:
            return stepping(self.world)
        if kind == 3:
            return self.world.pick() or Step(self.world, 3)
        return Step(self.world, self.world.item())

    def __anext__(self):
        return self.answer("__anext__")

    def asend(self, value):
        return self.answer("asend")

    def athrow(self, *arguments):
        return self.answer("athrow")

    def aclose(self):
        return self.answer("aclose")

    def __getattribute__(self, name):
        if name in ("asend", "athrow", "aclose"):
            world = object.__getattribute__(self, "world")
            world.meddle("__getattr__")
            if world.random() < 0.2:
                raise AttributeError(name)
        return object.__getattribute__(self, name)

    def __del__(self):
        self.world.meddle("an iterator's destructor")


async def stepping(world):
    await Step(world, None)
    return world.item()


class Default:
    """A default value whose end runs code."""

    def __del__(self):
        if Constructed.world:
            Constructed.world.meddle("a default's destructor")


# --- the bodies ---


async def helper(world, level):
    local = Item(world)
    try:
        kind = world.choose(4)
        if kind == 0:
            return await world.keep(yield_from_(world.source(level)))
        if kind == 1:
            await Step(world, local)
        await world.keep(yield_(world.item()))
    finally:
        world.meddle("a helper's end")
        if world.random() < 0.2:
            await Step(world, None)


async def other_steps(world, level):
    """The steps of a body that hand nothing out by themselves."""
    kind = world.choose(7)
    if kind == 0:
        await Step(world, Item(world))
    elif kind == 1:
        await Hands(world.pick() if world.random() < 0.8 else None)
    elif kind == 2:
        awaited = world.pick()
        if hasattr(awaited, "__await__"):
            await awaited
    elif kind == 3:
        world.may_raise("a body")
    elif kind == 4:
        async for item in world.source(level):
            world.keep(item)
            if not world.goes_on():
                break
    else:
        world.meddle("a body")


async def left(world, error):
    """What a body does with an exception: True when it goes on."""
    if world.random() < 0.3 and world.goes_on():
        await Step(world, None)
    return world.random() < 0.5 and world.goes_on()


if not NATIVE:

    @async_generator
    async def by_operator(world, level, default=None, *, other=None):
        local = Item(world)
        while world.goes_on():
            try:
                kind = world.choose(7)
                if kind < 2:
                    world.keep(await yield_(world.item()))
                elif kind == 2:
                    world.keep(await yield_from_(world.source(level)))
                elif kind == 3:
                    await world.keep(yield_from_(world.source(level)))
                elif kind == 4:
                    await helper(world, level)
                elif kind == 5:
                    await other_steps(world, level)
                else:
                    return local
            except ERRORS as error:
                if not await left(world, error):
                    raise
            finally:
                world.meddle("a finally")

    @async_generator
    async def by_yield(world, level, default=None, *, other=None):
        local = Item(world)
        while world.goes_on():
            try:
                kind = world.choose(7)
                if kind < 2:
                    world.keep((yield world.item()))
                elif kind == 2:
                    await yield_from_(world.source(level))
                elif kind == 3:
                    await world.keep(yield_from_(world.source(level)))
                elif kind == 4:
                    await helper(world, level)
                elif kind == 5:
                    await other_steps(world, level)
                else:
                    return
            except ERRORS as error:
                if not await left(world, error):
                    raise
            finally:
                world.meddle("a finally")
                del local
                local = Item(world)

    @async_generator
    async def delegating(world, level, default=None, *, other=None):
        return await yield_from_(world.source(level))

    @async_generator
    async def waiting(world, level, default=None, *, other=None):
        """Stands at an await when it is dropped."""
        try:
            await Step(world, None)
            await yield_(1)
            while world.goes_on():
                await Hands(None)
        finally:
            world.meddle("a finally")
            await yield_from_(world.source(level))

    @async_generator
    def from_a_call(world, level, default=None, *, other=None):
        world.meddle("a function that makes a body")
        return helper(world, level)


async def native(world, level, default=None, *, other=None):
    local = Item(world)
    while world.goes_on():
        try:
            kind = world.choose(6)
            if kind < 2:
                world.keep((yield world.item()))
            elif kind == 2:
                async for item in world.source(level):
                    world.keep((yield item))
                    if not world.goes_on():
                        return
            elif kind == 3:
                await (Step(world, local) if NATIVE else helper(world, level))
            elif kind == 4:
                await other_steps(world, level)
            else:
                return
        except ERRORS as error:
            if not await left(world, error):
                raise
        finally:
            world.meddle("a finally")


OWN = [native] if NATIVE else [by_operator, by_yield, delegating, waiting, from_a_call]
if not NATIVE:  # the same with an environment of their own
    OWN += [structured(one) for one in OWN]
    OWN += [async_generator(context=kind)(one.__wrapped__) for one in OWN[:5] for kind in ("own", "layered")]
GENERATORS = (types.AsyncGeneratorType,) if NATIVE else (types.AsyncGeneratorType, type(by_operator(None, 0)))
_operation = native(None, 0).aclose()
FRAGILE = (types.CoroutineType, type(_operation)) if BY_HAND else ()
_operation.close()
KEPT_CODES = [one.__code__ for one in (getattr(one, "__wrapped__", one) for one in OWN)]


def copied(function):
    """A function of its own, which nobody has prepared yet and whose parts can be exchanged."""
    original = getattr(function, "__wrapped__", function)
    made = types.FunctionType(original.__code__, dict(globals()), original.__name__, (Default(),), original.__closure__)
    made.__kwdefaults__ = {"other": Default()}
    return made if NATIVE else async_generator(made)


# --- the meddling ---


def arguments(world):
    return world.one_of(
        (), (None,), (None,), (world.item(),), (world.error(),), (world.error(),), (Constructed,), (GeneratorExit,)
    )


def operate(world):
    """Begins, resumes, throws into, or ends anything there is, by any of its methods."""
    thing = world.pick()
    name = world.one_of(
        "send", "send", "throw", "close", "__anext__", "asend", "athrow", "aclose", "__next__", "__aiter__", "__await__"
    )
    found = getattr(thing, name, None)
    return world.keep(found(*arguments(world))) if found else None


def drive(world):
    """An operation from its beginning, some steps far."""
    generator = world.pick(*GENERATORS)
    if generator is None:
        return
    name = world.one_of("__anext__", "__anext__", "__anext__", "asend", "asend", "athrow", "athrow", "aclose")
    given = {"asend": (world.item(),), "athrow": (world.error(),)}.get(name, ())
    operation = world.keep(getattr(generator, name)(*given))
    for _ in range(world.choose(6)):
        operation.send(None)
    if world.random() < 0.3 and not isinstance(operation, FRAGILE):
        operation.throw(world.error()) if world.random() < 0.7 else operation.close()


def resume(world):
    thing = world.pick()
    if hasattr(thing, "send"):
        thing.send(None)


def finalize(world):
    thing = world.pick()
    if BY_HAND and isinstance(thing, types.AsyncGeneratorType):
        return
    finalizer = getattr(thing, "__del__", None)
    if finalizer:
        finalizer()


def take_body(world):
    """The coroutine that a generator drives."""
    body = getattr(world.pick(*GENERATORS), "_coroutine", None)
    if body is not None and not BY_HAND:
        world.keep(body)
        if world.random() < 0.6:
            getattr(body, world.one_of("send", "throw", "close"))(*arguments(world))


def forget(world):
    if world.cast:
        world.cast.pop(world.choose(len(world.cast)))


def forget_all(world):
    if world.random() < 0.3:
        world.cast.clear()


def look(world):
    thing = world.pick()
    if BY_HAND and isinstance(thing, types.AsyncGeneratorType):
        return repr(thing)
    for name in ("ag_await", "ag_running", "ag_state", "ag_suspended", "cr_await", "__name__", "ag_frame", "ag_gen"):
        getattr(thing, name, None)
    return repr(thing)


def clear_frame(world):
    thing = None if BY_HAND else world.pick()
    for name in ("ag_frame", "cr_frame"):
        frame = getattr(thing, name, None)
        if frame is not None:
            frame.clear()


def set_hooks(world):
    def hook(generator):
        world.keep(generator)
        world.meddle("an asyncgen hook")

    sys.set_asyncgen_hooks(world.one_of(None, hook), world.one_of(None, hook))


def watch(world):
    """A weak reference, whose callback is a point."""
    thing = world.pick(*GENERATORS)
    if thing is not None:
        world.keep([weakref.ref(thing, lambda _: world.meddle("a weak reference's callback"))])


def tie(world):
    """Garbage for the collector: a cycle through whatever there is."""
    cycle = [world.pick(), world.pick(), Item(world)]
    cycle.append(cycle)
    generator = world.pick(*GENERATORS)
    if hasattr(generator, "__dict__"):
        generator.cycle = cycle
    forget(world)


def collect(world):
    gc.collect(world.choose(3))


def collect_often(world):
    gc.set_threshold(world.one_of(1, 7, 700), 2, 2)


def exchange(world):
    """Other parts for a function of the program's own, and calls it; for others only what can be taken back."""
    function = world.one_of(*world.functions)
    if world.functions is OWN:
        return world.generator(2)
    original = getattr(function, "__wrapped__", function)
    kind = world.choose(6)
    if kind == 0:
        original.__defaults__ = world.one_of((Default(),), (None,))
    elif kind == 1:
        original.__kwdefaults__ = {"other": Default()}
    elif kind == 2:
        codes = [code for code in KEPT_CODES if len(code.co_freevars) == len(original.__code__.co_freevars)]
        original.__code__ = world.one_of(*codes)
    elif kind == 3 and function.__closure__:
        cell = function.__closure__[-1]
        had, cell.cell_contents = cell.cell_contents, None
        if world.random() < 0.5:
            cell.cell_contents = had
    elif kind == 4 and not NATIVE:
        space = original.__globals__
        space["yield_"] = world.one_of(yield_, yield_, lambda value=None: Step(world, value))
    return world.keep(function(world, 2))


def in_thread(world):
    """Another thread does it: lets go of things, as a rule."""
    thread = threading.Thread(target=world.attempt, args=(world.one_of(forget, forget_all, operate, drive, collect),))
    thread.start()
    thread.join()


def trace(world):
    """From the beginning to the end, and not at a yield: two ways to crash CPython alone. It takes the frame that yields for a
    suspended one while the trace function runs, and lets it be resumed."""

    def tracer(frame, event, argument):
        if event != "return":
            world.meddle("a trace function")
        return tracer

    if world.random() < 0.1 and not BY_HAND:
        world.one_of(sys.settrace, sys.setprofile)(tracer)


ACTIONS = [operate, operate, operate, drive, drive, drive, resume, resume, finalize, take_body, forget, forget, forget_all, look,
           clear_frame, set_hooks, watch, tie, collect, collect_often, exchange, World.generator]  # fmt: skip


# --- running them ---


def run(seed):
    """Runs one program; returns what must not have come out of it."""
    world = World(seed)
    Constructed.world = world
    warnings.showwarning = lambda *_: world.meddle("a warning")
    sys.unraisablehook = lambda report: (
        world.faults.append(report.exc_value)
        if isinstance(report.exc_value, SystemError)
        else world.meddle("the unraisable hook")
    )
    collections_seen = [lambda phase, info: world.meddle("a collection")]
    gc.callbacks.extend(collections_seen)
    try:
        trace(world)
        for _ in range(1 + world.choose(3)):
            world.attempt(World.generator)
        for _ in range(25):
            kind = world.random()
            world.attempt(drive if kind < 0.4 else world.one_of(*ACTIONS) if kind < 0.98 else in_thread)
    finally:
        sys.set_asyncgen_hooks(None, None)
        gc.set_threshold(700, 10, 10)
        gc.callbacks.remove(collections_seen[0])
    world.meddlings = 0
    for generator in [one for one in world.cast if isinstance(one, GENERATORS)]:  # nobody is inside: each answers
        for name in ("__anext__", "aclose", "aclose"):
            world.steps = 20
            world.attempt(lambda world, name=name, generator=generator: getattr(generator, name)().send(None))
        if getattr(generator, "ag_state", "AGEN_CLOSED") not in ("AGEN_CREATED", "AGEN_SUSPENDED", "AGEN_CLOSED"):
            world.faults.append(generator.ag_state)
    world.cast.clear()
    world.functions = OWN
    gc.collect()
    sys.settrace(None)
    sys.setprofile(None)
    Constructed.world = None
    return world.faults


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--native", action="store_true")
    parser.add_argument("--note", default=os.devnull)
    given = parser.parse_args()
    note = os.open(given.note, os.O_RDWR | os.O_CREAT)
    warnings.simplefilter("always")
    gc.collect()
    gc.freeze()  # what is there now is not looked at again: a collection then costs what a program made
    for seed in range(given.first, given.first + given.count):
        os.pwrite(note, f"{seed:20}".encode(), 0)
        faults = run(seed)
        if faults:
            raise SystemExit(f"seed {seed}: {faults!r}")
    print(f"{given.count} programs from {given.first}")
    for point, times in POINTS.most_common():
        print(f"{times:10} {point}")


if __name__ == "__main__":
    main()
