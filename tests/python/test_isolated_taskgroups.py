"""asyncio's task groups, held by isolated generators that yield inside: what CPython's own test_taskgroups.py makes sure of.

NOT_HERE says of the upstream tests that have no counterpart, why.
"""

import asyncio
import contextlib
import contextvars
import gc
import sys
import weakref

import pytest

if sys.version_info < (3, 13):
    pytest.skip(
        "before 3.13 a group left its task's count of cancellations raised, natively, too", allow_module_level=True
    )

from async_generator import isolated
from isolating import KEPT, SOON, giving_up, leaves, lingering, promise, with_patience

NOT_HERE = {
    "test_taskgroup_without_parent_task": "a body always has a task",
    "_test_taskgroup_21": "is off upstream: a KeyboardInterrupt of a child ends the event loop, whoever made the group",
    "test_taskgroup_generator_exit_02": "nothing is yielded in it; a group of nothing but GeneratorExit: test_a_childs_exit_alone_is_told",
}
NEEDS_CANCEL = pytest.mark.skipif(not hasattr(asyncio.TaskGroup, "cancel"), reason="TaskGroup.cancel() is new in 3.15")
STEPWISE = [giving_up, with_patience]  # consumers whom a body may wait for


class group_of:
    """The block raises a group of exceptions of these types, or is closed: then all others but GeneratorExit are of them."""

    def __init__(self, *types):
        self.types = set(types)

    def __enter__(self):
        return self

    def __exit__(self, typ, error, traceback):
        assert error is not None, "the group raised nothing"
        told = {type(leaf) for leaf in leaves(error)}
        if GeneratorExit in told:
            assert told - {GeneratorExit} <= self.types
            raise GeneratorExit
        assert isinstance(error, BaseExceptionGroup) and told == self.types, repr(error)  # noqa: F821
        self.error = error
        return True


async def answer(value, delay=0.0):
    await asyncio.sleep(delay)
    return value


async def crash(error=ZeroDivisionError, delay=0.0):
    await asyncio.sleep(delay)
    raise error


async def crash_when_cancelled(error=ZeroDivisionError):
    try:
        await asyncio.sleep(10)
    finally:
        raise error


async def tell_cancellation(told, what):
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        told.append(what)
        raise


def cancel_soon(delay=SOON):
    """Cancels the body's task, as somebody else would."""
    task = asyncio.current_task()
    asyncio.get_running_loop().call_later(delay, task.cancel)
    return task


# Children that end well ------------------------------------------------------------------------------------------------


@promise("test_taskgroup_01", "test_taskgroup_02")
async def test_children_are_joined():
    async with asyncio.TaskGroup() as group:
        one = group.create_task(answer(42, SOON))
        yield
        two = group.create_task(answer(11))
        yield
        await asyncio.sleep(SOON / 5)
        three = group.create_task(answer(7))
    assert (one.result(), two.result(), three.result()) == (42, 11, 7)
    yield


@promise("test_taskgroup_03")
async def test_a_child_that_is_cancelled_is_the_childs_business():
    async with asyncio.TaskGroup() as group:
        one = group.create_task(asyncio.sleep(10))
        yield
        one.cancel()
        yield
        two = group.create_task(answer(11, SOON / 5))
    assert one.cancelled() and two.result() == 11 and asyncio.current_task().cancelling() == 0


@promise("test_taskgroup_23")
async def test_children_that_have_ended_are_forgotten():
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            child = group.create_task(answer(1))
            yield
            while not child.done():
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not group._tasks


@promise("test_taskgroup_24")
async def test_children_start_children():
    ended = []

    async def parent(group):
        await asyncio.sleep(0)
        for number in range(2):
            group.create_task(child(number))

    async def child(number):
        await asyncio.sleep(SOON / 5 * number)
        ended.append(number)

    async with asyncio.TaskGroup() as group:
        group.create_task(parent(group))
        yield
    assert sorted(ended) == [0, 1]
    yield


@promise("test_taskgroup_25")
async def test_a_child_that_fails_ends_children_that_multiply():
    made = 0

    async def hydra(group):
        nonlocal made
        made += 1
        await asyncio.sleep(SOON / 10)
        group.create_task(hydra(group))
        group.create_task(hydra(group))

    async def hercules():
        while made < 10:
            await asyncio.sleep(SOON / 10)
        raise ZeroDivisionError

    # A child that was cancelled before may start one more, which is refused.
    with group_of(ZeroDivisionError):
        async with asyncio.TaskGroup() as group:
            group.create_task(hydra(group))
            group.create_task(hercules())
            yield
    assert made >= 10


@promise("test_taskgroup_task_name", "test_name")
async def test_names_of_children():
    async def own_name():
        if sys.version_info < (3, 14):  # before, an eager child got its name after its first step
            await asyncio.sleep(0)
        return asyncio.current_task().get_name()

    async with asyncio.TaskGroup() as group:
        child = group.create_task(own_name(), name="a name")
        assert child.get_name() == "a name"
        yield
    assert child.result() == "a name"


@promise("test_taskgroup_task_context")
async def test_contexts_of_children():
    variable = contextvars.ContextVar("variable")

    async def set_to(value):
        await asyncio.sleep(0)
        variable.set(value)

    async with asyncio.TaskGroup() as group:
        variable.set("the body's")
        context = contextvars.copy_context()
        for value in 1, 2:
            await group.create_task(set_to(value), context=context)
            yield
            assert context[variable] == value and variable.get() == "the body's"
        inherits = group.create_task(answer_of(variable.get))
        yield
    assert inherits.result() == "the body's"


async def answer_of(function):
    return function()


# Children that fail ----------------------------------------------------------------------------------------------------


@promise("test_taskgroup_04")
async def test_a_child_that_fails_cancels_its_siblings():
    told = []
    with group_of(ZeroDivisionError):
        async with asyncio.TaskGroup() as group:
            group.create_task(crash(delay=SOON / 5))
            sibling = group.create_task(tell_cancellation(told, "sibling"))
            await asyncio.sleep(0)
            yield
    assert told == ["sibling"] and sibling.cancelled()
    yield


@promise("test_cancel_children_on_child_error")
async def test_errors_of_children_are_gathered_and_the_body_is_cancelled():
    told = []
    with group_of(ZeroDivisionError) as caught:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(crash())
            group.create_task(tell_cancellation(told, "sibling"))
            try:
                await asyncio.sleep(0)
                yield
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                told.append("body")
                raise
    assert len(caught.error.exceptions) == 3 and sorted(told) == ["body", "sibling"]
    assert asyncio.current_task().cancelling() == 0
    yield


@promise("test_taskgroup_09", "test_taskgroup_10")
async def test_an_error_of_the_body_cancels_the_children():
    for wait in True, False:
        with group_of(ZeroDivisionError):
            async with asyncio.TaskGroup() as group:
                one, two = (group.create_task(asyncio.sleep(10)) for _ in range(2))
                if wait:
                    yield
                raise ZeroDivisionError
        assert one.cancelled() and two.cancelled()
        yield


@promise("test_taskgroup_13")
async def test_an_outer_child_that_fails_ends_the_inner_group():
    with group_of(ValueError) as caught:
        async with asyncio.TaskGroup() as outer:
            outer.create_task(crash(ValueError, SOON))
            async with asyncio.TaskGroup() as inner:
                inner.create_task(crash(KeyError, 10))
                yield
                await asyncio.sleep(10)
    assert [type(one) for one in caught.error.exceptions] == [ValueError]


@promise("test_taskgroup_14")
async def test_an_inner_child_that_fails_ends_the_outer_group():
    with group_of(ValueError) as caught:
        async with asyncio.TaskGroup() as outer:
            outer.create_task(crash(KeyError, 10))
            async with asyncio.TaskGroup() as inner:
                inner.create_task(crash(ValueError, SOON))
                yield
                await asyncio.sleep(10)
    (group,) = caught.error.exceptions
    assert [type(one) for one in group.exceptions] == [ValueError]


@promise("test_taskgroup_19")
async def test_an_error_of_the_cancelled_body_is_told_with_the_childs():
    with group_of(KeyError, ZeroDivisionError):
        async with asyncio.TaskGroup() as group:
            group.create_task(crash(delay=SOON))
            try:
                yield
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                raise KeyError from None


@promise("test_taskgroup_20a", "test_taskgroup_21a")
async def test_base_exceptions_are_told_in_a_group():
    class Own(BaseException):
        pass

    for of_child, of_body in (ZeroDivisionError, Own), (Own, TypeError):
        with group_of(of_child, of_body):
            async with asyncio.TaskGroup() as group:
                group.create_task(crash(of_child, SOON / 5))
                try:
                    yield
                    await asyncio.sleep(10)
                except asyncio.CancelledError:
                    raise of_body from None


@promise("test_taskgroup_20", "test_exception_refcycles_base_error", without=[lingering, *STEPWISE])
async def test_a_keyboard_interrupt_of_the_body_comes_out_bare():
    """Not of a body that its own task resumes: that ends the event loop, as a KeyboardInterrupt of any task."""
    with pytest.raises(KeyboardInterrupt):
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(10))
            yield
            raise KeyboardInterrupt
    yield


@promise("test_taskgroup_no_create_task_after_failure")
async def test_no_child_starts_after_a_failure():
    told = []

    async def late(group):
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            with pytest.raises(RuntimeError):
                refused(group)
            told.append("refused")

    with group_of(ZeroDivisionError):
        async with asyncio.TaskGroup() as group:
            group.create_task(crash(delay=SOON / 5))
            group.create_task(late(group))
            await asyncio.sleep(0)
            yield
    assert told == ["refused"]


@promise("test_taskgroup_context_manager_exit_raises")
async def test_a_manager_inside_that_raises_when_it_is_left():
    @contextlib.asynccontextmanager
    async def database():
        try:
            yield
        finally:
            raise KeyError

    with group_of(KeyError) as caught:
        async with asyncio.TaskGroup() as group, database():
            group.create_task(crash(KeyError))
            await asyncio.sleep(0)
            yield
            await asyncio.sleep(10)
    assert len(caught.error.exceptions) == 2 and asyncio.current_task().cancelling() == 0


@promise("test_cancelling_level_preserved", "test_cancellation_does_not_leak_out_of_tg")
async def test_the_cancellation_of_a_group_does_not_leak():
    with group_of(RuntimeError):
        async with asyncio.TaskGroup() as group:
            group.create_task(crash(RuntimeError))
            yield
    assert asyncio.current_task().cancelling() == 0
    yield
    await asyncio.sleep(0)
    yield


@promise("test_nested_groups_both_cancelled")
async def test_the_groups_of_two_levels_are_cancelled():
    with group_of(ValueError):
        async with asyncio.TaskGroup() as outer:
            with group_of(RuntimeError):
                async with asyncio.TaskGroup() as inner:
                    inner.create_task(crash(RuntimeError))
                    outer.create_task(crash(ValueError))
                    yield
                    await asyncio.sleep(10)
            if sys.version_info >= (3, 13):
                assert asyncio.current_task().cancelling() == 1
    assert asyncio.current_task().cancelling() == 0
    yield


@promise("test_cancels_task_if_created_during_creation")
async def test_a_child_that_starts_one_that_fails_is_cancelled():
    told = []

    async def second(group):
        group.create_task(crash_now())
        try:
            for _ in range(3):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            told.append("cancelled")

    async def crash_now():
        raise KeyError

    with group_of(KeyError):
        async with asyncio.TaskGroup() as group:
            group.create_task(second(group))
            yield
            await asyncio.sleep(10)
    if sys.version_info >= (3, 13, 2):  # before, an eager child missed it (gh-128550)
        assert told == ["cancelled"]


# A cancellation of the body's task -------------------------------------------------------------------------------------


@promise("test_cancellation", "test_taskgroup_07", "test_taskgroup_17", "test_taskgroup_22")
async def test_a_cancellation_of_the_bodys_task_cancels_the_children():
    told = []
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(tell_cancellation(told, "child"))
            await asyncio.sleep(0)
            task = cancel_soon()
            try:
                yield
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                told.append("body")
                raise
    assert sorted(told) == ["body", *["child"] * 5] and task.uncancel() == 0
    yield


@promise("test_cancellation", "test_taskgroup_22")
async def test_a_cancellation_while_the_children_are_joined():
    told = []
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(tell_cancellation(told, "child"))
            await asyncio.sleep(0)
            yield
            task = cancel_soon()
    assert told == ["child"] * 5 and task.uncancel() == 0
    yield


@promise("test_taskgroup_08")
async def test_children_that_fail_when_the_body_is_cancelled():
    with group_of(ZeroDivisionError) as caught:
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(crash_when_cancelled())
            await asyncio.sleep(0)
            task = cancel_soon()
            yield
            await asyncio.sleep(10)
    assert len(caught.error.exceptions) == 5
    while task.cancelling():
        task.uncancel()
    yield


@promise("test_taskgroup_11", "test_taskgroup_12")
async def test_children_of_an_inner_group_that_fail_when_the_body_is_cancelled():
    for siblings in 0, 1:
        with group_of(ZeroDivisionError) as caught:
            async with asyncio.TaskGroup() as outer:
                for _ in range(siblings):
                    outer.create_task(asyncio.sleep(10))
                async with asyncio.TaskGroup() as inner:
                    for _ in range(5):
                        inner.create_task(crash_when_cancelled())
                    await asyncio.sleep(0)
                    task = cancel_soon()
                    yield
                    await asyncio.sleep(10)
        (group,) = caught.error.exceptions
        assert len(group.exceptions) == 5
        while task.cancelling():
            task.uncancel()
        yield


@promise("test_taskgroup_15", "test_taskgroup_16")
async def test_a_child_that_fails_while_the_cancelled_body_cleans_up():
    with group_of(ZeroDivisionError):
        async with asyncio.TaskGroup() as group:
            group.create_task(crash(delay=2 * SOON))
            task = cancel_soon(SOON)
            try:
                yield
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                # The child's failure finds the body cleaning up, and cancels that, too.
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(3 * SOON)
                raise
    while task.cancelling():
        task.uncancel()


@promise("test_taskgroup_18")
async def test_a_body_that_makes_another_error_of_its_cancellation():
    with group_of(KeyError):
        async with asyncio.TaskGroup():
            task = cancel_soon()
            try:
                yield
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                raise KeyError from None
    while task.cancelling():
        task.uncancel()
    yield


@pytest.mark.skipif(sys.version_info < (3, 13), reason="before 3.13 the error hid the cancellation")
@promise("test_error_and_cancel")
async def test_an_error_of_a_child_does_not_hide_a_cancellation():
    task = asyncio.current_task()

    async def crash_and_cancel():
        task.cancel()
        raise RuntimeError

    with group_of(RuntimeError):
        async with asyncio.TaskGroup() as group:
            group.create_task(crash_and_cancel())
            yield
            await asyncio.sleep(10)
    assert task.cancelling() == 1
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(10)
    assert task.uncancel() == 0
    yield


# A group's states ------------------------------------------------------------------------------------------------------


@promise("test_taskgroup_already_entered", "test_taskgroup_double_enter", "test_taskgroup_not_entered")
async def test_it_is_entered_once():
    group = asyncio.TaskGroup()
    with pytest.raises(RuntimeError, match="has not been entered"):
        refused(group)
    async with group:
        yield
        with pytest.raises(RuntimeError, match="has already been entered"):
            await group.__aenter__()
        yield
    with pytest.raises(RuntimeError, match="has already been entered"):
        await group.__aenter__()


@promise("test_taskgroup_finished", "test_coro_closed_when_tg_closed")
async def test_a_finished_one_takes_no_children():
    async with asyncio.TaskGroup() as group:
        yield
    yield
    with pytest.raises(RuntimeError, match="is finished"):
        refused(group)


def refused(group):
    child = answer(1)
    try:
        group.create_task(child)
    finally:
        child.close()  # which 3.13 and later have done


# GeneratorExit ---------------------------------------------------------------------------------------------------------


def run_with(function, make):
    async def main():
        await asyncio.wait_for(function(isolated(make())), 10)
        for _ in range(3):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def upstream(*names):
    def decorate(test):
        KEPT[__name__].update(names)
        return test

    return decorate


@upstream("test_taskgroup_generator_exit_01")
def test_closing_a_body_that_iterates_another_in_a_group():
    async def inner():
        yield 1

    async def body():
        async with asyncio.TaskGroup():
            async for item in isolated(inner()):
                yield item

    async def use(items):
        assert await items.__anext__() == 1
        await items.aclose()

    run_with(use, body)


@upstream("test_taskgroup_generator_exit_03", "test_taskgroup_generator_exit_04")
@pytest.mark.parametrize("when", ["before", "at the close"])
def test_a_childs_error_is_told_by_aclose(when):
    async def child():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(SOON / 5 if when == "before" else 10)
        raise AssertionError("child")

    async def body():
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
            await asyncio.sleep(0)
            yield 1

    async def use(items):
        await items.__anext__()
        if when == "before":  # then the body has ended by it already
            await asyncio.sleep(SOON)
            with pytest.raises(BaseExceptionGroup) as caught:  # noqa: F821
                await items.__anext__()
            assert [type(one) for one in leaves(caught.value)] == [AssertionError]
            await items.aclose()
            return
        with pytest.raises(BaseExceptionGroup) as caught:  # noqa: F821
            await items.aclose()
        assert AssertionError in {type(one) for one in leaves(caught.value)}

    run_with(use, body)


def test_a_childs_exit_alone_is_told():
    """Not by aclose(), which takes it for its own, but by whoever iterates."""

    async def child():
        raise GeneratorExit

    async def body():
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
            yield 1
            await asyncio.sleep(10)

    async def use(items):
        await items.__anext__()
        with pytest.raises(BaseExceptionGroup) as caught:  # noqa: F821
            await items.__anext__()
        assert {type(one) for one in leaves(caught.value)} == {GeneratorExit}

    run_with(use, body)


# References ------------------------------------------------------------------------------------------------------------


class Told(Exception):
    pass


class Late(TimeoutError):
    """Which, unlike a TimeoutError, can be referred to weakly."""


async def of_the_body():
    async with asyncio.TaskGroup():
        yield
        raise Told


async def of_a_child():
    async with asyncio.TaskGroup() as group:
        group.create_task(crash(Told))
        yield
        await asyncio.sleep(10)


async def of_an_inner_group():
    async def child():
        async with asyncio.TaskGroup():
            raise Told

    async with asyncio.TaskGroup() as group:
        group.create_task(child())
        yield
        await asyncio.sleep(10)


async def of_a_timeout():
    try:
        async with asyncio.timeout(SOON / 5), asyncio.TaskGroup():
            yield
            await asyncio.sleep(10)
    except TimeoutError as error:
        raise Late from error


@upstream(
    "test_exception_refcycles_direct",
    "test_exception_refcycles_errors",
    "test_exception_refcycles_parent_task",
    "test_exception_refcycles_parent_task_wr",
    "test_exception_refcycles_propagate_cancellation_error",
)
@pytest.mark.skipif(sys.version_info < (3, 14), reason="older groups leave cycles of their own")
@pytest.mark.parametrize("linger", [False, True])
@pytest.mark.parametrize("body", [of_the_body, of_a_child, of_an_inner_group, of_a_timeout])
def test_nothing_keeps_an_error_alive(body, linger):
    """No cycle through the generator's task, mailbox or handle keeps what it raised."""

    async def use():
        items = isolated(body())
        await items.__anext__()
        if linger:
            await asyncio.sleep(2 * SOON)
        kept = []
        try:
            await items.__anext__()
        except (BaseExceptionGroup, Late) as error:  # noqa: F821
            kept += [weakref.ref(one) for one in (*leaves(error), error)]
        assert kept
        del items
        for _ in range(3):
            await asyncio.sleep(0)
        return [one() for one in kept]

    gc.collect()
    gc.disable()
    try:
        assert set(asyncio.run(use())) == {None}
    finally:
        gc.enable()


# cancel(), of 3.15 -----------------------------------------------------------------------------------------------------


@NEEDS_CANCEL
@promise("test_taskgroup_cancel_children", "test_taskgroup_cancel_after_exit")
async def test_cancel_ends_the_children():
    async with asyncio.timeout(5):
        async with asyncio.TaskGroup() as group:
            children = [group.create_task(asyncio.sleep(10)) for _ in range(2)]
            yield
            group.cancel()
    assert all(child.cancelled() for child in children)
    group.cancel()
    yield


@NEEDS_CANCEL
@promise("test_taskgroup_cancel_body", "test_taskgroup_cancel_idempotent")
async def test_cancel_ends_the_body_at_its_next_wait():
    for times in 1, 2:
        reached = []
        async with asyncio.TaskGroup() as group:
            yield
            for _ in range(times):
                group.cancel()
            reached.append("before")
            await asyncio.sleep(0)
            reached.append("after")
        assert reached == ["before"] and asyncio.current_task().cancelling() == 0


@NEEDS_CANCEL
@promise("test_taskgroup_cancel_before_enter")
async def test_cancel_before_it_is_entered():
    group, reached = asyncio.TaskGroup(), []
    group.cancel()
    yield
    async with group:
        reached.append("before")
        await asyncio.sleep(0)
        reached.append("after")
    assert reached == ["before"]


@NEEDS_CANCEL
@promise("test_taskgroup_cancel_before_create_task", "test_taskgroup_cancel_from_child_before_first_suspension")
async def test_cancel_before_a_child_begins():
    async def child(group):
        group.cancel()
        await asyncio.sleep(10)
        raise AssertionError("the child was not cancelled")

    async with asyncio.TaskGroup() as group:
        yield
        group.cancel()
        refusal = answer(1)
        with contextlib.suppress(RuntimeError):
            group.create_task(refusal)
        refusal.close()
    async with asyncio.TaskGroup() as group:
        yield
        group.create_task(child(group))


@NEEDS_CANCEL
@promise("test_taskgroup_cancel_keeps_outer_cancellation")
async def test_cancel_does_not_hide_a_cancellation_from_elsewhere():
    task = asyncio.current_task()

    async def child():
        try:
            await asyncio.sleep(10)
        finally:
            for _ in range(3):  # by then the group's own cancellation of the task has arrived
                await asyncio.sleep(0)
            task.cancel("message")

    with pytest.raises(asyncio.CancelledError) as caught:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
            await asyncio.sleep(0)
            yield
            group.cancel()
    assert caught.value.args == ("message",) and task.uncancel() == 0


@NEEDS_CANCEL
@promise(
    "test_taskgroup_cancel_before_exception",
    "test_taskgroup_cancel_after_exception",
    "test_taskgroup_body_cancel_before_exception",
    "test_taskgroup_body_cancel_after_exception",
)
async def test_cancel_hides_no_error():
    async def child(group, cancels_first):
        try:
            if cancels_first:
                group.cancel()
            raise RuntimeError
        finally:
            group.cancel()

    for cancels_first in True, False:
        with group_of(RuntimeError):
            async with asyncio.TaskGroup() as group:
                yield
                group.create_task(child(group, cancels_first))
                await asyncio.sleep(10)
        with group_of(RuntimeError):
            async with asyncio.TaskGroup() as group:
                yield
                await child(group, cancels_first)


@NEEDS_CANCEL
@promise("test_taskgroup_cancel_one_winner")
async def test_the_first_of_many_cancels_the_others():
    told, event = [], asyncio.Event()

    async def runner(name, group):
        told.append(f"{name} begins")
        if name == "last":
            event.set()
            await asyncio.sleep(10)
        await event.wait()
        told.append(f"{name} ends")
        group.cancel()

    async with asyncio.TaskGroup() as group:
        for name in "first", "second", "last":
            group.create_task(runner(name, group))
        yield
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(10)
    assert told == ["first begins", "second begins", "last begins", "first ends"]


def test_each_upstream_test_is_here_or_there_is_a_reason():
    assert not KEPT[__name__] & NOT_HERE.keys()
    assert len(KEPT[__name__]) + len(NOT_HERE) == 66
