"""Delegation: the cases of CPython's own test_yield_from.py, for `await yield_from_()`.

The comment above each test names the behaviour and, in brackets, the case of CPython's file that it stands for.
Each runs for every pairing of a delegating with a delegated kind of generator (yield_from_reference.py), the
pairings of the reference with itself and with native delegates included: those say that the expectation is right.
Where a sync generator ends with StopIteration an async one ends with StopAsyncIteration; the cases follow that.
What PEP 828 adds to these, and what only this package has: the other test_yield_from_*.py files.
"""

import gc
import inspect

import pytest
from async_generator import yield_, yield_from_
from yield_from_reference import PAIRS, SINGLES, Kit, context_chain, pair_name


@pytest.fixture(params=PAIRS, ids=pair_name)
def kit(request):
    return Kit(*request.param)


@pytest.fixture(params=SINGLES, ids=pair_name)
def lone(request):
    return Kit(*request.param)


@pytest.fixture(autouse=True)
def survivors_are_not_collected_again():
    # conftest.py collects after each test. What outlives it is pytest's own, more with each of thousands of tests.
    getattr(gc, "freeze", gc.collect)()


class Counting:
    """An async iterator with `__anext__` and nothing else."""

    def __init__(self, stop):
        self.items = iter(range(stop))

    def __aiter__(self):
        return self

    async def __anext__(self):
        for item in self.items:
            return item
        raise StopAsyncIteration


# --- items and their order ---


# The first item comes out of the delegate, between the beginnings and the ends of both bodies.
# [delegation_of_initial_next_to_subgenerator]
def test_first_item_comes_from_the_delegate(kit):
    log = []

    @kit.inner
    async def source():
        log.append("source begins")
        await yield_(42)
        log.append("source ends")

    @kit.outer
    async def wrapper():
        log.append("wrapper begins")
        await yield_from_(source())
        log.append("wrapper ends")

    generator = wrapper()
    log.append(kit.anext(generator))
    kit.end(kit.anext, generator)
    assert log == ["wrapper begins", "source begins", 42, "source ends", "wrapper ends"]


# An exception before the first item passes through the delegating body, whose `finally` runs after the delegate's.
# [raising_exception_in_initial_next_call]
def test_exception_before_the_first_item_reaches_the_delegating_body(kit):
    log = []
    error = ValueError("too early")

    @kit.inner
    async def source():
        try:
            log.append("source begins")
            raise error
            await yield_("never")
        finally:
            log.append("source ends")

    @kit.outer
    async def wrapper():
        try:
            log.append("wrapper begins")
            await yield_from_(source())
        finally:
            log.append("wrapper ends")

    generator = wrapper()
    assert kit.raised(kit.anext, generator) is error
    assert log == ["wrapper begins", "source begins", "source ends", "wrapper ends"]
    kit.assert_finished(generator)


# Items of the delegating body and of the delegate follow each other in program order. [delegation_of_next_call_...]
def test_items_before_inside_and_after_a_delegation(kit):
    log = []

    @kit.inner
    async def source():
        log.append("source begins")
        await yield_("first of source")
        await yield_("second of source")
        log.append("source ends")

    @kit.outer
    async def wrapper():
        log.append("wrapper begins")
        await yield_("before")
        await yield_from_(source())
        await yield_("after")
        log.append("wrapper ends")

    async def consume():
        async for item in wrapper():
            log.append(item)

    kit.finish(consume())
    assert log == [
        "wrapper begins",
        "before",
        "source begins",
        "first of source",
        "second of source",
        "source ends",
        "after",
        "wrapper ends",
    ]


# An exception between two items ends both. [raising_exception_in_delegated_next_call]
def test_exception_between_items_ends_both_generators(kit):
    log = []
    error = ValueError("half way")

    @kit.inner
    async def source():
        try:
            await yield_("first of source")
            raise error
            await yield_("second of source")
        finally:
            log.append("source ends")

    @kit.outer
    async def wrapper():
        try:
            await yield_("before")
            await yield_from_(source())
            await yield_("after")
        finally:
            log.append("wrapper ends")

    generator = wrapper()
    assert kit.anext(generator) == "before"
    assert kit.anext(generator) == "first of source"
    assert kit.raised(kit.anext, generator) is error
    assert log == ["source ends", "wrapper ends"]
    kit.assert_finished(generator)


# --- asend ---


# Sent values go to the body that yielded last. The value that ends the delegate's last yield_ goes to the delegate.
# [delegation_of_send]
def test_sent_values_reach_the_body_that_yielded(kit):
    log = []

    @kit.inner
    async def source():
        got = await yield_("first of source")
        log.append(("source", got))
        got = await yield_("second of source")
        log.append(("source", got))

    @kit.outer
    async def wrapper():
        got = await yield_("before")
        log.append(("wrapper", got))
        await yield_from_(source())
        got = await yield_("after")
        log.append(("wrapper", got))

    generator = wrapper()
    items = [kit.anext(generator)]
    for value in (1, 2, 3):
        items.append(kit.asend(generator, value))
    kit.end(kit.asend, generator, 4)
    assert items == ["before", "first of source", "second of source", "after"]
    assert log == [("wrapper", 1), ("source", 2), ("source", 3), ("wrapper", 4)]


# An exception that the delegate raises on a sent value passes through. [handling_exception_while_delegating_send]
def test_exception_on_a_sent_value_passes_through(kit):
    log = []
    error = ValueError("not this one")

    @kit.inner
    async def source():
        log.append(("source", await yield_("first of source")))
        raise error

    @kit.outer
    async def wrapper():
        log.append(("wrapper", await yield_("before")))
        await yield_from_(source())
        log.append(("wrapper", await yield_("after")))

    generator = wrapper()
    assert kit.anext(generator) == "before"
    assert kit.asend(generator, 1) == "first of source"
    assert kit.raised(kit.asend, generator, 2) is error
    assert log == [("wrapper", 1), ("source", 2)]
    kit.assert_finished(generator)


# A sent None, 0, False or "": only None means "the next item"; the others are values like any other. [PEP 828]
@pytest.mark.parametrize("value", [None, 0, False, "", (), (1, 2), StopAsyncIteration(1), ValueError])
def test_any_sent_value_arrives_as_it_is(kit, value):
    log = []

    @kit.inner
    async def source():
        log.append(await yield_(1))

    @kit.outer
    async def wrapper():
        await yield_from_(source())

    generator = wrapper()
    kit.anext(generator)
    kit.end(kit.asend, generator, value)
    assert len(log) == 1 and log[0] is value


# --- aclose and athrow ---


# aclose() closes the delegate first. [delegating_close]
def test_aclose_closes_the_delegate_before_the_delegating_body(kit):
    log = []

    @kit.inner
    async def source():
        try:
            await yield_("first of source")
            await yield_("second of source")
        finally:
            log.append("source ends")

    @kit.outer
    async def wrapper():
        try:
            await yield_("before")
            await yield_from_(source())
            await yield_("after")
        finally:
            log.append("wrapper ends")

    generator = wrapper()
    assert [kit.anext(generator), kit.anext(generator)] == ["before", "first of source"]
    assert kit.aclose(generator) is None
    assert log == ["source ends", "wrapper ends"]
    kit.assert_finished(generator)


# What the delegate raises while it is closed takes the place of GeneratorExit. [handing_exception_while_delegating_close]
def test_exception_of_a_closing_delegate_comes_out_of_aclose(kit):
    log = []
    error = ValueError("cleanup failed")

    @kit.inner
    async def source():
        try:
            await yield_("first of source")
        finally:
            log.append("source ends")
            raise error

    @kit.outer
    async def wrapper():
        try:
            await yield_("before")
            await yield_from_(source())
            await yield_("after")
        finally:
            log.append("wrapper ends")

    generator = wrapper()
    kit.anext(generator)
    kit.anext(generator)
    assert kit.raised(kit.aclose, generator) is error
    assert type(error.__context__) is GeneratorExit
    assert log == ["source ends", "wrapper ends"]
    kit.assert_finished(generator)


# A thrown exception goes into the delegate and comes out through the delegating body. [delegating_throw]
def test_athrow_goes_into_the_delegate(kit):
    log = []
    error = ValueError("thrown")

    @kit.inner
    async def source():
        try:
            await yield_("first of source")
        except ValueError as caught:
            log.append(("source", caught))
            raise

    @kit.outer
    async def wrapper():
        try:
            await yield_("before")
            await yield_from_(source())
            await yield_("after")
        except ValueError as caught:
            log.append(("wrapper", caught))
            raise

    generator = wrapper()
    kit.anext(generator)
    kit.anext(generator)
    assert kit.raised(kit.athrow, generator, error) is error
    assert log == [("source", error), ("wrapper", error)]
    kit.assert_finished(generator)


# --- return values ---


# StopAsyncIteration's value: the first argument, unless it is set. [value_attribute_of_StopIteration_exception]
def test_value_of_a_stop_is_its_argument_unless_assigned(lone):
    assigned = StopAsyncIteration("spam")
    assigned.value = "eggs"
    stops = [StopAsyncIteration(), StopAsyncIteration("spam"), StopAsyncIteration("spam", "more"), assigned]
    results = []

    class Ending:
        def __init__(self, stop):
            self.stop = stop

        def __aiter__(self):
            return self

        async def __anext__(self):
            raise self.stop

    @lone.outer
    async def wrapper():
        for stop in stops:
            result = await yield_from_(Ending(stop))
            results.append(result)
        await yield_("done")

    assert lone.items(wrapper()) == ["done"]
    assert results == [None, "spam", "spam", "eggs"]
    assert assigned.args == ("spam",)


# A return value that nobody else refers to survives. [exception_value_crash]
def test_return_value_with_a_single_reference_survives(kit):
    results = []

    @kit.inner
    async def source():
        await yield_("item")
        return [42]

    @kit.outer
    async def wrapper():
        result = await yield_from_(source())
        results.append(result)

    assert kit.items(wrapper()) == ["item"]
    assert results == [kit.returned([42])]


# Return values arrive unchanged, those included that an exception could be built from. [generator_return_value]
def test_return_values_of_any_type_arrive_unchanged(kit):
    log = []
    values = [1, (2,), (), None, StopAsyncIteration(3), StopIteration(4), ValueError, KeyError("key"), (1, 2, 3)]

    @kit.inner
    async def source(value=None):
        await yield_("item")
        if value is not None:
            return value

    @kit.outer
    async def wrapper():
        await yield_("before")
        result = await yield_from_(source())
        log.append(result)
        for value in values:
            result = await yield_from_(source(value))
            log.append(result)
        await yield_("after")

    assert kit.items(wrapper()) == ["before", *["item"] * 10, "after"]
    assert len(log) == 10 and log[0] is None
    for got, value in zip(log[1:], values):
        assert got is kit.returned(value)


# --- delegates that are not generators ---


# Items of a plain async iterator. [delegation_of_next_to_non_generator]
def test_plain_iterator_as_delegate(lone):
    @lone.outer
    async def wrapper():
        await yield_from_(Counting(3))

    assert lone.items(wrapper()) == [0, 1, 2]


# asend(None) asks for the next item and needs no `asend`. [conversion_of_sendNone_to_next]
def test_sent_none_needs_no_asend(lone):
    @lone.outer
    async def wrapper():
        await yield_from_(Counting(3))

    generator = wrapper()
    assert [lone.asend(generator, None) for _ in range(3)] == [0, 1, 2]
    lone.end(lone.asend, generator, None)


# aclose() with a delegate that cannot be closed ends the delegating body only. [delegation_of_close_to_non_generator]
def test_aclose_with_a_delegate_without_aclose(lone):
    log = []

    @lone.outer
    async def wrapper():
        try:
            await yield_from_(Counting(3))
            log.append("unreachable")
        finally:
            log.append("wrapper ends")

    generator = wrapper()
    lone.anext(generator)
    assert lone.aclose(generator) is None
    assert log == ["wrapper ends"]
    lone.assert_finished(generator)


# athrow() with a delegate that has no athrow raises in the delegating body. [delegating_throw_to_non_generator]
def test_athrow_with_a_delegate_without_athrow(lone):
    log = []
    error = ValueError("thrown")

    @lone.outer
    async def wrapper():
        try:
            await yield_from_(Counting(10))
        except ValueError as caught:
            log.append(caught)
            raise

    generator = wrapper()
    assert [lone.anext(generator) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert lone.raised(lone.athrow, generator, error) is error
    assert log == [error]
    lone.assert_finished(generator)


# A value sent to a delegate without asend: AttributeError in the delegating body. [attempting_to_send_to_non_generator]
def test_sending_to_a_delegate_without_asend(lone):
    log = []

    @lone.outer
    async def wrapper():
        try:
            await yield_from_(Counting(3))
            log.append("unreachable")
        finally:
            log.append("wrapper ends")

    generator = wrapper()
    lone.anext(generator)
    error = lone.raised(lone.asend, generator, 42)
    assert type(error) is AttributeError and "asend" in str(error)
    assert log == ["wrapper ends"]
    lone.assert_finished(generator)


# An attribute lookup that fails with anything but AttributeError is an error of its own. [broken_getattr_handling]
@pytest.mark.parametrize("operation, argument", [("asend", (1,)), ("athrow", (AttributeError(),)), ("aclose", ())])
def test_failing_attribute_lookup_on_the_delegate_is_raised(lone, operation, argument):
    class Broken:
        def __aiter__(self):
            return self

        async def __anext__(self):
            return 1

        def __getattr__(self, name):
            raise ZeroDivisionError(name)

    @lone.outer
    async def wrapper():
        await yield_from_(Broken())

    generator = wrapper()
    assert lone.anext(generator) == 1
    error = lone.raised(getattr(lone, operation), generator, *argument)
    assert type(error) is ZeroDivisionError and error.args == (operation,)
    lone.assert_finished(generator)


# An error in the very first expression of the delegate. [exception_in_initial_next_call]
def test_error_while_the_first_item_is_computed(kit):
    log = []

    @kit.inner
    async def source():
        await yield_(1 / 0)

    @kit.outer
    async def wrapper():
        log.append("wrapper begins")
        await yield_from_(source())
        log.append("unreachable")

    assert type(kit.raised(kit.anext, wrapper())) is ZeroDivisionError
    assert log == ["wrapper begins"]


# --- loops ---


# A delegate that delegates back to the delegating generator. [attempted_yield_from_loop]
def test_delegating_in_a_circle_is_refused(kit):
    log = []

    @kit.inner
    async def source():
        await yield_("of source")
        log.append("source delegates back")
        await yield_from_(generator)
        log.append("unreachable")

    @kit.outer
    async def wrapper():
        await yield_("of wrapper")
        await yield_from_(source())
        log.append("unreachable")

    generator = wrapper()
    assert [kit.anext(generator), kit.anext(generator)] == ["of wrapper", "of source"]
    error = kit.raised(kit.anext, generator)
    assert isinstance(error, RuntimeError) and "already running" in str(error)
    assert log == ["source delegates back"]
    kit.assert_finished(generator)


# --- athrow that is caught, returns, and what operations answer at the end ---


# The delegate may answer a thrown exception with an item; then it goes on. [returning_value_from_delegated_throw]
def test_delegate_answers_athrow_with_an_item(kit):
    log = []

    class Hungry(Exception):
        pass

    @kit.inner
    async def source():
        try:
            await yield_("first of source")
        except Hungry:
            log.append("source caught")
            await yield_("saved")
            await yield_("and on")

    @kit.outer
    async def wrapper():
        try:
            await yield_("before")
            await yield_from_(source())
            await yield_("after")
        finally:
            log.append("wrapper ends")

    generator = wrapper()
    kit.anext(generator)
    kit.anext(generator)
    assert kit.athrow(generator, Hungry()) == "saved"
    assert kit.items(generator) == ["and on", "after"]
    assert log == ["source caught", "wrapper ends"]


RETURNED = [None, 1, (2,), StopAsyncIteration(3), StopIteration(4), ()]


# The end that anext meets carries the return value; a plain end carries no argument. [next_and_return_with_value]
@pytest.mark.parametrize("value", RETURNED, ids=repr)
def test_anext_ends_with_the_return_value(kit, value):
    @kit.inner
    async def source():
        await yield_()
        return value

    generator = source()
    kit.anext(generator)
    end = kit.end(kit.anext, generator)
    expected = kit.returned(value)
    assert end.args in ((expected,), ()) and (end.args or (None,))[0] is expected
    if hasattr(StopAsyncIteration, "value"):
        assert end.value is expected
    kit.assert_finished(generator)


# The same for asend, through a delegation. [send_and_return_with_value]
@pytest.mark.parametrize("value", RETURNED, ids=repr)
def test_asend_ends_with_the_return_value_of_the_delegating_body(kit, value):
    log = []

    @kit.inner
    async def source():
        log.append(await yield_())
        return value

    @kit.outer
    async def wrapper():
        result = await yield_from_(source())
        log.append(result)
        return result

    generator = wrapper()
    kit.anext(generator)
    end = kit.end(kit.asend, generator, "spam")
    assert log == ["spam", kit.returned(value)] and log[1] is kit.returned(value)
    expected = kit.result(kit.returned(value))
    assert (end.args or (None,)) == (expected,)
    kit.assert_finished(generator)


# A plain end carries no argument, however it is reached. (Native semantics; 1.10 has `(None,)` here.)
def test_plain_end_carries_no_argument(kit):
    if "reference" in (kit.outer_kind.name, kit.inner_kind.name):
        pytest.skip("the reference marks every `return` with its value, None included")

    @kit.inner
    async def source():
        await yield_(1)

    @kit.outer
    async def wrapper():
        await yield_from_(source())

    for generator in (source(), wrapper()):
        kit.anext(generator)
        assert kit.end(kit.anext, generator).args == ()


# A delegate that catches what is thrown and returns gives its value; the delegating body goes on.
# [catching_exception_from_subgen_and_returning]
@pytest.mark.parametrize("value", [2, (2,), StopAsyncIteration(2), StopIteration(2)], ids=repr)
def test_delegate_answers_athrow_with_a_return(kit, value):
    log = []

    @kit.inner
    async def source():
        try:
            await yield_(1)
        except ValueError:
            log.append("source caught")
        return value

    @kit.outer
    async def wrapper():
        result = await yield_from_(source())
        log.append("wrapper goes on")
        await yield_(result)

    generator = wrapper()
    assert kit.anext(generator) == 1
    assert kit.athrow(generator, ValueError()) is kit.returned(value)
    assert log == ["source caught", "wrapper goes on"]
    kit.aclose(generator)


# --- GeneratorExit thrown with athrow ---


# A delegate that returns on GeneratorExit: the thrown one goes on in the delegating body.
# [throwing_GeneratorExit_into_subgen_that_returns]
def test_thrown_generator_exit_and_a_delegate_that_returns(kit):
    log = []
    thrown = GeneratorExit("thrown")

    @kit.inner
    async def source():
        try:
            await yield_()
        except GeneratorExit as caught:
            log.append(caught)
            return

    @kit.outer
    async def wrapper():
        try:
            await yield_from_(source())
        except GeneratorExit as caught:
            log.append(caught)
            raise
        log.append("unreachable")

    generator = wrapper()
    kit.anext(generator)
    assert kit.raised(kit.athrow, generator, thrown) is thrown
    # The delegate is closed by its own aclose(), with a GeneratorExit of its own; the delegating body sees the thrown one.
    assert len(log) == 2 and type(log[0]) is GeneratorExit and log[0] is not thrown and log[1] is thrown
    assert log[0].args == ()
    kit.assert_finished(generator)


# A delegate that yields on GeneratorExit. [throwing_GeneratorExit_into_subgenerator_that_yields]
def test_thrown_generator_exit_and_a_delegate_that_yields(kit):
    log = []

    @kit.inner
    async def source():
        try:
            await yield_()
        except GeneratorExit:
            await yield_()

    @kit.outer
    async def wrapper():
        try:
            await yield_from_(source())
        except RuntimeError as caught:
            log.append(caught)
            raise
        log.append("unreachable")

    generator = wrapper()
    kit.anext(generator)
    error = kit.raised(kit.athrow, generator, GeneratorExit())
    assert type(error) is RuntimeError and str(error) == "async generator ignored GeneratorExit"
    assert log == [error]
    kit.assert_finished(generator)


# A delegate that raises something else on GeneratorExit. [throwing_GeneratorExit_into_subgen_that_raises]
def test_thrown_generator_exit_and_a_delegate_that_raises(kit):
    log = []

    @kit.inner
    async def source():
        try:
            await yield_()
        except GeneratorExit:
            raise ValueError("instead") from None

    @kit.outer
    async def wrapper():
        await yield_from_(source())
        log.append("unreachable")

    generator = wrapper()
    kit.anext(generator)
    error = kit.raised(kit.athrow, generator, GeneratorExit())
    assert type(error) is ValueError and error.args == ("instead",)
    assert type(error.__context__) is GeneratorExit
    assert log == []
    kit.assert_finished(generator)


# Nothing to yield: the delegation is over at once. [yield_from_empty]
def test_empty_delegate(kit):
    results = []

    @kit.inner
    async def source():
        if False:
            await yield_("never")
        return "value"

    @kit.outer
    async def wrapper():
        result = await yield_from_(source())
        results.append(result)
        result = await yield_from_(Counting(0))
        results.append(result)

    assert kit.items(wrapper()) == []
    assert results == [kit.returned("value"), None]


# --- a delegating generator is running while its delegate is ---


# Delegating back is refused, and the refusal can be caught. [delegating_generators_claim_to_be_running]
@pytest.mark.parametrize("value", [None, 42])
def test_delegating_generator_counts_as_running(kit, value):
    @kit.outer
    async def one():
        await yield_(0)
        await yield_from_(two())
        await yield_(3)

    @kit.inner
    async def two():
        await yield_(1)
        try:
            await yield_from_(generator)
        except RuntimeError as error:
            assert "already running" in str(error)
        await yield_(2)

    generator = one()
    items = [kit.anext(generator)]
    items += [kit.asend(generator, value) for _ in range(3)]
    assert items == [0, 1, 2, 3]
    kit.end(kit.asend, generator, value)


# The same when the delegate is resumed by athrow. [delegating_generators_claim_to_be_running_with_throw]
def test_delegating_generator_counts_as_running_in_athrow(kit):
    class Mine(Exception):
        pass

    @kit.outer
    async def one():
        try:
            await yield_(0)
        except Mine:
            pass
        await yield_from_(two())
        try:
            await yield_(3)
        except Mine:
            pass

    @kit.inner
    async def two():
        try:
            await yield_(1)
        except Mine:
            pass
        try:
            await yield_from_(generator)
        except RuntimeError as error:
            assert "already running" in str(error)
        try:
            await yield_(2)
        except Mine:
            pass

    generator = one()
    items = [kit.anext(generator)]
    items += [kit.athrow(generator, Mine()) for _ in range(3)]
    assert items == [0, 1, 2, 3]
    kit.end(kit.athrow, generator, Mine())


# The same while the delegate is closed. [delegating_generators_claim_to_be_running_with_close]
def test_delegating_generator_counts_as_running_in_aclose(lone):
    seen = []

    class Closing:
        def __aiter__(self):
            return self

        async def __anext__(self):
            seen.append(lone.running(generator))
            return 42

        async def aclose(self):
            seen.append(lone.running(generator))
            seen.append(lone.raised(lone.anext, generator))

    @lone.outer
    async def wrapper():
        await yield_from_(Closing())

    generator = wrapper()
    assert lone.anext(generator) == 42
    assert not lone.running(generator)
    assert lone.aclose(generator) is None
    assert seen[:2] == [True, True]
    assert isinstance(seen[2], RuntimeError) and "already running" in str(seen[2])
    assert not lone.running(generator)
    lone.assert_finished(generator)


# --- odds and ends ---


# The frames of all delegating bodies are on the stack while the innermost runs. [delegator_is_visible_to_debugger]
@pytest.mark.engine(reason="the package's own frames are between")
def test_delegating_frames_are_on_the_stack_of_the_innermost_body(kit, request):
    if kit.outer_kind.ours:
        # Strict: the day that the frames are there, this fails and goes. Tracebacks and ag_await do show the delegating
        # bodies (test_yield_from_chains.py).
        reason = (
            "a root drives the innermost body directly, so the frames of the delegating bodies are not on the stack"
        )
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True, raises=AssertionError))

    def stack():
        return [info.function for info in inspect.stack(0)]

    @kit.inner
    async def source():
        await yield_(stack())
        await yield_(stack())
        await yield_(stack())

    @kit.outer
    async def spam(delegate):
        await yield_from_(delegate)

    @kit.outer
    async def eggs(delegate):
        await yield_from_(delegate)

    stacks = kit.items(spam(source()))
    assert len(stacks) == 3 and all(names.count("spam") == 1 for names in stacks)
    stacks = kit.items(spam(eggs(source())))
    assert len(stacks) == 3
    for names in stacks:
        order = [name for name in names if name in ("source", "eggs", "spam")]
        assert order == ["source", "eggs", "spam"]


# A plain iterator's StopAsyncIteration carries a result. [custom_iterator_return]
def test_plain_iterator_may_return_a_value(lone):
    results = []

    class Ending:
        def __aiter__(self):
            return self

        async def __anext__(self):
            raise StopAsyncIteration(42)

    @lone.outer
    async def wrapper():
        result = await yield_from_(Ending())
        results.append(result)

    assert lone.items(wrapper()) == []
    assert results == [42]


# A suspended chain that is garbage, with a delegate older than what delegates to it. [close_with_cleared_frame]
def test_suspended_chain_in_a_reference_cycle_is_collected(kit):
    log = []

    @kit.inner
    async def innermost():
        try:
            await yield_()
        finally:
            log.append("innermost")

    @kit.outer
    async def inner():
        outside = await yield_()
        try:
            await yield_from_(innermost())
        finally:
            log.append(("inner", outside is not None))

    @kit.outer
    async def outer():
        delegate = await yield_()
        await yield_from_(delegate)

    gc.disable()
    try:
        inside = inner()
        outside = outer()
        kit.anext(outside)
        kit.asend(outside, inside)
        kit.asend(outside, outside)
        del inside, outside
        gc.collect()
    finally:
        gc.enable()
    assert log == ["innermost", ("inner", True)]


# A tuple that is sent arrives as one value in a plain object's asend. [send_tuple_with_custom_generator]
def test_sent_tuple_is_one_value(lone):
    sent = []

    class Sink:
        def __aiter__(self):
            return self

        async def __anext__(self):
            return 42

        async def asend(self, value):
            sent.append(value)

    @lone.outer
    async def wrapper():
        await yield_from_(Sink())

    generator = wrapper()
    lone.anext(generator)
    assert lone.asend(generator, (1, 2, 3, 4)) is None
    assert sent == [(1, 2, 3, 4)]
    lone.aclose(generator)


# An `__aiter__` that raises. [throws_in_iter]
def test_error_of_aiter_is_raised_in_the_delegating_body(lone):
    class Silly:
        def __aiter__(self):
            raise RuntimeError("nobody expects it")

    @lone.outer
    async def wrapper():
        await yield_from_(Silly())

    error = lone.raised(lone.anext, wrapper())
    assert type(error) is RuntimeError and error.args == ("nobody expects it",)


# --- how a closing or thrown-into delegate may answer: every way, for every operation ---

FIRST, SECOND, VALUE = "first", "second", "value"
WRAPPED = "async generator raised StopAsyncIteration"


class ThrowOrClose:
    """One way to end a delegation from outside: aclose(), or athrow() of an exception of some class."""

    def __init__(self, thrown):
        self.thrown = thrown

    def into(self, kit, generator):
        return kit.aclose(generator) if self.thrown is None else kit.athrow(generator, self.thrown)

    @property
    def closes(self):
        """The delegate is closed rather than thrown into."""
        return self.thrown is None or type(self.thrown) is GeneratorExit


@pytest.fixture(
    params=[None, GeneratorExit, StopAsyncIteration, BaseException, Exception], ids=lambda c: c and c.__name__
)
def exit_by(request):
    return ThrowOrClose(None if request.param is None else request.param())


def assert_context_is_what_was_thrown(error, exit_by):
    """Behind `error` stands the one exception that the delegate met: its own GeneratorExit, or the thrown one."""
    chain = context_chain(error)
    if exit_by.closes:
        # Not the thrown GeneratorExit: the delegate's aclose() makes one.
        assert [type(e) for e in chain] == [GeneratorExit]
        assert chain[0] is not exit_by.thrown
    else:
        assert len(chain) == 1 and chain[0] is exit_by.thrown


@pytest.fixture
def delegating_to(kit):
    def start(source):
        @kit.outer
        async def wrapper():
            return await yield_from_(source())

        generator = wrapper()
        assert kit.anext(generator) is FIRST
        return generator

    return start


# A delegate that lets the exception pass. [close_and_throw_work]
def test_delegate_without_handler(kit, exit_by, delegating_to):
    @kit.inner
    async def source():
        await yield_(FIRST)
        await yield_(SECOND)
        return VALUE

    generator = delegating_to(source)
    if exit_by.thrown is None:
        assert exit_by.into(kit, generator) is None
    elif type(exit_by.thrown) is StopAsyncIteration:
        error = kit.raised(exit_by.into, kit, generator)
        assert type(error) is RuntimeError and str(error) == WRAPPED
        assert error.__cause__ is exit_by.thrown
        assert context_chain(error) == [exit_by.thrown]
    else:
        assert kit.raised(exit_by.into, kit, generator) is exit_by.thrown
        assert exit_by.thrown.__context__ is None
    kit.assert_finished(generator)


# A delegate whose `finally` raises GeneratorExit. [close_and_throw_raise_generator_exit]
def test_delegate_that_raises_generator_exit(kit, exit_by, delegating_to):
    raised = GeneratorExit("raised")

    @kit.inner
    async def source():
        try:
            await yield_(FIRST)
            await yield_(SECOND)
            return VALUE
        finally:
            raise raised

    generator = delegating_to(source)
    if exit_by.thrown is None:
        assert exit_by.into(kit, generator) is None
    elif exit_by.closes:
        # aclose() of the delegate swallows what it raised; the thrown one goes on.
        assert kit.raised(exit_by.into, kit, generator) is exit_by.thrown
        assert exit_by.thrown.__context__ is None
    else:
        assert kit.raised(exit_by.into, kit, generator) is raised
        assert_context_is_what_was_thrown(raised, exit_by)
    kit.assert_finished(generator)


# A delegate whose `finally` raises StopAsyncIteration: PEP 479 wraps it. [close_and_throw_raise_stop_iteration]
def test_delegate_that_raises_stop_async_iteration(kit, exit_by, delegating_to):
    raised = StopAsyncIteration("raised")

    @kit.inner
    async def source():
        try:
            await yield_(FIRST)
            await yield_(SECOND)
            return VALUE
        finally:
            raise raised

    generator = delegating_to(source)
    error = kit.raised(exit_by.into, kit, generator)
    assert type(error) is RuntimeError and str(error) == WRAPPED
    assert error.__context__ is raised and error.__cause__ is raised
    assert_context_is_what_was_thrown(raised, exit_by)
    kit.assert_finished(generator)


# A delegate whose `finally` raises anything else. [close_and_throw_raise_base_exception, ..._raise_exception]
@pytest.mark.parametrize("kind", [BaseException, Exception, KeyboardInterrupt])
def test_delegate_that_raises(kit, exit_by, delegating_to, kind):
    raised = kind("raised")

    @kit.inner
    async def source():
        try:
            await yield_(FIRST)
            await yield_(SECOND)
            return VALUE
        finally:
            raise raised

    generator = delegating_to(source)
    assert kit.raised(exit_by.into, kit, generator) is raised
    assert_context_is_what_was_thrown(raised, exit_by)
    kit.assert_finished(generator)


# A delegate that yields in its `finally`. [close_and_throw_yield]
def test_delegate_that_yields_in_finally(kit, exit_by, delegating_to):
    @kit.inner
    async def source():
        try:
            await yield_(FIRST)
        finally:
            await yield_(SECOND)
        return VALUE

    generator = delegating_to(source)
    if exit_by.closes:
        error = kit.raised(exit_by.into, kit, generator)
        assert type(error) is RuntimeError and str(error) == "async generator ignored GeneratorExit"
        assert error.__context__ is None
    else:
        assert exit_by.into(kit, generator) is SECOND
        error = kit.raised(kit.anext, generator)
        if type(exit_by.thrown) is StopAsyncIteration:
            assert type(error) is RuntimeError and str(error) == WRAPPED
            error = error.__context__
        assert error is exit_by.thrown
        assert error.__context__ is None
    kit.assert_finished(generator)


# A delegate that swallows the exception and returns. [close_and_throw_return]
def test_delegate_that_swallows_and_returns(kit, exit_by, delegating_to):
    @kit.inner
    async def source():
        try:
            await yield_(FIRST)
            await yield_(SECOND)
        except BaseException:
            pass
        return VALUE

    generator = delegating_to(source)
    if exit_by.thrown is None:
        assert exit_by.into(kit, generator) is None
    elif exit_by.closes:
        assert kit.raised(exit_by.into, kit, generator) is exit_by.thrown
        assert exit_by.thrown.__context__ is None
    else:
        end = kit.end(exit_by.into, kit, generator)
        assert (end.args or (None,))[0] == kit.result(kit.returned(VALUE))
        assert end.__context__ is None
    kit.assert_finished(generator)
