"""Delegation: what PEP 828 says beyond CPython's cases, and who else may hold the delegate.

Lookups on the delegate, identity and context of exceptions, delegates that are exhausted, closed, running or shared,
hooks, handled exceptions, and the awaitable that `yield_from_()` returns. Chains of many generators:
test_yield_from_chains.py.
"""

import gc
import sys
import types

import async_generator as package
import pytest
from async_generator import yield_, yield_from_
from driving import trap
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


class Delegate:
    """An async iterator that counts, with whatever operations a test gives to the instance, and a log of lookups."""

    def __init__(self, stop=10):
        self.next_item = 0
        self.stop = stop
        self.lookups = []

    def __getattribute__(self, name):
        if name in ("__anext__", "__aiter__", "asend", "athrow", "aclose"):
            object.__getattribute__(self, "lookups").append(name)
        return object.__getattribute__(self, name)

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self.next_item == self.stop:
            raise StopAsyncIteration("counted")
        self.next_item += 1
        return self.next_item - 1


def delegating_to(kit, delegate, log=None):
    """A generator that delegates to `delegate`, already at its first item."""

    @kit.outer
    async def wrapper():
        result = await yield_from_(delegate)
        if log is not None:
            log.append(result)

    generator = wrapper()
    assert kit.anext(generator) == 0
    return generator


# --- what is looked up on the delegate, where and when ---


def test_plain_iteration_looks_up_no_operation(lone):
    delegate = Delegate(3)
    generator = delegating_to(lone, delegate)
    assert lone.items(generator) == [1, 2]
    assert delegate.lookups == []  # __aiter__ and __anext__ are looked up on the type


def test_operations_are_looked_up_when_needed_and_each_time(lone):
    delegate = Delegate()
    generator = delegating_to(lone, delegate)

    async def answer(value):
        return ("first", value)

    async def answer_again(value):
        return ("second", value)

    delegate.asend = answer
    assert lone.asend(generator, 1) == ("first", 1)
    delegate.asend = answer_again
    assert lone.asend(generator, 2) == ("second", 2)
    delegate.athrow = answer
    error = KeyError("thrown")
    assert lone.athrow(generator, error) == ("first", error)
    assert lone.anext(generator) == 1
    assert delegate.lookups == ["asend", "asend", "athrow"]
    lone.aclose(generator)
    assert delegate.lookups == ["asend", "asend", "athrow", "aclose"]


def test_aclose_added_to_the_instance_is_called(lone):
    delegate = Delegate()
    generator = delegating_to(lone, delegate)
    called = []

    async def close():
        called.append("closed")

    delegate.aclose = close
    assert lone.aclose(generator) is None
    assert called == ["closed"]


def test_anext_is_looked_up_on_the_type(lone):
    delegate = Delegate(2)

    async def never():
        raise AssertionError("the instance's __anext__ was called")

    delegate.__anext__ = never
    assert lone.items(delegating_to(lone, delegate)) == [1]


def test_athrow_gets_the_exception_as_its_one_argument(lone):
    calls = []
    delegate = Delegate()

    async def throw(*arguments, **keywords):
        calls.append((arguments, keywords))
        return "answer"

    delegate.athrow = throw
    generator = delegating_to(lone, delegate)
    error = ValueError("thrown")
    assert lone.athrow(generator, error) == "answer"
    assert calls == [((error,), {})]
    lone.aclose(generator)


def test_thrown_class_reaches_athrow_as_an_instance(lone):
    calls = []
    delegate = Delegate()

    async def throw(*arguments):
        calls.append(arguments)
        return "answer"

    delegate.athrow = throw
    generator = delegating_to(lone, delegate)
    assert lone.athrow(generator, ValueError) == "answer"
    (arguments,) = calls
    assert len(arguments) == 1 and type(arguments[0]) is ValueError
    lone.aclose(generator)


def test_asend_gets_the_value_as_its_one_argument(lone):
    calls = []
    delegate = Delegate()

    async def send(*arguments, **keywords):
        calls.append((arguments, keywords))

    delegate.asend = send
    generator = delegating_to(lone, delegate)
    assert lone.asend(generator, "value") is None
    assert calls == [(("value",), {})]


# --- what may be delegated to ---


def sync_generator():
    yield 1


class NoAiter:
    pass


class AiterIsNone:
    __aiter__ = None


class AiterGivesNonsense:
    def __aiter__(self):
        return 7


class AiterOnInstance:
    def __init__(self):
        self.__aiter__ = lambda: Delegate()


@pytest.mark.parametrize(
    "make",
    [
        lambda: [1],
        lambda: (),
        lambda: "text",
        lambda: 5,
        lambda: None,
        sync_generator,
        NoAiter,
        AiterIsNone,
        AiterGivesNonsense,
        AiterOnInstance,
    ],
    ids=[
        "list",
        "tuple",
        "str",
        "int",
        "None",
        "generator",
        "no-aiter",
        "aiter-None",
        "aiter-nonsense",
        "aiter-instance",
    ],
)
def test_what_is_not_async_iterable_is_refused_as_by_aiter(lone, make):
    log = []
    delegate = make()
    with pytest.raises(TypeError) as expected:
        aiter(delegate)

    @lone.outer
    async def wrapper():
        try:
            await yield_from_(delegate)
        except TypeError as error:
            log.append(str(error))
        await yield_("goes on")

    assert lone.items(wrapper()) == ["goes on"]
    (text,) = log
    if make is AiterGivesNonsense:
        # 3.15 words this one differently in C and in the builtin.
        assert "async iterator" in text
    else:
        assert text.startswith(str(expected.value))


def test_iterable_and_iterator_may_be_different_objects(lone):
    asked = []

    class Iterable:
        def __aiter__(self):
            asked.append(self)
            return Delegate(3)

        async def asend(self, value):
            raise AssertionError("operations belong to the iterator")

    iterable = Iterable()
    generator = delegating_to(lone, iterable)
    assert type(lone.raised(lone.asend, generator, 1)) is AttributeError
    assert asked == [iterable]


@types.coroutine
def generator_based(value):
    return value
    yield


class Awaitable:
    """The least an awaitable can be: `__await__` gives an iterator without send or throw."""

    def __init__(self, value):
        self.value = value

    def __await__(self):
        class Steps:
            def __iter__(self):
                return self

            def __next__(steps):
                raise StopIteration(self.value)

        return Steps()


class Future:
    def __init__(self, value):
        self.value = value

    def __await__(self):
        return self.value
        yield


@pytest.mark.parametrize("wrap", [generator_based, Awaitable, Future])
def test_any_awaitable_may_carry_the_items(lone, wrap):
    class Wrapping:
        def __init__(self):
            self.items = iter([0, (1, 2), StopIteration(3)])

        def __aiter__(self):
            return self

        def __anext__(self):
            for item in self.items:
                return wrap(item)
            raise StopAsyncIteration("at the call")

        def asend(self, value):
            return wrap(("sent", value))

    results = []
    generator = delegating_to(lone, Wrapping(), results)
    assert lone.anext(generator) == (1, 2)
    assert lone.asend(generator, 5) == ("sent", 5)
    if wrap is Awaitable:
        # Such an iterator cannot return a StopIteration instance: it would be taken for the end with that value.
        lone.anext(generator)
    else:
        assert type(lone.anext(generator)) is StopIteration
    lone.end(lone.anext, generator)
    assert results == ["at the call"]


@pytest.mark.parametrize(
    "operation, argument", [("__anext__", ()), ("asend", (1,)), ("athrow", (KeyError(),)), ("aclose", ())]
)
def test_operation_that_returns_no_awaitable_is_an_error_in_the_body(lone, operation, argument):
    class Bad(Delegate):
        asked = False

        def __anext__(self):
            if not self.asked:
                self.asked = True
                return Awaitable(0)
            return 5

    for name in ("asend", "athrow", "aclose"):
        setattr(Bad, name, lambda self, *arguments: 5)
    generator = delegating_to(lone, Bad())
    error = lone.raised(lone.finish, getattr(generator, operation)(*argument))
    assert type(error) is TypeError, error
    lone.assert_finished(generator)


# --- ends, values and exceptions of plain delegates ---


class Ending(StopAsyncIteration):
    """A subclass with a value of its own making."""

    @property
    def value(self):
        return ("computed", *self.args)


@pytest.mark.parametrize("operation, argument", [("__anext__", ()), ("asend", (1,)), ("athrow", (KeyError(),))])
@pytest.mark.parametrize("make", [lambda: StopAsyncIteration("v"), lambda: Ending("v"), lambda: StopAsyncIteration])
def test_stop_out_of_any_operation_ends_the_delegation_with_its_value(lone, operation, argument, make):
    async def stop(*arguments):
        raise make()

    results = []

    class Stopping(Delegate):
        async def __anext__(self):
            if self.next_item:
                raise make()
            self.next_item = 1
            return 0

    delegate = Stopping()
    delegate.asend = delegate.athrow = stop
    generator = delegating_to(lone, delegate, results)
    lone.end(lone.finish, getattr(generator, operation)(*argument))
    expected = {StopAsyncIteration: "v", Ending: ("computed", "v"), type: None}[type(make())]
    assert results == [expected]


def test_exception_without_athrow_is_raised_from_none(lone):
    seen = []
    thrown = ValueError("thrown")

    @lone.outer
    async def wrapper():
        try:
            await yield_from_(Delegate())
        except ValueError as error:
            seen.append((error, error.__context__, error.__cause__, error.__suppress_context__))
            await yield_("caught")

    generator = wrapper()
    lone.anext(generator)
    assert lone.athrow(generator, thrown) == "caught"
    ((error, context, cause, suppressed),) = seen
    assert error is thrown and cause is None and suppressed
    # Read literally, PEP 828 raises it while the failed lookup is being handled; an implementation need not show that.
    assert context is None or (type(context) is AttributeError and context.name == "athrow")
    lone.aclose(generator)


def test_missing_asend_is_an_error_that_the_body_can_handle(lone):
    log = []
    delegate = Delegate()

    @lone.outer
    async def wrapper():
        try:
            await yield_from_(delegate)
        except AttributeError as error:
            log.append(error)
        await yield_("goes on")

    generator = wrapper()
    assert lone.anext(generator) == 0
    assert lone.asend(generator, 1) == "goes on"
    assert log[0].name == "asend" and log[0].obj is delegate
    assert lone.anext(delegate) == 1  # the delegate was neither advanced nor closed
    lone.end(lone.anext, generator)


def test_stop_out_of_the_delegates_aclose_is_an_error(lone):
    delegate = Delegate()
    stop = StopAsyncIteration("from aclose")

    async def close():
        raise stop

    delegate.aclose = close
    generator = delegating_to(lone, delegate)
    error = lone.raised(lone.aclose, generator)
    assert type(error) is RuntimeError and str(error) == "async generator raised StopAsyncIteration"
    assert error.__cause__ is stop


def test_result_of_the_delegates_aclose_is_dropped(lone):
    delegate = Delegate()

    async def close():
        return "anything"

    delegate.aclose = close
    assert lone.aclose(delegating_to(lone, delegate)) is None


class Leaving(GeneratorExit):
    pass


@pytest.mark.parametrize("make", [GeneratorExit, Leaving])
def test_thrown_generator_exit_closes_the_delegate_and_goes_on_itself(kit, make):
    thrown = make("thrown")
    seen = []

    @kit.inner
    async def source():
        try:
            await yield_(1)
        except GeneratorExit as error:
            seen.append(error)
            raise

    @kit.outer
    async def wrapper():
        try:
            await yield_from_(source())
        except GeneratorExit as error:
            seen.append(error)
            await yield_("kept alive")
        await yield_("and on")

    generator = wrapper()
    kit.anext(generator)
    assert kit.athrow(generator, thrown) == "kept alive"
    assert type(seen[0]) is GeneratorExit and seen[0] is not thrown and seen[0].args == ()
    assert seen[1] is thrown and thrown.__context__ is None
    assert kit.anext(generator) == "and on"
    kit.aclose(generator)


def test_body_that_swallows_generator_exit_and_delegates_on_is_ignoring_it(kit):
    @kit.inner
    async def source(item):
        await yield_(item)

    @kit.outer
    async def wrapper():
        try:
            await yield_from_(source(1))
        except GeneratorExit:
            pass
        await yield_from_(source(2))

    generator = wrapper()
    assert kit.anext(generator) == 1
    error = kit.raised(kit.aclose, generator)
    assert type(error) is RuntimeError and str(error) == "async generator ignored GeneratorExit"


def test_body_may_swallow_what_its_delegate_raises_on_closing(kit):
    @kit.inner
    async def source():
        try:
            await yield_(1)
        finally:
            raise KeyError("cleanup")

    @kit.outer
    async def wrapper():
        try:
            await yield_from_(source())
        except KeyError:
            return

    generator = wrapper()
    kit.anext(generator)
    assert kit.aclose(generator) is None
    kit.assert_finished(generator)


def test_delegate_is_not_closed_when_it_raised_by_itself(lone):
    delegate = Delegate()
    closed = []

    async def close():
        closed.append(True)

    async def fail(value):
        raise KeyError(value)

    delegate.aclose = close
    delegate.asend = fail
    generator = delegating_to(lone, delegate)
    assert type(lone.raised(lone.asend, generator, 1)) is KeyError
    assert closed == []


def test_body_catches_and_delegates_again(kit):
    @kit.inner
    async def failing(item):
        await yield_(item)
        raise KeyError(item)

    @kit.outer
    async def wrapper():
        for number in range(3):
            try:
                await yield_from_(failing(number))
            except KeyError as error:
                await yield_(("failed", *error.args))

    assert kit.items(wrapper()) == [0, ("failed", 0), 1, ("failed", 1), 2, ("failed", 2)]


def test_stop_iteration_thrown_into_a_delegate_written_in_native_syntax(kit):
    if kit.inner_kind.name not in ("native", "syntax"):
        pytest.skip(
            "at an `await yield_()` the interpreter turns a StopIteration into a RuntimeError; see the next test"
        )
    seen = []

    @kit.inner
    async def source():
        try:
            await yield_(1)
        except StopIteration as error:
            seen.append(error)
        await yield_(2)

    @kit.outer
    async def wrapper():
        await yield_from_(source())

    generator = wrapper()
    kit.anext(generator)
    thrown = StopIteration("thrown")
    assert kit.athrow(generator, thrown) == 2
    assert seen == [thrown]
    kit.aclose(generator)


def test_stop_iteration_thrown_into_a_delegate_is_never_a_result(kit):
    seen = []

    @kit.inner
    async def source():
        try:
            received = await yield_(1)
        except StopIteration as error:
            seen.append(error)
        except RuntimeError as error:
            seen.append(error.__cause__)
        else:
            seen.append(("received", received))
        await yield_(2)

    @kit.outer
    async def wrapper():
        await yield_from_(source())

    generator = wrapper()
    kit.anext(generator)
    thrown = StopIteration("thrown")
    assert kit.athrow(generator, thrown) == 2
    assert seen == [thrown]
    kit.aclose(generator)


# --- who else holds the delegate ---


@pytest.fixture
def counting(kit):
    @kit.inner
    async def count(stop=5):
        for number in range(stop):
            await yield_(number)
        return "counted"

    return count


@pytest.fixture
def wrapper(kit):
    @kit.outer
    async def wrapper(delegate, log):
        result = await yield_from_(delegate)
        log.append(result)

    return wrapper


def test_generator_that_delegates_to_itself(kit):
    @kit.outer
    async def wrapper():
        await yield_(1)
        await yield_from_(generator)

    generator = wrapper()
    assert kit.anext(generator) == 1
    error = kit.raised(kit.anext, generator)
    assert isinstance(error, RuntimeError) and "already running" in str(error)
    kit.assert_finished(generator)


def test_generator_may_catch_that_it_delegates_to_itself(kit):
    @kit.outer
    async def wrapper():
        try:
            await yield_from_(generator)
        except RuntimeError as error:
            await yield_(str(error))
        await yield_("and on")

    generator = wrapper()
    assert kit.items(generator) == ["anext(): asynchronous generator is already running", "and on"]


def test_exhausted_delegate(kit, counting, wrapper):
    delegate = counting()
    kit.items(delegate)
    log = []
    assert kit.items(wrapper(delegate, log)) == []
    assert log == [None]


def test_closed_delegate(kit, counting, wrapper):
    delegate = counting()
    kit.anext(delegate)
    kit.aclose(delegate)
    log = []
    assert kit.items(wrapper(delegate, log)) == []
    assert log == [None]


def test_partly_consumed_delegate(kit, counting, wrapper):
    delegate = counting()
    assert [kit.anext(delegate), kit.anext(delegate)] == [0, 1]
    log = []
    assert kit.items(wrapper(delegate, log)) == [2, 3, 4]
    assert log == [kit.returned("counted")]


def test_delegate_advanced_by_somebody_else(kit, counting, wrapper):
    delegate = counting()
    log = []
    generator = wrapper(delegate, log)
    assert kit.anext(generator) == 0
    assert kit.anext(delegate) == 1
    assert kit.anext(generator) == 2
    assert kit.anext(delegate) == 3
    assert kit.anext(generator) == 4
    kit.end(kit.anext, generator)
    assert log == [kit.returned("counted")]


def test_delegate_exhausted_by_somebody_else(kit, counting, wrapper):
    delegate = counting()
    log = []
    generator = wrapper(delegate, log)
    kit.anext(generator)
    assert kit.items(delegate) == [1, 2, 3, 4]
    kit.end(kit.anext, generator)
    assert log == [None]  # somebody else had the value


@pytest.mark.parametrize("operation", ["anext", "asend", "athrow", "aclose"])
def test_delegate_closed_by_somebody_else(kit, counting, wrapper, operation):
    delegate = counting()
    log = []
    generator = wrapper(delegate, log)
    kit.anext(generator)
    kit.aclose(delegate)
    if operation == "anext":
        kit.end(kit.anext, generator)
    elif operation == "asend":
        kit.end(kit.asend, generator, 1)
    elif operation == "athrow":
        # athrow on a closed generator answers None: that is an item for the one who delegates.
        assert kit.athrow(generator, KeyError()) is None
        kit.end(kit.anext, generator)
    else:
        kit.aclose(generator)
        assert log == []
        return
    assert log == [None]


def test_exception_thrown_into_the_delegate_by_somebody_else(kit, counting, wrapper):
    delegate = counting()
    log = []
    generator = wrapper(delegate, log)
    kit.anext(generator)
    assert type(kit.raised(kit.athrow, delegate, KeyError())) is KeyError
    kit.end(kit.anext, generator)
    assert log == [None]


def test_one_delegate_in_two_generators_at_once(kit, counting, wrapper):
    delegate = counting(6)
    first_log, second_log = [], []
    first, second = wrapper(delegate, first_log), wrapper(delegate, second_log)
    items = []
    for _ in range(3):
        items.append(kit.anext(first))
        items.append(kit.anext(second))
    assert items == [0, 1, 2, 3, 4, 5]
    kit.end(kit.anext, first)
    kit.end(kit.anext, second)
    assert first_log == [kit.returned("counted")] and second_log == [None]


def test_one_of_two_generators_closes_the_delegate_of_both(kit, counting, wrapper):
    delegate = counting()
    log = []
    first, second = wrapper(delegate, log), wrapper(delegate, log)
    assert [kit.anext(first), kit.anext(second)] == [0, 1]
    kit.aclose(first)
    kit.end(kit.anext, second)
    assert log == [None]


def test_one_of_two_generators_is_dropped(kit, counting, wrapper):
    delegate = counting()
    first_log, second_log = [], []
    first, second = wrapper(delegate, first_log), wrapper(delegate, second_log)
    assert [kit.anext(first), kit.anext(second)] == [0, 1]
    del first
    gc.collect()
    # A dropped generator closes its delegate, whoever else uses it.
    kit.end(kit.anext, second)
    assert second_log == [None] and first_log == []


def test_delegate_that_runs_elsewhere_is_refused(kit, wrapper):
    @kit.inner
    async def source():
        await trap("busy")
        await yield_(1)
        await yield_(2)

    delegate = source()
    elsewhere = delegate.__anext__().__await__()
    assert elsewhere.send(None) == "busy"
    log = []
    generator = wrapper(delegate, log)
    error = kit.raised(kit.anext, generator)
    assert isinstance(error, RuntimeError) and str(error) == "anext(): asynchronous generator is already running"
    with pytest.raises(StopIteration) as item:
        elsewhere.send(None)
    assert item.value.value == 1
    assert kit.items(delegate) == [2]


@pytest.mark.parametrize("operation", ["anext", "asend", "athrow", "aclose"])
def test_delegate_that_begins_to_run_elsewhere_between_items(kit, wrapper, operation):
    @kit.inner
    async def source():
        await yield_(0)
        await trap("busy")
        await yield_(1)
        await yield_(2)

    delegate = source()
    log = []
    generator = wrapper(delegate, log)
    assert kit.anext(generator) == 0
    elsewhere = delegate.__anext__().__await__()
    assert elsewhere.send(None) == "busy"
    argument = {"asend": (5,), "athrow": (KeyError("thrown"),)}.get(operation, ())
    error = kit.raised(getattr(kit, operation), generator, *argument)
    assert isinstance(error, RuntimeError), error
    name = {"asend": "anext"}.get(operation, operation)
    assert str(error) == f"{name}(): asynchronous generator is already running"
    kit.assert_finished(generator)
    with pytest.raises(StopIteration) as item:
        elsewhere.send(None)
    assert item.value.value == 1
    assert kit.items(delegate) == [2]


def test_delegate_used_by_the_body_that_delegated_to_it(kit, counting):
    @kit.outer
    async def wrapper(delegate):
        await yield_(await anext(delegate))
        try:
            await yield_from_(delegate)
        except KeyError:
            pass
        await yield_(await anext(delegate, "over"))

    delegate = counting()
    generator = wrapper(delegate)
    assert [kit.anext(generator), kit.anext(generator)] == [0, 1]
    assert kit.athrow(generator, KeyError()) == "over"
    kit.aclose(generator)


def test_outer_generator_cannot_be_advanced_from_inside_the_delegate(kit):
    errors = []

    @kit.inner
    async def source():
        for name, argument in (("__anext__", ()), ("asend", (1,)), ("athrow", (KeyError(),)), ("aclose", ())):
            try:
                await getattr(generator, name)(*argument)
            except RuntimeError as error:
                errors.append(str(error))
            await yield_(name)

    @kit.outer
    async def wrapper():
        await yield_from_(source())

    generator = wrapper()
    assert kit.items(generator) == ["__anext__", "asend", "athrow", "aclose"]
    assert errors == [
        f"{name}(): asynchronous generator is already running" for name in ("anext", "anext", "athrow", "aclose")
    ]


def test_first_operation_may_not_send_a_value(kit, counting, wrapper):
    generator = wrapper(counting(), [])
    error = kit.raised(kit.asend, generator, 1)
    assert type(error) is TypeError
    assert str(error) == "can't send non-None value to a just-started async generator"
    assert kit.items(generator) == [0, 1, 2, 3, 4]


# --- traps ---


def test_traps_of_the_delegate_reach_the_driver_and_are_answered(kit):
    log = []

    @kit.inner
    async def source():
        log.append(await trap("first trap"))
        log.append(await yield_("item"))
        log.append(await trap("second trap"))
        return "value"

    @kit.outer
    async def wrapper():
        result = await yield_from_(source())
        log.append(result)

    generator = wrapper()
    step = generator.__anext__().__await__()
    assert step.send(None) == "first trap"
    with pytest.raises(StopIteration) as item:
        step.send("first answer")
    assert item.value.value == "item"
    step = generator.asend("sent").__await__()
    assert step.send(None) == "second trap"
    with pytest.raises(StopAsyncIteration):
        step.send("second answer")
    assert log == ["first answer", "sent", "second answer", kit.returned("value")]


def test_exception_thrown_at_a_trap_goes_to_the_await_and_not_to_athrow(lone):
    log = []

    class Trapping(Delegate):
        async def __anext__(self):
            try:
                await trap("trap")
            except KeyError as error:
                log.append(error)
            return "item"

        async def athrow(self, error):
            raise AssertionError("athrow was called")

    @lone.outer
    async def wrapper():
        await yield_from_(Trapping())

    generator = wrapper()
    step = generator.__anext__().__await__()
    assert step.send(None) == "trap"
    error = KeyError("at the trap")
    with pytest.raises(StopIteration) as item:
        step.throw(error)
    assert item.value.value == "item"
    assert log == [error]
    lone.aclose(generator)


@pytest.mark.parametrize("swallow", [False, True])
def test_exception_thrown_at_a_trap_of_the_delegate(kit, swallow):
    log = []

    @kit.inner
    async def source():
        try:
            await trap("trap")
        except KeyError as error:
            log.append(("source", error))
            if not swallow:
                raise
        await yield_("item")

    @kit.outer
    async def wrapper():
        try:
            await yield_from_(source())
        except KeyError as error:
            log.append(("wrapper", error))
            raise

    generator = wrapper()
    step = generator.__anext__().__await__()
    assert step.send(None) == "trap"
    error = KeyError("at the trap")
    if swallow:
        with pytest.raises(StopIteration) as item:
            step.throw(error)
        assert item.value.value == "item"
        assert log == [("source", error)]
        kit.aclose(generator)
    else:
        with pytest.raises(KeyError) as raised:
            step.throw(error)
        assert raised.value is error
        assert log == [("source", error), ("wrapper", error)]


def test_cleanup_of_the_delegate_may_await(kit):
    log = []

    @kit.inner
    async def source():
        try:
            await yield_(1)
        finally:
            log.append(await trap("cleanup of source"))

    @kit.outer
    async def wrapper():
        try:
            await yield_from_(source())
        finally:
            log.append(await trap("cleanup of wrapper"))

    generator = wrapper()
    kit.anext(generator)
    step = generator.aclose().__await__()
    assert step.send(None) == "cleanup of source"
    assert kit.running(generator)
    assert step.send("one") == "cleanup of wrapper"
    with pytest.raises(StopIteration) as end:
        step.send("two")
    assert end.value.value is None
    assert log == ["one", "two"]
    assert not kit.running(generator)
    kit.assert_finished(generator)


def test_handler_of_the_delegate_may_await_and_yield(kit):
    @kit.inner
    async def source():
        try:
            await yield_(1)
        except KeyError:
            answer = await trap("handling")
            await yield_(answer)

    @kit.outer
    async def wrapper():
        await yield_from_(source())

    generator = wrapper()
    kit.anext(generator)
    step = generator.athrow(KeyError()).__await__()
    assert step.send(None) == "handling"
    with pytest.raises(StopIteration) as item:
        step.send("handled")
    assert item.value.value == "handled"
    kit.end(kit.anext, generator)


# --- handled exceptions ---


def test_exception_that_the_delegating_body_handles_is_seen_by_the_delegate(kit):
    seen = []

    @kit.inner
    async def source():
        seen.append(sys.exc_info()[1])
        await yield_(1)
        seen.append(sys.exc_info()[1])
        try:
            raise IndexError("in source")
        except IndexError as own:
            seen.append(own.__context__)
            await yield_(2)
            seen.append(sys.exc_info()[1])
        seen.append(sys.exc_info()[1])

    @kit.outer
    async def wrapper(error):
        try:
            raise error
        except KeyError:
            await yield_from_(source())
            seen.append(sys.exc_info()[1])

    error = KeyError("in wrapper")
    generator = wrapper(error)
    assert kit.anext(generator) == 1
    assert sys.exc_info()[1] is None
    assert kit.items(generator) == [2]
    own = seen.pop(3)
    assert type(own) is IndexError and seen == [error] * 5


def test_exception_that_the_consumer_handles_is_seen_by_the_delegate(kit):
    seen = []

    @kit.inner
    async def source():
        seen.append(sys.exc_info()[1])
        await yield_(1)
        seen.append(sys.exc_info()[1])
        await yield_(2)

    @kit.outer
    async def wrapper():
        await yield_from_(source())

    error = KeyError("of the consumer")
    generator = wrapper()
    try:
        raise error
    except KeyError:
        kit.anext(generator)
    kit.anext(generator)
    assert seen == [error, None]
    kit.aclose(generator)


def test_delegate_suspended_in_its_own_handler_does_not_disturb_the_others(kit):
    seen = []

    @kit.inner
    async def source():
        try:
            raise IndexError("of source")
        except IndexError:
            await yield_(1)
            seen.append(type(sys.exc_info()[1]))

    @kit.outer
    async def wrapper():
        try:
            await yield_from_(source())
        finally:
            seen.append(sys.exc_info()[1])
        raise ValueError("of wrapper")

    generator = wrapper()
    kit.anext(generator)
    assert sys.exc_info()[1] is None
    error = kit.raised(kit.anext, generator)
    assert seen == [IndexError, None]
    assert type(error) is ValueError and context_chain(error) == []


def test_new_exception_of_the_body_has_the_delegates_as_context(kit):
    @kit.inner
    async def source():
        await yield_(1)
        raise IndexError("of source")

    @kit.outer
    async def wrapper():
        try:
            await yield_from_(source())
        except IndexError:
            raise ValueError("of wrapper")  # noqa: B904

    generator = wrapper()
    kit.anext(generator)
    error = kit.raised(kit.anext, generator)
    assert type(error) is ValueError
    assert [type(e) for e in context_chain(error)] == [IndexError]


def test_exception_of_the_delegate_has_what_the_body_handles_as_context(kit):
    @kit.inner
    async def source():
        await yield_(1)
        raise IndexError("of source")

    @kit.outer
    async def wrapper():
        try:
            raise KeyError("of wrapper")
        except KeyError:
            await yield_from_(source())

    generator = wrapper()
    kit.anext(generator)
    error = kit.raised(kit.anext, generator)
    assert type(error) is IndexError
    assert [type(e) for e in context_chain(error)] == [KeyError]


# --- hooks ---


def unwrapped(generators):
    return [getattr(generator, "native", generator) for generator in generators]


def test_firstiter_is_called_for_the_delegating_generator_and_then_for_the_delegate(kit, hooks):
    @kit.inner
    async def source():
        await yield_(1)

    @kit.outer
    async def wrapper(delegate):
        await yield_from_(delegate)

    delegate = source()
    generator = wrapper(delegate)
    kit.items(generator)
    assert hooks.begun == unwrapped([generator, delegate])
    assert hooks.dropped == []


def test_firstiter_is_not_called_again_for_a_started_delegate(kit, hooks):
    @kit.inner
    async def source():
        await yield_(1)
        await yield_(2)

    @kit.outer
    async def wrapper(delegate):
        await yield_from_(delegate)

    delegate = source()
    kit.anext(delegate)
    generator = wrapper(delegate)
    assert kit.items(generator) == [2]
    assert hooks.begun == unwrapped([delegate, generator])


def test_error_of_firstiter_for_the_delegate_is_raised_in_the_delegating_body(kit, hooks):
    @kit.inner
    async def source():
        await yield_("item")

    @kit.outer
    async def wrapper(delegate):
        try:
            await yield_from_(delegate)
        except LookupError as error:
            await yield_(error.args)
        await yield_from_(delegate)

    delegate = source()
    generator = wrapper(delegate)

    def refuse(begun):
        if begun is unwrapped([delegate])[0]:
            raise LookupError("refused")

    sys.set_asyncgen_hooks(firstiter=refuse, finalizer=hooks.dropped.append)
    assert kit.items(generator) == [("refused",), "item"]


def test_finalizer_gets_the_dropped_generator_and_may_close_the_whole_chain(kit, hooks):
    log = []

    @kit.inner
    async def source():
        try:
            await yield_(1)
        finally:
            log.append("source")

    @kit.outer
    async def wrapper():
        try:
            await yield_from_(source())
        finally:
            log.append("wrapper")

    generator = wrapper()
    kit.anext(generator)
    begun = list(hooks.begun)
    hooks.begun.clear()
    assert len(begun) == 2
    root = begun.pop(0)
    begun.clear()
    if root is generator:
        del generator, root
    else:
        del generator
        root = None
    gc.collect()
    assert len(hooks.dropped) == 1 and log == []
    kit.aclose(hooks.dropped.pop())
    assert log == ["source", "wrapper"]
    gc.collect()
    assert hooks.dropped == []


def test_generator_dropped_without_hooks_closes_its_delegate(kit):
    log = []

    @kit.inner
    async def source():
        try:
            await yield_(1)
        finally:
            log.append("source")

    @kit.outer
    async def wrapper():
        try:
            await yield_from_(source())
        finally:
            log.append("wrapper")

    generator = wrapper()
    kit.anext(generator)
    del generator
    gc.collect()
    assert log == ["source", "wrapper"]


# --- the awaitable that yield_from_() returns ---

plain = Kit("coroutine", "native", "by_await")


def test_argument_may_be_given_by_its_name():
    @package.async_generator
    async def source():
        await yield_(1)

    @package.async_generator
    async def wrapper():
        await yield_from_(delegate=source())

    assert plain.items(wrapper()) == [1]


def test_nothing_happens_before_the_await():
    log = []

    class Asked(Delegate):
        def __aiter__(self):
            log.append("aiter")
            return self

    @package.async_generator
    async def wrapper():
        delegation = yield_from_(Asked(2))
        refused = yield_from_(5)
        log.append("made")
        await delegation
        try:
            await refused
        except TypeError:
            log.append("refused")

    assert plain.items(wrapper()) == [0, 1]
    assert log == ["made", "aiter", "refused"]


def test_delegation_that_is_never_awaited_gives_a_warning():
    with pytest.warns(RuntimeWarning, match="'yield_from_' was never awaited"):
        yield_from_(Delegate())
        gc.collect()


def test_awaited_delegation_gives_no_warning():
    @package.async_generator
    async def wrapper():
        await yield_from_(Delegate(2))

    generator = wrapper()
    assert plain.anext(generator) == 0
    del generator
    gc.collect()  # any warning is an error


def test_delegation_cannot_be_awaited_twice():
    errors = []

    @package.async_generator
    async def wrapper():
        delegation = yield_from_(Delegate(2))
        await delegation
        try:
            await delegation
        except RuntimeError as error:
            errors.append(str(error))
        await yield_("goes on")

    assert plain.items(wrapper()) == [0, 1, "goes on"]
    assert len(errors) == 1 and errors[0].startswith("cannot reuse already awaited")


def test_wrong_number_of_arguments():
    with pytest.raises(TypeError):
        yield_from_()
    with pytest.raises(TypeError):
        yield_from_(1, 2)


def test_delegation_outside_any_generator_says_what_to_do():
    async def lost():
        await yield_from_(Delegate())

    coroutine = lost()
    with pytest.raises(RuntimeError) as error:
        # A loop answers an object that it does not know with an exception; a driver that answers None is refused too.
        leaked = coroutine.send(None)
        coroutine.throw(RuntimeError(f"Task got bad yield: {leaked!r}"))
    assert "async_generator" in str(error.value) and "yield_from_" in str(error.value)
