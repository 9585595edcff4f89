"""The type stubs, as users' type checkers see them: mypy --strict, pyright, pyrefly and ty, on samples right and wrong.

The samples in samples/ state the types they expect with `assert_type`, and mark the lines that have to be errors. mypy's
stubtest compares the stubs with the package that was built. What ty cannot see is in ty-differences.txt, line by line.
"""

import importlib.util
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
from collections import Counter
from pathlib import Path

import async_generator
import pytest

HERE = Path(__file__).resolve().parent
SAMPLES = sorted((HERE / "samples").glob("*.py"))
INSTALLED = Path(async_generator.__file__).parent
SOURCE = HERE.parents[2] / "python" / "async_generator"
MISTAKES = HERE / "samples" / "mistakes.py"
SCRIPTS = Path(sysconfig.get_path("scripts"))
RIGHT = [sample for sample in SAMPLES if sample != MISTAKES]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A folder with a copy of the package that these tests import, for the checkers to search."""
    folder = tmp_path_factory.mktemp("tree")
    shutil.copytree(INSTALLED, folder / "async_generator", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    return folder


def run(command, **env):
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=600, env={**os.environ, **env}
    )
    return done.returncode, done.stdout + done.stderr


class Mypy:
    name = "mypy"

    def __init__(self, tree):
        if importlib.util.find_spec("mypy") is None:
            pytest.skip("mypy is not installed for this interpreter")
        self.tree = tree

    def check(self, *files, mode="strict"):
        """Returns {file name: lines with errors} and the output. There is no other mode than the strict one here."""
        command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-color-output"]
        command += ["--python-executable", sys.executable, "--cache-dir", self.tree / ".mypy", *files]
        status, output = run(command, MYPYPATH=str(self.tree))
        assert status in (0, 1), output
        found = re.findall(r"^(.+?):(\d+): error: ", output, re.MULTILINE)
        assert bool(found) == bool(status), output
        return lines_by_file(found), output


class Pyright:
    name = "pyright"

    def __init__(self, tree):
        if importlib.util.find_spec("pyright") is None:
            pytest.skip("pyright is not installed for this interpreter")
        status, output = run([sys.executable, "-m", "pyright", "--version"])
        if status != 0 or not output.startswith("pyright "):
            pytest.skip(f"pyright does not start; it needs Node.js, here or from the network: {output.strip()[-200:]}")
        self.tree = tree

    def check(self, *files, mode="strict"):
        """Returns {file name: lines with errors} and the output."""
        settings = {
            "include": [str(self.within_tree(file)) for file in files],
            "typeCheckingMode": mode,
            "reportMissingModuleSource": "none",
            "reportPrivateUsage": "none",
        }
        (self.tree / "pyrightconfig.json").write_text(json.dumps(settings))
        command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson", "-p", self.tree]
        status, output = run(command)
        if not output.startswith("{"):
            pytest.fail(f"pyright did not run:\n{output}")
        report, _ = json.JSONDecoder().raw_decode(output)
        assert report["summary"]["filesAnalyzed"] == len(files), output
        errors = [one for one in report["generalDiagnostics"] if one["severity"] == "error"]
        assert bool(errors) == bool(status), output
        output = "\n".join(f"{one['file']}:{one['range']['start']['line'] + 1}: {one['message']}" for one in errors)
        return lines_by_file((one["file"], one["range"]["start"]["line"] + 1) for one in errors), output

    def within_tree(self, file):
        """pyright checks files of its project's folder only: others are copied there."""
        if self.tree in file.parents:
            return file.relative_to(self.tree)
        return Path(shutil.copy(file, self.tree)).relative_to(self.tree)


class Pyrefly:
    name = "pyrefly"

    def __init__(self, tree):
        self.command, self.tree = program("pyrefly"), tree

    def check(self, *files, mode="strict"):
        """Returns {file name: lines with errors} and the output."""
        command = [self.command, "check", "--preset", {"strict": "strict", "standard": "default"}[mode]]
        command += ["--output-format", "min-text", "--color", "never", "--python-interpreter-path", sys.executable]
        status, output = run([*command, "--search-path", self.tree, *files])
        assert status in (0, 1) and re.search(r"^ INFO \d+ errors?", output, re.MULTILINE), output
        found = re.findall(r"^ERROR (.+?):(\d+):", output, re.MULTILINE)
        assert bool(found) == bool(status), output
        return lines_by_file(found), output


class Ty:
    name = "ty"

    def __init__(self, tree):
        self.command, self.tree = program("ty"), tree

    def check(self, *files, mode="strict"):
        """Returns {file name: lines with errors} and the output. There is one mode only."""
        command = [self.command, "check", "--output-format", "concise", "--color", "never", "--no-progress"]
        command += ["--python", sys.executable, "--project", self.tree, "--extra-search-path", self.tree]
        status, output = run([*command, *files])
        assert status in (0, 1) and re.search(r"^(All checks passed|Found \d+ diagnostic)", output, re.MULTILINE), (
            output
        )
        found = re.findall(r"^(.+?):(\d+):\d+: error\[", output, re.MULTILINE)
        assert bool(found) == bool(status), output
        return lines_by_file(found), output


def program(name):
    """The program of that name in this interpreter's environment."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed for this interpreter")
    return SCRIPTS / name


def lines_by_file(found):
    lines = {}
    for file, line in found:
        lines.setdefault(Path(file).name, set()).add(int(line))
    return lines


@pytest.fixture(scope="module", params=[Mypy, Pyright, Pyrefly, Ty], ids=lambda checker: checker.name)
def checker(request, tree):
    return request.param(tree)


def differences(checker, title):
    """The lines that this checker answers otherwise than the others: how many of each text, by the name of their file."""
    if checker.name != "ty":
        return {}
    texts = (HERE / "ty-differences.txt").read_text().partition(f"\n[{title}]\n")[2].partition("\n[")[0]
    files = {}
    for line in filter(None, texts.splitlines()):
        name, _, text = line.partition(": ")
        files.setdefault(name, Counter())[text] += 1
    assert files
    return files


def texts(found, *files):
    """The same as differences() gives, of what a checker has found."""
    lines = {file.name: file.read_text().splitlines() for file in files}
    return {name: Counter(lines[name][number - 1].strip() for number in numbers) for name, numbers in found.items()}


def marked(file):
    """The lines of a sample that have to be errors."""
    return {number for number, line in enumerate(file.read_text().splitlines(), 1) if line.endswith("  # error")}


def test_every_module_has_a_stub_and_the_package_is_marked_as_typed():
    modules = {path.name.partition(".")[0] for path in INSTALLED.iterdir() if path.suffix in {".py", ".so", ".pyd"}}
    stubs = {path.stem for path in INSTALLED.glob("*.pyi")}
    assert modules == stubs and "_engine" in stubs
    assert (INSTALLED / "py.typed").exists()


def test_right_uses_pass(checker):
    found, output = checker.check(*RIGHT)
    assert texts(found, *RIGHT) == differences(checker, "reported, though right"), output


def test_mistakes_are_reported_where_they_are_and_nowhere_else(checker):
    expected = marked(MISTAKES)
    assert len(expected) > 20
    found, output = checker.check(MISTAKES, mode="standard")
    missed = texts(
        {MISTAKES.name: expected - found[MISTAKES.name]} if expected - found[MISTAKES.name] else {}, MISTAKES
    )
    assert missed == differences(checker, "not reported, though wrong"), output
    assert found[MISTAKES.name] <= expected, output


def test_a_wrong_expectation_is_noticed(checker, tmp_path):
    """That `assert_type` is really looked at: each of the expectations is wrong here."""
    sample = tmp_path / "wrong.py"
    text = (HERE / "samples" / "functions.py").read_text()
    changed = re.sub(r"^(    assert_type\(.+, )AsyncGenerator\[.+\]\)$", r"\1int)  # error", text, flags=re.MULTILINE)
    sample.write_text(changed)
    assert len(marked(sample)) > 20
    found, output = checker.check(sample, mode="standard")
    assert found == {sample.name: marked(sample)}, output


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_annotations_mean_something_at_run_time(sample):
    """The annotations of the samples are evaluated when they are defined; nothing of them may fail there."""
    if sample == MISTAKES:
        source = sample.read_text().partition("async_generator(plain)")[0]
        exec(compile(source, str(sample), "exec"), {"__name__": "mistakes"})
    else:
        runpy.run_path(str(sample))


def test_the_package_itself_passes(checker, tree):
    if not SOURCE.is_dir():
        pytest.skip("the sources of the package are not part of this copy of the tests")
    stubs = sorted((tree / "async_generator").glob("*.pyi"))
    modules = sorted((tree / "async_generator").glob("*.py"))
    # pyrefly's strict mode asks for decorators that the oldest Python here does not have.
    found, output = checker.check(*stubs, mode="standard" if checker.name == "pyrefly" else "strict")
    assert texts(found, *stubs) == differences(checker, "reported in the stubs"), output
    if checker.name in ("pyrefly", "ty"):
        return  # users see the stubs; two checkers are enough for what is behind them
    # Code that takes functions and their code apart speaks of Any: pyright's strict mode is for stubs and users.
    found, output = checker.check(*modules, mode="standard")
    assert found == {}, output


def test_stubs_say_what_is_there_at_run_time(tree):
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed for this interpreter")
    command = [sys.executable, "-m", "mypy.stubtest", "async_generator"]
    command += ["--allowlist", HERE / "stubtest-allowlist.txt", "--ignore-unused-allowlist"]
    status, output = run(command, PYTHONPATH=str(tree), MYPYPATH=str(tree))
    assert status == 0, output
    assert "Success: no issues found" in output
