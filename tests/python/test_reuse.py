"""An awaitable is used once. Rules 23 to 26."""

import pytest
from driving import Hold, finished, outcome, run, suspend, trap

REUSED_STEP = r"^cannot reuse already awaited __anext__\(\)/asend\(\)$"
REUSED_THROW = r"^cannot reuse already awaited aclose\(\)/athrow\(\)$"


def two_items(implementation):
    @implementation
    async def body():
        yield 1
        yield 2

    return body()


def catching(implementation):
    """Yields the name of everything that is thrown in."""

    @implementation
    async def body():
        item = "ready"
        while True:
            try:
                yield item
                item = "next"
            except Exception as error:
                item = type(error).__name__

    return body()


@pytest.mark.parametrize("use", ["send", "next", "throw", "await"])
@pytest.mark.parametrize("end", ["item", "end", "error"])
def test_a_finished_step_cannot_be_used_again(implementation, use, end):
    @implementation
    async def body():
        if end == "item":
            yield 1
            yield 2
        if end == "error":
            raise KeyError

    generator = body()
    awaiting = generator.__anext__()
    outcome(run, awaiting)
    calls = {
        "send": lambda: awaiting.send(None),
        "next": lambda: next(awaiting),
        "throw": lambda: awaiting.throw(ValueError()),
        "await": lambda: run(awaiting),
    }
    for _ in range(2):
        with pytest.raises(RuntimeError, match=REUSED_STEP):
            calls[use]()  # rule 23
    assert awaiting.close() is None  # rule 23
    assert generator.ag_running is False
    if end == "item":
        assert run(generator.__anext__()) == 2
        run(generator.aclose())


@pytest.mark.parametrize("use", ["send", "next", "throw", "await"])
@pytest.mark.parametrize("operation", ["athrow", "aclose"])
def test_a_finished_athrow_or_aclose_cannot_be_used_again(implementation, use, operation):
    generator = two_items(implementation)
    run(generator.__anext__())
    awaiting = generator.athrow(KeyError()) if operation == "athrow" else generator.aclose()
    outcome(run, awaiting)
    calls = {
        "send": lambda: awaiting.send(None),
        "next": lambda: next(awaiting),
        "throw": lambda: awaiting.throw(ValueError()),
        "await": lambda: run(awaiting),
    }
    for _ in range(2):
        with pytest.raises(RuntimeError, match=REUSED_THROW):
            calls[use]()  # rule 24
    assert awaiting.close() is None  # rule 24


def test_an_athrow_that_was_answered_with_an_item_is_finished(implementation):
    generator = catching(implementation)
    run(generator.__anext__())
    awaiting = generator.athrow(KeyError())
    assert run(awaiting) == "KeyError"
    with pytest.raises(RuntimeError, match=REUSED_THROW):
        awaiting.send(None)  # rule 24
    assert run(generator.__anext__()) == "next"
    run(generator.aclose())


def test_an_athrow_whose_throw_was_swallowed_is_finished(implementation):
    generator = catching(implementation)
    run(generator.__anext__())
    awaiting = generator.athrow(KeyError())
    assert outcome(awaiting.throw, ValueError()) == ("done", "ValueError")
    if implementation.since(3, 13):
        with pytest.raises(RuntimeError, match=REUSED_THROW):
            awaiting.send(None)  # rule 25
    else:
        assert outcome(awaiting.send, None) == ("done", "KeyError")  # rule 25, the defect gh-117894
    run(generator.aclose())


def test_an_aclose_that_ended_by_throw_is_finished(implementation):
    generator = two_items(implementation)
    run(generator.__anext__())
    awaiting = generator.aclose()
    assert outcome(awaiting.throw, GeneratorExit()) == ("done", None)  # rules 25, 37
    if implementation.since(3, 13):
        with pytest.raises(RuntimeError, match=REUSED_THROW):
            awaiting.send(None)
    assert finished(generator)


def test_a_refused_step_is_finished(implementation):
    generator, holding = running(implementation)
    refused = generator.__anext__()
    with pytest.raises(RuntimeError, match="already running"):
        refused.send(None)
    if implementation.since(3, 13):
        with pytest.raises(RuntimeError, match=REUSED_STEP):
            refused.send(None)  # rule 26
    else:
        with pytest.raises(RuntimeError, match="already running"):
            refused.send(None)  # rule 26: it can be tried again
    assert run(holding) == "item"
    refused.close()
    run(generator.aclose())


@pytest.mark.parametrize("operation", ["athrow", "aclose"])
def test_a_refused_athrow_or_aclose_is_finished(implementation, operation):
    generator, holding = running(implementation)
    refused = generator.athrow(KeyError()) if operation == "athrow" else generator.aclose()
    with pytest.raises(RuntimeError, match="already running"):
        refused.send(None)
    with pytest.raises(RuntimeError, match=REUSED_THROW):
        refused.send(None)  # rule 26
    assert run(holding) == "item"
    run(generator.aclose())


def running(implementation):
    """A generator whose body is suspended in an await, and the awaitable that drives it."""

    @implementation
    async def body():
        await trap()
        yield "item"

    generator = body()
    holding = generator.__anext__()
    suspend(holding)
    return generator, holding


def test_awaiting_in_two_coroutines_is_refused_to_the_second(implementation):
    generator = two_items(implementation)
    awaiting = generator.__anext__()

    async def consume():
        return await awaiting

    assert run(consume()) == 1
    with pytest.raises(RuntimeError, match=REUSED_STEP):
        run(consume())  # rule 23
    run(generator.aclose())


def test_awaitables_made_beforehand_work_one_after_the_other(implementation):
    generator = two_items(implementation)
    first, second, third = generator.__anext__(), generator.asend(None), generator.__anext__()
    assert run(second) == 1
    assert run(first) == 2
    with pytest.raises(StopAsyncIteration):
        run(third)


def test_a_reused_awaitable_does_not_disturb_a_running_one(implementation):
    hold = Hold()

    @implementation
    async def body():
        yield 1
        await hold
        yield 2

    generator = body()
    used = generator.__anext__()
    run(used)
    awaiting = generator.__anext__()
    suspend(awaiting)
    with pytest.raises(RuntimeError, match=REUSED_STEP):
        used.send(None)
    assert generator.ag_running is True
    assert run(awaiting) == 2
    run(generator.aclose())
