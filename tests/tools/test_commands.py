"""The commands themselves: what fails is counted, nothing else is lost by it, and the sum is printed last."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tool(load, monkeypatch, tmp_path):
    """tools/test with results in a folder of its own."""
    module = load("test")
    monkeypatch.setattr(module, "LOGS", tmp_path)
    monkeypatch.setattr(module, "RESULTS", tmp_path / "results.json")
    return module


def says(text):
    return ["-c", f"print({text!r})"]


@pytest.fixture
def run(tool, monkeypatch, capsys):
    """Runs tools/test with these suites; gives its status and the lines that it prints."""

    def run(suites, *arguments):
        monkeypatch.setattr(tool, "SUITES", suites)
        monkeypatch.setattr(sys, "argv", ["test", *arguments])
        status = tool.main()
        return status, capsys.readouterr().out.splitlines()

    return run


def raising(error):
    def prepare(one):
        raise error

    return prepare


@pytest.mark.parametrize(
    "error",
    [SystemExit("no network"), SystemExit(1), RuntimeError("no network"), KeyError("x"), OSError("no such program")],
    ids=repr,
)
def test_a_preparation_that_fails_is_one_failure_of_its_suite(tool, run, error):
    suites = [
        tool.Suite("first", says("2 passed, 0 failed, 1 skipped"), tool.ALONE, limit=60, when=tool.BOTH),
        tool.Suite("broken", says("never"), tool.ALONE, limit=90, when=tool.BOTH, prepare=raising(error)),
        tool.Suite("last", says("3 passed, 0 failed"), tool.ALONE, limit=30, when=tool.BOTH),
    ]
    status, lines = run(suites)
    assert status == 1
    assert lines[-1] == "5 passed, 1 failed, 1 skipped"
    assert [line for line in lines if line.startswith("broken") and "FAILED" in line]
    assert str(error) in "\n".join(lines)


def test_what_is_missing_is_a_skip_that_says_what_brings_it(tool, run):
    missing = raising(tool.Missing("no libtsan.so (Debian: g++)"))
    status, lines = run(
        [
            tool.Suite("threads", says("never"), tool.ALONE, limit=60, when=tool.BOTH, prepare=missing),
            tool.Suite("other", says("1 passed, 0 failed"), tool.ALONE, limit=60, when=tool.BOTH),
        ]
    )
    assert status == 0
    assert lines[-1] == "1 passed, 0 failed, 1 skipped"
    assert "    skipped: no libtsan.so (Debian: g++)" in lines


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (says("nothing that counts"), "ended with status 0 and 0 tests passed"),
        (["-c", "print('4 passed, 0 failed'); raise SystemExit(3)"], "ended with status 3 and 4 tests passed"),
        (["-c", "print('JUNIT')"], "ended with status 0 and 0 tests passed"),
        (["-c", "open('JUNIT', 'w').write('<not XML')"], "ParseError"),
        (["-c", "import time; time.sleep(60)"], "stopped after 1 s"),
    ],
    ids=["no count", "bad end", "no results", "half a file of results", "too long"],
)
def test_a_suite_that_ends_badly_is_a_failure_and_keeps_its_output(tool, run, arguments, why):
    limit = 1 if "sleep" in arguments[1] else 60
    status, lines = run(
        [
            tool.Suite("bad", arguments, tool.ALONE, limit=limit, when=tool.BOTH),
            tool.Suite("good", says("1 passed, 0 failed"), tool.ALONE, limit=60, when=tool.BOTH),
        ]
    )
    assert status == 1
    assert lines[-1].split(", ")[1] == "1 failed"
    assert why in "\n".join(line for line in lines if line.startswith("failed: bad: "))


def test_the_end_names_what_failed(tool, run):
    pytest_says = "E  assert 0\nFAILED tests/a.py::test_one - assert 0\n1 passed, 1 failed"
    ctest_says = (
        "\t 7 - Close.Waits (SEGFAULT)\n\t 9 - Close.Ends (Failed)\nErrors while running CTest\n1 passed, 2 failed"
    )
    _, lines = run(
        [
            tool.Suite("P", says(pytest_says), tool.ALONE, limit=60, when=tool.BOTH),
            tool.Suite("C", says(ctest_says), tool.ALONE, limit=60, when=tool.BOTH),
        ]
    )
    assert [line for line in lines if line.startswith("failed: ")] == [
        "failed: P: FAILED tests/a.py::test_one - assert 0",
        "failed: C: 7 - Close.Waits (SEGFAULT)",
        "failed: C: 9 - Close.Ends (Failed)",
    ]


def interpreter(tag, **features):
    usual = {"headers": True, "pip": True, "free_threaded": False, "debug": False, "path": sys.executable}
    return SimpleNamespace(tag=tag, **usual | features)


def test_where_suites_run(tool, monkeypatch):
    plain = [interpreter("3.10"), interpreter("3.12"), interpreter("3.13"), interpreter("3.15", pip=False)]
    debug = [interpreter("3.11d", debug=True), interpreter("3.14d", debug=True)]
    found = [*plain, *debug, interpreter("3.13t", free_threaded=True), interpreter("3.9", headers=False)]
    monkeypatch.setattr(tool, "find", lambda: found)
    monkeypatch.setattr(tool, "choose", lambda names: [one for one in found if one.tag in names])

    def environment(_for, _purpose, *tags):
        return SimpleNamespace(stdout="".join(f"/x/.venv/{tag}/bin/python\n" for tag in tags))

    monkeypatch.setattr(tool, "environment", environment)

    def tags(on, *names):
        return [run.one.tag for run in tool.plan([tool.Suite("some", [], on, limit=1)], names, "check")]

    assert tags(tool.EACH) == ["3.10", "3.12", "3.13", "3.15", "3.13t"]
    assert tags(tool.EACH_WITH_GIL) == ["3.10", "3.12", "3.13", "3.15"]
    assert tags(tool.ENDS) == ["3.10", "3.13", "3.15"]
    assert (tags(tool.OLDEST), tags(tool.NEWEST), tags(tool.ONE)) == (["3.10"], ["3.15"], ["3.13"])
    assert (tags(tool.DEBUG), tags(tool.FREE_THREADED)) == (["3.14d"], ["3.13t"])
    for on in (tool.EACH, tool.EACH_WITH_GIL, tool.ENDS, tool.OLDEST, tool.NEWEST):
        assert tags(on, "3.12", "3.13t") == ["3.12", "3.13t"]
    assert (tags(tool.DEBUG, "3.11d"), tags(tool.DEBUG, "3.12")) == (["3.11d"], [])
    assert tags(tool.ONE, "3.12") == ["3.12"]


def test_an_interpreter_without_an_environment_takes_nothing_from_the_others(tool, run, monkeypatch, tmp_path):
    monkeypatch.setattr(tool, "find", lambda: [interpreter("3.12"), interpreter("3.13")])
    made = SimpleNamespace(stdout="/x/.venv/3.12/bin/python\n", returncode=1)
    monkeypatch.setattr(tool, "environment", lambda *arguments: made)
    monkeypatch.setattr(tool.Run, "python", Path(sys.executable))
    status, lines = run([tool.Suite("unit", says("7 passed, 0 failed"), tool.EACH, limit=60)], "--check")
    assert status == 1
    assert lines[-3:] == [
        "3.12: 7 passed, 0 failed, 0 skipped",
        "3.13: 0 passed, 1 failed, 0 skipped",
        "7 passed, 1 failed, 0 skipped",
    ]


def test_without_any_environment_the_sum_is_printed_and_the_rest_runs(tool, run, monkeypatch):
    monkeypatch.setattr(tool, "find", lambda: [])
    monkeypatch.setattr(tool, "choose", lambda names: [])
    monkeypatch.setattr(tool, "environment", lambda *arguments: SimpleNamespace(stdout="", returncode=1))
    status, lines = run(
        [
            tool.Suite("unit", says("never"), tool.EACH, limit=60, when=tool.BOTH),
            tool.Suite("C++", says("cpp: 2 passed, 0 failed, 0 skipped"), tool.ALONE, limit=60, when=tool.BOTH),
        ]
    )
    assert (status, lines[-1]) == (1, "2 passed, 1 failed, 0 skipped")


def test_the_rest_adds_what_has_run_once(tool, run):
    suites = [
        tool.Suite("quick", says("1 passed, 0 failed"), tool.ALONE, limit=60, when=tool.TEST),
        tool.Suite("both", says("2 passed, 0 failed"), tool.ALONE, limit=60, when=tool.BOTH),
        tool.Suite("all", says("4 passed, 0 failed"), tool.ALONE, limit=60),
        tool.Suite("long", says("8 passed, 0 failed"), tool.ALONE, limit=60, when=tool.SLOW),
    ]
    assert run(suites)[1][-1] == "3 passed, 0 failed, 0 skipped"
    status, lines = run(suites, "--check", "--rest")
    assert (status, lines[-1]) == (0, "7 passed, 0 failed, 0 skipped")
    assert not [line for line in lines if line.startswith("both")]
    status, lines = run(suites, "--check", "--rest")
    assert (status, lines[-1]) == (1, "6 passed, 1 failed, 0 skipped"), "those results have been used"
    assert run(suites, "--check")[1][-1] == "6 passed, 0 failed, 0 skipped"
    assert run(suites, "--all")[1][-1] == "14 passed, 0 failed, 0 skipped"


def test_a_failure_of_test_is_one_of_the_rest(tool, run):
    suites = [
        tool.Suite("both", says("2 passed, 1 failed"), tool.ALONE, limit=60, when=tool.BOTH),
        tool.Suite("all", says("4 passed, 0 failed"), tool.ALONE, limit=60),
    ]
    run(suites)
    status, lines = run(suites, "--check", "--rest")
    assert (status, lines[-1]) == (1, "6 passed, 1 failed, 0 skipped")


# The real suites ------------------------------------------------------------------------------------------------------------


def test_every_test_file_belongs_to_make_check(tool):
    suites = [suite for suite in tool.SUITES if suite.when in (tool.BOTH, tool.CHECK)]
    for file in ROOT.glob("tests/**/test_*.py"):
        assert [suite.name for suite in suites if runs(suite, file)], f"{file} is in no suite of make check"


def test_make_test_has_every_part(tool):
    names = {suite.name for suite in tool.SUITES if suite.when in (tool.TEST, tool.BOTH)}
    assert names >= {"unit", "conformance", "C++ g++-debug", "bridge nanobind", "docs code"}


def runs(suite, file):
    if "-k" in suite.arguments:
        return False
    paths = [Path(one) for one in suite.arguments if os.path.isabs(one)]
    left_out = [Path(one.partition("=")[2]) for one in suite.arguments if one.startswith("--ignore=")]
    inside = [path for path in paths if file == path or path in file.parents]
    return bool(inside) and not any(file == path or path in file.parents for path in left_out)


def test_no_two_suites_write_the_same_files(tool):
    logs = [tool.Run(suite, None).log for suite in tool.SUITES]
    assert len(set(logs)) == len(logs)


def test_real_code_quick_and_full_have_folders_of_their_own(load):
    tool = load("real-code")
    assert tool.build_folder(True) != tool.build_folder(False)
    assert not tool.build_folder(True).is_relative_to(tool.build_folder(False))


def test_the_engine_is_compiled_without_a_search_for_modules():
    commands = ROOT / "build" / "python" / Path(sys.prefix).name / "compile_commands.json"
    assert "modules" not in "".join(one["command"] for one in json.loads(commands.read_text()))


# Setting up -----------------------------------------------------------------------------------------------------------------


def test_a_step_that_fails_shows_what_its_tool_said(load, capsys):
    tool = load("environment")
    with pytest.raises(SystemExit):
        tool.run(sys.executable, "-c", "print('cmake took too long'); raise SystemExit(3)")
    assert "cmake took too long" in capsys.readouterr().err


def test_without_a_network_a_sentence_says_so_at_once(tmp_path):
    alone = ["unshare", "--map-root-user", "--net"]
    if not shutil.which("unshare") or subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("no network namespace can be made here")
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    settings = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    done = subprocess.run(
        [*alone, sys.executable, tmp_path / "tools" / "demo"],
        env={**settings, "PIP_CONFIG_FILE": os.devnull},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("environment: the network is needed"), done.stderr
    assert done.stderr.count("Retrying") <= 2


@pytest.mark.parametrize("what", ["build", "install"])
def test_without_a_debian_archive_other_interpreters_are_done_without(monkeypatch, tmp_path, capsys, what):
    import cpython
    import debian

    monkeypatch.setattr(debian, "mirror", lambda: None)
    if what == "build":
        assert cpython.build(tmp_path, ["3.14"], ["--disable-gil"], "t") is None
    else:
        assert cpython.install(tmp_path, ["3.14"]) == []
    assert "pythons: no " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_bare_finds_the_line_of_the_readme(load):
    words = load("bare").packages().split()
    assert {"g++", "make", "python3-dev", "python3-venv"} <= set(words)
    assert all(word.replace("+", "").replace("-", "").isalnum() for word in words)
