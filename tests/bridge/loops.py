"""The event loops that the bridge is tested on, as one interface."""

import asyncio
import gc
import importlib
import os
import sys

import pytest


class Loop:
    """`run` runs a coroutine function, `sleep` sleeps, `cancel_after` runs one and cancels it."""

    name = "asyncio"

    def run(self, function, *arguments):
        if sys.version_info >= (3, 11):
            with asyncio.Runner(loop_factory=self.new_loop) as runner:
                return runner.run(function(*arguments))
        loop = self.new_loop()
        try:
            return loop.run_until_complete(function(*arguments))
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    new_loop = staticmethod(asyncio.new_event_loop)
    sleep = staticmethod(asyncio.sleep)
    cancelled = asyncio.CancelledError

    @staticmethod
    async def together(*functions):
        """Runs coroutine functions at the same time, until all are done."""
        await asyncio.gather(*(function() for function in functions))

    @staticmethod
    async def cancel_after(seconds, function):
        """Runs `function()` and cancels it after a while; true if it was cancelled."""
        task = asyncio.ensure_future(function())
        await asyncio.sleep(seconds)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return True
        return False


class Uvloop(Loop):
    name = "uvloop"

    def __init__(self):
        self.new_loop = importlib.import_module("uvloop").new_event_loop


class Trio:
    name = "trio"

    def __init__(self):
        self.trio = importlib.import_module("trio")
        self.cancelled = self.trio.Cancelled
        self.sleep = self.trio.sleep

    def run(self, function, *arguments):
        return self.trio.run(function, *arguments)

    async def together(self, *functions):
        async with self.trio.open_nursery() as nursery:
            for function in functions:
                nursery.start_soon(function)

    async def cancel_after(self, seconds, function):
        with self.trio.move_on_after(seconds) as scope:
            await function()
        return scope.cancelled_caught


class Curio:
    name = "curio"

    def __init__(self):
        self.curio = importlib.import_module("curio")
        self.cancelled = self.curio.CancelledError
        self.sleep = self.curio.sleep

    def run(self, function, *arguments):
        return self.curio.run(function, *arguments)

    async def together(self, *functions):
        async with self.curio.TaskGroup() as group:
            for function in functions:
                await group.spawn(function)

    async def cancel_after(self, seconds, function):
        task = await self.curio.spawn(function)
        await self.curio.sleep(seconds)
        await task.cancel()
        return task.cancelled


def make(kind):
    """A loop of a kind; the test is skipped where its package is not."""
    try:
        return kind()
    except ImportError as missing:
        pytest.skip(str(missing))
    except AttributeError as broken:  # curio 1.6 does not import on 3.12 and newer
        pytest.skip(f"{kind.name} does not import here: {broken}")


three_loops = pytest.mark.parametrize("kind", [Loop, Uvloop, Trio], ids=lambda kind: kind.name)
every_loop = pytest.mark.parametrize("kind", [Loop, Uvloop, Trio, Curio], ids=lambda kind: kind.name)


def open_descriptors():
    """How many file descriptors the process has, those of garbage not counted."""
    gc.collect()
    return len(os.listdir("/dev/fd"))
