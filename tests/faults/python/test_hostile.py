"""Objects made to do harm: what an attacker who controls the iterated object can do is what Python lets him do anyway.

Each program of random steps runs in this process; an interpreter that crashes fails the run. Whatever comes out must be an
exception of Python's own kinds, and afterwards the generators that took part still answer.
"""

import gc
import os
import sys
import threading
import types
import warnings

import async_generator as package
import pytest
from async_generator import async_generator, yield_, yield_from_
from conftest import FULL
from driving import outcome, trap
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("HYPOTHESIS_MAX_EXAMPLES", 6000 if FULL else 300))
fuzz = settings(max_examples=EXAMPLES, deadline=None, derandomize=not FULL, database=None,
                suppress_health_check=list(HealthCheck))  # fmt: skip


class Harm(Exception):
    pass


class World:
    """What hostile objects can reach: the generators, operations and delegations of the program, and a source of choices."""

    def __init__(self, choices):
        self.choices, self.objects, self.depth = list(choices), [], 0

    def choose(self, count):
        return self.choices.pop() % count if self.choices else 0

    def keep(self, thing):
        self.objects.append(thing)
        return thing

    def act(self):
        """Something that nobody expects at this place. Re-entered, but not without end."""
        if not self.choices or self.depth > 8:
            return None
        self.depth += 1
        try:
            return ACTIONS[self.choose(len(ACTIONS))](self)
        finally:
            self.depth -= 1


def pick(world):
    return world.objects[world.choose(len(world.objects))] if world.objects else None


def operate(world):
    """Starts, resumes, throws into or closes anything there is, by any of its methods."""
    thing = pick(world)
    method = (
        "send",
        "throw",
        "close",
        "__anext__",
        "asend",
        "athrow",
        "aclose",
        "__await__",
        "__next__",
        "__aiter__",
        "__del__",
        "__iter__",
    )
    found = getattr(thing, method[world.choose(len(method))], None)
    if found is None:
        return None
    arguments = ((), (None,), (Harm(),), (GeneratorExit(),), (StopIteration(1),), (StopAsyncIteration(2),), (1,))
    answer = found(*arguments[world.choose(len(arguments))])
    if hasattr(answer, "send") and len(world.objects) < 40:
        world.keep(answer)
    return answer


def forget(world):
    if world.objects:
        del world.objects[world.choose(len(world.objects))]


def look(world):
    thing = pick(world)
    for name in dir(thing):
        getattr(thing, name, None)
    return repr(thing)


def change_class(world):
    thing = pick(world)
    thing.__class__ = (Hostile, Lying, type(thing), int)[world.choose(4)]


def clear_frame(world):
    thing = pick(world)
    for name in ("ag_frame", "cr_frame", "gi_frame"):
        frame = getattr(thing, name, None)
        if frame is not None:
            frame.clear()


def steal_body(world):
    body = getattr(pick(world), "_coroutine", None)
    if body is not None:
        world.keep(body)


def set_hooks(world):
    sys.set_asyncgen_hooks(
        *((None, None), (world.objects.append, world.objects.append), (lambda g: world.act(), lambda g: world.act()))[
            world.choose(3)
        ]
    )


ACTIONS = [operate, operate, operate, forget, look, change_class, clear_frame, steal_body, set_hooks, lambda world: gc.collect(0),
           lambda world: start(world), lambda world: raise_something(world)]  # fmt: skip


def raise_something(world):
    raise (
        Harm(),
        GeneratorExit(),
        StopIteration(3),
        StopAsyncIteration(4),
        KeyboardInterrupt(),
        RecursionError(),
        MemoryError(),
    )[world.choose(7)]


def garbage(world, *usual):
    """An answer that a protocol does not allow, or one that it does."""
    every = [*usual, *usual, None, 5, object, world, iter(()), (lambda: (yield 1))(), yield_(1), yield_from_(world)]
    return every[world.choose(len(every))]


class Hostile:
    """Every protocol's method does harm and answers garbage."""

    def __init__(self, world):
        self.world = world

    def __aiter__(self):
        self.world.act()
        return garbage(self.world, self, self)

    def __anext__(self):
        self.world.act()
        return garbage(self.world, self, self)

    def __await__(self):
        self.world.act()
        return garbage(self.world, self, iter((1, 2)))

    def __iter__(self):
        return self

    def __next__(self):
        self.world.act()
        if self.world.choose(3) == 0:
            raise StopIteration(self.world.choose(9))
        return garbage(self.world, 1)

    def send(self, value):
        self.world.act()
        return self.__next__()

    def throw(self, *arguments):
        self.world.act()
        if self.world.choose(2):
            raise arguments[0]
        return garbage(self.world, 2)

    def close(self):
        return self.world.act()

    def asend(self, value):
        return self.__anext__()

    def athrow(self, *arguments):
        self.world.act()
        return garbage(self.world, self)

    def aclose(self):
        self.world.act()
        return garbage(self.world, self)

    def __del__(self):
        self.world.act()
        if self.world.choose(4) == 0:
            raise Harm

    def __eq__(self, other):
        self.world.act()
        return True

    __hash__ = None


class Lying(Hostile):
    """Says that it has methods which it has not, and the other way about."""

    def __getattribute__(self, name):
        world = object.__getattribute__(self, "__dict__").get("world")
        if world is not None and not name.startswith("__") and world.choose(3) == 0:
            world.act()
            raise (AttributeError, Harm)[world.choose(2)](name)
        return object.__getattribute__(self, name)

    __await__ = None
    aclose = 5


# --- bodies that meet them ---


@async_generator
async def by_yield(world, inner):
    while True:
        try:
            world.act()
            yield 1
            await trap()
        except (Harm, RuntimeError):
            if world.choose(3) == 0:
                raise
        finally:
            world.act()
        if world.choose(4) == 0:
            return


@async_generator
async def by_operator(world, inner):
    for _ in range(world.choose(6)):
        try:
            await yield_(world.act())
        finally:
            world.act()
    return inner


@async_generator
async def delegating(world, inner):
    while True:
        try:
            waiting = world.keep(yield_from_(inner))
            await waiting
        except (Harm, RuntimeError, TypeError, GeneratorExit):
            if world.choose(3) == 0:
                raise
        finally:
            world.act()
        if world.choose(2) == 0:
            return
        yield 2


@async_generator
async def delegating_in_helper(world, inner):
    async def helper():
        try:
            return await world.keep(yield_from_(inner))
        except RuntimeError:
            await world.keep(yield_(3))

    await helper()


@async_generator
async def rewritten(world, inner):
    await yield_(await yield_from_(inner))


@async_generator
async def awaiting(world, inner):
    await inner
    yield await inner


async def native(world, inner):
    try:
        async for item in inner:
            yield item
            world.act()
    finally:
        await yield_from_(inner)


BODIES = [by_yield, by_operator, delegating, delegating_in_helper, rewritten, awaiting, native]


def start(world):
    """A new generator of any kind, over anything that is there."""
    if len(world.objects) > 30:
        return None
    inner = (Hostile(world), Lying(world), pick(world), pick(world))[world.choose(4)]
    return world.keep(BODIES[world.choose(len(BODIES))](world, inner))


@pytest.fixture(scope="module", autouse=True)
def quick_collections():
    gc.collect()
    gc.freeze()  # what is there now is not looked at again: a collection then costs what the test made
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def silence(monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", lambda report: None)
    hooks = sys.get_asyncgen_hooks()
    yield
    sys.set_asyncgen_hooks(*hooks)


@fuzz
@given(st.binary(min_size=10, max_size=400))
def test_hostile_awaitables_do_what_python_lets_them(choices):
    world = World(reversed(choices))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(4):
            start(world)
        while world.choices:
            try:
                world.act()
            except (Exception, GeneratorExit, KeyboardInterrupt):
                pass
        sys.set_asyncgen_hooks(None, None)
        kept, world.objects = world.objects, []
        ours = [thing for thing in kept if isinstance(thing, package._engine.async_generator)]
        for generator in ours:  # nobody is inside any more: each answers, to its end
            for operation in (generator.__anext__, generator.aclose):
                try:
                    operation().send(None)
                except (Exception, GeneratorExit, KeyboardInterrupt):
                    pass
            assert generator.ag_state in ("AGEN_CREATED", "AGEN_SUSPENDED", "AGEN_CLOSED")
        kept.clear()
    gc.collect()


# --- single tricks ---


def drive(awaitable, steps=50):
    """Runs an operation as far as it goes; answers what came out."""
    try:
        for _ in range(steps):
            awaitable.send(None)
    except StopIteration as stop:
        return stop.value
    except BaseException as error:
        return error
    return "awaits"


def test_a_delegation_closed_by_hand_above_a_leaf_that_ignores_it():
    """The chain is cut in its middle while the root remembers its leaf."""
    handles = []

    @async_generator
    async def leaf():
        while True:
            try:
                yield "leaf"
            except GeneratorExit:
                if len(handles) < 9:
                    handles.append(None)
                    yield "ignored"
                return

    @async_generator
    async def link(inner):
        handle = yield_from_(inner)
        handles.append(handle)
        await handle
        yield "after"

    for closed in range(3):
        for method, arguments in (
            ("close", ()),
            ("throw", (Harm(),)),
            ("throw", (GeneratorExit(),)),
            ("send", (None,)),
        ):
            handles.clear()
            root = link(link(link(leaf())))
            assert drive(root.__anext__()) == "leaf"
            try:
                getattr(handles[closed], method)(*arguments)
            except (Exception, GeneratorExit):
                pass
            for _ in range(8):
                drive(root.__anext__())
            drive(root.aclose())
            drive(root.aclose())
            del root
            gc.collect()


def test_code_objects_altered_by_hand():
    """A body whose code is exchanged, or whose flags lie, gives an error and not a crash."""

    async def coroutine():
        await yield_(1)

    async def generator():
        yield 1

    def plain():
        return 5

    def iterated():
        yield 1

    flags = [0, 0x20, 0x80, 0x100, 0x200, 0x20 | 0x80]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for function in (coroutine, generator, plain, iterated):
            # Only flags that leave the frame's own layout alone: other lies crash the interpreter without any help.
            for kind in {function.__code__.co_flags & 0x3A0, *(flags if function is plain else ())}:
                altered = types.FunctionType(
                    function.__code__.replace(co_flags=function.__code__.co_flags & ~0x3A0 | kind), globals()
                )
                try:
                    made = async_generator(altered)()
                except TypeError:
                    continue
                drive(made.__anext__())
                drive(made.aclose())

        @async_generator
        async def changing():
            await yield_(1)
            await yield_(2)

        first = changing()
        assert drive(first.__anext__()) == 1
        changing.__wrapped__.__code__ = generator.__code__
        assert drive(first.__anext__()) == 2
        assert drive(changing().__anext__()) == 1
        changing.__code__ = plain.__code__.replace(co_freevars=changing.__code__.co_freevars)
        try:
            drive(changing().__anext__())
        except (TypeError, AttributeError):
            pass  # on 3.11 the code itself runs, and returns what it returns


def test_the_iterator_ends_itself_under_delegation():
    """A foreign iterator that closes, drops and replaces the generator that delegates to it, from inside."""
    roots = []

    class Iterator:
        def __init__(self):
            self.count = 0

        def __aiter__(self):
            return self

        async def __anext__(self):
            self.count += 1
            if self.count == 2:
                for operation in (roots[0].aclose(), roots[0].athrow(Harm()), roots[0].__anext__()):
                    assert isinstance(drive(operation), RuntimeError)
                roots.clear()
                gc.collect()
            if self.count == 3:
                raise StopAsyncIteration(7)
            return self.count

    @async_generator
    async def root():
        await yield_(await yield_from_(Iterator()))

    roots.append(root())
    generator = roots[0]
    assert [drive(generator.__anext__()) for _ in range(3)] == [1, 2, 7]


@pytest.mark.parametrize(
    "name",
    ["async_generator", "async_generator_asend", "async_generator_athrow", "yield_awaitable", "yield_from_awaitable"],
)
def test_objects_of_the_engine_are_not_made_or_changed_by_hand(name):
    generator = by_operator(World([]), None)
    things = [generator, generator.__anext__(), generator.aclose(), yield_(1), yield_from_(generator)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        thing = next(one for one in things if type(one).__name__ == name)
        kind = type(thing)
        with pytest.raises(TypeError):
            kind()
        with pytest.raises(TypeError):
            kind.__new__(kind)
        with pytest.raises(TypeError):
            object.__new__(kind)
        with pytest.raises(TypeError):
            thing.__class__ = type("Other", (), {})
        with pytest.raises(TypeError):
            kind.send = None
        with pytest.raises(TypeError):
            type("Sub", (kind,), {})
        del thing, things
        gc.collect()


def test_another_object_in_place_of_self():
    """Methods taken from the types and called on what they do not belong to."""
    generator = by_operator(World([]), None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for thing in (generator, generator.__anext__(), generator.aclose(), yield_(1), yield_from_(generator)):
            for name in dir(type(thing)):
                attribute = getattr(type(thing), name)
                if isinstance(attribute, (types.MethodDescriptorType, types.WrapperDescriptorType)):
                    if attribute.__objclass__ is object:
                        continue
                    with pytest.raises(TypeError):
                        attribute(5)
                elif isinstance(attribute, types.GetSetDescriptorType) and attribute.__objclass__ is not object:
                    with pytest.raises(TypeError):
                        attribute.__get__(5)
        del thing
        gc.collect()


def test_a_body_that_cannot_be_closed_when_its_generator_is_dropped(monkeypatch):
    """Never begun by the generator, the body runs by another hand: the report of that keeps nothing that is being freed."""
    reports = []
    monkeypatch.setattr(sys, "unraisablehook", lambda report: reports.append((report.exc_type, report.object)))
    cell = []

    @async_generator
    async def body():
        cell.clear()  # the last reference
        await trap()

    generator = body()
    coroutine = generator._coroutine
    cell.append(generator)
    del generator
    assert coroutine.send(None) is None
    assert reports == [(ValueError, coroutine)]
    with pytest.raises(StopIteration):
        coroutine.send(None)
    reports.clear()


# --- code of the user between two halves of a change ---


class Suspends:
    def __await__(self):
        return (yield "suspended")


@async_generator
async def item_and_result():
    await yield_("item")
    return "result"


class Scene:
    """A root that delegates through `depth` generators to a source, whose code calls `meddle` at one point."""

    def __init__(self, point, depth, meddle):
        self.point, self.depth, self.meddle = point, depth, meddle
        self.told, self.generators, self.delegations = [], [], []
        self.root = self.link(0)
        self.operation = self.root.asend(None)

    def act(self, point):
        if point == self.point:
            self.told.append(outcome(self.meddle, self))

    def link(self, level):
        @async_generator
        async def link():
            self.delegations.append(yield_from_(Source(self) if level == self.depth else self.link(level + 1)))
            return await self.delegations[level]

        generator = link()
        self.generators.append(generator)
        return generator

    def hook(self, generator):
        if generator.__name__ == "item_and_result":
            self.act("firstiter")


class Source:
    def __init__(self, scene):
        self.scene = scene

    def __aiter__(self):
        self.scene.act("__aiter__")
        if self.scene.point in ("__anext__", "__await__", "send"):
            return Steps(self.scene)
        return item_and_result()

    def __del__(self):
        self.scene.act("destructor")


class Steps:
    """A foreign iterator of one item, "item", and one result, "result"."""

    def __init__(self, scene):
        self.scene, self.asked = scene, 0

    def __aiter__(self):
        return self

    def __anext__(self):
        self.scene.act("__anext__")
        self.asked += 1
        return self

    def __await__(self):
        self.scene.act("__await__")
        return self

    def __iter__(self):
        return self

    def __next__(self):
        self.scene.act("send")
        raise StopIteration("item") if self.asked == 1 else StopAsyncIteration("result")


def last(things):
    return things[-1]


EXECUTING = ("error", "ValueError", "async generator already executing")
MEDDLINGS = {  # what is done, and what it answers where that is certain
    "close": (lambda scene: last(scene.delegations).close(), EXECUTING),
    "throw": (lambda scene: last(scene.delegations).throw(Harm()), EXECUTING),
    "send": (lambda scene: last(scene.delegations).send(None), ("error", "RuntimeError", "cannot reuse already awaited yield_from_()")),
    "close above": (lambda scene: scene.delegations[0].close(), EXECUTING),
    "throw above": (lambda scene: scene.delegations[0].throw(Harm()), EXECUTING),
    "operation's close": (lambda scene: scene.operation.close(), EXECUTING),
    "operation's throw": (lambda scene: scene.operation.throw(Harm()), EXECUTING),
    "operation's send": (lambda scene: scene.operation.send(None), EXECUTING),
    "operation's destructor": (lambda scene: scene.operation.__del__(), ("awaits", None)),
    "another operation": (lambda scene: scene.root.asend(None).send(None), None),
    "another operation below": (lambda scene: last(scene.generators).aclose().send(None), None),
    "athrow below": (lambda scene: last(scene.generators).athrow(Harm()).send(None), None),
    "destructor": (lambda scene: scene.root.__del__(), EXECUTING),
    "destructor below": (lambda scene: last(scene.generators).__del__(), None),
    "delegation to the root": (lambda scene: drive(delegates(scene.root).asend(None)), None),
    "delegation to the last": (lambda scene: drive(delegates(last(scene.generators)).asend(None)), None),
    "delegation handed on": (lambda scene: drive(hands(last(scene.delegations)).asend(None)), None),
    "collection": (lambda scene: gc.collect() and None, ("awaits", None)),
    "dropped": (lambda scene: scene.generators.clear() or scene.delegations.clear(), ("awaits", None)),
}  # fmt: skip


@async_generator
async def delegates(source):
    return await yield_from_(source)


@async_generator
async def hands(thing):
    class Hands:
        def __await__(self):
            return (yield thing)

    return await Hands()


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("point", ["__aiter__", "firstiter", "destructor", "__anext__", "__await__", "send"])
@pytest.mark.parametrize("meddling", MEDDLINGS)
def test_meddling_while_a_delegation_begins_or_goes_on(meddling, point, depth):
    """Nobody but the driver changes what it goes through, and what comes out is what would without."""
    meddle, answer = MEDDLINGS[meddling]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scene = Scene(point, depth, meddle)
        sys.set_asyncgen_hooks(scene.hook, None)
        operation = scene.operation
        assert drive(operation) == "item"
        assert scene.told and (answer is None or scene.told[0] == answer), scene.told
        kept = scene.root, scene.delegations
        end = drive(scene.root.asend(None))
        assert isinstance(end, StopAsyncIteration) and end.args == ("result",), end
        del kept, operation, scene
        gc.collect()


@pytest.mark.parametrize("operation", ["send", "throw", "close"])
@pytest.mark.parametrize("how", ["close", "throw"])
@pytest.mark.parametrize("by", ["delegation", "body"])
def test_a_link_cut_by_hand_while_an_operation_waits(by, how, operation):
    """The body above the cut is the operation's leaf from then on: nobody else drives it, and what is below is free."""
    told, delegations, bodies = [], [], []

    @async_generator
    async def leaf():
        try:
            await Suspends()
        finally:
            told.append("leaf ended")

    @async_generator
    async def middle():
        delegations.append(yield_from_(leaf()))
        try:
            await delegations[0]
        except BaseException as error:
            told.append(type(error).__name__)
        # Driven by itself, it would have the root's operation come upon it.
        operations = root.asend(None), waiting
        told.extend(outcome(one.send, None)[:2] for one in operations)
        return await yield_from_(item_and_result())

    @async_generator
    async def top():
        bodies.append(middle())
        return await yield_from_(bodies[0])

    root = top()
    waiting = root.asend(None)
    assert waiting.send(None) == "suspended"
    cut = delegations[0] if by == "delegation" else bodies[0]._coroutine
    outcome(getattr(cut, how), *((Harm(),) if how == "throw" else ()))
    del cut
    if by == "delegation":  # otherwise the body has gone on by now, and sent into the operation
        assert root.ag_running and bodies[0].ag_running
        assert isinstance(drive(bodies[0].asend(None)), RuntimeError)
    outcome(getattr(waiting, operation), *{"send": (None,), "throw": (Harm(),), "close": ()}[operation])
    for generator in (root, bodies[0]):
        drive(generator.aclose())
        drive(generator.aclose())
    assert not any(generator.ag_running for generator in (root, bodies[0]))
    delegations.clear()
    gc.collect()
    assert "leaf ended" in told


def test_an_operation_whose_generator_was_closed_by_hand_meanwhile(recwarn):
    """It does not come upon what another operation does with the leaf since."""
    told = []

    @async_generator
    async def stubborn():
        while True:
            try:
                await Suspends()
            except GeneratorExit:
                pass

    @async_generator
    async def inner():
        told.append(outcome(waiting.send, None))
        await yield_("inner")

    @async_generator
    async def leaf():
        try:
            await Suspends()
        except GeneratorExit:
            await Suspends()
        await yield_from_(inner())

    kept = [leaf()]

    @async_generator
    async def top():
        await yield_from_(kept[0])

    root = top()
    waiting = root.asend(None)
    assert waiting.send(None) == "suspended"
    assert isinstance(outcome(root.__del__), tuple)
    drive(kept[0].asend(None))
    drive(waiting)
    for generator in (root, kept[0]):
        drive(generator.aclose())
        drive(generator.aclose())
        assert not generator.ag_running
    assert all(one[0] in ("error", "awaits", "done") for one in told)


@pytest.mark.parametrize("then", ["delegates to the root", "waits", "another operation", "returns"])
def test_a_body_that_drops_the_operation_whose_generator_is_collected(then):
    """The collector closes the generator, whose body drops the operation that waits in it: that is not closed a second time."""
    told = []

    @async_generator
    async def leaf(box):
        try:
            await Suspends()
        finally:
            del box["awaitable"]
            if then == "delegates to the root":
                try:
                    await yield_from_(box["root"])
                except (RuntimeError, ValueError) as error:
                    told.append(str(error))
            elif then == "waits":
                told.append("waits")
                await Suspends()
            elif then == "another operation":
                told.append(outcome(box["root"].asend(None).send, None)[2])
            else:
                told.append("returns")

    @async_generator
    async def root(box):
        await yield_from_(leaf(box))

    gc.collect()
    box = {}
    box["root"] = root(box)
    gc.collect()
    box["awaitable"] = box["root"].asend(None)
    assert box["awaitable"].send(None) == "suspended"
    box["self"] = box
    del box
    gc.collect()
    already = "anext(): asynchronous generator is already running"
    assert (
        told
        == {
            "delegates to the root": [already],
            "waits": ["waits"],
            "another operation": [already],
            "returns": ["returns"],
        }[then]
    )


def test_an_exception_whose_constructor_awaits_the_operation_that_throws_it():
    generator = by_operator(World([]), None)
    told = []

    class Constructed(Exception):
        def __init__(self):
            if not told:
                told.append(None)
                told.append(outcome(operation.send, None))

    operation = generator.athrow(Constructed)
    assert outcome(operation.send, None) == ("error", "RuntimeError", "cannot reuse already awaited aclose()/athrow()")
    assert told[1][:2] == ("error", "Constructed")


def test_an_exception_that_lies_about_its_arguments():
    class Lies(RuntimeError):
        args = 5

    @async_generator
    async def body():
        raise Lies from StopIteration()

    assert isinstance(drive(body().asend(None)), Lies)


# --- what a call of a decorated function uses ---


@pytest.mark.parametrize("fresh", [False, True])
def test_a_call_that_replaces_what_its_function_was_made_of(fresh):
    """The cell that holds how it is made, its code, its defaults: whichever part the call itself replaces."""

    async def body():
        await yield_(1)

    @async_generator
    def made():
        made.__closure__[-1].cell_contents = None
        gc.collect()
        made.junk = [bytearray(100 + i % 100) for i in range(1000)]
        return body()

    if not fresh:
        cell = made.__closure__[-1].cell_contents
        drive(made().asend(None))
        made.__closure__[-1].cell_contents = cell
    assert drive(made().asend(None)) == 1
    lost = (
        (TypeError, "not callable")
        if sys.version_info[:2] == (3, 11)
        else (RuntimeError, "has lost what @async_generator put into")
    )
    with pytest.raises(lost[0], match=lost[1]):
        made()

    def again():
        if len(calls) < 3:
            calls.append(None)
            other.__wrapped__.__code__ = other.__wrapped__.__code__.replace(co_name=f"again{len(calls)}")
            other()
            gc.collect()
        return body()

    calls = []
    other = async_generator(again)
    for _ in range(3):
        assert drive(other().asend(None)) == 1
    assert len(calls) == 3


@pytest.mark.parametrize("kind", ["positional", "by keyword"])
@pytest.mark.parametrize("calls", [False, True])
def test_a_default_whose_end_gives_the_function_other_code(kind, calls):
    async def original(a=None, *, b=None):
        await yield_((a, b))

    async def other(a=None, *, b=None):
        await yield_("other")

    class Meddles:
        def __del__(self):
            original.__code__ = other.__code__
            if calls:
                told.append(drive(decorated().asend(None)))

    told = []
    decorated = async_generator(original)
    if kind == "positional":
        original.__defaults__ = (Meddles(),)
    else:
        original.__kwdefaults__ = {"b": Meddles()}
    decorated()
    original.__defaults__, original.__kwdefaults__ = (1,), {"b": 2}
    gc.collect()
    assert drive(decorated().asend(None)) in ((1, 2), "other")
    assert drive(decorated().asend(None)) == "other"
    assert told == (["other"] if calls else [])


@pytest.mark.parametrize("where", ["here", "in a thread"])
@pytest.mark.parametrize("how", ["dropped", "closed", "thrown into", "sent into"])
def test_a_box_taken_by_hand_whose_yield_ends_elsewhere(how, where):
    async def helper(item):
        return await yield_(item)

    @async_generator
    async def body():
        helpers = [helper("item")]
        box = helpers[0].send(None)
        end = {
            "dropped": helpers.clear,
            "closed": helpers[0].close,
            "thrown into": lambda: outcome(helpers[0].throw, Harm()),
            "sent into": lambda: outcome(helpers[0].send, None),
        }[how]
        if where == "here":
            end()
        else:
            thread = threading.Thread(target=end)
            thread.start()
            thread.join()
        del end

        class Hands:
            def __await__(self):
                return (yield box)

        await Hands()

    for _ in range(3):
        generator = body()
        assert drive(generator.asend(None)) == "item"
        assert isinstance(drive(generator.asend(None)), StopAsyncIteration)
        one, two = yield_(1), yield_(2)
        assert one is not two
        one.close(), two.close()


@pytest.mark.parametrize("how", ["send", "throw", "close"])
def test_an_operation_that_goes_on_while_its_body_is_closed_by_hand(how):
    """The body executes, though no driver knows: CPython 3.10 and 3.11 crash where such a coroutine is thrown into."""
    told = []

    class Awaited:
        def __await__(self):
            return self

        def __iter__(self):
            return self

        def __next__(self):
            return "suspended"

        def throw(self, *arguments):
            raise arguments[0]

        def close(self):
            pass

        def __del__(self):
            told.append(outcome(getattr(waiting, how), *{"send": (None,), "throw": (Harm(),), "close": ()}[how]))

    async def inner():
        try:
            await Awaited()
        except (Harm, GeneratorExit):
            pass

    @async_generator
    async def outer():
        await inner()
        await yield_("item")

    generator = outer()
    waiting = generator.asend(None)
    assert waiting.send(None) == "suspended"
    outcome(generator._coroutine.close)
    assert told == [("error", "ValueError", "coroutine already executing")]
