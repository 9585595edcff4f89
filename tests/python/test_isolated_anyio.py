"""anyio's cancel scopes and task groups, held by isolated generators that yield inside, on asyncio, uvloop and trio: what
anyio's own test_taskgroups.py makes sure of.

NOT_HERE says of the upstream tests that have no counterpart, why.
"""

import asyncio
import inspect
import math
import sys
import time

import pytest

try:
    import anyio
except ImportError:
    pytest.skip("anyio is not installed", allow_module_level=True)
if sys.version_info < (3, 11):
    pytest.skip("exception groups are new in 3.11", allow_module_level=True)

from anyio import (
    CancelScope,
    create_task_group,
    fail_after,
    get_cancelled_exc_class,
    get_current_task,
    move_on_after,
    sleep,
)
from anyio.lowlevel import checkpoint
from isolating import (
    KEPT,
    LINGER,
    SOON,
    anyio_promise,
    giving_up_on_anyio,
    leaves,
    lingering_on_anyio,
    natively_on_anyio,
)

NOT_IN_A_BODY = "holds nothing across a wait that a body could yield in"
CHILDS = "is about a child's own scope; a child is a task like any other, and yields nothing"
NOT_HERE = {
    "test_run_natively": "each promise is run by the loops' own run()",
    "test_start_exception_delivery": NOT_IN_A_BODY,
    "test_cancel_with_nested_task_groups": "counts calls of a private method of anyio's",
    "test_fail_after_scope_cancelled_before_timeout": "is expected to fail upstream",
    "test_cancel_generator_based_task": "generator-based coroutines are gone since 3.11",
    "test_schedule_old_style_coroutine_func": "generator-based coroutines are gone since 3.11",
    "test_cancelscope_exit_before_enter": NOT_IN_A_BODY,
    "test_task_in_sync_spawn_callback": CHILDS,
    "test_shielding_mutate": CHILDS,
    "test_cancelled_parent": CHILDS,
    "test_start_native_child_cancelled": CHILDS,
    "test_cancel_scope_in_another_task": CHILDS,
    "test_uncancel_after_group_aexit_native_cancel": CHILDS,
    "test_start_parent_id": CHILDS,
    "test_patched_asyncio_task": "patches asyncio.Task",
    "test_unhandled_exception_group": "is about the end of an event loop by KeyboardInterrupt",
    "test_reraise_cancelled_in_excgroup": "is about the backport of exception groups",
    "test_exception_refcycles_direct": "test_isolated_taskgroups.py asks for references to errors",
    "test_exception_refcycles_errors": "the same",
    "test_exception_refcycles_parent_task": "the same",
    "test_exception_refcycles_propagate_cancellation_error": "the same",
    "test_exception_refcycles_base_error": "the same",
    "test_exception_groups_suppresses_exc_context": NOT_IN_A_BODY,
}


class group_of:
    """The block raises a group of exceptions of these types, or is closed or cancelled by its consumer."""

    def __init__(self, *types):
        self.types = set(types)

    def __enter__(self):
        return self

    def __exit__(self, typ, error, traceback):
        assert error is not None, "the group raised nothing"
        told = {type(leaf) for leaf in leaves(error)}
        for ends in GeneratorExit, get_cancelled_exc_class():
            if ends in told:
                assert told - {ends} <= self.types
                return False if told == {ends} else self.end(error, ends)
        assert isinstance(error, BaseExceptionGroup) and told == self.types, repr(error)  # noqa: F821
        self.error = error
        return True

    @staticmethod
    def end(error, ends):
        raise next(leaf for leaf in leaves(error) if isinstance(leaf, ends))


async def crash(error=ValueError, delay=0.0):
    await sleep(delay)
    raise error


async def cancel(scope, delay=SOON):
    await sleep(delay)
    scope.cancel()


# Task groups -----------------------------------------------------------------------------------------------------------


@anyio_promise("test_success", "test_start_soon_while_running", "test_empty_taskgroup_contains_yield_point")
async def test_children_are_joined():
    done = set()

    async def child(name):
        await checkpoint()
        done.add(name)
        if name == "a":
            group.start_soon(child, "c")

    async with create_task_group() as group:
        group.start_soon(child, "a")
        yield
        group.start_soon(child, "b")
        async with create_task_group():
            yield
    assert done == {"a", "b", "c"}


@anyio_promise("test_already_closed", "test_start_soon_after_error")
async def test_a_group_that_has_ended_takes_no_children():
    async with create_task_group() as ended:
        yield
    with group_of(ZeroDivisionError):
        async with create_task_group() as failed:
            yield
            raise ZeroDivisionError
    for group in ended, failed:
        with pytest.raises(RuntimeError, match="not active"):
            group.start_soon(sleep, 0)
    yield


@anyio_promise("test_start_no_value", "test_start_with_value", "test_start_called_twice", "test_start_no_started_call")
async def test_start_waits_until_the_child_has_begun():
    async def child(value, *, task_status):
        await checkpoint()
        task_status.started(value)
        with pytest.raises(RuntimeError, match="called 'started' twice"):
            task_status.started(value)

    async def silent(*, task_status):
        await checkpoint()

    async with create_task_group() as group:
        for value in None, "value":
            assert await group.start(child, value) == value
            yield
        with pytest.raises(RuntimeError, match="hild exited"):
            await group.start(silent)


@anyio_promise(
    "test_start_crash_before_started_call", "test_start_crash_after_started_call", "test_start_cancel_after_error"
)
async def test_a_child_that_fails_while_it_starts():
    async def child(begins, *, task_status):
        if begins:
            task_status.started("begun")
        raise ValueError

    async with create_task_group() as group:
        yield
        with pytest.raises(ValueError):
            await group.start(child, False)
        yield
    with group_of(ValueError):
        async with create_task_group() as group:
            assert await group.start(child, True) == "begun"
            yield
    with group_of(ValueError):
        async with create_task_group() as outer, create_task_group() as inner:
            inner.start_soon(crash)
            yield
            await outer.start(sleep_instead)


async def sleep_instead(*, task_status):
    await sleep(10)


@anyio_promise("test_start_cancelled", "test_start_cancels_parent_scope")
async def test_start_under_a_cancelled_scope():
    async with create_task_group() as group:
        with CancelScope() as scope:
            yield
            scope.cancel()
            await group.start(sleep_instead)
        assert not group.cancel_scope.cancel_called
        group.cancel_scope.cancel()
        await group.start(sleep_instead)


@anyio_promise("test_host_exception", "test_failing_host_task_cancels_children", "test_exception_group_host")
async def test_an_error_of_the_body_cancels_the_children():
    told = []

    async def child():
        try:
            await sleep(10)
        finally:
            told.append("child")
            raise KeyError

    with group_of(ValueError, KeyError):
        async with create_task_group() as group:
            group.start_soon(child)
            await sleep(SOON)
            try:
                yield
            finally:
                told.append("body")
            raise ValueError
    assert told == ["body", "child"]


@anyio_promise(
    "test_failing_child_task_cancels_host", "test_exception_cancels_siblings", "test_uncancel_after_child_task_failed"
)
async def test_a_child_that_fails_cancels_the_body_and_its_siblings():
    reached = []

    async def sibling():
        await sleep(10)
        reached.append("sibling")

    with group_of(ValueError):
        async with create_task_group() as group:
            group.start_soon(sibling)
            group.start_soon(crash, ValueError, SOON / 2)
            yield
            await sleep(10)
            reached.append("body")
    assert not reached
    yield


@anyio_promise("test_exception_group_children", "test_exception_group_filtering")
async def test_errors_are_gathered_without_cancellations():
    async def crash_when_cancelled():
        try:
            await sleep(10)
        finally:
            raise KeyError

    with group_of(ValueError, KeyError) as caught:
        async with create_task_group() as outer:
            outer.start_soon(crash, ValueError, 4 * SOON)
            async with create_task_group() as inner:
                inner.start_soon(crash_when_cancelled)
                await sleep(SOON)
                yield
                await sleep(10)
    assert sorted(type(one).__name__ for one in caught.error.exceptions) == ["ExceptionGroup", "ValueError"]


@anyio_promise(
    "test_cancel_propagation",
    "test_cancel_cascade",
    "test_cancel_propagation_with_inner_spawn",
    "test_cancel_exiting_task_group",
)
async def test_a_group_is_cancelled_with_those_inside():
    reached = []

    async def child():
        async with create_task_group() as group:
            group.start_soon(sleep, 10)
            await sleep(10)
        reached.append("child")

    async with create_task_group() as group:
        group.start_soon(child)
        async with create_task_group() as inner:
            inner.start_soon(child)
            yield
            group.cancel_scope.cancel()
            await sleep(10)
        reached.append("body")
    assert not reached and group.cancel_scope.cancel_called
    yield


@anyio_promise("test_cancel_twice", "test_escaping_cancelled_exception")
async def test_one_task_can_be_cancelled_again_and_again():
    for _ in range(2):
        async with create_task_group() as group:
            group.start_soon(cancel, group.cancel_scope)
            yield
            await sleep(10)
            raise AssertionError("reached")
        yield


@anyio_promise("test_level_cancellation")
async def test_each_wait_of_a_cancelled_child_is_cancelled():
    told = []

    async def child():
        for _ in range(2):
            try:
                await checkpoint()
            except get_cancelled_exc_class():
                told.append("cancelled")
                last = sys.exc_info()[1]
        raise last

    async with create_task_group() as group:
        yield
        group.start_soon(child)
        group.cancel_scope.cancel()
    assert told == ["cancelled"] * 2


@anyio_promise("test_cancel_before_entering_task_group", "test_single_cancellation_exc")
async def test_a_group_in_a_cancelled_scope():
    with CancelScope() as scope:
        scope.cancel()
        async with create_task_group():
            pass
    yield
    reached = []
    with CancelScope() as scope:
        try:
            async with create_task_group() as group:
                group.start_soon(sleep, 10)
                yield
                scope.cancel()
                await sleep(10)
        except get_cancelled_exc_class():
            reached.append("one bare cancellation")
            raise
    assert reached == ["one bare cancellation"]


@anyio_promise("test_cancel_child_task_when_host_is_shielded")
async def test_children_are_cancelled_while_the_body_is_shielded():
    event = anyio.Event()

    async def child():
        try:
            await sleep(10)
        finally:
            event.set()

    with CancelScope() as scope:
        async with create_task_group() as group:
            group.start_soon(child)
            await sleep(SOON)
            with CancelScope(shield=True), fail_after(5):
                yield
                scope.cancel()
                await event.wait()


@anyio_promise("test_start_soon_parent_id")
async def test_the_body_is_the_parent_of_its_children():
    told = []

    async def child():
        told.append(get_current_task().parent_id)

    async with create_task_group() as group:
        yield
        group.start_soon(child)
        yield
    assert told == [get_current_task().id]


# Scopes ----------------------------------------------------------------------------------------------------------------


@anyio_promise("test_fail_after", "test_deadline_reached_on_start", "test_move_on_after", "test_cancel_scope_cleared")
async def test_deadlines():
    for delay in 0, SOON:
        with pytest.raises(TimeoutError):
            with fail_after(delay) as scope:
                yield
                await sleep(10)
        assert scope.cancel_called and scope.cancelled_caught
        with move_on_after(delay) as scope:
            yield
            await sleep(10)
            raise AssertionError("reached")
        assert scope.cancel_called and scope.cancelled_caught
        await checkpoint()
        yield


@anyio_promise("test_fail_after_no_timeout", "test_move_on_after_no_timeout")
async def test_without_a_deadline():
    for scope_of in fail_after, move_on_after:
        with scope_of(None) as scope:
            assert scope.deadline == math.inf
            yield
            await sleep(SOON / 5)
        assert not scope.cancel_called and not scope.cancelled_caught


@anyio_promise("test_fail_after_after_cancellation", "test_cancelled_not_caught")
async def test_a_deadline_after_a_cancellation():
    async with create_task_group() as group:
        yield
        group.cancel_scope.cancel()
        await sleep(10)
    with pytest.raises(TimeoutError):
        with fail_after(SOON):
            yield
            await sleep(10)
    with CancelScope() as scope:
        scope.cancel()
    assert scope.cancel_called and not scope.cancelled_caught


@anyio_promise(
    "test_fail_after_cancelled_before_deadline",
    "test_cancel_before_entering_scope",
    "test_escaping_cancelled_error_from_cancelled_task",
)
async def test_scopes_that_are_cancelled_by_hand():
    with fail_after(10) as scope:
        yield
        scope.cancel()
        await checkpoint()
    scope = CancelScope()
    scope.cancel()
    with scope:
        yield
        await sleep(10)
        raise AssertionError("reached")
    with CancelScope() as scope:
        with move_on_after(SOON):
            yield
            await sleep(10)
        scope.cancel()
    yield


@anyio_promise("test_nested_move_on_after", "test_timeout_error_with_multiple_cancellations")
async def test_nested_deadlines():
    with move_on_after(1) as outer:
        assert anyio.current_effective_deadline() == outer.deadline
        with move_on_after(2) as inner:
            assert anyio.current_effective_deadline() == outer.deadline
            outer.deadline = anyio.current_time() + SOON
            yield
            await sleep(10)
        raise AssertionError("reached")
    assert outer.cancelled_caught and not inner.cancel_called
    with pytest.raises(TimeoutError):
        with fail_after(SOON):
            async with create_task_group() as group:
                group.start_soon(sleep, 10)
                yield
                await sleep(10)
    yield


@anyio_promise("test_deadline_moved", without=[lingering_on_anyio])
async def test_a_deadline_that_is_moved():
    with fail_after(SOON) as scope:
        scope.deadline += 10
        yield
        await sleep(2 * SOON)
        yield
    with move_on_after(10) as scope:
        yield
        scope.deadline = anyio.current_time() + SOON
        await sleep(10)
        raise AssertionError("reached")


@anyio_promise("test_shielding", "test_cancel_from_shielded_scope", "test_shielded_deadline")
async def test_a_shield_lets_the_body_go_on():
    reached = []
    async with create_task_group() as group:
        group.start_soon(cancel, group.cancel_scope)
        with CancelScope(shield=True) as shield:
            yield
            while not group.cancel_scope.cancel_called:
                await sleep(SOON)
            assert anyio.current_effective_deadline() == math.inf
            assert not get_current_task().has_pending_cancellation()
            reached.append("shielded")
            yield
        assert anyio.current_effective_deadline() == -math.inf and get_current_task().has_pending_cancellation()
        for _ in range(2):
            with pytest.raises(get_cancelled_exc_class()):
                await sleep(10)
        await sleep(10)
        reached.append("after")
    assert reached == ["shielded"] and not shield.cancel_called


@anyio_promise("test_cancel_shielded_scope", "test_shielding_immediate_scope_cancelled")
async def test_a_shield_that_is_cancelled_itself():
    with CancelScope(shield=True) as scope:
        yield
        scope.cancel()
        assert anyio.current_effective_deadline() == -math.inf
        with pytest.raises(get_cancelled_exc_class()):
            await checkpoint()
    async with create_task_group() as group:
        with CancelScope(shield=True) as scope:
            group.start_soon(cancel, scope)
            yield
            await sleep(10)
            raise AssertionError("reached")


@anyio_promise("test_shielded_cleanup_after_cancel")
async def test_a_shield_in_the_cleanup():
    told = []
    with CancelScope() as outer:
        outer.cancel()
        try:
            await checkpoint()
        finally:
            with CancelScope(shield=True):
                await sleep(SOON / 5)
                assert not get_current_task().has_pending_cancellation()
                yield "in the cleanup"
                told.append("cleaned up")
            assert get_current_task().has_pending_cancellation()
    assert told == ["cleaned up"]


@anyio_promise("test_cancelled_scope_based_checkpoint", "test_uncancel_cancelled_scope_based_checkpoint")
async def test_a_cancelled_scope_in_a_cancelled_scope():
    with CancelScope() as outer:
        yield
        outer.cancel()
        with CancelScope() as inner:
            inner.cancel()
            await anyio.sleep_forever()
        raise AssertionError("reached")
    assert not inner.cancelled_caught and outer.cancelled_caught


@anyio_promise("test_cancelled_raises_beyond_origin_unshielded", "test_cancelled_raises_beyond_origin_shielded")
async def test_who_catches_a_cancellation_of_two():
    reached = []
    for shield in False, True:
        with CancelScope() as outer:
            with CancelScope(shield=shield) as inner:
                yield
                inner.cancel()
                try:
                    await checkpoint()
                finally:
                    outer.cancel()
            reached.append("between")
        assert inner.cancelled_caught is shield and outer.cancelled_caught is not shield
    assert reached == ["between"]


@anyio_promise("test_nested_fail_after", "test_nested_shield")
async def test_scopes_of_three_levels():
    async with create_task_group() as group:
        with CancelScope() as scope:
            with CancelScope():
                group.start_soon(cancel, scope)
                with fail_after(5):
                    yield
                    await sleep(10)
            raise AssertionError("reached")
    assert scope.cancelled_caught
    async with create_task_group() as group:
        with CancelScope() as scope:
            with pytest.raises(TimeoutError):
                with CancelScope(shield=True):
                    group.start_soon(cancel, scope)
                    with fail_after(3 * SOON):
                        yield
                        await sleep(10)


@anyio_promise("test_triple_nested_shield_checkpoint_in_outer", "test_triple_nested_shield_checkpoint_in_middle")
async def test_a_shield_in_two_cancelled_scopes():
    for inner_too in True, False:
        with CancelScope() as outer:
            with CancelScope() as inner:
                with CancelScope(shield=True):
                    yield
                    outer.cancel()
                    if inner_too:
                        inner.cancel()
                    await checkpoint()
                if not inner_too:
                    await checkpoint()
                    raise AssertionError("reached")
            await checkpoint()
            raise AssertionError("reached")


@anyio_promise("test_cancel_scope_in_child_task")
async def test_a_childs_scope_does_not_concern_the_body():
    scopes = []

    async def child():
        with CancelScope() as scope:
            scopes.append(scope)
            await sleep(10)

    async with create_task_group() as group:
        group.start_soon(child)
        yield
        while not scopes:
            await sleep(0)
        scopes[0].cancel()
        await sleep(SOON / 5)
        yield
    assert not group.cancel_scope.cancel_called


@anyio_promise("test_shielded_cancel_sleep_time", without=[natively_on_anyio, giving_up_on_anyio])
async def test_a_cancelled_group_with_a_shielded_child_waits_and_does_not_spin():
    async def shielded():
        with CancelScope(shield=True):
            await sleep(10 * SOON)

    before = time.thread_time()
    async with create_task_group() as group:
        group.start_soon(shielded)
        await sleep(SOON)
        yield
        group.cancel_scope.cancel()
    assert time.thread_time() - before < 10 * SOON


@anyio_promise("test_cancelscope_wrong_exit_order", native=True)  # trio's are broken then
async def test_scopes_are_left_in_order():
    outer, inner = CancelScope(), CancelScope()
    with outer:
        with inner:
            yield
            with pytest.raises(RuntimeError):
                outer.__exit__(None, None, None)


@anyio_promise("test_cancelscope_exit_in_wrong_task")
async def test_a_scope_is_left_in_the_task_that_entered_it_whoever_resumes():
    tasks = []
    with CancelScope():
        async with create_task_group():
            for _ in range(3):
                tasks.append(get_current_task().id)
                yield
    assert len(set(tasks)) == 1


@anyio_promise("test_cancel_host_asyncgen")
async def test_a_cancelled_scope_in_a_helper():
    async def helper():
        with CancelScope() as scope:
            scope.cancel()
            for _ in range(2):
                with pytest.raises(get_cancelled_exc_class()):
                    await checkpoint()

    await helper()
    yield
    await helper()


# Cancellations of asyncio's own ----------------------------------------------------------------------------------------


def cancel_task(delay=SOON):
    task = asyncio.current_task()
    asyncio.get_running_loop().call_later(delay, task.cancel)
    return task


@anyio_promise("test_propagate_native_cancellation_from_taskgroup", "test_start_native_host_cancelled", native=True)
async def test_a_native_cancellation_passes_a_group():
    for starts in False, True:
        task = cancel_task()
        with pytest.raises(asyncio.CancelledError):
            async with create_task_group() as group:
                group.start_soon(sleep, 10)
                yield
                await (group.start(sleep_instead) if starts else sleep(10))
        assert task.uncancel() == 0
        yield


@anyio_promise("test_cleanup_after_native_cancel", "test_uncancel_after_native_cancel", native=True)
async def test_a_native_cancellation_passes_a_scope():
    task = cancel_task()
    with pytest.raises(asyncio.CancelledError):
        with CancelScope():
            try:
                yield
                await sleep(10)
            finally:
                assert not get_current_task().has_pending_cancellation()
    assert task.cancelling() == 1 and task.uncancel() == 0
    yield


@anyio_promise("test_uncancel_after_scope_cancel", "test_cancel_counter_nested_scopes", native=True)
async def test_scopes_take_back_their_cancellations():
    task = asyncio.current_task()
    with CancelScope() as outer:
        with CancelScope():
            yield
            outer.cancel()
            await checkpoint()
    assert task.cancelling() == 0
    yield
    assert task.cancelling() == 0


@anyio_promise("test_uncancel_after_scope_and_native_cancel", "test_cancel_message_replaced", native=True)
async def test_a_native_cancellation_beside_a_scopes():
    task = asyncio.current_task()
    with pytest.raises(asyncio.CancelledError):
        with CancelScope() as scope:
            yield
            scope.cancel()
            task.cancel()
            await checkpoint()
    assert task.cancelling() == 1 and task.uncancel() == 0
    yield


@anyio_promise("test_uncancel_after_taskgroup_cancelled", native=True)
async def test_cancellations_of_children_are_not_counted():
    async def child(*, task_status):
        async with create_task_group() as group:
            group.start_soon(sleep, 10)
            task_status.started()

    task = asyncio.current_task()
    with pytest.raises(asyncio.CancelledError):
        async with create_task_group() as group:
            await group.start(child)
            yield
            task.cancel()
            await checkpoint()
    assert task.cancelling() == 1 and task.uncancel() == 0


@anyio_promise("test_cancel_native_future_tasks", "test_cancel_native_future_tasks_cancel_scope", native=True)
async def test_waits_for_native_futures_are_cancelled():
    async def wait():
        with CancelScope():
            await asyncio.get_running_loop().create_future()

    async with create_task_group() as group:
        group.start_soon(wait)
        yield
        group.cancel_scope.cancel()
        await asyncio.get_running_loop().create_future()


async def nothing():
    pass


async def start_at_once(*, task_status):
    task_status.started()


@anyio_promise("test_no_called_started_twice", "test_cancel_completed_task")
async def test_a_group_is_cancelled_after_a_child_has_ended_and_before_one_begins():
    async with create_task_group() as group:
        group.start_soon(nothing)
        group.start_soon(nothing)
        yield
        starting = group.start(start_at_once)
        group.cancel_scope.cancel()
        await starting
    assert group.cancel_scope.cancel_called


@anyio_promise("test_eager_task_factory", native=True)
async def test_children_of_a_group_begin_later_under_an_eager_task_factory():
    began = []

    async def child():
        with CancelScope():
            began.append(get_current_task().parent_id)

    eager = getattr(asyncio, "eager_task_factory", None)  # 3.12+
    loop = asyncio.get_running_loop()
    factory = loop.get_task_factory()
    async with create_task_group() as group:
        loop.set_task_factory(eager)
        try:
            group.start_soon(child)
        finally:
            loop.set_task_factory(factory)
        assert not began
        yield
        await checkpoint()
        assert began == [get_current_task().id]
        group.cancel_scope.cancel()


@pytest.mark.skipif(
    "reason" not in inspect.signature(CancelScope.cancel).parameters, reason="reasons are new in anyio 4.11"
)
@anyio_promise("test_cancel_reason")
async def test_the_reason_of_a_cancellation_is_told():
    with CancelScope() as scope:
        yield
        scope.cancel("what it was for")
        with pytest.raises(get_cancelled_exc_class(), match="what it was for"):
            await sleep(1)


@anyio_promise()
async def test_each_of_many_expires_whoever_holds_the_item():
    """Ours: scopes that expire while the consumer holds an item, one after the other."""
    for _ in range(4):
        with move_on_after(LINGER / 4) as scope:
            yield
            await sleep(10)
        assert scope.cancelled_caught


def test_each_upstream_test_is_here_or_there_is_a_reason():
    assert not KEPT[__name__] & NOT_HERE.keys()
    assert len(KEPT[__name__]) + len(NOT_HERE) == 104
