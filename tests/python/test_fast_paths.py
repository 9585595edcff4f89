"""The optional fast paths are on where the interpreter allows them: each has a slower one behind it that nobody would miss."""

import gc
import sys
import time
import traceback
import weakref

import pytest
from async_generator import _engine, _rewriting, async_generator, yield_, yield_from_


@async_generator
async def numbers():
    await yield_(1)


@pytest.mark.skipif(not (3, 10) <= sys.version_info[:2] <= (3, 15), reason="the bytecode of this version is not known")
def test_awaits_of_yield_are_rewritten_to_real_yields():
    numbers()  # the sample runs at the first call
    assert _rewriting.disabled is None


def test_items_are_boxed_without_the_help_of_a_generator():
    assert _engine.fast_paths()["direct boxes"]


# A delegation to a call ------------------------------------------------------------------------------------------------


async def delegate(*items, end=None):
    for item in items:
        yield item
    if end is not None:
        raise end


@async_generator
async def ours(*items):
    for item in items:
        await yield_(item)
    return sum(items)


def fails(text):
    raise LookupError(text)


@async_generator
async def shapes():
    await yield_from_(ours())
    await yield_(("result", await yield_from_(ours(1, 2))))
    await yield_from_(delegate(3, await yield_("an argument that yields")))
    await yield_from_(delegate(4, end=None))
    await yield_from_(delegate(*(5, 6)))
    await yield_from_(delegate(7 if len(globals()) else 8, (lambda: 9)()))
    await yield_from_(
        delegate(
            [x for x in (10, 11) if x],
        )
    )
    for make in (delegate, ours):
        await yield_from_(make(12))
    try:
        await yield_from_(delegate(13, end=KeyError("leaves the delegate")))
    except KeyError as error:
        assert error.__context__ is None
        await yield_from_(delegate("in a handler"))
        await yield_from_(delegate("behind it"))
    finally:
        await yield_from_(delegate("at last"))
    for wrong in (fails, None):
        try:
            await yield_from_(wrong("told"))
        except (LookupError, TypeError) as error:
            await yield_(str(error))


def test_a_delegation_to_a_call_answers_what_two_calls_would():
    expected = [("result", 3), "an argument that yields", 3, "sent", 4, 5, 6, 7, 9, [10, 11], 12, 12, 13]
    expected += ["in a handler", "behind it", "at last", "told", "'NoneType' object is not callable"]
    answers = [1, 2]
    answers += expected
    assert run_sending(shapes(), {3: "sent"}) == answers


def run_sending(generator, sent):
    """The items of a generator that is sent a value after some of them, by number."""
    items = []
    while True:
        try:
            generator.asend(sent.get(len(items) - 1)).send(None)
        except StopIteration as item:
            items.append(item.value)
        except StopAsyncIteration:
            return items


def calls_of(function):
    """The engine's functions that the rewritten code of `function` calls."""
    code, _, _ = _rewriting.rewrite(function.__code__, globals())
    return [constant for constant in code.co_consts if constant is _engine.yield_from_call]


def test_a_delegation_to_a_call_is_one_call():
    async def joined(x):
        await yield_from_(ours(x))

    async def by_keyword(x):
        await yield_from_(ours(x=x))

    async def no_call(x):
        await yield_from_(x)

    assert calls_of(joined)
    assert not calls_of(by_keyword)
    assert not calls_of(no_call)


def test_an_error_in_the_call_shows_the_line_of_the_call():
    @async_generator
    async def body():
        await yield_from_(
            fails("told")
        )  # fmt: skip

    with pytest.raises(LookupError) as caught:
        body().asend(None).send(None)
    lines = [(entry.name, entry.line) for entry in traceback.extract_tb(caught.value.__traceback__)][1:]
    assert lines == [("body", 'fails("told")'), ("fails", "raise LookupError(text)")]


def test_the_collector_sees_through_a_delegation_that_only_its_generator_has():
    class Kept:
        pass

    @async_generator
    async def inner(kept):
        await yield_(kept)

    @async_generator
    async def outer(kept):
        await yield_from_(inner(kept))

    kept = Kept()
    kept.generator = outer(kept)
    with pytest.raises(StopIteration):
        kept.generator.asend(None).send(None)
    gone = weakref.ref(kept)
    del kept
    gc.collect()
    assert gone() is None


def chain_of_delegations(depth):
    @async_generator
    async def level(depth):
        if depth:
            await yield_from_(level(depth - 1))
        await yield_(depth)

    generator = level(depth)
    with pytest.raises(StopIteration):
        generator.asend(None).send(None)
    return generator


def chain_in_frames(depth):
    @async_generator
    async def holder(held):
        await yield_(1)

    generator = None
    for _ in range(depth):
        generator = holder(generator)
        with pytest.raises(StopIteration):
            generator.asend(None).send(None)
    return generator


@pytest.mark.parametrize("chain", [chain_of_delegations, chain_in_frames])
def test_a_long_chain_is_dropped_without_overflowing_the_stack(chain):
    generator = chain(20_000)
    last = weakref.ref(generator)
    del generator
    gc.collect()
    assert last() is None


def test_long_functions_are_prepared_in_linear_time():
    """The first call does it, maybe within an event loop."""

    def seconds(blocks):
        block = "    try:\n        await yield_([await yield_(), 1])\n    except KeyError:\n        pass\n"
        namespace = {"yield_": yield_, "yield_from_": yield_from_}
        exec("async def function():\n" + block * blocks, namespace)
        best = float("inf")
        for _ in range(3):
            begin = time.process_time()
            made, _, _ = _rewriting.rewrite(namespace["function"].__code__, namespace)
            best = min(best, time.process_time() - begin)
        assert made.co_code != namespace["function"].__code__.co_code
        return best

    seconds(10)  # the sample is run once
    # 8 when linear, 64 when quadratic; before 3.13 dis itself looks through a list of labels for each instruction.
    assert seconds(240) / seconds(30) < 40
