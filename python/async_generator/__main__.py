"""The command ``python -m async_generator``: tells what is installed and which fast paths are on, or traces a program.

The package does not import this module.
"""

import argparse
import importlib.util
import json
import os
import platform
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import _has_engine
from . import _implementation as _engine
from ._code import rewriting
from ._operators import yield_
from ._version import __version__

_USAGE = """%(prog)s [--json]
       %(prog)s [--json] [--out FILE] [--mine] [--check] [--children] --trace SCRIPT [ARGUMENT ...]
       %(prog)s [--json] [--out FILE] [--mine] [--check] [--children] --trace -m MODULE [ARGUMENT ...]"""
_DESCRIPTION = """Says which version this is, and which of its fast paths are on and why one is not.

With --trace it runs a program and says, at its end, which of its async generators nobody closed and where they were made; and
it writes a timeline for a browser's trace viewer. The program's exit status is kept. SIGTERM ends it with its report; SIGUSR1
asks for one while it runs, where the program has not taken these signals for itself."""


async def _sample() -> None:
    await yield_()


def facts() -> dict[str, Any]:
    """Collect the facts about this installation.

    Returns:
        The version, the engine's file, the interpreter and its platform; and under ``"fast paths"``, for each fast path,
        None if it is on, or the reason why it is off.
    """
    rewriting.rewrite(_sample.__code__, globals())  # after the first use it is known whether real yields are on
    return {
        "version": __version__,
        "engine": _engine_or_why_not(),
        "interpreter": f"{platform.python_implementation()} {platform.python_version()}",
        "executable": sys.executable,
        "gil": _gil(),
        "platform": platform.platform(),
        "fast paths": {
            **{name: _why_not(name, on) for name, on in _engine.fast_paths().items()},
            "real yields": rewriting.disabled,
        },
    }


def _engine_or_why_not() -> str:
    """The engine's file; or a sentence that says why plain Python takes its place."""
    if _has_engine:
        return str(_engine.__file__)
    if os.environ.get("ASYNC_GENERATOR_ENGINE") == "plain":
        why = "ASYNC_GENERATOR_ENGINE=plain asks for it"
    elif sys.implementation.name != "cpython":
        why = f"the engine is for CPython, and this is {platform.python_implementation()}"
    elif importlib.util.find_spec("async_generator._engine") is None:
        why = "this installation was built without the engine"
    else:
        why = "the engine of this installation cannot be loaded"
    return f"in plain Python: {why}"


def _gil() -> str:
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "always on"
    return "on (free-threaded build)" if sys._is_gil_enabled() else "off"  # type: ignore[attr-defined,unused-ignore]


def _why_not(name: str, on: bool) -> str | None:
    if on:
        return None
    free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    reasons = {
        "direct boxes": "the layout of the interpreter's own wrapper was not what it should be: a generator wraps the items",
        "recycled objects": "this is a free-threaded build: reference counts cannot be set by hand",
        "compared contexts": "it was not found out where a context keeps its variables: layered contexts compare them all",
        "recycled StopIteration": "this is a free-threaded build: reference counts cannot be set by hand"
        if free_threaded
        else "not needed: this interpreter takes results without an exception",
    }
    return reasons.get(name, "off")


def _told(said: dict[str, Any]) -> str:
    lines = [f"async_generator {said['version']}"]
    lines += [f"  {name:12} {said[name]}" for name in ("engine", "interpreter", "executable", "gil", "platform")]
    lines += ["  fast paths"]
    lines += [f"    {name:24} {'on' if why is None else 'off: ' + why}" for name, why in said["fast paths"].items()]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: the arguments; by default those of the process.

    Returns:
        The exit status: 0, or that of the traced program. (With ``--check`` the process may end with 3 after that.)

    Raises:
        SystemExit: if the arguments are wrong, after ``--help``, or if the traced program raises it.
        KeyboardInterrupt: if the traced program raises it.
        ImportError: if a package that contains the traced module cannot be imported.
        OSError: if the traced script cannot be read.
    """
    parser = argparse.ArgumentParser(
        prog="python -m async_generator",
        usage=_USAGE,
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="say it in JSON")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where the timeline goes (default: SCRIPT's name, .trace.json)"
    )
    parser.add_argument(
        "--mine",
        action="store_true",
        help="report only what code outside the standard library and installed packages made",
    )
    parser.add_argument(
        "--check", action="store_true", help="end with 3 if the program succeeded and a generator was not closed"
    )
    parser.add_argument(
        "--children", action="store_true", help="trace the Python processes that the program starts, too"
    )
    parser.add_argument(
        "--trace", nargs=argparse.REMAINDER, metavar="SCRIPT", help="run a program; what follows is its own"
    )
    chosen, unknown = parser.parse_known_args(arguments)
    if unknown:
        hint = "" if unknown[0].startswith("-") else f"; to run a program, write --trace {unknown[0]}"
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    if chosen.trace is None:
        said = facts()
        print(json.dumps(said, indent=2) if chosen.json else _told(said))
        return 0
    if not chosen.trace or chosen.trace == ["-m"]:
        parser.error("--trace: which program?")
    if chosen.trace[0] != "-m" and not Path(chosen.trace[0]).exists():
        parser.error(f"--trace: no such file: {chosen.trace[0]}")
    from . import _trace, _trace_report

    options = _trace_report.Options(chosen.out, chosen.json, chosen.mine, chosen.check, chosen.children)
    return _trace.run(chosen.trace, options)


if __name__ == "__main__":
    sys.exit(main())
