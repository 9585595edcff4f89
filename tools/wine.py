"""Runs programs for Windows, where Wine is installed (Debian: wine64)."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

MISSING = "no Wine here (Debian: wine64)"
FOLDERS = os.pathsep.join((os.environ.get("PATH", ""), "/usr/lib/wine"))


def find() -> str | None:
    """The program that runs a program for Windows with 64 bits."""
    return shutil.which("wine64", path=FOLDERS)


@contextmanager
def ready() -> Iterator[dict[str, str]]:
    """The environment for find(): its files and its server are there as long as the block runs.

    Its files lie outside of this project's folder: one of them is a link to `/`, which builds of an sdist follow. The
    server that a program starts inherits the pipes of that program, and whoever reads them to their end waits for
    the server: so this one starts before, without any.
    """
    with tempfile.TemporaryDirectory() as prefix:
        environment = {**os.environ, "WINEPREFIX": prefix, "WINEDEBUG": "-all"}
        with _served(environment):
            yield environment


@contextmanager
def _served(environment: dict[str, str]) -> Iterator[None]:
    server = shutil.which("wineserver64", path=FOLDERS) or shutil.which("wineserver", path=FOLDERS)
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([server, "-p"], env=environment, check=False, **quiet)
    try:
        subprocess.run([find(), "wineboot", "-i"], env=environment, check=False, timeout=300, **quiet)
        yield
    finally:
        subprocess.run([server, "-k"], env=environment, check=False, timeout=60, **quiet)
