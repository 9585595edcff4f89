"""Random scenarios: bodies and consumers drawn by hypothesis, answered by native generators, and compared.

A program is a body's text and a list of actions. Native generators perform the actions first, which makes lines of a consumer
of them (an action on an operation that waits becomes a line only where one waits) and answers: a scenario like those of the
table, that other implementations then have to answer equally. Whatever they answer otherwise is raised as Different, with the
scenario as a text that can be saved.
"""

from __future__ import annotations

import contextlib
import gc
import re
import sys
import textwrap
from dataclasses import dataclass, field

import forms
import runner
from cpp_runner import CppRunner, Died
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import seed as hypothesis_seed
from hypothesis import strategies as st
from table import Scenario, Step, parsed_op

ERRORS = ["ValueError", "KeyError", "GeneratorExit", "BaseException"]
CATCHES = ["ValueError", "KeyError", "Exception", "GeneratorExit", "BaseException", "(ValueError, GeneratorExit)"]
#: What ends iterations in Python and nothing in C++.
STOPS = ["StopAsyncIteration", "StopIteration"]
#: How often what waits is resumed at the end, before the consumer gives up.
PATIENCE = 40


class Different(AssertionError):
    """An implementation answered otherwise than the reference."""


@dataclass(frozen=True)
class Dialect:
    """What a program may contain: C++ has no words for some of it."""

    python: bool = True
    delegates: bool = True
    values: bool = True

    @property
    def raises(self) -> list[str]:
        return [*ERRORS, *STOPS] if self.python else ERRORS


@dataclass(frozen=True)
class Program:
    body: str
    actions: tuple[tuple, ...]
    kinds: tuple[str, ...] = ()  # of the bodies, in their order, for mixed()

    def __repr__(self) -> str:
        return f"Program({self.body!r}, {self.actions!r}, {self.kinds!r})"


# --- bodies ---


def indented(block: str) -> str:
    return textwrap.indent(block, "    ")


def simple(dialect: Dialect, delegates: tuple[str, ...]) -> st.SearchStrategy[str]:
    number = st.integers(0, 9)
    choices = [
        number.map(lambda n: f"yield {n}"),
        number.map(lambda n: f"log('got', (yield {n}))"),
        number.map(lambda n: f"log('answer', (await loop({n})))"),
        number.map(lambda n: f"await loop('t{n}')"),
        st.just("yield"),
        number.map(lambda n: f"log('at {n}')"),
        st.tuples(st.sampled_from(dialect.raises), number).map(lambda pair: f"raise {pair[0]}({pair[1]})"),
        st.just("return"),
    ]
    if dialect.values:
        choices.append(number.map(lambda n: f"return {n}"))
    if delegates:
        taken = st.sampled_from(delegates).map(lambda name: f"x = yield from {name}\nlog('result', x)")
        choices += [taken, taken, taken]
    if dialect.python:
        choices += [
            number.map(lambda n: f"log(repr([{n}, (yield 'a'), (yield 'b')]))"),
            st.just("log('handled', type(handled()).__name__)"),
        ]
    if dialect.python and delegates:
        # Not delegated to but advanced; and what cannot be delegated to.
        choices.append(
            st.just(
                "try:\n    log('advanced', (await shared.__anext__()))\nexcept StopAsyncIteration:\n    log('over')"
            )
        )
        choices.append(st.just("try:\n    yield from 5\nexcept TypeError:\n    log('refused')"))
    return st.one_of(choices)


@st.composite
def blocks(draw, dialect, delegates, depth):
    return "\n".join(
        draw(statements(dialect, delegates, depth)) for _ in range(draw(st.integers(1, 3 if depth == 3 else 2)))
    )


@st.composite
def statements(draw, dialect, delegates, depth):
    shapes = ["simple", "simple", "simple", "try", "finally", "for", "if"] + (
        ["with", "async with"] if dialect.python else []
    )
    shape = draw(st.sampled_from(shapes)) if depth else "simple"
    if shape == "simple":
        return draw(simple(dialect, delegates))
    inner = indented(draw(blocks(dialect, delegates, depth - 1)))
    if shape == "for":
        return f"for _ in range({draw(st.integers(0, 3))}):\n{inner}"
    if shape.endswith("with"):
        return f"{shape} {'Async' if shape.startswith('async') else ''}Context({draw(st.booleans())}):\n{inner}"
    other = indented(draw(blocks(dialect, delegates, depth - 1)))
    if shape == "try":
        caught = draw(st.sampled_from(CATCHES + (STOPS[:1] if dialect.python else [])))
        text = f"try:\n{inner}\nexcept {caught} as error:\n    log('caught', error)\n{other}"
        if draw(st.booleans()):
            text += "\n    raise"
        return text + (f"\nelse:\n{other}" if draw(st.booleans()) else "")
    if shape == "finally":
        return f"try:\n{inner}\nfinally:\n    log('finally')\n{other}"
    return f"if (yield 'if'):\n{inner}\nelse:\n{other}"


#: What `with` and `async with` in bodies use.
CONTEXTS = """
class Context:
    def __init__(self, swallows):
        self.swallows = swallows
    def __enter__(self):
        log("enter")
    def __exit__(self, kind, error, traceback):
        log("exit", error)
        return self.swallows and isinstance(error, ValueError)
class AsyncContext(Context):
    async def __aenter__(self):
        log("aenter", await loop("aenter"))
    async def __aexit__(self, kind, error, traceback):
        log("aexit", error, await loop("aexit"))
        return self.swallows and isinstance(error, KeyError)
"""


def function(name: str, block: str) -> str:
    """A body, also where nothing in it yields."""
    return f"async def {name}():\n{indented(block)}\n    if False:\n        yield\n"


@st.composite
def bodies(draw, dialect):
    """The text of all bodies: `root`, and what it delegates to, down to two levels."""
    if not dialect.delegates:
        text = function("root", draw(blocks(dialect, (), 3)))
    else:
        leaf = function("leaf", draw(blocks(dialect, (), 2)))
        offers = [
            "leaf()",
            "leaf()",
            'offering(leaf(), "athrow", "aclose")',
            'offering(leaf(), "asend")',
            "offering(leaf())",
        ]
        inner = function("inner", draw(blocks(dialect, (*offers, "shared"), 2)))
        # `common` is what `shared` runs: nobody owns it, so that it can be advanced from several places.
        common = function("common", draw(blocks(Dialect(dialect.python, values=False), (), 1)))
        root = function("root", draw(blocks(dialect, ("inner()", "inner()", "leaf()", "shared", "root"), 2)))
        text = root + inner + leaf + common
    return text + (CONTEXTS if "Context(" in text else "")


# --- consumers ---


def consumers(dialect: Dialect) -> st.SearchStrategy[tuple[tuple, ...]]:
    which = st.sampled_from(["root", "root", "root", "shared"] if dialect.delegates else ["root"])
    value = st.sampled_from([0, 1, "v"] + ([None] if dialect.python else []))
    error = st.sampled_from(ERRORS + (STOPS[:1] if dialect.python else []))
    action = st.one_of(
        st.tuples(st.just("anext"), which, st.none()),
        st.tuples(st.just("anext"), which, st.none()),
        st.tuples(st.just("asend"), which, value),
        st.tuples(st.just("athrow"), which, error),
        st.tuples(st.just("aclose"), which, st.none()),
        st.tuples(st.just("resume"), st.integers(0, 3), value),
        st.tuples(st.just("resume"), st.integers(0, 3), value),
        st.tuples(
            st.just("interrupt"),
            st.integers(0, 3),
            st.sampled_from(["ValueError", "KeyError", "GeneratorExit", "BaseException"]),
        ),
        # One after the other, each waited for: what most consumers do.
        st.tuples(st.just("wait"), st.just(0), value),
    )
    ends = [()] if dialect.delegates or not dialect.python else [(), (("drop", "root", None),)]
    return st.builds(
        lambda actions, end: (*actions, *end), st.lists(action, min_size=1, max_size=12), st.sampled_from(ends)
    )


def programs(dialect: Dialect) -> st.SearchStrategy[Program]:
    kinds = st.tuples(*[st.sampled_from(forms.KINDS[1:])] * 4)
    return st.builds(Program, bodies(dialect), consumers(dialect), kinds)


@dataclass
class Consumer:
    """Makes lines of actions while an implementation answers them."""

    run: runner.Run
    dialect: Dialect
    steps: list[Step] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    begun: set[str] = field(default_factory=set)
    over: bool = False

    def line(self, text: str) -> list[str]:
        op = parsed_op(text)
        answers = self.run.do(op)
        self.steps.append(Step(text, list(answers), op))
        if any("ignored GeneratorExit" in answer for answer in answers):
            self.over = True  # what such a generator does afterwards differs between versions
        return answers

    def goes_on(self, name: str, text: str) -> list[str]:
        if name in self.waiting:
            self.waiting.remove(name)
        answers = self.line(text)
        if answers and answers[-1].startswith("awaits "):
            self.waiting.append(name)
        return answers

    def perform(self, action: tuple) -> None:
        verb, target, argument = action
        if verb == "resume":
            if self.waiting:
                name = self.waiting[target % len(self.waiting)]
                self.goes_on(name, f"{name}.send({argument!r})")
        elif verb == "interrupt":
            if self.waiting and interruptible(argument, self.run.scenario.body):
                name = self.waiting[target % len(self.waiting)]
                self.goes_on(name, f"{name}.throw({argument}('interrupt'))")
        elif verb == "wait":
            self.wait(argument)
        elif verb == "drop":
            self.drop(target)
        else:
            self.begin(verb, target, argument)

    def begin(self, verb: str, target: str, argument: object) -> None:
        generator = getattr(self.run.space[target], "native", self.run.space[target])
        if verb == "athrow" and argument in STOPS and target not in self.begun:
            verb, argument = "anext", None  # gh-152685: before the start it leaks, which the table has
        if not self.dialect.python and verb != "aclose" and generator.ag_frame is None:
            return  # C++ repeats a return value, and has no None item for athrow(): the table has both
        arguments = {"asend": repr(argument), "athrow": f"{argument}('thrown')"}.get(verb, "")
        name = f"o{len(self.steps)}"
        self.line(f"{name} = {target}.{verb}({arguments})")
        answers = self.goes_on(name, f"{name}.send(None)")
        if not any("just-started" in answer for answer in answers):
            self.begun.add(target)

    def drop(self, target: str) -> None:
        """The generator goes, with the awaitables that keep it; not while it is running, when native is broken (rule 32)."""
        if not self.waiting:
            for name in [*self.run.operations, target]:
                answers = self.line(f"del {name}")
                # A body that ignored its exit is closed once more as a coroutine; one that returned is reported before 3.15:
                # the table has both.
                assume(
                    not any(
                        "ignored GeneratorExit" in answer or answer == "unraisable StopAsyncIteration"
                        for answer in answers
                    )
                )
            self.over = True

    def wait(self, argument: object) -> None:
        for _ in range(PATIENCE):
            if not self.waiting or self.over:
                return
            name = self.waiting[0]
            self.goes_on(name, f"{name}.send({argument!r})")
        assume(False)  # what never ends says nothing

    def finish(self) -> None:
        """Everything that waits goes to its end, and the root is closed."""
        self.wait(1)
        if not self.over:
            self.begin("aclose", "root", None)
            self.wait(1)


def interruptible(error: str, body: str) -> bool:
    """Native before 3.13 is "already running" for ever when it is interrupted (rule 33). GeneratorExit at an await below a
    delegation is a documented difference; and what keeps the oracle's return values apart does not let it pass."""
    apart = re.search(r"yield from|return \d", body)
    return sys.version_info >= (3, 13) and not (error == "GeneratorExit" and apart)


# --- comparisons ---


def reference(program: Program, dialect: Dialect, form: str = "native") -> Scenario:
    """The program as a scenario, with the answers of one implementation."""
    scenario = Scenario(
        "random", ["0"], "Found at random.", program.body, [], context=dialect.python and not dialect.delegates
    )
    run = runner.Run(scenario, form)
    consumer = Consumer(run, dialect)
    with left_to_the_collector(), run.reports():
        if dialect.delegates:
            consumer.line("shared = new(common)")
        for action in program.actions:
            if not consumer.over:
                consumer.perform(action)
        if not consumer.over:
            consumer.finish()
        run.end()
    scenario.steps = consumer.steps
    # The package's "already running" is a ValueError, too, as in 1.10: who catches that catches more than natively.
    text = str(scenario)
    if "already running" in text and ("except ValueError" in text or "(ValueError," in text or "Context(" in text):
        assume(False)
    return scenario


@contextlib.contextmanager
def left_to_the_collector():
    """Bodies that are left in cycles may report what they do when they are dropped: a run's own answers are complete then."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda report: None
    try:
        yield
        gc.collect(1)
    finally:
        sys.unraisablehook = hook


def answers_of(scenario: Scenario, kinds: str | dict[str, str]) -> list[list[str]]:
    run = runner.Run(scenario, kinds)
    with left_to_the_collector():
        return run.perform()


def compare(scenario: Scenario, who: str, given: list[list[str]]) -> None:
    expected = [in_order([plain(answer) for answer in step.answers]) for step in scenario.steps]
    given = [in_order([plain(answer) for answer in answers]) for answers in given]
    if given == expected:
        return
    where = next((n for n, pair in enumerate(zip(expected, given, strict=False)) if pair[0] != pair[1]), len(given))
    raise Different(
        f"{who} answers otherwise: to {scenario.steps[where].line!r}\n"
        f"  {given[where] if where < len(given) else 'nothing'}\ninstead of\n  {expected[where]}\n"
        f"in this scenario, which has the reference's answers:\n\n{scenario}"
    )


def in_order(answers: list[str]) -> list[str]:
    """The answers as they are compared. What a delegate that ignored its exit tells when it is dropped may come before or after
    the error: the oracle keeps it in a variable, which lives as long as the error's traceback."""
    return sorted(answers) if any("ignored GeneratorExit" in answer for answer in answers) else answers


def plain(answer: str) -> str:
    """Without the interpreter's wording of a missing method, and 1.10's of what cannot be awaited."""
    return re.sub(r"(AttributeError|unraisable RuntimeError): .*", r"\1", answer)


def check_forms(program: Program, dialect: Dialect) -> None:
    """Each syntax of the package against native generators."""
    scenario = reference(program, dialect)
    for kind in forms.KINDS[1:]:
        if not dialect.values or not forms.expressible(program.body, kind):
            compare(scenario, kind, answers_of(scenario, kind))


def check_mixed(program: Program, dialect: Dialect) -> None:
    """Bodies of several kinds that delegate to each other, against native generators."""
    names = forms.kinds_of(program.body, "native")
    kinds = dict(zip(names, program.kinds, strict=False))
    scenario = reference(program, dialect)
    compare(
        scenario,
        f"a mixture ({', '.join(f'{name}: {kind}' for name, kind in kinds.items())})",
        answers_of(scenario, kinds),
    )


def check_cpp(program: Program, dialect: Dialect, cpp: CppRunner) -> None:
    """The C++ library against the package."""
    scenario = reference(program, dialect, "coroutine")
    # A delegate that ignored its exit is dropped by the body that delegated: Python closes it once more, C++ destroys it.
    assume("ignored GeneratorExit" not in str(scenario))
    try:
        given = cpp.transcript(scenario)
    except Died as said:
        raise Different(f"the C++ runner died: {said}\nof this scenario:\n\n{scenario}") from said
    # A delegate that had ended before gives its value once more in C++ (moved out, if it was taken), or has none to give: the
    # table has it.
    assume(not any("no_return_value" in answer or answer == "log result" for answers in given for answer in answers))
    # A delegate is refused between items, too, in C++ (the table: driven-between-items).
    assume(
        not any(
            is_refused(told) and not is_refused(step.answers)
            for step, told in zip(scenario.steps, given, strict=False)
            if step.line.startswith(tuple(shared_operations(scenario)))
        )
    )
    compare(scenario, "cpp", given)


def shared_operations(scenario: Scenario) -> list[str]:
    """How lines begin that drive an operation on `shared`."""
    return [
        f"{step.op.target}."
        for step in scenario.steps
        if step.op.verb == "make" and step.op.operation.startswith("shared.")
    ]


def is_refused(answers: list[str]) -> bool:
    return any("already running" in answer for answer in answers)


# --- searching ---

ALONE = Dialect(delegates=False)
DELEGATING = Dialect()
MIXED = Dialect(values=False)
COMMON = Dialect(python=False)

#: Each comparison by its name: which programs, and what is done with one.
COMPARISONS = {
    "single generators": (ALONE, check_forms),
    "delegation": (DELEGATING, check_forms),
    "mixed kinds": (MIXED, check_mixed),
    "C++": (COMMON, check_cpp),
}


def search(name: str, examples: int, *more: object, seed: int | None = None) -> None:
    """Compares so many random programs: always the same ones, or those of a seed. Raises Different for the simplest found."""
    dialect, check = COMPARISONS[name]
    how = settings(
        max_examples=examples,
        derandomize=seed is None,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
        print_blob=False,
    )
    compare_one = given(programs(dialect))(lambda program: check(program, dialect, *more))
    how(compare_one if seed is None else hypothesis_seed(seed)(compare_one))()
