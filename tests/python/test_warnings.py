"""Awaitables that nobody awaited. Rules 50 and 51; yield_() and yield_from_() as 1.10."""

import gc
import subprocess
import sys
import warnings

import pytest
from driving import Hold, finished, outcome, run, suspend

OPERATIONS = {
    "anext": (lambda generator: generator.__anext__(), "asend"),
    "asend": (lambda generator: generator.asend(None), "asend"),
    "athrow": (lambda generator: generator.athrow(KeyError()), "athrow"),
    "aclose": (lambda generator: generator.aclose(), "aclose"),
}


def one_item(implementation):
    @implementation
    async def body():
        yield 1

    return body()


def dropped(call):
    """The warnings of dropping what `call` returns."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
        gc.collect()
    return [(warning.category, str(warning.message)) for warning in caught]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("started", [False, True], ids=["unstarted", "suspended"])
def test_an_operation_that_nobody_awaited_is_warned_of(implementation, operation, started):
    generator = one_item(implementation)
    if started:
        run(generator.__anext__())
    call, name = OPERATIONS[operation]
    text = f"coroutine method '{name}' of '{generator.__qualname__}' was never awaited"
    expected = [(RuntimeWarning, text)] if implementation.since(3, 13) else []
    assert dropped(lambda: call(generator)) == expected  # rule 50
    assert generator.ag_running is False
    outcome(run, generator.aclose())


def test_every_operation_that_nobody_awaited_is_warned_of(implementation):
    """Memory that one of them leaves is used for the next."""
    if not implementation.since(3, 13):
        pytest.skip("native warns from 3.13 on (rule 50)")
    generator = one_item(implementation)
    for call in (anext, lambda generator: generator.__anext__(), lambda generator: generator.asend(None)):
        assert [len(dropped(lambda call=call: call(generator))) for _ in range(5)] == [1] * 5


def test_the_warning_names_the_generator_by_its_present_name(implementation):
    if not implementation.since(3, 13):
        pytest.skip("native warns from 3.13 on (rule 50)")
    generator = one_item(implementation)
    generator.__qualname__ = "present.name"
    assert dropped(lambda: generator.__anext__()) == [
        (RuntimeWarning, "coroutine method 'asend' of 'present.name' was never awaited")
    ]


def test_the_warning_carries_the_generator_as_its_source(implementation):
    if not implementation.since(3, 13):
        pytest.skip("native warns from 3.13 on (rule 50)")
    generator = one_item(implementation)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        generator.__anext__()
        gc.collect()
    (warning,) = caught
    assert warning.source is generator  # rule 50


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_warning_that_is_an_error_is_unraisable(implementation, operation, unraisable):
    if not implementation.since(3, 13):
        pytest.skip("native warns from 3.13 on (rule 50)")
    generator = one_item(implementation)
    OPERATIONS[operation][0](generator)
    report = unraisable.take(RuntimeWarning)
    assert f"coroutine method '{OPERATIONS[operation][1]}' of '{generator.__qualname__}' was never awaited" in str(
        report.exc_value
    )
    outcome(run, generator.aclose())


def test_a_generator_that_nobody_iterated_is_dropped_silently(implementation):
    assert dropped(lambda: one_item(implementation)) == []  # rule 50


def test_a_generator_that_nobody_iterated_is_dropped_silently_with_hooks(implementation, hooks):
    assert dropped(lambda: one_item(implementation)) == []  # rule 50
    assert not hooks.begun and not hooks.dropped


def test_an_operation_on_a_finished_generator_that_nobody_awaited_is_warned_of(implementation):
    generator = one_item(implementation)
    run(generator.aclose())
    expected = 1 if implementation.since(3, 13) else 0
    assert len(dropped(lambda: generator.__anext__())) == expected


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("use", ["close", "throw", "refused", "send"])
def test_whatever_was_tried_with_an_awaitable_counts_as_awaiting(implementation, operation, use):
    hold = Hold()

    @implementation
    async def body():
        await hold
        yield 1

    generator = body()
    call = OPERATIONS[operation][0]
    if use == "refused":
        holding = generator.__anext__()
        suspend(holding)

    def attempt():
        awaiting = call(generator)
        if use == "close":
            awaiting.close()
        elif use == "throw":
            outcome(awaiting.throw, ArithmeticError())
        elif use == "refused":
            assert "already running" in outcome(awaiting.send, None)[2]
        else:
            run(awaiting) if operation != "athrow" else outcome(run, awaiting)

    assert dropped(attempt) == []  # rule 51
    if use == "refused":
        run(holding)
    run(generator.aclose())


def test_a_refused_value_does_not_count_as_awaiting_the_athrow(implementation):
    if not implementation.since(3, 13):
        pytest.skip("native warns from 3.13 on (rule 50)")
    generator = one_item(implementation)

    def attempt():
        awaiting = generator.aclose()
        with pytest.raises(RuntimeError):
            awaiting.send("early")  # rule 13: it stays as it was

    assert len(dropped(attempt)) == 1
    run(generator.aclose())


# --- yield_() and yield_from_() ---


def test_a_yield_that_nobody_awaited_is_warned_of():
    from async_generator import async_generator, yield_

    @async_generator
    async def body():
        yield_("lost")
        await yield_("kept")

    generator = body()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert run(generator.__anext__()) == "kept"
        gc.collect()
    assert [(warning.category, str(warning.message)) for warning in caught] == [
        (RuntimeWarning, "coroutine 'yield_' was never awaited")
    ]
    assert finished(generator)


def test_a_yield_from_that_nobody_awaited_is_warned_of():
    from async_generator import async_generator, yield_, yield_from_

    @async_generator
    async def body():
        yield_from_(body())
        await yield_("kept")

    generator = body()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert run(generator.__anext__()) == "kept"
        gc.collect()
    assert [(warning.category, str(warning.message)) for warning in caught] == [
        (RuntimeWarning, "coroutine 'yield_from_' was never awaited")
    ]
    assert finished(generator)


def test_a_forgotten_await_of_yield_names_the_line(recwarn):
    """The warning stands where the object died: in the body, at the line of the forgotten await."""
    import inspect

    from async_generator import async_generator, yield_

    line = inspect.currentframe().f_lineno

    @async_generator
    async def body():
        yield_("lost")
        await yield_("kept")

    generator = body()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(generator.__anext__())
    (warning,) = caught
    assert (warning.filename, warning.lineno) == (__file__, line + 4)
    run(generator.aclose())


def test_forgotten_awaits_are_unraisable_where_warnings_are_errors(unraisable):
    from async_generator import yield_, yield_from_

    yield_(1)
    assert str(unraisable.take(RuntimeWarning).exc_value) == "coroutine 'yield_' was never awaited"
    yield_from_(())
    assert str(unraisable.take(RuntimeWarning).exc_value) == "coroutine 'yield_from_' was never awaited"


def test_an_operation_dropped_while_the_interpreter_goes_down_is_warned_of_without_a_fuss():
    """The import system is gone by then."""
    script = """
from async_generator import async_generator, yield_

@async_generator
async def body():
    await yield_(1)

class Holder: pass

holder = Holder()
holder.itself = holder
holder.operation = body().aclose()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "meta_path" not in done.stderr and "Traceback" not in done.stderr
