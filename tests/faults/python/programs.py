"""Programs that use generators in every way, for tests in which something fails on the way (memory, an interrupt).

A program gets a Trial and keeps the generators that it makes there; afterwards probe() says of each whether it is closed or
goes on, or what is wrong with it.
"""

import _imp
import contextvars
import gc
import sys

from async_generator import AlreadyRunning, _engine, aclosing, async_generator, structured, yield_, yield_from_
from counting import by_operator, in_helper, numbers, passing_on, passing_on_in_helper
from driving import trap

PROGRAMS = {}


def program(function):
    PROGRAMS[function.__name__] = function
    return function


class Trial:
    """One run of a program."""

    def __init__(self):
        self.generators = []

    def keep(self, generator):
        self.generators.append(generator)
        return generator

    def run(self, awaitable):
        """Awaits `awaitable` as a coroutine would: an exception on the way leaves it closed."""
        try:
            while True:
                try:
                    awaitable.send(None)
                except StopIteration as stop:
                    return stop.value
        finally:
            awaitable.close()


# --- the bodies ---


@async_generator
async def careful(count):
    number = 0
    try:
        while number < count:
            try:
                await trap()
                yield number
                number += 1
            except KeyError:
                pass
    finally:
        await trap()


@async_generator
async def passing_careful(count):
    await yield_from_(careful(count))


# Something for contexts to hold. (A set that finds no memory for the thread's first context crashes CPython 3.13.)
contextvars.ContextVar("VARIABLE").set(1)


async def foreign(count):
    for number in range(count):
        yield number


ENVIRONMENTS = [
    async_generator(structured=True)(careful.__wrapped__),
    async_generator(context="own")(careful.__wrapped__),
    structured(passing_careful),
]
LAYERED = [async_generator(context="layered")(careful.__wrapped__)]


class Plain:
    """An iterator without asend, athrow or aclose."""

    def __init__(self, count):
        self.numbers = iter(range(count))

    def __aiter__(self):
        return self

    async def __anext__(self):
        for number in self.numbers:
            return number
        raise StopAsyncIteration


# --- the programs ---
#
# No function is made inside a program: CPython 3.13.0 itself does not survive a function object that it cannot allocate.


async def collect(generator):
    return [item async for item in generator]


async def take_two(generator):
    async with aclosing(generator) as items:
        async for item in items:
            if item == 2:
                break


def swallow(run, awaitable):
    """Awaits what may raise the exception that the program threw, or that a plain iterator has no asend."""
    try:
        run(awaitable)
    except (KeyError, AttributeError):
        pass


KINDS = (numbers, by_operator, in_helper, careful)


@program
def create(trial):
    for kind in KINDS:
        trial.keep(kind(5))


@program
def anext_(trial):
    for kind in KINDS:
        generator = trial.keep(kind(5))
        for _ in range(3):
            trial.run(generator.__anext__())


@program
def to_the_end(trial):
    for kind in KINDS:
        trial.run(collect(trial.keep(kind(5))))


@program
def asend(trial):
    for kind in KINDS:
        generator = trial.keep(kind(5))
        for value in (None, "x", None, "y"):
            trial.run(generator.asend(value))


@program
def athrow(trial):
    for kind in KINDS:
        generator = trial.keep(kind(5))
        trial.run(generator.__anext__())
        swallow(trial.run, generator.athrow(KeyError("thrown")))


@program
def athrow_at_the_start(trial):
    for kind in KINDS:
        swallow(trial.run, trial.keep(kind(5)).athrow(KeyError))


@program
def aclose(trial):
    for kind in KINDS:
        generator = trial.keep(kind(5))
        trial.run(generator.__anext__())
        trial.run(generator.aclose())


@program
def aclosing_(trial):
    for kind in KINDS:
        trial.run(take_two(trial.keep(kind(5))))


def chain(trial, link, leaf):
    inner = trial.keep(leaf(4))
    for _ in range(3):
        inner = trial.keep(link(inner))
    return inner


def chains(trial):
    for link in (passing_on, passing_on_in_helper):
        for leaf in (numbers, by_operator, careful):
            yield chain(trial, link, leaf)
    for source in (foreign(4), Plain(4)):
        yield trial.keep(passing_on(trial.keep(passing_on(source))))


@program
def chain_anext(trial):
    for root in chains(trial):
        for _ in range(2):
            trial.run(root.__anext__())


@program
def chain_to_the_end(trial):
    for root in chains(trial):
        trial.run(collect(root))


@program
def chain_asend(trial):
    for root in chains(trial):
        trial.run(root.__anext__())
        swallow(trial.run, root.asend("sent"))


@program
def chain_athrow(trial):
    for root in chains(trial):
        trial.run(root.__anext__())
        swallow(trial.run, root.athrow(KeyError("thrown")))


@program
def chain_aclose(trial):
    for root in chains(trial):
        trial.run(root.__anext__())
        trial.run(root.aclose())


@program
def chain_consumed_from_within(trial):
    """The leaf is used by itself, then a chain that was already begun is delegated to."""
    leaf = trial.keep(numbers(6))
    inner = trial.keep(passing_on(leaf))
    trial.run(inner.__anext__())
    trial.run(leaf.__anext__())
    root = trial.keep(passing_on(inner))
    trial.run(root.__anext__())
    trial.run(inner.aclose())


@program
def chain_dropped(trial):
    """The trial keeps nothing: the whole chain is finalized."""
    for leaf in (numbers, by_operator):
        root = passing_on(passing_on(leaf(3)))
        trial.run(root.__anext__())
        del root


@program
def hooks(trial):
    dropped = []
    before = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(id, dropped.append)
    try:
        for kind in (numbers, by_operator, careful):
            generator = kind(3)
            trial.run(generator.__anext__())
            del generator
            while dropped:
                trial.run(dropped.pop().aclose())
    finally:
        sys.set_asyncgen_hooks(*before)
        dropped.clear()


@structured
async def dropping(count):
    async for _ in careful(count):
        async for _ in foreign(count):
            break
        break
    await trap()


@program
def structured_coroutine(trial):
    trial.run(dropping(3))
    waiting = dropping(3)
    waiting.send(None)  # waits in careful()
    waiting.send(
        None
    )  # waits in the cleanup of careful(), which was dropped: a close() before that is ignored by careful()
    waiting.close()
    dropping(3).close()


@program
def environments(trial):
    use_environments(trial, ENVIRONMENTS)


@program
def layered_context(trial):
    use_environments(trial, LAYERED)


def use_environments(trial, kinds):
    for kind in kinds:
        generator = trial.keep(kind(3))
        trial.run(generator.__anext__())
        swallow(trial.run, generator.athrow(KeyError("thrown")))
        trial.run(generator.__anext__())
        trial.run(generator.aclose())
        del generator
        trial.run(kind(3).__anext__())


@program
def finalization(trial):
    for kind in (numbers, by_operator, in_helper):
        generator = kind(3)
        trial.run(generator.__anext__())
        del generator
        cell = [kind(3)]
        cell.append(cell)
        trial.run(cell[0].__anext__())
        del cell
        gc.collect()


@program
def decorate(trial):
    """Decoration, preparation at the first call, rewriting; anew each time, as the code object is new."""
    for source in (numbers, by_operator, in_helper, passing_on):
        original = source.__wrapped__
        made = async_generator(type(original)(original.__code__.replace(), original.__globals__))
        generator = trial.keep(made(numbers(2) if source is passing_on else 2))
        trial.run(generator.__anext__())
        trial.run(generator.aclose())


@program
def import_the_engine(trial):
    """A second copy of the extension module, as another interpreter would make it."""
    spec = _engine.__spec__
    _imp.exec_dynamic(_imp.create_dynamic(spec))


@program
def attributes(trial):
    generator = trial.keep(numbers(3))
    trial.run(generator.__anext__())
    (
        repr(generator),
        generator.__name__,
        generator.ag_state,
        generator.ag_frame,
        generator.ag_await,
        generator.ag_running,
    )
    generator.__name__ = "other"
    generator.attribute = 5
    generator.__sizeof__()


@program
def misuse(trial):
    generator = trial.keep(numbers(3))
    for call, arguments in (
        (numbers, ()),
        (generator.asend, ()),
        (generator.athrow, ()),
        (yield_, (1, 2)),
        (async_generator, (5,)),
    ):
        try:
            call(*arguments)
        except TypeError:
            pass
    root = trial.keep(passing_on(5))
    try:
        trial.run(root.__anext__())
    except TypeError:
        pass
    awaitable = generator.__anext__()
    trial.run(awaitable)
    try:
        awaitable.send(None)
    except RuntimeError:
        pass


# --- afterwards ---


def chain_of(error):
    """An exception and what it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def probe(generator):
    """A generator that saw a failure is closed or goes on. Answers what is wrong, or None."""
    if generator.ag_running:
        return "still running"
    last = -1
    for _ in range(50):
        try:
            item = Trial().run(generator.__anext__())
        except StopAsyncIteration:
            break
        except AlreadyRunning:
            return "already running"
        except (
            BaseException
        ) as error:  # that of the body, which was cleaning up or delegates to what is no async iterable
            if generator.ag_state != "AGEN_CLOSED":
                return f"not closed by {error!r}"
            continue
        if item is not None and item <= last:
            return f"item {item} after {last}"
        last = last if item is None else item
    else:
        return "no end"
    try:
        Trial().run(generator.aclose())
    except BaseException as error:
        return f"aclose after the end: {error!r}"
    return "not closed" if generator.ag_state != "AGEN_CLOSED" else None
