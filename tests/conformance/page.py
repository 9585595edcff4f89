"""The matrix, for a terminal and as pages of the site: rules, scenarios, and who answers otherwise and why.

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
    """One implementation on one interpreter; C++ has none. Without the engine, in one form; in any if there is none."""

    implementation: str
    tag: str = ""
    version: tuple[int, ...] = ()
    form: str = ""


def without(scenario: Scenario, column: Column) -> str:
    """Why a scenario has no meaning for an implementation; empty where it has one."""
    variant = scenario.variant(column.implementation, column.version, column.form)
    if variant is not None and not variant.steps:
        return variant.reason
    if column.implementation == "cpp":
        return "C++ exceptions have no context" if scenario.context else ""
    return forms.expressible(scenario.body, column.form or column.implementation)


def mark(scenario: Scenario, column: Column) -> str:
    """What the table says."""
    if without(scenario, column):
        return NONE
    return SAME if scenario.variant(column.implementation, column.version, column.form) is None else OTHER


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


INDEX = """# Rules and scenarios

Rules 1 to 66 are those of native async generators. The others are clauses of the PEPs of their numbers: cleanup (533), context
(568), a task of its own (789) and `yield from` (828).
[How to read a scenario](../conformance.md#how-to-read-a-scenario).

"""


def pages(scenarios: list[Scenario], columns: list[Column]) -> dict[str, str]:
    """The pages of the site by their files' names: one for each file of scenarios, and an index."""
    rules, groups = table.rules(), table.groups()
    rules_of = {name: [number for number in rules if table.group(number) == name] for name in groups}
    out = [
        INDEX,
        *(f"- [{title(name)}]({name}.md): rules {numbers[0]} to {numbers[-1]}\n" for name, numbers in rules_of.items()),
    ]
    out += ["\n", *counts(scenarios, columns), *otherwise(scenarios)]
    contents = "".join(f"{title(name).strip('`')} <{name}>\n" for name in groups)
    out.append(f"\n```{{toctree}}\n:hidden:\n\n{contents}```\n")
    made = {"index.md": "".join(out)}
    for name, numbers in rules_of.items():
        out = [f"# Conformance: {title(name).lower()}\n"]
        for number in numbers:
            said, why_not = rules[number]
            out.append(f"\n## {number} {said}\n\n")
            if why_not:
                out.append(f"No scenario: {why_not}.\n")
            for scenario in scenarios:
                if scenario.rules[0] == number:
                    out.append(entry(scenario))
                elif number in scenario.rules:
                    out.append(f"See also [{scenario.name}](#{scenario.name}).\n")
        made[f"{name}.md"] = "".join(out)
    return made


def title(group: str) -> str:
    return "`yield from`" if group == "yield-from" else group.replace("-", " ").capitalize()


def counts(scenarios: list[Scenario], columns: list[Column]) -> Iterable[str]:
    tags = list(dict.fromkeys(column.tag for column in columns if column.tag))
    names = dict.fromkeys(column.implementation for column in columns)
    yield f"{len(scenarios)} scenarios, {len(names)} implementations, on CPython {', '.join(tags)}.\n\n"
    yield "| | what it is | as the reference | otherwise | no meaning |\n|---|---|---|---|---|\n"
    for name in names:
        own = [column for column in columns if column.implementation == name]
        # A scenario counts as otherwise when it is so on any version.
        marks = [{mark(scenario, column) for column in own} for scenario in scenarios]
        same = sum(one == {SAME} for one in marks)
        other = sum(OTHER in one for one in marks)
        yield f"| {name} | {IMPLEMENTATIONS[name]} | {same} | {other} | {len(marks) - same - other} |\n"


def otherwise(scenarios: list[Scenario]) -> Iterable[str]:
    yield "\n## Where an implementation answers otherwise\n\n| scenario | where | why |\n|---|---|---|\n"
    for scenario in scenarios:
        for variant in scenario.variants:
            if variant.steps:
                places = ", ".join(map(str, variant.places))
                yield f"| [{scenario.name}](#{scenario.name}) | {places} | {linked(variant.reason)} |\n"


def linked(reason: str) -> str:
    """A reason whose gh-numbers lead to CPython's issues."""
    return re.sub(r"\bgh-(\d+)", r"[gh-\1](https://github.com/python/cpython/issues/\1)", reason)


def entry(scenario: Scenario) -> str:
    """One scenario, with what is said of implementations that answer otherwise."""
    text = [
        f"({scenario.name})=\n\n**{scenario.name}**: {scenario.sentence}\n\n```text\n{scenario.body.strip()}\n```\n\n"
    ]
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
