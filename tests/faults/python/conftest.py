"""Shared by the fault tests: sizes, programs in processes of their own, and the extension that makes memory fail.

Small sizes by default; AGEN_FULL=1 asks for the full ones (tools/test --all sets it).
"""

import os
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
FULL = os.environ.get("AGEN_FULL", "") not in ("", "0")
# driving.py, whose helpers drive awaitables without a loop.
sys.path.insert(0, str(HERE.parents[1] / "python"))


@pytest.fixture(scope="session")
def full():
    return FULL


def run_program(source, *arguments, timeout=600, python_path=(), **environment):
    """Runs `source` in a new interpreter; returns the finished process. A crash shows where it happened."""
    env = {**os.environ, "PYTHONFAULTHANDLER": "1", **environment}
    folders = [*map(str, python_path), str(HERE), str(HERE.parents[1] / "python"), env.get("PYTHONPATH", "")]
    env["PYTHONPATH"] = os.pathsep.join(filter(None, folders))
    command = [sys.executable, "-c", textwrap.dedent(source), *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout)


@pytest.fixture
def program():
    """Runs a program that must end well and say nothing on standard error; returns what it printed."""

    def run(source, *arguments, quiet=True, **options):
        done = run_program(source, *arguments, **options)
        told = f"status {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
        assert done.returncode == 0, told
        assert not quiet or not done.stderr, told
        return done.stdout

    return run


@pytest.fixture(scope="session")
def failing(tmp_path_factory):
    """The folder that holds the extension `failing`, built for this interpreter."""
    folder = tmp_path_factory.mktemp("failing")
    target = folder / f"failing{sysconfig.get_config_var('EXT_SUFFIX')}"
    compiler = os.environ.get("CC", "cc")
    command = [
        *compiler.split(),
        "-O1",
        "-fPIC",
        "-shared",
        f"-I{sysconfig.get_path('include')}",
        str(HERE / "failing.c"),
    ]
    done = subprocess.run([*command, "-o", str(target)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder
