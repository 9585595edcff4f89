"""What anyio promises of locks and threads, kept in isolated bodies that hold them across a yield.

A lock and a limiter belong to the task that has taken them: in a native generator, to whoever asked for the item. The names are
those of anyio's test_synchronization.py, test_to_thread.py and test_from_thread.py.
"""

import contextvars
import sys
import threading
import time

import pytest

try:
    import anyio
except ImportError:
    pytest.skip("anyio is not installed", allow_module_level=True)
if sys.version_info < (3, 11):
    pytest.skip("exception groups are new in 3.11", allow_module_level=True)

from anyio import CancelScope, create_task_group, from_thread, get_cancelled_exc_class, move_on_after, to_thread
from isolating import SOON, anyio_promise

VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")


# Locks -------------------------------------------------------------------------------------------------------------------


@anyio_promise("test_contextmanager", "test_acquire_twice_sync", "test_statistics")
async def test_a_lock_is_the_bodys():
    lock = anyio.Lock()
    async with lock:
        assert lock.statistics().owner.id == anyio.get_current_task().id
        yield
        with pytest.raises(RuntimeError):  # it has it already
            await lock.acquire()
        yield
        assert lock.statistics().owner.id == anyio.get_current_task().id
    assert not lock.locked()


@anyio_promise("test_manual_acquire", "test_cancel", "test_ping_pong")
async def test_children_wait_for_the_bodys_lock():
    lock, order = anyio.Lock(), []

    async def child(name):
        async with lock:
            order.append(name)

    async with create_task_group() as group:
        async with lock:
            group.start_soon(child, "one")
            yield
            while not lock.statistics().tasks_waiting:
                await anyio.lowlevel.checkpoint()
            order.append("body")
            yield
        async with lock:  # it stands behind the child
            order.append("body again")
        yield
    assert order == ["body", "one", "body again"]


@anyio_promise("test_acquire_release", "test_wait_cancel")
async def test_a_condition_is_the_bodys_again_after_a_wait():
    condition, given = anyio.Condition(), []

    async def give():
        async with condition:
            given.append(1)
            condition.notify_all()

    async with create_task_group() as group, condition:
        yield
        group.start_soon(give)
        while not given:
            await condition.wait()
        yield
        with move_on_after(SOON) as scope:
            await condition.wait()
        assert scope.cancelled_caught
        assert condition.statistics().lock_statistics.owner.id == anyio.get_current_task().id


@anyio_promise("test_borrow", "test_acquire_twice", "test_limiter_acquire_release")
async def test_a_limiter_knows_the_body_as_its_borrower():
    limiter = anyio.CapacityLimiter(1)
    async with limiter:
        yield
        with pytest.raises(RuntimeError):
            await limiter.acquire()
        assert limiter.borrowed_tokens == 1
        with move_on_after(SOON) as scope:
            yield
            async with create_task_group() as group:
                group.start_soon(limiter.acquire)
        assert scope.cancelled_caught
    assert limiter.borrowed_tokens == 0


# Threads -----------------------------------------------------------------------------------------------------------------


@anyio_promise("test_run_in_thread_cancelled", "test_cancel_worker_thread", "test_contextvar_propagation")
async def test_a_thread_under_a_scope_of_the_bodys():
    VARIABLE.set("body's")
    event = threading.Event()
    try:
        with CancelScope() as scope:
            yield
            assert await to_thread.run_sync(VARIABLE.get) == "body's"
            scope.cancel()
            with pytest.raises(get_cancelled_exc_class()):
                await to_thread.run_sync(event.wait, 5, abandon_on_cancel=True)
            yield
            with CancelScope(shield=True):
                assert await to_thread.run_sync(VARIABLE.get) == "body's"
    finally:
        event.set()


@anyio_promise("test_cancel_wait_on_thread", "test_from_thread_check_cancelled")
async def test_a_thread_asks_whether_the_bodys_scope_is_cancelled():
    told = []

    def work():
        try:
            for _ in range(1000):
                time.sleep(SOON / 5)
                from_thread.check_cancelled()
        except BaseException as error:
            told.append(type(error))
            raise

    with move_on_after(SOON) as scope:
        yield
        await to_thread.run_sync(work)
    assert scope.cancelled_caught
    assert not told or told == [get_cancelled_exc_class()]


@anyio_promise("test_run_async_from_thread", "test_run_sync_from_thread_pooled")
async def test_a_thread_calls_the_body_loop_back():
    async def in_the_loop():
        await anyio.lowlevel.checkpoint()
        return threading.get_ident(), VARIABLE.get()

    def work():
        return from_thread.run(in_the_loop), from_thread.run_sync(threading.get_ident)

    VARIABLE.set("body's")
    for _ in range(2):
        with CancelScope():
            yield
            ident = threading.get_ident()
            assert await to_thread.run_sync(work) == ((ident, "body's"), ident)


@anyio_promise("test_start_with_value", "test_blocking_portal_stop")
async def test_a_portal_is_open_across_yields():
    async def add(a, b):
        await anyio.lowlevel.checkpoint()
        return a + b

    async with from_thread.BlockingPortal() as portal:
        yield
        assert await to_thread.run_sync(lambda: portal.call(add, 1, 2)) == 3
        yield
        with CancelScope():
            future = await to_thread.run_sync(portal.start_task_soon, add, 3, 4)
            yield
            assert await to_thread.run_sync(future.result, 5) == 7
