"""Performs a scenario in an event loop, for implementations that need one: each operation is a task of its own.

What the body awaits is a future of the loop. An operation that waits for another reason answers "waits". On trio, the block of
a generator is entered when it is made, by a task that leaves it when the generator is dropped.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import types
from collections.abc import Iterator

import forms
import hosts
import runner
from table import Op, Scenario

TURNS = (
    4 if sys.version_info >= (3, 12) else 10
)  # how often everything has to stand still until the generator's own task has brought what it brings


class Underway:
    """A task that awaits an operation, or is in a generator's block; the host keeps in it what cancels it."""

    def __init__(self) -> None:
        self.done = False


@types.coroutine
def driven(awaitable, how: str, argument: object) -> Iterator[object]:
    """Awaits an awaitable whose first step is a send() or throw() of something."""
    iterator = awaitable.__await__()
    while True:
        try:
            answer = getattr(iterator, how)(argument)
        except StopIteration as stop:
            return stop.value
        finally:
            del argument  # an exception refers to this frame
        try:
            how, argument = "send", (yield answer)
        except BaseException as error:
            how, argument = "throw", error


def let_go(trap, answer: tuple[str, object]) -> None:
    """Answers what waits at a trap, if a body that was closed meanwhile has not cancelled that."""
    if not (isinstance(trap, asyncio.Future) and trap.cancelled()):
        trap.set_result(answer)


class LoopRun(runner.Run):
    """One scenario on one implementation, in one event loop."""

    def __init__(self, scenario: Scenario, form: str, host) -> None:
        self.host, self.on_trio = host, form == "isolated_trio"
        self.underway: dict[str, Underway] = {}  # the operations that were started, by their names
        self.traps: dict[str, object] = {}  # what they wait at
        self.made_traps: list[object] = []
        self.releases: dict[str, object] = {}
        super().__init__(scenario, self.kinds(scenario, form))
        self.space["loop"] = self.functions["loop"] = self.await_trap

    @staticmethod
    def kinds(scenario: Scenario, form: str) -> str | dict[str, str]:
        """On trio, the generators that the consumer has are isolated. Others have nobody who enters their block."""
        if form != "isolated_trio":
            return form
        mine = {"root", *(step.op.operation for step in scenario.steps if step.op.verb == "new")}
        bodies = forms.kinds_of(scenario.body, "coroutine")
        return {name: "isolated" if name in mine else kind for name, kind in bodies.items()}

    # --- what bodies await ---

    @types.coroutine
    def await_trap(self, value: object = None):
        if self.over:
            return None
        trap = self.host.trap()
        self.made_traps.append(trap)
        self.say(f"awaits {self.shown(value)}")
        how, result = yield from trap.__await__()
        if how == "throw":
            raise result
        return result

    # --- what is done ---

    async def perform_in_loop(self) -> list[list[str]]:
        self.host.report_to(lambda error: self.say(f"reports {self.error(error)}"))
        with self.reports():
            await self.enter("root")
            for step in self.scenario.steps:
                await self.do_in_loop(step.op)
            await self.end_in_loop()
        return self.answers

    async def do_in_loop(self, op: Op) -> None:
        self.answers.append([])
        going_on = getattr(self, "drop" if op.verb == "del" else op.verb)(op)
        if going_on is not None:
            await going_on

    async def settle(self) -> None:
        for _ in range(TURNS):
            await self.host.settle()

    async def step(self, name: str, how: str, argument: object) -> None:
        task = self.underway.get(name)
        if name in self.operations and (task is None or task.done):
            task = self.underway[name] = Underway()
            self.host.spawn(task, self.await_operation(task, name, how, argument))
        elif name in self.traps:  # also where nobody waits for the operation any more
            let_go(self.traps.pop(name), (how, argument))
        del argument
        await self.settle()
        if self.made_traps:
            self.traps[name] = self.made_traps.pop()
        elif task is not None and not task.done and name not in self.traps:
            self.say("waits")
        if task is not None and task.done:
            self.forget(name)

    async def await_operation(self, task: Underway, name: str, how: str, argument: object) -> None:
        given, argument = [argument], None
        closes = self.verbs[name] == "aclose"
        try:
            value = await driven(self.operations[name], how, given.pop())
        except self.host.cancelled:
            self.say("cancelled")
            raise
        except BaseException as error:
            self.tell_end(error, closes)
        else:
            self.tell_end(StopIteration(value), closes)
        finally:
            task.done = True

    async def cancel(self, op: Op) -> None:
        self.host.cancel(self.underway[op.target])
        await self.settle()
        self.forget(op.target)

    def forget(self, name: str) -> None:
        """An operation without a name has ended: it would keep its generator alive."""
        if name == "it":
            del self.operations[name], self.underway[name]

    async def drop(self, op: Op) -> None:
        release = self.releases.pop(op.target, None)
        super().drop(op)
        if release is not None:
            release.set_result(None)
        for _ in range(2):  # what it drops at its end may be in a cycle, too
            gc.collect(1)
            await self.settle()

    def new(self, op: Op):
        super().new(op)
        return self.enter(op.target)

    async def enter(self, name: str) -> None:
        """On trio, a task enters the generator's block."""
        if not self.on_trio:
            return
        self.releases[name] = release = self.host.trap()
        self.host.spawn(Underway(), self.hold(self.space[name], release))
        await self.settle()

    async def hold(self, generator, release) -> None:
        try:
            async with generator:
                await release
        except self.host.cancelled:
            raise
        except BaseException as error:
            self.say(f"raises {self.error(error)}")

    async def end_in_loop(self) -> None:
        """Ends what is under way; what is told meanwhile is nobody's business any more."""
        self.over = True
        for trap in [*self.traps.values(), *self.made_traps]:
            let_go(trap, ("send", None))
        for task in self.underway.values():
            if not task.done:
                self.host.cancel(task)
        for release in self.releases.values():
            release.set_result(None)
        await self.settle()
        self.operations.clear()
        for name in self.space.keys() - self.functions.keys() | {"root"}:
            self.space.pop(name, None)  # what is closed now still finds its functions
        self.thrown.clear()
        gc.collect(1)
        await self.settle()
        self.end()


def transcript(scenario: Scenario, form: str, host) -> list[list[str]]:
    """The answers to each line of the consumer."""
    run: LoopRun | None = None

    async def main() -> None:
        nonlocal run
        run = LoopRun(scenario, form, host)
        await run.perform_in_loop()

    host.run(main)
    assert run is not None
    return run.answers


class LoopsDiffer(Exception):
    """A scenario has other answers on one event loop than on another; the text has them."""


def same_on_all_loops(scenario: Scenario, form: str) -> list[list[str]]:
    """The answers, which are the same on every loop that the implementation runs on. Raises LoopsDiffer."""
    given = {name: transcript(scenario, form, make()) for name, make in hosts.LOOPS[form].items()}
    first, *others = given
    for other in others:
        if given[other] != given[first]:
            raise LoopsDiffer(f"{scenario.name} on {form}: {first} {given[first]}, {other} {given[other]}")
    return given[first]
