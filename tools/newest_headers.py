"""The newest headers of Asio and Boost that Debian has: what the tests compile against before users do."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from free_threaded import KEYRING, debian_archive, own_lists

SUITE = "sid"


def fetch(folder: Path) -> Path | None:
    """The folder to include from, unpacked below `folder` once; beside the system and without touching it.

    None where there is no Debian archive, and a line on standard error says so. Remove the folder for newer ones.
    """
    include = folder / "usr" / "include"
    if include.exists():
        return include
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".newest-headers-") as scratch:
        unpacked = _download(Path(scratch))
        if unpacked is None:
            print("test-cpp: no Debian archive is set up here, so no newest Asio and Boost either", file=sys.stderr)
            return None
        shutil.rmtree(folder, ignore_errors=True)
        unpacked.rename(folder)
    return include


def _download(scratch: Path) -> Path | None:
    mirror = debian_archive()
    if mirror is None or not shutil.which("dpkg-deb"):
        return None
    apt, unpacked = scratch / "apt", scratch / "unpacked"
    environment = own_lists(apt, f"deb [signed-by={KEYRING}] {mirror} {SUITE} main\n")

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=apt, env=environment, capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else ""

    run("apt-get", "-qq", "update")
    # libboost-dev has no files: what it depends on has them.
    names = [
        line.split()[-1] for line in run("apt-cache", "depends", "libboost-dev").splitlines() if "Depends:" in line
    ]
    for name in ("libasio-dev", *names):
        run("apt-get", "-qq", "download", name)
    packages = sorted(apt.glob("*.deb"))
    for package in packages:
        run("dpkg-deb", "-x", str(package), str(unpacked))
    return unpacked if len(packages) >= 2 and (unpacked / "usr/include/boost/asio.hpp").exists() else None
