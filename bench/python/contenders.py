"""Loads what is compared: native, this package, and PyPI's async_generator 1.10 beside it under another name.

1.10 comes from the folder that AGEN_PEER names (tools/peer puts it there); without it, its column stays empty.
"""

import importlib.util
import os
import sys
import types
from pathlib import Path

import driver
import native

HERE = Path(__file__).parent
NATIVE, OURS, PEER = "native", "ours", "1.10"


def load_peer():
    """async_generator 1.10 as the module async_generator_1_10, or None if it is not installed."""
    folder = os.environ.get("AGEN_PEER")
    init = Path(folder, "async_generator", "__init__.py") if folder else None
    if init is None or not init.exists():
        return None
    spec = importlib.util.spec_from_file_location(
        "async_generator_1_10", init, submodule_search_locations=[str(init.parent)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def load_ours():
    """The package as this interpreter finds it; None, and a word about it, when it cannot be imported."""
    try:
        import async_generator
    except ImportError as error:
        print(f"this package cannot be imported: {error}", file=sys.stderr)
        return None
    return async_generator


def bodies(package, name):
    """bodies.py with a package's names as its globals, as if it had imported them."""
    module = types.ModuleType(f"bodies_{name}")
    vars(module).update(
        async_generator=package.async_generator,
        yield_=package.yield_,
        yield_from_=package.yield_from_,
        pause=driver.pause,
    )
    source = HERE / "bodies.py"
    exec(compile(source.read_text(), str(source), "exec"), vars(module))
    return module


def native_syntax(package):
    """The functions of native.py under the package's decorator; None, and a word about it, where that does not work."""
    try:
        functions = {name: package.async_generator(getattr(native, name)) for name in ("items", "echo", "awaiting")}
        assert driver.run(_collect(functions["items"](3))) == [0, 1, 2]
    except Exception as error:
        print(f"no native syntax under the decorator: {error!r}", file=sys.stderr)
        return None
    return types.SimpleNamespace(**functions)


async def _collect(generator):
    return [x async for x in generator]


def load(wanted):
    """{contender: its generators} for the contenders in `wanted`, and {contender: its native-syntax generators}."""
    packages = {OURS: load_ours(), PEER: load_peer()}
    packages = {name: package for name, package in packages.items() if package is not None and name in wanted}
    own_syntax = {NATIVE: native} if NATIVE in wanted else {}
    own_syntax |= {name: bodies(package, name.replace(".", "_")) for name, package in packages.items()}
    with_yield = {NATIVE: native} if NATIVE in wanted else {}
    with_yield |= {name: native_syntax(package) for name, package in packages.items() if name == OURS}
    return own_syntax, {name: api for name, api in with_yield.items() if api is not None}
