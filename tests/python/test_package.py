"""The names of the package: introspection, aclosing, asynccontextmanager, and what other projects read."""

import collections.abc
import contextlib
import inspect
import subprocess
import sys

import async_generator as package
import pytest
from async_generator import aclosing, async_generator, asynccontextmanager, isasyncgen, isasyncgenfunction, yield_
from driving import collect, finished, run, trap

NAMES = {
    "async_generator",
    "yield_",
    "yield_from_",
    "aclosing",
    "isasyncgen",
    "isasyncgenfunction",
    "asynccontextmanager",
    "get_asyncgen_hooks",
    "set_asyncgen_hooks",
}


@async_generator
async def decorated():
    await yield_(1)
    await yield_(2)


async def native():
    yield 1
    yield 2


def test_every_documented_name_is_there_and_documented():
    assert NAMES <= set(package.__all__)
    for name in NAMES - {"get_asyncgen_hooks", "set_asyncgen_hooks"}:
        assert inspect.getdoc(getattr(package, name)), name


def test_the_version_satisfies_those_who_depend_on_1_9():
    assert package.__version__.startswith("2.")


def test_star_import_gives_the_documented_names():
    namespace = {}
    exec("from async_generator import *", namespace)
    assert NAMES <= set(namespace)


@pytest.mark.parametrize("function", [decorated, native])
def test_introspection_knows_both_kinds(function):
    assert isasyncgenfunction(function)
    generator = function()
    assert isasyncgen(generator)
    assert isinstance(generator, collections.abc.AsyncGenerator)


def test_the_example_of_the_documentation():
    async def load(lines):
        async for line in lines:
            await yield_(int(line))

    async def lines():
        yield "1"
        yield "2"

    assert collect(async_generator(load)(lines())) == [1, 2]


# --- aclosing ---


@pytest.mark.parametrize("function", [decorated, native])
@pytest.mark.parametrize("how", ["end", "break", "error"])
def test_aclosing_closes_on_every_exit(function, how):
    async def use():
        async with aclosing(function()) as generator:
            generators.append(generator)
            async for item in generator:
                if how == "break":
                    break
                if how == "error":
                    raise KeyError(item)

    generators = []
    if how == "error":
        with pytest.raises(KeyError):
            run(use())
    else:
        run(use())
    assert finished(generators[0])


def test_aclosing_is_the_standard_librarys_where_it_can_be():
    async def use():
        closer = aclosing(decorated())
        async with closer as generator:
            return isasyncgen(generator)

    assert run(use())
    assert aclosing is contextlib.aclosing or issubclass(aclosing, object)


def test_aclosing_awaits_the_cleanup():
    done = []

    @async_generator
    async def body():
        try:
            await yield_(1)
        finally:
            await trap()
            done.append("cleanup")

    async def use():
        async with aclosing(body()) as generator:
            assert await generator.__anext__() == 1

    run(use())
    assert done == ["cleanup"]


# --- asynccontextmanager ---


def managers():
    log = []

    @asynccontextmanager
    @async_generator
    async def ours(name, *, swallow=False):
        """Documented."""
        log.append("enter")
        try:
            await yield_(name)
        except KeyError:
            log.append("KeyError")
            if not swallow:
                raise
        finally:
            await trap()
            log.append("exit")

    @asynccontextmanager
    async def natives(name, *, swallow=False):
        """Documented."""
        log.append("enter")
        try:
            yield name
        except KeyError:
            log.append("KeyError")
            if not swallow:
                raise
        finally:
            await trap()
            log.append("exit")

    return log, ours, natives


@pytest.mark.parametrize("which", [1, 2], ids=["decorated", "native"])
def test_context_managers_of_both_kinds(which):
    log, *both = managers()
    manager = both[which - 1]

    async def use(error=None, **keywords):
        async with manager("name", **keywords) as name:
            assert name == "name"
            if error:
                raise error
        return "after"

    assert run(use()) == "after"
    assert log == ["enter", "exit"]
    log.clear()
    with pytest.raises(KeyError):
        run(use(KeyError()))
    assert log == ["enter", "KeyError", "exit"]
    log.clear()
    assert run(use(KeyError(), swallow=True)) == "after"
    assert log == ["enter", "KeyError", "exit"]
    log.clear()
    with pytest.raises(ArithmeticError):
        run(use(ArithmeticError()))
    assert log == ["enter", "exit"]


def test_a_context_manager_keeps_name_and_docstring():
    _, ours, natives = managers()
    assert ours.__name__ == "ours" and ours.__doc__ == "Documented."
    assert natives.__name__ == "natives"


def test_a_context_manager_that_does_not_yield_or_yields_twice_says_so():
    @asynccontextmanager
    @async_generator
    async def never():
        if False:
            await yield_()

    @asynccontextmanager
    @async_generator
    async def twice():
        await yield_(1)
        await yield_(2)

    async def use(manager):
        async with manager():
            pass

    with pytest.raises(RuntimeError, match="didn't yield"):
        run(use(never))
    with pytest.raises(RuntimeError, match="didn't stop"):
        run(use(twice))


@pytest.mark.parametrize("stop", [StopIteration, StopAsyncIteration])
def test_a_stop_in_the_block_passes_a_context_manager(stop):
    @asynccontextmanager
    @async_generator
    async def manager():
        await yield_()

    error = stop("of the block")

    async def use():
        try:
            async with manager():
                raise error
        except BaseException as raised:
            return raised

    assert run(use()) is error


def test_the_standard_librarys_context_manager_takes_ours():
    manager = contextlib.asynccontextmanager(decorated_once)

    async def use():
        async with manager() as item:
            return item

    assert run(use()) == "item"


@async_generator
async def decorated_once():
    await yield_("item")


def test_async_exit_stack_takes_ours():
    log, ours, _ = managers()

    async def use():
        async with contextlib.AsyncExitStack() as stack:
            assert await stack.enter_async_context(ours("a")) == "a"
            assert await stack.enter_async_context(ours("b")) == "b"

    run(use())
    assert log == ["enter", "enter", "exit", "exit"]


# --- names that other projects are known to read (1.10 fact Z5) ---


def test_impl_holds_the_generator_class():
    from async_generator import _impl

    assert inspect.isclass(_impl.AsyncGenerator)
    assert isinstance(decorated(), _impl.AsyncGenerator)
    assert not isinstance(native(), _impl.AsyncGenerator)


@pytest.mark.parametrize("name", ["_impl.AsyncGenerator", "_impl.ANextIter", "_util.aclosing", "_version.__version__"])
def test_private_modules_are_there_after_a_plain_import(name):
    code = f"import async_generator; async_generator.{name}"
    subprocess.run([sys.executable, "-I", "-c", code], check=True, timeout=60)


def test_impl_wraps_and_unwraps():
    from async_generator import _impl

    item = object()
    assert _impl._unwrap(_impl._wrap(item)) is item


def test_yield_has_code_for_the_stack_walkers():
    from async_generator import yield_

    assert yield_.__code__ is not None


@pytest.mark.engine(reason="they are Python functions")
@pytest.mark.parametrize("operator", [package.yield_, package.yield_from_])
def test_the_operators_lead_to_python_functions_that_do_the_same(operator):
    function = inspect.unwrap(operator)  # as stackscope does, which accepts nothing but a function
    assert inspect.isfunction(function) and function.__code__ is operator.__code__
    assert inspect.iscoroutinefunction(operator) and inspect.signature(operator) == inspect.signature(function)

    @async_generator
    async def generator():
        await yield_(await function(decorated() if operator is package.yield_from_ else "item"))

    assert collect(generator()) == ([1, 2, None] if operator is package.yield_from_ else ["item", None])


@pytest.mark.engine(reason="the collector may close a body in a cycle before its generator")
def test_stack_walkers_come_from_an_operation_and_a_context_manager_to_the_body():
    """What stackscope reads: ANextIter._it, AsyncGenerator._coroutine, cr_code, and a manager's _agen and _func_name."""
    from async_generator import _impl, asynccontextmanager

    generator = decorated()
    operation = generator.asend(None)
    assert operation.cr_code is generator.ag_code
    for one in operation, generator.athrow(KeyError), generator.aclose():
        assert isinstance(one, _impl.ANextIter)
        assert one._it is generator and inspect.iscoroutine(one._it._coroutine)
        one.close()
    manager = asynccontextmanager(decorated)()
    assert isinstance(manager._agen, _impl.AsyncGenerator) and manager._func_name == "decorated"
