"""close() and throw() of the awaitables themselves, as tasks and other awaits use them. Rules 35 to 39."""

import sys
import types
import warnings

import pytest
from driving import Hold, finished, outcome, run, suspend, trap

OPERATIONS = {
    "anext": lambda generator: generator.__anext__(),
    "asend": lambda generator: generator.asend(None),
    "athrow": lambda generator: generator.athrow(KeyError()),
    "aclose": lambda generator: generator.aclose(),
}


def recording(implementation, seen, *, answer=None):
    """Yields 1; records what is thrown in; then yields `answer`, or raises on when there is none."""

    @implementation
    async def body():
        try:
            yield 1
        except BaseException as error:
            seen.append(error)
            if answer is None:
                raise
            yield answer

    return body()


# --- rule 35 ---


@pytest.mark.parametrize("operation", OPERATIONS)
def test_closing_a_fresh_awaitable_of_a_suspended_generator_throws_generator_exit(implementation, operation):
    seen = []
    generator = recording(implementation, seen)
    run(generator.__anext__())
    awaiting = OPERATIONS[operation](generator)
    assert awaiting.close() is None
    if implementation.since(3, 13):
        assert [type(error) for error in seen] == [GeneratorExit]  # rule 35
        assert finished(generator)
    else:
        assert not seen  # rule 35: only the awaitable is closed
        assert finished(generator)
    with pytest.raises(RuntimeError, match="cannot reuse already awaited"):
        awaiting.send(None)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_closing_a_fresh_awaitable_of_an_unstarted_generator_finishes_it(implementation, operation):
    seen = []
    generator = recording(implementation, seen)
    assert OPERATIONS[operation](generator).close() is None
    assert not seen
    if implementation.since(3, 13):
        assert generator.ag_frame is None  # rule 35
        assert finished(generator)
    else:
        assert run(generator.__anext__()) == 1
        run(generator.aclose())


@pytest.mark.parametrize("operation", ["anext", "asend", "athrow"])
def test_an_item_yielded_to_the_close_of_a_fresh_awaitable_is_dropped(implementation, operation):
    if not implementation.since(3, 13):
        pytest.skip("native leaves the body alone up to 3.12 (rule 35)")
    seen = []
    generator = recording(implementation, seen, answer="dropped")
    run(generator.__anext__())
    assert (
        OPERATIONS[operation](generator).close() is None
    )  # rule 35: an item ends the awaitable, so there is nothing to refuse
    assert [type(error) for error in seen] == [GeneratorExit]
    assert generator.ag_running is False
    assert generator.ag_frame is not None
    assert finished(generator)


def test_an_item_yielded_to_the_close_of_a_fresh_aclose_is_an_error(implementation):
    if not implementation.since(3, 13):
        pytest.skip("native leaves the body alone up to 3.12 (rule 35)")
    seen = []
    generator = recording(implementation, seen, answer="ignored")
    run(generator.__anext__())
    with pytest.raises(RuntimeError, match="(?m)^async generator ignored GeneratorExit$"):
        generator.aclose().close()  # rules 35, 46
    assert [type(error) for error in seen] == [GeneratorExit]
    assert generator.ag_running is False
    outcome(run, generator.aclose())


@pytest.mark.parametrize("operation", OPERATIONS)
def test_closing_a_fresh_awaitable_is_refused_when_the_body_awaits(implementation, operation):
    if not implementation.since(3, 13):
        pytest.skip("native leaves the body alone up to 3.12 (rule 35)")

    @implementation
    async def body():
        try:
            yield 1
        finally:
            await trap()

    generator = body()
    run(generator.__anext__())
    awaiting = OPERATIONS[operation](generator)
    with pytest.raises(RuntimeError, match="coroutine ignored GeneratorExit"):
        awaiting.close()  # rule 35
    outcome(awaiting.close)
    outcome(run, generator.aclose())


@pytest.mark.parametrize("operation", OPERATIONS)
def test_closing_a_fresh_awaitable_passes_other_errors(implementation, operation):
    if not implementation.since(3, 13):
        pytest.skip("native leaves the body alone up to 3.12 (rule 35)")

    @implementation
    async def body():
        try:
            yield 1
        finally:
            raise ArithmeticError

    generator = body()
    run(generator.__anext__())
    with pytest.raises(ArithmeticError):
        OPERATIONS[operation](generator).close()  # rule 35
    assert finished(generator)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_closing_a_fresh_awaitable_of_a_finished_generator_does_nothing(implementation, operation):
    generator = recording(implementation, [])
    run(generator.aclose())
    assert OPERATIONS[operation](generator).close() is None
    assert finished(generator)


# --- rule 36 ---


@pytest.mark.parametrize("operation", ["anext", "asend"])
def test_a_throw_into_a_fresh_step_reaches_the_body(implementation, operation):
    seen = []
    error = KeyError("thrown")
    generator = recording(implementation, seen, answer="caught")
    run(generator.__anext__())
    assert outcome(OPERATIONS[operation](generator).throw, error) == ("done", "caught")  # rule 36
    assert seen == [error]
    assert generator.ag_running is False
    assert finished(generator)


def test_the_value_of_an_asend_is_lost_by_a_throw(implementation):
    received = []

    @implementation
    async def body():
        try:
            received.append((yield 1))
        except KeyError:
            received.append((yield 2))

    generator = body()
    run(generator.__anext__())
    assert outcome(generator.asend("lost").throw, KeyError()) == ("done", 2)  # rule 36
    run(generator.aclose())
    assert received == []


@pytest.mark.parametrize("operation", ["anext", "asend", "athrow"])
def test_a_throw_into_a_fresh_awaitable_of_an_unstarted_generator_finishes_it(implementation, operation):
    seen = []
    error = ArithmeticError()
    generator = recording(implementation, seen)
    with pytest.raises(ArithmeticError) as raised:
        OPERATIONS[operation](generator).throw(error)
    assert raised.value is error
    assert not seen
    assert generator.ag_running is False
    assert finished(generator)


def test_a_throw_into_a_suspended_step_reaches_what_the_body_awaits(implementation):
    hold = Hold()
    error = KeyError()

    @implementation
    async def body():
        try:
            await hold
        except KeyError:
            yield "caught"

    generator = body()
    awaiting = generator.__anext__()
    suspend(awaiting)
    assert outcome(awaiting.throw, error) == ("done", "caught")
    assert hold.seen == [error]
    assert generator.ag_running is False
    run(generator.aclose())


def test_a_throw_answered_with_an_await_goes_on(implementation):
    @implementation
    async def body():
        try:
            await trap("first")
        except KeyError:
            yield await trap("second")

    generator = body()
    awaiting = generator.__anext__()
    assert suspend(awaiting) == "first"
    assert awaiting.throw(KeyError()) == "second"
    assert generator.ag_running is True
    assert outcome(awaiting.send, "answer") == ("done", "answer")
    run(generator.aclose())


# --- rule 37 ---


def test_a_throw_into_a_fresh_aclose_that_the_body_answers_with_an_item_is_an_error(implementation):
    generator = recording(implementation, [], answer="ignored")
    run(generator.__anext__())
    with pytest.raises(RuntimeError, match="(?m)^async generator ignored GeneratorExit$"):
        generator.aclose().throw(KeyError())  # rule 37
    outcome(run, generator.aclose())


@pytest.mark.parametrize("error", [GeneratorExit()], ids=repr)
def test_a_throw_of_an_exit_into_a_fresh_aclose_completes_it(implementation, error):
    seen = []
    generator = recording(implementation, seen)
    run(generator.__anext__())
    assert outcome(generator.aclose().throw, error) == ("done", None)  # rule 37
    assert seen == [error]
    assert finished(generator)


def test_a_throw_of_another_error_into_a_fresh_aclose_is_raised(implementation):
    seen = []
    error = KeyError()
    generator = recording(implementation, seen)
    run(generator.__anext__())
    with pytest.raises(KeyError) as raised:
        generator.aclose().throw(error)
    assert raised.value is error
    assert seen == [error]
    assert finished(generator)


def test_a_cancelled_aclose_leaves_the_cleanup_to_the_body(implementation):
    class Cancelled(BaseException):
        pass

    done = []

    @implementation
    async def body():
        try:
            yield
        finally:
            try:
                await trap()
            except Cancelled:
                done.append("cancelled")
                raise

    generator = body()
    run(generator.__anext__())
    closing = generator.aclose()
    suspend(closing)
    with pytest.raises(Cancelled):
        closing.throw(Cancelled())
    assert done == ["cancelled"]
    if implementation.since(3, 13):
        assert generator.ag_running is False
        assert finished(generator)
    else:
        assert generator.ag_running is True  # stuck


# --- rule 38 ---


@pytest.mark.parametrize("operation", OPERATIONS)
def test_throw_needs_an_argument(implementation, operation):
    generator = recording(implementation, [])
    warnings.simplefilter("ignore", DeprecationWarning)  # native 3.12+ counts four arguments as the old form
    for arguments in ((), (KeyError, KeyError(), None, None)):
        awaiting = OPERATIONS[operation](generator)
        with pytest.raises(TypeError):
            awaiting.throw(*arguments)  # rule 38
        outcome(run, awaiting)
    outcome(run, generator.aclose())


@pytest.mark.parametrize("operation", ["anext", "asend", "athrow"])
def test_throw_takes_the_old_three_arguments(implementation, operation):
    seen = []
    generator = recording(implementation, seen, answer="caught")
    run(generator.__anext__())
    awaiting = OPERATIONS[operation](generator)
    if sys.version_info >= (3, 12):
        with pytest.warns(
            DeprecationWarning,
            match=r"the \(type, exc, tb\) signature of throw\(\) is deprecated, use the single-arg signature instead.",
        ):
            result = outcome(awaiting.throw, KeyError, KeyError("old"), None)  # rule 38
    else:
        result = outcome(awaiting.throw, KeyError, KeyError("old"), None)
    assert result == ("done", "caught")
    assert [error.args for error in seen] == [("old",)]
    run(generator.aclose())


@pytest.mark.parametrize(
    "thrown, type_, args",
    [(KeyError, KeyError, ()), (KeyError("instance"), KeyError, ("instance",))],
    ids=["class", "instance"],
)
def test_throw_takes_a_class_or_an_instance(implementation, thrown, type_, args):
    seen = []
    generator = recording(implementation, seen, answer="caught")
    run(generator.__anext__())
    assert outcome(generator.__anext__().throw, thrown) == ("done", "caught")
    (error,) = seen
    assert type(error) is type_ and error.args == args
    run(generator.aclose())


@pytest.mark.without(
    "undecorated", reason="native hands the argument to the inner awaitable, whose TypeError the body sees"
)
@pytest.mark.parametrize("thrown", [5, "text", int, None])
def test_throw_of_what_is_no_exception_does_not_touch_the_body(implementation, thrown):
    seen = []
    generator = recording(implementation, seen)
    run(generator.__anext__())
    awaiting = generator.__anext__()
    with pytest.raises(TypeError, match="exceptions must be classes or instances deriving from BaseException, not "):
        awaiting.throw(thrown)
    assert not seen
    assert generator.ag_running is False
    outcome(run, generator.aclose())


# --- rule 39 ---


class Inner:
    """An awaitable that records how it is called."""

    def __init__(self):
        self.calls = []

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        return "suspended"

    def send(self, value):
        self.calls.append(("send", value))
        return "suspended"

    def throw(self, *arguments):
        self.calls.append(("throw", *arguments))
        raise arguments[0]

    def close(self):
        self.calls.append(("close",))


def awaiting_inner(implementation):
    inner = Inner()

    @implementation
    async def body():
        await inner
        yield

    generator = body()
    awaiting = generator.__anext__()
    assert suspend(awaiting) == "suspended"
    return inner, generator, awaiting


def test_generator_exit_closes_what_the_body_awaits(implementation):
    inner, generator, awaiting = awaiting_inner(implementation)
    error = GeneratorExit()
    with pytest.raises(GeneratorExit) as raised:
        awaiting.throw(error)
    assert raised.value is error
    assert inner.calls == [("close",)]  # rule 39


def test_closing_the_awaitable_closes_what_the_body_awaits(implementation):
    inner, generator, awaiting = awaiting_inner(implementation)
    awaiting.close()
    if implementation.since(3, 13):
        assert inner.calls == [("close",)]  # rule 39
    else:
        assert not inner.calls  # rule 33


@pytest.mark.parametrize("thrown", [KeyError, KeyError("instance")], ids=["class", "instance"])
def test_other_exceptions_are_thrown_on_with_the_arguments_given(implementation, thrown):
    inner, generator, awaiting = awaiting_inner(implementation)
    with pytest.raises(KeyError):
        awaiting.throw(thrown)
    ((name, *arguments),) = inner.calls
    assert name == "throw"
    assert len(arguments) == 1  # rule 39
    assert arguments[0] is thrown or (implementation.ours and isinstance(arguments[0], KeyError))


def test_values_are_sent_on_to_what_the_body_awaits(implementation):
    inner, generator, awaiting = awaiting_inner(implementation)
    assert awaiting.send("x") == "suspended"
    assert inner.calls == [("send", "x")]
    awaiting.close()


def test_an_inner_awaitable_without_throw_is_no_obstacle(implementation):
    class Bare:
        def __await__(self):
            return self

        def __iter__(self):
            return self

        def __next__(self):
            return "suspended"

    @implementation
    async def body():
        try:
            await Bare()
        except KeyError:
            yield "caught"

    generator = body()
    awaiting = generator.__anext__()
    assert suspend(awaiting) == "suspended"
    assert outcome(awaiting.throw, KeyError()) == ("done", "caught")
    run(generator.aclose())


def test_an_error_of_the_inner_awaitable_is_the_bodys_to_catch(implementation):
    @types.coroutine
    def failing():
        yield "suspended"
        raise KeyError("inner")

    @implementation
    async def body():
        try:
            await failing()
        except KeyError as error:
            yield error.args

    generator = body()
    assert run(generator.__anext__()) == ("inner",)
    run(generator.aclose())


def test_a_coroutine_that_awaits_the_awaitable_is_transparent(implementation):
    """Values, exceptions and closing pass through an `await` of ours exactly as through native's."""
    log = []

    @implementation
    async def body():
        try:
            log.append(await trap("one"))
            log.append(await trap("two"))
        except KeyError as error:
            log.append(error.args)
        try:
            yield "item"
        finally:
            log.append("closed")

    async def consumer(generator):
        item = await generator.__anext__()
        log.append(item)
        return await generator.aclose()

    coroutine = consumer(body())
    assert coroutine.send(None) == "one"
    assert coroutine.send("answer") == "two"
    assert outcome(coroutine.throw, KeyError("k")) == ("done", None)
    assert log == ["answer", ("k",), "item", "closed"]
