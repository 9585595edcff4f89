"""Starting a generator and sending values into it. Rules 11 to 16."""

import sys
import traceback

import pytest
from async_generator import async_generator, yield_
from driving import collect, finished, outcome, run, suspend, trap


def letters(implementation):
    @implementation
    async def body():
        yield "a"
        yield "b"

    return body()


def echo(implementation):
    """A generator that yields what it was sent."""

    @implementation
    async def echoing():
        received = yield "ready"
        while True:
            received = yield received

    return echoing()


def test_items_come_in_order_and_then_the_end(implementation):
    @implementation
    async def body():
        yield 1
        yield 2
        yield 3

    assert collect(body()) == [1, 2, 3]


def test_body_does_not_begin_before_the_first_step(implementation):
    begun = []

    @implementation
    async def body():
        begun.append(True)
        yield

    generator = body()
    awaiting = generator.__anext__()
    assert not begun
    run(awaiting)
    assert begun == [True]


def test_arguments_are_checked_at_the_call_of_the_function(implementation):
    @implementation
    async def body(a, *, b):
        yield a, b

    with pytest.raises(TypeError, match=r"body\(\) missing 1 required"):
        body(b=1)
    assert collect(body(1, b=2)) == [(1, 2)]


def test_asend_delivers_the_value_at_the_yield(implementation):
    generator = echo(implementation)
    assert run(generator.asend(None)) == "ready"
    assert run(generator.asend("a")) == "a"
    assert run(generator.__anext__()) is None
    assert run(generator.asend(0)) == 0
    run(generator.aclose())


def test_yield_without_a_value_yields_none(implementation):
    @implementation
    async def body():
        yield

    assert collect(body()) == [None]


def test_result_of_a_yield_can_be_used_in_any_expression(implementation):
    @implementation
    async def body():
        total = (yield 1) + (yield 2) * (yield 3)
        yield [total, (yield total)]

    generator = body()
    assert [run(generator.asend(value)) for value in (None, 10, 20, 30, "x")] == [1, 2, 3, 610, [610, "x"]]
    run(generator.aclose())


# --- rule 11 ---


def test_value_cannot_be_sent_before_the_start_and_nothing_is_lost_by_trying(implementation):
    generator = echo(implementation)  # rule 11
    with pytest.raises(TypeError, match="^can't send non-None value to a just-started async generator$"):
        run(generator.asend("early"))
    assert generator.ag_running is False
    assert run(generator.__anext__()) == "ready"
    run(generator.aclose())


@pytest.mark.parametrize("value", [0, False, "", ()])
def test_false_values_are_values_too(implementation, value):
    generator = echo(implementation)  # rule 11
    with pytest.raises(TypeError, match="just-started async generator"):
        run(generator.asend(value))
    run(generator.__anext__())
    assert run(generator.asend(value)) is value
    run(generator.aclose())


# --- rule 12 ---


def test_first_send_of_the_awaitable_replaces_the_stored_value(implementation):
    generator = echo(implementation)  # rule 12
    run(generator.__anext__())
    assert outcome(generator.asend("A").send, "B") == ("done", "B")
    assert outcome(generator.asend("A").send, None) == ("done", "A")
    assert outcome(generator.__anext__().send, "C") == ("done", "C")
    run(generator.aclose())


def test_first_send_of_the_first_awaitable_is_checked_as_the_stored_value_is(implementation):
    generator = echo(implementation)  # rules 11, 12
    with pytest.raises(TypeError, match="just-started async generator"):
        generator.__anext__().send("early")
    assert run(generator.__anext__()) == "ready"
    run(generator.aclose())


def test_later_sends_go_to_what_the_body_awaits(implementation):
    answers = []

    @implementation
    async def body():
        answers.append(await trap("first"))
        answers.append(await trap("second"))
        yield "item"

    awaiting = body().asend(None)
    assert suspend(awaiting) == "first"  # rule 12
    assert suspend(awaiting, "one") == "second"
    assert outcome(awaiting.send, "two") == ("done", "item")
    assert answers == ["one", "two"]


# --- rule 13 ---


@pytest.mark.parametrize("operation, argument", [("athrow", (KeyError(),)), ("aclose", ())])
def test_value_cannot_be_sent_into_a_fresh_athrow_or_aclose(implementation, operation, argument):
    generator = echo(implementation)  # rule 13
    run(generator.__anext__())
    awaiting = getattr(generator, operation)(*argument)
    with pytest.raises(RuntimeError, match="^can't send non-None value to a just-started coroutine$"):
        awaiting.send("early")
    assert generator.ag_running is False
    # The awaitable is as it was.
    if operation == "aclose":
        assert run(awaiting) is None
    else:
        with pytest.raises(KeyError):
            run(awaiting)
    assert finished(generator)


# --- rule 14 ---


def test_next_of_the_awaitable_is_send_of_none(implementation):
    generator = echo(implementation)  # rule 14
    assert outcome(next, generator.__anext__()) == ("done", "ready")
    assert outcome(next, generator.asend("x")) == ("done", "x")
    assert outcome(generator.asend("y").__next__) == ("done", "y")
    assert outcome(next, generator.aclose()) == ("done", None)


def test_for_loop_over_the_awaitable_sees_the_traps(implementation):
    @implementation
    async def body():
        await trap(1)
        await trap(2)
        yield "item"

    generator = body()
    assert list(generator.__anext__()) == [1, 2]  # rule 14
    run(generator.aclose())


# --- rules 15 and 16 ---

INTACT = [
    None,
    (),
    (1,),
    (1, 2, 3),
    StopIteration(5),
    StopIteration,
    StopAsyncIteration(5),
    StopAsyncIteration,
    GeneratorExit(),
    ValueError,
    ValueError("text"),
    [],
    NotImplemented,
    type,
]


@pytest.mark.parametrize("item", INTACT, ids=repr)
def test_any_object_arrives_as_it_is(implementation, item):
    @implementation
    async def body():
        yield item

    assert run(body().__anext__()) is item  # rule 15
    (collected,) = collect(body())
    assert collected is item


@pytest.mark.parametrize("item", INTACT, ids=repr)
def test_any_object_is_sent_as_it_is(implementation, item):
    received = []

    @implementation
    async def body():
        received.append((yield))
        yield

    generator = body()
    run(generator.__anext__())
    run(generator.asend(item))
    assert received[0] is item  # rule 15
    run(generator.aclose())


@pytest.mark.parametrize("item", INTACT[1:], ids=repr)
def test_stop_iteration_of_a_step_carries_the_item_alone(implementation, item):
    @implementation
    async def body():
        yield item

    generator = body()
    with pytest.raises(StopIteration) as stopped:
        generator.__anext__().send(None)
    assert type(stopped.value) is StopIteration  # rule 15
    assert stopped.value.value is item
    assert len(stopped.value.args) == 1 and stopped.value.args[0] is item
    assert stopped.value.__context__ is None
    run(generator.aclose())


@pytest.mark.parametrize(
    "step",
    [next, lambda awaiting: awaiting.send(None), lambda awaiting: awaiting.__next__()],
    ids=["next", "send", "__next__"],
)
def test_stop_iterations_are_independent_objects(implementation, step):
    generator = letters(implementation)
    kept = []
    for _ in range(2):
        with pytest.raises(StopIteration) as stopped:
            step(generator.__anext__())
        kept.append(stopped.value)
    assert kept[0] is not kept[1]
    assert [stop.value for stop in kept] == ["a", "b"]
    for stop in kept:
        assert type(stop) is StopIteration
    run(generator.aclose())


@pytest.mark.engine(reason="the package's own frames are between")
@pytest.mark.parametrize("change", ["traceback", "arguments", "value", "attribute", "cause", "note"])
def test_what_becomes_of_a_stop_iteration_is_not_seen_in_the_next(implementation, change):
    """On 3.12 to 3.14 `next(awaitable)` may be given one that was there before."""
    generator = letters(implementation)
    with pytest.raises(StopIteration) as stopped:
        next(generator.__anext__())
    stop = stopped.value
    if change == "arguments":
        stop.args = ("x", "y")
    elif change == "value":
        stop.value = "x"
    elif change == "attribute":
        stop.attribute = "x"
    elif change == "cause":
        stop.__cause__ = stop.__context__ = ValueError()
    elif change == "note" and sys.version_info >= (3, 11):
        stop.add_note("x")
    if change != "traceback":
        stop.__traceback__ = None
    del stop, stopped
    with pytest.raises(StopIteration) as stopped:
        next(generator.__anext__())
    stop = stopped.value
    assert stop.value == "b" and stop.args == ("b",) and vars(stop) == {}
    assert stop.__cause__ is None and stop.__context__ is None
    assert len(traceback.extract_tb(stop.__traceback__)) == 1
    run(generator.aclose())


def test_arguments_that_were_kept_of_a_stop_iteration_stay(implementation):
    generator = letters(implementation)
    kept = []
    for _ in range(2):
        try:
            next(generator.__anext__())
        except StopIteration as stop:
            kept.append(stop.args)
    assert kept == [("a",), ("b",)]
    run(generator.aclose())


def test_yielded_none_has_the_value_none(implementation):
    @implementation
    async def body():
        yield None

    generator = body()
    with pytest.raises(StopIteration) as stopped:
        generator.__anext__().send(None)
    assert stopped.value.value is None  # rule 16; args differ between versions of native
    assert stopped.value.args in ((), (None,))
    run(generator.aclose())


def test_end_of_aclose_carries_nothing(implementation):
    generator = echo(implementation)
    run(generator.__anext__())
    with pytest.raises(StopIteration) as stopped:
        generator.aclose().send(None)
    assert stopped.value.args == ()  # rule 16


@pytest.mark.cpython(reason="the item goes with its last reference")
def test_an_item_is_released_with_the_consumer_that_took_it(implementation):
    import weakref

    class Item:
        pass

    @implementation
    async def body():
        while True:
            yield Item()

    generator = body()
    item = weakref.ref(run(generator.__anext__()))
    assert item() is None
    run(generator.aclose())


@pytest.mark.cpython(reason="the item goes with its last reference")
def test_async_for_lets_go_of_an_item_at_once(implementation):
    import weakref

    class Item:
        pass

    @implementation
    async def body():
        while True:
            yield Item()

    async def consumer():
        gone = []
        async for item in body():
            reference = weakref.ref(item)
            del item
            gone.append(reference() is None)
            if len(gone) == 3:
                return gone

    assert run(consumer()) == [True] * 3


@pytest.mark.cpython(reason="the value goes with its last reference")
def test_a_sent_value_is_released_with_the_body_that_took_it(implementation):
    import weakref

    class Value:
        pass

    @implementation
    async def body():
        while True:
            yield

    generator = body()
    run(generator.__anext__())
    value = Value()
    reference = weakref.ref(value)
    run(generator.asend(value))
    del value
    assert reference() is None
    run(generator.aclose())


@pytest.mark.cpython(reason="the awaitable goes with its last reference")
def test_an_unawaited_asend_releases_its_value(implementation):
    import weakref

    class Value:
        pass

    generator = echo(implementation)
    run(generator.__anext__())
    value = Value()
    reference = weakref.ref(value)
    awaiting = generator.asend(value)
    del value
    assert reference() is not None
    awaiting.close()
    del awaiting
    assert reference() is None
    run(generator.aclose())


# --- rules 63 and 64: the interpreter's own entry points ---


def test_anext_with_a_default_answers_it_at_the_end(implementation):
    @implementation
    async def body():
        yield 1

    async def consume():
        generator = body()
        return [await anext(generator, "end") for _ in range(4)]

    assert run(consume()) == [1, "end", "end", "end"]  # rule 64


def test_anext_is_the_operation_itself(implementation):
    generator = echo(implementation)
    awaiting = anext(generator)
    assert type(awaiting).__name__ == "async_generator_asend"
    assert run(awaiting) == "ready"  # rule 64
    run(generator.aclose())


def test_anext_with_a_default_passes_traps_and_exceptions(implementation):
    @implementation
    async def body():
        yield await trap("t")
        raise KeyError("k")

    async def consume(generator):
        return await anext(generator, "default")

    generator = body()
    assert run(consume(generator), answers=["answer"]) == "answer"
    with pytest.raises(KeyError):
        run(consume(generator))
    assert run(consume(generator)) == "default"


def test_many_generators_are_interleaved_without_mixing(implementation):
    @implementation
    async def body(name):
        for number in range(3):
            await trap()
            yield name, number

    generators = [body(name) for name in "abc"]
    taken = [run(generator.__anext__()) for _ in range(3) for generator in generators]
    assert taken == [(name, number) for number in range(3) for name in "abc"]
    assert all(finished(generator) for generator in generators)


def test_async_comprehensions_and_nested_iteration(implementation):
    @implementation
    async def numbers(count):
        for number in range(count):
            yield number

    @implementation
    async def pairs():
        async for a in numbers(3):
            async for b in numbers(a):
                yield a, b

    async def consume():
        return {pair async for pair in pairs()}, {a: [b async for b in numbers(a)] async for a in numbers(3)}

    if sys.version_info < (3, 11):

        async def consume():  # asynchronous comprehensions nest from 3.11 on
            return {pair async for pair in pairs()}, {0: [], 1: [0], 2: [0, 1]}

    assert run(consume()) == ({(1, 0), (2, 0), (2, 1)}, {0: [], 1: [0], 2: [0, 1]})


def test_a_recursive_generator_uses_itself(implementation):
    @implementation
    async def countdown(number):
        yield number
        if number:
            async for item in countdown(number - 1):
                yield item

    assert collect(countdown(20)) == list(range(20, -1, -1))


def test_yield_in_every_kind_of_block(implementation):
    log = []

    class Context:
        def __enter__(self):
            log.append("enter")

        def __exit__(self, *exc_info):
            log.append("exit")

    class AsyncContext:
        async def __aenter__(self):
            await trap()
            log.append("aenter")

        async def __aexit__(self, *exc_info):
            await trap()
            log.append("aexit")

    @implementation
    async def body():
        with Context():
            yield 1
        async with AsyncContext():
            yield 2
        try:
            raise KeyError
        except KeyError:
            yield 3
        finally:
            yield 4
        for _ in range(2):
            yield 5
        else:
            yield 6
        while (yield 7):
            pass

    assert collect(body()) == [1, 2, 3, 4, 5, 5, 6, 7]
    assert log == ["enter", "exit", "aenter", "aexit"]


def test_a_yield_as_an_argument_keeps_the_evaluation_stack(implementation):
    @implementation
    async def body():
        yield [1, 2, (yield "a"), *[3, (yield "b")], {"k": (yield "c")}, f"{(yield 'd')}"]

    generator = body()
    assert [run(generator.asend(value)) for value in (None, "A", "B", "C")] == ["a", "b", "c", "d"]
    assert run(generator.asend("D")) == [1, 2, "A", 3, "B", {"k": "C"}, "D"]
    run(generator.aclose())


def test_an_item_that_a_native_generator_took_leaves_that_one_usable():
    """The native generator takes the box of its yield_() itself; the next box may have the same address."""

    async def native():
        for number in range(5):
            await yield_(number)
        if False:
            yield

    @async_generator
    async def advancing(source):
        async for number in source:
            await yield_(number * 10)

    source = native()
    generator = advancing(source)
    for number in (0, 2):
        assert run(generator.__anext__()) == number * 10
        assert run(source.__anext__()) == number + 1
    run(generator.aclose())
    assert collect(source) == [4]
