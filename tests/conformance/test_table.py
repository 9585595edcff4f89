"""Every scenario of the table, on every implementation of this interpreter that can express it."""

import sys

import check
import forms
import hosts
import loop_runner
import page
import pytest
import runner
import table

VERSION = sys.version_info[:3]
SCENARIOS = table.load()
# A stop that leaks from a native generator (gh-152685) ends a debug build of the interpreter.
ENDS_IT = {"stop-iteration-before-start"} if hasattr(sys, "gettotalrefcount") and VERSION >= (3, 12) else set()


def answering(form):
    """The name of what answers in a form, and its version and form if the table has another name for that."""
    return (
        (form, "", VERSION, "")
        if form in ("native", "calls") or not forms.WITHOUT_ENGINE
        else (forms.WITHOUT_ENGINE, "", VERSION, form)
    )


CASES = [
    pytest.param(
        scenario,
        form,
        id=f"{scenario.name}-{form}",
        marks=[pytest.mark.skip("ends a debug build (gh-152685)")]
        if scenario.name in ENDS_IT and form in ("native", "calls")
        else [],
    )
    for scenario in SCENARIOS
    for form in forms.COLUMNS
    if not page.without(scenario, page.Column(*answering(form)))
]


@pytest.mark.parametrize(("scenario", "form"), CASES)
def test_answers_are_those_of_the_table(scenario, form):
    if form in hosts.LOOPS and not hosts.LOOPS[form]:
        pytest.skip("trio has no wheel for this interpreter")
    answers = loop_runner.same_on_all_loops if form in hosts.LOOPS else runner.transcript
    implementation, _, _, form_apart = answering(form)
    told = check.difference(scenario, implementation, VERSION, answers(scenario, form), form_apart)
    if told:
        pytest.fail(told, pytrace=False)


def test_every_rule_has_a_scenario_or_says_why_not():
    assert check.unknown_rules(SCENARIOS) == []


def test_scenarios_can_be_written_and_read_again():
    for scenario in SCENARIOS:
        (again,) = table.parse(str(scenario))
        assert str(again) == str(scenario)
        assert again.steps == scenario.steps and again.variants == scenario.variants


def test_a_wrong_answer_is_told():
    scenario = next(one for one in SCENARIOS if one.name == "value-before-start")
    answers = runner.transcript(scenario, "native")
    assert check.difference(scenario, "native", VERSION, answers) == ""
    answers[1] = ["item 2"]
    assert "- item 1\n      + item 2" in check.difference(scenario, "native", VERSION, answers)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("=== 11 name\n", "a scenario needs a rule, a name and a sentence"),
        (
            "=== 11 name\nSaid.\n--- body\nasync def other():\n    yield\n--- consumer\nanext()\n",
            "no body is called root",
        ),
        (
            "=== 11 name\nSaid.\n--- body\nasync def root():\n    yield\n--- consumer\nfrobnicate()\n",
            "<scenario>:7: no operation",
        ),
        (
            "=== 11 name\nSaid.\n--- body\nasync def root():\n    yield\n--- consumer\n    item 1\n",
            "<scenario>:7: an answer before",
        ),
        ("=== 11 name\nSaid.\n--- on native 3.10\n", "a variant needs its reason"),
        ("=== 11 name\nSaid.\n--- not on jython: unknown\n", "no implementation: 'jython'"),
    ],
)
def test_mistakes_are_told_with_their_line(text, says):
    with pytest.raises(table.TableError, match=says):
        table.parse(text)
