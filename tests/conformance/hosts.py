"""Event loops that scenarios are performed in: how each spawns and cancels a task, and what its tasks wait at."""

from __future__ import annotations

import asyncio

try:
    import trio
    import trio.testing
except ImportError:  # no wheel for this interpreter
    trio = None
try:
    import uvloop
except ImportError:
    uvloop = None
try:
    import anyio
except ImportError:
    anyio = None


class AsyncioHost:
    """Tasks, cancellation and futures of asyncio."""

    cancelled = asyncio.CancelledError

    def run(self, main) -> None:
        asyncio.run(main())

    def spawn(self, operation, coroutine) -> None:
        operation.task = asyncio.ensure_future(coroutine)

    def cancel(self, operation) -> None:
        operation.task.cancel()

    async def settle(self) -> None:
        """Until every task waits: it takes one turn of the loop to wake one, and one to run it."""
        for _ in range(3):
            await asyncio.sleep(0)

    def trap(self) -> asyncio.Future:
        return asyncio.get_running_loop().create_future()

    def report_to(self, report) -> None:
        """Calls a function with what nobody can be told."""
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: report(context["exception"]))


class TrioTrap:
    def __init__(self) -> None:
        self.event, self.value, self.error = trio.Event(), None, None

    def set_result(self, value) -> None:
        self.value = value
        self.event.set()

    def set_exception(self, error) -> None:
        self.error = error
        self.event.set()

    def __await__(self):
        yield from self.event.wait().__await__()
        if self.error is not None:
            raise self.error
        return self.value


class TrioHost:
    """The same of trio, where a cancelled scope cancels each further await, too."""

    def __init__(self) -> None:
        self.cancelled = trio.Cancelled

    def run(self, main) -> None:
        async def within() -> None:
            async with trio.open_nursery() as self.nursery:
                await main()

        trio.run(within)

    def spawn(self, operation, coroutine) -> None:
        operation.scope = trio.CancelScope()

        async def within() -> None:
            with operation.scope:
                await coroutine

        self.nursery.start_soon(within)

    def cancel(self, operation) -> None:
        operation.scope.cancel()

    async def settle(self) -> None:
        await trio.testing.wait_all_tasks_blocked()

    def trap(self) -> TrioTrap:
        return TrioTrap()

    def report_to(self, report) -> None:
        """Nothing: on trio every error has a task that it is told to."""


class UvloopHost(AsyncioHost):
    def run(self, main) -> None:
        loop = uvloop.new_event_loop()
        try:
            loop.run_until_complete(main())
            for task in (left := asyncio.all_tasks(loop)):
                task.cancel()
            loop.run_until_complete(asyncio.wait(left)) if left else None
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()


class AnyioHost:
    """Task groups and cancel scopes of anyio, on one of its backends."""

    def __init__(self, backend: str) -> None:
        self.backend = backend

    def run(self, main) -> None:
        async def within() -> None:
            self.cancelled = anyio.get_cancelled_exc_class()
            async with anyio.create_task_group() as self.group:
                await main()

        anyio.run(within, backend=self.backend)

    def spawn(self, operation, coroutine) -> None:
        operation.scope = anyio.CancelScope()

        async def within() -> None:
            with operation.scope:
                await coroutine

        self.group.start_soon(within)

    def cancel(self, operation) -> None:
        operation.scope.cancel()

    async def settle(self) -> None:
        if self.backend == "trio":
            await trio.testing.wait_all_tasks_blocked()
            return
        for _ in range(3):
            await anyio.lowlevel.checkpoint()

    def trap(self) -> object:
        return TrioTrap() if self.backend == "trio" else asyncio.get_running_loop().create_future()

    def report_to(self, report) -> None:
        if self.backend == "asyncio":
            AsyncioHost().report_to(report)


HOSTS = {"asyncio": AsyncioHost, **({"trio": TrioHost} if trio else {})}
#: The event loops that an implementation of the table is performed in.
LOOPS = {
    "isolated": {
        "asyncio": AsyncioHost,
        **({"uvloop": UvloopHost} if uvloop else {}),
        **({"anyio": lambda: AnyioHost("asyncio")} if anyio else {}),
    },
    "isolated_trio": {
        **({"trio": TrioHost} if trio else {}),
        **({"anyio": lambda: AnyioHost("trio")} if trio and anyio else {}),
    },
}
