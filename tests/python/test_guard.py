"""The guard: a yield inside a timeout, a task group or a cancel scope is refused at that yield, and nothing else is."""

import asyncio
import contextlib
import gc
import inspect
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import NamedTuple

import pytest
from async_generator import (
    YieldInScopeWarning,
    _guard,
    _with_blocks,
    async_generator,
    asynccontextmanager,
    guard,
    instrument,
    isolated,
    structured,
    yield_,
    yield_from_,
)

anyio = pytest.importorskip("anyio", reason="anyio is not installed for this interpreter")
try:
    import trio
except ImportError:  # no wheel for this interpreter
    trio = None


def run_asyncio(function):
    return asyncio.run(function())


def run_trio(function):
    return trio.run(function)


class Scope(NamedTuple):
    """A kind of scope."""

    make: Callable
    run: Callable
    text: str  # what the message calls it
    is_async: bool  # entered by `async with`


def scopes():
    cancel, group = "a cancel scope of anyio", "anyio.create_task_group()"
    for run in [run_asyncio, run_trio] if trio else [run_asyncio]:
        on = run.__name__.replace("run_", "on ")
        yield f"anyio.CancelScope {on}", Scope(lambda: anyio.CancelScope(), run, cancel, False)
        yield f"anyio.move_on_after {on}", Scope(lambda: anyio.move_on_after(10), run, cancel, False)
        yield f"anyio.fail_after {on}", Scope(lambda: anyio.fail_after(10), run, cancel, False)
        yield f"anyio.create_task_group {on}", Scope(lambda: anyio.create_task_group(), run, group, True)
    if sys.version_info >= (3, 11):
        yield "asyncio.timeout", Scope(lambda: asyncio.timeout(10), run_asyncio, "asyncio.timeout()", True)
        yield "asyncio.TaskGroup", Scope(lambda: asyncio.TaskGroup(), run_asyncio, "asyncio.TaskGroup()", True)
    if trio is not None:
        cancel = "a cancel scope of trio"
        yield "trio.CancelScope", Scope(lambda: trio.CancelScope(), run_trio, cancel, False)
        yield "trio.move_on_after", Scope(lambda: trio.move_on_after(10), run_trio, cancel, False)
        yield "trio.fail_after", Scope(lambda: trio.fail_after(10), run_trio, cancel, False)
        yield "trio.open_nursery", Scope(lambda: trio.open_nursery(), run_trio, "trio.open_nursery()", True)


SCOPES = dict(scopes())


@pytest.fixture(params=SCOPES)
def scope(request):
    return SCOPES[request.param]


@pytest.fixture(autouse=True)
def mode():
    before = guard("error")
    yield
    guard(before)


def line_of(function, text):
    lines, first = inspect.getsourcelines(function)
    return f"{__file__}:{first + next(number for number, line in enumerate(lines) if text in line)}"


def errors_in(error):
    """The exceptions that are no groups."""
    inner = getattr(error, "exceptions", None)
    return [error] if inner is None else [one for part in inner for one in errors_in(part)]


def refused(run, function):
    """Iterate a generator, which has to be refused. Returns its items and the message."""
    items = []

    async def main():
        async for item in function():
            items.append(item)

    with pytest.raises(Exception) as caught:  # task groups wrap it in a group of their own
        run(main)
    (error,) = errors_in(caught.value)
    assert type(error) is RuntimeError, error
    return items, str(error)


def accepted(run, function):
    items = []

    async def main():
        async for item in function():
            items.append(item)

    run(main)
    return items


# The scopes ------------------------------------------------------------------------------------------------------------


def test_a_yield_in_a_scope_is_refused_and_the_message_says_what_to_write(scope):
    make, run, name, is_async = scope

    if is_async:

        @async_generator
        async def body():
            await yield_("before")
            async with make():  # entered
                await yield_("inside")  # yields

    else:

        @async_generator
        async def body():
            await yield_("before")
            with make():  # entered
                await yield_("inside")  # yields

    items, message = refused(run, body)
    assert items == ["before"]
    assert f"{body.__qualname__}() yields at {line_of(body, '# yields')} inside {name}" in message
    assert f"entered at {line_of(body, '# entered')}" in message
    assert "@async_generator(isolated=True)" in message


def test_a_native_body_is_looked_at_too(scope):
    make, run, name, is_async = scope

    if is_async:

        @async_generator
        async def body():
            async with make():
                yield "inside"

    else:

        @async_generator
        async def body():
            with make():
                yield "inside"

    assert refused(run, body)[0] == []


def test_a_scope_that_was_left_is_not_in_the_way(scope):
    make, run, _, is_async = scope
    kept = []

    @async_generator
    async def body():
        manager = make()
        kept.append(manager)
        if is_async:
            async with manager:
                pass
        else:
            with manager:
                pass
        with contextlib.suppress(KeyError):
            yield "after"
            await yield_("after")

    assert accepted(run, body) == ["after"] * 2


def test_a_scope_of_the_consumer_is_its_own_business(scope):
    make, run, _, is_async = scope

    @async_generator
    async def body():
        with contextlib.suppress(KeyError):
            yield 1

    async def main():
        if is_async:
            async with make():
                return [item async for item in body()]
        with make():
            return [item async for item in body()]

    assert run(main) == [1]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio has no timeouts")
def test_a_timeout_that_never_comes_is_none():
    @async_generator
    async def body():
        async with asyncio.timeout(None):
            yield 1

    assert accepted(run_asyncio, body) == [1]


# Ways in ---------------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def helper():
    with anyio.move_on_after(10):  # entered by the helper
        yield


@contextlib.contextmanager
def plain_helper():
    with anyio.move_on_after(10):
        yield


@asynccontextmanager
@async_generator
async def our_helper():
    async with helper():
        await yield_()


@asynccontextmanager
@async_generator(structured=True)
async def structured_helper():
    with anyio.move_on_after(10):
        yield


def test_helpers_are_looked_into():
    @async_generator
    async def body():
        async with helper():  # the helper
            yield 1

    message = refused(run_asyncio, body)[1]
    assert f"entered at {line_of(helper.__wrapped__, '# entered')}" in message
    assert f"through helper() entered at {line_of(body, '# the helper')}" in message


@pytest.mark.parametrize("make", [our_helper, structured_helper])
def test_our_own_helpers_are_looked_into(make):
    @async_generator
    async def body():
        async with make():
            yield 1

    assert f"through {make.__name__}() entered at" in refused(run_asyncio, body)[1]


def test_plain_helpers_are_looked_into():
    @async_generator
    async def body():
        with plain_helper():
            yield 1

    assert "through plain_helper()" in refused(run_asyncio, body)[1]


def test_exit_stacks_are_looked_into():
    @async_generator
    async def body():
        async with contextlib.AsyncExitStack() as stack:  # the stack
            yield "empty"
            await stack.enter_async_context(helper())
            yield "not empty"

    items, message = refused(run_asyncio, body)
    assert items == ["empty"]
    assert f"through helper(), through AsyncExitStack() entered at {line_of(body, '# the stack')}" in message

    @async_generator
    async def plain():
        with contextlib.ExitStack() as stack:
            stack.callback(print)
            stack.enter_context(plain_helper())
            yield 1

    assert "through plain_helper(), through ExitStack()" in refused(run_asyncio, plain)[1]


def test_a_helper_that_yields_for_the_body_is_looked_into():
    async def in_helper():
        with anyio.move_on_after(10):  # entered
            await yield_("inside")

    @async_generator
    async def body():
        await yield_("before")
        await in_helper()

    items, message = refused(run_asyncio, body)
    assert items == ["before"]
    assert f"entered at {line_of(in_helper, '# entered')}" in message


def test_a_helper_that_yields_inside_the_scope_of_the_body_is_refused():
    async def in_helper():
        await yield_("inside")

    @async_generator
    async def body():
        with anyio.move_on_after(10):
            await in_helper()

    assert refused(run_asyncio, body)[0] == []


def test_a_delegation_counts_as_a_yield():
    @async_generator
    async def delegate():
        await yield_("item")

    @async_generator
    async def body():
        await yield_from_(delegate())
        with anyio.move_on_after(10):
            await yield_from_(delegate())  # delegates

    items, message = refused(run_asyncio, body)
    assert items == ["item"]
    assert f"yields at {line_of(body, '# delegates')}" in message

    @async_generator
    async def in_handler():
        with anyio.move_on_after(10):
            try:
                raise KeyError
            except KeyError:
                await yield_from_(delegate())

    assert refused(run_asyncio, in_handler)[0] == []


def test_the_leaf_of_a_chain_is_looked_at():
    @async_generator
    async def leaf():
        await yield_("before")
        with anyio.move_on_after(10):
            await yield_("inside")

    @async_generator
    async def middle():
        await yield_from_(leaf())

    @async_generator
    async def root():
        await yield_from_(middle())

    items, message = refused(run_asyncio, root)
    assert items == ["before"] and message.startswith(leaf.__qualname__)


@pytest.mark.parametrize("options", [{"structured": True}, {"context": "own"}, {"context": "layered"}])
def test_generators_in_an_environment_are_looked_at(options):
    @async_generator
    async def simple():
        yield 1

    @async_generator(**options)
    async def body():
        with anyio.move_on_after(10):
            yield 1

    @async_generator(**options)
    async def delegating():
        with anyio.move_on_after(10):
            await yield_from_(simple())

    assert refused(run_asyncio, body)[0] == []
    assert refused(run_asyncio, delegating)[0] == []


def test_what_instrument_puts_around_is_looked_at():
    @async_generator
    async def simple():
        yield 1

    around = instrument(simple, around=lambda call: anyio.move_on_after(10))
    assert refused(run_asyncio, around)[0] == []


# Where in a body -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", range(8))
def test_every_place_inside_a_block_is_known(place):
    @async_generator
    async def body():
        with contextlib.suppress(KeyError), anyio.move_on_after(10) as scope:
            if place == 0:
                yield "inside"
            try:
                if place == 1:
                    yield "inside"
                raise ValueError
            except ValueError:
                if place == 2:
                    yield "inside"
            finally:
                if place == 3:
                    yield "inside"
            for _ in range(2):
                if place == 4:
                    print("inside", (yield "inside"), sep="")
            with contextlib.suppress(KeyError):
                if place == 5:
                    yield "inside"
                if place == 6:
                    raise KeyError
            async with contextlib.AsyncExitStack():
                if place == 6:
                    yield "inside"
            if place == 7:
                del scope
                yield "inside"
        yield "outside"

    assert refused(run_asyncio, body)[0] == []


def test_no_place_outside_a_block_is_taken_for_one_inside():
    @async_generator
    async def body():
        leave = anyio.move_on_after(10)
        exits = leave.__exit__, type(leave).__exit__
        for how in ("break", "continue", "raise", "return"):
            try:
                for _ in (1, 2):
                    with anyio.move_on_after(10):
                        if how == "break":
                            break
                        if how == "continue":
                            continue
                        if how == "raise":
                            raise KeyError
                with contextlib.suppress(KeyError):
                    yield how
            except KeyError:
                with contextlib.suppress(KeyError):
                    yield how
            finally:
                with contextlib.suppress(KeyError):
                    yield "finally"
        del leave, exits

    assert accepted(run_asyncio, body) == [
        *("break", "finally"), *("continue", "finally"), *("raise", "finally"), *("return", "finally"),
    ]  # fmt: skip


def test_it_is_known_which_code_yields_in_a_block():
    async def nowhere():
        with contextlib.suppress(KeyError):
            await asyncio.sleep(0)
        yield

    async def somewhere():
        with contextlib.suppress(KeyError):
            yield

    assert _with_blocks.works()
    assert not _with_blocks.yields_in_with(nowhere.__code__)
    assert _with_blocks.yields_in_with(somewhere.__code__)


def test_only_yields_in_a_block_are_asked_about(monkeypatch):
    asked = []
    monkeypatch.setattr(_guard, "explain", lambda generator: asked.append(generator.__name__))

    @async_generator
    async def outside():
        async with contextlib.AsyncExitStack():
            await asyncio.sleep(0)
        await yield_(1)
        for _ in range(2):
            await yield_(2)

    @async_generator
    async def inside():
        with contextlib.suppress(KeyError):
            await yield_(1)

    assert accepted(run_asyncio, outside) == [1, 2, 2]
    assert asked == []
    assert accepted(run_asyncio, inside) == [1]
    assert asked == ["inside"]


# The answer ------------------------------------------------------------------------------------------------------------


def test_the_error_is_raised_at_the_yield_so_that_the_body_cleans_up():
    seen = []

    @async_generator
    async def body():
        with anyio.move_on_after(10) as scope:
            try:
                yield "inside"
            except RuntimeError as error:
                seen.append(error)
                await asyncio.sleep(0)
                raise
            finally:
                seen.append("cleaned up")
                scope.cancel()

    refused(run_asyncio, body)
    assert seen[1:] == ["cleaned up"] and seen[0].__context__ is None
    names = [one.name for one in inspect.getinnerframes(seen[0].__traceback__) if hasattr(one, "name")]
    assert "_look" not in names


def test_a_body_may_swallow_the_error_and_go_on():
    @async_generator
    async def body():
        for number in range(3):
            with anyio.move_on_after(10):
                try:
                    await yield_(number)
                except RuntimeError:
                    pass
        await yield_("after")

    assert accepted(run_asyncio, body) == ["after"]


def test_an_item_that_is_refused_is_dropped():
    class Item:
        def __del__(self):
            dropped.append(True)

    dropped = []

    @async_generator
    async def body():
        with anyio.move_on_after(10):
            yield Item()

    refused(run_asyncio, body)
    assert dropped == [True]


def test_a_send_and_a_throw_that_lead_to_a_yield_in_a_scope_are_refused_too():
    @async_generator
    async def body():
        try:
            yield 1
        except KeyError:
            with anyio.move_on_after(10):
                await asyncio.sleep(0)
                yield 2

    async def main():
        generator = body()
        await generator.asend(None)
        with pytest.raises(RuntimeError, match="isolated=True"):
            await generator.athrow(KeyError)
        assert generator.ag_frame is None

    asyncio.run(main())


def test_a_generator_that_is_closed_by_its_frame_while_it_waits_is_just_closed():
    @async_generator
    async def body():
        await asyncio.sleep(0)
        with contextlib.suppress(KeyError):
            yield 1

    generator = body()
    step = generator.asend(None)
    step.send(None)
    generator._coroutine.close()
    with pytest.raises(StopAsyncIteration):
        step.send(None)


def test_asend_and_awaits_work_as_without_the_guard():
    @async_generator
    async def body():
        with contextlib.suppress(KeyError):
            got = None
            while True:
                await asyncio.sleep(0)
                got = await yield_(got)

    async def main():
        generator = body()
        assert await generator.asend(None) is None
        assert [await generator.asend(number) for number in range(3)] == [0, 1, 2]
        with pytest.raises(RuntimeError, match="already running"):
            await asyncio.gather(generator.asend(1), generator.asend(2))
        await generator.aclose()
        with pytest.raises(StopAsyncIteration):
            await generator.asend(None)

    asyncio.run(main())


def test_a_warning_has_the_place_of_the_yield():
    guard("warn")

    @async_generator
    async def body():
        with anyio.move_on_after(10):
            yield 1  # yields
            yield 2

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert accepted(run_asyncio, body) == [1, 2]
    first, second = caught
    assert first.category is YieldInScopeWarning and "isolated=True" in str(first.message)
    assert f"{first.filename}:{first.lineno}" == line_of(body, "# yields")
    assert second.lineno == first.lineno + 1


def test_a_filter_makes_an_error_of_the_warning_and_it_is_raised_at_the_yield():
    guard("warn")
    seen = []

    @async_generator
    async def body():
        with anyio.move_on_after(10):
            try:
                yield 1
            except YieldInScopeWarning as warning:
                seen.append(warning)

    assert accepted(run_asyncio, body) == []
    assert len(seen) == 1


# The switch ------------------------------------------------------------------------------------------------------------


def test_it_is_switched_for_functions_that_were_decorated_before():
    @async_generator
    async def body():
        with anyio.move_on_after(10):
            yield 1

    assert guard("off") == "error"
    assert accepted(run_asyncio, body) == [1]
    assert guard("error") == "off"
    assert refused(run_asyncio, body)[0] == []
    assert guard("off") == "error"
    assert accepted(run_asyncio, body) == [1]


def test_a_generator_that_was_made_before_the_guard_goes_on_without():
    guard("off")

    @async_generator
    async def body():
        with anyio.move_on_after(10):
            yield 1
            yield 2

    async def main():
        generator = body()
        await generator.asend(None)
        guard("error")
        return await generator.asend(None)

    assert asyncio.run(main()) == 2


def test_a_generator_that_was_made_under_the_guard_is_let_go_when_it_is_off():
    @async_generator
    async def body():
        with anyio.move_on_after(10):
            yield 1

    async def main():
        generator = body()
        guard("off")
        items = [item async for item in generator]
        return items

    assert asyncio.run(main()) == [1]


def test_wrong_arguments_are_refused_and_change_nothing():
    for wrong in ("on", None, True):
        with pytest.raises(ValueError, match='"error", "warn" or "off"'):
            guard(wrong)
    with pytest.raises(TypeError, match="names of modules"):
        guard("off", exempt="module")
    assert guard("error") == "error"


@pytest.mark.parametrize(("options", "mode"), [([], "off"), (["-X", "dev"], "warn")])
def test_it_warns_in_development_mode_and_imports_no_event_loop(options, mode):
    code = (
        "import sys, async_generator as a\n"
        "@a.async_generator\n"
        "async def body():\n"
        "    with open(sys.executable) as file:\n"
        "        await a.yield_(1)\n"
        "try:\n"
        "    body().asend(None).send(None)\n"
        "except StopIteration as stop:\n"
        "    print(stop.value)\n"
        "print(a.guard('off'))\n"
        "print([name for name in ('asyncio', 'trio', 'anyio', 'async_timeout') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"1\n{mode}\n[]\n", done.stderr


def test_threads_see_the_switch():
    @async_generator
    async def body():
        with anyio.move_on_after(10):
            yield 1

    results = []
    thread = threading.Thread(target=lambda: results.append(refused(run_asyncio, body)[0]))
    thread.start()
    thread.join()
    assert results == [[]]


def test_unknown_bytecode_finds_nothing(monkeypatch):
    monkeypatch.setattr(_with_blocks, "_works", False)

    @async_generator
    async def body():
        with anyio.move_on_after(10):
            yield 1

    assert accepted(run_asyncio, body) == [1]


def test_a_failing_sample_turns_it_off(monkeypatch):
    monkeypatch.setattr(_with_blocks, "_works", None)
    monkeypatch.setattr(_with_blocks, "_exits", lambda suspended, frame: [])
    assert not _with_blocks.works()


# Exempt ----------------------------------------------------------------------------------------------------------------


def test_isolated_generators_hold_what_they_like():
    @async_generator(isolated=True)
    async def body():
        with anyio.move_on_after(10):
            yield 1
        async with helper():
            yield 2

    @async_generator
    async def made_elsewhere():
        with anyio.move_on_after(10):
            yield 1
            yield 2

    async def main():
        return [item async for item in body()] + [item async for item in isolated(made_elsewhere())]

    assert asyncio.run(main()) == [1, 2, 1, 2]


@pytest.mark.skipif(trio is None, reason="trio is not installed for this interpreter")
def test_isolated_generators_on_trio_hold_what_they_like():
    @async_generator(isolated=True)
    async def body():
        with trio.move_on_after(10):
            yield 1

    @async_generator
    async def made_elsewhere():
        with trio.move_on_after(10):
            yield 2

    async def main():
        async with body() as one, isolated(made_elsewhere()) as two:
            return [item async for item in one] + [item async for item in two]

    assert trio.run(main) == [1, 2]


@pytest.mark.parametrize("make", [contextlib.asynccontextmanager, asynccontextmanager])
def test_bodies_of_context_managers_are_exempt(make, scope):
    scope_of, run, _, is_async = scope

    if is_async:

        @make
        @async_generator
        async def manager():
            async with scope_of():
                yield "value"

    else:

        @make
        @async_generator
        async def manager():
            with scope_of():
                await yield_("value")

    async def main():
        async with manager() as value:
            return value

    async def by_stack():
        async with contextlib.AsyncExitStack() as stack:
            return await stack.enter_async_context(manager())

    assert run(main) == run(by_stack) == "value"


def test_a_delegation_in_the_body_of_a_context_manager_is_exempt():
    @async_generator
    async def delegate():
        with anyio.move_on_after(10):
            yield "value"

    @asynccontextmanager
    @async_generator
    async def manager():
        with anyio.move_on_after(10):
            await yield_from_(delegate())

    async def main():
        async with manager() as value:
            return value

    assert asyncio.run(main()) == "value"


def test_a_generator_in_the_block_of_a_structured_function_is_looked_at():
    @async_generator
    async def body():
        with anyio.move_on_after(10):
            yield 1

    @structured
    async def main():
        async for _ in body():
            pass

    with pytest.raises(RuntimeError, match="isolated=True"):
        asyncio.run(main())


def test_modules_that_drive_context_managers_of_their_own_can_be_named():
    @async_generator
    async def body():
        with anyio.move_on_after(10):
            yield 1

    guard("error", exempt=[__name__])
    assert accepted(run_asyncio, body) == [1]
    guard("error")
    assert refused(run_asyncio, body)[0] == []


def test_a_native_generator_that_is_not_decorated_is_not_looked_at():
    async def body():
        with anyio.move_on_after(10):
            yield 1

    assert accepted(run_asyncio, body) == [1]


# Not in the way --------------------------------------------------------------------------------------------------------


def test_a_local_that_hates_to_be_looked_at_is_left_alone():
    class Hostile:
        def __getattribute__(self, name):
            raise AssertionError(f"{name} was read")

        def __enter__(self):
            return self

        def __exit__(self, *error): ...

    @async_generator
    async def body():
        with Hostile() as hostile:
            yield 1
        del hostile

    assert accepted(run_asyncio, body) == [1]


def test_managers_of_all_kinds_are_told_apart():
    class Leave:
        def __call__(self, *error): ...

    class Odd:
        __enter__ = __exit__ = Leave()

    class Static:
        @staticmethod
        def __enter__(): ...

        @staticmethod
        def __exit__(*error): ...

    class Slots:
        __slots__ = ()

        def __enter__(self): ...

        def __exit__(self, *error): ...

    @async_generator
    async def fine():
        with Odd(), Static(), Slots(), threading.Lock(), open(__file__):
            yield 1

    @async_generator
    async def wrong():
        with Odd(), Static(), anyio.move_on_after(10), Slots(), threading.Lock(), open(__file__):  # entered
            yield 1

    assert accepted(run_asyncio, fine) == [1]
    assert f"entered at {line_of(wrong, '# entered')}" in refused(run_asyncio, wrong)[1]


def test_a_generator_that_was_looked_at_is_held_by_nobody():
    @async_generator
    async def body():
        with contextlib.suppress(KeyError):
            yield 1

    async def in_helper():
        with anyio.move_on_after(10):
            await yield_(1)

    @async_generator
    async def helped():
        await in_helper()

    gc.disable()
    try:
        for function in (body, helped):
            generator = function()
            try:
                generator.asend(None).send(None)
            except (StopIteration, RuntimeError):
                pass
            reference = weakref.ref(generator)
            del generator
            assert reference() is None
    finally:
        gc.enable()
