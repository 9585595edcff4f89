"""asyncio's timeouts, held by isolated generators that yield inside: what CPython's own test_timeouts.py makes sure of.

NOT_HERE says of the upstream tests that have no counterpart, why.
"""

import asyncio
import re
import sys
import time

import pytest

if sys.version_info < (3, 11):
    pytest.skip("asyncio.timeout() is new in 3.11", allow_module_level=True)

from isolating import KEPT, LINGER, SOON, closing_at_each_yield, giving_up, lingering, natively, promise, with_patience

# Debian 12's 3.11.2 has the first form of asyncio.timeout(): no cause, no check of its state, no account of earlier cancellations.
mended = pytest.mark.skipif(
    sys.version_info < (3, 11, 7), reason="asyncio.timeout() of 3.11.2 does not keep this itself"
)

NOT_HERE = {
    "test_timeout_without_task": "a body always has a task",
}


@promise("test_timeout_basic", "test_timeout_at_basic")
async def test_it_expires_at_its_time():
    deadline = asyncio.get_running_loop().time() + SOON
    with pytest.raises(TimeoutError):
        async with asyncio.timeout_at(deadline) as timeout:
            yield
            await asyncio.sleep(10)
    assert timeout.expired() and timeout.when() == deadline
    yield


@promise("test_timeout_basic", "test_timeout_expired", "test_repr_expired")
async def test_an_expired_one_says_so():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON) as timeout:
            yield
            await asyncio.sleep(10)
    yield
    assert timeout.expired() and repr(timeout) == "<Timeout [expired]>"
    with pytest.raises(RuntimeError, match="expired"):
        timeout.reschedule(1)


@promise("test_nested_timeouts")
async def test_of_two_with_one_deadline_the_outer_one_raises():
    inside = None
    deadline = asyncio.get_running_loop().time() + SOON
    with pytest.raises(TimeoutError):
        async with asyncio.timeout_at(deadline) as outer:
            yield "outer"
            try:
                async with asyncio.timeout_at(deadline) as inner:
                    yield "inner"
                    await asyncio.sleep(10)
            except BaseException as error:
                inside = type(error)
                raise
    # uvloop rounds what is left of a deadline to milliseconds: the inner timer may be the first.
    rounds = type(asyncio.get_running_loop()).__module__ == "uvloop"
    assert outer.expired() or (rounds and inner.expired())
    # A consumer that lingers at the first yield keeps the body from entering the inner one.
    assert inside in (None, asyncio.CancelledError) if outer.expired() else inside is TimeoutError
    assert inside is None or inner.expired()
    yield


@promise("test_waiter_cancelled")
async def test_what_the_body_waits_for_is_cancelled():
    seen = []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON):
            try:
                yield
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                seen.append(asyncio.current_task())
                raise
    assert seen == [asyncio.current_task()] and asyncio.current_task().cancelling() == 0
    yield


@promise("test_timeout_not_called", "test_repr_active", "test_repr_finished", "test_timeout_finished")
async def test_one_that_does_not_expire_changes_nothing():
    async with asyncio.timeout(10) as timeout:
        assert re.fullmatch(r"<Timeout \[active\] when=\d+\.\d*>", repr(timeout))
        yield
        await asyncio.sleep(SOON / 5)
        yield
    assert not timeout.expired() and timeout.when() > asyncio.get_running_loop().time()
    assert repr(timeout) == "<Timeout [finished]>"
    with pytest.raises(RuntimeError, match="finished"):
        timeout.reschedule(1)


@promise("test_timeout_disabled", "test_timeout_at_disabled", "test_repr_disabled")
async def test_without_a_deadline():
    for make in asyncio.timeout, asyncio.timeout_at:
        async with make(None) as timeout:
            assert repr(timeout) == "<Timeout [active] when=None>"
            yield
            await asyncio.sleep(SOON / 5)
        assert not timeout.expired() and timeout.when() is None


@promise("test_timeout_zero", "test_timeout_zero_sleep_zero", "test_timeout_in_the_past_sleep_zero")
async def test_a_deadline_that_is_over_is_met_at_the_first_wait():
    for delay in 0, -11:
        for wait in 0, 10:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(delay) as timeout:
                    yield
                    await asyncio.sleep(wait)
            assert timeout.expired()
            yield


@promise("test_foreign_exception_passed")
async def test_an_exception_of_the_body_passes():
    with pytest.raises(KeyError):
        async with asyncio.timeout(10) as timeout:
            yield
            raise KeyError
    assert not timeout.expired()
    yield


@mended
@promise("test_timeout_exception_context")
async def test_the_timeout_error_is_raised_from_the_cancellation():
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(SOON):
            try:
                raise ZeroDivisionError
            finally:
                yield
                await asyncio.sleep(10)
    cancellation = caught.value.__cause__
    assert isinstance(cancellation, asyncio.CancelledError) and caught.value.__context__ is cancellation
    assert cancellation.__cause__ is None and isinstance(cancellation.__context__, ZeroDivisionError)


@promise("test_foreign_exception_on_timeout", without=[natively] if sys.version_info < (3, 13) else ())
async def test_an_error_of_the_cleanup_has_the_timeout_as_its_context():
    with pytest.raises(ZeroDivisionError) as caught:
        async with asyncio.timeout(SOON):
            try:
                yield
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                raise ZeroDivisionError from None
    assert caught.value.__cause__ is None
    if sys.version_info >= (3, 13):
        timeout = caught.value.__context__
        while not isinstance(timeout, TimeoutError):
            timeout = timeout.__context__
        assert isinstance(timeout.__cause__, asyncio.CancelledError) and timeout.__context__ is timeout.__cause__


@promise("test_foreign_exception_on_timeout_2")
async def test_a_chain_of_contexts_stays_in_order():
    with pytest.raises(ZeroDivisionError) as caught:
        async with asyncio.timeout(SOON):
            try:
                try:
                    raise ValueError
                finally:
                    yield
                    await asyncio.sleep(10)
            except asyncio.CancelledError:
                try:
                    raise KeyError
                finally:
                    raise ZeroDivisionError
    chain = []
    error = caught.value
    while error is not None:
        chain.append(type(error))
        error = error.__context__
    expected = [ZeroDivisionError, KeyError, TimeoutError, asyncio.CancelledError, ValueError]
    if sys.version_info < (3, 13):  # before, a TimeoutError was made only of a CancelledError that came out of the body
        expected.remove(TimeoutError)
    assert chain == expected


@promise("test_foreign_cancel_doesnt_timeout_if_not_expired")
async def test_a_cancellation_from_elsewhere_is_no_timeout():
    task = asyncio.current_task()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(10) as timeout:
            yield
            task.cancel()
            await asyncio.sleep(10)
    assert not timeout.expired()
    assert task.uncancel() == 0
    yield


@promise("test_outer_task_is_not_cancelled")
async def test_its_task_is_not_cancelled_in_the_end():
    tasks = []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON):
            tasks.append(asyncio.current_task())
            yield
            await asyncio.sleep(10)
    assert not tasks[0].cancelled() and tasks[0].cancelling() == 0 and not tasks[0].done()


@promise("test_nested_timeouts_concurrent", without=[lingering])
async def test_two_that_expire_while_the_loop_is_busy():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON / 5) as outer:
            async with asyncio.timeout(SOON / 2):
                yield
                time.sleep(SOON)
                await asyncio.sleep(10)
    assert outer.expired()


@promise("test_nested_timeouts_loop_busy", without=[lingering, giving_up, with_patience])
async def test_the_outer_one_expires_after_the_inner_one_was_handled():
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(10 * SOON) as outer:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(SOON) as inner:
                    yield
                    time.sleep(10 * SOON)
                    await asyncio.sleep(10)
            yield
            await asyncio.sleep(10)
    assert inner.expired() and outer.expired() and time.monotonic() - begun < 5


@promise("test_reschedule")
async def test_its_deadline_can_be_moved():
    task = asyncio.current_task()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(SOON) as timeout:
            timeout.reschedule(timeout.when() + 100)
            yield
            assert timeout.when() > asyncio.get_running_loop().time() + 50
            timeout.reschedule(None)
            assert timeout.when() is None
            yield
            await asyncio.sleep(2 * SOON)
            yield
            task.cancel()
            await asyncio.sleep(10)
    assert not timeout.expired() and task.uncancel() == 0


@promise("test_reschedule")
async def test_its_deadline_can_be_moved_nearer_across_a_yield():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(100) as timeout:
            yield
            timeout.reschedule(asyncio.get_running_loop().time() + SOON)
            yield
            await asyncio.sleep(10)
    assert timeout.expired()


@mended
@promise("test_nested_timeout_in_finally")
async def test_a_second_timeout_in_the_cleanup_of_the_first():
    with pytest.raises(TimeoutError) as outer:
        async with asyncio.timeout(SOON):
            try:
                yield
                await asyncio.sleep(10)
            finally:
                if not isinstance(sys.exc_info()[1], GeneratorExit):
                    with pytest.raises(TimeoutError) as inner:
                        async with asyncio.timeout(SOON):
                            yield
                            await asyncio.sleep(10)
    first = outer.value.__cause__
    assert isinstance(first, asyncio.CancelledError) and first.__cause__ is first.__context__ is None
    assert outer.value.__context__ is first
    second = inner.value.__cause__
    assert isinstance(second, asyncio.CancelledError) and second.__cause__ is None
    assert second.__context__ is first and inner.value.__context__ is second


@mended
@promise("test_timeout_after_cancellation")
async def test_a_timeout_after_a_cancellation_that_was_swallowed():
    task = asyncio.current_task()
    with pytest.raises(asyncio.CancelledError):
        task.cancel()
        await asyncio.sleep(10)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.sleep(10)
    task.uncancel()
    yield


@promise("test_cancel_in_timeout_after_cancellation")
async def test_a_second_cancellation_in_a_timeout_is_no_timeout():
    task = asyncio.current_task()
    with pytest.raises(asyncio.CancelledError):
        task.cancel()
        await asyncio.sleep(10)
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(10):
            task.cancel()
            await asyncio.sleep(10)
    assert task.uncancel() == 1 and task.uncancel() == 0
    yield


@mended
@promise("test_timeout_already_entered", "test_timeout_double_enter")
async def test_it_is_entered_once():
    async with asyncio.timeout(10) as timeout:
        yield
        with pytest.raises(RuntimeError, match="has already been entered"):
            await timeout.__aenter__()
    yield
    with pytest.raises(RuntimeError, match="has already been entered"):
        await timeout.__aenter__()


@promise("test_timeout_expiring")
async def test_one_that_is_expiring_cannot_be_moved():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON) as timeout:
            with pytest.raises(asyncio.CancelledError):
                yield
                await asyncio.sleep(10)
            with pytest.raises(RuntimeError, match="expiring"):
                timeout.reschedule(1)
            raise asyncio.CancelledError


@mended
@promise("test_timeout_not_entered")
async def test_one_that_is_not_entered_cannot_be_moved():
    timeout = asyncio.timeout(1)
    yield
    with pytest.raises(RuntimeError, match="has not been entered"):
        timeout.reschedule(1)


@promise("test_timeout_taskgroup")
async def test_around_a_task_group():
    async def child():
        try:
            await asyncio.sleep(10)
        finally:
            raise ZeroDivisionError

    closed = False
    with pytest.raises((BaseExceptionGroup, TimeoutError)) as caught:  # noqa: F821
        async with asyncio.timeout(None) as timeout:
            async with asyncio.TaskGroup() as group:
                group.create_task(child())
                await asyncio.sleep(0)
                timeout.reschedule(asyncio.get_running_loop().time() + SOON)
                try:
                    raise ValueError
                finally:
                    try:
                        yield
                        await asyncio.sleep(10)
                    except GeneratorExit:
                        closed = True
                        raise
    group = caught.value
    if closed:  # by whoever closed the generator: the child's error comes out with it
        return
    assert group.__cause__ is None and [type(one) for one in group.exceptions] == [ZeroDivisionError]
    cancellation = group.__context__
    if sys.version_info >= (3, 13):
        assert isinstance(cancellation, TimeoutError)
        cancellation = cancellation.__cause__
    assert isinstance(cancellation, asyncio.CancelledError) and isinstance(cancellation.__context__, ValueError)
    (error,) = group.exceptions
    of_child = error.__context__
    if sys.version_info >= (3, 13):
        assert isinstance(of_child, TimeoutError)
        of_child = of_child.__cause__
    assert (
        isinstance(of_child, asyncio.CancelledError) and of_child.__context__ is None and of_child is not cancellation
    )


@promise(without=[natively, giving_up, with_patience, closing_at_each_yield])
async def test_each_of_many_expires_whoever_holds_the_item():
    """Ours: no upstream test enters a second timeout in a task whose first one expired at a yield."""
    for number in range(5):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(LINGER / 4) as timeout:
                yield number
                await asyncio.sleep(10)
        assert timeout.expired() and asyncio.current_task().cancelling() == 0


def test_each_upstream_test_is_here_or_there_is_a_reason():
    assert not KEPT[__name__] & NOT_HERE.keys()
    assert len(KEPT[__name__]) + len(NOT_HERE) == 34
