"""Performs a scenario on a Python implementation and returns the answers, line by line.

Awaitables are driven by hand, one step at a time: what the body awaits goes to the consumer, who answers it.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import types
import warnings
from collections.abc import Coroutine

import forms
from table import Op, Scenario

ITERATION = {"anext": "__anext__"}
LIMIT = 2000


@types.coroutine
def loop(value=None):
    """What bodies await: goes up to the consumer, and answers what that sends or throws."""
    return (yield value)


def collect() -> None:
    """Has what was dropped finalized. Without reference counts, each collection finds what the one before let go."""
    if sys.implementation.name == "cpython":
        gc.collect(1)
    else:
        for _ in range(4):
            gc.collect()


class OnlyOffers:
    """An async iterator with some operations of a generator and no others: `offering(inner(), "athrow")`."""

    def __init__(self, source, *operations):
        self._source = source
        for name in operations:
            setattr(self, name, getattr(source, name))

    def __aiter__(self):
        return self

    def __anext__(self):
        return self._source.__anext__()


def kind(error: BaseException) -> str:
    """The name of an exception's class; the package's "already running" counts as what it derives from first."""
    both = isinstance(error, RuntimeError) and isinstance(error, ValueError)
    return "RuntimeError" if both else type(error).__name__


class Run:
    """One scenario on one implementation: its generators, its awaitables, and what was answered so far."""

    def __init__(self, scenario: Scenario, form: str | dict[str, str]) -> None:
        self.scenario = scenario
        self.answers: list[list[str]] = []
        self.operations: dict[str, object] = {}
        self.verbs: dict[str, str] = {}
        self.thrown: list[BaseException] = []
        self.over = False
        self.space: dict[str, object] = {
            "__name__": "scenario",
            "log": self.log,
            "loop": loop,
            "handled": lambda: sys.exc_info()[1],
            "offering": OnlyOffers,
            "sys": sys,
        }
        forms.make(scenario.body, form, self.space)
        self.functions = dict(self.space)
        self.space["root"] = self.space["root"]()

    # --- what is told ---

    def say(self, text: str) -> None:
        if self.over:
            return
        if sum(map(len, self.answers)) > LIMIT:
            raise RecursionError("the scenario does not end")
        self.answers[-1].append(text)

    def log(self, *words: object) -> None:
        self.say(" ".join(["log", *(word if isinstance(word, str) else self.shown(word) for word in words)]))

    def shown(self, value: object) -> str:
        return self.error(value) if isinstance(value, BaseException) else repr(value)

    def error(self, error: BaseException) -> str:
        """An exception as text: class, text and, where the scenario shows it, what stands behind it."""
        text = str(error)
        said = f"{kind(error)}: {text}" if text else kind(error)
        if self.scenario.context:
            if any(error is one for one in self.thrown):
                said += " (as thrown)"
            behind = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
            if behind is not None:
                said += f" <- {self.error(behind)}"
        return said

    def tell(self, call, *arguments, closes: bool = False) -> bool:
        """Performs one step of an awaitable and tells what it answered; false where the operation goes on."""
        try:
            awaited = call(*arguments)
        except BaseException as error:
            self.tell_end(error, closes)
        else:
            self.say(f"awaits {self.shown(awaited)}")
            return False
        return True

    def tell_end(self, error: BaseException, closes: bool) -> None:
        """Tells what an operation ended with, which an exception says."""
        if isinstance(error, StopIteration):
            self.say("done" if closes else f"item {self.shown(error.value)}")
        elif isinstance(error, StopAsyncIteration) and error.__context__ is None:
            self.say(f"end {self.shown(error.args[0])}" if error.args else "end")
        else:
            self.say(f"raises {self.error(error)}")

    # --- what is done ---

    def perform(self) -> list[list[str]]:
        with self.reports():
            for step in self.scenario.steps:
                self.do(step.op)
            self.end()
        return self.answers

    def do(self, op: Op) -> list[str]:
        """Performs one line of the consumer; returns its answers."""
        self.answers.append([])
        getattr(self, "drop" if op.verb == "del" else op.verb)(op)
        return self.answers[-1]

    def end(self) -> None:
        """Drops everything; what is reported meanwhile is nobody's business any more."""
        self.over = True
        self.operations.clear()
        self.space.clear()
        self.functions.clear()
        self.thrown.clear()

    def error_made(self, text: str) -> BaseException:
        error = eval(text, dict(self.space))
        self.thrown.append(error)
        return error

    def make(self, op: Op) -> None:
        name, _, operation = op.operation.partition(".")
        generator = self.space[name]
        arguments = []
        if operation == "asend":
            arguments = [op.argument]
        elif operation == "athrow":
            arguments = [self.error_made(op.argument)]
        try:
            made = getattr(generator, ITERATION.get(operation, operation))(*arguments)
        except BaseException as error:
            self.say(f"raises {self.error(error)}")
        else:
            self.operations[op.target] = made
            self.verbs[op.target] = operation

    def start(self, op: Op) -> Coroutine | None:
        self.operations.pop("it", None)
        self.make(op)
        if "it" in self.operations:
            return self.send(Op("send", "it"))
        return None

    def send(self, op: Op) -> Coroutine | None:
        return self.step(op.target, "send", op.argument)

    def throw(self, op: Op) -> Coroutine | None:
        return self.step(op.target, "throw", self.error_made(op.argument))

    def step(self, name: str, how: str, argument: object) -> Coroutine | None:
        """A step of an operation: done when this returns, or (loop_runner.py) when what it returns has been awaited."""
        awaitable = self.operations[name]
        answered = self.tell(getattr(awaitable, how), argument, closes=self.verbs[name] == "aclose")
        if answered and name == "it":
            del self.operations["it"]  # a used awaitable would keep its generator alive
        return None

    def close(self, op: Op) -> None:
        try:
            self.operations[op.target].close()
        except BaseException as error:
            self.say(f"raises {self.error(error)}")

    def new(self, op: Op) -> None:
        self.space[op.target] = self.functions[op.operation]()

    def running(self, op: Op) -> None:
        generator = self.space[op.target]
        self.say(str(getattr(generator, "native", generator).ag_running))

    def finished(self, op: Op) -> None:
        generator = self.space[op.target]
        self.say(str(getattr(generator, "native", generator).ag_frame is None))

    def show(self, op: Op) -> None:
        """Any expression over the generators, the operations and what bodies see."""
        space = {**self.space, **self.operations, "thrown": self.thrown}
        try:
            self.say(repr(eval(op.argument, space)))
        except BaseException as error:
            self.say(f"raises {self.error(error)}")

    def hooks(self, op: Op) -> None:
        """Hooks that log; "keep": the finalizer keeps the generator as `kept`; "raise": both raise."""
        raising = op.argument == "raise"

        def firstiter(generator):
            self.say(f"firstiter {generator.__name__}")
            if raising:
                raise ValueError("firstiter")

        def finalizer(generator):
            self.say(f"finalizer {generator.__name__}")
            if op.argument == "keep":
                self.space["kept"] = generator
            if raising:
                raise ValueError("finalizer")

        if op.argument == "none":
            sys.set_asyncgen_hooks(None, None)
        else:
            sys.set_asyncgen_hooks(firstiter, finalizer)

    def drop(self, op: Op) -> None:
        del (self.space if op.target in self.space else self.operations)[op.target]
        collect()

    @contextlib.contextmanager
    def reports(self):
        """Warnings and what cannot be raised become answers; the hooks are none at first, and what they were at last."""
        before = sys.unraisablehook, sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, None)
        sys.unraisablehook = lambda report: self.say(f"unraisable {self.error(report.exc_value)}")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = lambda message, category, *rest: self.say(f"warns {category.__name__}: {message}")
            try:
                yield
            finally:
                collect()
                sys.unraisablehook = before[0]
                sys.set_asyncgen_hooks(*before[1])


def transcript(scenario: Scenario, form: str | dict[str, str]) -> list[list[str]]:
    """The answers to each line of the consumer."""
    return Run(scenario, form).perform()
