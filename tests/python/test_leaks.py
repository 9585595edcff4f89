"""Nothing is left behind: each scenario leaves as many blocks, and references to its objects, as it found."""

import gc
import sys

import pytest
from builds import counts_code, settled_blocks
from driving import Hold, collect, finished, outcome, run, suspend, trap

SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__.replace("_", " ")] = function
    return function


def steps(implementation):
    @implementation
    async def body(item):
        try:
            while True:
                try:
                    await trap()
                    item = yield item
                except KeyError as error:
                    yield error
        finally:
            await trap()

    return body


@scenario
def iterate_to_the_end(body, item):
    @body.implementation
    async def numbers():
        for _ in range(10):
            yield item

    collect(numbers())


@scenario
def create_and_drop(body, item):
    body(item)


@scenario
def begin_and_drop(body, item):
    @body.implementation
    async def simple():
        yield item

    run(simple().__anext__())


@scenario
def send_and_close(body, item):
    generator = body(item)
    run(generator.__anext__())
    for _ in range(5):
        run(generator.asend(item))
    run(generator.aclose())


@scenario
def throw_and_close(body, item):
    generator = body(item)
    run(generator.__anext__())
    for _ in range(5):
        run(generator.athrow(KeyError(item)))
        run(generator.__anext__())
    run(generator.aclose())


@scenario
def throw_and_fail(body, item):
    generator = body(item)
    run(generator.__anext__())
    outcome(run, generator.athrow(ArithmeticError(item)))
    finished(generator)


@scenario
def throw_old_arguments(body, item):
    generator = body(item)
    run(generator.__anext__())
    run(generator.athrow(KeyError, KeyError(item), None))
    outcome(run, generator.athrow(KeyError, item, "no traceback"))
    outcome(lambda: generator.athrow())
    outcome(run, generator.aclose())


@scenario
def throw_before_the_start(body, item):
    outcome(run, body(item).athrow(ArithmeticError(item)))


@scenario
def throw_stops(body, item):
    for stop in (StopIteration(item), StopAsyncIteration(item), GeneratorExit(item)):
        generator = body(item)
        run(generator.__anext__())
        outcome(run, generator.athrow(stop))


@scenario
def use_again(body, item):
    generator = body(item)
    for awaiting in (generator.__anext__(), generator.asend(item), generator.aclose()):
        run(awaiting)
        outcome(awaiting.send, None)
        outcome(awaiting.throw, KeyError(item))
        outcome(awaiting.close)


@scenario
def refuse_while_running(body, item):
    generator = body(item)
    awaiting = generator.__anext__()
    suspend(awaiting)
    for refused in (generator.__anext__(), generator.asend(item), generator.athrow(KeyError(item)), generator.aclose()):
        outcome(refused.send, None)
        outcome(refused.close)
    run(awaiting)
    run(generator.aclose())


@scenario
def close_awaitables(body, item):
    @body.implementation
    async def simple():
        await trap()
        yield item

    for operation in ("__anext__", "aclose"):
        generator = simple()
        getattr(generator, operation)().close()
        outcome(run, generator.aclose())
        generator = simple()
        awaiting = getattr(generator, operation)()
        outcome(suspend, awaiting)
        outcome(awaiting.close)
        outcome(run, generator.aclose())


@scenario
def drop_in_an_await(body, item):
    hold = Hold()

    @body.implementation
    async def holding():
        await hold
        yield item

    awaiting = holding().__anext__()
    suspend(awaiting)
    del awaiting


@scenario
def cycle(body, item):
    @body.implementation
    async def simple(cell):
        yield item

    cell = []
    cell.append(simple(cell))
    run(cell[0].__anext__())


@scenario
def hooks_come_and_go(body, item):
    before = sys.get_asyncgen_hooks()
    dropped = []
    sys.set_asyncgen_hooks(lambda generator: None, dropped.append)
    try:
        generator = body(item)
        run(generator.__anext__())
        del generator
        gc.collect()
        run(dropped.pop().aclose())
    finally:
        sys.set_asyncgen_hooks(*before)


@scenario
def look_at_everything(body, item):
    generator = body(item)
    awaiting = generator.__anext__()
    suspend(awaiting)
    for name in dir(generator):
        getattr(generator, name, None)
    for name in dir(awaiting):
        getattr(awaiting, name, None)
    repr(generator), repr(awaiting)
    outcome(setattr, generator, "__name__", "other")
    outcome(setattr, generator, "__name__", 5)
    run(awaiting)
    run(generator.aclose())


@scenario
def use_the_attributes_dictionary(body, item):
    generator = body(item)
    outcome(setattr, generator, "attribute", generator)
    outcome(run, generator.aclose())


@scenario
def make_functions(body, item):
    @body.implementation
    async def function(a, b=item, *, c=item):
        yield a, b, c

    collect(function(item))


class Item:
    """Something whose references can be counted."""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@counts_code
@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_left_behind(implementation, name):
    body = steps(implementation)
    body.implementation = cached(implementation)
    call = SCENARIOS[name]
    item = Item()

    def once():
        call(body, item)
        gc.collect()

    for _ in range(3):  # caches and freelists fill
        once()
    references = sys.getrefcount(item), sys.getrefcount(body)
    # What fills up slowly has a window without growth in the end; a leak of one block a time has none.
    calls, growths = 4, []
    while len(growths) < 10 and not (growths and growths[-1] < calls):
        before = settled_blocks()
        for _ in range(calls):
            once()
        growths.append(settled_blocks() - before)
    assert growths[-1] < calls, growths
    assert (sys.getrefcount(item), sys.getrefcount(body)) == references


def cached(implementation):
    """Rewriting compiles anew each time; here each place is rewritten once, and only its closure is new."""
    if not implementation.rewritten:
        return implementation
    import types

    from bodies import with_calls

    codes = {}

    def make(function):
        made = codes.get(function.__code__)
        if made is None:
            made = codes[function.__code__] = with_calls(
                function, generator=implementation.name == "undecorated"
            ).__code__
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        closure = tuple(cells[name] for name in made.co_freevars)
        rewritten = types.FunctionType(made, function.__globals__, function.__name__, function.__defaults__, closure)
        rewritten.__kwdefaults__ = function.__kwdefaults__
        if not implementation.ours:
            return rewritten
        import async_generator

        return async_generator.async_generator(rewritten)

    return make


def test_a_long_iteration_does_not_grow(implementation):
    @implementation
    async def body():
        number = 0
        while True:
            number += 1
            yield (number,)

    generator = body()

    def take(count):
        for _ in range(count):
            run(generator.__anext__())

    take(1000)
    gc.collect()
    before = sys.getallocatedblocks()
    take(5000)
    gc.collect()
    assert sys.getallocatedblocks() - before < 50
    run(generator.aclose())


def test_many_generators_at_once_and_none_after(implementation):
    @implementation
    async def body(number):
        yield number
        yield number

    def many():
        generators = [body(number) for number in range(1000)]
        for generator in generators:
            run(generator.__anext__())

    for _ in range(4):  # what is kept for reuse is complete after a few
        many()
    gc.collect()
    before = sys.getallocatedblocks()
    many()
    many()
    gc.collect()
    assert sys.getallocatedblocks() - before < 100
