"""Cancellation and exceptions at every await of every scenario, in asyncio and trio: native and the package agree."""

import sys

import forms
import hosts
import injection
import page
import pytest
import table

if (
    forms.WITHOUT_ENGINE
):  # what stands in a cycle is then collected otherwise (docs/differences.md, "Without the engine")
    pytest.skip("without the engine, the collector may close a body before its generator", allow_module_level=True)

VERSION = sys.version_info[:3]
#: Without those of environments: on an event loop, what other forms drop is closed in another task.
SCENARIOS = [one for one in table.load() if not any(rule.startswith(("533", "568")) for rule in one.rules)]
#: Native before 3.13 is "already running" for ever after an operation that ended by a throw (rule 33): there it is compared up
#: to the answer of that operation only.
WHOLE = sys.version_info >= (3, 13)


#: The bodies are told by a context variable which operation they serve: in a context of their own they see the first one's.
FORMS = [form for form in forms.FORMS if form != "own"]


def differs(scenario, form):
    """Whether the table says that this form, or native, answers otherwise here anyway."""
    return any(scenario.variant(one, VERSION) for one in ("native", form))


@pytest.mark.parametrize("host", ["asyncio", "trio"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_native_and_the_package_agree_and_nothing_is_left(scenario, host):
    if host not in hosts.HOSTS:
        pytest.skip("trio has no wheel for this interpreter")
    performances = {
        form: injection.Performance(scenario, form, hosts.HOSTS[host]())
        for form in FORMS
        if not page.without(scenario, page.Column(form, version=VERSION))
    }
    told = {form: performance.all_runs() for form, performance in performances.items()}
    for form in told:
        if differs(scenario, form):
            continue
        for (what, expected, until), (_, given, _) in zip(told["native"], told[form], strict=True):
            end = None if WHOLE else until + 1
            assert given[:end] == expected[:end], f"{form}, {what}"
    # Native generators that ignored their exit stay in trio's hands; of the package's nothing may.
    left = {form: performance.left() for form, performance in performances.items() if form != "native"}
    assert left == dict.fromkeys(left, 0)


def test_hardly_a_scenario_is_without_awaits():
    awaits = [
        len(injection.Performance(scenario, "coroutine", hosts.AsyncioHost()).all_runs()) for scenario in SCENARIOS
    ]
    assert sum(count > 0 for count in awaits) > 220
