"""Isolated generators: the body has a task of its own, whoever resumes it.

On asyncio and the loops that take its place, no task is switched for an item. The body runs in the step of the task that
asks for the item, while the generator's own task is the current one. That task is a real ``asyncio.Task``: a timeout, a
task group or a cancel scope in the body belongs to it, and cancels it. It waits until there is something that the
consumers cannot do: to bring a cancellation to a body that no consumer resumes, and to close the body.

What a body waits for, and what its consumers wait for, are two futures. So a consumer that is cancelled gives up waiting,
and nothing else.
"""

import asyncio
import contextlib
import functools
import math
import sys
import threading
import types
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import Context, copy_context
from types import AsyncGeneratorType
from typing import Any

from . import _implementation as _engine
from ._checks import seconds
from ._decoration import decorate
from ._event_loops import _in_trio_task
from ._isolated_outcome import GaveUp, Outcome, already_running, answer_ended, is_exit, is_finished, refuse_to_take
from ._operators import yield_

_MISSING: Any = object()


def _swap_by_leaving(loop: Any, task: Any) -> Any:
    before = asyncio.current_task(loop)
    if before is not None:
        asyncio._leave_task(loop, before)
    if task is not None:
        asyncio._enter_task(loop, task)
    return before


# To make a task the current one, or none; returns the one before. asyncio's way to say which task runs
# (Doc/library/asyncio-extending.rst), in one call where there is one for it.
_swap: Callable[[Any, Any], Any] = getattr(asyncio.tasks, "_swap_current_task", _swap_by_leaving)


# asyncio's call graph (3.14+) is told who waits for the task of a generator.
_add_awaiter: Callable[[Any, Any], Any] = getattr(asyncio, "future_add_to_awaited_by", lambda future, waiter: None)
_discard_awaiter: Callable[[Any, Any], Any] = getattr(
    asyncio, "future_discard_from_awaited_by", lambda future, waiter: None
)


def _current_tasks() -> Any:
    """The dict of the current task of each loop (3.10 to 3.13), if ``_swap()`` is seen to work on it; or None."""
    tasks = getattr(asyncio.tasks, "_current_tasks", None)
    if type(tasks) is not dict or sys.version_info >= (3, 14):
        return None
    loop, task = object(), object()
    before = tasks.get(loop), _swap(loop, task), tasks.get(loop), _swap(loop, None), tasks.get(loop)
    return tasks if before == (None, None, task, task, None) else None


_engine.set_task_swap(_swap, _current_tasks())


class _Mailbox:
    """What the task of a generator waits at. It leads to the generator only as long as that is referred to."""

    def __init__(self, body: "Body") -> None:
        self._body = weakref.ref(body)
        self.kept: Body | None = None  # the same, from the moment when there is work
        self.begun = False  # the task waits here, or did: cancelled before, it would end without a step
        self.wake = _Wake(self, loop=body.loop)

    def peek(self) -> "Body | None":
        return self._body()

    def body(self) -> "Body | None":
        kept, self.kept = self.kept, None
        return kept or self._body()

    def cancelled(self) -> None:
        """The task was cancelled. asyncio.run() cancels all tasks when its event loop has stopped: nothing of the body's can
        have asked for that."""
        body = self.peek()
        if body is not None and not body.loop.is_running():
            body.loop_ends = True


class _Wake(asyncio.Future[None]):
    """What wakes the task, or is cancelled with it. The engine is told at once: the task comes before the next item."""

    def __init__(self, mailbox: _Mailbox, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._mailbox = mailbox

    def cancel(self, msg: Any = None) -> bool:
        self._tell()
        self._mailbox.cancelled()
        return super().cancel(msg)

    def set_result(self, result: None) -> None:
        self._tell()
        super().set_result(result)

    def _tell(self) -> None:
        body = self._mailbox.peek()
        if body is not None:
            body.woken = True


class _Parked:
    """What the task awaits at its mailbox. Who follows the task's awaits (asyncio's call graph, 3.14+) finds the body here."""

    def __init__(self, mailbox: _Mailbox) -> None:
        self._mailbox = mailbox

    def __await__(self) -> "_Parked":
        self._wait = self._mailbox.wake.__await__()
        return self

    def __iter__(self) -> "_Parked":
        return self

    def __next__(self) -> Any:
        return next(self._wait)

    def send(self, value: Any) -> Any:
        return self._wait.send(value)

    def throw(self, *error: Any) -> Any:
        return self._wait.throw(*error)

    def close(self) -> None:
        self._wait.close()

    @property
    def cr_frame(self) -> Any:
        body = self._mailbox.peek()
        return None if body is None else getattr(body.generator, "ag_frame", None)

    @property
    def cr_await(self) -> Any:
        body = self._mailbox.peek()
        return None if body is None else getattr(body.generator, "ag_await", None)


class Body(_engine.isolated_body):
    """A generator with a task of its own. Its handle refers to it; so does its task, but only while it has work to do.

    The engine resumes it by itself as long as it yields at once, and nothing else is under way. Its attributes are those of
    the base class, and these.
    """

    def __init__(self, generator: Any) -> None:
        self.generator = generator
        self.waits_for: Any = None  # the future that the body waits for
        self.outcomes: deque[Outcome] = deque()  # of operations that no consumer has got yet
        self.reader: asyncio.Task[Any] | None = None  # the consumer's task, while it waits
        self.closers: list[asyncio.Future[None]] = []  # what those wait for that close it
        self.turning = False  # which it does not await: it has only given others a turn
        self.thrown: BaseException | None = None  # a cancellation that its next resumption raises
        self.interrupted = False  # a cancellation is on its way to the body, by what that waits for
        self.merged = False  # it was cancelled again meanwhile, which its task has not seen: that is one cancellation
        self.loop_ends = False  # its task was cancelled while the event loop did not run
        self.cancellations = 0  # then how often its task was cancelled, at the end of the body's step
        self.driven = False  # its task resumes the body, and no consumer does
        self.bound = False  # only its task ever resumes it
        self.expelled = False  # its task was cancelled, for the body to be closed where it waits
        self.announced = False  # the firstiter hook was called, and may have raised

    # The task ----------------------------------------------------------------------------------------------------------

    def begin(self, handle: Any) -> None:
        if _in_trio_task():
            raise RuntimeError(
                "on trio, an isolated generator is used in a block: `async with function() as items: async for x in items: ...`"
            )
        if not self.announced:
            self.announced = True
            if (firstiter := sys.get_asyncgen_hooks().firstiter) is not None:
                firstiter(handle)  # the event loop closes it at its shutdown
        self.begin_task(f"generator {getattr(self.generator, '__qualname__', type(self.generator).__name__)}")

    def begin_task(self, name: str) -> None:
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self.context = copy_context()
        self.mailbox = _Mailbox(self)
        self.task = _make_task(self.mailbox, self.loop, name, self.context)
        _TASKS.add(self.task)
        self.task.add_done_callback(_TASKS.discard)

    def begin_operation(self, begin: Callable[[], Any], finalizer: Callable[[Any], None] | None = None) -> Any:
        """Make the first operation of the generator inside, whose finalization hook is not the event loop's."""
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, finalizer)
        try:
            return begin()
        finally:
            sys.set_asyncgen_hooks(*hooks)

    def check_loop(self) -> None:
        if asyncio._get_running_loop() is not self.loop:
            raise RuntimeError(
                f"an isolated generator belongs to the event loop that it was first iterated on, {self.loop!r}; this is "
                "another loop, or another thread"
            )

    # Steps of the body -------------------------------------------------------------------------------------------------

    def resume(self, function: Callable[..., Any], argument: Any) -> Any:
        """Run a step of the body in its task and context, in the place of the task that runs now."""
        try:
            return self.step(function, argument)
        finally:
            if self.merged:
                self.cancellations = _cancellations(self.task)
            del argument  # an exception refers to this frame

    def advance(self) -> Outcome | None:
        """Resume the operation that is under way until it ends, or has to wait. Returns the outcome, or None."""
        error, self.thrown = self.thrown, None
        self.waits_for, self.turning = None, False
        if self.interrupted:
            self.interrupted, self.merged = False, self.mailbox.wake.cancelled()
        while True:
            try:
                if error is None:
                    answer = self.resume(self.operation.send, None)
                else:
                    answer = self.resume(self.operation.throw, error)
            except BaseException as raised:
                error = None  # it refers to this frame
                return self.end_operation(raised)
            error = self.wait_for(answer)
            if error is None:
                return None

    def wait_for(self, answer: Any) -> RuntimeError | None:
        """Let the body wait for what it has answered. Returns what to throw into it, if it cannot be waited for."""
        if answer is None:  # it only gives others a turn
            self.wait_a_turn()
        elif getattr(answer, "_asyncio_future_blocking", None):
            answer._asyncio_future_blocking = False
            self.waits_for = answer
            answer.add_done_callback(self.wake_consumer)
        else:
            return RuntimeError(f"an isolated generator got {answer!r}, which asyncio cannot wait for")
        return None

    def wait_a_turn(self) -> None:
        """Let the body wait until the event loop comes round."""
        self.turning = True
        self.waits_for = self.loop.create_future()
        self.loop.call_soon(_complete, self.waits_for)
        self.waits_for.add_done_callback(self.wake_consumer)

    def end_operation(self, raised: BaseException) -> Outcome:
        """The outcome of an operation that ended with this exception."""
        self.operation = self.waits_for = None
        if self.loop_ends and not self.driven:
            self.close_soon()
        if isinstance(raised, StopIteration):
            return Outcome(raised.value)
        self.end_with(raised)
        return Outcome(error=raised)

    def end_with(self, raised: BaseException) -> None:
        """An exception came out of the generator inside, which has ended, or has refused something."""
        if is_finished(self.generator, raised):
            self.ended = True
            self.wake_task()  # it has nothing to wait for any more

    def wake_consumer(self, _: Any = None) -> None:
        if self.consumer is not None:
            _complete(self.consumer)

    def wake_task(self) -> None:
        self.mailbox.kept = self
        _complete(self.mailbox.wake)

    # An operation ------------------------------------------------------------------------------------------------------

    async def operate(
        self, handle: Any, begin: Callable[[], Any], name: str, given: bool, timeout: float | None = None
    ) -> Any:
        """An anext, asend or athrow; or the rest of one that a consumer gave up waiting for.

        Args:
            handle: the generator that the consumer has, which is kept meanwhile.
            begin: makes the operation of the generator inside.
            name: "anext" or "athrow".
            given: whether it brings something: a value or an exception.
            timeout: after how many seconds to give up waiting, and to raise GaveUp; None: never.
        """
        while self.is_task_to_run():
            await _turn()
        rest = self.finish_operation(handle, self.begin_or_go_on(handle, begin, name, given), timeout)
        del handle, begin  # an exception refers to this frame
        return await rest

    async def rest(self, handle: Any, answer: Any) -> Any:
        """The rest of an anext or asend that the engine has begun: the body has answered, and no item."""
        self.thrown = self.wait_for(answer)
        rest = self.finish_operation(handle, None, None)
        del handle  # an exception refers to this frame
        return await rest

    async def finish_operation(self, handle: Any, outcome: Outcome | None, timeout: float | None) -> Any:
        """Resume the body, and wait for it, until the operation has an outcome. The arguments are those of ``operate()``."""
        deadline = None if timeout is None or outcome is not None else self.loop.time() + timeout
        try:
            while outcome is None:
                if self.outcomes:
                    outcome = self.outcomes.popleft()
                elif self.operation is None and not self.closing:  # it was closed
                    raise StopAsyncIteration
                elif self.is_resumable():
                    outcome = self.advance()
                else:
                    await self.wait(deadline)
            return outcome.get()
        finally:
            del handle, outcome  # an exception refers to this frame

    def begin_or_go_on(self, handle: Any, begin: Callable[[], Any], name: str, given: bool) -> Outcome | None:
        """The beginning of ``operate()``. Returns the outcome, if there is one at once."""
        if self.stepping or self.consumer is not None:
            raise self.already_running(name)
        if self.task is not None:
            self.check_loop()
        if self.closing or self.operation is not None or self.outcomes:
            refuse_to_take(name, given, self.outcomes)
            return None
        if self.ended:
            return answer_ended(name)
        if self.task is not None:
            self.operation = begin().__await__()
            if self.bound:
                self.leave_to_task()
                return None
            return self.advance()
        if given and name == "anext":
            raise TypeError("can't send non-None value to a just-started async generator")
        self.begin(handle)
        self.operation = self.begin_operation(begin, functools.partial(_dropped_inside, self.loop)).__await__()
        if sys.version_info >= (3, 12):
            return self.advance()
        # Its task has to begin before anything can cancel it.
        self.wait_a_turn()
        return None

    def already_running(self, name: str) -> RuntimeError:
        return already_running(name, self.generator, None if self.reader is None else self.reader.get_name())

    def is_task_to_run(self) -> bool:
        """Whether its task was cancelled, or woken, and has not run since: what it brings to the body comes first. One
        cancellation at a time: anyio cancels at each turn of the loop until the body has left the scope."""
        if self.task is None or self.ended or self.interrupted or self.outcomes or self.bound:
            return False
        return self.woken and not self.task.done()

    def is_resumable(self) -> bool:
        if self.operation is None or self.driven or self.bound or self.closing or self.is_task_to_run():
            return False
        return self.thrown is not None or self.waits_for is None or self.waits_for.done()

    async def wait(self, deadline: float | None) -> None:
        """Wait until there is something to do. Raises GaveUp at the deadline."""
        if self.turning and not self.bound and _is_wrapped(self.task):
            self.leave_to_task()
        self.consumer = future = self.loop.create_future()
        self.reader = reader = asyncio.current_task()
        _add_awaiter(self.task, reader)
        timer = None if deadline is None else self.loop.call_at(deadline, _expire, future)
        try:
            if await future is _MISSING:
                raise GaveUp
        except BaseException:
            if self.interrupted:
                self.wake_task()  # then it is the one to resume the body
            raise
        finally:
            self.consumer = self.reader = None
            _discard_awaiter(self.task, reader)
            if timer is not None:
                timer.cancel()
            del reader  # a cancellation refers to this frame, and the task to the cancellation

    def leave_to_task(self) -> None:
        """From now on its task alone resumes the body: that is where greenback's portal leads to."""
        self.bound = True
        self.wake_task()

    async def close(self, handle: Any) -> None:
        """Interrupt the body where it is, and wait for its end. The generator's task does it: it cannot be given up."""
        if self.stepping or self.task is not None and asyncio.current_task() is self.task:
            raise self.already_running("aclose")
        if self.task is None:  # never begun: nothing awaits
            self.ended = True
            await self.begin_operation(self.generator.aclose)
        elif self.ended and not self.closing:
            self.outcomes.clear()
        else:
            self.check_loop()
            future: asyncio.Future[None] = self.loop.create_future()
            self.closers.append(future)
            self.close_soon()
            await future

    def close_soon(self) -> None:
        if self.operation is not None and not self.closing and self.mailbox.begun:
            self.expelled = True
            self.task.cancel()
        self.closing = True
        self.wake_task()

    def dropped(self) -> None:
        """Nothing refers to the generator any more, from any thread: its task closes it."""
        if self.task is None or self.ended or self.closing:
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon_threadsafe(self.close_soon)

    # What the task does ------------------------------------------------------------------------------------------------

    async def cancelled(self, error: BaseException) -> None:
        """The task was cancelled: by a scope in the body, or at the end of the event loop."""
        if self.operation is None:
            self.operation = self.generator.athrow(error).__await__()
            await self.drive(None)
        else:
            self.interrupted = True
            if self.turning or self.waits_for is None or not self.waits_for.cancel(*error.args):
                self.thrown = error
            if self.consumer is not None and not self.bound:
                self.wake_consumer() if self.thrown is not None else None
                return  # which resumes the body
            await self.drive(None)
        self.end_with_loop()

    def end_with_loop(self) -> None:
        """Close the body if its task was cancelled, and no scope of the body has asked for it: the event loop ends."""
        if not self.ended and (self.loop_ends or _cancellations(self.task)):
            self.closing = True

    def is_merged(self) -> bool:
        """Whether what cancelled its task was told to the body already, together with the cancellation before it."""
        merged, self.merged = self.merged, False
        return merged and _cancellations(self.task) <= self.cancellations

    async def drive(self, error: BaseException | None) -> None:
        """Resume the body in its own task until the operation ends. What it waits for goes to the event loop."""
        waits_for, self.waits_for = self.waits_for, None
        error, self.thrown = error or self.thrown, None
        self.driven, self.interrupted = True, False
        driven = _Driven(self, waits_for, error)
        del error  # which will refer to this frame
        try:
            value = await driven
        except BaseException as raised:
            self.outcomes.append(self.end_operation(raised))
        else:
            self.operation = None
            self.outcomes.append(Outcome(value))
        finally:
            self.driven = False
            self.wake_consumer()

    async def interrupt(self) -> None:
        """Cancel what the body waits for, as its task was, and let it go on to its next yield or to its end.

        A GeneratorExit would close the coroutines that it awaits, which could then await nothing in their cleanup.
        """
        if self.operation is not None:  # else its task was resuming it, and has brought it the cancellation
            if not self.interrupted and (self.turning or self.waits_for is None or not self.waits_for.cancel()):
                self.thrown = asyncio.CancelledError()
            await self.drive(None)
        if self.expelled and sys.version_info >= (3, 11):
            self.task.uncancel()
        self.expelled = False

    async def finish(self) -> None:
        """Close the body, and tell those who wait for that."""
        error = None
        if self.expelled or self.operation is not None:
            await self.interrupt()
            error = self.outcomes.pop().error
            if isinstance(error, asyncio.CancelledError):
                error = None
        if not self.ended:
            self.operation = self.generator.aclose().__await__()
            await self.drive(None)
            error = self.outcomes[-1].error
            self.ended = self.ended or error is None
        if error is not None and is_exit(error):
            error = None
        self.outcomes.clear()
        self.closing = False
        self.ended = self.ended or not self.closers  # then nobody can go on with it
        closers, self.closers = self.closers, []
        for closer in closers:
            if not closer.done():
                closer.set_result(None) if error is None else closer.set_exception(error)
        if error is not None and not closers:
            self.loop.call_exception_handler(
                {
                    "message": f"an error occurred during closing of {self.generator!r}, which is isolated",
                    "exception": error,
                    "asyncgen": self.generator,
                }
            )
        self.wake_consumer()


def _dropped_inside(loop: asyncio.AbstractEventLoop, generator: Any) -> None:
    """The finalization hook of a generator inside.

    It is dropped together with its handle, which then has the task close it: in a cycle, the collector may come to either of
    them first.
    """
    if loop.is_closed():  # as without a hook
        closing = generator.aclose()
        with contextlib.suppress(StopIteration):
            closing.send(None)
            raise RuntimeError(
                f"async generator {generator.__qualname__!r} awaited during finalization: its loop is closed"
            )


@types.coroutine
def _turn() -> Generator[None, None, None]:
    """Let the event loop come round once."""
    yield


_TASKS: set[Any] = set()  # which nothing else refers to while they wait


def _complete(future: Any) -> None:
    if not future.done():
        future.set_result(None)


def _expire(future: Any) -> None:
    if not future.done():
        future.set_result(_MISSING)


def _make_task(mailbox: _Mailbox, loop: Any, name: str, context: Context) -> Any:
    coro = _own_task(mailbox)
    if sys.version_info >= (3, 12):  # it has to begin before anything can cancel it
        return asyncio.Task(coro, loop=loop, name=name, context=context, eager_start=True)
    if sys.version_info >= (3, 11):
        return asyncio.Task(coro, loop=loop, name=name, context=context)
    task = context.run(lambda: _CountedTask(coro, loop=loop, name=name))
    task.mailbox = mailbox
    return task


class _CountedTask(asyncio.Task[None]):
    """On 3.10 no task counts its cancellations: one that is running the body would miss the end of the event loop."""

    mailbox: _Mailbox

    def cancel(self, msg: Any = None) -> bool:
        self.mailbox.cancelled()
        return super().cancel(msg)


async def _own_task(mailbox: _Mailbox) -> None:
    """What the task of a generator runs. While it has nothing to do, it does not keep the generator alive."""
    mailbox.begun = True
    while True:
        error = None
        try:
            await _Parked(mailbox)
        except asyncio.CancelledError as cancelled:
            error = cancelled
        body = mailbox.body()
        if body is None or body.ended and not body.closing:
            return
        mailbox.wake = _Wake(mailbox, loop=body.loop)
        body.woken = body.bound
        if error is not None and (body.is_merged() or _is_withdrawn(body.task)):
            error = None
        if error is not None and not body.ended and not body.expelled:
            await body.cancelled(error)
        elif body.bound and body.operation is not None and not body.closing:
            await body.drive(None)
            body.end_with_loop()
        elif body.interrupted and body.consumer is None:
            await body.drive(None)
            body.end_with_loop()
        error = None
        if body.closing:
            await body.finish()
        if body.ended:
            mailbox.kept = None
            return
        del body


def _is_wrapped(task: Any) -> bool:
    """Whether somebody has put a coroutine around the task's own, as greenback's ensure_portal() does."""
    return not task.done() and getattr(task.get_coro(), "cr_code", None) is not _own_task.__code__


def _cancellations(task: Any) -> int:
    return task.cancelling() if sys.version_info >= (3, 11) else 0


def _is_withdrawn(task: Any) -> bool:
    """Whether a cancellation that has not reached the body was taken back by it, as a task group does (3.13+)."""
    return sys.version_info >= (3, 13) and not task.cancelling()


class _Driven:
    """Awaits the rest of an operation: first what the body waits for, if anything."""

    def __init__(self, body: Body, waits_for: Any, error: BaseException | None) -> None:
        self.operation = body.operation
        self.waits_for = waits_for
        self.error = error
        # The task's own context, but for 3.10, where a task always has a copy.
        self.run = _call if sys.version_info >= (3, 11) else body.context.run

    def __await__(self) -> Generator[Any, Any, Any]:
        error, self.error = self.error, None
        if error is None and self.waits_for is not None and not self.waits_for.done():
            try:
                self.waits_for._asyncio_future_blocking = True
                yield self.waits_for
            except BaseException as raised:
                error = raised
        while True:
            try:
                if error is None:
                    answer = self.run(self.operation.send, None)
                else:
                    thrown, error = [error], None  # an exception refers to this frame, which must not refer to it
                    answer = self.run(self.operation.throw, thrown.pop())
            except StopIteration as stop:
                return stop.value
            try:
                yield answer
            except BaseException as raised:
                error = raised


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    finally:
        del arguments  # an exception refers to this frame


class isolated_generator(_engine.isolated_generator, AsyncGenerator[Any, Any]):
    """An async generator whose body has a task of its own: ``@async_generator(isolated=True)``, ``isolated()``.

    It is used as any async generator. Besides, ``async with`` closes it at the end of the block.
    """

    __slots__ = ("__weakref__",)

    def __init__(self, generator: Any) -> None:
        self._body: Any = Body(generator)  # or a TrioBody

    @property
    def __class__(self) -> Any:
        return AsyncGeneratorType

    @__class__.setter
    def __class__(self, value: Any) -> None:
        raise TypeError("__class__ assignment only supported for mutable types or ModuleType subclasses")

    def _operate(self, value: Any) -> Any:
        """An anext or asend that the engine leaves to the body."""
        body = self._body
        begin = body.generator.__anext__ if value is None else functools.partial(body.generator.asend, value)
        return body.operate(self, begin, "anext", value is not None)

    def athrow(self, *exception: Any) -> Any:
        if not exception:
            raise TypeError("athrow expected at least 1 argument, got 0")
        body = self._body
        return body.operate(self, functools.partial(body.generator.athrow, *exception), "athrow", True)

    def aclose(self) -> Any:
        return self._body.close(self)

    async def anext(self, *, timeout: float | None = None, default: Any = _MISSING) -> Any:
        """Wait for the next item, but not for ever.

        What is given up is the wait, and nothing else: the next operation goes on waiting for the same item. What the body
        awaits goes on meanwhile; on asyncio the body takes its next step in the next operation.

        Args:
            timeout: after how many seconds to give up waiting; None, or infinity: never.
            default: what to return then.

        Returns:
            The item, or ``default``.

        Raises:
            TimeoutError: after ``timeout`` seconds, if there is no ``default``; or the body's own.
            StopAsyncIteration: at the end, as ``__anext__()``.
            TypeError: if ``timeout`` is no real number.
            ValueError: if it is nan, or too large for a float.
        """
        body = self._body
        if timeout is not None and seconds(timeout, "anext(): timeout") == math.inf:
            timeout = None
        try:
            return await body.operate(self, body.generator.__anext__, "anext", False, timeout)
        except GaveUp:
            if default is _MISSING:
                raise TimeoutError(f"no item within {timeout} s") from None
            return default

    @property
    def ag_running(self) -> bool:
        body = self._body
        return body.stepping or body.consumer is not None or body.closing and not body.ended

    async def __aenter__(self) -> "isolated_generator":
        if _in_trio_task():
            from ._isolated_trio import TrioBody

            self._body = TrioBody(self._body.generator)
            await self._body.enter()
        return self

    async def __aexit__(self, *exception: Any) -> None:
        leave = getattr(self._body, "leave", self._body.close)
        await leave(self)

    def __del__(self) -> None:
        if self._body is not None:  # it was never made
            self._body.dropped()

    def __repr__(self) -> str:
        return f"<isolated {self._body.generator!r}>"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body.generator, name)


@functools.partial(decorate, parts=_engine.OWN_HOOKS | _engine.ISOLATED)
async def _hold(manager: Any) -> Any:
    async with manager as value:
        await yield_(value)


class isolated_manager:
    """An async context manager that enters and leaves another one in a task of its own."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self._generator: Any = _hold(manager)

    async def __aenter__(self) -> Any:
        await self._generator.__aenter__()
        try:
            return await self._generator.__anext__()
        except BaseException:
            await self._generator.__aexit__()
            raise

    async def __aexit__(self, typ: Any, value: BaseException | None, traceback: Any) -> bool:
        try:
            return await self._leave(value)
        finally:
            await self._generator.__aexit__()

    async def _leave(self, value: BaseException | None) -> bool:
        generator = self._generator
        if value is not None and type(value).__module__.startswith("trio") and type(value).__name__ == "Cancelled":
            return False  # which belongs to the scopes of this task; the other one closes the manager
        try:
            await (generator.__anext__() if value is None else generator.athrow(value))
        except StopAsyncIteration as stop:
            return value is not None and stop is not value
        except BaseException as raised:
            if raised is value:
                return False
            raise
        raise RuntimeError("the body of an isolated context manager has yielded twice")

    def __repr__(self) -> str:
        return f"<isolated {self._manager!r}>"
