"""Throwing into a generator and closing it. Rules 40 to 49, and rule 60."""

import sys
import warnings

import pytest
from driving import collect, finished, outcome, run, suspend, trap


def recording(implementation, seen, *answers, swallow=False):
    """Yields 1; records what is thrown in; yields `answers`; then ends if `swallow`, else raises on."""

    @implementation
    async def body():
        try:
            yield 1
        except BaseException as error:
            seen.append(error)
            for answer in answers:
                yield answer
            if not swallow:
                raise

    return body()


# --- athrow: rules 40 to 44 ---


def test_athrow_reaches_the_yield(implementation):
    seen = []
    error = KeyError("thrown")
    generator = recording(implementation, seen, "answer", swallow=True)
    run(generator.__anext__())
    assert run(generator.athrow(error)) == "answer"
    assert seen == [error]
    assert finished(generator)


def test_athrow_of_a_class_makes_the_instance(implementation):
    seen = []
    generator = recording(implementation, seen, swallow=True)
    run(generator.__anext__())
    with pytest.raises(StopAsyncIteration) as end:
        run(generator.athrow(KeyError))
    assert end.value.args == ()
    assert [type(error) for error in seen] == [KeyError]


def test_athrow_that_is_not_caught_comes_back_and_ends_the_generator(implementation):
    seen = []
    error = KeyError("thrown")
    generator = recording(implementation, seen)
    run(generator.__anext__())
    with pytest.raises(KeyError) as raised:
        run(generator.athrow(error))
    assert raised.value is error
    assert generator.ag_running is False
    assert finished(generator)


@pytest.mark.parametrize("error", [KeyError("e"), BaseException("b"), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_athrow_before_the_start_raises_at_once_and_finishes(implementation, error):
    seen = []
    generator = recording(implementation, seen)
    with pytest.raises(type(error)) as raised:
        run(generator.athrow(error))
    assert raised.value is error  # rule 40
    assert not seen
    assert generator.ag_frame is None
    assert finished(generator)


@pytest.mark.parametrize("how", ["exhausted", "closed", "failed", "closed before the start"])
def test_athrow_on_a_finished_generator_answers_none(implementation, how):
    @implementation
    async def body():
        yield 1
        if how == "failed":
            raise KeyError

    generator = body()
    if how == "exhausted":
        collect(generator)
    elif how == "failed":
        outcome(run, generator.__anext__())
        outcome(run, generator.__anext__())
    else:
        if how == "closed":
            run(generator.__anext__())
        run(generator.aclose())
    assert run(generator.athrow(ArithmeticError())) is None  # rule 41
    assert run(generator.athrow(GeneratorExit())) is None
    assert run(generator.aclose()) is None
    assert finished(generator)


def test_athrow_of_generator_exit_comes_back_and_finishes(implementation):
    seen = []
    error = GeneratorExit("mine")
    generator = recording(implementation, seen)
    run(generator.__anext__())
    with pytest.raises(GeneratorExit) as raised:
        run(generator.athrow(error))
    assert raised.value is error  # rule 42
    assert seen == [error]
    assert finished(generator)


def test_athrow_of_generator_exit_may_be_answered_with_an_item(implementation):
    seen = []
    generator = recording(implementation, seen, "answer", "more", swallow=True)
    run(generator.__anext__())
    assert run(generator.athrow(GeneratorExit())) == "answer"  # rule 42
    assert run(generator.__anext__()) == "more"
    assert finished(generator)


@pytest.mark.without(
    "undecorated", reason="native hands the argument to the inner awaitable, whose TypeError the body sees"
)
@pytest.mark.parametrize("argument", [5, "text", None, int, object()], ids=["int", "str", "None", "a class", "object"])
@pytest.mark.parametrize("started", [False, True], ids=["unstarted", "suspended"])
def test_athrow_of_what_is_no_exception_does_not_touch_the_body(implementation, argument, started):
    seen = []
    generator = recording(implementation, seen)
    if started:
        run(generator.__anext__())
    with pytest.raises(TypeError, match="^exceptions must be classes or instances deriving from BaseException, not "):
        run(generator.athrow(argument))  # rule 43
    assert not seen
    assert generator.ag_running is False
    assert generator.ag_frame is not None
    if not started:
        assert run(generator.__anext__()) == 1
    assert finished(generator)


BAD_ARGUMENTS = {
    "throw() third argument must be a traceback object": (KeyError, None, "no traceback"),
    "instance exception may not have a separate value": (KeyError(), "value"),
}


@pytest.mark.without(
    "undecorated", reason="native hands the arguments to the inner awaitable, whose TypeError the body sees"
)
@pytest.mark.parametrize("text", BAD_ARGUMENTS)
def test_bad_arguments_of_athrow_do_not_touch_the_body(implementation, text):
    seen = []
    generator = recording(implementation, seen)
    run(generator.__anext__())
    warnings.simplefilter("ignore", DeprecationWarning)
    with pytest.raises(TypeError) as refused:
        run(generator.athrow(*BAD_ARGUMENTS[text]))
    assert str(refused.value) == text  # rule 44
    assert not seen
    assert generator.ag_running is False
    assert finished(generator)


OLD_FORMS = {
    "class and value": ((KeyError, "v"), ("v",)),
    "class and instance": ((KeyError, KeyError("v")), ("v",)),
    "class and arguments": ((KeyError, ("a", "b")), ("a", "b")),
    "class, none, none": ((KeyError, None, None), ()),
    "instance, none, none": ((KeyError("v"), None, None), ("v",)),
}


@pytest.mark.parametrize("form", OLD_FORMS)
def test_athrow_takes_the_old_forms_and_says_at_the_call_that_they_are_deprecated(implementation, form):
    arguments, args = OLD_FORMS[form]
    seen = []
    generator = recording(implementation, seen, "answer", swallow=True)
    run(generator.__anext__())
    if sys.version_info >= (3, 12):
        text = r"the \(type, exc, tb\) signature of athrow\(\) is deprecated, use the single-arg signature instead."
        with pytest.warns(DeprecationWarning, match=text) as warned:
            awaiting = generator.athrow(*arguments)  # rule 44
        assert len(warned) == 1
        assert warned[0].filename == __file__
    else:
        awaiting = generator.athrow(*arguments)
    assert run(awaiting) == "answer"
    assert [(type(error), error.args) for error in seen] == [(KeyError, args)]
    assert finished(generator)


def test_athrow_with_one_argument_warns_of_nothing(implementation):
    generator = recording(implementation, [], "answer", swallow=True)  # 1.10 does, fact C21
    run(generator.__anext__())
    assert run(generator.athrow(KeyError("one"))) == "answer"
    assert run(generator.aclose()) is None


def test_athrow_with_a_traceback_keeps_it(implementation):
    try:
        raise KeyError("old")
    except KeyError as error:
        traceback = error.__traceback__
    generator = recording(implementation, [])
    run(generator.__anext__())
    warnings.simplefilter("ignore", DeprecationWarning)
    with pytest.raises(KeyError) as raised:
        run(generator.athrow(KeyError, KeyError("new"), traceback))
    frames = []
    entry = raised.value.__traceback__
    while entry is not None:
        frames.append(entry.tb_frame)
        entry = entry.tb_next
    assert traceback.tb_frame in frames


def test_an_unawaited_athrow_does_nothing_until_it_is_awaited(implementation):
    seen = []
    generator = recording(implementation, seen, swallow=True)
    run(generator.__anext__())
    awaiting = generator.athrow(KeyError())
    assert not seen
    with pytest.raises(StopAsyncIteration):
        run(awaiting)
    assert seen


def test_athrow_answered_with_an_await_goes_on(implementation):
    @implementation
    async def body():
        try:
            yield 1
        except KeyError:
            yield await trap("t")

    generator = body()
    run(generator.__anext__())
    awaiting = generator.athrow(KeyError())
    assert suspend(awaiting) == "t"
    assert outcome(awaiting.send, "answer") == ("done", "answer")
    assert finished(generator)


def test_a_swallowed_athrow_that_ends_the_body_is_the_end_of_iteration(implementation):
    generator = recording(implementation, [], swallow=True)
    run(generator.__anext__())
    with pytest.raises(StopAsyncIteration) as end:
        run(generator.athrow(KeyError()))
    assert end.value.args == ()
    assert finished(generator)


# --- aclose: rules 45 to 49 ---


def test_aclose_before_the_start_finishes_without_running_the_body(implementation):
    seen = []
    generator = recording(implementation, seen)
    assert run(generator.aclose()) is None  # rule 45
    assert not seen
    assert finished(generator)


def test_aclose_throws_generator_exit_at_the_yield(implementation):
    seen = []
    generator = recording(implementation, seen)
    run(generator.__anext__())
    assert run(generator.aclose()) is None
    (error,) = seen
    assert type(error) is GeneratorExit and error.args == ()
    assert finished(generator)


@pytest.mark.parametrize("started", [False, True], ids=["unstarted", "suspended"])
def test_aclose_twice_answers_none_twice(implementation, started):
    generator = recording(implementation, [])
    if started:
        run(generator.__anext__())
    first, second = generator.aclose(), generator.aclose()
    assert run(first) is None
    assert run(second) is None  # rules 45, 48
    assert run(generator.aclose()) is None


def test_aclose_that_is_answered_with_an_item_is_an_error(implementation):
    seen = []
    generator = recording(implementation, seen, "ignored")
    run(generator.__anext__())
    with pytest.raises(RuntimeError, match="(?m)^async generator ignored GeneratorExit$"):
        run(generator.aclose())  # rule 46
    assert generator.ag_running is False
    assert generator.ag_frame is not None


@pytest.mark.cpython(reason="native generators are asked")
def test_after_an_ignored_exit_iteration_goes_on_as_natives_does(implementation):
    """Which of the operations work then is what the interpreter made of it: see the answers."""
    native = answers_after_ignored_exit(lambda function: function)
    assert answers_after_ignored_exit(implementation) == native  # rule 46


def answers_after_ignored_exit(make):
    answers = []
    for operation in ("__anext__", "asend", "athrow", "aclose"):
        if isinstance(make, type(answers_after_ignored_exit)):

            async def body():
                try:
                    yield 1
                except GeneratorExit:
                    yield 2
                yield 3
                yield 4

        else:

            @make
            async def body():
                try:
                    yield 1
                except GeneratorExit:
                    yield 2
                yield 3
                yield 4

        generator = body()
        run(generator.__anext__())
        outcome(run, generator.aclose())
        arguments = {"__anext__": (), "asend": ("v",), "athrow": (KeyError("k"),), "aclose": ()}[operation]
        answers.append((operation, [outcome(run, getattr(generator, operation)(*arguments)) for _ in range(3)]))
    return answers


def test_aclose_answered_with_an_item_after_an_await_is_an_error(implementation):
    @implementation
    async def body():
        try:
            yield 1
        finally:
            await trap()
            yield "ignored"

    generator = body()
    run(generator.__anext__())
    closing = generator.aclose()
    suspend(closing)
    with pytest.raises(RuntimeError, match="(?m)^async generator ignored GeneratorExit$"):
        closing.send(None)  # rule 46
    assert generator.ag_running is False


def test_aclose_runs_cleanup_that_awaits(implementation):
    done = []

    @implementation
    async def body():
        try:
            yield 1
        finally:
            done.append(await trap("cleanup"))

    generator = body()
    run(generator.__anext__())
    closing = generator.aclose()
    assert suspend(closing) == "cleanup"
    assert outcome(closing.send, "answer") == ("done", None)
    assert done == ["answer"]
    assert finished(generator)


def test_aclose_of_a_body_that_swallows_the_exit_answers_none(implementation):
    generator = recording(implementation, [], swallow=True)
    run(generator.__anext__())
    assert run(generator.aclose()) is None  # rule 47
    assert finished(generator)


def test_aclose_passes_another_exception_with_the_exit_as_its_context(implementation):
    @implementation
    async def body():
        try:
            yield 1
        finally:
            raise KeyError("cleanup failed")

    generator = body()
    run(generator.__anext__())
    with pytest.raises(KeyError, match="cleanup failed") as raised:
        run(generator.aclose())
    assert type(raised.value.__context__) is GeneratorExit  # rule 47
    assert raised.value.__context__.__context__ is None
    assert finished(generator)
    assert run(generator.aclose()) is None


@pytest.mark.parametrize("stop", [StopIteration, StopAsyncIteration])
def test_aclose_of_a_body_that_raises_a_stop_is_a_runtime_error(implementation, stop):
    @implementation
    async def body():
        try:
            yield 1
        finally:
            raise stop("s")

    generator = body()
    run(generator.__anext__())
    with pytest.raises(RuntimeError, match=f"^async generator raised {stop.__name__}$") as raised:
        run(generator.aclose())
    assert type(raised.value.__cause__) is stop
    assert type(raised.value.__cause__.__context__) is GeneratorExit
    assert finished(generator)


def test_what_was_made_before_a_close_answers_after_it_as_after_the_end(implementation):
    generator = recording(implementation, [])
    run(generator.__anext__())
    stepping, sending, throwing, closing = (
        generator.__anext__(),
        generator.asend("v"),
        generator.athrow(KeyError()),
        generator.aclose(),
    )
    assert run(generator.aclose()) is None
    for awaiting in (stepping, sending):
        with pytest.raises(StopAsyncIteration) as end:
            run(awaiting)
        assert end.value.args == ()
    assert run(throwing) is None  # rules 41, 48
    assert run(closing) is None  # rule 48


def test_a_close_before_the_start_reaches_what_was_made_earlier(implementation):
    generator = recording(implementation, [])
    stepping, throwing = generator.__anext__(), generator.athrow(KeyError())
    assert run(generator.aclose()) is None
    with pytest.raises(StopAsyncIteration):
        run(stepping)
    assert run(throwing) is None


def test_an_early_break_leaves_the_generator_usable(implementation):
    @implementation
    async def body():
        yield 1
        yield 2
        yield 3

    generator = body()

    async def consume():
        async for item in generator:
            if item == 2:
                break
        return [item async for item in generator]

    assert run(consume()) == [3]


# --- rule 60 ---


@pytest.mark.parametrize("thrown", [StopIteration, StopIteration("payload")], ids=["class", "instance"])
def test_stop_iteration_thrown_in_surfaces_at_the_yield(implementation, thrown):
    seen = []

    @implementation
    async def body():
        try:
            seen.append((yield 1))
        except BaseException as error:
            seen.append(error)
        yield 2

    generator = body()
    run(generator.__anext__())
    assert run(generator.athrow(thrown)) == 2
    (error,) = seen
    if implementation.rewritten:
        # An `await` takes a StopIteration for its result, so yield_ says what 1.10 said (fact B13).
        assert type(error) is RuntimeError
        assert str(error) == "generator raised StopIteration"
        error = error.__cause__
    assert type(error) is StopIteration  # rule 60
    assert error is thrown or thrown is StopIteration
    run(generator.aclose())


def test_stop_async_iteration_thrown_in_surfaces_as_it_is(implementation):
    stop = StopAsyncIteration("payload")
    seen = []
    generator = recording(implementation, seen, "answer", swallow=True)
    run(generator.__anext__())
    assert run(generator.athrow(stop)) == "answer"
    assert seen == [stop]  # 1.10 fact B13
    run(generator.aclose())


def test_thrown_exceptions_can_be_caught_again_and_again(implementation):
    seen = []

    @implementation
    async def body():
        while True:
            try:
                seen.append((yield len(seen)))
            except KeyError as error:
                seen.append(error.args[0])

    generator = body()
    run(generator.__anext__())
    for number in range(1, 30):
        if number % 3:
            assert run(generator.athrow(KeyError(number))) == number
        else:
            assert run(generator.asend(number)) == number
    assert seen == list(range(1, 30))
    run(generator.aclose())
