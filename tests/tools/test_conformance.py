"""Which interpreters the conformance table runs on."""

import subprocess
from types import SimpleNamespace


def test_debug_builds_only_by_name(load, monkeypatch):
    tool = load("conformance")
    release = SimpleNamespace(headers=True, debug=False, path="/3.14")
    debug = SimpleNamespace(headers=True, debug=True, path="/3.14d")
    monkeypatch.setattr(tool, "choose", lambda names: [release, debug])
    asked = []
    done = SimpleNamespace(returncode=0)
    monkeypatch.setattr(subprocess, "run", lambda command, **options: asked.append(command[2:]) or done)
    assert tool.environments([]) == [release]
    assert tool.environments(["3.14", "3.14d"]) == [release, debug]
    assert asked == [["/3.14"], ["/3.14", "/3.14d"]]
