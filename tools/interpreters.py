"""Finds the CPython interpreters of this machine: one for each minor version that the package supports, and each build of it.

What is installed into them is the business of `environment`; this file only looks.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST, NEWEST = (3, 10), (3, 15)
# Interpreters that this project installed for itself, see `pythons --install-newer`.
OWN = (ROOT / ".cache").resolve() / "pythons"

_PROBE = """
import json, os, sys, sysconfig
from importlib.util import find_spec
print(json.dumps({
    "path": getattr(sys, "_base_executable", None) or sys.executable,
    "implementation": sys.implementation.name,
    "version": list(sys.version_info[:3]),
    "final": sys.version_info.releaselevel == "final",
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "debug": hasattr(sys, "gettotalrefcount"),
    "headers": os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")),
    "pip": find_spec("ensurepip") is not None and find_spec("venv") is not None,
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """One interpreter: `tag` names it in folders and tables ("3.13", "3.13t" without the GIL, "3.13d" with Py_DEBUG)."""

    path: str
    version: tuple[int, int, int]
    final: bool
    free_threaded: bool
    debug: bool
    headers: bool
    pip: bool

    @property
    def tag(self) -> str:
        return f"{self.version[0]}.{self.version[1]}" + "t" * self.free_threaded + "d" * self.debug

    @property
    def rank(self) -> tuple[bool, bool, bool, int]:
        """Of two with the same tag the greater is taken: one that can compile, then one with pip, then a final and newer one."""
        return self.headers, self.pip, self.final, self.version[2]


def probe(path: str | os.PathLike[str]) -> Interpreter | None:
    """What the interpreter at `path` says of itself, or None when it does not run or is not a CPython 3."""
    try:
        # From the root folder, so that a .python-version file here cannot make a version manager's shim refuse.
        done = subprocess.run(
            [os.fspath(path), "-I", "-c", _PROBE], capture_output=True, text=True, timeout=60, cwd="/"
        )
        said = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None
    if said.pop("implementation") != "cpython":
        return None
    said["version"] = tuple(said["version"])
    return Interpreter(**said)


def _candidates() -> list[Path]:
    found: list[Path] = []
    for folder in filter(None, os.environ.get("AGEN_PYTHONS", "").split(os.pathsep)):
        found += _inside(Path(folder))
    found += _inside(OWN)
    for folder in filter(None, os.environ.get("PATH", "").split(os.pathsep)):
        if Path(folder).is_dir():
            names = re.compile(r"python(3(\.\d+t?d?)?)?$")
            found += sorted(p for p in Path(folder).iterdir() if names.match(p.name) and os.access(p, os.X_OK))
    found += _inside(Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions")
    return found


def _inside(folder: Path) -> list[Path]:
    """The interpreters of a folder that is one installation, or that holds one in each of its folders."""
    patterns = ("bin/python3", "*/bin/python3")
    return sorted(p for pattern in patterns for p in folder.glob(pattern) if os.access(p, os.X_OK))


def find() -> list[Interpreter]:
    """Every supported interpreter found: the best for each minor version and build, oldest first."""
    best: dict[str, Interpreter] = {}
    seen: set[str] = set()
    for candidate in _candidates():
        key = os.path.realpath(candidate)
        if key in seen and "shims" not in candidate.parts:
            continue
        seen.add(key)
        one = probe(candidate)
        if one is None or not OLDEST <= one.version[:2] <= NEWEST:
            continue
        if one.tag not in best or one.rank > best[one.tag].rank:
            best[one.tag] = one
    return sorted(best.values(), key=lambda i: (i.version[:2], i.free_threaded, i.debug))


def choose(names: list[str]) -> list[Interpreter]:
    """The interpreters that `names` mean (tags such as 3.13 or 3.14t, or paths); all found when there are none.

    Raises SystemExit with a sentence when a name means none.
    """
    if not names:
        return find()
    chosen: list[Interpreter] = []
    found: dict[str, Interpreter] | None = None
    for name in names:
        one = None
        if os.sep in name:
            one = probe(name)
        else:
            found = found if found is not None else {i.tag: i for i in find()}
            one = found.get(name)
        if one is None:
            raise SystemExit(f"no interpreter '{name}'; found: {' '.join(sorted(found or ()))}")
        chosen.append(one)
    return chosen
