"""Cancellation and exceptions at every await of every scenario, one at a time, in real event loops.

A scenario is performed in asyncio or trio: each operation is a task, what a body awaits is a future of the loop. So that every
scenario has awaits, one is put before each statement of its bodies. In one run each, every one of them is cancelled (the
task's cancel(), or its cancel scope) or raises. The scenario then goes on, what waits is answered, the root is closed. Native
generators and the package have to tell the same, and nothing may be left.
"""

from __future__ import annotations

import ast
import contextlib
import contextvars
import gc
import sys
import warnings
import weakref

import forms
import runner
from table import Op, Scenario, Step

INSERTED = "+"
CURRENT: contextvars.ContextVar[Operation] = contextvars.ContextVar("operation")


class Operation:
    """One operation on a generator, awaited by a task of its own once it is started."""

    def __init__(self, awaitable, closes: bool) -> None:
        self.awaitable, self.closes = awaitable, closes
        self.started = self.done = False
        self.trap = None
        self.own = False  # what it waits at is an await of the scenario's, not one that was put there


class _AwaitsInserted(ast.NodeTransformer):
    """`await loop("+")` before each statement of a body but those that only tell something."""

    def block(self, statements):
        changed = []
        for statement in statements:
            tells = isinstance(statement, (ast.Pass, ast.Try, ast.For)) or ast.unparse(statement).startswith(
                ("log(", "async for")
            )
            if not tells:
                changed.append(ast.parse(f"await loop({INSERTED!r})").body[0])
            changed.append(self.visit(statement))
        return changed

    def generic_visit(self, node):
        for name in ("body", "orelse", "finalbody"):
            if isinstance(getattr(node, name, None), list):
                setattr(node, name, self.block(getattr(node, name)))
        for handler in getattr(node, "handlers", []):
            self.generic_visit(handler)
        return node


@contextlib.contextmanager
def ignored_exits_expected():
    """Whose body ignores its exit, is reported when it is dropped: that is the scenario's doing, in each form."""
    report = sys.unraisablehook
    sys.unraisablehook = lambda told: "ignored GeneratorExit" in str(told.exc_value) or report(told)
    try:
        yield
    finally:
        sys.unraisablehook = report


def with_awaits(source: str) -> str:
    module = ast.parse(source)
    for node in module.body:
        if forms.is_body(node):
            _AwaitsInserted().generic_visit(node)
    return ast.unparse(ast.fix_missing_locations(module))


def performed(scenario: Scenario) -> list[Step]:
    """The lines of the consumer that an event loop can perform. Left out: what is done to an awaitable or a generator by hand,
    hooks, which are the loop's own, what is looked at, and what is done to things that only those lines would make."""
    generators, operations, lines = {"root"}, set(), []
    for step in scenario.steps:
        op = step.op
        if op.verb == "new":
            generators.add(op.target)
        elif op.verb in ("make", "start"):
            if op.operation.partition(".")[0] not in generators:
                continue
            operations.add(op.target)
        elif op.verb in ("send", "throw"):
            # GeneratorExit is nothing that a loop throws.
            if op.target not in operations or op.verb == "throw" and "GeneratorExit" in str(op.argument):
                continue
        elif op.verb not in ("running", "finished") or op.target not in generators:
            continue
        lines.append(step)
    return lines


class Performance:
    """A scenario in one form, whose runs share the functions."""

    def __init__(self, scenario: Scenario, form: str, host) -> None:
        self.scenario, self.form, self.host, self.steps = scenario, form, host, performed(scenario)
        self.source = with_awaits(scenario.body)
        # Things that a scenario makes beside its functions serve one run.
        self.shared = all(
            isinstance(node, (ast.AsyncFunctionDef, ast.FunctionDef)) for node in ast.parse(self.source).body
        )
        self.made: list[weakref.ref] = []
        self.make_functions()

    def make_functions(self) -> None:
        self.space = {"__name__": "scenario", "log": self.log, "loop": self.await_trap, "offering": runner.OnlyOffers}
        self.space.update(handled=lambda: sys.exc_info()[1], sys=sys)
        forms.make(self.source, self.form, self.space)
        for name in forms.kinds_of(self.source, self.form):
            self.space[name] = self.counted(self.space[name])
        self.functions = dict(self.space)

    def counted(self, function):
        def make():
            generator = function()
            self.made.append(weakref.ref(getattr(generator, "native", generator)))
            return generator

        return make

    # --- what is told ---

    def say(self, text: str) -> None:
        self.answers.append(text)

    def log(self, *words) -> None:
        self.say(" ".join(["log", *(word if isinstance(word, str) else self.shown(word) for word in words)]))

    def shown(self, value) -> str:
        if not isinstance(value, BaseException):
            return repr(value)
        if isinstance(value, self.host.cancelled):
            return "cancelled"
        return f"{runner.kind(value)}: {value}"

    # --- what bodies and consumers await ---

    async def await_trap(self, value=None):
        operation = CURRENT.get(None)
        if operation is None:
            return None  # cleanup of what was dropped, which is no operation's
        trap = operation.trap = self.host.trap()
        operation.own = value != INSERTED
        if operation.own:
            self.say(f"awaits {value!r}")
        try:
            return await trap
        finally:
            operation.trap = None

    async def await_operation(self, operation: Operation) -> None:
        CURRENT.set(operation)
        try:
            value = await operation.awaitable
        except self.host.cancelled:
            self.say("cancelled")
            raise
        except StopAsyncIteration as end:
            self.say(f"end {end.args}")
        except BaseException as error:
            self.say(f"raises {self.shown(error)}")
        else:
            self.say("done" if operation.closes else f"item {self.shown(value)}")
        finally:
            operation.done = True
            operation.awaitable = None

    async def go_on(self, operation: Operation) -> None:
        """Lets an operation run to its end or to an await of the scenario's own; injects when it is time to."""
        await self.host.settle()
        for _ in range(200):
            if operation.trap is None:
                return
            self.awaits += 1
            if self.awaits == self.point:
                if self.how == "cancel":
                    self.host.cancel(operation)
                else:
                    operation.trap.set_exception(ValueError("injected"))
                self.injected = len(self.answers)
            elif operation.own:
                return
            else:
                operation.trap.set_result(None)
            await self.host.settle()
        raise AssertionError(f"{self.scenario.name} does not end")

    # --- one run ---

    async def run(self, point: int, how: str) -> list[str]:
        """Performs the scenario; what is awaited as number `point` is cancelled or raises. Returns all that was told."""
        self.answers: list[str] = []
        self.operations: dict[str, Operation] = {}
        self.awaits, self.point, self.how, self.injected = 0, point, how, None
        if not self.shared:
            self.make_functions()
        self.space.update(self.functions, root=self.functions["root"]())
        for number, step in enumerate(self.steps):
            self.say(f"{number} {step.line}")
            await self.do(step.op)
        for operation in list(self.operations.values()):
            await self.finish(operation)
        self.say("closes")
        await self.do(Op("start", "closing", "root.aclose"))
        await self.finish(self.operations["closing"])
        answers = self.answers
        self.operations.clear()
        for name in self.space.keys() - self.functions.keys():
            del self.space[name]
        self.space.update(self.functions)
        return answers

    async def do(self, op: Op) -> None:
        if op.verb == "new":
            self.space[op.target] = self.functions[op.operation]()
        elif op.verb in ("running", "finished"):
            generator = getattr(self.space[op.target], "native", self.space[op.target])
            self.say(str(generator.ag_running if op.verb == "running" else generator.ag_frame is None))
        elif op.verb in ("make", "start"):
            if op.target in self.operations:  # after an injection it may still wait
                await self.finish(self.operations[op.target])
            self.make(op)
            if op.verb == "start":
                await self.begin(self.operations[op.target])
        elif not self.operations[op.target].started:
            await self.begin(self.operations[op.target])
        elif self.operations[op.target].trap is None:
            self.say("is not waited for")  # it ended by what was injected
        else:
            trap = self.operations[op.target].trap
            if op.verb == "send":
                trap.set_result(op.argument)
            else:
                trap.set_exception(eval(op.argument, dict(self.space)))
            await self.go_on(self.operations[op.target])

    def make(self, op: Op) -> None:
        name, _, verb = op.operation.partition(".")
        arguments = (
            [op.argument] if verb == "asend" else [eval(op.argument, dict(self.space))] if verb == "athrow" else []
        )
        method = getattr(self.space[name], runner.ITERATION.get(verb, verb))
        self.operations[op.target] = Operation(method(*arguments), verb == "aclose")

    async def begin(self, operation: Operation) -> None:
        operation.started = True
        self.host.spawn(operation, self.await_operation(operation))
        await self.go_on(operation)

    async def finish(self, operation: Operation) -> None:
        if not operation.started:
            await self.begin(operation)
        for _ in range(50):
            if operation.trap is None:
                break
            operation.trap.set_result(None)
            await self.go_on(operation)
        assert operation.done, f"{self.scenario.name}: an operation waits for nothing"

    def all_runs(self) -> list[tuple[str, list[str], int]]:
        """What was injected, what was told, and how many lines of it before the injection. One event loop for all of them."""
        results: list[tuple[str, list[str], int]] = []

        async def main() -> None:
            await self.run(0, "")
            for point in range(1, self.awaits + 1):
                for how in ("cancel", "raise"):
                    told = await self.run(point, how)
                    assert self.injected is not None, (
                        f"{self.scenario.name}: await {point} was not reached a second time"
                    )
                    results.append((f"{how} at await {point}", told, self.injected))

        with warnings.catch_warnings(), ignored_exits_expected():
            warnings.simplefilter("error")
            warnings.simplefilter(
                "ignore", ResourceWarning
            )  # trio says that a delegate without aclose() was left to it
            self.host.run(main)
        return results

    def left(self) -> int:
        """Generators that are still there."""
        with ignored_exits_expected():
            gc.collect(1)
        return sum(reference() is not None for reference in self.made)
