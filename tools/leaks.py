"""A pytest plugin that runs each test several times over and fails one that leaves more allocated blocks behind each time.

Used as `-p leaks` with this folder on PYTHONPATH. Caches and freelists fill in the first runs, so only the later ones count,
and only growth in every one of them is a leak, where the same test does not grow with native generators. What a test leaves
in the interpreter's memory outside Python's allocators (a C++ heap) is not seen here; the engine has none.
"""

import gc
import sys
import types

import pytest
from _pytest.runner import runtestprotocol

WARMING, COUNTED = 2, 4
NATIVE = []  # the tests of native generators


def pytest_addoption(parser):
    parser.addoption(
        "--leaks-again", type=int, default=40, help="how many more runs a suspect gets before it counts as one"
    )


def _repeats(item):
    """Whether running a test again means the same, and leaves nothing behind that is pytest's.

    A hypothesis test remembers, and draws other examples; pytest keeps a record of each temporary folder.
    """
    hypothesis = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    return not hypothesis and "tmp_path" not in getattr(item, "fixturenames", ())


def _settled():
    for _ in range(2):
        gc.collect()
    # It keeps names alive: one that was given as a C string is a new object at each lookup, and thousands fit in.
    (getattr(sys, "_clear_internal_caches", None) or sys._clear_type_cache)()
    return sys.getallocatedblocks()


def _forget(item):
    """Drops what a run hung onto parameters and tables of the test: an exception raised again and again collects tracebacks."""
    pending = list(_parameters(item).values())
    pending += [table for name, table in vars(item.module).items() if name.isupper()]
    while pending:
        one = pending.pop()
        if isinstance(one, BaseException):
            one.__traceback__ = one.__context__ = None
        elif isinstance(one, (tuple, list, dict)):
            pending += one.values() if isinstance(one, dict) else one


def _growth(item, runs):
    """How many blocks each run left behind; None as soon as a run fails, which the ordinary report will tell."""
    left = []
    for _ in range(runs):
        before = _settled()
        # The parent as the next item: the test itself is torn down each time, fixtures of modules and the session stay.
        passed = all(not report.failed for report in runtestprotocol(item, log=False, nextitem=item.parent))
        if not passed:
            return None
        _forget(item)
        left.append(_settled() - before)
    return left


def pytest_collection_finish(session):
    # Thousands of collected tests would be traversed in each of the many collections to come.
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(config, items):
    # The interpreter's own generators are run where ours leak only.
    NATIVE[:] = [item for item in items if "native" in _names(item)]
    left = set(NATIVE)
    config.hook.pytest_deselected(items=NATIVE)
    items[:] = [item for item in items if item not in left]


def _native_leaks(item, runs):
    """Whether the same test leaks with native generators: then it is not ours to mend."""
    for native in NATIVE:
        same = native.function is item.function and len(_names(native)) == len(_names(item))
        if same and all(theirs in (ours, "native") for theirs, ours in zip(_names(native), _names(item), strict=True)):
            growth = _growth(native, WARMING + runs)
            return growth is not None and min(growth[WARMING:]) > 0
    return False


def _names(item):
    """The names of a test's parameters."""
    return item.callspec.id.split("-") if hasattr(item, "callspec") else []


def _parameters(item):
    return item.callspec.params if hasattr(item, "callspec") else {}


@pytest.fixture(autouse=True)
def _collectable_reports(unraisable, monkeypatch):
    """Hands the tests a copy of each unraisable report: the interpreter's own is not tracked by its collector, so that a test
    which keeps one in a local variable makes a cycle that nothing can free."""
    record = sys.unraisablehook
    fields = ("exc_type", "exc_value", "exc_traceback", "err_msg", "object")
    copy = lambda report: record(types.SimpleNamespace(**{name: getattr(report, name) for name in fields}))  # noqa: E731
    monkeypatch.setattr(sys, "unraisablehook", copy)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    if not _repeats(item):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    growth = _growth(item, WARMING + COUNTED)
    if growth is not None and min(growth[WARMING:]) > 0:
        # Tables of the interpreter that double in size grow in spells; a leak grows for ever.
        again = item.config.getoption("--leaks-again")
        growth = _growth(item, again)
        if growth and min(growth) > 0 and _native_leaks(item, again):
            growth = None
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    for report in reports:
        if report.when == "call" and report.passed and growth and min(growth) > 0:
            report.outcome = "failed"
            report.longrepr = f"each run left allocated blocks behind: {growth}"
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
