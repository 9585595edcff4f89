"""Rewritten functions do what the same functions do unrewritten, and preparing them is cheap and unseen."""

import gc
import importlib
import inspect
import itertools
import os
import sys
import time
import traceback
import types
import warnings

import async_generator as package
import pytest
import random_functions
from async_generator import _bytecode, _engine, _rewriting, async_generator, yield_, yield_from_
from driving import collect, run

OPERATORS = (yield_, yield_from_, async_generator)
VERSION = sys.version_info[:2]


def unrewritten(function):
    """What `@async_generator` makes of a coroutine function, its code as it is."""
    return _engine.factory(function, None, lambda function, *_: (function, (), 0))


def is_rewritten(function):
    return _rewriting.rewrite(function.__code__, function.__globals__)[0] is not function.__code__


# Control flow that joins at the await ----------------------------------------------------------------------------------


async def helper(*seen):
    return ("helper ran", *seen)


def same(value):
    return value


async def chooses_first(c):
    return await (helper() if c else yield_("item"))


async def chooses_last(c):
    return await (yield_("item") if c else helper())


async def chooses_between_yields(c):
    return await (yield_(1) if c else yield_(2))


async def chooses_between_operators(c):
    return await (yield_(1) if c else yield_from_(delegate(2)))


async def falls_back(c):
    return await ((c and helper()) or yield_("item"))


async def goes_on(c):
    return await (((c or not c) and not c and helper()) or yield_("item"))


async def chooses_with_comprehension(c):
    return await (helper() if c else yield_([x for x in range(3)]))


async def chooses_delegates(c):
    return await yield_from_(delegate(1) if c else delegate(2))


async def chooses_what_delegates(c):
    return await (helper() if c else yield_from_(delegate(2)))


async def chooses_an_argument(c):
    return await yield_((yield_ if c else "else") and 3)


async def chooses_the_operator(c):
    return await (yield_ if c else helper)("item")


async def chooses_in_an_argument(c):
    return await yield_(await (helper() if c else yield_(1)))


async def hands_it_through(c):
    return await same(yield_(c))


async def names_it_first(c):
    return (await (made := yield_(c)), type(made).__name__)


async def in_a_handler(c):
    try:
        raise KeyError(1)
    except KeyError:
        return await (helper() if c else yield_([x for x in range(3) if x]))
    finally:
        await (helper() if c else yield_("at last"))


@async_generator
async def delegate(value):
    return ("delegated", await yield_(value))


CHOOSING = [
    value
    for name, value in list(globals().items())
    if name.startswith(("choose", "fall", "goes", "hands", "names", "in_a"))
]


def answers(function, *arguments):
    """The items of a generator that is sent numbers, and how it ends."""
    generator = function(*arguments)
    items = []
    try:
        for step in range(10):
            items.append(run(generator.asend(step or None)))
    except BaseException as error:
        items.append((type(error), error.args))
    return items


@pytest.mark.parametrize("condition", [True, False])
@pytest.mark.parametrize("function", CHOOSING, ids=lambda function: function.__name__)
def test_an_await_that_several_paths_come_to_awaits_what_each_of_them_made(function, condition):
    expected = answers(unrewritten(function), condition)
    assert answers(async_generator(function), condition) == expected


async def wrong_keyword(x):
    await yield_(wrong_kw=x)


async def keyword(x):
    return await yield_(value=x)


async def wrong_keyword_of_a_delegation(x):
    await yield_from_(wrong_kw=delegate(x))


async def keyword_of_a_delegation(x):
    return await yield_from_(delegate=delegate(x))


async def keyword_of_a_delegate(x):
    return await yield_from_(delegate(value=x))


async def wrong_keyword_of_a_delegate(x):
    return await yield_from_(delegate(valu=x))


async def star(x):
    return await yield_(*[x])


async def two_stars(x):
    return await yield_(**{"value": x})


async def too_many(x):
    return await yield_(x, x)


@pytest.mark.parametrize(
    "function",
    [
        wrong_keyword, keyword, wrong_keyword_of_a_delegation, keyword_of_a_delegation, keyword_of_a_delegate,
        wrong_keyword_of_a_delegate, star, two_stars, too_many,
    ],
    ids=lambda function: function.__name__,
)  # fmt: skip
def test_arguments_are_taken_as_the_call_takes_them(function):
    expected = answers(unrewritten(function), 5)
    assert answers(async_generator(function), 5) == expected
    assert ("wrong" in function.__name__ or "many" in function.__name__) == (expected[-1][0] is TypeError)


def test_a_wrong_keyword_is_refused():
    with pytest.raises(TypeError, match=r"yield_\(\) got an unexpected keyword argument 'wrong_kw'"):
        run(async_generator(wrong_keyword)(1).asend(None))


def test_a_function_that_rebinds_the_name_itself_calls_what_it_bound():
    source = "async def function():\n global yield_\n await yield_(1)\n yield_ = other\n return await yield_(2)\n"

    async def other(value):
        return ("other", value)

    for decorate in (async_generator, unrewritten):
        namespace = {"yield_": yield_, "other": other}
        exec(source, namespace)
        assert answers(decorate(namespace["function"])) == [1, (StopAsyncIteration, (("other", 2),))]


def test_an_error_at_the_await_shows_the_line_of_the_await():
    async def body():
        await (
            yield_(
                1
            )
        )  # fmt: skip

    def seen(decorate):
        generator = decorate(body)()
        run(generator.asend(None))
        standing = generator.ag_frame.f_lineno
        with pytest.raises(KeyError) as caught:
            run(generator.athrow(KeyError()))
        return standing, [one.lineno for one in traceback.extract_tb(caught.value.__traceback__) if one.name == "body"]

    assert is_rewritten(body)
    assert seen(async_generator) == seen(unrewritten)


# Random functions ------------------------------------------------------------------------------------------------------


def transcript(decorate, code, seed):
    world = random_functions.World(OPERATORS)
    exec(code, world.globals)
    return random_functions.transcript(decorate(world.globals["function"]), world, seed)


FULL = os.environ.get("AGEN_FULL") == "1"
CHUNK = 100
CHUNKS = 1000 if FULL else 3


@pytest.fixture
def no_collections():
    """What a collection ends would be in the transcript of whoever happens to run then."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collections")
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_functions_do_what_they_do_unrewritten(chunk):
    """Items, what is sent and thrown, the return value, exceptions with their contexts, the order of side effects, and the
    lines of tracebacks and of frames that wait."""
    rewritten = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is drawn: `is` with a literal, an awaitable that nobody awaits
        for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
            text, code = random_functions.source(seed)
            for drive in (seed, -seed - 1):
                expected, answered = (transcript(decorate, code, drive) for decorate in (unrewritten, async_generator))
                if answered != expected:
                    pytest.fail(f"seed {seed}, driven by {drive}:\n{text}\nexpected {expected}\nanswered {answered}")
            (body,) = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
            rewritten += _rewriting.rewrite(body, {"yield_": yield_, "yield_from_": yield_from_})[0] is not body
    assert rewritten > CHUNK / 2  # or it compares the same code


# Reading code ----------------------------------------------------------------------------------------------------------


def codes_within(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes_within(constant)


@pytest.mark.parametrize("module", ["asyncio.base_events", "contextlib", "inspect", "tarfile", "_pydecimal"])
def test_code_is_read_as_dis_reads_it(module):
    source = inspect.getsource(importlib.import_module(module))
    for code in codes_within(compile(source, module, "exec")):
        read = _bytecode.Code(code)
        instructions = [one for one in dis_instructions(code) if one.opname != "EXTENDED_ARG"]
        assert [one.offset // 2 for one in instructions] == positions(read)
        for one in instructions:
            index = one.offset // 2
            assert read.opcodes[index] == one.opcode
            if one.arg is not None:
                assert read.argument(index) == one.arg
            if one.opcode in _bytecode._JUMPS:
                assert read.target(index) == read.instruction(one.argval // 2)
                assert index in read.sources(read.target(index))
        assert handlers(read) == dis_handlers(code)


def dis_instructions(code):
    return list(_rewriting.dis.get_instructions(code))


def positions(read):
    index, found = read.instruction(0), []
    while True:
        found.append(index)
        following = index + _bytecode.SIZES[read.opcodes[index]]
        if following >= len(read.opcodes):
            return found
        index = read.instruction(following)


def handlers(read):
    entries = zip(read.starts, read.entries, strict=True)
    return [(start, end, *handler) for start, (end, handler) in entries]


def dis_handlers(code):
    entries = getattr(_rewriting.dis.Bytecode(code), "exception_entries", ())
    return [(one.start // 2, one.end // 2, one.target // 2, one.depth, one.lasti) for one in entries]


# What it costs ---------------------------------------------------------------------------------------------------------


def long_function(block, count):
    namespace = {"yield_": yield_, "yield_from_": yield_from_, "helper": helper, "delegate": delegate}
    exec("async def function(c=1):\n" + block * count, namespace)
    return namespace["function"]


def work(function):
    """How many calls of Python functions and builtin functions rewriting makes."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    _rewriting.rewrite(helper.__code__, {})  # the sample
    sys.setprofile(count)
    try:
        made, _, _ = _rewriting.rewrite(function.__code__, function.__globals__)
    finally:
        sys.setprofile(None)
    assert made is not function.__code__
    return calls


BLOCKS = {
    "plain": "    await yield_()\n",
    "argument that awaits": "    await yield_(await helper())\n",
    "comprehension": "    await yield_([x for x in range(3) if x])\n",
    "delegation": "    await yield_from_(delegate(c))\n",
    "handlers": "    try:\n        await yield_([await yield_(), 1])\n    except KeyError:\n        await yield_(1)\n",
    "no item": "    await (helper() if c else yield_(c))\n    await yield_(1)\n",
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_work_grows_with_the_length_of_the_function(block):
    """Beyond what is counted for the size of the stack, which is not done for long functions."""
    few, many = (work(long_function(block, count)) for count in (250, 1000))
    assert many < 4.4 * few


def test_four_thousand_awaits_take_a_moment():
    """Two to five times what compiling the function takes; it was seconds."""
    _rewriting.rewrite(helper.__code__, {})
    times = [time.process_time()]
    function = long_function(BLOCKS["plain"], 4000)
    times.append(time.process_time())
    assert is_rewritten(function)
    times.append(time.process_time())
    compiling, rewriting = (after - before for before, after in itertools.pairwise(times))
    assert rewriting < 20 * compiling


# Nobody sees it --------------------------------------------------------------------------------------------------------

FOLDER = os.path.dirname(package.__file__)


def first_calls():
    """Functions that nobody has called, and what calls them."""

    @async_generator
    async def inner(x=1):
        return await yield_(x)

    async def body(x):
        await yield_(x)
        await yield_from_(inner())

    async def native(x):
        yield x

    functions = [async_generator(body), async_generator(native), inner]

    def call():
        return [collect(function(1)) for function in functions]

    return call


def ours(code):
    return code.co_filename.startswith(FOLDER)


def test_a_tracer_sees_no_line_of_the_package():
    seen = set()

    def trace(frame, event, argument):
        seen.add(frame.f_code)
        return trace

    call, before = first_calls(), sys.gettrace()
    sys.settrace(trace)
    try:
        call()
        assert sys.gettrace() is trace
    finally:
        sys.settrace(before)
    assert call.__code__ in seen and not list(filter(ours, seen))


def test_a_profiler_sees_no_call_of_the_package():
    seen = set()
    call, before = first_calls(), sys.getprofile()
    sys.setprofile(lambda frame, event, argument: seen.add(frame.f_code))
    try:
        call()
    finally:
        sys.setprofile(before)
    assert call.__code__ in seen and not list(filter(ours, seen))


@pytest.mark.skipif(VERSION < (3, 12), reason="sys.monitoring came with 3.12")
def test_a_monitoring_tool_sees_nothing_of_the_package():
    seen = set()
    monitoring, tool = sys.monitoring, 4
    events = [monitoring.events.PY_START, monitoring.events.LINE, monitoring.events.CALL, monitoring.events.RAISE]
    call = first_calls()
    monitoring.use_tool_id(tool, "test")
    try:
        for event in events:
            monitoring.register_callback(tool, event, lambda code, *more: seen.add(code))
        monitoring.set_events(tool, sum(events))
        call()
    finally:
        monitoring.set_events(tool, 0)
        monitoring.free_tool_id(tool)
    assert call.__code__ in seen and not list(filter(ours, seen))


def test_tracing_goes_on_where_preparing_fails():
    class Failing(type):
        fails = False

        def __getattribute__(cls, name):
            if name == "__call__" and Failing.fails:
                raise LookupError("no call")
            return super().__getattribute__(name)

    class Callable(metaclass=Failing):
        def __call__(self):
            raise AssertionError

    decorated, seen, before = async_generator(Callable()), [], sys.gettrace()
    Failing.fails = True

    def after():
        return 1

    sys.settrace(lambda frame, event, argument: seen.append(frame.f_code))
    try:
        with pytest.raises(LookupError):
            decorated()
        after()
    finally:
        sys.settrace(before)
    assert after.__code__ in seen
