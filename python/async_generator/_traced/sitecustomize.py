"""Found before any other `sitecustomize` by the processes that a program traced with --children starts."""

import importlib.machinery
import importlib.util
import os
import sys

_here = os.path.dirname(os.path.abspath(__file__))
# The one that this file hides.
_spec = importlib.machinery.PathFinder.find_spec("sitecustomize", [entry for entry in sys.path if entry != _here])
if _spec is not None and _spec.loader is not None:
    _spec.loader.exec_module(importlib.util.module_from_spec(_spec))

if "ASYNC_GENERATOR_TRACE" in os.environ:
    try:
        from async_generator._trace_report import in_child
    except ImportError:  # an interpreter that does not have the package
        pass
    else:
        in_child()
