"""A fixed number of random scenarios, the same in every run; `make fuzz` draws others for as long as one likes."""

import randoms
from hypothesis import HealthCheck, Phase, given, settings
from randoms import Dialect

PROFILE = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.explicit, Phase.generate, Phase.shrink],
}
ALONE = Dialect(delegates=False)
DELEGATING = Dialect()
SYNTAX = Dialect(values=False)


@settings(max_examples=150, **PROFILE)
@given(randoms.programs(ALONE))
def test_single_generators_answer_as_native_ones(program):
    randoms.check_forms(program, ALONE)


@settings(max_examples=150, **PROFILE)
@given(randoms.programs(DELEGATING))
def test_delegating_generators_answer_as_pep_828_has_it(program):
    randoms.check_forms(program, DELEGATING)


@settings(max_examples=150, **PROFILE)
@given(randoms.programs(SYNTAX))
def test_kinds_mix(program):
    randoms.check_mixed(program, SYNTAX)
