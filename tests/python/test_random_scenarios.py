"""Random bodies and random consumers: every implementation answers with the transcript that native answers with.

A body is source text drawn at random, so that yields stand in every kind of block; a consumer is a list of operations.
Delegation has random tests of its own, in test_yield_from_random.py.
"""

import contextlib
import gc
import linecache
import sys
import textwrap
import warnings

import pytest
from bodies import IMPLEMENTATIONS
from driving import kind, trap
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

# Statements of a body. `log` collects what the body sees; `fuel` bounds the loops that a thrown exception may repeat.

LEAVES = st.sampled_from(
    [
        "log.append((yield {n}))",
        "yield {n}",
        "yield",
        "log.append(await trap('t{n}'))",
        "log.append([{n}, (yield 'a{n}'), (yield 'b{n}')])",
        "log.append(type(sys.exc_info()[1]).__name__)",
        "log.append({n})",
        "pass",
    ]
)
RAISES = st.sampled_from(
    [
        "raise ValueError({n})",
        "raise KeyError({n})",
        "raise StopIteration({n})",
        "raise StopAsyncIteration({n})",
        "raise GeneratorExit({n})",
        "raise BaseException({n})",
        "return",
    ]
)
CATCHES = st.sampled_from(
    ["ValueError", "KeyError", "Exception", "GeneratorExit", "BaseException", "StopAsyncIteration", "(ValueError, GeneratorExit)"]
)


def indented(block):
    return textwrap.indent(block, "    ")


@st.composite
def blocks(draw, depth=0):
    return "\n".join(draw(statements(depth)) for _ in range(draw(st.integers(1, 3))))


@st.composite
def statements(draw, depth):
    simple = st.one_of(LEAVES, LEAVES, LEAVES, RAISES)
    if depth >= 3:
        return draw(simple)
    shape = draw(st.sampled_from(["simple", "simple", "try", "finally", "for", "with", "async with", "if", "while"]))
    if shape == "simple":
        return draw(simple)
    inner = indented(draw(blocks(depth + 1)))
    if shape == "try":
        text = f"try:\n{inner}\nexcept {draw(CATCHES)} as error:\n    log.append(seen(error))\n{indented(draw(blocks(depth + 1)))}"
        if draw(st.booleans()):
            text += "\n    raise"
        if draw(st.booleans()):
            text += f"\nelse:\n{indented(draw(blocks(depth + 1)))}"
        return text
    if shape == "finally":
        return f"try:\n{inner}\nfinally:\n    log.append('finally')\n{indented(draw(blocks(depth + 1)))}"
    if shape == "for":
        return f"for _ in range({draw(st.integers(0, 3))}):\n{inner}"
    if shape == "with":
        return f"with Context(log, {draw(st.booleans())}):\n{inner}"
    if shape == "async with":
        return f"async with AsyncContext(log, {draw(st.booleans())}):\n{inner}"
    if shape == "while":
        return f"while next(fuel, None) is not None:\n{inner}"
    return f"if (yield 'if'):\n{inner}\nelse:\n{indented(draw(blocks(depth + 1)))}"


class Context:
    def __init__(self, log, swallow):
        self.log, self.swallow = log, swallow

    def __enter__(self):
        self.log.append("enter")

    def __exit__(self, kind_, error, traceback):
        self.log.append(["exit", seen(error)])
        return self.swallow and isinstance(error, ValueError)


class AsyncContext(Context):
    async def __aenter__(self):
        self.log.append(await trap("aenter"))

    async def __aexit__(self, kind_, error, traceback):
        self.log.append(["aexit", seen(error), await trap("aexit")])
        return self.swallow and isinstance(error, KeyError)


def seen(error):
    """An exception as data: its class, its arguments, and those that it was raised from or while handling."""
    chain = []
    while error is not None and len(chain) < 5:
        text = str(error).replace("coroutine ignored", "async generator ignored")
        chain.append((kind(error), text, error.__suppress_context__))
        error = error.__cause__ or error.__context__
    return chain


# Operations of a consumer: which awaitable to make, and what to do with its traps.
ERRORS = ["ValueError", "KeyError", "GeneratorExit", "BaseException", "StopAsyncIteration"]
OPERATIONS = st.one_of(
    st.tuples(st.just("anext")),
    st.tuples(st.just("anext")),
    st.tuples(st.just("asend"), st.sampled_from([None, 0, 1, "v"])),
    st.tuples(st.just("athrow"), st.sampled_from(ERRORS)),
    st.tuples(st.just("aclose")),
)
TRAPS = st.lists(st.sampled_from(["send", "send", "send", "throw ValueError", "throw KeyError", "throw GeneratorExit", "second"]), max_size=4)
CONSUMERS = st.lists(st.tuples(OPERATIONS, TRAPS), min_size=1, max_size=8)

NUMBER = iter(range(10**9))

# The same examples each time: a failure is found again by whoever looks for it. Explaining one takes longer than reading it.
SETTINGS = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.explicit, Phase.generate, Phase.shrink],
}


def native_function(source):
    """The body as a native async generator function whose source can be found again."""
    name = f"<random body {next(NUMBER)}>"
    lines = iter(range(10**6))
    numbered = "".join(part if part != "{n}" else str(next(lines)) for part in split_keeping(source, "{n}"))
    text = f"async def body(log, fuel):\n{indented(numbered)}\n    if fuel is None:\n        yield\n"
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    namespace = {"trap": trap, "sys": sys, "Context": Context, "AsyncContext": AsyncContext, "seen": seen}
    exec(compile(text, name, "exec"), namespace)
    return namespace["body"], text


def split_keeping(text, separator):
    pieces = text.split(separator)
    for piece in pieces[:-1]:
        yield piece
        yield separator
    yield pieces[-1]


def error_named(name, number):
    import builtins

    return getattr(builtins, name)(f"thrown {number}")


def operation(generator, what, number):
    if what[0] == "anext":
        return generator.__anext__()
    if what[0] == "asend":
        return generator.asend(what[1])
    if what[0] == "athrow":
        return generator.athrow(error_named(what[1], number))
    return generator.aclose()


def answer(call, *arguments):
    try:
        return ["awaits", call(*arguments)]
    except StopIteration as stop:
        return ["done", stop.value]
    except BaseException as error:
        return ["raises", seen(error)]


def transcript(function, consumer):
    """Everything that can be told from outside and inside about one use of one generator."""
    log, told = [], []
    generator = function(log, iter(range(6)))
    for number, (what, traps) in enumerate(consumer):
        awaiting = operation(generator, what, number)
        step = answer(awaiting.send, None)
        told.append([what, step])
        for action in [*traps, *["send"] * 30]:
            if step[0] != "awaits":
                break
            told.append(["running", generator.ag_running])
            if action == "second":
                told.append(answer(generator.__anext__().send, None))
                continue
            if action == "send":
                step = answer(awaiting.send, "answer")
            else:
                step = answer(awaiting.throw, error_named(action.split()[1], number))
            told.append([action, step])
        told.append([generator.ag_running, generator.ag_frame is None])
        if step[0] == "awaits":
            # It would await for ever: native versions differ in what becomes of a dropped step, so it goes to its end.
            told.append(answer(awaiting.throw, KeyboardInterrupt()))
            break
    for _ in range(3):
        closing = generator.aclose()
        step = answer(closing.send, None)
        for _ in range(50):
            if step[0] != "awaits":
                break
            step = answer(closing.send, "answer")
        told.append(["closing", step])
        if generator.ag_frame is None or step[0] == "awaits":
            break
    told.append(["log", log])
    return told


def usable(consumer):
    """`consumer` without what native is known to answer wrongly: such transcripts would say nothing about the package."""
    if sys.version_info < (3, 13):
        # ag_running stays set when an awaitable is ended by throw (rules 25 and 33).
        consumer = [(what, [action for action in traps if not action.startswith("throw")]) for what, traps in consumer]
    if sys.version_info >= (3, 12) and any(what == ("athrow", "StopAsyncIteration") for what, _ in consumer):
        # Thrown in before the start, it leaks (rule 21).
        consumer = [(("anext",), []), *consumer]
    return consumer


@contextlib.contextmanager
def unraisables_kept_apart():
    """A body that will not end is dropped in the end, and reported: the same happens to native's, with other words."""
    hook, reports = sys.unraisablehook, []
    sys.unraisablehook = lambda report: reports.append(kind(report.exc_value))
    try:
        yield reports
    finally:
        gc.collect()
        sys.unraisablehook = hook


@pytest.mark.without("native", reason="it is what the others are compared with")
@pytest.mark.filterwarnings("ignore::SyntaxWarning")  # 3.14+ warns of `return` in a `finally`, which is a case like others
@settings(max_examples=100, **SETTINGS)
@given(source=blocks(), consumer=CONSUMERS)
def test_transcripts_are_natives(implementation, source, consumer):
    consumer = usable(consumer)
    function, text = native_function(source)
    with warnings.catch_warnings(), unraisables_kept_apart():
        warnings.simplefilter("ignore", RuntimeWarning)  # a refused awaitable that native left un-awaited
        expected = transcript(function, consumer)
        told = transcript(implementation(function), consumer)
    del linecache.cache[function.__code__.co_filename]
    assert told == expected, text


@pytest.mark.without("native", reason="it is what the others are compared with")
@pytest.mark.filterwarnings("ignore::SyntaxWarning")  # 3.14+ warns of `return` in a `finally`, which is a case like others
@settings(max_examples=30, **SETTINGS)
@given(source=blocks(), count=st.integers(0, 5))
def test_dropping_a_generator_anywhere_is_what_it_is_natively(implementation, source, count):
    """Taken some items and dropped: the body sees the same."""
    function, text = native_function(source)
    logs, reports = [], []
    for made in (function, implementation(function)):
        log = []
        with unraisables_kept_apart() as reported:
            generator = made(log, iter(range(6)))
            step = None
            for _ in range(count):
                step = answer_all(generator.__anext__())
                if step[0] != "done":
                    break
            del generator, step
        logs.append(log)
        reports.append(reported)
    del linecache.cache[function.__code__.co_filename]
    assert logs[1] == logs[0], text
    native, ours = ([name for name in report if name != "StopAsyncIteration"] for report in reports)
    assert bool(ours) == bool(native), (reports, text)


def answer_all(awaiting):
    step = answer(awaiting.send, None)
    for _ in range(50):
        if step[0] != "awaits":
            return step
        step = answer(awaiting.send, "answer")
    awaiting.throw(KeyboardInterrupt())
    return step


def test_the_oracle_agrees_with_itself():
    """The comparison is not of accidents: native's transcript is the same a second time, and another body's differs."""
    consumer = [(("anext",), []), (("asend", 1), []), (("athrow", "KeyError"), []), (("aclose",), [])]
    one, _ = native_function("log.append((yield 1))\nyield 2")
    other, _ = native_function("log.append((yield 1))\nyield 3")
    assert transcript(one, consumer) == transcript(one, consumer)
    assert transcript(one, consumer) != transcript(other, consumer)
    assert IMPLEMENTATIONS["native"](one) is one
