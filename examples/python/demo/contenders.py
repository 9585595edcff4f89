"""This package, native generators, and PyPI's async_generator 1.10 where AGEN_PEER names the folder that holds it."""

import importlib.util
import os
import sys
from pathlib import Path

import async_generator

HERE = Path(__file__).parent
OURS = f"async_generator {async_generator.__version__}"
NATIVE = "native"
PEER = "async_generator 1.10"


def load(name, file, folder=HERE, **kwargs):
    """Executes a file as a module with its own name."""
    spec = importlib.util.spec_from_file_location(name, folder / file, **kwargs)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def peer():
    """The package async_generator 1.10; None where it is not."""
    folder = Path(os.environ.get("AGEN_PEER") or "absent", "async_generator")
    if not folder.exists():
        return None
    if "async_generator_1_10" in sys.modules:
        return sys.modules["async_generator_1_10"]
    return load("async_generator_1_10", "__init__.py", folder, submodule_search_locations=[str(folder)])


def modules(name):
    """{contender: module}: `name`.py is executed twice, with this package, and with 1.10 in its place; `name`_native.py once."""
    found = {OURS: load(name, f"{name}.py"), NATIVE: load(f"{name}_native", f"{name}_native.py")}
    if other := peer():
        sys.modules["async_generator"] = other
        try:
            found[PEER] = load(f"{name}_1_10", f"{name}.py")
        finally:
            sys.modules["async_generator"] = async_generator
    return found
