"""Builds a CPython without the GIL. Debian packages none, so it is built from Debian's source of Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Where to look, in this order: a suite of Debian may name a source that its archive no longer has.
SOURCES = [("python3.14", "sid"), ("python3.14", "testing"), ("python3.13", "testing"), ("python3.13", "trixie")]
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def build(folder: Path) -> Path | None:
    """Builds one below `folder`, beside the system and without touching it, in about five minutes.

    Returns the installation, named after its version and `t`; None, with a line on standard error, where there is no
    Debian archive or the build fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".free-threaded-") as scratch:
        package, archive = _download(Path(scratch))
        if archive is None:
            return None
        installed = folder / (package.removeprefix("python") + "t")
        return installed if _build(Path(scratch), archive, installed) else None


def _download(scratch: Path) -> tuple[str, Path | None]:
    """The first source that the archive has. (The machine's own suite may be older: apt gets lists of its own.)"""
    mirror = _mirror()
    if mirror is None or not shutil.which("apt-get") or not KEYRING.exists():
        print("pythons: no Debian archive is set up here, so no source of CPython either", file=sys.stderr)
        return "", None
    for package, suite in SOURCES:
        apt = scratch / suite
        for part in ("state/lists/partial", "cache/archives/partial", "parts"):
            (apt / part).mkdir(parents=True, exist_ok=True)
        (apt / "state/status").touch()
        (apt / "sources.list").write_text(f"deb-src [signed-by={KEYRING}] {mirror} {suite} main\n")
        (apt / "apt.conf").write_text(
            f'Dir::State "{apt}/state";\nDir::State::lists "{apt}/state/lists";\nDir::State::status "{apt}/state/status";\n'
            f'Dir::Cache "{apt}/cache";\nDir::Etc::sourcelist "{apt}/sources.list";\nDir::Etc::sourceparts "{apt}/parts";\n'
            'APT::Sandbox::User "root";\n'
        )
        environment = os.environ | {"APT_CONFIG": str(apt / "apt.conf")}
        for command in (["update"], ["source", "--tar-only", "--download-only", package]):
            subprocess.run(["apt-get", "-qq", *command], cwd=apt, env=environment, capture_output=True, check=False)
        if found := sorted(apt.glob(f"{package}_*.orig.tar.*")):
            return package, next(one for one in found if not one.name.endswith(".asc"))
    print("pythons: Debian's archive has no source of a CPython that can do without the GIL", file=sys.stderr)
    return "", None


def _mirror() -> str | None:
    """The Debian archive that this machine uses."""
    for file in [*Path("/etc/apt/sources.list.d").glob("*"), Path("/etc/apt/sources.list")]:
        if file.is_file() and (
            found := re.search(r"^(?:URIs:|deb) .*?(https?://\S*/debian)/?\s", file.read_text(), re.M)
        ):
            return found[1]
    return None


def _build(scratch: Path, archive: Path, installed: Path) -> bool:
    source = scratch / "source"
    source.mkdir()
    jobs = f"-j{os.environ.get('AGEN_JOBS') or os.cpu_count()}"
    steps = [
        ["tar", "-xf", str(archive), "--strip-components=1"],
        ["./configure", "-q", "--disable-gil", "--disable-test-modules", f"--prefix={installed}"],
        ["make", "-s", jobs],
        ["make", "-s", "install"],
    ]
    log = installed.parent / f"{installed.name}.log"
    with log.open("w") as output:
        for step in steps:
            if subprocess.run(step, cwd=source, stdout=output, stderr=output, check=False).returncode:
                print(
                    f"pythons: a CPython without the GIL could not be built: {' '.join(step)}, see {log}",
                    file=sys.stderr,
                )
                shutil.rmtree(installed, ignore_errors=True)
                return False
    return True
