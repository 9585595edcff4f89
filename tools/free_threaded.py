"""Builds a CPython without the GIL. Debian packages none, so it is built from Debian's source of Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# What each suite of Debian may have, looked for in this order: some name a source that the archive no longer has.
SOURCES = {"sid": ["python3.14"], "testing": ["python3.14", "python3.13"], "trixie": ["python3.13"]}
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def build(folder: Path) -> None:
    """Builds one below `folder`, beside the system and without touching it, in about five minutes.

    The installation is named after its version and `t`. Where there is no Debian archive, or the build fails, there is
    none, and a line on standard error says so.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".free-threaded-") as scratch:
        archive = _download(Path(scratch))
        if archive is not None:
            version = archive.name.partition("_")[0].removeprefix("python")
            _build(Path(scratch), archive, folder / f"{version}t")


def _download(scratch: Path) -> Path | None:
    """The first source that the archive has. (The machine's own suite may be older: apt gets lists of its own.)"""
    mirror = debian_archive()
    if mirror is None:
        print("pythons: no Debian archive is set up here, so no source of CPython either", file=sys.stderr)
        return None
    for suite, packages in SOURCES.items():
        apt = scratch / suite
        environment = own_lists(apt, f"deb-src [signed-by={KEYRING}] {mirror} {suite} main\n")
        downloads = [["source", "--tar-only", "--download-only", package] for package in packages]
        for command in (["update"], *downloads):
            subprocess.run(["apt-get", "-qq", *command], cwd=apt, env=environment, capture_output=True, check=False)
            if found := [one for one in apt.glob("python3*.orig.tar.*") if one.suffix != ".asc"]:
                return found[0]
    print("pythons: Debian's archive has no source of a CPython that can do without the GIL", file=sys.stderr)
    return None


def own_lists(apt: Path, sources: str) -> dict[str, str]:
    """An environment in which apt-get has these sources, and keeps what it knows of them below `apt`."""
    for part in ("state/lists/partial", "cache/archives/partial", "parts"):
        (apt / part).mkdir(parents=True)
    (apt / "state/status").touch()
    (apt / "sources.list").write_text(sources)
    (apt / "apt.conf").write_text(
        f'Dir::State "{apt}/state";\nDir::State::lists "{apt}/state/lists";\nDir::State::status "{apt}/state/status";\n'
        f'Dir::Cache "{apt}/cache";\nDir::Etc::sourcelist "{apt}/sources.list";\nDir::Etc::sourceparts "{apt}/parts";\n'
        'APT::Sandbox::User "root";\n'
    )
    return os.environ | {"APT_CONFIG": str(apt / "apt.conf")}


def debian_archive() -> str | None:
    """The Debian archive that this machine uses; none where apt-get or its keys are not here."""
    if not shutil.which("apt-get") or not KEYRING.exists():
        return None
    for file in [*Path("/etc/apt/sources.list.d").glob("*"), Path("/etc/apt/sources.list")]:
        if file.is_file() and (
            found := re.search(r"^(?:URIs:|deb) .*?(https?://\S*/debian)/?\s", file.read_text(), re.M)
        ):
            return found[1]
    return None


def _build(scratch: Path, archive: Path, installed: Path) -> None:
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
                return
