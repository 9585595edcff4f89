"""``from_thread``: an iterable that blocks, iterated in a thread of its own; one wake of the event loop for many items."""

import contextlib
import threading
from collections import deque
from collections.abc import Iterable
from contextvars import copy_context
from typing import Any

from .._checks import seconds
from ._sources import Bell, generator, loop_kind, wait_patiently


def from_thread(iterable: Iterable[Any], batch: int = 64, *, within: float = 0.001) -> Any:
    """The items of an iterable that blocks. A thread of its own iterates it.

    The event loop is woken once for a batch of items, not for each. The thread is never more than two batches ahead.
    Closing stops it after the item that it is about to produce, and waits for its end. It runs in a copy of the context of
    the first operation.

    Args:
        iterable: an iterable. If its iterator has ``close()``, the thread calls that at the end.
        batch: after how many items the event loop is woken.
        within: the event loop takes fewer items when so many seconds are over; if there are none by then, the first that
            comes.

    Returns:
        An async generator.

    Raises:
        TypeError: at once, if ``iterable`` is none, or ``within`` no number.
        ValueError: at once, if ``batch`` is less than 1, or ``within`` is nan.
        BaseException: what the iterable raises, after the items that came before.
    """
    if batch < 1:
        raise ValueError(f"from_thread() with batches of {batch} items: at least 1 is needed")
    if not hasattr(type(iterable), "__iter__"):
        raise TypeError(f"from_thread() takes an iterable, not {type(iterable).__name__}")
    return _from_thread(_Producer(iterable, batch, seconds(within, "from_thread(): within")))


class _Producer:
    """The thread, and the items that it has brought."""

    bell: Bell

    def __init__(self, iterable: Iterable[Any], batch: int, within: float) -> None:
        self.iterable = iterable
        self.batch = batch
        self.within = within
        self.items: deque[Any] = deque()
        self.lock = threading.Condition()
        self.wanted = 0  # the consumer sleeps until there are so many; 0: it is awake
        self.blocked = False  # the thread sleeps until there is room
        self.closed = False
        self.over = False
        self.finished = False
        self.error: BaseException | None = None

    def begin(self) -> None:
        self.bell = loop_kind().Bell()
        context = copy_context()
        name = f"from_thread({getattr(self.iterable, '__qualname__', type(self.iterable).__name__)})"
        self.thread = threading.Thread(target=context.run, args=(self.run,), name=name, daemon=True)
        self.thread.start()

    # In the thread -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        try:
            self.produce()
        except BaseException as error:
            self.error = error
        finally:
            self.over = self.finished = True
            self.wake()

    def produce(self) -> None:
        items, most = self.items, 2 * self.batch
        iterator = iter(self.iterable)
        try:
            for item in iterator:
                items.append(item)
                there = len(items)
                if 0 < self.wanted <= there:
                    self.wake()
                if there >= most:
                    self.wait_for_room(most)
                if self.closed:
                    return
        finally:
            if (close := getattr(iterator, "close", None)) is not None:
                close()

    def wait_for_room(self, most: int) -> None:
        with self.lock:
            self.blocked = True
            while len(self.items) >= most and not self.closed:
                self.lock.wait()
            self.blocked = False

    def wake(self) -> None:
        self.wanted = 0
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self.bell.ring_from_thread()

    # In the event loop -------------------------------------------------------------------------------------------------

    def make_room(self) -> None:
        if self.blocked:
            with self.lock:
                self.lock.notify()

    async def wait(self) -> None:
        """Wait for a batch, but not longer than `within`; then for the first item, however long it takes."""
        deadline = self.bell.time() + self.within
        while self.batch > 1 and not self.has(self.batch) and self.bell.time() < deadline:
            await wait_patiently(self.bell, deadline)
        self.make_room()
        while not self.items and not self.has(1):
            await wait_patiently(self.bell)
        self.wanted = 0

    def has(self, wanted: int) -> bool:
        """Whether there are so many items. If not, the thread rings the bell as soon as there are."""
        with self.lock:
            self.wanted = wanted
        return self.over or len(self.items) >= wanted

    def close_soon(self) -> None:
        self.closed = True
        with self.lock:
            self.lock.notify()

    async def close(self) -> None:
        self.close_soon()
        cancelled = await self.bell.wait_shielded(lambda: self.finished, [])
        self.thread.join()
        if cancelled is not None:
            raise cancelled


@generator
async def _from_thread(producer: _Producer) -> Any:
    producer.begin()
    items, batch = producer.items, producer.batch
    try:
        while items or not producer.over:
            await producer.wait()
            for _ in range(min(len(items), batch)):
                yield items.popleft()
            producer.make_room()
    finally:
        if producer.bell.dismantled:
            producer.close_soon()
        else:
            await producer.close()
        error, producer.error = producer.error, None
        if error is not None:
            raise error
