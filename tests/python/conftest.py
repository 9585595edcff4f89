"""Fixtures for all tests of the package, and the rule that nothing may go wrong unseen."""

import gc
import sys
import weakref

import pytest
from bodies import IMPLEMENTATIONS
from builds import CPYTHON, PLAIN, UNSEEN


def pytest_addoption(parser):
    parser.addoption(
        "--implementation",
        action="append",
        choices=list(IMPLEMENTATIONS),
        default=None,
        help="test only this implementation (may be repeated); without it, all",
    )


def pytest_generate_tests(metafunc):
    if "implementation" not in metafunc.fixturenames:
        return
    names = list(IMPLEMENTATIONS)
    if not CPYTHON:  # whose own generators are the oracle
        names = [name for name in names if IMPLEMENTATIONS[name].ours]
    for mark in metafunc.definition.iter_markers():
        if mark.name in ("only", "without"):
            assert mark.kwargs.get("reason"), f"{metafunc.definition.nodeid}: say why"
            assert set(mark.args) <= set(IMPLEMENTATIONS), mark.args
        if mark.name == "only":
            names = [name for name in names if name in mark.args]
        if mark.name == "without":
            names = [name for name in names if name not in mark.args]
    metafunc.parametrize("implementation", [IMPLEMENTATIONS[name] for name in names], ids=names)


def pytest_collection_modifyitems(config, items):
    chosen = config.getoption("--implementation")
    if not chosen:
        return
    kept, left = [], []
    for item in items:
        parameters = getattr(item, "callspec", None)
        one = parameters.params.get("implementation") if parameters else None
        # A test without the fixture is about the package itself: it belongs to no implementation.
        (kept if one is not None and one.name in chosen else left).append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = kept


def pytest_runtest_setup(item):
    """The marks of what cannot be had everywhere. Native generators are themselves everywhere."""
    implementation = getattr(item, "callspec", None) and item.callspec.params.get("implementation")
    native = getattr(implementation, "name", "") == "native"
    for name, lacks, where in (
        ("engine", PLAIN and not native, "without the engine"),
        ("seen", UNSEEN and not native, "without the engine, where flags decide what a call makes"),
        ("cpython", not CPYTHON, "not on CPython"),
    ):
        for mark in item.iter_markers(name):
            assert mark.kwargs.get("reason"), f"{item.nodeid}: say why"
            if lacks:
                pytest.skip(f"{where}: {mark.kwargs['reason']}")


def keep_what_is_alive():
    """A collection then looks only at what is made from now on."""
    gc.collect()
    if hasattr(gc, "freeze"):  # CPython
        gc.freeze()


def pytest_collection_finish(session):
    keep_what_is_alive()


@pytest.fixture(scope="module", autouse=True)
def reports_are_kept():
    """pytest keeps a report of each test: after some thousands, to look at them again takes longer than a test."""
    yield
    keep_what_is_alive()


class Unraisable(list):
    """The unraisable exceptions of a test. A test that expects one takes it out with `take`."""

    def take(self, exception_type=BaseException):
        gc.collect()
        assert self, "no unraisable exception was reported"
        report = self.pop(0)
        assert isinstance(report.exc_value, exception_type), report
        return report


@pytest.fixture(autouse=True)
def unraisable(monkeypatch):
    reports = Unraisable()
    monkeypatch.setattr(sys, "unraisablehook", reports.append)
    before = sys.get_asyncgen_hooks()
    yield reports
    gc.collect()
    left = [(report.exc_value, report.err_msg, report.object) for report in reports]
    reports.clear()
    assert not left, f"unraisable exceptions: {left}"
    after = sys.get_asyncgen_hooks()
    if after != before:
        sys.set_asyncgen_hooks(*before)
        pytest.fail(f"asyncgen hooks were left behind: {after}")


class Hooks:
    """Recording asyncgen hooks."""

    def __init__(self):
        self._begun = []
        self.dropped = []

    @property
    def begun(self):
        """The generators that firstiter was called with and that are alive, in order."""
        return [generator for generator in (reference() for reference in self._begun) if generator is not None]

    def _firstiter(self, generator):
        self._begun.append(weakref.ref(generator))

    def install(self):
        sys.set_asyncgen_hooks(self._firstiter, self.dropped.append)


@pytest.fixture
def hooks(unraisable):
    before = sys.get_asyncgen_hooks()
    recorder = Hooks()
    recorder.install()
    yield recorder
    sys.set_asyncgen_hooks(*before)
    recorder.dropped.clear()
