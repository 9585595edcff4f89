"""A fixed number of random scenarios, the same in every run; `make fuzz` draws others for as long as one likes."""

import pytest
import randoms
import runner
from randoms import COMPARISONS, Different, Program

EXAMPLES = {"single generators": 100, "delegation": 100, "mixed kinds": 150}


@pytest.mark.parametrize("comparison", EXAMPLES)
def test_random_scenarios_are_answered_as_by_native_generators(comparison):
    randoms.search(comparison, EXAMPLES[comparison])


def test_a_wrong_answer_is_found_and_told_as_a_scenario(monkeypatch):
    dialect, check = COMPARISONS["single generators"]
    program = Program(
        randoms.function("root", "yield 1\nlog('got', (yield 2))"), (("anext", "root", None), ("anext", "root", None))
    )
    check(program, dialect)
    answers = runner.transcript
    monkeypatch.setattr(
        randoms, "answers_of", lambda scenario, kind: [[*one, "item 7"] for one in answers(scenario, kind)]
    )
    with pytest.raises(Different, match="coroutine answers otherwise"):
        check(program, dialect)


def test_the_search_finds_a_needle():
    def check(program, dialect):
        scenario = randoms.reference(program, dialect)
        if any("log got" in answer for step in scenario.steps for answer in step.answers):
            raise Different(str(scenario))

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(COMPARISONS, "needle", (randoms.ALONE, check))
        with pytest.raises(Different, match="=== 0 random"):
            randoms.search("needle", 200)
