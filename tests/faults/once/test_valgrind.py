"""The programs of the fault tests under valgrind: no invalid access, no use of what nobody set, in code of the engine.

An error counts when the engine is on its stack; the interpreter's own need no suppressions then.
"""

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

PYTHON = Path(__file__).resolve().parents[1] / "python"
PROGRAM = """
import sys, warnings
warnings.simplefilter("ignore")
sys.unraisablehook = lambda report: None
import async_generator
from programs import PROGRAMS, Trial, probe
for name, program in PROGRAMS.items():
    trial = Trial()
    program(trial)
    assert [probe(generator) for generator in trial.generators if probe(generator)] == [], name
print(len(PROGRAMS))
"""


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed (Debian: valgrind)")
def test_valgrind_finds_nothing_in_the_engine(tmp_path):
    report = tmp_path / "valgrind.xml"
    env = {
        **os.environ,
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": os.pathsep.join([str(PYTHON), str(PYTHON.parents[1] / "python")]),
    }
    command = [
        "valgrind",
        "--xml=yes",
        f"--xml-file={report}",
        "--num-callers=40",
        "--leak-check=full",
        "--show-leak-kinds=definite",
    ]
    done = subprocess.run(
        [*command, sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0 and int(done.stdout) >= 20, done.stderr[-3000:]
    errors = []
    for error in ElementTree.parse(report).iter("error"):
        frames = list(error.iter("frame"))
        if any("_engine" in (frame.findtext("obj") or "") for frame in frames):
            where = [
                f"{frame.findtext('fn')} {frame.findtext('file')}:{frame.findtext('line')}" for frame in frames[:12]
            ]
            errors.append((error.findtext("kind"), where))
    assert not errors, errors
