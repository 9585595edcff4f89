"""The programs of meddling.py, in processes of their own: a crash fails with the seed of the program that ran.

Where sanitizers watch (tools/test --suite "faults sanitized") what is freed and read shows as well.
"""

import os
import subprocess
import sys

import pytest
from conftest import FULL, HERE

CHUNK = 500
COUNT = int(os.environ.get("AGEN_PROGRAMS", 100_000 if FULL else 2_000))


def play(tmp_path, first, count, *options):
    note = tmp_path / "seed"
    command = [sys.executable, "-X", "faulthandler", HERE / "meddling.py", first, count, "--note", note, *options]
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True, timeout=1800)
    seed = note.read_text().strip() if note.exists() else "none"
    told = f"seed {seed}, status {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-8000:]}"
    assert done.returncode == 0, told
    return dict(reversed(line.strip().split(" ", 1)) for line in done.stdout.splitlines()[1:])


@pytest.mark.parametrize("first", range(0, COUNT, max(CHUNK, COUNT // 50)))
def test_programs_that_meddle_at_every_point(tmp_path, first):
    play(tmp_path, first, max(CHUNK, COUNT // 50))


def test_the_programs_do_no_harm_to_native_generators(tmp_path):
    """What they do is not what crashes."""
    play(tmp_path, 0, 2_000, "--native")


def test_the_programs_meddle_at_every_point(tmp_path):
    met = play(tmp_path, 0, 1_000)
    traced = {"a trace function"} if sys.version_info >= (3, 12) else set()  # where CPython survives that: meddling.py
    assert set(met) == traced | {
        "__await__", "an awaitable's send", "an awaitable's throw", "an awaitable's close", "an awaitable's destructor",
        "__aiter__", "__anext__", "asend", "athrow", "aclose", "__getattr__", "an iterator's destructor",
        "an item's destructor", "a default's destructor", "an exception's constructor", "an exception's arguments",
        "a body", "a finally", "a helper's end", "a function that makes a body", "an asyncgen hook",
        "a weak reference's callback", "a collection", "a warning", "the unraisable hook",
    }  # fmt: skip
