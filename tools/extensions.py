"""Builds extension modules that tests, examples and benchmarks bring, each from a folder with a CMakeLists.txt."""

import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from interpreters import ROOT


def build(source: Path, python: str = sys.executable, **settings: str) -> Path:
    """Configures and builds `source` for an interpreter; returns the folder that the modules are in.

    Nothing is built twice: CMake knows what has changed, also of the headers that the installed package carries.
    """
    tools = ROOT / ".venv" / "tools" / "bin"
    path = f"{tools}{os.pathsep}{os.environ.get('PATH', '')}"
    cmake = shutil.which("cmake", path=path) or "cmake"
    # One folder for an interpreter: an environment's name, such as 3.13 or 3.14t.
    tree = ROOT / "build" / "extensions" / Path(python).parent.parent.name / source.relative_to(ROOT)
    # Sanitizers, beside an engine that is built with them: a build of its own.
    if sanitizers := os.environ.get("AGEN_SANITIZE"):
        tree = tree.with_name(f"{tree.name}-sanitized")
        settings["CMAKE_CXX_FLAGS"] = (
            f"-fsanitize={sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer -g -O1"
        )
    options = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_CXX_SCAN_FOR_MODULES": "OFF",  # there are none, and looking costs a step for each file
        "Python_EXECUTABLE": python,
        **settings,
    }
    configure = [
        cmake,
        "-S",
        source,
        "-B",
        tree,
        "-G",
        "Ninja",
        *(f"-D{name}={value}" for name, value in options.items()),
    ]
    # What the caller preloads, and looks for modules in, is not for the compiler.
    environment = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "PYTHONPATH")}
    tree.mkdir(parents=True, exist_ok=True)
    with (tree / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two suites may want the same module at once
        for command in (configure, [cmake, "--build", tree]):
            done = subprocess.run(
                [str(part) for part in command], capture_output=True, text=True, env={**environment, "PATH": path}
            )
            if done.returncode:
                raise RuntimeError(f"{source.name} cannot be built:\n{done.stdout[-8000:]}{done.stderr[-8000:]}")
    return tree


def load(source: Path, name: str, **settings: str):
    """Builds `source` for this interpreter and imports the module `name` of it. A process imports a file once: a second
    time its types would be registered twice."""
    import importlib.util

    file = build(source, **settings) / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
    if (loaded := sys.modules.get(name)) and getattr(loaded, "__file__", None) == str(file):
        return loaded
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
