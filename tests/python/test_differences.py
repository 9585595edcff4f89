"""Checks docs/differences.md: every row of its tables has a name, and here a scenario of that name.

A scenario is run on native generators and on this package's, in native syntax and with `await yield_()`; what the page
says of each is what must come out.
"""

import contextlib
import gc
import inspect
import re
import sys
import types
import warnings
import weakref
from pathlib import Path

import async_generator
import pytest
from async_generator import yield_, yield_from_
from builds import CODE_RUNS, DEBUG, FREE_THREADED, PLAIN, UNSEEN

PAGE = Path(__file__).resolve().parents[2] / "docs" / "differences.md"
if not PAGE.exists():
    pytest.skip("docs/differences.md is not part of this copy of the tests", allow_module_level=True)

ROW = re.compile(r"^\| `([a-z0-9-]+)` \|", re.MULTILINE)
ROWS = ROW.findall(PAGE.read_text(encoding="utf-8"))
VERSION = sys.version_info[:2]
SCENARIOS = {}


def row(name, *, native, ours, operators=None):
    """Registers a scenario with what it answers on native generators, on ours in native syntax and with yield_()."""

    def register(scenario):
        assert name not in SCENARIOS
        operated = ours if operators is None else operators
        SCENARIOS[name] = scenario, {"native": native, "ours": ours, "operators": operated}
        return scenario

    return register


def since(version, then, before):
    """An answer that changed with a version of CPython."""
    return then if VERSION >= version else before


# Bodies ---------------------------------------------------------------------------------------------------------------


@types.coroutine
def trap():
    return (yield "trap")


class Native:
    """The bodies of the scenarios, as native async generators."""

    decorator = staticmethod(lambda function: function)

    def __init__(self):
        self.log, self.written, self.functions = [], [], []

    def decorate(self, function):
        self.written.append(function)
        self.functions.append(self.decorator(function))
        return self.functions[-1]

    def counting(self):
        @self.decorate
        async def counting(*_):
            for number in range(10):
                try:
                    yield number
                except ValueError as error:
                    self.log.append(error)
                except BaseException as error:
                    self.log.append(type(error).__name__)
                    raise

        return counting()

    def trapping(self):
        @self.decorate
        async def trapping():
            try:
                while True:
                    yield await trap()
            except BaseException as error:
                self.log.append(type(error).__name__)
                raise

        return trapping()

    def trapping_at_exit(self):
        @self.decorate
        async def trapping_at_exit():
            try:
                yield
            finally:
                await trap()

        return trapping_at_exit()

    def echoing(self):
        @self.decorate
        async def echoing():
            value = None
            while True:
                value = yield value

        return echoing()

    def fresh(self):
        @self.decorate
        async def fresh():
            while True:
                yield set()

        return fresh()

    def silent(self):
        @self.decorate
        async def silent():
            yield None

        return silent()

    def failing(self):
        @self.decorate
        async def failing():
            raise KeyError
            yield

        return failing()

    def stubborn(self):
        @self.decorate
        async def stubborn():
            for _ in range(10):
                with contextlib.suppress(GeneratorExit):
                    yield

        return stubborn()

    def chain(self, look):
        async def leaf():
            look()
            yield 1

        async def middle():
            async for item in leaf():
                yield item

        async def root():
            async for item in middle():
                yield item

        return root()


class Ours(Native):
    """The same functions under @async_generator, and yield_from_ in place of a nested loop."""

    decorator = staticmethod(async_generator.async_generator)

    def chain(self, look):
        @async_generator.async_generator
        async def leaf():
            look()
            yield 1

        @async_generator.async_generator
        async def middle():
            await yield_from_(leaf())

        @async_generator.async_generator
        async def root():
            await yield_from_(middle())

        return root()


class Operators(Ours):
    """The same with `await yield_()`."""

    def counting(self):
        @self.decorate
        async def counting(*_):
            for number in range(10):
                try:
                    await yield_(number)
                except ValueError as error:
                    self.log.append(error)
                except BaseException as error:
                    self.log.append(type(error).__name__)
                    raise

        return counting()

    def trapping(self):
        @self.decorate
        async def trapping():
            try:
                while True:
                    await yield_(await trap())
            except BaseException as error:
                self.log.append(type(error).__name__)
                raise

        return trapping()

    def trapping_at_exit(self):
        @self.decorate
        async def trapping_at_exit():
            try:
                await yield_()
            finally:
                await trap()

        return trapping_at_exit()

    def echoing(self):
        @self.decorate
        async def echoing():
            value = None
            while True:
                value = await yield_(value)

        return echoing()

    def fresh(self):
        @self.decorate
        async def fresh():
            while True:
                await yield_(set())

        return fresh()

    def silent(self):
        @self.decorate
        async def silent():
            await yield_(None)

        return silent()

    def failing(self):
        @self.decorate
        async def failing():
            raise KeyError

        return failing()

    def stubborn(self):
        @self.decorate
        async def stubborn():
            for _ in range(10):
                with contextlib.suppress(GeneratorExit):
                    await yield_()

        return stubborn()


FORMS = {"native": Native, "ours": Ours, "operators": Operators}


def outcome(action, *arguments):
    """What a call answers, in a word or two."""
    try:
        result = action(*arguments)
    except StopIteration as stop:
        return f"item {stop.value!r}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return repr(result)


def step(awaitable):
    return outcome(awaitable.send, None)


def kind(answer):
    """The first word of an outcome: the name of the exception."""
    return answer.partition(":")[0]


def next_item(generator):
    return step(generator.__anext__())


# What every version does here, and native only on some ---------------------------------------------------------------

REUSED = "RuntimeError: cannot reuse already awaited {}"


@row(
    "athrow-arguments",
    native=since((3, 15), ("TypeError", "item 0"), ("nothing", "TypeError", "RuntimeError")),
    ours=("TypeError", "item 0"),
)
def athrow_arguments(form):
    generator = form.counting()
    try:
        awaitable = generator.athrow()
    except TypeError:
        return "TypeError", next_item(generator)
    return "nothing", kind(step(awaitable)), kind(next_item(generator))


@row(
    "close-suspended",
    native=since((3, 13), (False, "StopAsyncIteration"), (True, "RuntimeError")),
    ours=(False, "StopAsyncIteration"),
)
def close_suspended(form):
    generator = form.trapping()
    awaitable = generator.__anext__()
    step(awaitable)
    awaitable.close()
    return generator.ag_running, kind(next_item(generator))


@row("close-unawaited", native=since((3, 13), "StopAsyncIteration", "item 1"), ours="StopAsyncIteration")
def close_unawaited(form):
    generator = form.counting()
    next_item(generator)
    generator.__anext__().close()
    return next_item(generator)


@row("drop-suspended", native=(True, "RuntimeError", []), ours=(False, "StopAsyncIteration", ["GeneratorExit"]))
def drop_suspended(form):
    generator = form.trapping()
    awaitable = generator.__anext__()
    step(awaitable)
    del awaitable
    gc.collect()
    return generator.ag_running, kind(next_item(generator)), form.log.copy()


@row("helper-closed", native=("RuntimeError", ["RuntimeError"]), ours=("item None", ["GeneratorExit"]))
def helper_closed(form):
    async def helper():
        await yield_()

    inside = helper()

    @form.decorate
    async def body():
        try:
            await inside
        except BaseException as error:
            form.log.append(type(error).__name__)
            raise
        yield

    generator = body()
    next_item(generator)
    inside.close()
    return kind(step(generator.aclose())), form.log


@row("never-awaited", native=since((3, 13), ["asend", "athrow", "aclose"], []), ours=["asend", "athrow", "aclose"])
def never_awaited(form):
    generator = form.counting()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        generator.asend(None)
        generator.athrow(ValueError)
        generator.aclose()
        gc.collect()
    found = [re.fullmatch("coroutine method '(.*)' of '.*counting' was never awaited", str(w.message)) for w in caught]
    return [match.group(1) for match in found]


@row(
    "throw-while-running",
    native=since((3, 13), ("RuntimeError", []), ("KeyError", ["KeyError"])),
    ours=("AlreadyRunning", []),
)
def throw_while_running(form):
    generator = form.trapping()
    first = generator.__anext__()
    step(first)
    answer = kind(outcome(generator.__anext__().throw, KeyError()))
    log = form.log.copy()
    outcome(first.throw, KeyError)
    return answer, log


@row("retry-refused", native=since((3, 13), REUSED, "item 'sent'"), ours=REUSED)
def retry_refused(form):
    generator = form.trapping()
    first = generator.__anext__()
    step(first)
    second = generator.__anext__()
    assert "already running" in step(second)
    outcome(first.send, "first")
    answer = step(second)
    if answer == "'trap'":
        return outcome(second.send, "sent")
    return answer.replace("__anext__()/asend()", "{}")


@row("reuse-after-throw", native=since((3, 13), REUSED, "item 2"), ours=REUSED)
def reuse_after_throw(form):
    generator = form.counting()
    next_item(generator)
    awaitable = generator.athrow(ValueError)
    assert outcome(awaitable.throw, ValueError()) == "item 1"
    return step(awaitable).replace("aclose()/athrow()", "{}")


@row(
    "athrow-unstarted",
    native=since((3, 12), "item 'value'", "RuntimeError: async generator raised StopIteration"),
    ours="RuntimeError: async generator raised StopIteration",
)
def athrow_unstarted(form):
    return step(form.counting().athrow(StopIteration("value")))


# A maintenance release may have what 3.14 has: 3.13 got it in one.
EITHER = [(), (None,)]


@row("item-none", native=since((3, 14), (None,), since((3, 12), EITHER, ())), ours=(None,))
def item_none(form):
    try:
        form.silent().__anext__().send(None)
    except StopIteration as stop:
        return stop.args


@row(
    "attributes",
    native=[*since((3, 12), ["ag_suspended"], []), *since((3, 15), ["ag_state"], [])],
    ours=["ag_suspended", "ag_state", "ag_gen", "__name__", "__qualname__", "cr_code"],
)
def attributes(form):
    generator = form.counting()
    awaitable = generator.__anext__()
    awaitable.close()
    found = [name for name in ("ag_suspended", "ag_state") if hasattr(generator, name)]
    return found + [name for name in ("ag_gen", "__name__", "__qualname__", "cr_code") if hasattr(awaitable, name)]


# What is kept from 1.10, or added ------------------------------------------------------------------------------------


@row("already-running", native=("RuntimeError", False), ours=("AlreadyRunning", True))
def already_running(form):
    generator = form.trapping()
    first = generator.__anext__()
    step(first)
    try:
        generator.__anext__().send(None)
    except RuntimeError as error:
        assert str(error) == "anext(): asynchronous generator is already running"
        return type(error).__name__, isinstance(error, ValueError)
    finally:
        outcome(first.throw, KeyError)


@row("keywords", native="TypeError", ours="item 0")
def keywords(form):
    generator = form.counting()
    try:
        return step(generator.asend(value=None))
    except TypeError:
        return "TypeError"


@row("attributes-set", native="AttributeError", ours="'value'")
def attributes_set(form):
    generator = form.counting()
    try:
        generator.attribute = "value"
    except AttributeError:
        return "AttributeError"
    return repr(generator.attribute)


@row("idle-finalizer", native=[], ours=["GeneratorExit"])
def idle_finalizer(form):
    hooks = sys.get_asyncgen_hooks()
    try:
        sys.set_asyncgen_hooks(finalizer=lambda generator: None)
        generator = form.counting()
        next_item(generator)
        del generator
        gc.collect()
    finally:
        sys.set_asyncgen_hooks(*hooks)
    return form.log


@row("thrown-stop-iteration", native=["StopIteration"], ours=["StopIteration"], operators=["RuntimeError"])
def thrown_stop_iteration(form):
    generator = form.counting()
    next_item(generator)
    step(generator.athrow(StopIteration("value")))
    return form.log


# Limits --------------------------------------------------------------------------------------------------------------


@row("type-identity", native=(True, True, True, True, True), ours=(True, True, False, True, True))
def type_identity(form):
    generator = form.counting()
    return (
        inspect.isasyncgen(generator),
        isinstance(generator, types.AsyncGeneratorType),
        type(generator) is types.AsyncGeneratorType,
        async_generator.isasyncgen(generator),
        inspect.isasyncgenfunction(form.functions[-1]),
    )


@row("code", native=(True, True), ours=(False, False), operators=(PLAIN, False))
def code(form):
    generator = form.counting()
    written, made = form.written[-1], form.functions[-1]
    return generator.ag_code is written.__code__, made.__code__ is written.__code__


@row("kept-awaitable", native=True, ours=PLAIN or not (3, 12) <= VERSION <= (3, 14) or FREE_THREADED or DEBUG)
def kept_awaitable(form):
    async def consumer():
        awaiting = generator.__anext__()
        item = weakref.ref(await awaiting)
        there = item()
        del awaiting
        assert item() is there
        del there
        assert item() is None
        kept = generator.__anext__()
        return weakref.ref(await kept)() is None, kept

    generator = form.fresh()
    with pytest.raises(StopIteration) as stopped:
        consumer().send(None)
    return stopped.value.value[0]


@row("copied-function", native=True, ours=not CODE_RUNS)
def copied_function(form):
    form.counting()
    function = form.functions[-1]
    copy = types.FunctionType(
        function.__code__, function.__globals__, "copy", function.__defaults__, function.__closure__
    )
    made = copy()
    assert next_item(made) == "item 0"
    return type(made) is types.AsyncGeneratorType


@row("replaced-code", native="item None", ours="KeyError" if CODE_RUNS else "item None")
def replaced_code(form):
    form.failing()
    form.silent()
    failing, silent = form.functions[-2:]
    failing.__code__ = silent.__code__
    return next_item(failing())


@row("exit-ignored-again", native=["async generator"], ours=["async generator", "coroutine"])
def exit_ignored_again(form):
    reports = []
    before, sys.unraisablehook = sys.unraisablehook, lambda report: reports.append(str(report.exc_value))
    try:
        generator = form.stubborn()
        next_item(generator)
        del generator
        gc.collect()
    finally:
        sys.unraisablehook = before
    assert all(report.endswith(" ignored GeneratorExit") for report in reports)
    return [report.removesuffix(" ignored GeneratorExit") for report in reports]


@row("frames", native=["leaf", "middle", "root"], ours=["leaf"])
def frames(form):
    seen = []

    def look():
        frame = sys._getframe(1)
        while frame.f_code.co_name != "outcome":
            seen.append(frame.f_code.co_name)
            frame = frame.f_back

    next_item(form.chain(look))
    return seen


@row(
    "finalizer-error",
    native=since((3, 14), ("Exception ignored while finalizing generator", "NoneType"), ("None", "async_generator")),
    ours=("None", "async_generator"),
)
def finalizer_error(form):
    reports = []

    def finalizer(generator):
        raise KeyError("finalizer")

    def report(unraisable):
        reports.append((str(unraisable.err_msg).partition(" <")[0], type(unraisable.object).__name__))

    hooks, before = sys.get_asyncgen_hooks(), sys.unraisablehook
    try:
        sys.set_asyncgen_hooks(finalizer=finalizer)
        sys.unraisablehook = report
        generator = form.counting()
        next_item(generator)
        del generator
        gc.collect()
    finally:
        sys.set_asyncgen_hooks(*hooks)
        sys.unraisablehook = before
    (answer,) = reports
    return answer


@row("trace", native=[], ours=["call", "return"] if CODE_RUNS else [])
def trace(form):
    form.counting()
    function, events = form.functions[-1], []

    def tracer(frame, event, argument):
        if frame.f_code.co_name in ("counting", "<call of counting>") and event != "line":
            events.append(event)
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        generator = function()
    finally:
        sys.settrace(before)
    del generator
    return events


@row("exit-at-await", native=None, ours=None, operators=["thrown", "trap"])
def exit_at_await(form):
    if not isinstance(form, Operators):
        return None

    @form.decorate
    async def delegate():
        try:
            await trap()
        except GeneratorExit as error:
            form.log.append(str(error))
            await trap()
        await yield_(1)

    @form.decorate
    async def delegating():
        await yield_from_(delegate())

    awaiting = delegating().__anext__()
    awaiting.send(None)
    form.log.append(awaiting.throw(GeneratorExit("thrown")))
    with pytest.raises(KeyboardInterrupt):
        awaiting.throw(KeyboardInterrupt())
    return form.log


@row(
    "rebound-yield",
    native=None,
    ours=None,
    operators=["item 1", "TypeError: 'NoneType' object is not callable" if PLAIN else "item 2"],
)
def rebound_yield(form):
    if not isinstance(form, Operators):
        return None
    namespace = {"yield_": yield_}
    exec("async def rebound():\n    await yield_(1)\n    await yield_(2)\n", namespace)
    generator = form.decorate(namespace["rebound"])()
    answers = [next_item(generator)]
    namespace["yield_"] = None  # native code would look it up at the call
    return [*answers, next_item(generator)]


# Against 1.10: what native does --------------------------------------------------------------------------------------


def same(name, answer):
    """A row whose scenario answers the same on native generators and ours."""
    return row(name, native=answer, ours=answer)


@same("finished", ["StopAsyncIteration", "StopAsyncIteration", "None"])
def finished(form):
    generator = form.silent()
    step(generator.aclose())
    operations = [generator.__anext__(), generator.asend(1), generator.athrow(ValueError)]  # nothing is raised yet
    return [step(operation).replace("item ", "") for operation in operations]


@same("plain-end", ())
def plain_end(form):
    generator = form.silent()
    next_item(generator)
    try:
        generator.__anext__().send(None)
    except StopAsyncIteration as stop:
        return stop.args


@same("throw-before-await", ("KeyError", ["KeyError"], "StopAsyncIteration"))
def throw_before_await(form):
    generator = form.counting()
    next_item(generator)
    return outcome(generator.__anext__().throw, KeyError()), form.log, next_item(generator)


@same("send-before-await", "item 'replaced'")
def send_before_await(form):
    generator = form.echoing()
    next_item(generator)
    return outcome(generator.asend("value").send, "replaced")


@row("aclose-twice", native="RuntimeError", ours="AlreadyRunning")
def aclose_twice(form):
    generator = form.trapping_at_exit()
    next_item(generator)
    first = generator.aclose()
    assert step(first) == "'trap'"
    answer = kind(step(generator.aclose()))
    step(first)
    return answer


@same("made-before-close", "StopAsyncIteration")
def made_before_close(form):
    generator = form.counting()
    operation = generator.__anext__()
    step(generator.aclose())
    return step(operation)


@same("firstiter-at-aclose", 1)
def firstiter_at_aclose(form):
    seen, hooks = [], sys.get_asyncgen_hooks()
    try:
        sys.set_asyncgen_hooks(firstiter=seen.append)
        step(form.counting().aclose())
    finally:
        sys.set_asyncgen_hooks(*hooks)
    return len(seen)


@same("athrow-bad-argument", ("TypeError", "item 1"))
def athrow_bad_argument(form):
    generator = form.counting()
    next_item(generator)
    return kind(step(generator.athrow(5))), next_item(generator)


@same("throw-warning", [])
def throw_warning(form):
    generator = form.counting()
    next_item(generator)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        step(generator.athrow(ValueError()))
        step(generator.aclose())
    return caught


@same("traceback", ["traceback", "failing"])
def traceback(form):
    try:
        form.failing().__anext__().send(None)
    except KeyError as error:
        entry, names = error.__traceback__, []
        while entry is not None:
            names.append(entry.tb_frame.f_code.co_name)
            entry = entry.tb_next
        return names


@same("bound-method", True)
def bound_method(form):
    form.counting()
    method = types.MethodType(form.functions[-1], object())
    return async_generator.isasyncgenfunction(method) and inspect.isasyncgenfunction(method)


# Against 1.10: yield_ and yield_from_ themselves --------------------------------------------------------------------


def only_operators(name, answer):
    return row(name, native=None, ours=None, operators=answer)


def delegate_to(delegate):
    @async_generator.async_generator
    async def delegating():
        await yield_from_(delegate)

    return delegating()


@only_operators("yield-from-iterable", "TypeError")
def yield_from_iterable(form):
    return kind(next_item(delegate_to([1, 2]))) if isinstance(form, Operators) else None


@only_operators("yield-from-athrow", (1, 0))
def yield_from_athrow(form):
    """One argument is passed; and where there is no athrow() the exception is raised without a context."""
    if not isinstance(form, Operators):
        return None

    class Plain:
        def __aiter__(self):
            return self

        async def __anext__(self):
            return 1

    class Throwing(Plain):
        async def athrow(self, *arguments):
            raise KeyError(len(arguments))

    counts = []
    for delegate in (Throwing(), Plain()):
        generator = delegate_to(delegate)
        next_item(generator)
        try:
            generator.athrow(IndexError()).send(None)
        except KeyError as error:
            counts.append(error.args[0])
        except IndexError as error:
            counts.append(0 if error.__context__ is None else 1)
    return tuple(counts)


@only_operators("yield-outside", "RuntimeError: yield_() was awaited outside an async generator")
def yield_outside(form):
    async def outside():
        await yield_(1)

    return outcome(outside().send, None).partition(": await")[0] if isinstance(form, Operators) else None


@only_operators("decorating", "TypeError")
def decorating(form):
    return kind(outcome(async_generator.async_generator, 5)) if isinstance(form, Operators) else None


# The page ----------------------------------------------------------------------------------------------------------


#: Rows that do not hold in plain Python: the section of the page on that has them.
ABOUT_THE_ENGINE = {
    "frames": "delegations nest, and the package's own frames are between",
    "traceback": "the package's own frames are between",
    "finalizer-error": "it is reported for the method __del__",
    "exit-at-await": "delegations nest, as in PEP 828",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_row(name, form, unraisable):
    scenario, expected = SCENARIOS[name]
    if PLAIN and form != "native" and name in ABOUT_THE_ENGINE:
        pytest.skip(f"without the engine: {ABOUT_THE_ENGINE[name]}")
    if UNSEEN and form != "native" and name in ("type-identity", "bound-method"):
        pytest.skip("without the engine, where flags decide what a call makes: inspect is asked")
    if name == "athrow-unstarted" and form != "ours" and DEBUG and sys.version_info >= (3, 12):
        pytest.skip("native generators end a debug build here (gh-152685)")
    if expected[form] is None:
        assert scenario(FORMS[form]()) is None  # the row is about yield_() or yield_from_()
    elif expected[form] is EITHER:
        assert scenario(FORMS[form]()) in EITHER
    else:
        assert scenario(FORMS[form]()) == expected[form]


def test_every_row_has_a_scenario_and_every_scenario_a_row():
    assert len(ROWS) == len(set(ROWS)) and set(ROWS) == set(SCENARIOS)
