"""Gets builds of CPython that this machine lacks, out of Debian's archive: the newest releases, and other builds.

Each stands in a folder of its own, beside the system and without touching it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import debian
from interpreters import probe

# What each suite of Debian may have of a version, in the order to look: some name a source that the archive no longer has.
SUITES = ["sid", "testing", "trixie"]
# What the interpreters of Debian's newest suite are linked with; this machine's own may be older.
LIBRARIES = [
    "libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libexpat1", "libzstd1", "libffi8", "libssl3t64", "liblzma5", "libbz2-1.0",
    "libsqlite3-0", "libmpdec4", "libuuid1", "libreadline8t64", "libncursesw6", "libtinfo6", "libcrypt1",
]  # fmt: skip
PARTS = [
    "python{}-minimal", "python{}", "libpython{}-minimal", "libpython{}-stdlib", "libpython{}-dev", "libpython{}-testsuite",
]  # fmt: skip
DEBUG_PARTS = ["python{}-dbg", "libpython{}-dbg"]


def say(text: str) -> None:
    print(f"pythons: {text}", file=sys.stderr, flush=True)


# Built from source ------------------------------------------------------------------------------------------------------


def build(folder: Path, versions: list[str], flags: list[str], suffix: str) -> Path | None:
    """Builds the first of `versions` that the archive has the source of, configured with `flags`, in about five minutes.

    Returns its folder, which is named after its version and `suffix`. Where there is no Debian archive, or the build fails,
    there is none, and a line on standard error says so.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".building-") as scratch:
        archive = _source(Path(scratch), versions)
        if archive is None:
            say(f"no source of CPython {' or '.join(versions)} can be had from a Debian archive here")
            return None
        version = archive.name.partition("_")[0].removeprefix("python")
        return _compiled(Path(scratch), archive, flags, folder / f"{version}{suffix}")


def _source(scratch: Path, versions: list[str]) -> Path | None:
    for name in SUITES:
        suite = debian.suite(name, scratch / name)
        for version in versions:
            if suite and (found := suite.source(f"python{version}")):
                return found
    return None


def _compiled(scratch: Path, archive: Path, flags: list[str], installed: Path) -> Path | None:
    source = scratch / "source"
    source.mkdir()
    jobs = f"-j{os.environ.get('AGEN_JOBS') or os.cpu_count()}"
    steps = [
        ["tar", "-xf", str(archive), "--strip-components=1"],
        ["./configure", "-q", *flags, f"--prefix={installed}"],
        ["make", "-s", jobs],
        ["make", "-s", "install", f"DESTDIR={scratch / 'root'}"],
    ]
    log = installed.parent / f"{installed.name}.log"
    with log.open("w") as output:
        for step in steps:
            if subprocess.run(step, cwd=source, stdout=output, stderr=output, check=False).returncode:
                say(f"CPython {installed.name} could not be built: {' '.join(step)}, see {log}")
                return None
    shutil.rmtree(installed, ignore_errors=True)
    (scratch / "root" / installed.relative_to("/")).rename(installed)  # complete, or not there
    return installed


# Packaged ---------------------------------------------------------------------------------------------------------------


def install(folder: Path, versions: list[str]) -> list[Path]:
    """Unpacks Debian's own builds of versions that only its newest suite has, each into a folder named after its version;
    of "3.14d" the debug build.

    They find a C library of their suite in `folder`/lib. They have no pip: that of another interpreter serves them. What
    cannot be had is said on standard error; the folders of the rest are returned.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpacking-") as scratch:
        suite = debian.suite("sid", Path(scratch) / "apt")
        if suite is None or not shutil.which("patchelf"):
            say(f"no CPython {' or '.join(versions)}: that takes a Debian archive and patchelf (Debian: patchelf)")
            return []
        loader = _libraries(suite, folder / "lib")
        if loader is None:
            say("no C library arrived")
            return []
        return [folder / one for one in versions if _unpacked(suite, Path(scratch) / one, folder / one, loader)]


def _libraries(suite: debian.Suite, folder: Path) -> Path | None:
    """Fills a folder with LIBRARIES, once; returns the loader among them."""
    complete = folder / ".complete"
    if not complete.exists():
        folder.mkdir(exist_ok=True)
        if lacking := [package for package in LIBRARIES if not suite.unpack(package, folder)]:
            say(f"no {', '.join(lacking)}; modules that need it will not import")
        complete.touch()
    return next(iter(sorted(folder.rglob("ld-linux*.so.*"))), None)


def _unpacked(suite: debian.Suite, scratch: Path, installed: Path, loader: Path) -> bool:
    version = installed.name.removesuffix("d")
    parts = PARTS if installed.name == version else PARTS + DEBUG_PARTS
    if lacking := [name for part in parts if not suite.unpack(name := part.format(version), scratch)]:
        say(f"Debian has no {', '.join(lacking)}")
    program = scratch / "usr" / "bin" / f"python{installed.name}"
    if not program.exists():
        return False
    shutil.rmtree(scratch / "usr" / "lib" / "debug", ignore_errors=True)  # symbols for a debugger, 200 MB of them
    shutil.rmtree(installed, ignore_errors=True)
    (scratch / "usr").rename(installed)
    program = installed / "bin" / program.name
    triplet = loader.parent.name
    paths = f"{loader.parent}:{installed / 'lib' / triplet}"
    patch = ["patchelf", "--set-interpreter", loader, "--force-rpath", "--set-rpath", paths, program]
    subprocess.run([str(word) for word in patch], check=False)
    (program.parent / "python3").unlink(missing_ok=True)
    (program.parent / "python3").symlink_to(program.name)
    # Debian's pyconfig.h includes <TRIPLET/...>: one -I is then enough.
    headers = installed / "include" / program.name / triplet
    if not headers.exists():
        headers.symlink_to(f"../{triplet}")
    if probe(program) is None:
        say(f"CPython {installed.name} was unpacked and does not run")
        return False
    return True
