"""Compares what was answered with what the table says."""

from __future__ import annotations

import table
from table import Scenario


def difference(
    scenario: Scenario, implementation: str, version: tuple[int, ...], answers: list[list[str]], form: str = ""
) -> str:
    """Where the answers are others, as text to be read; empty where they are not."""
    variant = scenario.variant(implementation, version, form)
    steps = variant.steps if variant else scenario.steps
    if [step.answers for step in steps] == answers:
        return ""
    place = f"{implementation} {form}".strip()
    lines = [f"{scenario.name} on {place}: other answers than the table's (-: expected, +: given)"]
    for step, given in zip(steps, answers, strict=False):  # one that died has answered less
        lines.append(f"    {step.line}")
        if step.answers == given:
            lines += [f"        {answer}" for answer in given]
        else:
            lines += [f"      - {answer}" for answer in step.answers] + [f"      + {answer}" for answer in given]
    return "\n".join(lines)


def unknown_rules(scenarios: list[Scenario]) -> list[str]:
    """Rules without a scenario that do not say why, and scenarios of rules that do not exist."""
    rules = table.rules()
    covered = {rule for scenario in scenarios for rule in scenario.rules}
    missing = [f"rule {rule} has no scenario" for rule, (_, why) in rules.items() if not why and rule not in covered]
    surplus = [
        f"rule {rule} says that it has no scenario" for rule, (_, why) in rules.items() if why and rule in covered
    ]
    return missing + surplus + [f"there is no rule {rule}" for rule in sorted(covered - set(rules))]
