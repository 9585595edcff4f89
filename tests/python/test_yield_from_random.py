"""Delegation: random trees of delegating generators under random operations, compared with PEP 828 written out.

A program is a tree of bodies, each a list of instructions. It is run twice: with the package, each body in a kind drawn
at random (decorated or not, either syntax, with helper coroutines), and as the reference, which needs the interpreter
alone. Both runs get the same operations; what the bodies saw and what the operations answered must be equal.
"""

import contextlib
import gc
import sys
from dataclasses import dataclass

import pytest
from async_generator import yield_, yield_from_
from driving import trap
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from yield_from_reference import KINDS, reference


class First(Exception):
    pass


class Second(Exception):
    pass


# StopIteration is not among them: at an `await yield_()` the interpreter makes a RuntimeError of it.
ERRORS = {
    error.__name__: error for error in (First, Second, GeneratorExit, StopAsyncIteration, BaseException, AttributeError)
}


@dataclass(frozen=True)
class Body:
    """The instructions of one generator, and the kind it gets in the package's run."""

    kind: str
    steps: tuple


class Plain:
    """A delegate that is no generator: items, then an end with a value. Some can be sent to, thrown into, closed."""

    def __init__(self, run, stop):
        self.run = run
        self.numbers = iter(range(stop))
        self.stop = stop

    def __aiter__(self):
        return self

    async def __anext__(self):
        for number in self.numbers:
            return ("plain", number)
        raise StopAsyncIteration(("plain end", self.stop))


class Operating(Plain):
    async def asend(self, value):
        self.run.saw("asend", value)
        return ("asend", value)

    async def athrow(self, error):
        self.run.saw("athrow", named(error))
        if isinstance(error, First):
            raise StopAsyncIteration("caught First")
        if isinstance(error, Second):
            return "caught Second"
        raise error

    async def aclose(self):
        self.run.saw("aclose", await trap("closing"))
        if self.stop == 3:
            raise Second("from aclose")


def named(error):
    """An exception as data.

    What a body sees as the handled exception, and the contexts of exceptions, are pinned case by case in
    test_yield_from_pep828.py. They are not compared here: when an exception is thrown through a frame that waits in an
    `except` block, the interpreter's own throw() treats both differently from an expansion that goes on in that frame.
    """
    chain = []
    if error is not None:
        # The package's "already running" is a ValueError too.
        kind = "RuntimeError" if isinstance(error, RuntimeError) else type(error).__name__
        text = error.args if type(error) in ERRORS.values() or kind == "RuntimeError" else ()
        # A missing method of a plain delegate: the interpreter words it.
        chain.append((kind, *(str(argument) for argument in text if "has no attribute" not in str(argument))))
    return tuple(chain)


class Run:
    """One execution of a program: makes its generators and keeps the transcript."""

    def __init__(self, makers, program):
        self.makers = makers
        self.log = []
        self.count = 0
        self.made = []
        self.shared = []
        root, *shared = program
        self.root = self.generator(root)
        self.shared += [self.generator(body) for body in shared]

    def generator(self, body):
        self.count += 1
        generator = self.makers[body.kind](self, body, self.count)
        self.made.append(generator)
        return generator

    def saw(self, *what):
        assert len(self.log) < 5000, "the program does not end"
        self.log.append(what)


async def interpreter(run, body, number):
    # One function for all programs; every kind compiles it in its own way. What stands under a handler is a generator
    # too, since a body can run further instructions only by delegating.
    for name, argument in body.steps:
        run.saw(number, name)
        if name == "yield":
            got = await yield_((number, argument))
            run.saw(number, "got", got)
        elif name == "try yield":
            try:
                got = await yield_((number, argument))
                run.saw(number, "got", got)
            except ERRORS[argument] as error:
                run.saw(number, "caught", named(error))
        elif name == "trap":
            got = await trap((number, argument))
            run.saw(number, "answered", got)
        elif name == "try trap":
            try:
                got = await trap((number, argument))
            except ERRORS[argument] as error:
                run.saw(number, "caught", named(error))
                got = await yield_((number, argument))
            run.saw(number, "got", got)
        elif name == "raise":
            raise ERRORS[argument](number)
        elif name == "return":
            return (number, argument)
        elif name == "plain":
            result = await yield_from_(Plain(run, argument))
            run.saw(number, "result", result)
        elif name == "operating":
            result = await yield_from_(Operating(run, argument))
            run.saw(number, "result", result)
        elif name == "not iterable":
            try:
                await yield_from_(argument)
            except TypeError as error:
                run.saw(number, "refused", str(error).partition(":")[0])
        elif name == "delegate":
            result = await yield_from_(run.generator(argument))
            run.saw(number, "result", result)
        elif name == "shared":
            if argument < len(run.shared):
                result = await yield_from_(run.shared[argument])
                run.saw(number, "result", result)
        elif name == "root":
            result = await yield_from_(run.root)
            run.saw(number, "result", result)
        elif name == "advance":
            if argument < len(run.shared):
                try:
                    item = await run.shared[argument].__anext__()
                except StopAsyncIteration:
                    item = "over"
                run.saw(number, "advanced", item)
        elif name == "handling":
            try:
                raise LookupError("handled")
            except LookupError:
                await yield_from_(run.generator(argument[0]))
            await yield_from_(run.generator(argument[1]))
        elif name == "finally":
            try:
                await yield_from_(run.generator(argument[0]))
            finally:
                await yield_from_(run.generator(argument[1]))
        else:
            try:
                await yield_from_(run.generator(argument[0]))
            except ERRORS[name] as error:
                run.saw(number, "caught", named(error))
                await yield_from_(run.generator(argument[1]))
    run.saw(number, "ends")


PACKAGE_KINDS = [
    "coroutine",
    "coroutine_helper",
    "coroutine_alias",
    "syntax",
    "native",
    "native_calls",
    "native_helper",
]
PACKAGE = {kind: KINDS[kind].make(interpreter) for kind in PACKAGE_KINDS}
# What native syntax cannot return, the reference does not return there either.
REFERENCE = {kind: reference(interpreter, "box" if KINDS[kind].returns else "mute") for kind in PACKAGE_KINDS}


def answer(operation):
    """What an operation's step answered, as data."""
    try:
        return ("awaits", operation())
    except StopIteration as stop:
        return ("item", stop.value)
    except StopAsyncIteration as stop:
        return ("end", stop.args[0] if stop.args else None, named(stop.__context__))
    except BaseException as error:
        return ("raised", named(error))


def perform(run, operations, awaiting):
    """Gives the operations to the root of a run, one after the other; returns the whole transcript."""
    started = False
    for name, argument, at_trap in [*operations, ("aclose", None, None)]:
        generator = run.root
        if name == "shared":
            if argument >= len(run.shared):
                continue
            generator, name, argument = run.shared[argument], "anext", None
        elif not started:
            # What athrow does to a generator that was never started differs between interpreters.
            name, argument = "anext", None
            started = True
        operation = {
            "anext": lambda: generator.__anext__(),
            "asend": lambda: generator.asend(argument),
            "athrow": lambda: generator.athrow(ERRORS[argument]("thrown")),
            "aclose": lambda: generator.aclose(),
        }[name]()
        run.saw("operation", name)
        step = (awaited(operation) if awaiting else operation).__await__()
        result = answer(lambda: step.send(None))
        number = 0
        while result[0] == "awaits":
            run.saw(*result)
            number += 1
            assert number < 1000
            if at_trap is not None and number == 1:
                result = answer(lambda: step.throw(ERRORS[at_trap]("at a trap")))
            else:
                result = answer(lambda: step.send(number))
        run.saw(*result)
        if result[0] == "raised" and "ignored GeneratorExit" in str(result[1][0]):
            # What a generator does afterwards differs between interpreters.
            break
    return run.log


def interleave(run, operations, awaiting):
    """Gives operations to any generators of the tree, several at once: each is left at its first trap and resumed later."""
    pending = []

    def advance(number, step):
        result = answer(lambda: step.send(None))
        run.saw(number, *result)
        if result[0] == "awaits":
            pending.append((number, step))

    advance(0, (awaited(run.root.__anext__()) if awaiting else run.root.__anext__()).__await__())
    for number, (name, target, choice) in enumerate(operations, 1):
        if name == "resume":
            if pending:
                advance(*pending.pop(choice % len(pending)))
            continue
        generator = run.made[target % len(run.made)]
        operation = generator.aclose() if name == "aclose" else generator.__anext__()
        advance(number, (awaited(operation) if awaiting else operation).__await__())
    for _ in range(500):
        if not pending:
            break
        advance(*pending.pop(0))
    for _, step in pending:
        step.close()
    return run.log


async def awaited(awaitable):
    return await awaitable


def transcript(makers, program, operations, awaiting, how=perform):
    run = Run(makers, program)
    try:
        return list(how(run, operations, awaiting))
    finally:
        run.shared.clear()
        run.made.clear()
        with bodies_may_ignore_generator_exit():
            del run.root
            gc.collect(0)


@contextlib.contextmanager
def bodies_may_ignore_generator_exit():
    """Dropped bodies that yield, await or raise are reported, rightly, whenever the collector gets at them, and so is a
    yield_from_() that one was cut off before; any other kind of report is a failure."""
    before = sys.unraisablehook

    def report(unraisable):
        error = unraisable.exc_value
        if (
            not isinstance(error, (RuntimeError, RuntimeWarning, StopAsyncIteration))
            and type(error) not in ERRORS.values()
        ):
            before(unraisable)

    sys.unraisablehook = report
    try:
        yield
    finally:
        sys.unraisablehook = before


@pytest.fixture(autouse=True)
def what_cycles_kept_is_dropped_too(unraisable):
    getattr(gc, "freeze", gc.collect)()
    with bodies_may_ignore_generator_exit():
        yield
        gc.collect()


# --- the programs ---

errors = st.sampled_from(sorted(ERRORS))
numbers = st.integers(0, 4)
kinds = st.sampled_from(PACKAGE_KINDS)

plain_steps = st.one_of(
    st.tuples(st.just("yield"), numbers),
    st.tuples(st.just("yield"), numbers),
    st.tuples(st.just("try yield"), errors),
    st.tuples(st.just("trap"), numbers),
    st.tuples(st.just("try trap"), st.sampled_from(["First", "Second", "BaseException"])),
    st.tuples(st.just("raise"), errors),
    st.tuples(st.just("return"), numbers),
    st.tuples(st.just("plain"), numbers),
    st.tuples(st.just("operating"), numbers),
    st.tuples(st.just("not iterable"), st.sampled_from([5, None, (1, 2)])),
    st.tuples(st.just("shared"), st.integers(0, 1)),
    st.tuples(st.just("advance"), st.integers(0, 1)),
    st.tuples(st.just("root"), st.none()),
)


handlers = st.sampled_from([*sorted(ERRORS), "handling", "finally"])


@st.composite
def trees(draw, depth):
    """A body; down to `depth` its instructions may delegate to further bodies."""
    steps = []
    for _ in range(draw(st.integers(0, 4))):
        what = draw(st.integers(0, 3)) if depth else 0
        if what <= 1:
            steps.append(draw(plain_steps))
        elif what == 2:
            steps.append(("delegate", draw(trees(depth - 1))))
        else:
            steps.append((draw(handlers), (draw(trees(depth - 1)), draw(trees(0)))))
    return Body(draw(kinds), tuple(steps))


programs = st.tuples(trees(3), trees(0), trees(0))
at_traps = st.one_of(st.none(), st.none(), st.sampled_from(["First", "Second", "BaseException"]))
operations = st.lists(
    st.one_of(
        st.tuples(st.just("anext"), st.none(), at_traps),
        st.tuples(st.just("anext"), st.none(), st.none()),
        st.tuples(st.just("asend"), st.one_of(st.none(), numbers), at_traps),
        st.tuples(st.just("athrow"), errors, at_traps),
        st.tuples(st.just("aclose"), st.none(), st.none()),
        st.tuples(st.just("shared"), st.integers(0, 1), st.none()),
    ),
    min_size=1,
    max_size=10,
)

EMPTY = Body("coroutine", ())
LEAF = Body("coroutine", (("yield", 1), ("try yield", "First"), ("return", 2)))


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(program=programs, operations=operations, awaiting=st.booleans())
@example(
    program=(Body("coroutine", (("delegate", LEAF), ("yield", 3))), EMPTY, EMPTY),
    operations=[("anext", None, None), ("asend", 4, None), ("athrow", "First", None), ("anext", None, None)],
    awaiting=True,
)
@example(
    program=(Body("native", (("handling", (LEAF, EMPTY)), ("shared", 0))), LEAF, EMPTY),
    operations=[("anext", None, None)] * 6,
    awaiting=False,
)
def test_package_and_reference_give_the_same_transcript(program, operations, awaiting):
    expected = transcript(REFERENCE, program, operations, awaiting)
    assert transcript(PACKAGE, program, operations, awaiting) == expected


interleaved = st.lists(
    st.tuples(st.sampled_from(["anext", "anext", "aclose", "resume", "resume"]), st.integers(0, 5), st.integers(0, 3)),
    min_size=1,
    max_size=14,
)


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(program=programs, operations=interleaved, awaiting=st.booleans())
def test_operations_on_all_members_at_once_give_the_same_transcript(program, operations, awaiting):
    expected = transcript(REFERENCE, program, operations, awaiting, interleave)
    assert transcript(PACKAGE, program, operations, awaiting, interleave) == expected


@st.composite
def chains(draw):
    """A chain of generators, each of which may trap before it delegates and in its cleanup, over one that yields."""
    trap_first = (("trap", 0),)
    body = Body(draw(kinds), draw(st.sampled_from([(("yield", 1), ("trap", 1), ("yield", 2)), (("yield", 1),)])))
    for _ in range(draw(st.integers(1, 4))):
        before = trap_first if draw(st.integers(0, 3)) == 0 else ()
        if draw(st.booleans()):
            body = Body(draw(kinds), (*before, ("finally", (body, Body(draw(kinds), trap_first)))))
        else:
            body = Body(draw(kinds), (*before, ("delegate", body)))
    return (body, EMPTY, EMPTY)


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    program=chains(),
    operations=st.lists(
        st.tuples(
            st.sampled_from(["anext", "aclose", "aclose", "aclose", "resume", "resume"]),
            st.integers(0, 7),
            st.integers(0, 3),
        ),
        min_size=2,
        max_size=14,
    ),
    awaiting=st.booleans(),
)
def test_members_of_a_chain_closed_and_advanced_at_once_give_the_same_transcript(program, operations, awaiting):
    expected = transcript(REFERENCE, program, operations, awaiting, interleave)
    assert transcript(PACKAGE, program, operations, awaiting, interleave) == expected


def test_the_comparison_sees_a_difference():
    # The reference against itself with other bodies: the transcript must tell them apart.
    operations = [("anext", None, None), ("asend", 1, None)]
    first = transcript(REFERENCE, (LEAF, EMPTY, EMPTY), operations, True)
    second = transcript(REFERENCE, (Body("coroutine", LEAF.steps[:1]), EMPTY, EMPTY), operations, True)
    assert first != second
    assert ("item", (1, 1)) in first and first == transcript(REFERENCE, (LEAF, EMPTY, EMPTY), operations, True)
