"""One operation at a time. Rules 27 to 34, and the dropped operation that must not lock the generator."""

import gc
import warnings

import pytest
from driving import Hold, finished, outcome, run, suspend, trap

OPERATIONS = {
    "anext": lambda generator: generator.__anext__(),
    "asend": lambda generator: generator.asend(None),
    "asend a value": lambda generator: generator.asend("value"),
    "athrow": lambda generator: generator.athrow(KeyError()),
    "aclose": lambda generator: generator.aclose(),
}
PREFIX = {"anext": "anext", "asend": "anext", "asend a value": "anext", "athrow": "athrow", "aclose": "aclose"}


def running_text(operation):
    return rf"(?m)^{PREFIX[operation]}\(\): asynchronous generator is already running$"


class Scene:
    """A generator whose body is suspended in an await, the awaitable that drives it, and what the body saw."""

    def __init__(self, implementation, *, started=False):
        self.hold = Hold()
        self.done = []

        @implementation
        async def body():
            try:
                if started:
                    yield "first"
                await self.hold
                yield "item"
                yield "another"
            finally:
                self.done.append("finally")

        self.generator = body()
        if started:
            run(self.generator.__anext__())
        self.holding = self.generator.__anext__()
        suspend(self.holding)

    def resumes(self):
        """The operation under way goes on as if nothing had happened."""
        assert self.generator.ag_running is True
        assert run(self.holding) == "item"
        assert self.generator.ag_running is False
        assert run(self.generator.__anext__()) == "another"
        run(self.generator.aclose())
        assert self.done == ["finally"]


# --- rule 27 ---


def test_running_is_true_from_the_first_send_to_the_end_of_a_step(implementation):
    seen = []

    @implementation
    async def body():
        seen.append(generator.ag_running)
        await trap()
        seen.append(generator.ag_running)
        yield
        seen.append(generator.ag_running)

    generator = body()
    awaiting = generator.__anext__()
    assert generator.ag_running is False  # rule 27
    suspend(awaiting)
    assert generator.ag_running is True  # rule 27
    run(awaiting)
    assert generator.ag_running is False  # rule 27
    assert finished(generator)
    assert generator.ag_running is False
    assert seen == [True, True, True]


def test_running_is_true_while_an_aclose_or_athrow_awaits(implementation):
    @implementation
    async def body():
        try:
            yield
        except KeyError:
            await trap()
        try:
            yield
        finally:
            await trap()

    generator = body()
    run(generator.__anext__())
    throwing = generator.athrow(KeyError())
    suspend(throwing)
    assert generator.ag_running is True  # rule 27
    run(throwing)
    assert generator.ag_running is False
    closing = generator.aclose()
    suspend(closing)
    assert generator.ag_running is True  # rule 27
    run(closing)
    assert generator.ag_running is False


@pytest.mark.parametrize("end", ["error", "end"])
def test_running_is_false_after_every_kind_of_end(implementation, end):
    @implementation
    async def body():
        await trap()
        if end == "error":
            raise KeyError
        return
        yield

    generator = body()
    awaiting = generator.__anext__()
    suspend(awaiting)
    with pytest.raises(KeyError if end == "error" else StopAsyncIteration):
        run(awaiting)
    assert generator.ag_running is False  # rule 27


# --- rule 28 ---


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("started", [False, True], ids=["first step", "later step"])
def test_a_second_operation_is_refused_and_the_first_goes_on(implementation, operation, started):
    scene = Scene(implementation, started=started)
    second = OPERATIONS[operation](scene.generator)  # rule 28: refused when sent, not when made
    with pytest.raises(RuntimeError, match=running_text(operation)) as refused:
        second.send(None)
    if implementation.ours:
        assert isinstance(refused.value, ValueError)  # what 1.10's users catch
    scene.resumes()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_second_operation_is_refused_while_an_aclose_awaits(implementation, operation):
    @implementation
    async def body():
        try:
            yield
        finally:
            await trap()

    generator = body()
    run(generator.__anext__())
    closing = generator.aclose()
    suspend(closing)
    with pytest.raises(RuntimeError, match=running_text(operation)):
        OPERATIONS[operation](generator).send(None)  # rule 28
    assert run(closing) is None
    assert finished(generator)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_body_that_operates_on_its_own_generator_is_refused(implementation, operation):
    refused = []

    @implementation
    async def body():
        try:
            await OPERATIONS[operation](generator)
        except RuntimeError as error:
            refused.append(error)
        yield "went on"

    generator = body()
    assert run(generator.__anext__()) == "went on"
    (error,) = refused
    assert str(error) == f"{PREFIX[operation]}(): asynchronous generator is already running"  # rule 28
    run(generator.aclose())


@pytest.mark.only("decorated", "decorated_native", reason="native raises a plain RuntimeError")
@pytest.mark.parametrize("catch", [RuntimeError, ValueError])
def test_already_running_is_caught_as_runtime_error_and_as_value_error(implementation, catch):
    scene = Scene(implementation)
    try:
        run(scene.generator.__anext__())
    except catch as error:
        assert str(error) == "anext(): asynchronous generator is already running"
        assert error.args == ("anext(): asynchronous generator is already running",)
    scene.resumes()


# --- rule 29 ---


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_throw_of_a_second_awaitable_is_refused(implementation, operation):
    if not implementation.since(3, 13):
        pytest.skip("native throws into the running generator up to 3.12 (rule 29, gh-117881)")
    scene = Scene(implementation)
    with pytest.raises(RuntimeError, match=running_text(operation)):
        OPERATIONS[operation](scene.generator).throw(ArithmeticError())  # rule 29
    scene.resumes()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_close_of_a_second_awaitable_leaves_the_first_alone(implementation, operation):
    if not implementation.since(3, 13):
        pytest.skip("close() does nothing at all up to 3.12 (rule 35)")
    scene = Scene(implementation)
    second = OPERATIONS[operation](scene.generator)
    result = outcome(second.close)
    assert result in (
        ("awaits", None),
        ("error", "RuntimeError", f"{PREFIX[operation]}(): asynchronous generator is already running"),
    )
    scene.resumes()


# --- rule 30 ---


@pytest.mark.parametrize(
    "enter",
    [lambda awaiting: awaiting.send(None), next, lambda awaiting: awaiting.throw(KeyError())],
    ids=["send", "next", "throw"],
)
def test_the_driving_awaitable_cannot_be_entered_from_inside(implementation, enter):
    refused = []

    @implementation
    async def body():
        try:
            enter(awaiting)
        except ValueError as error:
            refused.append(error)
        yield "went on"

    generator = body()
    awaiting = generator.__anext__()
    assert run(awaiting) == "went on"
    assert [str(error) for error in refused] == ["async generator already executing"]  # rule 30
    assert generator.ag_running is False
    run(generator.aclose())


# --- rules 32 and 33: operations that are dropped or closed midway ---


@pytest.mark.only("decorated", "decorated_native", reason="native stays locked for ever, rule 32; below")
@pytest.mark.parametrize("started", [False, True], ids=["first step", "later step"])
def test_dropping_a_suspended_step_closes_the_body_and_unlocks_the_generator(implementation, started):
    scene = Scene(implementation, started=started)
    scene.holding = None
    gc.collect()
    assert [type(error) for error in scene.hold.seen] == [GeneratorExit]
    assert scene.done == ["finally"]
    assert scene.generator.ag_running is False
    assert finished(scene.generator)
    assert run(scene.generator.aclose()) is None


@pytest.mark.only("native", reason="the package unlocks the generator; above")
def test_native_stays_locked_after_a_suspended_step_was_dropped(implementation):
    scene = Scene(implementation)
    scene.holding = None
    gc.collect()
    assert scene.generator.ag_running is True  # rule 32
    with pytest.raises(RuntimeError, match="already running"):
        run(scene.generator.aclose())


@pytest.mark.only("decorated", "decorated_native", reason="native stays locked for ever, rule 32")
@pytest.mark.parametrize("operation", ["athrow", "aclose"])
def test_dropping_a_suspended_athrow_or_aclose_unlocks_the_generator(implementation, operation):
    done = []
    hold = Hold()

    @implementation
    async def body():
        try:
            yield
        finally:
            try:
                await hold
            finally:
                done.append("cleanup")

    generator = body()
    run(generator.__anext__())
    throwing = generator.athrow(KeyError()) if operation == "athrow" else generator.aclose()
    suspend(throwing)
    del throwing
    gc.collect()
    assert [type(error) for error in hold.seen] == [GeneratorExit]
    assert done == ["cleanup"]
    assert generator.ag_running is False
    assert finished(generator)
    assert run(generator.aclose()) is None


@pytest.mark.only("decorated", "decorated_native", reason="native stays locked for ever, rule 32")
def test_a_body_that_awaits_when_its_step_is_dropped_is_reported(implementation, unraisable):
    @implementation
    async def body():
        try:
            await trap()
        finally:
            await trap()
        yield

    generator = body()
    awaiting = generator.__anext__()
    suspend(awaiting)
    del awaiting
    report = unraisable.take(RuntimeError)
    assert report.exc_value is not None
    # It is not locked: it can be gone on with, or is over.
    assert generator.ag_running is False
    outcome(run, generator.aclose())
    assert finished(generator)


@pytest.mark.parametrize("started", [False, True], ids=["first step", "later step"])
def test_closing_a_suspended_step_throws_generator_exit_into_the_body(implementation, started):
    scene = Scene(implementation, started=started)
    assert scene.holding.close() is None  # rule 33
    if implementation.since(3, 13):
        assert [type(error) for error in scene.hold.seen] == [GeneratorExit]
        assert scene.done == ["finally"]
        assert scene.generator.ag_running is False
        assert finished(scene.generator)
        assert run(scene.generator.aclose()) is None
    else:
        assert not scene.hold.seen  # rule 33: the body is left in its await, the generator locked
        assert scene.generator.ag_running is True


def test_closing_a_suspended_step_whose_body_awaits_is_refused(implementation):
    if not implementation.since(3, 13):
        pytest.skip("native forgets the awaitable up to 3.12 (rule 35)")

    @implementation
    async def body():
        try:
            await trap()
        except GeneratorExit:
            await trap("again")
        yield "item"

    generator = body()
    awaiting = generator.__anext__()
    suspend(awaiting)
    with pytest.raises(RuntimeError, match="^coroutine ignored GeneratorExit$"):
        awaiting.close()
    outcome(run, generator.aclose())


# --- rule 34 ---


@pytest.mark.parametrize("arguments", [(), (KeyError, KeyError(), None, None)], ids=["none", "four"])
def test_a_bad_count_of_arguments_to_athrow_is_reported_by_the_call(implementation, arguments):
    @implementation
    async def body():
        yield 1

    generator = body()
    warnings.simplefilter("ignore", DeprecationWarning)  # native 3.12+ takes four arguments for the old form
    if not implementation.since(3, 15):
        awaiting = generator.athrow(*arguments)
        with pytest.raises(TypeError):
            awaiting.send(None)
        assert generator.ag_running is True  # rule 34: stuck
        return
    with pytest.raises(TypeError):
        generator.athrow(*arguments)  # rule 34
    assert generator.ag_running is False
    assert run(generator.__anext__()) == 1
    run(generator.aclose())
