"""The demonstration that `make demo` runs, at a small size: what it prints, and what a browser shows of its last act."""

import re
import subprocess
import sys
import time

import pytest
from browser import NEEDS_BROWSER, Page
from pages import ROOT

pytest.importorskip("trio", reason="the demonstration's first act needs trio")
DEMO = ROOT / "examples" / "python" / "demo"
MEETS = {
    "tokens that come more slowly than heartbeats": "0 of 5 tokens, 1 heartbeat, end",
    "a client that leaves, and cleanup that fails": "Task exception was never retrieved: OSError(",
    "a client that leaves, and a context variable": "Task exception was never retrieved: ValueError(",
    "a timeout that expires while the client is slow": "in the client's handler: CancelledError()",
}


def test_its_three_acts_are_right():
    command = [sys.executable, DEMO, "--lines", "500", "--nodes", "100", "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "every run gave 500 items" in done.stdout and "a tree of 100 nodes" in done.stdout
    told = dict(re.findall(r"^  (t\S.*|a .*)\n    native +(.*)$", done.stdout, re.MULTILINE))
    expected = {title: start for title, start in MEETS.items() if sys.version_info >= (3, 12) or "timeout" not in title}
    assert {title: told[title][: len(start)] for title, start in expected.items()} == expected


def test_a_wrong_answer_is_an_exit_status(tmp_path):
    wrong = "import runpy, sys, server; server.NUMBER = 4; sys.argv[1:] = ['--lines=10', '--nodes=3', '--rounds=1']; "
    wrong += f"runpy.run_path({str(DEMO / '__main__.py')!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", wrong], env={"PYTHONPATH": str(DEMO)}, capture_output=True, text=True)
    assert done.returncode == 1 and "WRONG: async_generator" in done.stderr


@NEEDS_BROWSER
def test_a_browser_shows_the_last_act(tmp_path):
    with subprocess.Popen([sys.executable, DEMO, "--web"], stdout=subprocess.PIPE, text=True) as server:
        page = Page(server.stdout.readline().split()[0], tmp_path / "profile")
        try:
            deadline = time.monotonic() + 60
            while page.value("document.getElementById('done')?.hidden ?? true"):
                assert time.monotonic() < deadline, page.value("document.body?.innerText")
                time.sleep(0.2)
            rows = page.value(
                "[...document.querySelectorAll('tbody tr')].map(row => [...row.children].map(cell => cell.innerText))"
            )
            reports = page.value("[...document.querySelectorAll('.report')].map(one => one.innerText)")
        finally:
            page.close()
            server.kill()
    assert [row[0] for row in rows] == list(MEETS)[: len(rows)]
    slow, ours = rows[0], [row[-1] for row in rows]
    assert slow[1].split() == ["ping", "end"] and slow[-1].count("token") == 5
    # Of native generators three, and the one that this package gives to the handler.
    assert len(reports) == len(rows) and "OSError" in ours[1] and "handler" in ours[1]
    assert all("Error" not in cell for at, cell in enumerate(ours) if at != 1)
