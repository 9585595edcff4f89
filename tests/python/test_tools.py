"""Tools that take a function apart: profilers that give it other code, checkers that compile it anew, compilers."""

import asyncio
import dis
import functools
import gc
import importlib
import importlib.util
import inspect
import os
import shutil
import subprocess
import sys
import sysconfig
import types
import warnings
import weakref

import pytest
from bodies import with_calls
from builds import CODE_RUNS, DEBUG, FREE_THREADED
from driving import collect, finished, run, suspend, trap

try:
    from async_generator import async_generator, isasyncgenfunction, structured, structured_tasks, yield_, yield_from_
except ImportError:  # the oracle can be run alone
    pass

#: 3.11 inlines the code of a Python function whatever its entry point is: there, and without an engine, that code is a call
#: of the factory.
INLINES = CODE_RUNS


def give(function, code, implementation):
    """Gives a function other code."""
    if implementation.ours and INLINES:
        pytest.skip("on 3.11 the code of a decorated function is a call of its factory")
    function.__code__ = code


# Other code ------------------------------------------------------------------------------------------------------------


def padded(code):
    """`code` with instructions at its end that are never reached: line_profiler tells functions apart by them."""
    return code.replace(co_code=code.co_code + bytes([dis.opmap["NOP"], 0]) * 3)


def lines_run(code, call):
    """How often each line is run of whatever has the instructions of `code`, in the order of the lines."""
    counts = {}

    def trace(frame, event, argument):
        if frame.f_code.co_code != code.co_code:
            return None
        if event == "line":
            counts[frame.f_lineno] = counts.get(frame.f_lineno, 0) + 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return [counts[line] for line in sorted(counts)]


def with_closure(implementation):
    @implementation
    async def function(count, step=1):
        for number in range(count):
            item = number * step + free
            yield item

    free = 10
    return function


def without_closure(implementation):
    @implementation
    async def function(count, step=1):
        for number in range(count):
            item = number * step + 10
            yield item

    return function


@pytest.mark.parametrize("make", [with_closure, without_closure])
@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
def test_the_instructions_that_a_profiler_gives_a_function_are_those_that_run(implementation, make, used):
    function = make(implementation)
    if used:
        assert collect(function(3)) == [10, 11, 12]
    give(function, padded(function.__code__), implementation)
    assert collect(function(3)) == [10, 11, 12]
    assert lines_run(function.__code__, lambda: collect(function(3))) == [4, 3, 3]


@pytest.mark.only("decorated", "decorated_native", reason="about the decorator")
@pytest.mark.parametrize("make", [with_closure, without_closure])
@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
def test_so_are_those_that_it_gives_what_was_decorated(implementation, make, used):
    if DEBUG and sys.version_info[:2] == (3, 11) and not implementation.rewritten:
        pytest.skip("a debug build of 3.11 cannot run the instructions of an async generator: others run")
    written = make(lambda function: with_calls(function, generator=False) if implementation.rewritten else function)
    function = async_generator(written)
    if used:
        assert collect(function(3)) == [10, 11, 12]
    for _ in range(2):
        written.__code__ = padded(written.__code__)
        assert collect(function(3)) == [10, 11, 12]
        assert lines_run(written.__code__, lambda: collect(function(3))) == [4, 3, 3]


def test_a_function_runs_the_code_that_it_is_given_and_its_own_again(implementation):
    @implementation
    async def other(count, step=1):
        yield "other", count, step, free

    free = "not taken over"
    function = with_closure(implementation)
    own = function.__code__
    for _ in range(2):
        give(function, other.__code__, implementation)
        assert collect(function(3)) == [("other", 3, 1, 10)]  # the closure is the function's own
        function.__code__ = padded(other.__code__)
        assert collect(function(3, step=2)) == [("other", 3, 2, 10)]
        function.__defaults__ = (5,)
        assert collect(function(3)) == [("other", 3, 5, 10)]
        function.__defaults__ = (1,)
        function.__code__ = own
        assert collect(function(3)) == [10, 11, 12]


def test_given_code_is_sent_to_and_thrown_into(implementation):
    @implementation
    async def function():
        try:
            yield (yield 1)
        except KeyError as error:
            yield error

    give(function, padded(function.__code__), implementation)
    generator, error = function(), KeyError()
    assert run(generator.asend(None)) == 1
    assert run(generator.asend("sent")) == "sent"
    assert run(generator.athrow(error)) is error
    assert finished(generator)


@pytest.mark.only("decorated", "decorated_native", reason="native generators neither delegate nor return values")
def test_given_code_delegates_and_returns_a_value(implementation):
    @implementation
    async def delegate():
        yield 1

    @async_generator
    async def function():
        await yield_from_(delegate())
        await yield_(2)
        return "result"

    give(function, padded(function.__code__), implementation)
    generator = function()
    assert [run(generator.__anext__()) for _ in "12"] == [1, 2]
    with pytest.raises(StopAsyncIteration) as stopped:
        run(generator.__anext__())
    assert stopped.value.args == ("result",)


@pytest.mark.only("decorated", "decorated_native", reason="natively there is one syntax")
def test_code_in_the_other_syntax_can_be_given(implementation):
    @implementation
    async def function():
        yield 1

    @async_generator
    async def awaited():
        await yield_(2)

    @async_generator
    async def native():
        yield 3

    give(function, awaited.__code__, implementation)
    assert collect(function()) == [2]
    give(function, native.__code__, implementation)
    assert collect(function()) == [3]


def test_a_function_with_given_code_is_freed(implementation):
    function = with_closure(implementation)
    give(function, padded(function.__code__), implementation)
    assert collect(function(3)) == [10, 11, 12]
    alive = weakref.ref(function)
    del function
    gc.collect()
    assert alive() is None


# Profilers -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("above", [True, False], ids=["above", "below"])
@pytest.mark.parametrize("make", [with_closure, without_closure])
def test_line_profiler_counts_lines(implementation, make, above):
    line_profiler = pytest.importorskip("line_profiler", reason="line_profiler has no wheel for this interpreter")
    profile = line_profiler.LineProfiler()
    if implementation.ours and above and INLINES:
        pytest.skip("on 3.11 @profile stands below @async_generator")

    def implement(function):
        if above or not implementation.ours:
            return profile(implementation(function))
        return async_generator(profile(with_calls(function, generator=False) if implementation.rewritten else function))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the function has a __wrapped__
        function = make(implement)
    assert collect(function(3)) == [10, 11, 12]
    ((_, timings),) = profile.get_stats().timings.items()
    assert [hits for _, hits, _ in timings] == [4, 3, 3]


# Stacks ----------------------------------------------------------------------------------------------------------------


def waiting(implementation):
    async def helper():
        await trap()

    @implementation
    async def leaf():
        try:
            await helper()
            yield 1
        except KeyError:
            await helper()

    @implementation
    async def iterating():
        async for item in leaf():
            yield item

    return leaf, iterating


@pytest.mark.parametrize("which", [0, 1], ids=["leaf", "iterating"])
def test_stackscope_sees_the_frames_of_an_operation_to_the_last(implementation, which):
    stackscope = pytest.importorskip("stackscope", reason="stackscope does not know the frames of this interpreter")
    generator = waiting(implementation)[which]()

    async def consumer(operation):
        return await operation

    frames = [["leaf", "helper", "trap"], ["iterating", "leaf", "helper", "trap"]][which]
    for operation in generator.__anext__, lambda: generator.athrow(KeyError()):
        task = consumer(operation())
        try:
            task.send(None)
        except KeyError:
            assert which == 1  # the yield of iterating() has no handler
            break
        for start, outer in (task, ["consumer"]), (generator, []):
            stack = stackscope.extract(start)
            assert (stack.error, stack.leaf) == (None, None)
            assert [frame.funcname for frame in stack.frames] == outer + frames
        with pytest.raises((StopIteration, StopAsyncIteration)):
            task.send(None)


@pytest.mark.engine(reason="the generator refers to its body, and that to what it awaits")
def test_an_operation_refers_to_its_generator_and_that_to_what_it_awaits(implementation):
    generator = waiting(implementation)[1]()
    for make in generator.__anext__, lambda: generator.athrow(KeyError()), generator.aclose:
        operation = make()
        assert any(one is generator for one in gc.get_referents(operation))
        operation.close()
    generator = waiting(implementation)[1]()
    operation = generator.__anext__()
    suspend(operation)
    inner = generator.ag_await
    assert any(one is generator for one in gc.get_referents(operation))
    referents = gc.get_referents(generator if sys.version_info >= (3, 11) else generator.ag_frame)
    assert any(one is inner for one in referents)
    run(operation)
    run(generator.aclose())


# Compilers -------------------------------------------------------------------------------------------------------------

COMPILED = """
from async_generator import yield_, yield_from_

async def native(count):
    for number in range(count):
        yield number

async def awaited(count):
    for number in range(count):
        await yield_(number)
    return "result"

class Class:
    async def native(self, count):
        yield count

    async def awaited(self, count):
        await yield_(count)

async def first(items):
    async for item in items:
        return item

class Callable:
    async def __call__(self, count):
        yield count
"""
REFUSED = (
    r"<.*native.*> was compiled by {}, .*: write `await yield_\(x\)` for each `yield x`, or leave its module uncompiled"
)


@pytest.fixture(scope="module")
def cython(tmp_path_factory):
    """COMPILED as a module of Cython's."""
    pytest.importorskip("Cython", reason="Cython has no wheel for this interpreter")
    if not (compiler := shutil.which("cc") or shutil.which("g++")):
        pytest.skip("there is no C compiler")
    folder = tmp_path_factory.mktemp("cython")
    source, module = folder / "compiled.py", folder / f"compiled{sysconfig.get_config_var('EXT_SUFFIX')}"
    source.write_text(COMPILED)
    subprocess.run([sys.executable, "-m", "cython", "-3", source], check=True, timeout=120)
    include = ["-I", sysconfig.get_path("include"), "-x", "c"]
    subprocess.run([compiler, "-shared", "-fPIC", "-O0", "-w", *include, source.with_suffix(".c"), "-o", module],
                   check=True, timeout=120)  # fmt: skip
    spec = importlib.util.spec_from_file_location("compiled", module)
    compiled = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(compiled)
    return compiled


def test_bodies_that_cython_compiled_run(cython):
    generator = async_generator(cython.awaited)(3)
    assert [run(generator.__anext__()) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(StopAsyncIteration) as stopped:
        run(generator.__anext__())
    assert stopped.value.args == ("result",)
    assert collect(async_generator(cython.Class.awaited)(None, 1)) == [1]
    assert collect(async_generator(cython.Class().awaited)(1)) == [1]


def test_coroutines_that_cython_compiled_can_be_structured(cython):
    log = []

    async def items():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            log.append("closed")

    async def main():
        assert await structured(cython.first)(items()) == 1
        assert log == ["closed"]

    asyncio.run(main())


@pytest.mark.parametrize("find", [
    lambda module: module.native, lambda module: module.Class.native, lambda module: module.Class().native,
    lambda module: functools.partial(module.native, 1), lambda module: staticmethod(module.native),
])  # fmt: skip
def test_native_syntax_that_cython_compiled_is_refused_at_once(cython, find):
    with pytest.raises(TypeError, match=REFUSED.format("Cython")):
        async_generator(find(cython))


def test_an_object_whose_call_cython_compiled_is_refused_at_once(cython):
    with pytest.raises(TypeError, match="was compiled by Cython"):
        async_generator(cython.Callable())


class compiled_function:
    """As Nuitka's functions: instances of FunctionType by their class, whose code only describes them."""

    __class__ = property(lambda self: types.FunctionType)

    def __init__(self, function):
        self._function = function
        self.__dict__.update(
            {
                name: getattr(function, name)
                for name in (
                    "__name__",
                    "__qualname__",
                    "__module__",
                    "__globals__",
                    "__defaults__",
                    "__kwdefaults__",
                    "__closure__",
                )
            }
        )
        self.__code__ = function.__code__.replace(co_code=(lambda: None).__code__.co_code)

    def __call__(self, *arguments, **keywords):
        return self._function(*arguments, **keywords)

    def __repr__(self):
        return f"<compiled_function {self.__name__}>"


def test_functions_that_nuitka_compiled_run_or_are_refused_at_once():
    async def native():
        yield 1

    async def awaited(count):
        await yield_(count)
        return "result"

    assert isinstance(compiled_function(native), types.FunctionType)
    assert collect(async_generator(compiled_function(awaited))(1)) == [1]
    with pytest.raises(TypeError, match=REFUSED.format("Nuitka")):
        async_generator(compiled_function(native))


COMPILED_BY_MYPYC = """\
import asyncio
from typing import Any
from async_generator import async_generator, asynccontextmanager, yield_, yield_from_

log: list[str] = []

async def helper(item: Any) -> Any:
    await asyncio.sleep(0)
    return await yield_(item)

@async_generator
async def numbers(count: int) -> Any:
    try:
        for number in range(count):
            await asyncio.sleep(0)
            try:
                got = await yield_(number)
            except KeyError:
                got = "caught"
            if got is not None:
                await helper(got)
    finally:
        await asyncio.sleep(0)
        log.append("closed")
    return "result"

@async_generator
async def delegating(count: int) -> Any:
    return await yield_from_(numbers(count))

@asynccontextmanager
@async_generator
async def manager(value: Any) -> Any:
    log.append("enter")
    try:
        await yield_(value)
    finally:
        await asyncio.sleep(0)
        log.append("exit")

async def plain(count: int) -> Any:
    for number in range(count):
        await yield_(number)

async def first(items: Any) -> Any:
    async for item in items:
        return item

class Class:
    async def method(self, count: int) -> Any:
        await yield_(count)
"""


@pytest.fixture(scope="module")
def compiled_by_mypyc(tmp_path_factory):
    """COMPILED_BY_MYPYC as a module of mypyc's."""
    if FREE_THREADED:
        pytest.skip("a module that mypyc compiled turns the GIL on")
    pytest.importorskip("mypyc.build", reason="mypy has no wheel for this interpreter")
    pytest.importorskip("setuptools", reason="mypyc compiles with setuptools")
    if not shutil.which("cc"):
        pytest.skip("there is no C compiler")
    folder = tmp_path_factory.mktemp("mypyc")
    (folder / "by_mypyc.py").write_text(COMPILED_BY_MYPYC)
    settings = {**os.environ, "MYPYC_OPT_LEVEL": "0", "MYPYC_DEBUG_LEVEL": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "mypyc", "--ignore-missing-imports", "by_mypyc.py"],
        cwd=folder, env=settings, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    try:
        module = importlib.import_module("by_mypyc")
    finally:
        sys.path.remove(str(folder))
    assert not module.__file__.endswith(".py")
    return module


@pytest.fixture
def mypyc(compiled_by_mypyc):
    compiled_by_mypyc.log.clear()
    return compiled_by_mypyc


@pytest.mark.engine(reason="what is thrown into a body of mypyc does not arrive as it should")
def test_bodies_that_mypyc_compiled_are_generators(mypyc):
    async def main():
        for made in mypyc.numbers(3), mypyc.delegating(3):
            assert await made.__anext__() == 0
            assert await made.asend("sent") == "sent"
            assert await made.__anext__() == 1
            assert await made.athrow(KeyError()) == "caught"
            assert await made.__anext__() == 2
            with pytest.raises(StopAsyncIteration, match="result"):
                await made.__anext__()
        closed = mypyc.delegating(3)
        await closed.__anext__()
        await closed.aclose()
        assert mypyc.log == ["closed"] * 3
        with pytest.raises(LookupError, match="thrown"):
            await mypyc.numbers(3).athrow(LookupError("thrown"))

    asyncio.run(main())
    assert inspect.isasyncgenfunction(mypyc.numbers)
    made = mypyc.numbers(1)
    assert made.__name__ == "numbers" and made.ag_state == "AGEN_CREATED"


def test_functions_and_methods_that_mypyc_compiled_can_be_decorated_elsewhere(mypyc):
    assert collect(async_generator(mypyc.plain)(3)) == [0, 1, 2]
    assert collect(async_generator(mypyc.Class.method)(mypyc.Class(), 3)) == [3]
    assert collect(async_generator(mypyc.Class().method)(3)) == [3]
    assert collect(async_generator(lambda: mypyc.plain(2))()) == [0, 1]
    with pytest.raises(TypeError, match="missing required argument 'count'"):
        async_generator(mypyc.plain)()


def test_context_managers_that_mypyc_compiled(mypyc):
    @mypyc.manager(1)
    async def around():
        mypyc.log.append("body")
        yield 2

    async def main():
        async with mypyc.manager("value") as value:
            mypyc.log.append(value)
        return [item async for item in around()]

    assert asyncio.run(main()) == [2]
    assert mypyc.log == ["enter", "value", "exit", "enter", "body", "exit"]


@pytest.mark.parametrize(
    "options", [{"structured": True}, {"context": "own"}, {"context": "layered"}, {"isolated": True}]
)
def test_bodies_that_mypyc_compiled_with_an_environment(mypyc, options):
    async def main():
        return [item async for item in async_generator(**options)(mypyc.plain)(3)]

    assert asyncio.run(main()) == [0, 1, 2]


@pytest.mark.engine(reason="what is thrown into a body of mypyc does not arrive as it should")
def test_coroutines_that_mypyc_compiled_can_be_structured(mypyc):
    async def main():
        assert await structured(mypyc.first)(mypyc.numbers(3)) == 0
        assert mypyc.log == ["closed"]
        asyncio.get_running_loop().set_task_factory(structured_tasks)
        assert await asyncio.create_task(mypyc.first(mypyc.numbers(3)), name="named") == 0
        assert mypyc.log == ["closed"] * 2

    asyncio.run(main())


@pytest.mark.engine(reason="what is thrown into a body of mypyc does not arrive as it should")
def test_a_body_that_mypyc_compiled_is_closed_when_it_is_dropped(mypyc):
    async def main():
        made = mypyc.numbers(3)
        await made.__anext__()
        del made
        gc.collect()
        await asyncio.sleep(0.01)
        mypyc.numbers(3)  # never begun: nothing is said

    asyncio.run(main())
    assert mypyc.log == ["closed"]


@pytest.mark.parametrize("lacking", ["send", "throw", "close"])
def test_what_lacks_a_method_of_a_coroutine_is_none(lacking):
    methods = {
        name: lambda self, *arguments: None for name in ("send", "throw", "close", "__await__") if name != lacking
    }
    with pytest.raises(TypeError, match="returned Thing, not a coroutine"):
        async_generator(type("Thing", (), methods))()


# Checkers --------------------------------------------------------------------------------------------------------------

TYPECHECKED = """
from collections.abc import AsyncGenerator
from async_generator import async_generator, yield_
from typeguard import typechecked

@async_generator
@typechecked
async def below() -> AsyncGenerator[int, None]:
    yield 1
    yield "two"

@typechecked
@async_generator
async def above() -> AsyncGenerator[int, None]:
    yield 1
    yield "two"

@typechecked
@async_generator
async def awaited_above() -> AsyncGenerator[int, None]:
    await yield_(1)
    await yield_("two")
"""


def test_typeguard_checks_below_the_decorator_and_says_that_it_does_not_above(tmp_path, monkeypatch):
    typeguard = pytest.importorskip("typeguard", reason="typeguard has no wheel for this interpreter")
    (tmp_path / "typechecked_bodies.py").write_text(TYPECHECKED)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.warns(typeguard.InstrumentationWarning) as warned:
        module = importlib.import_module("typechecked_bodies")
    assert len(warned) == 2
    generator = module.below()
    assert run(generator.__anext__()) == 1
    with pytest.raises(typeguard.TypeCheckError, match="yielded value"):
        run(generator.__anext__())
    for function in module.above, module.awaited_above:
        assert isasyncgenfunction(function)
        assert collect(function()) == [1, "two"]


# Code ------------------------------------------------------------------------------------------------------------------


@pytest.mark.seen(reason="inspect is asked")
def test_which_code_objects_are_one(implementation):
    """What runs is a coroutine's code, what a function shows an async generator's: the two can only describe the same."""
    function = with_closure(implementation)
    generator = function(1)
    run(generator.__anext__())
    shown, made, runs = function.__code__, generator.ag_code, generator.ag_frame.f_code
    assert made is runs
    assert with_closure(implementation)(1).ag_code == made
    assert (shown is runs) == (not implementation.ours)
    assert shown.co_flags & inspect.CO_ASYNC_GENERATOR
    assert (shown.co_filename, shown.co_firstlineno) == (runs.co_filename, runs.co_firstlineno)
    if not (implementation.ours and INLINES):
        for name in ("co_name", "co_varnames", "co_names", "co_argcount", "co_kwonlyargcount"):
            assert getattr(shown, name) == getattr(runs, name)
        assert list(shown.co_lines()) == list(runs.co_lines())
    run(generator.aclose())
