"""Fixtures of the bridge's tests: event loops, and the rule of tests/python that nothing may go wrong unseen."""

import gc
import os
import sys
from pathlib import Path

import loops
import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "tools"))
sys.path.append(str(HERE.parent / "python"))  # what the package's own tests bring along
import extensions  # noqa: E402


@pytest.fixture
def loop(kind):
    """The event loop of a test that is parametrized with `loops.every_loop`."""
    return loops.make(kind)


@pytest.fixture(autouse=True)
def unraisable(monkeypatch):
    reports = []
    monkeypatch.setattr(sys, "unraisablehook", reports.append)
    yield reports
    gc.collect()
    left = [(report.exc_value, report.err_msg, report.object) for report in reports]
    reports.clear()
    assert not left, f"unraisable exceptions: {left}"


@pytest.fixture(scope="session")
def channels():
    """The extension module of tests/bridge/channels."""
    return extensions.load(HERE / "channels", "channels")


TOOLS = os.environ.get("AGEN_BRIDGE_TOOLS", "nanobind pybind11").split()


@pytest.fixture(scope="session", params=TOOLS)
def bodies(request):
    """The bodies of tests/bridge/bodies as each binding tool binds them."""
    with_pybind11 = "ON" if "pybind11" in TOOLS else "OFF"
    return extensions.load(HERE / "bodies", f"bodies_{request.param}", WITH_PYBIND11=with_pybind11)


@pytest.fixture(scope="session", params=TOOLS)
def arguments(request):
    """The functions of tests/bridge/arguments as each binding tool binds them."""
    return extensions.load(HERE / "arguments", f"arguments_{request.param}")
