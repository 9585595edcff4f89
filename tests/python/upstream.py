"""Runs the 43 tests of PyPI's async_generator 1.10 against the `async_generator` that is importable here.

    python tests/python/upstream.py [pytest options]

pip fetches the 1.10 wheel once into .cache/ (or into the directory that ASYNC_GENERATOR_UPSTREAM names, which may also
hold a copy put there by hand). Only its `_tests` are unpacked, and joined to the package by extending its `__path__`.
Every warning is an error. The status is 0 only if all 43 tests ran and passed.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "async_generator-1.10-py3-none-any.whl"
SHA256 = "01c7bf666359b4967d2cda0000cc2e4af16a0ae098cbffcb8472fb9e8ad6585b"
TESTS = 43


class Unavailable(Exception):
    """The tests of 1.10 cannot be had here."""


def cache():
    """Where the wheel is kept between runs."""
    chosen = os.environ.get("ASYNC_GENERATOR_UPSTREAM")
    directory = Path(chosen) if chosen else Path(__file__).resolve().parents[2] / ".cache" / "upstream"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if os.access(directory, os.W_OK):
            return directory
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="async_generator-upstream-"))


def pips():
    """The commands that may download a wheel: an environment's own pip first, then any on the path."""
    yield [sys.executable, "-m", "pip"]
    for name in ("pip3", "pip"):
        if found := shutil.which(name):
            yield [found]
    for name in ("python3", "python"):
        if found := shutil.which(name):
            yield [found, "-m", "pip"]


def genuine(wheel):
    return wheel.is_file() and hashlib.sha256(wheel.read_bytes()).hexdigest() == SHA256


def wheel():
    """The path of the 1.10 wheel, downloaded if it is not in the cache."""
    directory = cache()
    path = directory / WHEEL
    if genuine(path):
        return path
    complaints = []
    # A directory of its own: two interpreters may be fetching at the same time.
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        for pip in pips():
            command = [*pip, "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
            try:
                result = subprocess.run(
                    [*command, "--dest", scratch, "async_generator==1.10"], capture_output=True, text=True, timeout=300
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                complaints.append(f"{' '.join(pip)}: {error}")
                continue
            fetched = Path(scratch) / WHEEL
            if genuine(fetched):
                os.replace(fetched, path)
                return path
            last = (result.stderr.strip() or "the file is not the 1.10 wheel").splitlines()[-1]
            complaints.append(f"{' '.join(pip)}: {last}")
    raise Unavailable(
        "async_generator 1.10 could not be downloaded; is this machine offline? "
        f"Put {WHEEL} into a directory and name it in ASYNC_GENERATOR_UPSTREAM.\n  " + "\n  ".join(complaints)
    )


def unpack(directory):
    """Unpacks the wheel's tests, and nothing else of it, below `directory`."""
    with zipfile.ZipFile(wheel()) as archive:
        names = [name for name in archive.namelist() if name.startswith("async_generator/_tests/")]
        archive.extractall(directory, names)
    package = Path(directory) / "async_generator"
    # Never imported, since the package is in sys.modules; it tells pytest that the tests belong to a package.
    (package / "__init__.py").touch()
    return package


class Count:
    """Counts outcomes; a test that is skipped, or fails in its set-up, is not a pass."""

    def __init__(self):
        self.passed = 0
        self.other = []

    def pytest_runtest_logreport(self, report):
        if report.when == "call" and report.passed:
            self.passed += 1
        elif not report.passed:
            self.other.append(f"{report.nodeid} ({report.when}: {report.outcome})")


def main(arguments):
    try:
        import async_generator
        import pytest
    except ImportError as error:
        print(f"upstream: {error}", file=sys.stderr)
        return 2
    # The tests of 1.10 bring their own runner for coroutines; plugins found by chance would take them over.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    count = Count()
    with tempfile.TemporaryDirectory(prefix="async_generator-tests-") as directory:
        try:
            async_generator.__path__.insert(0, str(unpack(directory)))
        except Unavailable as error:
            print(f"upstream: {error}", file=sys.stderr)
            return 2
        (Path(directory) / "pytest.ini").write_text("[pytest]\n")
        options = [
            "-q",
            "-W",
            "error",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            directory,
            "-c",
            f"{directory}/pytest.ini",
        ]
        status = pytest.main([*options, *arguments, "--pyargs", "async_generator._tests"], plugins=[count])
    version = ".".join(map(str, sys.version_info[:3]))
    where = os.path.dirname(async_generator.__file__)
    print(
        f"upstream: {count.passed} of {TESTS} tests of async_generator 1.10 passed on Python {version} (package in {where})"
    )
    if status == 0 and (count.passed != TESTS or count.other):
        print("upstream: not every test ran and passed:", *count.other, sep="\n  ", file=sys.stderr)
        return 1
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
