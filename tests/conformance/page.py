"""The matrix, for a terminal and as docs/conformance.md: rules, scenarios, and who answers otherwise and why.

What is written about an implementation is what the table says, after every scenario has been run and has answered so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import forms
import table
from table import IMPLEMENTATIONS, Scenario

SAME, OTHER, NONE, FAILED = "·", "≠", "–", "F"
LEGEND = f"{SAME} as the reference   {OTHER} otherwise, the table says why   {NONE} no meaning there, the table says why   {FAILED} failed"


@dataclass(frozen=True)
class Column:
    """One implementation on one interpreter; C++ has none."""

    implementation: str
    tag: str = ""
    version: tuple[int, ...] = ()


def without(scenario: Scenario, column: Column) -> str:
    """Why a scenario has no meaning for an implementation; empty where it has one."""
    variant = scenario.variant(column.implementation, column.version)
    if variant is not None and not variant.steps:
        return variant.reason
    if column.implementation == "cpp":
        return "C++ exceptions have no context" if scenario.context else ""
    return forms.expressible(scenario.body, column.implementation)


def mark(scenario: Scenario, column: Column) -> str:
    """What the table says."""
    if without(scenario, column):
        return NONE
    return SAME if scenario.variant(column.implementation, column.version) is None else OTHER


def terminal(scenarios: list[Scenario], columns: list[Column], failed: set[tuple[str, Column]]) -> Iterable[str]:
    """A line a scenario, a character an interpreter; scenarios in which nothing is worth telling are counted only."""
    groups = {name: [column for column in columns if column.implementation == name] for name in IMPLEMENTATIONS}
    groups = {name: group for name, group in groups.items() if group}
    tags = list(dict.fromkeys(column.tag for column in columns if column.tag))
    yield f"interpreters, from left to right: {' '.join(tags)}" if tags else "no interpreters"
    yield LEGEND
    width = max(len(scenario.name) + len(", ".join(scenario.rules)) + 1 for scenario in scenarios)
    yield " " * width + "  " + "  ".join(f"{name:{max(len(name), len(group))}}" for name, group in groups.items())
    for scenario in scenarios:
        cells = []
        for name, group in groups.items():
            marks = [FAILED if (scenario.name, column) in failed else mark(scenario, column) for column in group]
            cells.append(f"{''.join(marks):{max(len(name), len(group))}}")
        yield f"{', '.join(scenario.rules)} {scenario.name}".ljust(width) + "  " + "  ".join(cells)


HEAD = """# Conformance

What a generator answers, rule by rule, and that every implementation answers so. This page is written by `make conformance`
from the scenarios in `tests/conformance/scenarios/`, after it has run each of them on each implementation.

Each scenario has one reference: what the newest native generators answer, or what PEP 828 says, unless that has a known defect.
*Otherwise* counts the scenarios that an implementation answers in another way on some version: the reasons stand
[below](#where-an-implementation-answers-otherwise). *No meaning* counts those that it cannot express.

"""

HOW = """
## How to read a scenario

A scenario has a body, a consumer, and the answers. The body is Python in the notation of PEP 828, with `yield from` and
`return value`; each implementation gets it in its own syntax. `root` is made for the consumer. In a body, `log(...)` tells
something, `await loop(x)` awaits what an event loop's own awaitables await, `offering(g, "athrow")` is an async iterator with
these operations of `g` and no others, and other functions are helpers.

| line of a consumer | what it does |
|---|---|
| `anext()`, `asend(v)`, `athrow(e)`, `aclose()` | starts an operation on `root`, or on `g` by `g.anext()` |
| `send(v)`, `throw(e)` | resumes the operation that waits: what an event loop does |
| `a = anext()` | makes the awaitable of an operation, and does not await it |
| `a.send(v)`, `a.throw(e)`, `a.close()`, `del a` | what can be done to an awaitable by hand; `a.send(None)` starts it |
| `g = new(body)`, `del g` | makes another generator; drops one |
| `hooks("log")`, `hooks("keep")`, `hooks("raise")`, `hooks()` | hooks that tell; whose finalizer keeps the generator as `kept`; that raise; none |
| `running(g)`, `finished(g)` | whether an operation is under way; whether the body has ended |
| `show(expression)` | the value of a Python expression |

| answer | what it means |
|---|---|
| `item v` | the operation answered an item |
| `end`, `end v` | the generator ended, with a return value: `StopAsyncIteration` |
| `done` | aclose() is done |
| `awaits v` | the body awaits `loop(v)`: the operation is not done |
| `raises E: text` | the operation raised |
| `log ...` | what the body told meanwhile |
| `firstiter body`, `finalizer body` | a hook was called |
| `warns ...`, `unraisable ...` | a warning; an exception that could not be raised |

C++ says some things otherwise, and the runner translates them: the end is a false item, `agen::generator_exit` is
GeneratorExit, `already_running` and `ignored_generator_exit` are the RuntimeError of the same meaning, `just_started` is the
TypeError, `send_unsupported` the AttributeError; closed() is `finished`.

## Beyond the table

- Random scenarios are answered by native generators, by every syntax of the package and by the C++ library, and compared:
  a fixed number in the tests, as many as one likes by `make fuzz`. A difference is told as the smallest scenario that shows
  it, ready to be saved.
- An await is put before each statement of every body, and in asyncio and trio each of them is cancelled, and raises, one at
  a time: native generators and the package tell the same, and no generator is left. The consumer does there what an event
  loop can do.
- `tools/conformance --record FILE` writes into new scenarios what native generators of the newest interpreter answer.
"""


def page(scenarios: list[Scenario], columns: list[Column]) -> str:
    """The whole of docs/conformance.md. `columns` were run."""
    tags = list(dict.fromkeys(column.tag for column in columns if column.tag))
    out = [HEAD]
    names = dict.fromkeys(column.implementation for column in columns)
    counts = f"{len(scenarios)} scenarios, {len(names)} implementations"
    out.append(f"{counts}, on CPython {', '.join(tags)}.\n\n| | what it is | as the reference | otherwise | no meaning |\n|---|---|---|---|---|\n")
    for name in names:
        own = [column for column in columns if column.implementation == name]
        # A scenario counts as otherwise when it is so on any version.
        marks = [{mark(scenario, column) for column in own} for scenario in scenarios]
        same = sum(one == {SAME} for one in marks)
        other = sum(OTHER in one for one in marks)
        out.append(f"| {name} | {IMPLEMENTATIONS[name]} | {same} | {other} | {len(marks) - same - other} |\n")
    out.append(HOW)
    out.append("\n## Where an implementation answers otherwise\n\n| scenario | where | why |\n|---|---|---|\n")
    for scenario in scenarios:
        for variant in scenario.variants:
            if variant.steps:
                places = ", ".join(map(str, variant.places))
                out.append(f"| [{scenario.name}](#{scenario.name}) | {places} | {linked(variant.reason)} |\n")
    out.append("\n## The rules\n\nRules 1 to 66 are those of native async generators, the others clauses of PEP 828.\n")
    for number, (said, why_not) in table.rules().items():
        out.append(f"\n### {number} {said}\n\n")
        if why_not:
            out.append(f"No scenario: {why_not}.\n")
        for scenario in scenarios:
            if scenario.rules[0] == number:
                out.append(entry(scenario))
            elif number in scenario.rules:
                out.append(f"See also [{scenario.name}](#{scenario.name}).\n")
    return "".join(out)


def linked(reason: str) -> str:
    """A reason whose gh-numbers lead to CPython's issues."""
    return re.sub(r"\bgh-(\d+)", r"[gh-\1](https://github.com/python/cpython/issues/\1)", reason)


def entry(scenario: Scenario) -> str:
    """One scenario, with what is said of implementations that answer otherwise."""
    text = [f'<a id="{scenario.name}"></a>**{scenario.name}**: {scenario.sentence}\n\n```text\n{scenario.body.strip()}\n```\n\n']
    text.append("```text\n" + "\n".join(table.written(scenario.steps)) + "\n```\n\n")
    for variant in scenario.variants:
        places = ", ".join(map(str, variant.places))
        if not variant.steps:
            text.append(f"- Not on {places}: {linked(variant.reason)}.\n")
            continue
        text.append(f"- On {places}: {linked(variant.reason)}.\n\n")
        for step, reference in zip(variant.steps, scenario.steps, strict=True):
            if step.answers != reference.answers:
                text.append("".join(f"      {line}\n" for line in table.written([step])))
        text.append("\n")
    if scenario.variants:
        text.append("\n")
    return "".join(text)
