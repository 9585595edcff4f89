"""What a generator and its awaitables are: attributes, repr, ABCs, what they refuse. Rules 1 to 10 and 65."""

import collections.abc
import copy
import gc
import inspect
import pickle
import re
import sys
import types
import weakref

import pytest
from driving import collect, finished, outcome, run, suspend, trap

AWAITABLES = ["__anext__", "asend", "athrow", "aclose"]


def awaitable(generator, operation):
    arguments = {"asend": (None,), "athrow": (KeyError(),)}.get(operation, ())
    return getattr(generator, operation)(*arguments)


def one_item(implementation):
    @implementation
    async def one():
        """Documented."""
        yield 1

    return one()


# --- rule 1: names and repr ---


def test_type_is_named_async_generator(implementation):
    assert type(one_item(implementation)).__name__ == "async_generator"  # rule 1


def test_repr_shows_the_qualified_name_and_the_address(implementation):
    generator = one_item(implementation)  # rule 1
    address = object.__repr__(generator).rpartition(" ")[2]  # written as the platform's printf does
    assert int(address.rstrip(">"), 16) == id(generator)
    assert repr(generator) == f"<async_generator object {generator.__qualname__} at {address}"
    assert "one_item.<locals>.one" in repr(generator)


def test_repr_follows_a_changed_qualified_name(implementation):
    generator = one_item(implementation)  # rules 1, 5
    generator.__qualname__ = "somewhere.else_"
    assert repr(generator).startswith("<async_generator object somewhere.else_ at 0x")


@pytest.mark.parametrize(
    "operation, name", [("__anext__", "asend"), ("asend", "asend"), ("athrow", "athrow"), ("aclose", "athrow")]
)
def test_awaitables_are_named_after_their_kind(implementation, operation, name):
    generator = one_item(implementation)  # rule 1
    object_ = awaitable(generator, operation)
    assert type(object_).__name__ == f"async_generator_{name}"
    outcome(object_.send, None)


# --- rules 2 and 3: protocols ---


def test_generator_is_its_own_async_iterator(implementation):
    generator = one_item(implementation)  # rule 2
    assert generator.__aiter__() is generator
    assert aiter(generator) is generator


@pytest.mark.parametrize("operation", AWAITABLES)
def test_awaitable_is_its_own_iterator(implementation, operation):
    object_ = awaitable(one_item(implementation), operation)  # rule 2
    assert object_.__await__() is object_
    assert iter(object_) is object_
    for method in ("send", "throw", "close", "__next__"):
        assert callable(getattr(object_, method))
    outcome(object_.send, None)


def test_generator_is_an_async_generator_to_the_abcs(implementation):
    generator = one_item(implementation)  # rule 3
    assert isinstance(generator, collections.abc.AsyncGenerator)
    assert isinstance(generator, collections.abc.AsyncIterator)
    assert isinstance(generator, collections.abc.AsyncIterable)
    assert not isinstance(generator, (collections.abc.Awaitable, collections.abc.Coroutine, collections.abc.Generator))


@pytest.mark.parametrize("operation", AWAITABLES)
def test_awaitable_is_a_coroutine_to_the_abcs_but_not_to_inspect(implementation, operation):
    object_ = awaitable(one_item(implementation), operation)  # rule 3
    for abc in (
        collections.abc.Awaitable,
        collections.abc.Coroutine,
        collections.abc.Generator,
        collections.abc.Iterator,
    ):
        assert isinstance(object_, abc), abc
    assert inspect.isawaitable(object_)
    assert not inspect.iscoroutine(object_)
    outcome(object_.send, None)


# --- rule 4: attributes ---


def test_generator_has_every_attribute_of_a_native_one(implementation):
    generator = one_item(implementation)  # rule 4
    assert generator.__name__ == "one"
    assert generator.__qualname__ == "one_item.<locals>.one"
    assert generator.ag_running is False
    assert generator.ag_await is None
    assert isinstance(generator.ag_frame, types.FrameType)
    assert isinstance(generator.ag_code, types.CodeType)
    assert generator.ag_code.co_name == "one"
    assert generator.ag_frame.f_code is generator.ag_code
    assert isinstance(sys.getsizeof(generator), int)


def test_suspended_flag_is_true_only_at_a_yield_or_an_await(implementation):
    if not implementation.since(3, 12):
        pytest.skip("native has ag_suspended from 3.12 on")
    generator = one_item(implementation)  # rule 4
    assert generator.ag_suspended is False
    run(generator.__anext__())
    assert generator.ag_suspended is True
    assert finished(generator)
    assert generator.ag_suspended is False


def test_suspended_flag_is_false_inside_the_body(implementation):
    if not implementation.since(3, 12):
        pytest.skip("native has ag_suspended from 3.12 on")
    seen = []  # rule 4

    @implementation
    async def body():
        seen.append(generator.ag_suspended)
        await trap()
        yield

    generator = body()
    awaiting = generator.__anext__()
    suspend(awaiting)
    seen.append(generator.ag_suspended)
    run(awaiting)
    assert seen == [False, True]


def test_state_names_where_the_body_stands(implementation):
    if not implementation.since(3, 15):
        pytest.skip("native has ag_state from 3.15 on")
    seen = []  # rule 4

    @implementation
    async def body():
        seen.append(generator.ag_state)
        yield

    generator = body()
    assert generator.ag_state == "AGEN_CREATED"
    run(generator.__anext__())
    assert generator.ag_state == "AGEN_SUSPENDED"
    assert finished(generator)
    assert generator.ag_state == "AGEN_CLOSED"
    assert seen == ["AGEN_RUNNING"]


def test_state_of_a_generator_closed_before_it_began_is_closed(implementation):
    if not implementation.since(3, 15):
        pytest.skip("native has ag_state from 3.15 on")
    generator = one_item(implementation)  # rules 4, 45
    run(generator.aclose())
    assert generator.ag_state == "AGEN_CLOSED"


@pytest.mark.only("decorated", "decorated_native", reason="native has ag_gen from 3.16 on, the rest not at all")
@pytest.mark.parametrize("operation", AWAITABLES)
def test_awaitable_leads_back_to_its_generator(implementation, operation):
    generator = one_item(implementation)  # rule 4
    object_ = awaitable(generator, operation)
    assert object_.ag_gen is generator
    assert object_.__name__ == "one"
    assert object_.__qualname__ == "one_item.<locals>.one"
    assert object_.cr_code is generator.ag_code
    assert object_.cr_frame is generator.ag_frame
    assert object_.cr_await is None
    assert object_.cr_running is False
    outcome(object_.send, None)


@pytest.mark.only("decorated", "decorated_native", reason="native has ag_gen from 3.16 on, the rest not at all")
def test_awaitable_shows_what_the_body_awaits(implementation):
    @implementation
    async def body():
        await inner()
        yield

    async def inner():
        await trap()

    generator = body()
    awaiting = generator.__anext__()
    suspend(awaiting)
    assert awaiting.cr_await is generator.ag_await
    assert awaiting.cr_await.cr_code is inner.__code__
    run(awaiting)


@pytest.mark.only("decorated", "decorated_native", reason="native refuses weak references to its awaitables")
def test_garbage_collector_sees_the_way_from_awaitable_to_generator(implementation):
    generator = one_item(implementation)  # stackscope and trio walk the stack this way
    object_ = generator.__anext__()
    assert generator in gc.get_referents(object_)
    run(object_)


def test_class_can_be_subscribed(implementation):
    alias = type(one_item(implementation))[int, str]  # rule 4
    assert alias.__args__ == (int, str)
    assert alias.__origin__ is type(one_item(implementation))


# --- rule 5: what can be set ---


@pytest.mark.engine(reason="no class in Python can have a descriptor named __qualname__")
@pytest.mark.parametrize("name", ["__name__", "__qualname__"])
def test_names_can_be_set_to_strings_only(implementation, name):
    generator = one_item(implementation)  # rule 5
    setattr(generator, name, "other")
    assert getattr(generator, name) == "other"
    with pytest.raises(TypeError, match=f"{name} must be set to a string object"):
        setattr(generator, name, 5)
    with pytest.raises(TypeError, match=f"{name} must be set to a string object"):
        delattr(generator, name)
    assert getattr(generator, name) == "other"


@pytest.mark.engine(reason="the interpreter words it otherwise for a property")
@pytest.mark.parametrize("name", ["ag_running", "ag_frame", "ag_code", "ag_await"])
def test_generator_attributes_are_read_only(implementation, name):
    generator = one_item(implementation)  # rule 5
    with pytest.raises(AttributeError, match="readonly attribute|is not writable|objects is not writable"):
        setattr(generator, name, None)
    with pytest.raises(AttributeError):
        delattr(generator, name)


def test_names_of_the_generator_are_those_the_function_had_at_the_call(implementation):
    @implementation
    async def function():
        yield

    function.__name__, function.__qualname__ = "renamed", "somewhere.renamed"
    generator = function()
    assert generator.__name__ in ("renamed", "function") if implementation.ours else generator.__name__ == "renamed"


@pytest.mark.only("decorated", "decorated_native", reason="native generators have no __dict__")
def test_generator_takes_attributes_of_its_user(implementation):
    generator = one_item(implementation)  # 1.10 fact G6
    generator.anything = 5
    assert generator.__dict__ == {"anything": 5}
    del generator.anything
    assert not hasattr(generator, "anything")


@pytest.mark.only("native", "undecorated", reason="the package's generators have a __dict__, as 1.10's")
def test_native_generator_takes_no_attributes(implementation):
    with pytest.raises(AttributeError, match="'async_generator' object has no attribute 'anything'"):
        one_item(implementation).anything = 5  # rule 5


# --- rule 6: references, copies ---


def test_generator_can_be_weakly_referenced(implementation):
    generator = one_item(implementation)  # rule 6
    gone = []
    reference = weakref.ref(generator, gone.append)
    assert reference() is generator
    del generator
    gc.collect()
    assert reference() is None
    assert gone == [reference]


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_generator_cannot_be_copied_or_pickled(implementation, duplicate):
    with pytest.raises(TypeError, match="cannot pickle '.*async_generator.*' object"):
        duplicate(one_item(implementation))  # rule 6


@pytest.mark.parametrize("operation", AWAITABLES)
def test_awaitable_cannot_be_pickled(implementation, operation):
    object_ = awaitable(one_item(implementation), operation)  # rule 6
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(object_)
    outcome(object_.send, None)


def test_generator_is_hashed_and_compared_by_identity(implementation):
    first, second = one_item(implementation), one_item(implementation)
    assert first == first and first != second
    assert len({first, second, first}) == 2


# --- rule 7: what it is not ---


@pytest.mark.parametrize("use", [iter, list, next])
def test_generator_is_not_a_sync_iterable(implementation, use):
    with pytest.raises(TypeError, match=r"'[\w.]*async_generator[\w.]*' object is not (an iterator|iterable)"):
        use(one_item(implementation))  # rule 7


def test_sync_for_over_a_generator_is_refused(implementation):
    with pytest.raises(TypeError, match=r"'[\w.]*async_generator[\w.]*' object is not iterable"):
        for _ in one_item(implementation):  # rule 7
            pass


def test_generator_cannot_be_awaited(implementation):
    async def await_it():
        await one_item(implementation)

    with pytest.raises(
        TypeError,
        match=r"object [\w.]*async_generator[\w.]* can't be used in 'await' expression|object can't be awaited",
    ):
        run(await_it())  # rule 7


# --- rule 8: call signatures ---


@pytest.mark.parametrize(
    "operation, arguments", [("asend", ()), ("asend", (1, 2)), ("aclose", (1,)), ("__anext__", (1,)), ("athrow", ())]
)
def test_wrong_argument_counts_are_type_errors_at_the_call(implementation, operation, arguments):
    if operation == "athrow" and not implementation.since(3, 15):
        pytest.skip("native reports athrow's arguments at the call from 3.15 on (rule 34)")
    generator = one_item(implementation)  # rules 8, 34
    with pytest.raises(TypeError):
        getattr(generator, operation)(*arguments)
    assert generator.ag_running is False
    assert collect(generator) == [1]


@pytest.mark.only("decorated", "decorated_native", reason="native takes no keywords, 1.10 does (fact C19)")
def test_operations_take_keywords(implementation):
    caught = []

    @implementation
    async def body():
        try:
            caught.append((yield 1))
            yield 2
        except KeyError as error:
            caught.append(error)
        yield 3

    generator = body()
    assert run(generator.asend(value=None)) == 1
    assert run(generator.asend(value="sent")) == 2
    error = KeyError()
    assert run(generator.athrow(type=error)) == 3
    assert caught == ["sent", error]
    run(generator.aclose())


@pytest.mark.only("decorated", "decorated_native", reason="native takes no keywords, 1.10 does (fact C19)")
def test_operations_refuse_unknown_keywords(implementation):
    generator = one_item(implementation)
    with pytest.raises(TypeError):
        generator.asend(item=None)
    with pytest.raises(TypeError):
        generator.athrow(KeyError(), exception=None)
    with pytest.raises(TypeError):
        generator.asend(1, value=1)
    assert collect(generator) == [1]


@pytest.mark.parametrize("operation", ["asend", "athrow", "aclose", "__anext__", "__aiter__"])
def test_operations_are_documented(implementation, operation):
    method = getattr(type(one_item(implementation)), operation)  # rule 8
    assert method.__doc__
    assert method.__name__ == operation


# --- rules 9 and 10: frame, code, await ---


def test_frame_is_gone_when_the_body_is_over_and_the_code_stays(implementation):
    generator = one_item(implementation)  # rule 9
    code = generator.ag_code
    collect(generator)
    assert generator.ag_frame is None
    assert generator.ag_code is code
    assert generator.ag_await is None


def test_frame_is_gone_after_a_close_before_the_start(implementation):
    generator = one_item(implementation)  # rules 9, 45
    run(generator.aclose())
    assert generator.ag_frame is None


def test_suspended_frame_has_no_caller(implementation):
    generator = one_item(implementation)  # rule 9
    run(generator.__anext__())
    assert generator.ag_frame.f_back is None


def test_frame_shows_locals_and_line(implementation):
    line = inspect.currentframe().f_lineno

    @implementation
    async def body(argument):
        local = argument + 1
        yield local

    generator = body(1)
    assert generator.ag_frame.f_locals["argument"] == 1
    run(generator.__anext__())
    assert generator.ag_frame.f_locals["local"] == 2
    assert generator.ag_frame.f_lineno == line + 5
    run(generator.aclose())


def test_await_is_the_awaited_object_and_none_at_a_yield(implementation):
    @implementation
    async def body():
        await inner()
        yield 1

    async def inner():
        await trap()

    generator = body()
    assert generator.ag_await is None
    awaiting = generator.__anext__()
    suspend(awaiting)
    assert generator.ag_await.cr_code is inner.__code__  # rule 9
    run(awaiting)
    if implementation.name != "undecorated":  # there the interpreter sees an awaitable
        assert generator.ag_await is None  # rule 9
    run(generator.aclose())


def test_await_of_a_chain_is_seen_after_the_first_yield_too(implementation):
    @implementation
    async def body():
        yield 1
        await inner()
        yield 2

    async def inner():
        await trap()

    generator = body()
    run(generator.__anext__())
    awaiting = generator.__anext__()
    suspend(awaiting)
    assert generator.ag_await.cr_code is inner.__code__  # rule 9
    assert run(awaiting) == 2
    run(generator.aclose())


@pytest.mark.without(
    "decorated",
    "decorated_native",
    reason="their frame is a coroutine's, for which 3.13+ answers with the same refusal; tested below",
)
def test_clearing_a_suspended_frame_finishes_the_generator_before_3_13(implementation):
    done = []

    @implementation
    async def body():
        try:
            yield 1
        finally:
            done.append(1)

    generator = body()
    run(generator.__anext__())
    if sys.version_info >= (3, 13):  # rule 10
        with pytest.raises(RuntimeError, match="cannot clear an? suspended frame"):
            generator.ag_frame.clear()
        assert not done
        run(generator.aclose())
    else:
        generator.ag_frame.clear()
        assert finished(generator)
    assert done == [1]


@pytest.mark.only("decorated", "decorated_native", reason="native above")
def test_clearing_the_frame_of_our_generator_is_refused_or_finishes_it(implementation):
    done = []

    @implementation
    async def body():
        try:
            yield 1
        finally:
            done.append(1)

    generator = body()
    run(generator.__anext__())
    try:
        generator.ag_frame.clear()  # rule 10
    except RuntimeError:
        assert sys.version_info >= (3, 13)
        assert not done
        run(generator.aclose())
    assert done == [1]
    assert finished(generator)
    assert generator.ag_frame is None


# --- rule 65: inspect ---


@pytest.mark.skipif(sys.version_info < (3, 12), reason="inspect.getasyncgenstate is new in 3.12")
def test_inspect_knows_the_state(implementation):
    seen = []  # rule 65

    @implementation
    async def body():
        seen.append(inspect.getasyncgenstate(generator))
        yield

    generator = body()
    assert inspect.getasyncgenstate(generator) == inspect.AGEN_CREATED
    run(generator.__anext__())
    assert seen == [inspect.AGEN_RUNNING]
    assert inspect.getasyncgenstate(generator) == inspect.AGEN_SUSPENDED
    assert finished(generator)
    assert inspect.getasyncgenstate(generator) == inspect.AGEN_CLOSED


@pytest.mark.skipif(sys.version_info < (3, 12), reason="inspect.getasyncgenlocals is new in 3.12")
def test_inspect_knows_the_locals(implementation):
    if implementation.ours:
        # inspect refuses what is not types.AsyncGeneratorType: type identity, documented.
        import async_generator

        assert async_generator.isasyncgen(one_item(implementation))
        return

    @implementation
    async def body(a):
        b = 2
        yield a + b

    generator = body(1)
    run(generator.__anext__())
    assert inspect.getasyncgenlocals(generator) == {"a": 1, "b": 2}  # rule 65
    run(generator.aclose())


def test_qualified_name_of_a_method_names_its_class(implementation):
    class Reader:
        @implementation
        async def lines(self):
            yield self

    reader = Reader()
    generator = reader.lines()
    assert re.search(r"Reader\.lines at 0x", repr(generator))
    assert collect(generator) == [reader]
