"""The newest headers of Asio and Boost that Debian has: what the tests compile against before users do."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import debian

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
    suite, unpacked = debian.suite(SUITE, scratch / "apt"), scratch / "unpacked"
    if suite is None:
        return None
    # libboost-dev has no files: what it depends on has them.
    arrived = [suite.unpack(name, unpacked) for name in ("libasio-dev", *suite.depends("libboost-dev"))]
    return unpacked if any(arrived) and (unpacked / "usr/include/boost/asio.hpp").exists() else None
