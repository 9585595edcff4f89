"""Loads the commands of tools/, whose files have no suffix, as modules."""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))


@pytest.fixture
def load():
    """A tool as a module of its own, whose names a test may change."""

    def load(name):
        loader = importlib.machinery.SourceFileLoader(f"tool_{name.replace('-', '_')}", str(ROOT / "tools" / name))
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
        sys.modules[loader.name] = module  # dataclasses look there
        loader.exec_module(module)
        return module

    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    yield load
    sys.dont_write_bytecode = before
