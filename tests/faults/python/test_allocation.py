"""Memory runs out at every allocation, one at a time (memory_programs.py says what must hold then)."""

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import FULL, run_program

HERE = Path(__file__).resolve().parent
PROGRAMS = re.findall(r"^@program\ndef (\w+)", (HERE / "programs.py").read_text(), re.M)


@functools.cache
def functions_crash(folder):
    """Whether this interpreter dies of a function object that it cannot allocate, with nothing of ours loaded."""
    source = """
        import failing
        def make():
            return lambda: None
        for _ in range(50):
            for n in (1, 2):
                failing.arm(n)
                try: make()
                except MemoryError: pass
                failing.disarm()
    """
    return run_program(source, python_path=[folder]).returncode != 0


# "once": this allocation fails and later ones succeed again. "sticky": none succeeds until the program is over.
@pytest.mark.parametrize("mode", ["once", "sticky"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_failing_allocation_leaves_nothing_half_done(failing, name, mode):
    if name == "decorate" and functions_crash(failing):
        pytest.skip("this interpreter crashes by itself when it cannot allocate a function object")
    stride = 1 if FULL else {"once": 2, "sticky": 3}[mode]
    command = [str(HERE / "memory_programs.py"), name, mode, str(stride)]
    path = os.pathsep.join([str(failing), str(HERE.parents[1] / "python"), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": path, "PYTHONFAULTHANDLER": "1"}
    done = subprocess.run([sys.executable, *command], env=env, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}\n{done.stderr[-4000:]}"
    assert re.match(rf"{name}: [1-9]\d* allocations", done.stdout), done.stdout
