"""CPythons of other platforms that run on this machine: of Windows under Wine, of musl, and of aarch64 under qemu.

Those for Linux are installed by `pythons --install-elsewhere`, in one version. That for Windows comes with its headers
(targets.py), in each version that PyPI has.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cpython
import debian
import wine
from interpreters import OWN
from targets import windows_python

PLACE = OWN.parent / "pythons-elsewhere"
VERSION = "3.13"  # what Debian has for aarch64, and source of
SUITE = "trixie"  # Debian's release with that version
LINUX = {"musllinux_1_2_x86_64": "musl", "manylinux_2_17_aarch64": "aarch64"}  # the platforms' tags
HOW = {"musllinux_1_2_x86_64": "with musl", "manylinux_2_17_aarch64": "under qemu"}
# Of that release: the interpreter for aarch64, and what it and its modules are linked with.
PACKAGES = [
    "libc6", "libgcc-s1", "zlib1g", "libexpat1", "libzstd1", "libffi8", "libssl3t64", "liblzma5", "libbz2-1.0",
    "libsqlite3-0", "libuuid1",
    f"libpython{VERSION}-minimal", f"libpython{VERSION}-stdlib", f"python{VERSION}-minimal", f"python{VERSION}",
]  # fmt: skip


NO_QEMU = "no qemu for aarch64 here (Debian: qemu-user-static)"


def qemu() -> str | None:
    """The program that runs a program for aarch64."""
    return shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")


@dataclass(frozen=True)
class Elsewhere:
    """An interpreter of another platform: what starts it, the folder that it imports from, and in which words it runs."""

    command: list[str]
    site: Path
    how: str
    env: dict[str, str]


def lacking(platform: str, tag: str = VERSION) -> str:
    """Why no wheel of a platform (its tag) can be run for an interpreter of that tag; empty if one can."""
    if platform == "win_amd64":
        return "" if wine.find() else wine.MISSING
    if platform not in LINUX or tag != VERSION:
        return "no such CPython runs here"
    return "" if _python(platform).exists() else "no such CPython here (tools/pythons --install-elsewhere)"


@contextmanager
def ready(platform: str, tag: str, folder: Path) -> Iterator[Elsewhere]:
    """An interpreter that is not lacking(), as long as the block runs. It imports from a folder that is made in `folder`."""
    if platform == "win_amd64":
        place = windows_python(tag, folder)
        with wine.ready() as environment:
            yield Elsewhere([wine.find(), str(place / "python.exe")], place, "run under Wine", environment)
        return
    site = folder / f"{LINUX[platform]}-site"
    site.mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling what it imports takes qemu long: once is enough
    yield Elsewhere([str(_python(platform))], site, f"run {HOW[platform]}", environment)


def _python(platform: str) -> Path:
    return PLACE / f"{VERSION}-{LINUX[platform]}" / "bin" / f"python{VERSION}"


# Testing ----------------------------------------------------------------------------------------------------------------

# What needs nothing but pytest, and no event loop of Unix.
ANYWHERE = ["exceptions", "sending", "ending", "athrow_aclose", "yield_from", "yield_from_pep828", "hooks", "objects"]
# What needs trio, or the processes and threads of Unix.
ON_LINUX = [
    "awaitables", "contexts", "fast_paths", "free_threading", "functions", "helpers", "isolated", "isolated_interrupted",
    "isolated_timeouts", "managers_as_decorators", "misuse", "reuse", "rewriting", "running", "structured", "threads",
    "yield_from_chains",
]  # fmt: skip
# What reaches most of the engine, and one kind of function.
FEW = ["athrow_aclose", "ending", "isolated", "objects", "sending", "yield_from_pep828"]
ONE_KIND = ["-k", "decorated_native or test_isolated"]


def requirements(platform: str) -> list[str]:
    """What the tests need; none of it is compiled."""
    return ["pytest", "trio"] if platform in LINUX else ["pytest", "colorama"]


def tests(platform: str, how_many: str) -> list[str]:
    """Arguments of pytest: of tests/python what can be run there. `few` are fewer only where each takes long."""
    if platform not in LINUX:
        return _files(ANYWHERE)
    if how_many == "few" and LINUX[platform] == "aarch64":
        return [*ONE_KIND, *_files(FEW)]
    return _files([*ANYWHERE, *ON_LINUX])


def _files(names: list[str]) -> list[str]:
    return [f"tests/test_{name}.py" for name in names]


# Installing -------------------------------------------------------------------------------------------------------------


def install() -> None:
    """Installs those for Linux that are not here and can be; of the others a line on standard error says why not."""
    if os.uname().machine != "x86_64":
        return cpython.say("CPythons of other platforms are for x86-64 machines")
    PLACE.mkdir(parents=True, exist_ok=True)
    for installed, make in (
        (PLACE / f"{VERSION}-aarch64", _unpack_aarch64),
        (PLACE / f"{VERSION}-musl", _build_with_musl),
    ):
        if not installed.exists():
            make(installed)


def _script(path: Path, *lines: str) -> None:
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


def _build_with_musl(installed: Path) -> None:
    """CPython from source, with the C library that Alpine has."""
    if not shutil.which("musl-gcc"):
        return cpython.say("no CPython with musl: that takes musl-gcc (Debian: musl-tools)")
    compiler = PLACE / "musl-cc"
    # musl-gcc names the folders of glibc there, and CPython's configure refuses two names that differ.
    _script(compiler, '[ "$1" = --print-multiarch ] && exit 0', 'exec musl-gcc "$@"')
    # pkg-config would give it libraries that are linked with glibc.
    flags = [f"CC={compiler}", "PKG_CONFIG=false", "--disable-test-modules", "--without-ensurepip"]
    cpython.build(PLACE, [VERSION], flags, installed.name.removeprefix(VERSION))


def _unpack_aarch64(installed: Path) -> None:
    """Debian's, whose `bin/python3.13` is a script that starts qemu, so that it can start itself, too."""
    if (emulator := qemu()) is None:
        return cpython.say(f"no CPython for aarch64: {NO_QEMU}")
    with tempfile.TemporaryDirectory(dir=PLACE, prefix=".unpacking-") as scratch:
        suite, root = debian.suite(SUITE, Path(scratch) / "apt", "arm64"), Path(scratch) / "root"
        if suite is None or (absent := [name for name in PACKAGES if not suite.unpack(name, root)]):
            return cpython.say(f"no CPython for aarch64: no {', '.join(absent) if suite else 'Debian archive'}")
        for folder in ("lib", "bin"):
            (root / folder).symlink_to(f"usr/{folder}")
        script = root / "usr" / "bin" / f"python{VERSION}"
        program = script.rename(script.with_name(f"aarch64-python{VERSION}"))
        _script(script, f'exec {emulator} -0 "$0" -L {installed} {installed / program.relative_to(root)} "$@"')
        root.rename(installed)
